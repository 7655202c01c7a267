//! How changes are rolled out. Nothing here reaches a host, so everything may have a default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How changes are rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Whether changes begin by themselves.
    pub approval: Approval,
    /// The riskiest change that begins by itself; a riskier one waits for approval.
    pub max_risk: MaxRisk,
    /// What is done about Proxmox VE's high availability before a change that can stall the cluster.
    pub high_availability: HighAvailability,
    /// Seconds that the hosts wait for what must still come before they undo a stage, 5 to 600.
    #[schemars(range(min = 5, max = 600))]
    pub confirm_timeout_seconds: i32,
    /// What is done about managed fields that somebody edited on a host.
    pub drift: Drift,
    /// What is done about leftovers that still name a node on its way out.
    pub removal: Removal,
    /// Nothing new is started while this is true.
    pub paused: bool,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            approval: Approval::default(),
            max_risk: MaxRisk::default(),
            high_availability: HighAvailability::default(),
            confirm_timeout_seconds: 30,
            drift: Drift::default(),
            removal: Removal::default(),
            paused: false,
        }
    }
}

/// Whether changes begin by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Changes up to `maxRisk` begin by themselves.
    #[default]
    Automatic,
    /// Every change waits for `kubectl pvecm approve`.
    Manual,
}

/// The riskiest change that begins by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MaxRisk {
    /// Nothing stops.
    #[default]
    Live,
    /// corosync restarts host by host.
    NodeRestart,
    /// The whole cluster is without quorum for a while.
    Outage,
}

/// What is done about high availability before a change that can stall the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HighAvailability {
    /// The change waits until no guest is under high availability.
    #[default]
    RequireIdle,
    /// `disarm-ha` before, `arm-ha` after.
    Disarm,
}

/// What is done about edits by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// Managed fields, and what differs between a host's own files and its daemon, are put back.
    #[default]
    Correct,
    /// The difference is shown. Nothing is put back until the spec asks for a change.
    Report,
}

/// What is done about leftovers that still name a node on its way out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Removal {
    /// They block the removal.
    #[default]
    RefuseIfReferenced,
    /// They are cleaned.
    CleanReferences,
}

/// What becomes of the cluster when its object is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It keeps running as it is.
    #[default]
    Orphan,
    /// Its hosts are separated, after approval.
    Dissolve,
}
