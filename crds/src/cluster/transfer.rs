//! `migration` and `replication` of datacenter.cfg: over which network, and how, guests travel.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// How guests travel between nodes: a line of /etc/pve/datacenter.cfg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::transfer_network_has_type(),
    validation = rules::in_the_clear_is_accepted()
)]
pub struct Transfer {
    /// Through an encrypted tunnel, in the clear, or as Proxmox VE does by itself.
    #[serde(rename = "type")]
    pub kind: TransferType,
    /// A network in CIDR form in which every node has exactly one address; None: the cluster's own network.
    /// Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 43))]
    #[x_kube(validation = rules::is_transfer_network())]
    pub network: Option<String>,
    /// That a person knows what `type` Insecure means. It does nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unencrypted_traffic: Option<UnencryptedTraffic>,
}

/// Kind of transport for guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TransferType {
    /// Through an SSH tunnel.
    Secure,
    /// In the clear: the memory of guests, with the passwords and keys in it. For networks where nobody can
    /// listen.
    Insecure,
    /// No line in datacenter.cfg: Proxmox VE's own default, which is Secure; for replication, what holds for
    /// migration.
    Default,
}

/// That a person knows what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnencryptedTraffic {
    /// Whoever listens on that network reads the memory of guests.
    Accepted,
}

impl Transfer {
    /// The word for no network.
    pub const NO_NETWORK: &str = "None";
}
