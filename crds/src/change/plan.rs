//! The wire form of a plan. Maps of the core become lists of named members here.

use kube::KubeSchema;
use pvecm_core::ids::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::TransferType;
use crate::host::Reference;

/// Everything that will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The file in force that this starts from; absent: there is no cluster yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// `metadata.generation` of the spec that asked for it.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub generation: i64,
    /// What is done, in one sentence.
    #[schemars(length(max = 1024))]
    pub summary: String,
    /// The worst that it may do to what runs on the cluster.
    pub risk: Risk,
    /// The steps in their order; each is confirmed on every host before the next.
    #[schemars(length(min = 1, max = 64))]
    pub stages: Vec<Stage>,
}

impl Plan {
    /// What tells this plan from another one under the same number.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("numbers, texts and lists alone"))
    }
}

/// The file in force that a plan starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// Its `config_version`.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub config_version: i64,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub digest: String,
}

/// The worst that a change may do to what runs on the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Risk {
    /// Nothing stops.
    Live,
    /// corosync restarts host by host.
    NodeRestart,
    /// The whole cluster is without quorum for a while.
    Outage,
    /// Quorum is lost, and votes are taken from hosts that a person declared dead.
    Recovery,
    /// The cluster ends: its hosts are separated.
    Dissolution,
}

/// One step that is safe for the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// What is done, in one sentence.
    #[schemars(length(max = 1024))]
    pub summary: String,
    /// The worst that this stage may do.
    pub risk: Risk,
    /// How the hosts go through it.
    pub course: Course,
    /// The members that prepare and confirm together. Empty for a local stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub group: Vec<Member>,
    /// Hosts that start corosync in this stage and confirm once they are members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub joining: Vec<Member>,
    /// corosync.conf as it is when the stage is over.
    pub config: ConfigText,
    /// What is written over `config` when the stage is undone: the old content under a higher
    /// number. Absent where undoing leaves no cluster behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<ConfigText>,
    /// What single hosts do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub actions: Vec<HostActions>,
    /// What must hold on every host at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub probes: Vec<Probe>,
    /// What the ways of a link may be like before it is used, where the spec says another thing than the usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub limits: Vec<StageLimits>,
    /// Seconds from the start of acting until the hosts undo the stage.
    #[schemars(range(min = 1, max = 3600))]
    pub confirm_timeout_seconds: i32,
}

/// What the ways of one link may be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageLimits {
    /// The link's number.
    #[schemars(range(min = 0, max = 7))]
    pub link: i32,
    /// Milliseconds that half of the round trips may take.
    #[schemars(range(min = 1, max = 1000))]
    pub round_trip_millis: i32,
    /// Packets of a hundred that may be lost.
    #[schemars(range(min = 0, max = 100))]
    pub loss_percent: i32,
}

/// How the hosts go through a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Course {
    /// Each host named in `actions` acts, confirms and undoes for itself.
    Local,
    /// The group prepares, one member writes `config` through pmxcfs, everyone confirms.
    Write,
    /// The joining hosts start and the group watches.
    Start,
    /// The host in `joining` is a member that starts corosync anew while the group watches.
    Restart,
    /// The group agrees, then every member stops corosync, puts `config` on its own disk and starts again;
    /// /etc/pve gets it when all are back.
    Outage,
    /// The group prepares, one member changes datacenter.cfg through pmxcfs, everyone confirms.
    Datacenter,
}

/// A host under its number in corosync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The node's number in corosync.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub node_id: i64,
    /// Name of the `PveHost`.
    #[schemars(length(min = 1, max = 63))]
    pub host: String,
}

/// A text of corosync.conf under its number and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigText {
    /// `config_version` inside the text.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub version: i64,
    /// SHA-256 of the text's bytes, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub digest: String,
    /// The whole file.
    #[schemars(length(max = ConfigText::LONGEST))]
    pub text: String,
}

impl ConfigText {
    /// The most characters that a text may have: 64 nodes with 8 host names each fit.
    pub const LONGEST: usize = 196_608;
}

