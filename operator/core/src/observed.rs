//! What the hosts report, as the planner and the guards see it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::change::{ConfText, StageResult, Tombstone};
use crate::datacenter::{DatacenterView, Lines};
use crate::device::{DeviceView, SecretView, WitnessView};
use crate::drift::HostDrift;
use crate::fitness::Fitness;
use crate::ha::HaState;
use crate::ids::{ChangeNumber, ConfigVersion, Digest, Fingerprint, HostName, LinkNumber, NodeId};
use crate::references::Reference;

/// Everything known about one cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedCluster {
    /// The hosts that the spec names and that exist as `PveHost`, by name.
    pub hosts: BTreeMap<HostName, HostView>,
    /// The highest change number in any object and any host's ledger; the next one is one above.
    pub last_change: ChangeNumber,
    /// The highest `config_version` that any kept change has written or reserved.
    pub reserved_version: ConfigVersion,
    /// The text that the last ended change of this cluster left, up to its number; `None`: no kept
    /// change tells.
    pub left: Option<ConfText>,
    /// The host that the spec names as witness, where it exists.
    pub witness: Option<WitnessView>,
    /// The Secret that the spec names, with certificates for a `QNetd` that somebody else runs; `None`: nobody has
    /// looked at it.
    pub secret: Option<SecretView>,
    /// The lines of datacenter.cfg that changes of this cluster left; what is missing no kept change tells.
    pub left_datacenter: Lines,
}

/// What one host's agent says of itself, and whether the agent is heard at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one host, no states")]
pub struct HostView {
    /// Whether the agent's heartbeat is fresh.
    pub connected: bool,
    /// Whom this host obeys.
    pub claim: Claim,
    /// `PveHost.spec.paused`: the agent changes nothing on this host.
    pub paused: bool,
    /// `PveHost.spec.role` is `Witness`.
    pub witness: bool,
    /// The machine's host name up to the first dot.
    pub hostname: String,
    /// /etc/machine-id.
    pub machine_id: Option<String>,
    /// The public key to which secrets for this host are encrypted (age recipient).
    pub sealing_key: Option<String>,
    /// Its authkey; `None`: there is none, or the agent has not said which.
    pub authkey: Option<KeyView>,
    /// The addresses on the machine's network cards, with their prefix lengths.
    pub addresses: BTreeSet<IpNet>,
    /// The same by network card.
    pub cards: BTreeMap<String, BTreeSet<IpNet>>,
    /// Ids of the guests configured on this machine.
    pub guests: BTreeSet<u32>,
    /// What in the cluster's own files names this machine's node.
    pub references: BTreeSet<Reference>,
    /// `/etc/pve/corosync.conf`.
    pub pmxcfs_file: Option<FileView>,
    /// `/etc/corosync/corosync.conf`.
    pub disk_file: Option<FileView>,
    /// `/etc/pve/datacenter.cfg`; `None`: it is not known.
    pub datacenter: Option<DatacenterView>,
    /// `totem.config_version` of the running daemon; `None`: corosync does not run.
    pub running_version: Option<ConfigVersion>,
    /// Why corosync does not run, in one sentence, where the host can tell.
    pub idle: Option<String>,
    /// The values of [`values_at_start`](crate::conf::values_at_start) that the daemon was started with;
    /// a key that is missing is not known.
    pub started_with: BTreeMap<String, String>,
    /// /etc/pve is mounted by pmxcfs and takes writes.
    pub pmxcfs_writable: bool,
    /// Corosync says that this host is in the quorate part. False while corosync does not run.
    pub quorate: bool,
    /// Ring id of the current membership; equal ids are equal membership.
    pub ring: Option<String>,
    /// Node ids in the current membership. Empty while corosync does not run.
    pub members: BTreeSet<NodeId>,
    /// The links to other members that are configured and not connected, as this host sees them.
    pub link_faults: BTreeSet<(LinkNumber, NodeId)>,
    /// The keys in which this host's own places differ, and have for a while.
    pub drift: Vec<HostDrift>,
    /// What high availability does here.
    pub ha: HaState,
    /// The host has a `ha-manager` that knows `disarm-ha`.
    pub can_disarm: bool,
    /// Who has left, as this host's ledger remembers.
    pub tombstones: BTreeSet<Tombstone>,
    /// The last stage that this host worked on.
    pub applied: Option<AppliedStage>,
    /// A person's statement that the machine is powered off, as long as it may be acted upon.
    pub absence: Option<Absence>,
    /// What matters of the machine when it is to become a member.
    pub fitness: Fitness,
    /// The storages that this machine uses together with another node, as its own storage.cfg says.
    pub shared_storages: BTreeSet<String>,
    /// The storages that it reaches at an address, by that address.
    pub storage_servers: BTreeMap<IpAddr, String>,
    /// Its part of the QDevice.
    pub device: DeviceView,
    /// `PveHost.spec.afterRemoval` is `LiveAlone`; else it puts away what it has once it has left.
    pub lives_alone: bool,
    /// The storages that it may go on sharing where it goes on alone, by a person's word.
    pub may_share: BTreeSet<String>,
}

