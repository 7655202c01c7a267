//! The part of the loop that finds out why corosync does not run.

use pvecm_core::gate::Idle;

use super::Agent;
use crate::observe::Observation;

/// Whether it was asked since corosync went.
#[derive(Debug, Default)]
pub(super) struct IdleWatch {
    is_known: bool,
}

impl Agent {
    /// Asked once, when corosync is gone and no stage has stopped it: it takes a look into the journal.
    pub(super) fn why_idle(&mut self, before: Observation) -> Option<Idle> {
        let is_due = self.seen.corosync.is_none() && self.seen.disk_conf.is_some();
        let is_new = !self.idle.is_known || before.disk_conf != self.seen.disk_conf;
        let in_stage = self.busy() || self.book.ledger().pending.is_some();
        self.idle.is_known = is_due && !in_stage;
        match (self.idle.is_known, is_new) {
            (false, _) => None,
            (true, false) => before.idle,
            (true, true) => self.host.services.why_idle(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pvecm_crds::condition::{kind, reason};

    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::{Identity, facts};
    use crate::seal::SealingKey;

    #[test]
    fn why_corosync_does_not_run_is_asked_once_each_time_that_it_went_and_told_in_the_conditions() {
        let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let fake = FakeHost::member("totem {\n  config_version: 6\n}\n");
        let own = (Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
        let outrun = Idle::Outrun { theirs: 8, mine: 6 };
        fake.world().idle = Some(outrun.clone());
        let mut look = |runs: bool| {
            fake.world().corosync_runs = runs;
            agent.look().unwrap();
            (agent.seen.idle.clone(), fake.world().asked_why_idle)
        };
        assert_eq!(look(true), (None, 0));
        assert_eq!(look(false), (Some(outrun.clone()), 1));
        assert_eq!(look(false), (Some(outrun.clone()), 1), "no process at rest");
        assert_eq!(look(true), (None, 1));
        assert_eq!(look(false), (Some(outrun), 2));
        let said = facts(&agent.seen, &[], &[]);
        let of = |wanted: &str| said.iter().find(|(kind, ..)| *kind == wanted).unwrap();
        for kind in [kind::READY, kind::QUORATE] {
            let (_, holds, reason, message) = of(kind);
            assert!(!holds && *reason == reason::OUTRUN, "{reason}");
            assert!(message.contains("version 6"), "{message}");
        }
        assert!(of(kind::LINKS_HEALTHY).1);
    }
}
