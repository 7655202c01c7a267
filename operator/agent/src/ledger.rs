//! What this host remembers across crashes: the highest change it accepted, the stage it is in, the
//! last result. A stale leader, a restored control plane or a rewritten change end here.
//!
//! Pure but for [`Book`], which keeps the copy on the disk equal to the one in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvecm_core::change::{Stage, StageResult};
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_core::protocol::{Attempt, Record};
use serde::{Deserialize, Serialize};

use crate::ports::{BootTime, LedgerStore};

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// The highest change that was ever accepted.
    pub highest: ChangeNumber,
    /// Digest of that change's plan.
    pub digest: Option<Digest>,
    /// The stage that was begun and has no outcome.
    pub pending: Option<Pending>,
    /// The outcome of the last stage.
    pub last: Option<Last>,
    /// Sealing keys of other hosts as they were first used.
    pub pinned: BTreeMap<HostName, String>,
    /// Secrets that were sealed for others in the highest change, by receiver.
    pub sealed: BTreeMap<HostName, String>,
}

/// A stage under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Which attempt.
    pub attempt: Attempt,
    /// The stage as it was admitted, texts included: no API is needed to finish or undo it.
    pub stage: Stage,
    /// /etc/pve/corosync.conf before the stage; `None`: there was none.
    pub parent: Option<String>,
    /// How far this host got, with the time left when that was written.
    pub record: Option<Record>,
    /// When the time left was true.
    pub recorded_at: BootTime,
}

impl Pending {
    /// The record with what is left of its time now; nothing is left after a reboot.
    #[must_use]
    pub fn record_at(&self, now: &BootTime) -> Option<Record> {
        let record = self.record.clone()?;
        let same_boot = now.boot_id == self.recorded_at.boot_id;
        let elapsed = now.millis.saturating_sub(self.recorded_at.millis);
        let left = |millis: u64| if same_boot { millis.saturating_sub(elapsed) } else { 0 };
        Some(Record { remaining_ms: record.remaining_ms.map(left), ..record })
    }
}

/// What became of the last stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// The change.
    pub change: ChangeNumber,
    /// Digest of its plan.
    pub digest: Digest,
    /// The stage, counted from 1.
    pub stage: u32,
    /// What became of it.
    pub result: StageResult,
    /// One sentence; empty when there is nothing to say.
    pub message: String,
}

/// Whether a change may be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Newer than all before.
    New,
    /// The newest one, unchanged.
    Known,
    /// The newest one's number with another plan: somebody rewrote it.
    Rewritten,
    /// This host has passed it.
    Older,
}

impl Ledger {
    /// Judges a change by its number and the digest of its plan.
    #[must_use]
    pub fn admit(&self, number: ChangeNumber, digest: Digest) -> Admission {
        match number.cmp(&self.highest) {
            std::cmp::Ordering::Greater => Admission::New,
            std::cmp::Ordering::Less => Admission::Older,
            std::cmp::Ordering::Equal if self.digest == Some(digest) => Admission::Known,
            std::cmp::Ordering::Equal => Admission::Rewritten,
        }
    }
}

/// Why the ledger cannot be trusted or kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk failed.
    #[error("cannot keep the ledger")]
    Disk(#[source] std::io::Error),
    /// It is there and makes no sense. Going on without it could repeat an old change.
    #[error("the ledger is damaged; nothing is done on this host until a person looked at it")]
    Damaged(#[source] serde_json::Error),
}

/// The ledger and its place on the disk.
pub struct Book {
    store: Arc<dyn LedgerStore>,
    ledger: Ledger,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ledger.fmt(f)
    }
}

impl Book {
    /// Reads the ledger; none yet is an empty one.
    pub fn open(store: Arc<dyn LedgerStore>) -> Result<Self, LedgerError> {
        let bytes = store.load().map_err(LedgerError::Disk)?;
        let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(LedgerError::Damaged);
        let ledger = bytes.map(parse).transpose()?.unwrap_or_default();
        Ok(Self { store, ledger })
    }

    /// What is remembered.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Changes what is remembered. When this returns well, it is on the disk; on an error nothing
    /// changed. A change to the same is no write.
    pub fn change(&mut self, edit: impl FnOnce(&mut Ledger)) -> Result<(), LedgerError> {
        let mut next = self.ledger.clone();
        edit(&mut next);
        if next == self.ledger {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&next).map_err(LedgerError::Damaged)?;
        self.store.save(&bytes).map_err(LedgerError::Disk)?;
        self.ledger = next;
        Ok(())
    }
}
