//! A `PveHost` as the planner and the guards see it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{AddrParseError, IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pvecm_core::change::ConfText;
use pvecm_core::drift::HostDrift;
use pvecm_core::fitness::{Fitness, StrayName};
use pvecm_core::ids::{ChangeNumber, ConfigVersion, LinkNumber, NodeId};
use pvecm_core::observed::{Absence, AppliedStage, Claim, FileView, HostView, KeyView};
use pvecm_core::references::Reference;

use super::device::device_view;
use super::plan::tombstone_to_core;
use super::transfer::view_to_core;
use super::{ConvertError, id, id_number, number};
use crate::condition::{kind, reason};
use crate::host::{
    self, AbsenceKind, AfterRemoval, HostAddress, HostCluster, HostLinkFault, LinkClass, PveHost,
    PveHostStatus, Role, StorageServer,
};

/// The checked form of what a host reports.
///
/// `connected` says whether its agent is heard at the time of day `now`; `cluster_uid` is the cluster at
/// hand; `known` is the text that the operator has, put in where a
/// file has its digest. A status that cannot be read is an error, never a host without files: that
/// would look like a machine on which a cluster may be formed.
pub fn host_view(
    host: &PveHost,
    (connected, now): (bool, Timestamp),
    cluster_uid: &str,
    known: Option<&ConfText>,
) -> Result<HostView, ConvertError> {
    let status = host.status.clone().unwrap_or_default();
    let fitness = fitness(&status)?;
    let cards = cards(&status.addresses)?;
    let files = status.files.unwrap_or_default();
    let file = |view: Option<host::FileView>| view.map(|v| file_view(v, known)).transpose();
    let (ring, members) = match status.membership {
        Some(now) => (Some(now.ring_id), now.members),
        None => (None, Vec::new()),
    };
    let idle = status.conditions.iter().find(|c| tells_why_idle(c)).map(|c| c.message.clone());
    let started = status.running.iter().flat_map(|running| &running.started_with);
    let started_with = started.map(|one| (one.key.clone(), one.value.clone())).collect();
    let running = status.running.map(|r| number("status.running.configVersion", r.config_version));
    Ok(HostView {
        connected,
        claim: claim(status.cluster.as_ref(), cluster_uid),
        paused: host.spec.paused,
        witness: host.spec.role == Role::Witness,
        hostname: status.hostname.unwrap_or_default(),
        machine_id: status.machine_id,
        sealing_key: status.sealing_key,
        authkey: status.authkey.map(authkey).transpose()?,
        addresses: cards.values().flatten().copied().collect(),
        cards,
        guests: status
            .guests
            .iter()
            .map(|guest| number("status.guests", *guest))
            .collect::<Result<_, _>>()?,
        references: status.references.into_iter().map(Into::into).collect(),
        pmxcfs_file: file(files.pmxcfs)?,
        disk_file: file(files.disk)?,
        datacenter: status.datacenter.map(view_to_core).transpose()?,
        running_version: running.transpose()?.map(ConfigVersion),
        idle,
        started_with,
        pmxcfs_writable: status.pmxcfs.is_some_and(|p| p.mounted && p.writable),
        quorate: status.quorum.is_some_and(|quorum| quorum.quorate),
        ring,
        members: members
            .iter()
            .map(|node| id_number("status.membership.members", *node))
            .collect::<Result<_, _>>()?,
        link_faults: broken(&status.link_faults)?,
        drift: status.drift.into_iter().map(drift).collect(),
        ha: status.ha.as_ref().map(|ha| ha.state.into()).unwrap_or_default(),
        can_disarm: status.ha.is_some_and(|ha| ha.can_disarm),
        tombstones: status
            .tombstones
            .iter()
            .map(|one| tombstone_to_core("status.tombstones", one))
            .collect::<Result<_, _>>()?,
        applied: status.applied.map(applied).transpose()?,
        fitness,
        shared_storages: status.shared_storages.into_iter().collect(),
        storage_servers: storage_servers(status.storage_servers)?,
        device: device_view(status.device)?,
        lives_alone: host.spec.after_removal == AfterRemoval::LiveAlone,
        may_share: host.spec.shared_storages.iter().cloned().collect(),
        absence: host.spec.absence.as_ref().and_then(|stated| absence(stated, now)),
    })
}

/// One that is slow or loses packets carries all the same.
fn broken(faults: &[HostLinkFault]) -> Result<BTreeSet<(LinkNumber, NodeId)>, ConvertError> {
    let broken = faults.iter().filter(|fault| fault.class == LinkClass::Broken);
    let at = |fault: &HostLinkFault| {
        let link = id_number("status.linkFaults.link", fault.link.into())?;
        Ok((link, id_number("status.linkFaults.nodeId", fault.node_id)?))
    };
    broken.map(at).collect()
}

