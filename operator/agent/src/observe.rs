//! One look at the host, and the status that it makes. Decides nothing about the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pvecm_core::conf::{Config, Document, TRANSPORT, values_at_start};
use pvecm_core::datacenter::DatacenterView;
use pvecm_core::drift::{HostDrift, Places, of_host};
use pvecm_core::fitness::{StrayName, stray_names};
use pvecm_core::gate::Idle;
use pvecm_core::ha::{Ha, knows_disarm};
use pvecm_core::ids::{ConfigVersion, Fingerprint};
use pvecm_core::references::{Reference, ReferenceKind, references};
use pvecm_core::separation::{ha_resources, shared_storages, storage_servers};
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::host::{
    FileView, Files, HostAddress, HostDrift as HostDriftStatus, HostHa, HostLinkFault, HostQuorum,
    Ledger as LedgerStatus, LinkClass, Membership, Pmxcfs, PveHostStatus, Running, StartedWith,
    StorageServer, StrayName as StrayNameStatus,
};

use crate::conf_file::ConfFile;
use crate::host_ports::Host;
use crate::ports::{CardAddress, CorosyncView, DiskFile, LyingCertificates, Unit, runs_on};
use crate::stage::keys::fingerprint;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// `None`: corosync does not run.
    pub corosync: Option<CorosyncView>,
    /// pmxcfs is at /etc/pve.
    pub mounted: bool,
    /// /etc/pve takes writes.
    pub writable: bool,
    /// /etc/pve/corosync.conf.
    pub pmxcfs_conf: Option<ConfFile>,
    /// /etc/corosync/corosync.conf.
    pub disk_conf: Option<ConfFile>,
    /// /etc/pve/datacenter.cfg; empty where it is missing, `None` where it cannot be read.
    pub datacenter: Option<Vec<u8>>,
    /// /etc/corosync/authkey, as far as it is anybody's to know.
    pub authkey: Option<Fingerprint>,
    /// High availability.
    pub ha: Ha,
    /// Guests that are configured here.
    pub guests: BTreeSet<u32>,
    /// What names this node in the cluster's own files.
    pub references: BTreeSet<Reference>,
    /// Storages that this node and another one use.
    pub shared_storages: BTreeSet<String>,
    /// The storages that this node reaches at an address, by that address.
    pub storage_servers: BTreeMap<IpAddr, String>,
    /// Addresses on the network cards.
    pub addresses: Vec<CardAddress>,
    /// The host name up to the first dot.
    pub hostname: String,
    /// The other nodes, and the address that each has for its own name.
    pub others: BTreeMap<String, IpAddr>,
    /// What the own name and those of the others resolve to here, as far as it is known.
    pub resolved: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Why corosync does not run, where that was told.
    pub idle: Option<Idle>,
    /// The certificates of its QDevice.
    pub certificates: LyingCertificates,
    /// corosync-qdevice is started with the machine.
    pub device_enabled: bool,
    /// What the running daemon was started with, as the ledger remembers it; see [`started_with`].
    pub started: BTreeMap<String, String>,
}

impl Observation {
    /// Looks at everything.
    #[must_use]
    pub fn take(host: &Host) -> Self {
        let mounted = host.cluster_files.mounted();
        let others = if mounted { others(host) } else { BTreeMap::new() };
        Self {
            corosync: host.corosync.view(),
            mounted,
            writable: mounted && host.cluster_files.writable(),
            pmxcfs_conf: if mounted { found(host.cluster_files.read_conf()) } else { None },
            disk_conf: found(host.disk.read(DiskFile::Conf)),
            datacenter: if mounted { host.cluster_files.read_datacenter().ok() } else { None },
            authkey: fingerprint(host, DiskFile::Authkey),
            ha: if mounted { Ha::read(&host.ha.files()) } else { Ha::default() },
            guests: if mounted { host.cluster_files.guests() } else { BTreeSet::new() },
            references: if mounted {
                referring(host, &host.machine.hostname())
            } else {
                BTreeSet::new()
            },
            shared_storages: if mounted {
                shared(host, &host.machine.hostname())
            } else {
                BTreeSet::new()
            },
            storage_servers: if mounted { servers(host) } else { BTreeMap::new() },
            addresses: host.machine.addresses(),
            hostname: host.machine.hostname(),
            resolved: host.machine.resolved(&others.keys().cloned().collect()),
            others,
            idle: None,
            certificates: host.certificates.lying(),
            device_enabled: host.services.is_enabled(Unit::Qdevice),
            started: BTreeMap::new(),
        }
    }

