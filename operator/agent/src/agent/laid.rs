//! The part of the loop that removes keys that are nobody's any more: what was laid beside the authkey in force,
//! and what a host was given that did not become a member.

use super::Agent;
use crate::ports::DiskFile;
use crate::stage::keys;

impl Agent {
    /// A change that has ended exchanges nothing any more, whether it has before or not.
    pub(super) fn forget_keys(&mut self) -> anyhow::Result<()> {
        let Some(change) = self.book.ledger().laid else { return Ok(()) };
        if !self.changes_known || self.is_open(change) {
            return Ok(());
        }
        match keys::forget(&self.host) {
            Ok(()) => self.book.change(|ledger| ledger.laid = None)?,
            Err(error) => tracing::warn!(error, "a key that nobody needs any more stays"),
        }
        Ok(())
    }

    /// A join that ended before anything was listed leaves the key of a cluster with a host that is none of
    /// its members. One that has a corosync.conf is one, or its files are somebody else's to judge.
    pub(super) fn forget_received(&mut self) -> anyhow::Result<()> {
        let Some(change) = self.book.ledger().received else { return Ok(()) };
        if !self.changes_known || self.is_open(change) {
            return Ok(());
        }
        let disk = &self.host.disk;
        let removed = match disk.read(DiskFile::Conf) {
            Ok(None) if self.host.corosync.view().is_none() => disk.remove(DiskFile::Authkey),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => self.book.change(|ledger| ledger.received = None)?,
            Err(error) => tracing::warn!(%error, "the key of a cluster that was not joined stays"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pvecm_core::ids::ChangeNumber;
    use pvecm_crds::PveChange;
    use serde_json::json;

    use super::*;
    use crate::agent::Wanted;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::{Book, Ledger};
    use crate::observe::Identity;
    use crate::seal::SealingKey;

    fn change(outcome: Option<&str>) -> Wanted {
        let change: PveChange = serde_json::from_value(json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange", "metadata": {"name": "prod-7"},
            "spec": {"clusterRef": {"name": "prod", "uid": "1"}, "number": 7,
                "plan": {"generation": 1, "summary": "", "risk": "NodeRestart", "stages": []}},
            "status": {"releasedStage": 1, "outcome": outcome},
        }))
        .unwrap();
        Wanted::Changes(BTreeMap::from([("prod-7".to_owned(), Arc::new(change))]))
    }

    /// The agent of a host whose ledger has this in it.
    fn agent(fake: &FakeHost, note: impl FnOnce(&mut Ledger)) -> Agent {
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        book.change(note).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        Agent::new(fake.host(), "n1".parse().unwrap(), (Identity::default(), key), book)
    }

    #[test]
    fn a_key_that_was_laid_goes_when_its_change_has_ended_and_not_before() {
        let fake = FakeHost::member("totem {\n  config_version: 1\n}\n");
        fake.world().disk.insert(DiskFile::NewAuthkey, b"new".to_vec());
        let mut agent = agent(&fake, |ledger| ledger.laid = Some(ChangeNumber(7)));
        let mut is_left = |wanted: Option<Wanted>| {
            if let Some(wanted) = wanted {
                agent.wanted(wanted);
            }
            agent.forget_keys().unwrap();
            (fake.world().disk.contains_key(&DiskFile::NewAuthkey), agent.book.ledger().laid)
        };
        let kept = (true, Some(ChangeNumber(7)));
        assert_eq!(is_left(None), kept, "nobody has said yet what became of the change");
        assert_eq!(is_left(Some(change(None))), kept);
        assert_eq!(is_left(Some(change(Some("RolledBack")))), (false, None));
    }

    #[test]
    fn the_key_of_a_cluster_goes_where_its_change_ended_without_a_member_here() {
        let left = |fake: &FakeHost, outcome: Option<&str>| {
            fake.world().disk.insert(DiskFile::Authkey, b"key".to_vec());
            let mut agent = agent(fake, |ledger| ledger.received = Some(ChangeNumber(7)));
            agent.forget_received().unwrap();
            assert!(fake.world().disk.contains_key(&DiskFile::Authkey), "nobody has said yet");
            agent.wanted(change(outcome));
            agent.forget_received().unwrap();
            let has_key = fake.world().disk.contains_key(&DiskFile::Authkey);
            (has_key, agent.book.ledger().received)
        };
        let fresh = FakeHost::fresh();
        assert_eq!(left(&fresh, None), (true, Some(ChangeNumber(7))), "it may still be listed");
        for outcome in ["Failed", "RolledBack", "Superseded"] {
            assert_eq!(left(&fresh, Some(outcome)), (false, None));
        }
        let member = FakeHost::member("totem {\n  config_version: 1\n}\n");
        assert_eq!(left(&member, Some("Succeeded")), (true, None));
    }
}