/// The addresses on each network card.
fn cards(addresses: &[HostAddress]) -> Result<BTreeMap<String, BTreeSet<IpNet>>, ConvertError> {
    let mut cards: BTreeMap<String, BTreeSet<IpNet>> = BTreeMap::new();
    for HostAddress { interface, cidr } in addresses {
        let address = cidr.parse().map_err(|e| ConvertError::Address("status.addresses", e))?;
        cards.entry(interface.clone()).or_default().insert(address);
    }
    Ok(cards)
}

fn storage_servers(told: Vec<StorageServer>) -> Result<BTreeMap<IpAddr, String>, ConvertError> {
    let server = |StorageServer { address, name }| {
        let address = address.parse();
        Ok((address.map_err(|why| ConvertError::Ip("status.storageServers.address", why))?, name))
    };
    told.into_iter().map(server).collect()
}

/// What the agent says of its machine; its clock is seen by who hears it.
fn fitness(status: &PveHostStatus) -> Result<Fitness, ConvertError> {
    let addresses = |told: &Vec<String>| {
        told.iter().map(|address| address.parse()).collect::<Result<BTreeSet<IpAddr>, _>>()
    };
    let name_addresses = status.name_addresses.as_ref().map(addresses).transpose();
    let stray_names = status.stray_names.iter().map(stray_name).collect::<Result<_, _>>();
    Ok(Fitness {
        corosync_version: status.corosync_version.clone(),
        pmxcfs_version: status.pmxcfs.as_ref().and_then(|pmxcfs| pmxcfs.version.clone()),
        name_addresses: name_addresses
            .map_err(|why| ConvertError::Ip("status.nameAddresses", why))?,
        stray_names: stray_names.map_err(|why| ConvertError::Ip("status.strayNames", why))?,
        clock_ahead_secs: None,
    })
}

fn stray_name(stray: &host::StrayName) -> Result<StrayName, AddrParseError> {
    let host::StrayName { name, here, own } = stray;
    Ok(StrayName {
        name: name.clone(),
        here: here.iter().map(|address| address.parse::<IpAddr>()).collect::<Result<_, _>>()?,
        own: own.parse::<IpAddr>()?,
    })
}

/// Whether the agent says in this condition why corosync does not run.
fn tells_why_idle(condition: &Condition) -> bool {
    let reason = condition.reason.as_str();
    condition.type_ == kind::QUORATE && [reason::HELD, reason::OUTRUN].contains(&reason)
}

/// The statement, as long as it may be acted upon.
fn absence(stated: &host::Absence, now: Timestamp) -> Option<Absence> {
    let host::Absence { kind, because, until } = stated;
    let is_dead = *kind == AbsenceKind::Dead;
    let holds = until.as_ref().is_none_or(|end| now < end.0);
    holds.then(|| Absence { is_dead, because: because.clone() })
}

/// A later cluster of the same name is another one, so the UID decides.
fn claim(cluster: Option<&HostCluster>, uid: &str) -> Claim {
    match cluster {
        None => Claim::Free,
        Some(claimed) if claimed.uid == uid => Claim::Ours,
        Some(claimed) => Claim::Other(claimed.name.clone()),
    }
}

fn file_view(view: host::FileView, known: Option<&ConfText>) -> Result<FileView, ConvertError> {
    let host::FileView { version, digest, text } = view;
    let digest = id("status.files.digest", &digest)?;
    let same = || known.filter(|known| known.digest == digest).map(|known| known.text.clone());
    let version = version.map(|version| number("status.files.version", version));
    Ok(FileView {
        version: version.transpose()?.map(ConfigVersion),
        digest,
        text: text.or_else(same),
    })
}

fn authkey(key: host::HostAuthkey) -> Result<KeyView, ConvertError> {
    let host::HostAuthkey { fingerprint, generation } = key;
    Ok(KeyView {
        fingerprint: id("status.authkey.fingerprint", &fingerprint)?,
        generation: number("status.authkey.generation", generation)?,
    })
}

impl From<host::Reference> for Reference {
    fn from(reference: host::Reference) -> Self {
        let host::Reference { kind, name, names_others } = reference;
        Self { kind: kind.into(), name, names_others }
    }
}

/// As far as the schema has room for its name.
impl From<Reference> for host::Reference {
    fn from(reference: Reference) -> Self {
        let Reference { kind, name, names_others } = reference;
        Self { kind: kind.into(), name: name.chars().take(128).collect(), names_others }
    }
}

fn drift(drift: host::HostDrift) -> HostDrift {
    let host::HostDrift { key, pmxcfs, disk, running } = drift;
    HostDrift { key, pmxcfs, disk, running }
}

fn applied(stage: host::AppliedStage) -> Result<AppliedStage, ConvertError> {
    let host::AppliedStage { change, change_digest, stage, result, message } = stage;
    Ok(AppliedStage {
        change: ChangeNumber(number("status.applied.change", change)?),
        digest: id("status.applied.changeDigest", &change_digest)?,
        stage: number("status.applied.stage", stage)?,
        result: result.into(),
        message,
    })
}