    /// The same look; where it found the files of an earlier one again, with what is known of them.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        let known = |file: ConfFile| file.or_known([&before.pmxcfs_conf, &before.disk_conf]);
        self.pmxcfs_conf = self.pmxcfs_conf.map(known);
        self.disk_conf =
            self.disk_conf.map(|file| file.or_known([&self.pmxcfs_conf, &before.disk_conf]));
        self
    }

    /// Whether the places that may differ are those of another look, each as it was.
    #[must_use]
    pub fn has_places_of(&self, other: &Self) -> bool {
        fn cmap(seen: &Observation) -> Option<&BTreeMap<String, String>> {
            seen.corosync.as_ref().map(|corosync| &corosync.values)
        }
        self.pmxcfs_conf == other.pmxcfs_conf
            && self.disk_conf == other.disk_conf
            && cmap(self) == cmap(other)
    }

    /// Whether the quorum service says yes.
    #[must_use]
    pub fn quorate(&self) -> bool {
        self.corosync.as_ref().is_some_and(|corosync| corosync.quorate)
    }

    /// The cluster's file lies on the disk and the daemon runs an older one. Without quorum only where this
    /// host is alone: it may be so because of the keys of the older one, and nobody else reads his file with
    /// it.
    #[must_use]
    pub fn missed_a_reload(&self) -> bool {
        let same = self.pmxcfs_conf.is_some() && self.pmxcfs_conf == self.disk_conf;
        let version = self.disk_conf.as_ref().and_then(ConfFile::version);
        let behind = version.is_some() && self.running_version() < version;
        let alone = self.corosync.as_ref().is_some_and(|corosync| corosync.members.len() == 1);
        same && behind && (self.quorate() || alone)
    }

    /// `totem.config_version` of the running daemon.
    #[must_use]
    pub fn running_version(&self) -> Option<ConfigVersion> {
        let values = &self.corosync.as_ref()?.values;
        // Without the key corosync runs as version 0.
        let version = values.get("totem.config_version").map_or(Some(0), |text| text.parse().ok());
        version.map(ConfigVersion)
    }
}

/// A file that cannot be read (pmxcfs just died) counts as not there; the next look tells.
fn found(read: std::io::Result<Option<Vec<u8>>>) -> Option<ConfFile> {
    read.ok().flatten().map(ConfFile::from)
}

fn others(host: &Host) -> BTreeMap<String, IpAddr> {
    let mut nodes = host.cluster_files.node_addresses();
    nodes.remove(&host.machine.hostname());
    nodes
}

/// What names a node. A file that cannot be read may do so.
#[must_use]
pub fn referring(host: &Host, node: &str) -> BTreeSet<Reference> {
    let of = |kind: ReferenceKind| match host.cluster_files.read_naming(kind) {
        Ok(None) => BTreeSet::new(),
        Ok(Some(bytes)) if kind != ReferenceKind::HaResource => {
            references(kind, &String::from_utf8_lossy(&bytes), node)
        }
        Ok(Some(bytes)) => ha_resources(&String::from_utf8_lossy(&bytes), &guests_of(host, node)),
        Err(_) => {
            let name = format!("({} is not readable)", kind.file());
            [Reference { kind, name, names_others: false }].into()
        }
    };
    ReferenceKind::ALL.into_iter().flat_map(of).collect()
}

/// The guests in a node's folder. What is no number is no guest that high availability could name.
fn guests_of(host: &Host, node: &str) -> BTreeSet<u32> {
    let files = node.parse().ok().and_then(|name| host.cluster_files.guests_left(&name).ok());
    let id = |file: String| file.rsplit_once('/')?.1.strip_suffix(".conf")?.parse().ok();
    files.unwrap_or_default().into_iter().filter_map(id).collect()
}

