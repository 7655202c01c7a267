//! The objects of one cluster as the planner sees them together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use pvecm_core::change::ConfText;
use pvecm_core::datacenter::Lines;
use pvecm_core::ids::{ChangeNumber, ConfigVersion, HostName};
use pvecm_core::observed::{HostView, ObservedCluster};

use super::{ConvertError, host_view, stage_to_core};
use crate::change::{ConfigText, Course, Outcome, PveChange, Stage, StageResult};
use crate::host::PveHost;

/// A host's object that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("PveHost {host} is not understood")]
pub struct HostNotUnderstood {
    /// Its name.
    pub host: String,
    /// What is wrong.
    #[source]
    pub why: ConvertError,
}

/// Everything known about one cluster. `hosts` come with whether their agent is heard; `changes` are
/// all that are kept under the cluster's name; `uid` is the cluster's, `now` the time of day.
///
/// The numbers of an open change are not counted as reserved: they are its own, and the guards look at
/// it once more before it begins. The witness is put in by who reads it ([`super::witness_view`]).
pub fn observed<'a>(
    hosts: impl IntoIterator<Item = (&'a HostName, &'a PveHost, bool)>,
    changes: &[&PveChange],
    (uid, now): (&str, Timestamp),
) -> Result<ObservedCluster, HostNotUnderstood> {
    let texts = texts(changes.iter().copied());
    let mut views: BTreeMap<HostName, HostView> = BTreeMap::new();
    let mut ledgers = Vec::new();
    for (name, host, connected) in hosts {
        let refused = |why| HostNotUnderstood { host: host.name_any(), why };
        let mut view = host_view(host, (connected, now), uid, None).map_err(refused)?;
        for file in view.pmxcfs_file.iter_mut().chain(&mut view.disk_file) {
            let known = texts.get(file.digest.to_string().as_str());
            file.text = file.text.take().or_else(|| known.map(|known| known.text.clone()));
        }
        views.insert(name.clone(), view);
        let ledger = host.status.as_ref().and_then(|status| status.ledger.as_ref());
        ledgers.extend(ledger.map(|ledger| ledger.highest_change));
    }
    let highest = changes.iter().map(|change| change.spec.number).chain(ledgers).max();
    let ended = changes.iter().copied().filter(|change| change.outcome().is_some());
    let reserved = self::texts(ended).values().map(|text| text.version).max();
    let number = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
    Ok(ObservedCluster {
        hosts: views,
        last_change: ChangeNumber(number(highest)),
        reserved_version: ConfigVersion(number(reserved)),
        left: left(changes, uid),
        witness: None,
        secret: None,
        left_datacenter: left_datacenter(changes, uid),
    })
}

/// The text that the newest ended change of this very cluster left; `changes` in the order of their numbers.
/// What an undone stage went back to has another number than the text before, and says the same.
#[must_use]
pub fn left(changes: &[&PveChange], uid: &str) -> Option<ConfText> {
    newest(changes, uid, |change| match change.outcome()? {
        Outcome::Succeeded | Outcome::Superseded => released(change, 0).map(|last| &last.config),
        Outcome::RolledBack | Outcome::Failed => {
            let back = released(change, 0).and_then(|last| last.back.as_ref());
            back.or_else(|| released(change, 1).map(|before| &before.config))
        }
    })
}

/// The newest text that ended changes show to have been in force. A stage that was not begun writes nothing, not
/// even what it would have gone back to, and a host that starts with such a number has all others outrun.
#[must_use]
pub fn was_in_force(changes: &[&PveChange], uid: &str) -> Option<ConfText> {
    newest(changes, uid, |change| {
        let status = change.status.as_ref()?;
        let is_said = status.hosts.iter().any(|host| {
            host.stage == status.released_stage && host.result == StageResult::Confirmed
        });
        let stays = match status.outcome? {
            Outcome::Succeeded => true,
            Outcome::Superseded => is_said,
            Outcome::RolledBack | Outcome::Failed => false,
        };
        released(change, usize::from(!stays)).map(|stage| &stage.config)
    })
}

fn newest(
    changes: &[&PveChange],
    uid: &str,
    text: impl Fn(&PveChange) -> Option<&ConfigText>,
) -> Option<ConfText> {
    let mut ours = changes.iter().rev().filter(|change| change.spec.cluster_ref.uid == uid);
    let ConfigText { version, digest: _, text } = ours.find_map(|change| text(change))?;
    Some(ConfText::new(ConfigVersion(u64::try_from(*version).ok()?), text.clone()))
}

/// The stage that was released last, or the one so many before it.
fn released(change: &PveChange, before: usize) -> Option<&Stage> {
    let stages = &change.spec.plan.stages;
    let released = change.status.as_ref().map_or(0, |status| status.released_stage);
    let released = usize::try_from(released).unwrap_or(0).min(stages.len());
    stages.get(released.checked_sub(before + 1)?)
}

/// The lines of datacenter.cfg that changes of this very cluster left; `changes` in the order of their numbers.
/// One that did not succeed left nothing: it was undone, or a person was faster.
fn left_datacenter(changes: &[&PveChange], uid: &str) -> Lines {
    let ours = changes.iter().filter(|change| change.spec.cluster_ref.uid == uid);
    let succeeded = ours.filter(|change| change.outcome() == Some(Outcome::Succeeded));
    let stages = succeeded.flat_map(|change| &change.spec.plan.stages);
    let stages = stages.filter(|stage| stage.course == Course::Datacenter);
    let writes = stages.filter_map(|stage| {
        let stage = stage_to_core(stage).ok()?;
        Some(stage.datacenter_write()?.lines.clone())
    });
    writes.flatten().collect()
}

/// Every text that these changes wrote or reserved, by digest.
pub fn texts<'a>(
    changes: impl IntoIterator<Item = &'a PveChange>,
) -> BTreeMap<&'a str, &'a ConfigText> {
    let stages = changes.into_iter().flat_map(|change| &change.spec.plan.stages);
    let texts = stages.flat_map(|stage| [Some(&stage.config), stage.back.as_ref()]).flatten();
    texts.map(|text| (text.digest.as_str(), text)).collect()
}
