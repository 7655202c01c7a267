//! What the user wants, parsed once from a `PveCluster` and never half valid.
//!
//! `None` means "not managed": what the file says there stays as it is.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::conf::{LinkOptions, LoggingOptions, TotemOptions};
use crate::datacenter::{Traffic, TransferWish};
use crate::device::DeviceWish;
use crate::fitness::Limits;
use crate::ids::{ClusterName, HostName, LinkNumber, NodeId, NodeName};

/// The checked form of a `PveCluster`'s spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredCluster {
    /// The effective cluster name.
    pub name: ClusterName,
    /// Every wanted member, in the order of the spec. Never empty as it is written.
    pub nodes: Vec<DesiredNode>,
    /// The wanted links. Empty: links follow from the nodes' addresses and are not managed further.
    pub links: Vec<DesiredLink>,
    /// The wanted keys of `totem`. The token timeout is meant for two nodes, and what the coefficient
    /// adds for more holds with every set of links, also without link 0.
    pub totem: TotemOptions,
    /// The wanted keys of `logging`.
    pub logging: LoggingOptions,
    /// What is wanted of the managed lines of datacenter.cfg.
    pub datacenter: BTreeMap<Traffic, TransferWish>,
    /// What is wanted of the QDevice; `None`: it is not managed.
    pub device: Option<DeviceWish>,
    /// The wanted generation of the authkey; 0: it is never exchanged.
    pub key_generation: u32,
    /// How changes are rolled out.
    pub rollout: Rollout,
    /// The object is being deleted, and its policy says that its hosts are separated.
    pub dissolves: bool,
    /// `metadata.generation` that all this was read from.
    pub generation: i64,
}

/// One wanted member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredNode {
    /// The host's own name.
    pub name: NodeName,
    /// The `PveHost` that speaks for this machine.
    pub host: HostName,
    /// The wanted id; `None`: the one in corosync.conf, else the lowest free one.
    pub node_id: Option<NodeId>,
    /// The wanted votes; `None`: not managed, 1 on joining.
    pub votes: Option<u32>,
    /// Addresses that the spec states itself; other links take theirs from the link's network.
    pub addresses: BTreeMap<LinkNumber, String>,
}

/// One wanted link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredLink {
    /// The link's number.
    pub number: LinkNumber,
    /// Every node's address is its one address inside this network.
    pub network: Option<IpNet>,
    /// What is wanted of it.
    pub options: LinkOptions,
    /// What its ways may be like before it is used; `None`: the usual limits.
    pub limits: Option<Limits>,
}

/// How changes are rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Whether changes begin by themselves.
    pub approval: Approval,
    /// The riskiest change that begins by itself.
    pub max_risk: MaxRisk,
    /// What is done about high availability before a stage that can reset hosts.
    pub high_availability: HighAvailability,
    /// How long the hosts wait for what must still come before they undo a stage.
    pub confirm_timeout_secs: u32,
    /// What is done about what somebody changed beside the operator.
    pub drift: Drift,
    /// What is done about what still names a node that is to leave.
    pub removal: Removal,
    /// Nothing new is started while this is true.
    pub paused: bool,
}

/// What is done about what somebody changed beside the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Drift {
    /// It is put back by an ordinary change.
    #[default]
    Correct,
    /// It is shown, and nothing is begun that would only put it back.
    Report,
}

/// What is done about what still names a node that is to leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Removal {
    /// It stays until a person has taken the node out.
    #[default]
    RefuseIfReferenced,
    /// The node is taken out of every list that names others as well; the rest is as above.
    CleanReferences,
}

/// Whether changes begin by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Approval {
    /// Changes up to [`Rollout::max_risk`] do.
    #[default]
    Automatic,
    /// Every change waits for a person.
    Manual,
}

/// The riskiest change that begins by itself. What is riskier than an outage has no name here: a
/// recovery and a dissolution always wait (design: "always waits for approval").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxRisk {
    /// Nothing stops.
    #[default]
    Live,
    /// corosync restarts host by host.
    NodeRestart,
    /// The whole cluster is without quorum for a while.
    Outage,
}

/// What is done about high availability before a stage that can reset hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HighAvailability {
    /// The change waits until no host runs a watchdog.
    #[default]
    RequireIdle,
    /// It is disarmed before and armed after.
    Disarm,
}
