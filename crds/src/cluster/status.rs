//! What the operator says of a cluster. No figure here moves by itself.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::LinkAddress;
use crate::host::{Absence, LinkClass};

/// What is so, as far as the operator knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PveClusterStatus {
    /// `metadata.generation` that everything here speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Quorate`, `HostsConnected`, `LinksHealthy`, `Drifted`, `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Name of the cluster in corosync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub cluster_name: Option<String>,
    /// `config_version` in force on all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub config_version: Option<i64>,
    /// The key of the cluster network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authkey: Option<Authkey>,
    /// Healthy and wanted nodes, for people: `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub nodes_ready: Option<String>,
    /// Every node of the cluster or of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<NodeStatus>,
    /// Votes and margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumStatus>,
    /// Links between two nodes that are configured and not connected, or not good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub links: Vec<LinkFault>,
    /// What somebody changed beside the operator, key by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub drift: Vec<Drifted>,
    /// The change that is being carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeProgress>,
    /// What would be done next, and what that waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
}

/// What is known of the authkey. Nothing here says anything of the key itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authkey {
    /// Which one it is, by `spec.totem.keyGeneration`; 0: it was never exchanged.
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub generation: i32,
    /// What tells it from others, 16 hexadecimal digits; absent while it is not the same on all members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 16, max = 16))]
    pub fingerprint: Option<String>,
}

/// One node as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The node's number in corosync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub node_id: Option<i64>,
    /// The node's votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub votes: Option<i64>,
    /// Whether the node is in the membership that the quorate hosts see.
    pub online: bool,
    /// The node's address on each link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["link".into()]))]
    pub addresses: Vec<LinkAddress>,
    /// What is wrong with the host, in one sentence; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// A person's statement that the machine is powered off, while it may be acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<Absence>,
}

/// Votes and margin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuorumStatus {
    /// Votes that are present.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub present: i64,
    /// Votes that there would be with everybody present.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub expected: i64,
    /// Votes that are needed for quorum.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub needed: i64,
    /// Votes of the device that are present; absent without a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub device: Option<i64>,
    /// The members that run with a device and do not count its votes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub device_missing_on: Vec<String>,
    /// How many further nodes may fail, the worst first, before quorum is lost.
    #[schemars(range(min = 0, max = 64))]
    pub failures_survived: i32,
    /// The same when the device's votes are gone as well; absent without a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub failures_survived_without_device: Option<i32>,
}

/// A link between two nodes that is configured and not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkFault {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub number: i32,
    /// The node that sees it so.
    #[schemars(length(min = 1, max = 63))]
    pub from: String,
    /// The node at the other end.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,
    /// What it is like: `Broken` is not connected.
    #[serde(default)]
    pub class: LinkClass,
    /// Why, as far as it was found out, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, from, to, class, message } = self;
        write!(f, "{number} from {from} to {to} is ")?;
        match class {
            LinkClass::Broken => f.write_str("not connected")?,
            LinkClass::Good | LinkClass::Slow | LinkClass::Lossy => write!(f, "{class:?}")?,
        }
        message.iter().try_for_each(|message| write!(f, ": {message}"))
    }
}

/// A key that somebody changed beside the operator, as four places have it. What is absent is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drifted {
    /// The hosts on which it looks like this.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub hosts: Vec<String>,
    /// The key, such as `totem.interface[1].knet_link_priority`; `corosync.conf` is the whole file.
    #[schemars(length(min = 1, max = 512))]
    pub key: String,
    /// What the spec wants; absent where it does not speak of this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub spec: Option<String>,
    /// In /etc/pve/corosync.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub pmxcfs: Option<String>,
    /// In /etc/corosync/corosync.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub disk: Option<String>,
    /// In the running daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub running: Option<String>,
}

/// How far a change got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeProgress {
    /// Name of the `PveChange`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The stage that is released, counted from 1; 0 before the first.
    #[schemars(range(min = 0, max = 64))]
    pub stage: i32,
    /// Number of stages.
    #[schemars(range(min = 1, max = 64))]
    pub stages: i32,
    /// What happens, in one sentence.
    #[schemars(length(max = 1024))]
    pub sentence: String,
}

/// The planner's report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// What would be done next, in one sentence.
    #[schemars(length(max = 1024))]
    pub sentence: String,
    /// What that waits for, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub waiting: Vec<String>,
}
