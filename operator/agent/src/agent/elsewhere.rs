//! The part of the loop that passes on to a stage under way what the operator wrote of the other hosts in it. What
//! that is good for is decided in `pvecm_core::protocol`.

use pvecm_core::change::StageResult;
use pvecm_core::protocol::Event;
use pvecm_crds::PveChange;
use pvecm_crds::change::HostProgress;

use super::Agent;
use crate::ledger::Pending;
use crate::observe::number;

impl Agent {
    /// Tells the run that a member has undone its stage.
    pub(super) fn pass_on(&mut self) -> anyhow::Result<()> {
        let Some(pending) = self.book.ledger().pending.as_ref() else { return Ok(()) };
        let attempt = pending.attempt;
        match self.undone_elsewhere(pending) {
            Some(why) => self.event(attempt, Event::Told(why)),
            None => Ok(()),
        }
    }

    /// Why a member has undone a stage, in its own words. Only of this very plan: after the API server was restored
    /// from a backup, or the cluster made anew, another one may have its number.
    fn undone_elsewhere(&self, pending: &Pending) -> Option<String> {
        let of_number = self
            .changes
            .values()
            .filter(|change| change.spec.number == number(pending.attempt.change.0));
        of_number
            .filter_map(|change| Some((change, undone(change, pending)?)))
            .find(|(change, _)| self.book.ledger().digest == Some(change.spec.plan.digest()))
            .map(|(_, member)| member.message.clone())
    }
}

/// The first host of a stage's group that has undone it, as a change tells.
fn undone<'a>(change: &'a PveChange, pending: &Pending) -> Option<&'a HostProgress> {
    let Pending { attempt, stage, .. } = pending;
    change.status.as_ref()?.hosts.iter().find(|host| {
        let is_member = stage.group.values().any(|member| member.as_str() == host.host);
        let is_this = u32::try_from(host.stage) == Ok(attempt.stage);
        is_member && is_this && StageResult::from(host.result).is_against()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pvecm_core::ids::{ChangeNumber, Digest};
    use pvecm_core::protocol::{Attempt, Phase, Record};
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::{Wanted, tests};
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::Identity;
    use crate::ports::Votes;
    use crate::seal::SealingKey;

    const TEXT: &str = "totem {\n  config_version: 8\n}\n";
    const UNDONE: &str = "n3 left the membership";

    /// Change 7 as the API server has it, with what its stage 3 came to on the members.
    fn change(results: &Value) -> PveChange {
        serde_json::from_value(json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange", "metadata": {"name": "prod-7"},
            "spec": {"clusterRef": {"name": "prod", "uid": "1"}, "number": 7,
                "plan": {"generation": 1, "summary": "", "risk": "Live", "stages": []}},
            "status": {"releasedStage": 3, "hosts": results},
        }))
        .unwrap()
    }

    fn of_n2(stage: i32, result: &str) -> Value {
        json!([{"host": "n2", "stage": stage, "result": result, "message": UNDONE}])
    }

    /// What the ledger of n3 has: it held in the stage that starts it, and time is long over.
    fn pending(fake: &FakeHost) -> Pending {
        let stage = json!({
            "summary": "", "risk": "Live", "course": "Start", "group": {"1": "n1", "2": "n2"},
            "joining": {"3": "n3"}, "back": null, "actions": {}, "probes": [],
            "config": {"version": 8, "digest": Digest::of(TEXT.as_bytes()), "text": TEXT},
            "confirmTimeoutSecs": 30,
        });
        let (phase, remaining_ms) = (Phase::Holds, Some(0));
        let record = Record { phase, remaining_ms, writer: None, restored: false, stopped: false };
        let attempt = Attempt { change: ChangeNumber(7), stage: 3, attempt: 1 };
        tests::pending(fake, (attempt, serde_json::from_value(stage).unwrap()), record)
    }

    /// What n3 is at when it has lost the others and the API server tells this.
    fn goes_on(told: PveChange) -> Phase {
        let fake = FakeHost::member(TEXT);
        let (expected, total, needed) = (3, 1, 2);
        fake.world().votes = Some(Votes { expected, total, needed });
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let digest = change(&json!([])).spec.plan.digest();
        book.change(|ledger| {
            ledger.highest = ChangeNumber(7);
            ledger.digest = Some(digest);
            ledger.pending = Some(pending(&fake));
        })
        .unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "n3".parse().unwrap(), own, book);
        agent.look().unwrap();
        agent.recover().unwrap();
        fake.world().millis += 11_000;
        agent.timer().unwrap();
        agent.wanted(Wanted::Changes(BTreeMap::from([("prod-7".to_owned(), Arc::new(told))])));
        agent.step().unwrap();
        let pending = agent.book.ledger().pending.clone();
        pending.and_then(|pending| pending.record).unwrap().phase
    }

    #[test]
    fn a_joiner_that_the_members_no_longer_list_learns_from_the_change_that_they_undid_it() {
        for result in ["RolledBack", "Refused", "Failed"] {
            let sentence = UNDONE.to_owned();
            assert_eq!(goes_on(change(&of_n2(3, result))), Phase::RollingBack { sentence });
        }
    }

    /// It would leave a cluster that has kept it.
    #[test]
    fn a_joiner_stays_where_the_change_tells_of_another_stage_of_nobody_or_of_another_plan() {
        let mut own = of_n2(3, "RolledBack");
        own[0]["host"] = json!("n3");
        for told in [of_n2(2, "RolledBack"), of_n2(3, "Acting"), of_n2(3, "Confirmed"), own] {
            assert_eq!(goes_on(change(&told)), Phase::Holds, "{told}");
        }
        let mut rewritten = change(&of_n2(3, "RolledBack"));
        rewritten.spec.plan.generation = 2;
        assert_eq!(goes_on(rewritten), Phase::Holds);
        let mut older = change(&of_n2(3, "RolledBack"));
        older.spec.number = 6;
        assert_eq!(goes_on(older), Phase::Holds);
    }
}
