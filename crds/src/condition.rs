//! The names of condition types and reasons. The reasons of guards are named by the guards.

/// Types of conditions.
pub mod kind {
    /// The spec is in force everywhere and everything is healthy.
    pub const READY: &str = "Ready";
    /// Work is going on.
    pub const RECONCILING: &str = "Reconciling";
    /// A person is needed; the reason says for what.
    pub const STALLED: &str = "Stalled";
    /// The cluster, or this host's part of it, has quorum.
    pub const QUORATE: &str = "Quorate";
    /// The agents of all hosts are heard.
    pub const HOSTS_CONNECTED: &str = "HostsConnected";
    /// What is in force is not what the last change left.
    pub const DRIFTED: &str = "Drifted";
    /// Nothing new is started.
    pub const PAUSED: &str = "Paused";
    /// On a host: the last stage is in force.
    pub const APPLIED: &str = "Applied";
    /// On a host: every configured link is connected to every member.
    pub const LINKS_HEALTHY: &str = "LinksHealthy";
    /// On a host, written by the operator: the agent's heartbeat is fresh.
    pub const CONNECTED: &str = "Connected";
}

/// Reasons that more than one part uses.
pub mod reason {
    /// All is as wanted.
    pub const AS_WANTED: &str = "AsWanted";
    /// A change is being carried out.
    pub const CHANGE_IN_PROGRESS: &str = "ChangeInProgress";
    /// A change waits for `kubectl pvecm approve`.
    pub const WAITING_FOR_APPROVAL: &str = "WaitingForApproval";
    /// A host has not answered yet.
    pub const WAITING_FOR_HOST: &str = "WaitingForHost";
    /// The spec breaks a rule that the API server cannot check.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The spec uses a field whose behaviour is not built yet.
    pub const NOT_SUPPORTED: &str = "NotSupported";
    /// The API server failed or refused.
    pub const API_ERROR: &str = "ApiError";
    /// A defect of ours.
    pub const INTERNAL_ERROR: &str = "InternalError";
    /// The last change was undone.
    pub const ROLLED_BACK: &str = "RolledBack";
    /// The last change is neither in force nor undone.
    pub const FAILED: &str = "Failed";
    /// `spec.paused` or `spec.rollout.paused` is true.
    pub const PAUSED: &str = "Paused";
    /// The heartbeat is fresh.
    pub const HEARTBEAT_FRESH: &str = "HeartbeatFresh";
    /// The heartbeat is old.
    pub const HEARTBEAT_STALE: &str = "HeartbeatStale";
    /// No heartbeat was ever seen.
    pub const NEVER_SEEN: &str = "NeverSeen";
    /// Nothing is known yet.
    pub const UNKNOWN: &str = "Unknown";
}
