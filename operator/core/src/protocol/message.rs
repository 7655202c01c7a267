//! What the hosts tell each other, and what each writes into its ledger.

use serde::{Deserialize, Serialize};

use crate::ids::{ChangeNumber, Fingerprint, NodeId};

/// How far one host is with one attempt at one stage. It is persisted before anybody else sees it.
///
/// `GaveUp` and `Going` answer "shall the stage begin?", `Sealed` and `RollingBack` answer "shall it
/// stay?". Each is a vote: a host casts one of each pair and changes it only when the count is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Ready to begin.
    Prepared {
        /// /etc/pve took writes when the checks ran. Fixed here, since it decides who writes.
        writable: bool,
    },
    /// Vote: do not begin.
    GaveUp {
        /// Why, one sentence.
        sentence: String,
    },
    /// Vote: begin. The deadline runs on this host's clock.
    Going,
    /// Everything that must hold held here once. Never withdrawn.
    Holds,
    /// Vote: stays. All hosts have said that it holds.
    Sealed,
    /// Vote: undo. The writer says so only while it has no write in flight.
    RollingBack {
        /// Why, one sentence.
        sentence: String,
    },
    /// Outcome: nothing was written and nothing will be. One host whose checks failed says so by
    /// itself: nobody votes to begin before everybody is prepared.
    Unwritten {
        /// Why, one sentence.
        sentence: String,
    },
    /// Outcome: in force for good.
    Confirmed,
    /// Outcome: undone, and the old content seen in force here.
    RolledBack {
        /// Why, one sentence.
        sentence: String,
    },
    /// Outcome: undone in intent, but something else than the stage's own text was in force.
    Failed {
        /// Why, one sentence.
        sentence: String,
    },
}

impl Phase {
    /// Whether this is an outcome, after which nothing follows.
    #[must_use]
    pub const fn is_outcome(&self) -> bool {
        match self {
            Self::Prepared { .. }
            | Self::GaveUp { .. }
            | Self::Going
            | Self::Holds
            | Self::Sealed
            | Self::RollingBack { .. } => false,
            Self::Unwritten { .. }
            | Self::Confirmed
            | Self::RolledBack { .. }
            | Self::Failed { .. } => true,
        }
    }

    /// Why, where a reason belongs to the phase; else empty.
    #[must_use]
    pub fn sentence(&self) -> &str {
        match self {
            Self::GaveUp { sentence }
            | Self::RollingBack { sentence }
            | Self::Unwritten { sentence }
            | Self::RolledBack { sentence }
            | Self::Failed { sentence } => sentence,
            Self::Prepared { .. } | Self::Going | Self::Holds | Self::Sealed | Self::Confirmed => {
                ""
            }
        }
    }
}

/// One of the two authkeys of a stage that exchanges them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    /// The one in force before the stage.
    Old,
    /// The one that was laid beside it.
    New,
}

/// The two authkeys of a stage that exchanges them, as one host has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// The one in force before the stage.
    pub old: Fingerprint,
    /// The one that was laid beside it.
    pub new: Fingerprint,
    /// The one that lies where corosync reads it at its next start or reload; absent: none of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lies: Option<Key>,
}

/// What a host says of the authkeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyWord {
    /// The key in force before the stage.
    pub old: Fingerprint,
    /// The key that was laid beside it.
    pub new: Fingerprint,
    /// The one that lies where corosync reads it; absent while that is about to change, or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lies: Option<Key>,
    /// The key that all are to lay now. Who asks holds Proxmox VE's lock on corosync.conf: nobody who
    /// heeds it has the daemons read their keys meanwhile. Or it has an outcome, and will reload when all
    /// say that the key lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Key>,
}

/// Which attempt at which stage a message or a ledger entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The change.
    pub change: ChangeNumber,
    /// The stage, counted from 1.
    pub stage: u32,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

/// One host's whole state in an attempt. Repeating it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What it is about.
    pub attempt: Attempt,
    /// Who says it. The receiver drops a message whose sender in the process group is another.
    pub from: NodeId,
    /// How far that host is.
    pub phase: Phase,
    /// /etc/pve takes writes there at this moment.
    pub writable: bool,
    /// Who writes, once the sender knows; the same for everybody.
    pub writer: Option<NodeId>,
    /// Undoing must put the back text over the parent too: a write of the sender may be under way,
    /// or its own disk holds the back text already.
    pub over_parent: bool,
    /// In a stage that exchanges the authkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyWord>,
}

/// What goes into the ledger, fsynced before the next effect is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// How far this host is.
    pub phase: Phase,
    /// Milliseconds from now to the deadline; `None` before it runs. The ledger keeps it as boot
    /// clock and boot id, and gives 0 back after a reboot.
    pub remaining_ms: Option<u64>,
    /// Who writes, once known.
    pub writer: Option<NodeId>,
    /// The back text was put on the own disk, or was about to be.
    pub restored: bool,
    /// In a stage for which everybody stops: all went, so this host stopped, or was about to.
    #[serde(default)]
    pub stopped: bool,
}
