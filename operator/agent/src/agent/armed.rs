//! The part of the loop that sees to it that high availability is armed again. The rule itself is in
//! [`crate::rearm`].

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use pvecm_core::ids::{ChangeNumber, NodeId};
use pvecm_crds::PveChange;
use tokio::time::Instant;

use super::Agent;
use crate::observe::number;
use crate::rearm::{Duty, Moment, duty};

/// The CRM takes a command up within 10 s, and its tool needs a few more (pve.md 7).
const ASK_TO_ARM: Duration = Duration::from_secs(30);

impl Agent {
    /// High availability that was disarmed for a change is armed again, also when nobody drives the change
    /// any more.
    pub(super) fn keep_armed(&mut self) -> anyhow::Result<()> {
        let Some(mut note) = self.book.ledger().disarmed.clone() else { return Ok(()) };
        note.overdue |= self.has_ended(note.change);
        let corosync = self.seen.corosync.as_ref();
        let lower = |own: NodeId| self.agents.iter().filter(|agent| **agent < own).count();
        let rank = corosync.and_then(|corosync| corosync.local).map_or(0, lower);
        let paused = self.wanted_host.as_ref().is_some_and(|host| host.spec.paused);
        let moment = Moment {
            now: &self.host.clock.now(),
            grace: self.arm_after,
            rank: u32::try_from(rank).unwrap_or(u32::MAX),
            able: self.seen.quorate() && self.seen.writable && !paused,
        };
        match duty(&note, &self.seen.ha, moment) {
            Duty::Nothing => {}
            Duty::Keep(note) => self.book.change(|ledger| ledger.disarmed = Some(note))?,
            Duty::Forget => self.book.change(|ledger| ledger.disarmed = None)?,
            Duty::Arm => self.ask_to_arm(),
        }
        Ok(())
    }

    /// Whether the operator has written an outcome for this cluster's change of this number. Another
    /// cluster in the namespace counts its own changes.
    pub(super) fn has_ended(&self, change: ChangeNumber) -> bool {
        let status = self.wanted_host.as_ref().and_then(|host| host.status.as_ref());
        let Some(cluster) = status.and_then(|status| status.cluster.as_ref()) else { return false };
        let same = |object: &&Arc<PveChange>| {
            object.spec.number == number(change.0) && object.spec.cluster_ref.uid == cluster.uid
        };
        self.changes.values().find(same).is_some_and(|object| object.outcome().is_some())
    }