/// What one host does in a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostActions {
    /// Name of the `PveHost`.
    #[schemars(length(min = 1, max = 63))]
    pub host: String,
    /// In this order.
    #[schemars(length(min = 1, max = 16))]
    pub actions: Vec<Action>,
}

/// One action of one host: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Make the authkey if there is none, put `config` in place, start corosync, then pmxcfs.
    FormCluster {},
    /// Encrypt the authkey to a joining host's sealing key and publish the result.
    SealAuthkey {
        /// Name of the `PveHost` that will be able to read it.
        #[schemars(length(min = 1, max = 63))]
        to: String,
        /// Its sealing key (age recipient) as the plan saw it.
        #[schemars(length(min = 1, max = 256))]
        recipient: String,
    },
    /// Take the authkey that was sealed for this host and put it where corosync reads it.
    ReceiveAuthkey {
        /// The generation of that key.
        #[serde(default, skip_serializing_if = "is_zero")]
        #[schemars(range(min = 0, max = 2_147_483_647_i64))]
        generation: i32,
    },
    /// Make another authkey, lay it beside the one in force, and encrypt it for the other members.
    MakeAuthkey {
        /// The other members.
        #[schemars(length(max = 64))]
        receivers: Vec<Receiver>,
    },
    /// Take the authkey that was sealed for this host and lay it beside the one in force.
    LayAuthkey {},
    /// With the whole group, before the text is written: put the authkey that was laid beside the one in
    /// force in its place.
    ExchangeAuthkey {
        /// The generation of the new key.
        #[schemars(range(min = 1, max = 2_147_483_647_i64))]
        generation: i32,
    },
    /// Put `config` on the own disk, set the own configuration database aside, start corosync and,
    /// when this host is quorate, pmxcfs.
    Join {
        /// Who has left the cluster before: this host remembers them as well, once it is a member.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 256))]
        tombstones: Vec<Tombstone>,
    },
    /// Take the cluster's file, which is `config`, over the own disk's.
    RefreshStaleConfig {},
    /// Have every member read its own file again, until this host's daemon runs what it says.
    Reload {},
    /// Have Proxmox VE release its watchdogs in the whole cluster, and remember that they are to be armed
    /// again.
    DisarmHa {},
    /// Have Proxmox VE's high availability armed again.
    ArmHa {},
    /// Stop corosync and start it again with the text that lies on the disk.
    RestartCorosync {},
    /// Stop corosync and pmxcfs, since this host leaves, as long as every other member is there.
    StopCorosync {},
    /// Move all that this host has of the cluster aside.
    LeaveCluster {},
    /// Stop corosync and pmxcfs, since this host goes on alone with its guests, as long as every other member is
    /// there.
    StopToSeparate {
        /// The storages that both sides may go on using, by a person's word.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
        shared_storages: Vec<String>,
    },
    /// Take the cluster out of this host's own database, with all that is of the other nodes, and go on alone
    /// with it.
    Separate {
        /// The storages that both sides may go on using, by a person's word.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
        shared_storages: Vec<String>,
    },
    /// Have corosync expect no more votes than those who are left have, as long as nobody sees one of the dead.
    SetExpectedVotes {
        /// The votes of those who are left.
        #[schemars(range(min = 1, max = 2_147_483_647_i64))]
        votes: i32,
        /// The numbers of the listed nodes whose machines a person declared dead.
        #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 4_294_967_295_i64)))]
        dead: Vec<i64>,
    },
    /// Remember who has left, once the text without that node is in force.
    Bury(Tombstone),
    /// Put away what the cluster's own files keep of a node that has left: its folder, and its keys.
    Sweep(Tombstone),
    /// Take a node that is to leave out of these lists in the cluster's own files.
    CleanReferences {
        /// The node's name.
        #[schemars(length(min = 1, max = 63))]
        node: String,
        /// What names it, and names others as well.
        #[schemars(length(min = 1, max = 64))]
        references: Vec<Reference>,
    },
    /// With the whole group: change these lines of datacenter.cfg.
    WriteDatacenterConfig {
        /// SHA-256 of the file that it starts from, 64 lower-case hexadecimal digits.
        #[schemars(length(min = 64, max = 64))]
        parent: String,
        /// The line `migration`, if it changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        migration: Option<DatacenterLine>,
        /// The line `replication`, if it changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replication: Option<DatacenterLine>,
    },
    /// Make a key and a request for a certificate of this witness, and lay them beside those in use.
    RequestCertificate {
        /// What the certificate is to be of: the name in corosync.conf.
        #[schemars(length(min = 1, max = 15))]
        cluster: String,
        /// The certificate of the witness, in PEM.
        #[schemars(length(min = 1, max = 8192))]
        authority: String,
        /// The IP address at which the witness is reached.
        #[schemars(length(min = 2, max = 45))]
        witness: String,
        /// Which certificate it is of this node.
        #[schemars(range(min = 0, max = 2_147_483_647_i64))]
        generation: i32,
    },
    /// Take the certificate that the witness issued, and lay it beside the one in use.
    TakeCertificate {},
    /// Take the key and certificate that were sealed for this host, those of the whole cluster, and lay them beside
    /// the ones in use.
    ImportCertificate {
        /// What the certificate is of: the name in corosync.conf.
        #[schemars(length(min = 1, max = 15))]
        cluster: String,
        /// The certificate of the `QNetd`, in PEM.
        #[schemars(length(min = 1, max = 8192))]
        authority: String,
        /// The IP address at which that is reached.
        #[schemars(length(min = 2, max = 45))]
        witness: String,
        /// Which certificate it is of this node.
        #[schemars(range(min = 0, max = 2_147_483_647_i64))]
        generation: i32,
        /// The sealing key of this host (age recipient).
        #[schemars(length(min = 1, max = 128))]
        recipient: String,
    },
    /// Have corosync-qdevice run with the newest certificate, until corosync counts its votes.
    StartDevice {},
    /// Have corosync-qdevice run no more, until corosync counts none of its votes.
    StopDevice {},
    /// Move all certificates of the device aside.
    PutDeviceAway {},
}