/// The storages that a node and another one use. A file that cannot be read may name some.
#[must_use]
pub fn shared(host: &Host, node: &str) -> BTreeSet<String> {
    match host.cluster_files.read_naming(ReferenceKind::Storage) {
        Ok(None) => BTreeSet::new(),
        Ok(Some(bytes)) => shared_storages(&String::from_utf8_lossy(&bytes), node),
        Err(_) => ["(storage.cfg is not readable)".to_owned()].into(),
    }
}

/// The storages that this node reaches at an address. A file that cannot be read names none.
fn servers(host: &Host) -> BTreeMap<IpAddr, String> {
    let text = host.cluster_files.read_naming(ReferenceKind::Storage).ok().flatten();
    let text = text.unwrap_or_default();
    storage_servers(&String::from_utf8_lossy(&text), &host.machine.hostname())
}

/// What does not change while the agent runs.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Version of corosync's package.
    pub corosync_version: Option<String>,
    /// Version of pve-cluster's package.
    pub pmxcfs_version: Option<String>,
    /// Version of pve-ha-manager's package.
    pub ha_manager_version: Option<String>,
    /// /etc/machine-id.
    pub machine_id: Option<String>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Public sealing key.
    pub sealing_key: String,
}

/// The part of the status that follows from a look alone.
#[must_use]
pub fn status(seen: &Observation, identity: &Identity, known: Option<&str>) -> PveHostStatus {
    let corosync = seen.corosync.as_ref();
    PveHostStatus {
        agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        corosync_version: identity.corosync_version.clone(),
        pmxcfs: Some(Pmxcfs {
            mounted: seen.mounted,
            writable: seen.writable,
            version: identity.pmxcfs_version.clone(),
        }),
        hostname: Some(seen.hostname.clone()),
        name_addresses: seen.resolved.get(&seen.hostname).map(few),
        stray_names: stray_names(&seen.resolved, &seen.others)
            .take(64)
            .map(|StrayName { name, here, own }| StrayNameStatus {
                name,
                here: few(&here),
                own: own.to_string(),
            })
            .collect(),
        machine_id: identity.machine_id.clone(),
        boot_id: Some(identity.boot_id.clone()),
        addresses: seen.addresses.iter().take(256).map(address).collect(),
        sealing_key: Some(identity.sealing_key.clone()),
        files: Some(Files {
            pmxcfs: seen.pmxcfs_conf.as_ref().map(|file| file_view(file, known)),
            disk: seen.disk_conf.as_ref().map(|file| file_view(file, known)),
        }),
        datacenter: seen.datacenter.as_deref().map(|bytes| (&DatacenterView::of(bytes)).into()),
        running: seen.running_version().map(|version| Running {
            config_version: number(version.0),
            started_with: seen.started.iter().map(started).collect(),
        }),
        membership: corosync.and_then(membership),
        quorum: corosync.and_then(quorum),
        link_faults: corosync.map(link_faults).unwrap_or_default(),
        guests: seen.guests.iter().filter_map(|id| i32::try_from(*id).ok()).take(4096).collect(),
        references: seen.references.iter().take(64).cloned().map(Into::into).collect(),
        shared_storages: seen.shared_storages.iter().take(64).map(|name| limited(name)).collect(),
        storage_servers: seen.storage_servers.iter().take(64).map(storage_server).collect(),
        ha: Some(HostHa {
            state: seen.ha.state.into(),
            can_disarm: identity.ha_manager_version.as_deref().is_some_and(knows_disarm),
        }),
        ledger: Some(LedgerStatus::default()),
        ..PveHostStatus::default()
    }
}

/// As many as the schema has room for.
fn few(addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    addresses.iter().take(16).map(ToString::to_string).collect()
}

/// As far as the schema has room for a name.
fn limited(name: &str) -> String {
    name.chars().take(128).collect()
}

fn storage_server((address, name): (&IpAddr, &String)) -> StorageServer {
    StorageServer { address: address.to_string(), name: limited(name) }
}

fn started((key, value): (&String, &String)) -> StartedWith {
    StartedWith { key: key.clone(), value: value.clone() }
}

