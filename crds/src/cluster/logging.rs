//! The `logging` section: how much corosync tells.
//!
//! No word here is On, Off, Yes or No: YAML as kubectl reads it makes a boolean of those.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What corosync tells, and whether the journal gets it. What is left out is not managed. A reload takes
/// a change while everything runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Whether corosync tells what it does step by step. A new cluster does not unless this says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug: Option<DebugMessages>,
    /// Whether syslog, and with it the journal, gets messages. In a new cluster it does unless this says
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_syslog: Option<bool>,
    /// The least weight of a message that syslog gets. By itself corosync takes Info, with `debug` all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog_priority: Option<SyslogPriority>,
}

/// Whether corosync tells what it does step by step. A new cluster does not unless this says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DebugMessages {
    /// None of them.
    Disabled,
    /// Debug messages.
    Enabled,
    /// Those of every call as well: a lot.
    Trace,
}

/// The least weight of a message that syslog gets. By itself corosync takes Info, with `debug` all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyslogPriority {
    /// The system is unusable.
    Emerg,
    /// Somebody must act at once.
    Alert,
    /// A critical condition.
    Crit,
    /// An error.
    Err,
    /// A warning.
    Warning,
    /// Normal but significant.
    Notice,
    /// What is good to know.
    Info,
    /// Everything.
    Debug,
}
