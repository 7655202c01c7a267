//! The part of the loop that gives the cluster this node's keys once it is a member. Nothing of corosync waits for
//! it, so a member stays one where it fails; it is tried again, and a condition tells of it meanwhile.

use std::time::Duration;

use futures::FutureExt;
use pvecm_crds::condition::{kind, reason};
use tokio::time::Instant;

use super::Agent;
use crate::observe::Fact;
use crate::ports::Arrival;

/// Proxmox VE's tool gives up after 80 s.
const ASK_TO_SHARE: Duration = Duration::from_secs(120);

impl Agent {
    /// Looked at, not believed: what is noted goes when the keys are seen in their places.
    pub(super) fn share_keys(&mut self) -> anyhow::Result<()> {
        let Some(arrival) = self.book.ledger().unshared else { return Ok(()) };
        // Without quorum nothing is written, and a host on its own has nobody to tell.
        let member = self.seen.pmxcfs_conf.is_some() && self.seen.writable && self.seen.quorate();
        if !member || self.wanted_host.as_ref().is_some_and(|host| host.spec.paused) {
            return Ok(());
        }
        match self.asked_to_share {
            Some(_) if self.host.trust.is_shared() => {
                self.asked_to_share = None;
                self.book.change(|ledger| ledger.unshared = None)?;
            }
            Some(asked) if asked.elapsed() < ASK_TO_SHARE => {}
            Some(_) | None => self.ask_to_share(arrival),
        }
        Ok(())
    }

    /// Beside the loop: certificates take seconds.
    fn ask_to_share(&mut self, arrival: Arrival) {
        self.asked_to_share = Some(Instant::now());
        let host = self.host.clone();
        let workers = host.workers.clone();
        let sharing = async move {
            match host.trust.share(arrival).await {
                Ok(()) => tracing::info!("the cluster has the keys of this node"),
                Err(error) => {
                    tracing::warn!(error, "the cluster does not get the keys of this node");
                }
            }
        };
        workers.spawn(sharing.boxed());
    }

    /// What migrations and shells run into meanwhile.
    pub(super) fn unshared(&self) -> Option<Fact> {
        self.book.ledger().unshared.map(|_| {
            let sentence = "the other nodes do not take the keys of this node yet: migrations and shells between \
                them fail until they do; the log of pvecm-agent on this host says why, and \
                `pvecm updatecerts` there is the way by hand";
            (kind::KEYS_SHARED, false, reason::KEYS_NOT_SHARED, sentence.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::{Identity, Observation};
    use crate::seal::SealingKey;

    const TEXT: &str = "totem {\n  config_version: 1\n}\n";

    fn joined(fake: &FakeHost) -> Agent {
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        book.change(|ledger| ledger.unshared = Some(Arrival::Joined)).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        Agent::new(fake.host(), "n1".parse().unwrap(), (Identity::default(), key), book)
    }

    /// Looks once; what is noted then.
    fn look(agent: &mut Agent) -> Option<Arrival> {
        agent.seen = Observation::take(&agent.host);
        agent.share_keys().unwrap();
        agent.book.ledger().unshared
    }

    #[test]
    fn a_new_member_hands_its_keys_over_and_goes_on_until_they_are_seen() {
        let fake = FakeHost::member(TEXT);
        fake.world().keeps_keys_back = true;
        let mut agent = joined(&fake);
        assert_eq!(look(&mut agent), Some(Arrival::Joined));
        assert!(fake.comes(|world| world.shared == [Arrival::Joined]));
        assert_eq!(look(&mut agent), Some(Arrival::Joined), "not seen in their places");
        assert!(agent.unshared().is_some_and(|(_, holds, ..)| !holds));
        fake.world().keeps_keys_back = false;
        assert_eq!(look(&mut agent), None);
        assert_eq!(agent.unshared(), None);
    }

    #[test]
    fn without_quorum_and_outside_of_a_cluster_nothing_is_handed_over() {
        let fake = FakeHost::member(TEXT);
        fake.world().corosync_runs = false;
        for fake in [fake, FakeHost::fresh()] {
            let mut agent = joined(&fake);
            assert_eq!(look(&mut agent), Some(Arrival::Joined));
            assert_eq!(agent.asked_to_share, None);
        }
    }
}
