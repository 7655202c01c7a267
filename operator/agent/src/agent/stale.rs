//! The part of the loop that makes up for a reload that was missed.

use std::time::Duration;

use pvecm_core::protocol::{Phase, Record};
use tokio::time::Instant;

use super::Agent;

/// A daemon whose version stays behind its file for so long missed the reload (facts/pmxcfs.md 2).
const STALE: Duration = Duration::from_secs(3);

impl Agent {
    /// A member whose disk is right and whose runtime is old missed a reload, and nobody else will make
    /// up for it (facts/pmxcfs.md 2).
    pub(super) fn reload_if_stale(&mut self) {
        // The daemons would read their keys as well, and while an exchange is undone they may be mixed.
        let exchange = self.book.ledger().pending.as_ref().is_some_and(|pending| {
            let undoes = |record: &Record| matches!(record.phase, Phase::RollingBack { .. });
            pending.stage.exchanges_authkey() && pending.record.as_ref().is_some_and(undoes)
        });
        let paused = self.wanted_host.as_ref().is_none_or(|host| host.spec.paused) || exchange;
        if paused || !self.seen.missed_a_reload() {
            self.stale_since = None;
            return;
        }
        let since = *self.stale_since.get_or_insert_with(Instant::now);
        if since.elapsed() < STALE {
            return;
        }
        self.stale_since = None;
        if let Err(error) = self.host.corosync.reload() {
            tracing::warn!(%error, "cannot have corosync read its file again");
        }
    }
}
