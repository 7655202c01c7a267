//! A plan: numbered, immutable, and cut into stages that are each safe for the whole cluster.
//!
//! The planner makes a [`Plan`]`<`[`Proposed`]`>`, the guards turn it into a
//! [`Plan`]`<`[`Proven`]`>`, and only that one can be dispatched. Agents carry out its [`Stage`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::conf::Config;
use crate::datacenter::DatacenterWrite;
use crate::fitness::Limits;
use crate::ids::{ClusterName, ConfigVersion, Digest, HostName, LinkNumber, NodeId, NodeName};
use crate::references::Reference;

/// A text of corosync.conf with the number and the digest under which everybody knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfText {
    /// `config_version` inside the text.
    pub version: ConfigVersion,
    /// Of the text's bytes.
    pub digest: Digest,
    /// The whole file.
    pub text: String,
}

impl ConfText {
    /// Names a text by its number and digest. `version` is the one that stands inside the text.
    #[must_use]
    pub fn new(version: ConfigVersion, text: String) -> Self {
        Self { version, digest: Digest::of(text.as_bytes()), text }
    }
}

/// What a plan starts from: compare-and-set for a whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// `config_version` in force.
    pub version: ConfigVersion,
    /// Digest of the file in force.
    pub digest: Digest,
}

/// The worst that a change may do to what runs on the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

impl Risk {
    /// The worst that a reload from one text to another may do, with the authkey exchanged or not. Who
    /// asks for it has all daemons send by the new keys as soon as its own has read them: one that is
    /// milliseconds later never hears of it, and is thrown out until the stage is undone (measured: three
    /// times in twelve on two busy cores).
    #[must_use]
    pub fn of_reload(old: &Config, new: &Config, exchanges: bool) -> Self {
        let same_keys = old.crypto() == new.crypto() && !exchanges;
        if same_keys { Self::Live } else { Self::NodeRestart }
    }
}

/// The most hosts that one plan restarts: two texts for each have to fit into one object.
pub const MOST_RESTARTS: usize = 16;

/// How the hosts go through a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Course {
    /// Each host named in `actions` acts, confirms and undoes for itself.
    Local,
    /// The group prepares, one member writes `config` through pmxcfs, everyone confirms.
    Write,
    /// The hosts of `joining` start and the group watches: nothing is written unless it is undone.
    Start,
    /// The host of `joining` is a member that starts corosync anew, once the group is prepared to be
    /// without it: nothing is written unless it is undone.
    Restart,
    /// The group prepares and agrees, then every member stops corosync, puts `config` on its own disk and
    /// starts again. /etc/pve gets it when all are back.
    Outage,
    /// The group prepares, one member changes datacenter.cfg through pmxcfs, everyone confirms that it reads the
    /// same. corosync.conf stays as it is, and so does every daemon.
    Datacenter,
}

