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
    /// Every configured link is connected and good, between all members or from this host.
    pub const LINKS_HEALTHY: &str = "LinksHealthy";
    /// On a host that has become a member, until it is so: the cluster has its keys.
    pub const KEYS_SHARED: &str = "KeysShared";
    /// On a host, written by the operator: the agent's heartbeat is fresh.
    pub const CONNECTED: &str = "Connected";
}

/// Makes the constant of each reason, and its page from the same table: no reason without one.
macro_rules! reasons {
    ($($name:ident = $reason:literal { means: $means:literal, act: $act:literal })+) => {
        $(#[doc = $means] pub const $name: &str = $reason;)+
        /// The page of every reason. None of them is a stop by a guard, so none prevents an outage.
        pub const PAGES: &[Page] =
            &[$(Page { reason: $reason, means: $means, prevents: "", act: $act }),+];
    };
}

/// Reasons that are no guard's. Those of guards and blockers are named by `pvecm-core`.
pub mod reason {
    use pvecm_core::explain::Page;

    reasons! {
        AS_WANTED = "AsWanted" {
            means: "All is as wanted.",
            act: "Nothing."
        }
        CHANGE_IN_PROGRESS = "ChangeInProgress" {
            means: "A change is being carried out.",
            act: "Nothing: `kubectl pvecm history CLUSTER` shows how far it got."
        }
        KEYS_NOT_SHARED = "KeysNotShared" {
            means: "A host has become a member, and its ssh keys and certificates are not among the cluster's yet.",
            act: "Nothing for two minutes. After that look at the agent's log on the host: it says what `pvecm updatecerts` said there."
        }
        WAITING_FOR_APPROVAL = "WaitingForApproval" {
            means: "A change waits for a person's approval; no host has begun anything.",
            act: "Read it with `kubectl pvecm plan CLUSTER --diff` and approve it with `kubectl pvecm approve CLUSTER`. Raising `rollout.maxRisk` in the spec lets it begin too; changing the spec back drops it."
        }
        WAITING_FOR_HOST = "WaitingForHost" {
            means: "A stage is released, and a host has not answered yet.",
            act: "Nothing for the length of `rollout.confirmTimeoutSeconds`: the hosts undo what does not hold. After that, look at the agent's log on the host that is named."
        }
        INVALID_SPEC = "InvalidSpec" {
            means: "The spec breaks a rule that the API server cannot check.",
            act: "Correct the field that the sentence names."
        }
        NAME_TAKEN = "NameTaken" {
            means: "Another PveCluster of this namespace had the same cluster name first. This one is left as it is.",
            act: "Make it anew with another `spec.clusterName`, or in another namespace; or delete the other one, if this one is meant."
        }
        API_ERROR = "ApiError" {
            means: "The API server failed or refused the operator.",
            act: "Nothing if it passes: it is tried again with growing pauses. If it stays, compare the operator's ClusterRole with the chart's."
        }
        INTERNAL_ERROR = "InternalError" {
            means: "The operator met a defect of its own.",
            act: "Report it with the operator's log. The cluster goes on as it is."
        }
        ROLLED_BACK = "RolledBack" {
            means: "The last change was undone by the hosts; the text before it is in force again.",
            act: "The sentence names the host and what did not hold there: mend that. It is tried again twice by itself, then when the spec changes or the change is deleted."
        }
        FAILED = "Failed" {
            means: "The last change is neither in force nor undone: something else was in force than what the hosts wrote.",
            act: "Compare corosync.conf on the hosts with `kubectl pvecm plan CLUSTER --diff`, put right what differs, then delete that PveChange."
        }
        PAUSED = "Paused" {
            means: "Nothing new is started: `rollout.paused` of the cluster, or `spec.paused` of the host, is true.",
            act: "`kubectl pvecm resume CLUSTER`, or set it to false where the spec comes from."
        }
        NOT_PAUSED = "NotPaused" {
            means: "Changes are carried out.",
            act: "Nothing."
        }
        HEARTBEAT_FRESH = "HeartbeatFresh" {
            means: "The heartbeat is fresh.",
            act: "Nothing."
        }
        HEARTBEAT_STALE = "HeartbeatStale" {
            means: "The heartbeat of an agent is old.",
            act: "See on that host that it is up, that `systemctl status pvecm-agent` is running and that it reaches the API server."
        }
        NEVER_SEEN = "NeverSeen" {
            means: "No heartbeat was ever seen.",
            act: "Enrol the hosts with `kubectl pvecm host enrol NAME` and start their agents."
        }
        UNKNOWN = "Unknown" {
            means: "Nothing is known yet.",
            act: "Nothing for a minute after the operator's start; then look at the agents."
        }
        NODE_UNHEALTHY = "NodeUnhealthy" {
            means: "The spec is in force, but a node is not well: its agent is not heard, corosync does not run there, it is not quorate or cannot write /etc/pve.",
            act: "Look at `systemctl status pvecm-agent corosync pve-cluster` on the node that is named."
        }
        LINKS_DEGRADED = "LinksDegraded" {
            means: "A link carries, and it is slow or loses packets: corosync sends what is lost again, and the whole cluster waits for it.",
            act: "`kubectl pvecm status CLUSTER --links --measure` measures every way once and prints the figures. Look for a cable, a port or a switch between the hosts that are named, and for other traffic on the same network card. `links[].limits` of the spec says what a link may be like."
        }
        DEVICE_NOT_VOTING = "DeviceNotVoting" {
            means: "The spec is in force, and a member does not count the votes of the QDevice: the cluster survives fewer failures than it is built for.",
            act: "Look at `systemctl status corosync-qdevice` on the members that are named, and at `systemctl status corosync-qnetd` on the witness. From each member `corosync-qdevice-tool -s` must say Connected; the witness takes connections on TCP port 5403. An agent starts a daemon again that ended; one that is disabled stays off until a person, or a change, enables it."
        }
        HELD = "Held" {
            means: "Corosync is held on this host: while the host was off, the cluster went on to a corosync.conf that does not list it any more.",
            act: "Nothing where the node was removed: once the operator is heard, the host puts its files away. If the cluster lists it again, run `pvecm-agent gate` on that host, which asks anew, and then `systemctl start corosync`."
        }
        OUTRUN = "Outrun" {
            means: "Corosync ended by itself: it was started with a lower `config_version` than the other members run. Its exit code is 0, and one line in its journal tells.",
            act: "Run `pvecm-agent gate` on that host, which takes the file of the others, and then `systemctl start corosync`."
        }
        NOT_FORMED = "NotFormed" {
            means: "There is no cluster yet.",
            act: "Nothing unless the cluster is stalled as well: then that reason says what is missing."
        }
        QUORATE = "Quorate" {
            means: "The cluster has quorum.",
            act: "Nothing."
        }
        EDITED_ELSEWHERE = "EditedElsewhere" {
            means: "Somebody changed beside the operator what the spec manages, or one host's file or daemon: `kubectl pvecm status CLUSTER` shows key and host as spec, /etc/pve, disk and daemon have them.",
            act: "Nothing unless `rollout.drift` is Report: what the spec manages is put back by an ordinary change, a host's disk and daemon go back to what /etc/pve has, and what the spec does not name stays as /etc/pve has it. To keep an edit, write it into the spec."
        }
        DRIFT_REPORTED = "DriftReported" {
            means: "Somebody changed beside the operator what the spec manages, or one host's file or daemon, and `rollout.drift` is Report: it is shown and not put back.",
            act: "See it with `kubectl pvecm status CLUSTER`. Undo it by hand, write it into the spec, or set `rollout.drift` to Correct."
        }
    }

    /// The page of a reason that is no guard's.
    #[must_use]
    pub fn page(reason: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.reason == reason)
    }
}
