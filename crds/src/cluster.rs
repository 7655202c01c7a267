//! `PveCluster`: what the user wants, and what the operator says of it.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column is an attribute with the same keys"
)]

mod logging;
mod quorum;
mod rollout;
mod rules;
mod status;
mod totem;
mod transfer;

use kube::{CustomResource, KubeSchema, ResourceExt as _};
use serde::{Deserialize, Serialize};

pub use logging::{DebugMessages, Logging, SyslogPriority};
pub use quorum::{Device, DeviceAlgorithm, DeviceType, Quorum};
pub use rollout::{Approval, DeletionPolicy, Drift, HighAvailability, MaxRisk, Removal, Rollout};
pub use status::{
    Authkey, ChangeProgress, Drifted, LinkFault, NodeStatus, PlanReport, PveClusterStatus,
    QuorumStatus,
};
pub use totem::{
    Cipher, Compression, CompressionModel, Crypto, Hash, IpVersion, LinkMode, Totem, Transport,
};
pub use transfer::{Transfer, TransferType, UnencryptedTraffic};

use crate::reference::HostRef;

/// What a Proxmox VE cluster should be. What is left out is not managed: it stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "pvecm.io",
    version = "v1alpha1",
    kind = "PveCluster",
    plural = "pveclusters",
    shortname = "pvecl",
    category = "pve",
    namespaced,
    status = "PveClusterStatus",
    derive = "PartialEq",
    doc = "A Proxmox VE cluster.",
    cel,
    validation = rules::name_stays(),
    validation = rules::own_name_fits(),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodesReady"),
    printcolumn(
        name = "Quorate",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Quorate")].status"#
    ),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan.sentence"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Config",
        type_ = "integer",
        json_path = ".status.configVersion",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::node_ids_differ(),
    validation = rules::hosts_differ(),
    validation = rules::addresses_have_links(),
    validation = rules::links_have_addresses(),
    validation = rules::old_transports_have_one_link(),
    validation = rules::old_transports_have_no_priority(),
    validation = rules::witness_is_no_member(),
    validation = rules::key_generation_ascends()
)]
pub struct PveClusterSpec {
    /// Name of the cluster in corosync; the name of this object unless given. 1 to 15 letters,
    /// digits and inner dashes. It can never change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 15),
        regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$")
    )]
    pub cluster_name: Option<String>,
    /// Every member, 1 to 64: always the whole list.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<Node>,
    /// The links, numbers 0 to 7: the whole list where it is given. Empty: links follow from the
    /// nodes' addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["number".into()]))]
    pub links: Vec<Link>,
    /// Transport, timing and encryption of corosync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totem: Option<Totem>,
    /// What corosync tells in its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// What else votes, and how quorum is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// Over which network, and how, guests move between nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Transfer>,
    /// Over which network, and how, volumes are copied between nodes from time to time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Transfer>,
    /// How changes are rolled out.
    #[serde(default)]
    pub rollout: Rollout,
    /// What becomes of the cluster when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl PveClusterSpec {
    /// The `PveHost` that is to vote from outside.
    #[must_use]
    pub fn witness(&self) -> Option<&str> {
        self.quorum.as_ref().and_then(Quorum::witness)
    }

    /// The `Secret` with the certificates for a `QNetd` that somebody else runs.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.quorum.as_ref().and_then(Quorum::secret)
    }
}

impl PveCluster {
    /// The name that the cluster has in corosync.
    #[must_use]
    pub fn effective_name(&self) -> String {
        self.spec.cluster_name.clone().unwrap_or_else(|| self.name_any())
    }
}

/// One wanted member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// The host's own name: its host name up to the first dot.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$")
    )]
    pub name: String,
    /// The `PveHost` of this machine; the one named as the node, in lower case, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ref: Option<HostRef>,
    /// The node's number in corosync, 1 to 65535. Left out: the one in corosync.conf, else the
    /// lowest free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_id: Option<i32>,
    /// Votes of this node, 0 to 255. Left out: not managed, 1 for a node that joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub votes: Option<i32>,
    /// The node's own addresses; only for links without a network, or to choose among several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["link".into()]))]
    pub addresses: Vec<LinkAddress>,
}

impl Node {
    /// Name of the `PveHost` of this node: its own name in lower case unless the spec says otherwise.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host_ref {
            Some(host) => host.name.clone(),
            None => self.name.to_ascii_lowercase(),
        }
    }
}

/// A node's address on one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkAddress {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub link: i32,
    /// An IP address or a host name.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
}

/// One wanted link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub number: i32,
    /// A network in CIDR form: every node's address is its one address inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 43))]
    #[x_kube(validation = rules::is_network())]
    pub network: Option<String>,
    /// Higher is preferred, 0 to 255; 0 behaves as 1. Of equal links the lowest number carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub priority: Option<i32>,
    /// Milliseconds between two pings on this link, 1 to 3600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub ping_interval_millis: Option<i32>,
    /// Milliseconds without an answer after which the link counts as down, 1 to 3600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub ping_timeout_millis: Option<i32>,
    /// Number of latency samples that are averaged, 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub ping_precision: Option<i32>,
    /// Number of answers in a row after which the link counts as up, 1 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub pong_count: Option<i32>,
    /// UDP port of this link, 1 to 65535. corosync's own choice is 5405 and the link's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// What the way between any two nodes may be like before this link is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LinkLimits>,
}

/// What is measured before a link is added or moved, or a node joins. What lies above is refused, with the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkLimits {
    /// Milliseconds that half of the round trips may take, 1 to 1000; 10 where it is left out: Proxmox VE advises
    /// less than 5, and above 10 a cluster of more than three nodes is hardly stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub round_trip_millis: Option<i32>,
    /// Packets of a hundred that may be lost, 0 to 100; 1 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub loss_percent: Option<i32>,
}