    /// Asks now and then, beside the loop: the tool takes seconds.
    fn ask_to_arm(&mut self) {
        if self.asked_to_arm.is_some_and(|asked| asked.elapsed() < ASK_TO_ARM) {
            return;
        }
        self.asked_to_arm = Some(Instant::now());
        let host = self.host.clone();
        let workers = host.workers.clone();
        let asking = async move {
            match host.ha.arm().await {
                Ok(()) => tracing::info!("high availability is armed again after a change"),
                Err(error) => tracing::warn!(error, "high availability cannot be armed again"),
            }
        };
        workers.spawn(asking.boxed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::{Identity, Observation};
    use crate::ports::{BootTime, Clock};
    use crate::seal::SealingKey;
    use pvecm_core::change::StageResult;

    const DISARMED: &str = r#"{"disarm":{"mode":"freeze","state":"disarmed"}}"#;

    /// The only member of a cluster that was disarmed for change 3 by the stage that just ended so.
    fn disarmed(result: StageResult) -> (FakeHost, Agent) {
        let fake = FakeHost::member("totem {\n  config_version: 1\n}\n");
        fake.world().ha.manager_status = Some(DISARMED.to_owned());
        fake.world().ha.lrm_status =
            Some(r#"{"state":"wait_for_agent_lock","mode":"disarm"}"#.to_owned());
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let change = ChangeNumber(3);
        book.change(|ledger| {
            ledger.disarm_for(change, fake.now());
            ledger.note_end(result, fake.now());
        })
        .unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
        (fake, agent.arming_after(Duration::from_secs(60)))
    }

    fn pass(agent: &mut Agent) {
        agent.seen = Observation::take(&agent.host);
        agent.step().unwrap();
    }

    /// Waits for the thread that asks.
    fn asked(fake: &FakeHost) -> bool {
        fake.comes(|world| world.ha_commands == ["arm-ha"])
    }

    #[test]
    fn high_availability_is_armed_by_the_host_alone_when_no_stage_comes_any_more() {
        let (fake, mut agent) = disarmed(StageResult::Confirmed);
        pass(&mut agent);
        fake.world().millis = 59_000;
        pass(&mut agent);
        assert_eq!(agent.asked_to_arm, None);
        fake.world().millis = 61_000;
        pass(&mut agent);
        assert!(asked(&fake));
        pass(&mut agent);
        assert_eq!(agent.book.ledger().disarmed, None);
    }

    #[test]
    fn after_a_failed_stage_it_is_armed_at_once_and_asked_for_once() {
        let (fake, mut agent) = disarmed(StageResult::RolledBack);
        fake.world().crm_is_away = true;
        for _ in 0..4 {
            pass(&mut agent);
        }
        assert!(asked(&fake));
        for _ in 0..4 {
            pass(&mut agent);
        }
        assert_eq!(fake.world().ha_commands.len(), 1);
        assert!(agent.book.ledger().disarmed.is_some(), "not armed yet");
    }

    /// The change 3 of a cluster, ended or not.
    fn known(agent: &mut Agent, uid: &str, outcome: Option<&str>) {
        let object = serde_json::from_value(serde_json::json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost", "metadata": {"name": "n1"},
            "spec": {}, "status": {"cluster": {"name": "prod", "uid": "own"}},
        }));
        agent.wanted_host = Some(Box::new(object.unwrap()));
        let change = serde_json::from_value(serde_json::json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange", "metadata": {"name": uid},
            "spec": {"clusterRef": {"name": "prod", "uid": uid}, "number": 3,
                "plan": {"generation": 1, "summary": "", "risk": "NodeRestart", "stages": []}},
            "status": {"releasedStage": 0, "outcome": outcome},
        }));
        agent.changes.insert(uid.to_owned(), Arc::new(change.unwrap()));
    }

    #[test]
    fn a_change_that_the_operator_ended_leaves_it_disarmed_no_longer_and_another_clusters_does_not()
    {
        let (fake, mut agent) = disarmed(StageResult::Confirmed);
        known(&mut agent, "other", Some("Succeeded"));
        known(&mut agent, "own", None);
        for _ in 0..3 {
            pass(&mut agent);
        }
        assert_eq!(agent.asked_to_arm, None);
        known(&mut agent, "own", Some("Superseded"));
        pass(&mut agent);
        assert!(asked(&fake));
    }

    #[test]
    fn without_quorum_it_stays_disarmed_until_there_is_quorum_again() {
        let (fake, mut agent) = disarmed(StageResult::Failed);
        fake.world().corosync_runs = false;
        for _ in 0..3 {
            pass(&mut agent);
        }
        assert_eq!(agent.asked_to_arm, None);
        fake.world().corosync_runs = true;
        pass(&mut agent);
        assert!(asked(&fake));
    }

    #[test]
    fn the_note_outlives_the_agent() {
        let store = Arc::new(MemoryStore::default());
        let mut book = Book::open(store.clone()).unwrap();
        let now = BootTime { boot_id: "boot".to_owned(), millis: 5 };
        book.change(|ledger| ledger.disarm_for(ChangeNumber(3), now)).unwrap();
        let again = Book::open(store).unwrap();
        assert_eq!(again.ledger().disarmed, book.ledger().disarmed);
        assert!(again.ledger().disarmed.is_some());
    }
}
