//! The hosts that vote for a cluster from outside: the one that its spec names, and those where it has its name.
//!
//! No members: nobody claims them, and what they are told is which clusters they vote for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::try_join_all;
use kube::ResourceExt;
use pvecm_core::device::WitnessView;
use pvecm_core::ids::HostName;
use pvecm_crds::convert::Holder;
use pvecm_crds::host::ServedCluster;
use pvecm_crds::{PveCluster, PveHost, convert};

use super::observe::{ObserveError, Sight, not_understood, read_cluster, read_hosts};
use crate::access::AccessError;
use crate::context::Context;
use crate::heartbeat::Heard;
use crate::keys::{ClusterKey, HostKey};

/// One of them.
#[derive(Debug)]
pub struct Witness {
    /// Its object.
    pub host: Arc<PveHost>,
    /// Whether it is heard.
    pub heard: Heard,
    /// What it says.
    pub view: WitnessView,
    /// What stands there under the cluster's name, if that is this cluster's, or one's that is there no more.
    pub entry: Option<ServedCluster>,
}

/// Reads them; `own` are the addresses of the cluster's hosts. A cluster whose object is gone has none: its daemons go
/// on voting, so its name stays where it is.
pub async fn read(
    (cluster, own): (Option<&PveCluster>, &BTreeSet<IpAddr>),
    (key, sight): (&ClusterKey, Sight),
    context: &Context,
) -> Result<BTreeMap<HostName, Witness>, ObserveError> {
    let Some(cluster) = cluster else { return Ok(BTreeMap::new()) };
    let mut names: BTreeSet<String> =
        cluster.spec.witness().into_iter().map(ToOwned::to_owned).collect();
    names.extend(context.stores.serving(key, &cluster.effective_name()));
    let hosts = read_hosts(key, names, sight, context).await?;
    let reads = hosts.into_iter().map(|(name, host)| async {
        let heard = context.beats.heard(&HostKey::new(&key.namespace, name.as_str()));
        let witness = witness((cluster, own), (host, heard), (key, sight), context).await?;
        Ok::<_, ObserveError>((name, witness))
    });
    Ok(try_join_all(reads).await?.into_iter().collect())
}

async fn witness(
    (cluster, own): (&PveCluster, &BTreeSet<IpAddr>),
    (host, heard): (Arc<PveHost>, Heard),
    (key, sight): (&ClusterKey, Sight),
    context: &Context,
) -> Result<Witness, ObserveError> {
    let name = cluster.effective_name();
    let mut served = host.status.iter().flat_map(|status| &status.clusters);
    let entry = match served.find(|served| served.cluster_name == name) {
        Some(entry) => is_free(cluster, entry, (key, sight), context).await?.then(|| entry.clone()),
        None => None,
    };
    let holder = |served: &ServedCluster| match &entry {
        Some(entry) if entry == served && cluster.uid().as_ref() == Some(&entry.uid) => Holder::Own,
        Some(entry) if entry == served => Holder::Nobody,
        Some(_) | None => Holder::Other,
    };
    let view = convert::witness_view(&host, heard == Heard::Fresh, (holder, own))
        .map_err(|why| not_understood("PveHost", &*host, why))?;
    Ok(Witness { host, heard, view, entry })
}

/// Whether an entry is a cluster's own, or was one's of the same name that is there no more.
async fn is_free(
    cluster: &PveCluster,
    entry: &ServedCluster,
    (key, sight): (&ClusterKey, Sight),
    context: &Context,
) -> Result<bool, AccessError> {
    if cluster.uid().as_deref() == Some(entry.uid.as_str()) {
        return Ok(true);
    }
    let holder = ClusterKey::new(&key.namespace, &entry.name);
    let holder = read_cluster(&holder, sight, context).await?;
    Ok(holder.and_then(|holder| holder.uid()).as_deref() != Some(entry.uid.as_str()))
}
