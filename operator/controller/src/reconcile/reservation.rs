//! Which clusters a witness votes for: each has its name there while it is to vote or may be voting. Pure.
//!
//! `QNetd` tells clusters apart by the name in corosync.conf, so a name is of one cluster, the first that has it. An entry
//! goes only when nothing of the cluster can be talking to that witness any more. It stays when a cluster's object is
//! deleted and the cluster is not: the daemons go on voting, and the certificates stay those of this name. The next
//! cluster of the name in the namespace takes it over where that is the same one adopted again: as long as others than
//! its own nodes are connected there under the name, it is theirs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kube::ResourceExt as _;
use pvecm_core::conf::{Document, Overview};
use pvecm_core::device::LaidView;
use pvecm_core::ids::{ClusterName, HostName};
use pvecm_core::observed::{Claim, HostView};
use pvecm_crds::PveCluster;
use pvecm_crds::host::ServedCluster;

use super::dissolution;
use super::observe::Observation;
use super::witnesses::Witness;

/// What is to stand at a witness under the cluster's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Where.
    pub witness: HostName,
    /// What; `None`: nothing.
    pub entry: Option<ServedCluster>,
}

/// What differs, at one witness at a time.
pub fn due(seen: &Observation) -> Option<Due> {
    let cluster = seen.cluster.as_deref()?;
    let named = cluster.spec.witness().filter(|_| !dissolution::ends(seen));
    let own_name: ClusterName = cluster.effective_name().parse().ok()?;
    seen.witnesses.iter().find_map(|(name, witness)| {
        let Witness { view, entry, .. } = witness;
        let is_taken = view.holder(&own_name).is_some();
        let is_named = named == Some(name.as_str()) && view.is_witness && !is_taken;
        let is_own = entry.as_ref().is_some_and(|entry| cluster.uid().as_ref() == Some(&entry.uid));
        let wanted = match entry {
            _ if is_named => Some(written(cluster, seen, witness)),
            Some(entry) if !is_own && is_taken => Some(entry.clone()),
            Some(entry) if is_used(seen, witness) => {
                Some(if is_own { written(cluster, seen, witness) } else { entry.clone() })
            }
            Some(_) | None => None,
        };
        (wanted != *entry).then(|| Due { witness: name.clone(), entry: wanted })
    })
}

/// The entry, with the requests of the cluster's own hosts that are made for this very witness: none is signed for
/// a host that obeys another cluster, and no request goes to a witness that it was not made for.
fn written(cluster: &PveCluster, seen: &Observation, witness: &Witness) -> ServedCluster {
    let authority = witness.view.authority.as_ref().map(|authority| authority.fingerprint);
    let hosts = seen.view.hosts.values().filter(|host| host.claim == Claim::Ours);
    let open = hosts.filter_map(|host| match host.device.laid.as_ref()? {
        LaidView { certificate, request: Some(request) }
            if Some(certificate.authority) == authority =>
        {
            Some(request.clone())
        }
        LaidView { .. } => None,
    });
    let requests: BTreeSet<String> = open.collect();
    ServedCluster {
        cluster_name: cluster.effective_name(),
        name: cluster.name_any(),
        uid: cluster.uid().unwrap_or_default(),
        requests: requests.into_iter().collect(),
    }
}

/// Whether anything of the cluster may be talking to a witness, or come to do so.
fn is_used(seen: &Observation, witness: &Witness) -> bool {
    let hosts = seen.view.hosts.values().filter(|host| host.claim == Claim::Ours);
    let mut alive = hosts.filter(|host| host.declared_dead().is_none());
    seen.open.is_some() || alive.any(|host| may_use(host, &witness.view.addresses))
}

/// A file that is not known may say anything, and so may a name in the place of an address.
fn may_use(host: &HostView, witness: &[IpAddr]) -> bool {
    let mut files = host.pmxcfs_file.iter().chain(&host.disk_file);
    files.any(|file| {
        let Some(text) = &file.text else { return true };
        let device = Overview::of(&Document::parse(text.as_bytes())).quorum.device;
        let device = device.iter().find(|row| row.key == "quorum.device.net.host");
        let address = device.map(|row| row.value.parse::<IpAddr>());
        address.is_some_and(|address| address.map_or(true, |address| witness.contains(&address)))
    })
}
