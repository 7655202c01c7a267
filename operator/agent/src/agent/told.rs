//! What the agent says of its host and of the stage that it works on: the status of its `PveHost`.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pvecm_core::change::{Course, StageResult};
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_crds::PveChange;
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::host::{
    AppliedStage, HostAuthkey, Ledger as LedgerStatus, PveHostStatus, SealedSecret,
};
use tokio::sync::watch;

use super::Agent;
use crate::observe::{Fact, drift_status, facts, number, status};
use crate::stage::run::progress;

impl Agent {
    /// Hands out the status when it differs from the one before.
    pub(super) fn publish(
        &mut self,
        out: &watch::Sender<Option<PveHostStatus>>,
        expiry: Option<jiff::Timestamp>,
    ) {
        // Before the own object is known the transition times of its conditions are not either.
        let Some(host) = &self.wanted_host else { return };
        let claim = host.status.as_ref().and_then(|status| status.cluster.as_ref());
        let known = claim.and_then(|cluster| cluster.config_digest.as_deref());
        let generation = host.metadata.generation;
        let now = Time(jiff::Timestamp::now());
        let mut status = status(&self.seen, &self.identity, known);
        let mut all = facts(&self.seen, self.drift.shown());
        status.drift = drift_status(self.drift.shown());
        let applied = self.applied();
        all.push(applied_fact(applied.as_ref(), self.refusal.as_deref()));
        status.observed_generation = generation;
        status.conditions = self.conditions.update(all, generation, &now);
        status.applied = applied;
        status.authkey = self.seen.authkey.map(|fingerprint| HostAuthkey {
            fingerprint: fingerprint.to_string(),
            generation: i32::try_from(self.book.ledger().key_generation).unwrap_or(i32::MAX),
        });
        status.ledger = Some(LedgerStatus { highest_change: number(self.book.ledger().highest.0) });
        status.sealed = self.sealed();
        status.token_expiry = expiry.map(Time);
        out.send_if_modified(|current| {
            let differs = current.as_ref() != Some(&status);
            *current = Some(status);
            differs
        });
    }

    fn applied(&self) -> Option<AppliedStage> {
        let ledger = self.book.ledger();
        let stage_number = |stage: u32| i32::try_from(stage).unwrap_or(i32::MAX);
        let entry =
            |change: u64, digest: Digest, stage: u32, (result, message): (StageResult, String)| {
                AppliedStage {
                    change: number(change),
                    change_digest: digest.to_string(),
                    stage: stage_number(stage),
                    result: result.into(),
                    message: message.chars().take(1024).collect(),
                }
            };
        if let Some(pending) = &ledger.pending {
            let at = pending.attempt;
            let so_far = if pending.stage.course == Course::Local {
                (StageResult::Acting, String::new())
            } else {
                progress(pending.record.as_ref())
            };
            return Some(entry(at.change.0, ledger.digest?, at.stage, so_far));
        }
        let last = ledger.last.clone()?;
        Some(entry(last.change.0, last.digest, last.stage, (last.result, last.message)))
    }

    /// Whether a change has not ended, as far as this host has heard of it.
    pub(super) fn is_open(&self, change: ChangeNumber) -> bool {
        let open = |c: &Arc<PveChange>| {
            c.spec.number == number(change.0)
                && c.status.as_ref().is_none_or(|status| status.outcome.is_none())
        };
        self.changes.values().any(open)
    }

    /// What was sealed in the newest change, until that change has ended.
    fn sealed(&self) -> Vec<SealedSecret> {
        let ledger = self.book.ledger();
        let change = number(ledger.highest.0);
        if !self.is_open(ledger.highest) {
            return Vec::new();
        }
        let secret = |(to, data): (&HostName, &String)| SealedSecret {
            change,
            to: to.to_string(),
            data: data.clone(),
        };
        ledger.sealed.iter().map(secret).collect()
    }
}

fn applied_fact(applied: Option<&AppliedStage>, refusal: Option<&str>) -> Fact {
    if let Some(refusal) = refusal {
        return (kind::APPLIED, false, "ChangeRefused", refusal.to_owned());
    }
    let Some(applied) = applied else {
        return (kind::APPLIED, true, reason::AS_WANTED, String::new());
    };
    let message = applied.message.clone();
    match StageResult::from(applied.result) {
        StageResult::Confirmed => (kind::APPLIED, true, reason::AS_WANTED, message),
        StageResult::Prepared | StageResult::Acting => {
            (kind::APPLIED, false, reason::CHANGE_IN_PROGRESS, message)
        }
        StageResult::RolledBack => (kind::APPLIED, false, reason::ROLLED_BACK, message),
        StageResult::Refused => (kind::APPLIED, false, "Refused", message),
        StageResult::Failed => (kind::APPLIED, false, reason::FAILED, message),
    }
}
