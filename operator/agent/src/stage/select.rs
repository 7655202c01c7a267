//! Which stage this host has to work on. Pure: objects and the ledger in, a decision out.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvecm_core::change::{Parent, Stage, StageResult};
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_crds::convert::plan_stages;
use pvecm_crds::{PveChange, PveHost};

use crate::ledger::{Admission, Ledger};

/// A released stage that this host has to work on.
#[derive(Debug, Clone)]
pub struct Released {
    /// The change.
    pub change: ChangeNumber,
    /// Digest of its plan.
    pub digest: Digest,
    /// The stage's number, counted from 1.
    pub number: u32,
    /// The stage.
    pub stage: Stage,
    /// What is in force before it; `None`: no cluster yet.
    pub parent: Option<Parent>,
    /// High availability is disarmed for this stage, or by it.
    pub disarmed: bool,
    /// What was sealed for this host.
    pub sealed: Option<String>,
    /// What a witness issued for this host, in PEM.
    pub certificate: Option<String>,
}

/// What there is to do.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Nothing.
    Nothing,
    /// A change that this host does not touch, and why.
    Refuse(String),
    /// This stage.
    Work(Box<Released>),
}

/// Takes the highest change of the host's cluster and looks for a stage in it that waits for this host.
#[must_use]
pub fn select(
    me: &HostName,
    host: &PveHost,
    changes: &BTreeMap<String, Arc<PveChange>>,
    ledger: &Ledger,
) -> Choice {
    if host.spec.paused {
        return Choice::Nothing;
    }
    let Some(change) = newest(host, changes) else { return Choice::Nothing };
    let status = change.status.clone().unwrap_or_default();
    let released = u32::try_from(status.released_stage).unwrap_or(0);
    if released == 0 || status.outcome.is_some() {
        return Choice::Nothing;
    }
    let number = ChangeNumber(u64::try_from(change.spec.number).unwrap_or(0));
    let digest = change.spec.plan.digest();
    match ledger.admit(number, digest) {
        Admission::New | Admission::Known => {}
        Admission::Older => {
            let highest = ledger.highest;
            return Choice::Refuse(format!("change {number} is older than {highest}, done here"));
        }
        Admission::Rewritten => {
            return Choice::Refuse(format!("change {number} was rewritten after it was accepted"));
        }
    }
    let last = ledger.last.as_ref().filter(|last| last.change == number);
    if last.is_some_and(|last| last.stage >= released) {
        return Choice::Nothing;
    }
    let (parent, stages) = match plan_stages(&change.spec.plan) {
        Ok(parsed) => parsed,
        Err(error) => return Choice::Refuse(format!("change {number} is not understood: {error}")),
    };
    let sealed = status.sealed.into_iter().find(|s| s.host == me.as_str()).map(|s| s.data);
    let certificate = status.certificates.into_iter().find(|c| c.host == me.as_str());
    let certificate = certificate.map(|c| c.certificate);
    let plan = (number, digest, parent);
    pick(me, plan, (released, &stages), ledger).map_or(Choice::Nothing, |work| {
        Choice::Work(Box::new(Released { sealed, certificate, ..work }))
    })
}

fn newest(host: &PveHost, changes: &BTreeMap<String, Arc<PveChange>>) -> Option<Arc<PveChange>> {
    let cluster = host.status.as_ref()?.cluster.as_ref()?;
    let ours = changes.values().filter(|change| {
        let of = &change.spec.cluster_ref;
        of.name == cluster.name && of.uid == cluster.uid
    });
    ours.max_by_key(|change| change.spec.number).cloned()
}

type PlanHead = (ChangeNumber, Digest, Option<Parent>);

/// The released stage, if it concerns this host and follows on what is done here.
fn pick(me: &HostName, plan: PlanHead, at: (u32, &[Stage]), ledger: &Ledger) -> Option<Released> {
    let (change, digest, parent) = plan;
    let (number, stages) = at;
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let stage = stages.get(index)?;
    if !stage.concerns(me) {
        return None;
    }
    let last = ledger.last.as_ref().filter(|last| last.change == change);
    let before = stages[..index].iter().rposition(|earlier| earlier.concerns(me));
    let follows = match (before, last) {
        (None, None) => true,
        (Some(before), Some(last)) => {
            usize::try_from(last.stage).ok() == Some(before + 1)
                && last.result == StageResult::Confirmed
        }
        // A host that was away while an earlier stage of this change passed takes part again when
        // the next change starts from what is in force by then.
        (Some(_), None) | (None, Some(_)) => false,
    };
    let text =
        |stage: &Stage| Parent { version: stage.config.version, digest: stage.config.digest };
    let parent = index.checked_sub(1).map(|before| text(&stages[before])).or(parent);
    let disarmed = Stage::disarmed_by(&stages[..=index]);
    let stage = stage.clone();
    let (sealed, certificate) = (None, None);
    follows.then_some(Released {
        change,
        digest,
        number,
        stage,
        parent,
        disarmed,
        sealed,
        certificate,
    })
}