/// What a daemon that is seen for the first time was started with: what its file says, as long as it is
/// the one that the daemon holds. A reload between its start and this look could hide here another value
/// (the agent was not there); nobody is restarted for that, since it is no different from what is wanted.
#[must_use]
pub fn started_with(seen: &Observation) -> BTreeMap<String, String> {
    let document = seen.disk_conf.as_deref().map(Document::parse);
    let config = document.and_then(|document| Config::read(&document).ok());
    let holds = config.filter(|config| Some(config.version) == seen.running_version());
    let mut started = holds.as_ref().map(values_at_start).unwrap_or_default();
    // Of this one the daemon itself tells.
    let runs = seen.corosync.as_ref().map(|corosync| runs_on(&corosync.values));
    if let Some((transport, runs)) = started.get_mut(TRANSPORT).zip(runs) {
        *transport = runs;
    }
    started
}

/// A number for the wire, which has no unsigned ones. What does not fit is as good as the largest.
#[must_use]
pub fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn address(card: &CardAddress) -> HostAddress {
    HostAddress { interface: card.interface.clone(), cidr: card.cidr.clone() }
}

fn file_view(file: &ConfFile, known: Option<&str>) -> FileView {
    let digest = file.digest().to_string();
    let text =
        if known == Some(digest.as_str()) { None } else { String::from_utf8(file.to_vec()).ok() };
    let version = file.version().map(|version| number(version.0));
    FileView { version, digest, text }
}

fn membership(corosync: &CorosyncView) -> Option<Membership> {
    // corosync answers a moment before it has told its first membership.
    if corosync.ring.is_empty() {
        return None;
    }
    Some(Membership {
        ring_id: corosync.ring.clone(),
        members: corosync.members.iter().map(|id| i64::from(id.get())).collect(),
        local_node_id: i64::from(corosync.local?.get()),
    })
}

fn quorum(corosync: &CorosyncView) -> Option<HostQuorum> {
    let votes = corosync.votes?;
    Some(HostQuorum {
        quorate: corosync.quorate,
        expected_votes: i64::from(votes.expected),
        total_votes: i64::from(votes.total),
        quorum_votes: i64::from(votes.needed),
    })
}

/// The links that are configured and not connected.
#[must_use]
pub fn link_faults(corosync: &CorosyncView) -> Vec<HostLinkFault> {
    let faulty = corosync.links.iter().filter(|(_, connected)| !**connected);
    faulty
        .map(|((node, link), _)| HostLinkFault {
            link: i32::from(link.get()),
            node_id: i64::from(node.get()),
            class: LinkClass::Broken,
            message: None,
        })
        .collect()
}

/// The condition of the links that are not as they should be.
fn links_fact(faults: &[HostLinkFault]) -> Fact {
    let broken = faults.iter().filter(|fault| fault.class == LinkClass::Broken).count();
    let (reason, message) = match faults.first() {
        None => (reason::AS_WANTED, String::new()),
        Some(_) if broken > 0 => {
            ("LinkFaults", format!("{broken} configured links to other members are not connected"))
        }
        Some(HostLinkFault { link, node_id, class, .. }) => {
            (reason::LINKS_DEGRADED, format!("link {link} to node {node_id} is {class:?}"))
        }
    };
    (kind::LINKS_HEALTHY, faults.is_empty(), reason, message)
}

/// Where this host's own places differ at this moment. A host without /etc/pve has nothing to hold the
/// others against.
#[must_use]
pub fn drift(seen: &Observation) -> Vec<HostDrift> {
    let Some(pmxcfs) = &seen.pmxcfs_conf else { return Vec::new() };
    let cmap = seen.corosync.as_ref().map(|corosync| &corosync.values);
    of_host(&Places { pmxcfs, disk: seen.disk_conf.as_deref(), cmap })
}

/// The wire form of what differs.
#[must_use]
pub fn drift_status(drift: &[HostDrift]) -> Vec<HostDriftStatus> {
    let entry = |HostDrift { key, pmxcfs, disk, running }: HostDrift| HostDriftStatus {
        key,
        pmxcfs,
        disk,
        running,
    };
    drift.iter().cloned().map(entry).collect()
}

