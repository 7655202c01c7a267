//! `PveHost`: one machine. The spec is the user's, the status its agent's, two fields aside.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column is an attribute with the same keys"
)]

mod device;
mod link;
mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use device::{
    ConnectedNodes, HostCertificate, HostDevice, HostWitness, IssuedCertificate, ServedCluster,
};
pub use link::{DuplicateAddress, HostLinkFault, HostMeasured, LinkClass, MeasuredWay};
pub use status::{
    AppliedStage, FileView, Files, HaState, HostAddress, HostAuthkey, HostCluster, HostDatacenter,
    HostDrift, HostHa, HostQuorum, HostTransfer, Ledger, Membership, Pmxcfs, PveHostStatus,
    Reference, ReferenceKind, Running, SealedSecret, StartedWith, StorageServer, StrayName,
};

/// What a person says of one machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "pvecm.io",
    version = "v1alpha1",
    kind = "PveHost",
    plural = "pvehosts",
    shortname = "pveh",
    category = "pve",
    namespaced,
    status = "PveHostStatus",
    derive = "PartialEq",
    doc = "One machine: a member of a Proxmox VE cluster or a witness.",
    cel,
    printcolumn(
        name = "Connected",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Connected")].status"#
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".status.cluster.name"),
    printcolumn(
        name = "Quorate",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Quorate")].status"#
    ),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Applied")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Agent",
        type_ = "string",
        json_path = ".status.agentVersion",
        priority = 1
    ),
    printcolumn(
        name = "Config",
        type_ = "integer",
        json_path = ".status.running.configVersion",
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
pub struct PveHostSpec {
    /// Whether the machine is a member of a cluster or votes from outside.
    #[serde(default)]
    pub role: Role,
    /// While true the agent changes nothing on this host.
    #[serde(default)]
    pub paused: bool,
    /// A person's statement that this machine is powered off and stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<Absence>,
    /// What becomes of this machine once a cluster has removed it: it puts away what it has of it, or goes on alone
    /// with its guests.
    #[serde(default)]
    pub after_removal: AfterRemoval,
    /// Where this machine goes on alone, also because its cluster ends: the storages that both sides may go on
    /// using. No lock reaches over: whoever names one here has seen to it that they do not meet there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub shared_storages: Vec<String>,
    /// Counts up; each step asks the agent for one measurement of its network.
    #[serde(default)]
    #[schemars(range(min = 0, max = crate::LARGEST))]
    #[x_kube(
        validation = Rule::new("self >= oldSelf").message("`measure` must never go down")
    )]
    pub measure: i64,
}

/// What a machine is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// A member of a cluster.
    #[default]
    Member,
    /// A voter outside the cluster.
    Witness,
}

/// What becomes of a machine that was removed from its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AfterRemoval {
    /// It puts away all that it has of the cluster, and is an empty host.
    #[default]
    PutAway,
    /// It keeps its own configuration and its guests, without the cluster and the other nodes in it.
    LiveAlone,
}

/// A statement that a machine is powered off and stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// Whether the machine comes back.
    pub kind: AbsenceKind,
    /// How the person knows, in words: "PDU port 7 off".
    #[schemars(length(min = 1, max = 1024))]
    pub because: String,
    /// When the permission to act on this statement ends. The hold on the machine stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Whether an absent machine comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AbsenceKind {
    /// It comes back: still a member, its silence is known.
    Away,
    /// It does not come back under its present identity: it is removed.
    Dead,
}
