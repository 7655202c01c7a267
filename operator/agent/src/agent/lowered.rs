//! The part of the loop that puts expected votes back which were lowered for a change that went no further.
//!
//! The stage that lowered them is confirmed as soon as there is quorum, and only the next one takes the dead off the
//! list. As long as they are on it, two of them that are switched on together are quorate as well. A reload makes
//! corosync count by the list again (facts/corosync.md 9.2), and so does the stage that follows.

use std::time::Duration;

use pvecm_core::ids::ChangeNumber;
use tokio::time::Instant;

use super::Agent;
use crate::observe::Observation;

/// So long the next stage is waited for: the operator needs a second or two.
const GRACE_MS: u64 = 60_000;
/// How often a reload is asked for that does not show.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Agent {
    /// Votes that are expected no more for a change are expected again, also when nobody drives it any more.
    pub(super) fn keep_expected(&mut self) -> anyhow::Result<()> {
        let Some(note) = self.book.ledger().lowered.clone() else { return Ok(()) };
        match is_lowered(&self.seen) {
            None => return Ok(()),
            Some(false) => return Ok(self.book.change(|ledger| ledger.lowered = None)?),
            Some(true) => {}
        }
        let now = self.host.clock.now();
        let is_late =
            now.boot_id != note.since.boot_id || now.millis >= note.since.millis + GRACE_MS;
        let is_due = note.overdue || is_late || self.has_ended(note.change);
        let paused = self.wanted_host.as_ref().is_some_and(|host| host.spec.paused);
        if is_due && !paused {
            self.expect_again(note.change);
        }
        Ok(())
    }

    fn expect_again(&mut self, change: ChangeNumber) {
        if self.asked_to_expect.is_some_and(|asked| asked.elapsed() < ASK_AGAIN) {
            return;
        }
        self.asked_to_expect = Some(Instant::now());
        let asked = self.host.corosync.reload();
        tracing::warn!(change = change.0, ?asked, "the expected votes are put back by a reload");
    }
}

/// Whether corosync expects fewer votes than its list has. `None`: it does not say.
fn is_lowered(seen: &Observation) -> Option<bool> {
    let corosync = seen.corosync.as_ref()?;
    let ids = corosync.values.keys().filter_map(|key| key.strip_suffix(".nodeid"));
    let nodes = ids.filter(|node| node.starts_with("nodelist.node."));
    let votes = nodes.map(|node| match corosync.values.get(&format!("{node}.quorum_votes")) {
        Some(votes) => votes.parse().unwrap_or(0),
        None => 1,
    });
    let listed: u32 = votes.sum();
    Some(corosync.votes?.expected < listed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pvecm_core::change::StageResult;

    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::{Book, Lowered};
    use crate::observe::Identity;
    use crate::ports::{BootTime, Clock as _, Votes};
    use crate::seal::SealingKey;

    const LIST: &str = "totem {\n  config_version: 7\n}\n";

    /// The survivor of three, that has quorum since the stage which lowered the expected votes ended so.
    fn lowered(result: StageResult) -> (FakeHost, Agent) {
        let fake = FakeHost::member(LIST);
        fake.world().votes = Some(Votes { expected: 1, total: 1, needed: 1 });
        fake.world().listed_votes = 3;
        fake.world().cmap =
            (0..3).map(|n| (format!("nodelist.node.{n}.nodeid"), n.to_string())).collect();
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        book.change(|ledger| {
            let since = fake.now();
            ledger.lowered = Some(Lowered { change: ChangeNumber(3), since, overdue: false });
            ledger.note_end(result, fake.now());
        })
        .unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        (fake.clone(), Agent::new(fake.host(), "n1".parse().unwrap(), own, book))
    }

    fn pass(agent: &mut Agent) {
        agent.seen = Observation::take(&agent.host);
        agent.step().unwrap();
    }

    /// The dead are on the list: two of them that are switched on together would be quorate as well.
    #[test]
    fn after_a_stage_that_was_not_begun_or_undone_the_votes_are_expected_again_at_once() {
        for result in [StageResult::Refused, StageResult::RolledBack, StageResult::Failed] {
            let (fake, mut agent) = lowered(result);
            pass(&mut agent);
            assert_eq!(fake.world().reloads, 1);
            assert_eq!(fake.world().votes.unwrap().expected, 3);
            pass(&mut agent);
            assert_eq!(agent.book.ledger().lowered, None);
        }
    }

    #[test]
    fn the_next_stage_is_waited_for_a_minute_and_not_over_a_reboot() {
        let (fake, mut agent) = lowered(StageResult::Confirmed);
        fake.world().millis = 59_000;
        pass(&mut agent);
        assert_eq!(fake.world().reloads, 0);
        fake.world().millis = 60_000;
        pass(&mut agent);
        assert_eq!(fake.world().reloads, 1);
        let (fake, mut agent) = lowered(StageResult::Confirmed);
        let since = BootTime { boot_id: "before".to_owned(), millis: 0 };
        let note = Lowered { change: ChangeNumber(3), since, overdue: false };
        agent.book.change(|ledger| ledger.lowered = Some(note)).unwrap();
        pass(&mut agent);
        assert_eq!(fake.world().reloads, 1);
    }

    #[test]
    fn with_the_dead_off_the_list_nothing_is_put_back() {
        let (fake, mut agent) = lowered(StageResult::Confirmed);
        fake.world().cmap.retain(|key, _| key.contains("node.0"));
        pass(&mut agent);
        assert_eq!((fake.world().reloads, agent.book.ledger().lowered.clone()), (0, None));
    }

    /// What a person typed is that person's.
    #[test]
    fn votes_that_somebody_else_lowered_stay_as_they_are() {
        let (fake, mut agent) = lowered(StageResult::Failed);
        agent.book.change(|ledger| ledger.lowered = None).unwrap();
        pass(&mut agent);
        assert_eq!(fake.world().reloads, 0);
    }
}
