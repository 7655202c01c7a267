//! What an agent says of its machine. No figure here moves by itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device::{HostDevice, HostWitness, ServedCluster};
use super::link::{HostLinkFault, HostMeasured};
use crate::change::{ConfigText, StageLimits, StageResult, Tombstone};
use crate::cluster::TransferType;

/// What is so on this machine. `cluster`, `clusters` and the condition `Connected` are the operator's,
/// all else is the agent's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PveHostStatus {
    /// `metadata.generation` of the spec that the agent has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Applied`, `Quorate`, `LinksHealthy`, `Drifted`, and the operator's `Connected`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Whose changes this host obeys. Written by the operator; the first claim holds until released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<HostCluster>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub agent_version: Option<String>,
    /// Version of corosync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub corosync_version: Option<String>,
    /// The cluster file system at /etc/pve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmxcfs: Option<Pmxcfs>,
    /// The machine's host name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub hostname: Option<String>,
    /// What that name resolves to on the machine itself; absent: not known yet, empty: to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 2, max = 45)))]
    pub name_addresses: Option<Vec<String>>,
    /// Names of other nodes that lead elsewhere on this machine than to those nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub stray_names: Vec<StrayName>,
    /// /etc/machine-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub machine_id: Option<String>,
    /// The kernel's boot id: another one means that the machine was started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub boot_id: Option<String>,
    /// Addresses on the machine's network cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub addresses: Vec<HostAddress>,
    /// Public key to which secrets for this host are encrypted (age recipient).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub sealing_key: Option<String>,
    /// /etc/corosync/authkey; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authkey: Option<HostAuthkey>,
    /// The two copies of corosync.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// /etc/pve/datacenter.cfg; absent while /etc/pve is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<HostDatacenter>,
    /// The running daemon; absent while corosync does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The keys in which this host's own places differ, and have for some seconds outside of a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub drift: Vec<HostDrift>,
    /// Who is in the current membership; absent while corosync does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
    /// Votes; absent while corosync does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<HostQuorum>,
    /// Links to other members that are configured and not connected, or not good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub link_faults: Vec<HostLinkFault>,
    /// What was found when `spec.measure` was counted up last; absent when it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<HostMeasured>,
    /// Ids of the guests configured on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(range(min = 100, max = 999_999_999)))]
    pub guests: Vec<i32>,
    /// What in the cluster's own files names this machine's node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub references: Vec<Reference>,
    /// Storages of /etc/pve/storage.cfg that this machine and another node use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub shared_storages: Vec<String>,
    /// The servers of /etc/pve/storage.cfg that this machine reaches at an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into()]))]
    pub storage_servers: Vec<StorageServer>,
    /// Proxmox VE's high availability on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ha: Option<HostHa>,
    /// This host's part of the `QDevice`; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<HostDevice>,
    /// What a witness says of itself; absent on other hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<HostWitness>,
    /// On a witness: the clusters that it votes for. Written by the operator; a name is of the first that has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["clusterName".into()]))]
    pub clusters: Vec<ServedCluster>,
    /// The last stage that this host worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedStage>,
    /// What this host remembers on its own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// Who has left the cluster, as this host remembers: no number of theirs is given away again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["nodeId".into()]))]
    pub tombstones: Vec<Tombstone>,
    /// Secrets that this host encrypted for other hosts, until those have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["to".into()]))]
    pub sealed: Vec<SealedSecret>,
    /// When the agent's token ends, unless it is renewed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expiry: Option<Time>,
}

/// Whose changes a host obeys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostCluster {
    /// Name of the `PveCluster`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the `PveCluster`.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Digest of the corosync.conf whose text the operator has: the agent need not send that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64))]
    pub config_digest: Option<String>,
    /// What the ways of a link may be like, where the cluster's spec says another thing than the usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub limits: Vec<StageLimits>,
}

/// The cluster file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pmxcfs {
    /// /etc/pve is mounted.
    pub mounted: bool,
    /// /etc/pve takes writes.
    pub writable: bool,
    /// Version of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
}

/// An address on a network card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostAddress {
    /// The network card.
    #[schemars(length(min = 1, max = 15))]
    pub interface: String,
    /// The address with its prefix length.
    #[schemars(length(min = 1, max = 43))]
    pub cidr: String,
}

/// A node's name that this machine takes for another address than that node itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrayName {
    /// The name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What it resolves to on this machine.
    #[schemars(length(min = 1, max = 16), inner(length(min = 2, max = 45)))]
    pub here: Vec<String>,
    /// What the node itself has for it, as pmxcfs tells.
    #[schemars(length(min = 2, max = 45))]
    pub own: String,
}

/// A storage that is reached over the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageServer {
    /// The address.
    #[schemars(length(min = 2, max = 45))]
    pub address: String,
    /// The storage, or one of them.
    #[schemars(length(max = 128))]
    pub name: String,
}

