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
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Agent, HELD};
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
        let now = Time(self.host.clock.time());
        let mut status = status(&self.seen, &self.identity, known);
        let mut all = if self.is_witness() {
            self.witness_facts()
        } else {
            facts(&self.seen, self.drift.shown(), &self.link_faults())
        };
        status.link_faults = self.link_faults();
        status.measured = self.measured();
        status.device = self.device_status();
        status.witness = self.witness_status();
        status.drift = drift_status(self.drift.shown());
        all.extend(self.unshared());
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
        let buried = self.book.ledger().tombstones.iter();
        status.tombstones = buried.take(256).map(Into::into).collect();
        status.sealed = self.sealed();
        status.token_expiry = expiry.map(Time);
        let moved = out.send_if_modified(|current| {
            let differs = current.as_ref() != Some(&status);
            *current = Some(status);
            differs
        });
        if moved {
            self.unheld = Some(Instant::now());
        }
        self.tell_again(out);
    }

    /// An API server that was restored from a backup, or whose object was deleted and made anew, has
    /// forgotten what was told, and nothing that happens on this host may ever change it.
    fn tell_again(&mut self, out: &watch::Sender<Option<PveHostStatus>>) {
        if self.unheld.is_none_or(|since| since.elapsed() < HELD) {
            return;
        }
        let held = self.wanted_host.as_ref().and_then(|host| host.status.as_ref());
        let same = own_part(out.borrow().as_ref()) == own_part(held);
        self.unheld = (!same).then(Instant::now);
        if !same {
            out.send_modify(|_| ());
        }
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

/// What the agent says, without what the operator adds, in whatever order the server keeps lists.
fn own_part(status: Option<&PveHostStatus>) -> Option<Value> {
    let mut own = status.cloned()?;
    own.cluster = None;
    own.clusters = Vec::new();
    own.conditions.retain(|condition| condition.type_ != kind::CONNECTED);
    let mut value = serde_json::to_value(own).ok()?;
    sort(&mut value);
    Some(value)
}

fn sort(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(sort),
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_cached_key(Value::to_string);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::Identity;
    use crate::seal::SealingKey;
    use pvecm_crds::PveHost;

    fn agent() -> Agent {
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        Agent::new(FakeHost::fresh().host(), "n1".parse().unwrap(), own, book)
    }

    /// What the watch shows while the server holds this status.
    fn holds(agent: &mut Agent, status: Option<PveHostStatus>) {
        let mut host = PveHost::new("n1", pvecm_crds::PveHostSpec::default());
        host.status = status;
        agent.wanted(crate::api::Wanted::Host(Box::new(host)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_api_server_has_lost_is_told_again_and_what_it_holds_is_not() {
        let mut agent = agent();
        let (out, mut told) = watch::channel(None);
        holds(&mut agent, None);
        agent.publish(&out, None);
        let status = told.borrow_and_update().clone().unwrap();
        // The operator's parts, and an order of its own, are no difference.
        let mut shown = status.clone();
        shown.conditions.reverse();
        shown.clusters.push(pvecm_crds::host::ServedCluster::default());
        shown.conditions.push(k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
            type_: kind::CONNECTED.to_owned(),
            ..shown.conditions[0].clone()
        });
        holds(&mut agent, Some(shown));
        tokio::time::advance(HELD).await;
        agent.publish(&out, None);
        assert!(!told.has_changed().unwrap());

        let older = PveHostStatus { hostname: Some("before".to_owned()), ..status };
        for lost in [None, Some(older)] {
            holds(&mut agent, lost);
            agent.publish(&out, None);
            assert!(!told.has_changed().unwrap(), "the watch may be late");
            tokio::time::advance(HELD).await;
            agent.publish(&out, None);
            assert!(told.has_changed().unwrap());
            told.mark_unchanged();
        }
    }
}