/// What one host does in a stage. Each is idempotent and can see that it is already done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Make the authkey if there is none, put `config` in place and start corosync, then pmxcfs.
    FormCluster {},
    /// Encrypt the authkey to a joining host's sealing key and publish the result.
    SealAuthkey {
        /// The host that will be able to read it.
        to: HostName,
        /// Its sealing key (age recipient) as the plan saw it.
        recipient: String,
    },
    /// Take the authkey that was sealed for this host and put it where corosync reads it.
    ReceiveAuthkey {
        /// The generation of that key.
        #[serde(default)]
        generation: u32,
    },
    /// Make another authkey, lay it beside the one in force, and encrypt it for the other members.
    MakeAuthkey {
        /// The other members, with their sealing keys (age recipients) as the plan saw them.
        receivers: BTreeMap<HostName, String>,
    },
    /// Take the authkey that was sealed for this host and lay it beside the one in force.
    LayAuthkey {},
    /// With the whole group, before the text is written: put the authkey that was laid beside the one in
    /// force in its place.
    ExchangeAuthkey {
        /// The generation of the new key.
        generation: u32,
    },
    /// Put `config` on the own disk, set the own configuration database aside, start corosync and,
    /// when this host is quorate, pmxcfs.
    Join {
        /// Who has left the cluster before: this host remembers them as well, once it is a member.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        tombstones: BTreeSet<Tombstone>,
    },
    /// Take the cluster's file, which is `config`, over the own disk's, under the lock of those that
    /// write it.
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
    /// Move all that this host has of the cluster aside, so that nothing there can start as a member of it.
    LeaveCluster {},
    /// Stop corosync and pmxcfs, since this host goes on alone with its guests, as long as every other member is
    /// there.
    StopToSeparate {
        /// The storages that both sides may go on using, by a person's word.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        shared_storages: BTreeSet<String>,
    },
    /// Take the cluster out of this host's own database, with all that is of the other nodes, and go on alone
    /// with it.
    Separate {
        /// The storages that both sides may go on using, by a person's word.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        shared_storages: BTreeSet<String>,
    },
    /// Have corosync expect no more votes than those who are left have, as long as nobody sees one of the dead.
    SetExpectedVotes {
        /// The votes of those who are left.
        votes: u32,
        /// The listed nodes whose machines a person declared dead.
        dead: BTreeSet<NodeId>,
    },
    /// Remember who has left, once the text without that node is in force.
    Bury(Tombstone),
    /// Put away what the cluster's own files keep of a node that has left: its folder, and its keys.
    Sweep(Tombstone),
    /// Take a node that is to leave out of these lists in the cluster's own files.
    CleanReferences {
        /// The node.
        node: NodeName,
        /// What names it, and names others as well.
        references: BTreeSet<Reference>,
    },
    /// With the whole group: change these lines of datacenter.cfg.
    WriteDatacenterConfig(DatacenterWrite),
    /// Make a key and a request for a certificate of this witness, and lay them beside those in use.
    RequestCertificate {
        /// What the certificate is to be of.
        cluster: ClusterName,
        /// The certificate of the witness, in PEM.
        authority: String,
        /// Where the witness is reached.
        witness: IpAddr,
        /// Which certificate it is of this node.
        generation: u32,
    },
    /// Take the certificate that the witness issued, and lay it beside the one in use.
    TakeCertificate {},
    /// Take the key and certificate that were sealed for this host, those of the whole cluster, and lay them beside
    /// the ones in use.
    ImportCertificate {
        /// What the certificate is of.
        cluster: ClusterName,
        /// The certificate of the `QNetd`, in PEM.
        authority: String,
        /// Where that is reached.
        witness: IpAddr,
        /// Which certificate it is of this node.
        generation: u32,
        /// This host's sealing key (age recipient) as the plan saw it.
        recipient: String,
    },
    /// Have corosync-qdevice run with the newest certificate, until corosync counts its votes.
    StartDevice {},
    /// Have corosync-qdevice run no more, until corosync counts none of its votes.
    StopDevice {},
    /// Move all certificates of the device aside.
    PutDeviceAway {},
}

/// Who has left a cluster. It stands in the ledger of every member, so that the number is never given away
/// again and the machine does not come back by accident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The node's name.
    pub name: NodeName,
    /// Its number in corosync.
    pub node_id: NodeId,
    /// /etc/machine-id of its machine, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// The generation of the authkey that its machine still has: nobody there could put it away. The members
    /// owe themselves another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_key: Option<u32>,
    /// It went on alone with its guests: what is configured for them here is theirs no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lives_alone: bool,
}

impl Action {
    /// Whether the host stops with it for good: as a member it does not come back.
    #[must_use]
    pub const fn stops_for_good(&self) -> bool {
        matches!(self, Self::StopCorosync {} | Self::StopToSeparate { .. })
    }

    /// Whether the host has nothing of the cluster any more after it.
    #[must_use]
    pub const fn leaves_for_good(&self) -> bool {
        matches!(self, Self::LeaveCluster {} | Self::Separate { .. })
    }

