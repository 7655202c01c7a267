//! The lines of a record: what a host saw, and when.
//!
//! This file is compiled twice, into the recorder that writes lines and into the crate of the
//! scenarios that reads them, so that they cannot come to differ while the reading side stays free
//! of corosync's libraries. It does no I/O.

use serde::{Deserialize, Serialize};

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Milliseconds since the Unix epoch.
    pub realtime_ms: u64,
    /// Milliseconds of `CLOCK_MONOTONIC`, which no clock adjustment moves.
    pub monotonic_ms: u64,
    /// What was seen; stands in the line beside the times, its kind under the key `event`.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that a host saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The recorder began; nothing is known of the time between the line before and this one.
    Started,
    /// Corosync's quorum service accepted the recorder.
    CorosyncConnected,
    /// Corosync's quorum service is gone: stopped, killed, or it dropped the recorder.
    CorosyncLost,
    /// The quorum callback; also written once per connection.
    Quorum {
        /// Whether this host's part of the cluster has quorum.
        quorate: bool,
        /// Ring in force, `<representative's nodeid>.<sequence>`, both decimal.
        ring_id: String,
        /// Nodeids of this host's part.
        members: Vec<u32>,
    },
    /// The nodelist callback: who is a member from now on, and what that changed.
    Membership {
        /// Ring in force, as in [`Event::Quorum`].
        ring_id: String,
        /// Nodeids of this host's part.
        members: Vec<u32>,
        /// Nodeids that were not members before.
        joined: Vec<u32>,
        /// Nodeids that were members before.
        left: Vec<u32>,
    },
    /// A cmap key's value, read again after each notification and once per connection.
    Cmap {
        /// Name of the key.
        key: String,
        /// Its value; `null` when the key is gone.
        value: Option<CmapValue>,
    },
    /// Whether /etc/pve takes writes; written on every change and once a second as a sign of life.
    Writable {
        /// False also while the mount is missing or dead.
        writable: bool,
    },
}

/// A value of cmap, in the two shapes that the recorded keys have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CmapValue {
    /// `totem.config_version`, `runtime.members.ID.config_version`.
    Number(u64),
    /// `runtime.members.ID.status`.
    Text(String),
}