/// The facts behind the conditions: type, status, reason, message.
pub type Fact = (&'static str, bool, &'static str, String);

/// The facts that follow from a look, and from what has differed for a while.
#[must_use]
pub fn facts(seen: &Observation, drift: &[HostDrift], faults: &[HostLinkFault]) -> Vec<Fact> {
    let runs = seen.corosync.is_some();
    let quorate = seen.quorate();
    let ready = seen.mounted && seen.writable && (quorate || !runs);
    let why_not = if !seen.mounted {
        "pmxcfs is not mounted at /etc/pve"
    } else if !seen.writable {
        "/etc/pve takes no writes"
    } else {
        "corosync runs without quorum"
    };
    let said = |fine: bool, text: &str| if fine { String::new() } else { text.to_owned() };
    let because = |fine: bool, why: &'static str| if fine { reason::AS_WANTED } else { why };
    let no_quorum =
        if runs { "this host is not in the quorate part" } else { "corosync does not run" };
    let drifted = !drift.is_empty();
    let drift: Vec<String> = drift.iter().map(HostDrift::to_string).collect();
    let mut facts = vec![
        (kind::READY, ready, because(ready, "NotReady"), said(ready, why_not)),
        (kind::QUORATE, quorate, because(quorate, "NotQuorate"), said(quorate, no_quorum)),
        links_fact(faults),
        (kind::DRIFTED, drifted, because(!drifted, reason::EDITED_ELSEWHERE), drift.join("; ")),
    ];
    if let Some(idle) = &seen.idle {
        explain_idle(&mut facts, idle);
    }
    facts
}

/// What is missing is missing because corosync does not run, and why that is so was told.
fn explain_idle(facts: &mut [Fact], idle: &Idle) {
    let why = match idle {
        Idle::Held(_) => reason::HELD,
        Idle::Outrun { .. } => reason::OUTRUN,
    };
    for (kind, holds, reason, message) in facts {
        if !*holds && [kind::READY, kind::QUORATE].contains(kind) {
            *reason = why;
            *message = idle.sentence();
        }
    }
}

/// Conditions whose transition times move only when their status does.
#[derive(Debug, Clone, Default)]
pub struct Conditions(BTreeMap<String, Condition>);

impl Conditions {
    /// Goes on with the times that the API server holds from an earlier run.
    pub fn seed(&mut self, known: &[Condition]) {
        for condition in known {
            self.0.entry(condition.type_.clone()).or_insert_with(|| condition.clone());
        }
    }

    /// The conditions of these facts.
    pub fn update(
        &mut self,
        facts: Vec<Fact>,
        generation: Option<i64>,
        now: &Time,
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (type_, holds, reason, message) in facts {
            let status = if holds { "True" } else { "False" };
            let before = self.0.get(type_).filter(|before| before.status == status);
            let condition = Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                observed_generation: generation,
                last_transition_time: before
                    .map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
            };
            self.0.insert(type_.to_owned(), condition.clone());
            conditions.push(condition);
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transport that somebody wrote into the file is not the daemon's, whatever it read since: to believe
    /// the file would be to leave out the stop that is due.
    #[test]
    fn the_transport_of_a_daemon_is_the_one_that_it_tells_itself() {
        let text =
            b"totem {\n version: 2\n cluster_name: a\n config_version: 5\n transport: udpu\n}\n\
            nodelist {\n node {\n name: n1\n nodeid: 1\n ring0_addr: 10.0.0.1\n }\n}\n\
            quorum {\n provider: corosync_votequorum\n}\n";
        let started = |keys: &[(&str, &str)]| {
            let values = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let corosync = CorosyncView { values: values.collect(), ..CorosyncView::default() };
            let disk_conf = Some(ConfFile::from(text.to_vec()));
            let corosync = Some(corosync);
            started_with(&Observation { corosync, disk_conf, ..Observation::default() })
        };
        let version = ("totem.config_version", "5");
        assert_eq!(started(&[version, (TRANSPORT, "udpu")])[TRANSPORT], "udpu");
        assert_eq!(started(&[version])[TRANSPORT], "knet", "without the key it is knet");
        assert!(started(&[("totem.config_version", "4")]).is_empty(), "it holds another file");
    }
}