    /// The hosts that a secret is encrypted for in this action, with the keys to which it is.
    pub fn receivers(&self) -> impl Iterator<Item = (&HostName, &String)> {
        let (one, several) = match self {
            Self::SealAuthkey { to, recipient } => (Some((to, recipient)), None),
            Self::MakeAuthkey { receivers } => (None, Some(receivers)),
            Self::FormCluster {}
            | Self::ReceiveAuthkey { .. }
            | Self::LayAuthkey {}
            | Self::ExchangeAuthkey { .. }
            | Self::Join { .. }
            | Self::RefreshStaleConfig {}
            | Self::Reload {}
            | Self::DisarmHa {}
            | Self::ArmHa {}
            | Self::RestartCorosync {}
            | Self::StopCorosync {}
            | Self::LeaveCluster {}
            | Self::StopToSeparate { .. }
            | Self::Separate { .. }
            | Self::SetExpectedVotes { .. }
            | Self::Bury(_)
            | Self::Sweep(_)
            | Self::CleanReferences { .. }
            | Self::WriteDatacenterConfig(_)
            | Self::RequestCertificate { .. }
            | Self::TakeCertificate {}
            | Self::ImportCertificate { .. }
            | Self::StartDevice {}
            | Self::StopDevice {}
            | Self::PutDeviceAway {} => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

/// What must hold on every host of the group before a stage counts as confirmed, besides what always
/// must: the stage's `config` in force in all three places, quorate, /etc/pve writable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// The running daemon has this value under this cmap key; no value: the key must be gone.
    RunningValue {
        /// The cmap key.
        key: String,
        /// The value as cmap prints it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// This link is connected to every other host of the group.
    LinkConnected {
        /// The link.
        link: LinkNumber,
    },
    /// On the hosts that start in this stage: their daemon took this value of a key that no reload
    /// changes, because it lay on the disk when the daemon was started.
    StartedWith {
        /// The key, as cmap calls it.
        key: String,
        /// The value.
        value: String,
    },
    /// The authkey of the exchange lies where corosync read it, and every link has outlived since then the
    /// time in which one end notices that the other does not understand it.
    AuthkeyTaken {},
    /// These node ids, and no others, are in the membership.
    Membership {
        /// The ids.
        nodes: Vec<NodeId>,
    },
}

/// One step that is safe for the whole cluster and is confirmed on every host before the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// One sentence for people.
    pub summary: String,
    /// The worst that this stage may do.
    pub risk: Risk,
    /// How the hosts go through it.
    pub course: Course,
    /// The members that prepare and confirm in the process group. Empty for a local stage.
    pub group: BTreeMap<NodeId, HostName>,
    /// Hosts that start corosync in this stage, to become members or to be so again: they have no vote and
    /// confirm in the group once they are up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joining: BTreeMap<NodeId, HostName>,
    /// corosync.conf as it is when the stage is over.
    pub config: ConfText,
    /// What is written over `config` when the stage is undone: the old content under a higher
    /// number. Absent where undoing means that the host leaves no cluster behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<ConfText>,
    /// What single hosts do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<HostName, Vec<Action>>,
    /// What must hold at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// What the ways of a link may be like before it is used, where the spec says another thing than the usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LinkNumber, Limits>,
    /// Seconds from the start of acting until the hosts undo the stage.
    pub confirm_timeout_secs: u32,
}

impl Stage {
    /// Whether a host has any part in this stage.
    #[must_use]
    pub fn concerns(&self, host: &HostName) -> bool {
        self.hosts().any(|h| h == host)
    }

    /// Whether a host does this in the stage.
    #[must_use]
    pub fn has_action(&self, action: &Action) -> bool {
        self.actions.values().flatten().any(|other| other == action)
    }

    /// Whether the group exchanges its authkey.
    #[must_use]
    pub fn exchanges_authkey(&self) -> bool {
        let exchanges = |action: &Action| matches!(action, Action::ExchangeAuthkey { .. });
        self.actions.values().flatten().any(exchanges)
    }

    /// What the group writes into datacenter.cfg.
    #[must_use]
    pub fn datacenter_write(&self) -> Option<&DatacenterWrite> {
        self.actions.values().flatten().find_map(|action| match action {
            Action::WriteDatacenterConfig(write) => Some(write),
            _other => None,
        })
    }

    /// Whether a host waits in this stage for a secret that another one, or the operator, seals for it.
    #[must_use]
    pub fn receives_secret(&self, host: &HostName) -> bool {
        let receives = |action: &Action| {
            matches!(
                action,
                Action::ReceiveAuthkey { .. }
                    | Action::LayAuthkey {}
                    | Action::ImportCertificate { .. }
            )
        };
        self.actions.get(host).is_some_and(|actions| actions.iter().any(receives))
    }

    /// Whether a host waits in this stage for a certificate that a witness issues.
    #[must_use]
    pub fn receives_certificate(&self, host: &HostName) -> bool {
        let receives = |action: &Action| matches!(action, Action::TakeCertificate {});
        self.actions.get(host).is_some_and(|actions| actions.iter().any(receives))
    }

    /// The hosts for which the operator seals a key and certificate in this stage, with the keys to which it does,
    /// and the certificate of the `QNetd` that they are for.
    pub fn imports(&self) -> impl Iterator<Item = (&HostName, &String, &String)> {
        let all = self.actions.iter().flat_map(|(host, own)| own.iter().map(move |a| (host, a)));
        all.filter_map(|(host, action)| match action {
            Action::ImportCertificate { recipient, authority, .. } => {
                Some((host, recipient, authority))
            }
            _other => None,
        })
    }

    /// Whether high availability is disarmed when these stages of a plan, in order, are over.
    #[must_use]
    pub fn disarmed_by<'a>(stages: impl IntoIterator<Item = &'a Self>) -> bool {
        let last = stages.into_iter().filter_map(|stage| {
            let arms = stage.has_action(&Action::ArmHa {});
            (arms || stage.has_action(&Action::DisarmHa {})).then_some(!arms)
        });
        last.last().unwrap_or(false)
    }

    /// The worst that any of these stages may do.
    #[must_use]
    pub fn worst(stages: &[Self]) -> Risk {
        stages.iter().map(|stage| stage.risk).max().unwrap_or(Risk::Live)
    }

    /// Every host that has a part in this stage, some perhaps twice.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.group.values().chain(self.joining.values()).chain(self.actions.keys())
    }
}