/// A line of datacenter.cfg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatacenterLine {
    /// How guests travel; Default: the line is taken out.
    #[serde(rename = "type")]
    pub kind: TransferType,
    /// Over which network; absent: the cluster's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub network: Option<String>,
}

/// Who has left a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The node's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its number in corosync.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub node_id: i64,
    /// /etc/machine-id of its machine, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub machine_id: Option<String>,
    /// The generation of the authkey that its machine still has: the members owe themselves another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub keeps_key: Option<i32>,
    /// It went on alone with its guests: what is configured for them in the cluster is theirs no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lives_alone: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A host for which a secret is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Name of the `PveHost` that will be able to read it.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,
    /// Its sealing key (age recipient) as the plan saw it.
    #[schemars(length(min = 1, max = 256))]
    pub recipient: String,
}

/// What must hold on every host at the end of a stage: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Probe {
    /// The running daemon has this value under this cmap key; no value: the key must be gone.
    RunningValue {
        /// The cmap key.
        #[schemars(length(min = 3, max = 255))]
        key: String,
        /// The value as cmap prints it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 512))]
        value: Option<String>,
    },
    /// This link is connected to every other host of the group.
    LinkConnected {
        /// The link's number, 0 to 7.
        #[schemars(range(min = 0, max = 7))]
        link: i32,
    },
    /// On the hosts that start in this stage: their daemon was started with this value of a key that
    /// no reload changes.
    StartedWith {
        /// The key, as cmap calls it.
        #[schemars(length(min = 3, max = 255))]
        key: String,
        /// The value.
        #[schemars(length(max = 512))]
        value: String,
    },
    /// The authkey of the exchange lies where corosync read it, and every link has outlived since then the
    /// time in which one end notices that the other does not understand it.
    AuthkeyTaken {},
    /// These node ids, and no others, are in the membership.
    Membership {
        /// The ids.
        #[schemars(length(max = 64), inner(range(min = 1, max = 4_294_967_295_i64)))]
        nodes: Vec<i64>,
    },
}