/// A person's statement that a machine is powered off and stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// It never comes back as what it was: it is removed. Otherwise it is away, and a member.
    pub is_dead: bool,
    /// How that person knows.
    pub because: String,
}

/// Whom a host obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has claimed it.
    Free,
    /// It obeys the cluster at hand.
    Ours,
    /// It obeys another `PveCluster`, named here.
    Other(String),
}

/// The authkey on a host's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyView {
    /// What tells it from others.
    pub fingerprint: Fingerprint,
    /// Its generation as far as this host knows; 0: it was never exchanged here.
    pub generation: u32,
}

/// One copy of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// `config_version` as corosync reads it; `None`: missing or not a number.
    pub version: Option<ConfigVersion>,
    /// Of the bytes.
    pub digest: Digest,
    /// The text, as far as it is known (from the host, or from the change that wrote it).
    pub text: Option<String>,
}

/// How far a host got with the last stage that it worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedStage {
    /// The change.
    pub change: ChangeNumber,
    /// Of that change's plan: after a restore of the API server another one may have the number.
    pub digest: Digest,
    /// The stage, counted from 1.
    pub stage: u32,
    /// What became of it.
    pub result: StageResult,
    /// One sentence for people; empty when there is nothing to say.
    pub message: String,
}

impl ObservedCluster {
    /// Every tombstone that any host remembers.
    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.hosts.values().flat_map(|host| &host.tombstones)
    }

    /// The highest `config_version` that was seen anywhere or reserved: the next text takes the one
    /// above, because none may ever name two texts.
    #[must_use]
    pub fn highest_version(&self) -> ConfigVersion {
        let of_host = |host: &HostView| {
            let files =
                host.pmxcfs_file.iter().chain(&host.disk_file).filter_map(|file| file.version);
            files.chain(host.running_version).max()
        };
        let seen = self.hosts.values().filter_map(of_host).max().unwrap_or_default();
        seen.max(self.reserved_version)
    }
}

impl HostView {
    /// What a person says who declared this machine dead.
    #[must_use]
    pub fn declared_dead(&self) -> Option<&str> {
        self.absence
            .as_ref()
            .filter(|absence| absence.is_dead)
            .map(|absence| absence.because.as_str())
    }

    /// What a person says who declared this machine away.
    #[must_use]
    pub fn declared_away(&self) -> Option<&str> {
        self.absence
            .as_ref()
            .filter(|absence| !absence.is_dead)
            .map(|absence| absence.because.as_str())
    }

    /// Whether the host has nothing of any cluster.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pmxcfs_file.is_none() && self.disk_file.is_none() && self.running_version.is_none()
    }

    /// The host's addresses inside a network.
    pub fn addresses_in(&self, network: &IpNet) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(IpNet::addr).filter(|address| network.contains(address))
    }
}

impl From<&ConfText> for FileView {
    fn from(conf: &ConfText) -> Self {
        Self { version: Some(conf.version), digest: conf.digest, text: Some(conf.text.clone()) }
    }
}
