//! A host without quorum has to put the old text on its own disk by itself, in its time.

use pvecm_agent::ledger::Ledger;
use pvecm_agent::ports::DiskFile;
use pvecm_core::protocol::Phase;

use crate::world::World;

/// So long after the deadline a host is alone before it acts, and so much more it gets here.
const ALONE_MS: u64 = 10_000 + 10_000;

impl World {
    /// Looks at the hosts that have been without quorum for long.
    pub fn watch_alone(&mut self) {
        let now = self.now();
        for at in 0..self.hosts.len() {
            let host = &mut self.hosts[at];
            let alone = host.daemon.is_some() && !host.quorate();
            let life = host.agent.as_ref().map(|agent| agent.life);
            match (alone, host.alone) {
                (true, Some((known, since))) if Some(known) == life => {
                    if now > since + ALONE_MS {
                        self.check_alone(at, since);
                    }
                }
                (true, _) => host.alone = life.map(|life| (life, now)),
                (false, _) => host.alone = None,
            }
        }
    }

    fn check_alone(&mut self, at: usize, since: u64) {
        let host = &self.hosts[at];
        let ledger = host.ledger.as_ref().and_then(|l| serde_json::from_slice::<Ledger>(l).ok());
        let Some(pending) = ledger.and_then(|ledger| ledger.pending) else { return };
        let (Some(record), Some(back)) = (&pending.record, &pending.stage.back) else { return };
        let waits = match record.phase {
            Phase::Going | Phase::Holds | Phase::RollingBack { .. } => true,
            Phase::Prepared { .. }
            | Phase::GaveUp { .. }
            | Phase::Sealed
            | Phase::Unwritten { .. }
            | Phase::Confirmed
            | Phase::RolledBack { .. }
            | Phase::Failed { .. } => false,
        };
        let same_boot = pending.recorded_at.boot_id == host.boot.to_string();
        let left = record.remaining_ms.filter(|_| same_boot).unwrap_or(0);
        let deadline = if same_boot { pending.recorded_at.millis + left } else { since };
        let member = pending.stage.group.values().any(|name| name.as_str() == host.name);
        let late = self.now() > deadline.max(since) + ALONE_MS;
        // What a person wrote over it since then is a person's.
        let is_back = host.disk.get(&DiskFile::Conf).is_some_and(|d| d == back.text.as_bytes());
        let restored = is_back || record.restored;
        if waits && member && late && !restored {
            self.broken(format!("n{} is alone for long and has not gone back", at + 1));
        }
    }
}