/// The authkey on a host's disk. Nothing here says anything of the key itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostAuthkey {
    /// What tells it from others: 64 bits of a hash, 16 lower-case hexadecimal digits.
    #[schemars(length(min = 16, max = 16))]
    pub fingerprint: String,
    /// The generation that this host was given last; 0: none by a change.
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub generation: i32,
}

/// The two copies of corosync.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// /etc/pve/corosync.conf; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmxcfs: Option<FileView>,
    /// /etc/corosync/corosync.conf; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<FileView>,
}

/// One copy of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileView {
    /// `config_version` as corosync reads it; absent: missing or not a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub version: Option<i64>,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub digest: String,
    /// The text; only where its digest differs from `cluster.configDigest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ConfigText::LONGEST))]
    pub text: Option<String>,
}

/// What matters of datacenter.cfg here. The rest of the file, which may say anything, is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostDatacenter {
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits. A file that is missing is an empty one.
    #[schemars(length(min = 64, max = 64))]
    pub digest: String,
    /// The line `migration`; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<HostTransfer>,
    /// The line `replication`; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<HostTransfer>,
}

/// A line that says how guests travel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostTransfer {
    /// How; absent when the line counts for nothing to Proxmox VE.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TransferType>,
    /// Over which network; absent: the cluster's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub network: Option<String>,
    /// Why Proxmox VE takes the line for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub ignored: Option<String>,
}

/// The running daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// `totem.config_version` that the daemon holds.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub config_version: i64,
    /// The values that it was started with of the keys that no reload changes. The file, and what the
    /// daemon shows of it, may say something else by now: then it waits for a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub started_with: Vec<StartedWith>,
}

/// What a daemon was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedWith {
    /// The key, as corosync's cmap calls it.
    #[schemars(length(min = 3, max = 255))]
    pub key: String,
    /// The value.
    #[schemars(length(max = 512))]
    pub value: String,
}

/// A key in which the places of this host differ. What is absent is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostDrift {
    /// The key, such as `totem.interface[1].knet_link_priority`; `corosync.conf` is the whole file.
    #[schemars(length(min = 1, max = 512))]
    pub key: String,
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

/// Who is in the current membership.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Representative and number of the ring: equal ids are equal membership.
    #[schemars(length(min = 1, max = 64))]
    pub ring_id: String,
    /// Node ids of the members, ascending.
    #[schemars(length(max = 384), inner(range(min = 1, max = 4_294_967_295_i64)))]
    pub members: Vec<i64>,
    /// This host's own node id.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub local_node_id: i64,
}

/// Votes as this host sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostQuorum {
    /// This host is in the quorate part.
    pub quorate: bool,
    /// Votes that there would be with everybody present.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub expected_votes: i64,
    /// Votes that are present.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub total_votes: i64,
    /// Votes that are needed.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub quorum_votes: i64,
}

/// Proxmox VE's high availability on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostHa {
    /// What it does here.
    pub state: HaState,
    /// `ha-manager` is here and knows `disarm-ha`.
    #[serde(default)]
    pub can_disarm: bool,
}

/// A part of a file below /etc/pve that names a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Its name among those of its kind.
    #[schemars(length(max = 128))]
    pub name: String,
    /// It names other nodes as well, in the same list: this one can be taken out of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub names_others: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What may name a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReferenceKind {
    /// A replication job.
    ReplicationJob,
    /// A rule of high availability.
    HaRule,
    /// A group of high availability, as before Proxmox VE 9.
    HaGroup,
    /// A storage that only some nodes have.
    Storage,
    /// A backup job of one node.
    BackupJob,
    /// A guest of the node under high availability.
    HaResource,
}

/// What high availability does on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HaState {
    /// Its LRM never ran here.
    Absent,
    /// The LRM runs no watchdog.
    Idle,
    /// The LRM runs its watchdog: a minute without quorum resets the host.
    Active,
    /// The cluster is disarmed, and this host's watchdog is released.
    Disarmed,
    /// Its files are not understood.
    #[default]
    Unknown,
}

/// How far this host got with the last stage that it worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedStage {
    /// Number of the change.
    #[schemars(range(min = 1, max = crate::LARGEST))]
    pub change: i64,
    /// Digest of the change's plan: under one number there is only one plan.
    #[schemars(length(min = 64, max = 64))]
    pub change_digest: String,
    /// The stage, counted from 1.
    #[schemars(range(min = 1, max = 64))]
    pub stage: i32,
    /// What became of it.
    pub result: StageResult,
    /// One sentence for people; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What a host remembers on its own disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// The highest number of a change that this host ever accepted; 0: none.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub highest_change: i64,
}

/// A secret that only one other host can read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecret {
    /// Number of the change that asked for it.
    #[schemars(range(min = 1, max = crate::LARGEST))]
    pub change: i64,
    /// Name of the `PveHost` that can read it.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,
    /// The encrypted bytes in armoured form.
    #[schemars(length(min = 1, max = 16384))]
    pub data: String,
}
