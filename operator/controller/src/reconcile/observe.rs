//! All reads of a pass: the objects of one cluster, and what they say together.
//!
//! Owns the way from objects to the planner's view. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt;
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_core::observed::ObservedCluster;
use pvecm_crds::{CLUSTER_LABEL, PveChange, PveCluster, PveHost, convert};

use super::drive::OpenChange;
use super::namesakes::first_of_name;
use super::secret;
use super::witnesses::{self, Witness};
use crate::access::AccessError;
use crate::context::Context;
use crate::heartbeat::Heard;
use crate::keys::{ClusterKey, HostKey};

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// At what the watches brought: free, and perhaps a moment old.
    Stored,
    /// At the API server: before anything that cannot be taken back.
    Live,
}

/// Why nothing could be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A read failed.
    #[error("cannot read the cluster's objects")]
    Access(#[from] AccessError),
    /// An object says something that its schema should have refused.
    #[error("{object} is not understood: {why}")]
    NotUnderstood {
        /// Kind and name.
        object: String,
        /// What is wrong.
        why: String,
    },
}

/// One cluster at one moment.
#[derive(Debug)]
pub struct Observation {
    /// Namespace and name.
    pub key: ClusterKey,
    /// The cluster's object; `None`: it is gone.
    pub cluster: Option<Arc<PveCluster>>,
    /// Another cluster of this namespace that had the same name first.
    pub namesake: Option<String>,
    /// The hosts that the spec or an open change names, or this cluster has claimed, as far as they exist.
    pub hosts: BTreeMap<HostName, Arc<PveHost>>,
    /// Which of them are heard, and whether the witness is that the spec names.
    pub heard: BTreeMap<HostName, Heard>,
    /// Who votes for it from outside, or did.
    pub witnesses: BTreeMap<HostName, Witness>,
    /// The certificates for a QNetd that somebody else runs, where the spec names such.
    pub secret: Option<secret::Found>,
    /// The changes under the cluster's label, by number, the oldest first.
    pub changes: Vec<Arc<PveChange>>,
    /// The change without an outcome, the oldest first if there are several.
    pub open: Option<(OpenChange, Arc<PveChange>)>,
    /// What the planner sees.
    pub view: ObservedCluster,
    /// The digest in force whose text a kept change holds: hosts need not send that one.
    pub known_digest: Option<String>,
    /// How long ago this process first saw the last outcome.
    pub outcome_age: Duration,
}

/// Looks at one cluster.
pub async fn observe(
    key: &ClusterKey,
    sight: Sight,
    context: &Context,
) -> Result<Observation, ObserveError> {
    let cluster = read_cluster(key, sight, context).await?;
    let changes = read_changes(key, sight, context).await?;
    let uid = cluster.as_ref().and_then(|cluster| cluster.uid());
    let open_object = changes.iter().find(|change| change.outcome().is_none()).cloned();
    let open = open_object.map(|object| open_change(&object, uid.as_deref()).map(|o| (o, object)));
    let open = open.transpose()?;
    let mut names = names(cluster.as_deref(), open.as_ref());
    names.extend(context.stores.claimed(key));
    let mut hosts = read_hosts(key, names, sight, context).await?;
    hosts.retain(|_, host| is_of(host, cluster.as_deref(), open.as_ref()));
    let heard = hosts.keys().map(|name| {
        (name.clone(), context.beats.heard(&HostKey::new(&key.namespace, name.as_str())))
    });
    let mut heard: BTreeMap<_, _> = heard.collect();
    let mut view = view(&hosts, &heard, &changes, (uid.as_deref(), (context.time)()))?;
    let keys: Vec<_> =
        view.hosts.keys().map(|name| HostKey::new(&key.namespace, name.as_str())).collect();
    for (host, ahead) in view.hosts.values_mut().zip(context.beats.clocks_ahead(&keys)) {
        host.fitness.clock_ahead_secs = ahead;
    }
    let own = view.hosts.values().flat_map(|host| host.addresses.iter().map(IpNet::addr)).collect();
    let witnesses = witnesses::read((cluster.as_deref(), &own), (key, sight), context).await?;
    let wanted = cluster.as_deref().and_then(|cluster| cluster.spec.witness());
    if let Some((name, witness)) = witnesses.iter().find(|(name, _)| wanted == Some(name.as_str()))
    {
        heard.insert(name.clone(), witness.heard);
        view.witness = Some(witness.view.clone());
    }
    let secret = secret::read(cluster.as_deref(), key, &context.access).await?;
    view.secret = secret.as_ref().map(|found| found.view.clone());
    let last = changes.iter().rev().find(|change| change.outcome().is_some());
    let outcome_age =
        last.map_or(Duration::ZERO, |last| context.outcomes.age(key, &last.name_any()));
    let in_force = in_force(&view).map(|digest| digest.to_string());
    let known_digest = in_force.filter(|digest| {
        convert::texts(changes.iter().map(AsRef::as_ref)).contains_key(digest.as_str())
    });
    let others = context.stores.clusters(&key.namespace);
    let namesake = cluster
        .as_deref()
        .and_then(|cluster| first_of_name(cluster, others.iter().map(AsRef::as_ref)));
    Ok(Observation {
        key: key.clone(),
        cluster,
        namesake,
        hosts,
        heard,
        witnesses,
        secret,
        changes,
        open,
        view,
        known_digest,
        outcome_age,
    })
}