/// What became of a stage on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageResult {
    /// Admitted and prepared, nothing changed yet.
    Prepared,
    /// Acting, or waiting for the probes to hold.
    Acting,
    /// In force here and everywhere.
    Confirmed,
    /// Undone: the old content is in force under a higher number.
    RolledBack,
    /// Not begun: this host, or another one, could not or would not prepare. Nothing was changed.
    Refused,
    /// Neither in force nor undone; a person is needed.
    Failed,
}

impl StageResult {
    /// Whether the stage is over there and not in force.
    #[must_use]
    pub const fn is_against(self) -> bool {
        match self {
            Self::RolledBack | Self::Refused | Self::Failed => true,
            Self::Prepared | Self::Acting | Self::Confirmed => false,
        }
    }
}

/// A plan that nobody has checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposed;

/// A plan whose every stage the guards have proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven;

/// What would be done next, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<State> {
    /// The file in force that this starts from; `None`: no cluster yet.
    pub parent: Option<Parent>,
    /// `metadata.generation` of the spec that asked for it.
    pub generation: i64,
    /// One sentence for people.
    pub summary: String,
    /// Never empty.
    pub stages: Vec<Stage>,
    state: PhantomData<State>,
}

impl Plan<Proposed> {
    /// A plan as the planner made it. `stages` must not be empty.
    #[must_use]
    pub const fn proposed(
        parent: Option<Parent>,
        generation: i64,
        summary: String,
        stages: Vec<Stage>,
    ) -> Self {
        Self { parent, generation, summary, stages, state: PhantomData }
    }

    /// For the guards alone: this plan is proven.
    #[must_use]
    pub(crate) fn proven(self) -> Plan<Proven> {
        let Self { parent, generation, summary, stages, state: _ } = self;
        Plan { parent, generation, summary, stages, state: PhantomData }
    }
}

impl<State> Plan<State> {
    /// The worst that any stage may do.
    #[must_use]
    pub fn risk(&self) -> Risk {
        Stage::worst(&self.stages)
    }
}