pub(super) async fn read_cluster(
    key: &ClusterKey,
    sight: Sight,
    context: &Context,
) -> Result<Option<Arc<PveCluster>>, AccessError> {
    match sight {
        Sight::Stored => Ok(context.stores.cluster(key)),
        Sight::Live => Ok(context.access.get(&key.namespace, &key.name).await?.map(Arc::new)),
    }
}

async fn read_changes(
    key: &ClusterKey,
    sight: Sight,
    context: &Context,
) -> Result<Vec<Arc<PveChange>>, AccessError> {
    let mut changes = match sight {
        Sight::Stored => context.stores.changes(key),
        Sight::Live => {
            let label = format!("{CLUSTER_LABEL}={}", key.name);
            let found = context.access.list::<PveChange>(&key.namespace, &label).await?;
            found.into_iter().map(Arc::new).collect()
        }
    };
    changes.sort_by_key(|change| change.spec.number);
    Ok(changes)
}

/// The hosts that the spec names, and those that an open change works on.
fn names(
    cluster: Option<&PveCluster>,
    open: Option<&(OpenChange, Arc<PveChange>)>,
) -> BTreeSet<String> {
    let wanted = cluster
        .into_iter()
        .flat_map(|cluster| cluster.spec.nodes.iter().map(pvecm_crds::cluster::Node::host));
    let stages = open.into_iter().flat_map(|(change, _)| &change.stages);
    let working = stages.flat_map(|stage| stage.hosts().map(ToString::to_string));
    wanted.chain(working).collect()
}

/// Whether a host is any of this cluster's: it is named, or obeys this very one.
fn is_of(
    host: &PveHost,
    cluster: Option<&PveCluster>,
    open: Option<&(OpenChange, Arc<PveChange>)>,
) -> bool {
    let claim = host.status.as_ref().and_then(|status| status.cluster.as_ref());
    let uid = cluster.and_then(ResourceExt::uid);
    let obeys = claim.is_some_and(|claim| uid.as_deref() == Some(claim.uid.as_str()));
    obeys || names(cluster, open).contains(&host.name_any())
}

pub(super) async fn read_hosts(
    key: &ClusterKey,
    names: BTreeSet<String>,
    sight: Sight,
    context: &Context,
) -> Result<BTreeMap<HostName, Arc<PveHost>>, ObserveError> {
    let found: Vec<Arc<PveHost>> = match sight {
        Sight::Stored => {
            let key = |name: &String| HostKey::new(&key.namespace, name);
            names.iter().filter_map(|name| context.stores.host(&key(name))).collect()
        }
        Sight::Live => {
            let reads = names.iter().map(|name| context.access.get(&key.namespace, name));
            try_join_all(reads).await?.into_iter().flatten().map(Arc::new).collect()
        }
    };
    let by_name = found.into_iter().map(|host| {
        let name = host.name_any().parse().map_err(|why| not_understood("PveHost", &*host, why))?;
        Ok((name, host))
    });
    by_name.collect()
}

pub(super) fn not_understood(
    kind: &str,
    object: &impl ResourceExt,
    why: impl std::fmt::Display,
) -> ObserveError {
    let object = format!("{kind} {}", object.name_any());
    ObserveError::NotUnderstood { object, why: why.to_string() }
}

fn open_change(object: &PveChange, uid: Option<&str>) -> Result<OpenChange, ObserveError> {
    let refused = |why: &dyn std::fmt::Display| not_understood("PveChange", object, why);
    let spec = &object.spec;
    let (parent, stages) = convert::plan_stages(&spec.plan).map_err(|why| refused(&why))?;
    let released = object.status.as_ref().map_or(0, |status| status.released_stage);
    let foreign = uid != Some(spec.cluster_ref.uid.as_str());
    Ok(OpenChange {
        name: object.name_any(),
        number: ChangeNumber(u64::try_from(spec.number).map_err(|why| refused(&why))?),
        digest: spec.plan.digest(),
        parent,
        generation: spec.plan.generation,
        approved: spec.approved,
        stages,
        released: u32::try_from(released).map_err(|why| refused(&why))?,
        ending: foreign || object.metadata.deletion_timestamp.is_some(),
    })
}

/// The planner's view.
fn view(
    hosts: &BTreeMap<HostName, Arc<PveHost>>,
    heard: &BTreeMap<HostName, Heard>,
    changes: &[Arc<PveChange>],
    (uid, now): (Option<&str>, Timestamp),
) -> Result<ObservedCluster, ObserveError> {
    let hosts = hosts.iter().map(|(name, host)| {
        let connected = heard.get(name) == Some(&Heard::Fresh);
        (name, host.as_ref(), connected)
    });
    let changes: Vec<&PveChange> = changes.iter().map(AsRef::as_ref).collect();
    convert::observed(hosts, &changes, (uid.unwrap_or_default(), now)).map_err(|error| {
        let object = format!("PveHost {}", error.host);
        ObserveError::NotUnderstood { object, why: error.why.to_string() }
    })
}

/// The digest of the text that a quorate host sees in /etc/pve.
fn in_force(view: &ObservedCluster) -> Option<Digest> {
    let quorate = view.hosts.values().filter(|host| host.connected && host.quorate);
    quorate.into_iter().find_map(|host| Some(host.pmxcfs_file.as_ref()?.digest))
}

/// Whether a change belongs to this very cluster and not to an earlier one of its name.
pub fn of_cluster(change: &PveChange, uid: Option<&str>) -> bool {
    Some(change.spec.cluster_ref.uid.as_str()) == uid
}
