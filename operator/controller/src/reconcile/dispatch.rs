//! All effects of a pass: exactly one, decided from live reads.
//!
//! Each is idempotent: created by a name that follows from the number, applied under one field
//! manager, and bound to the version of the object that was read where a second writer could matter.

use std::collections::BTreeMap;

use age::x25519::Recipient;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use pvecm_core::change::{Plan, Proven};
use pvecm_core::ids::HostName;
use pvecm_core::observed::HostView;
use pvecm_crds::change::{HostProgress, Outcome, PveChangeStatus, SealedFor};
use pvecm_crds::host::HostCluster;
use pvecm_crds::reference::ClusterRef;
use pvecm_crds::{CLUSTER_LABEL, PveChange, PveChangeSpec, PveCluster, PveHost, convert};
use serde_json::json;

use super::decide::Effect;
use super::drive::Ending;
use super::observe::Observation;
use super::passed::Passed;
use super::reservation::Due;
use super::{DISSOLVES, IN_FLIGHT};
use crate::access::{Access, AccessError, MANAGER, Target};

/// Why an effect could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// A call failed.
    #[error("cannot {doing}")]
    Access {
        /// What was tried.
        doing: &'static str,
        /// The cause.
        #[source]
        source: AccessError,
    },
    /// What is in the Secret cannot be sealed for a host.
    #[error("cannot seal what is in the Secret for {host}: {why}")]
    Seal {
        /// The host.
        host: HostName,
        /// What is wrong with its key, in words.
        why: String,
    },
    /// A plan that cannot be written down: a defect of the planner.
    #[error("the plan cannot be written down: {0}")]
    Plan(String),
}

/// What was done, for events and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// A change was created under this name.
    Created(String),
    /// A stage was released.
    Released(String, u32),
    /// A change got its outcome.
    Finished(String, Ending, String),
    /// Something that is no news to a user.
    Quietly,
    /// A cluster's object that is being deleted may go.
    LetEnd,
    /// Somebody else was faster, or the object is no longer there.
    Nothing,
}

/// Carries out one effect.
pub async fn dispatch(
    effect: Effect,
    seen: &Observation,
    access: &Access,
) -> Result<Sent, DispatchError> {
    let doing = effect.verb();
    carry_out(effect, seen, access).await.map_err(|error| match error {
        Trouble::Access(source) => DispatchError::Access { doing, source },
        Trouble::Plan(why) => DispatchError::Plan(why),
        Trouble::Seal(host, why) => DispatchError::Seal { host, why },
    })
}

enum Trouble {
    Access(AccessError),
    Plan(String),
    Seal(HostName, String),
}

impl From<AccessError> for Trouble {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

async fn carry_out(effect: Effect, seen: &Observation, access: &Access) -> Result<Sent, Trouble> {
    match effect {
        Effect::Claim(names) => claim(&names, seen, access).await?,
        Effect::LetGo(names) => let_go(&names, seen, access).await?,
        Effect::Serve(due) => serve(due, seen, access).await?,
        Effect::Create(plan) => return create(&plan, seen, access).await,
        Effect::PassOn(Passed { mut sealed, unsealed, certificates }) => {
            sealed.extend(seal(&unsealed, seen)?);
            let set = |status: &mut PveChangeStatus| {
                (status.sealed, status.certificates) = (sealed, certificates);
            };
            write(seen, access, None, set).await?;
        }
        Effect::Tell => write(seen, access, None, |_status| ()).await?,
        Effect::Release(stage) => return Ok(release(stage, seen, access).await?),
        Effect::Finish(ending, why) => return Ok(finish(ending, why, seen, access).await?),
        Effect::HoldCluster(held) => return Ok(hold_cluster(held, seen, access).await?),
        Effect::Unhold(name) => {
            hold(&name, &[], seen, access).await?;
        }
        Effect::Forget(name) => {
            if let Some(change) = seen.changes.iter().find(|change| change.name_any() == name) {
                access.delete(&**change).await?;
            }
        }
    }
    Ok(Sent::Quietly)
}

/// Seals what is in the Secret for hosts, to the key of each.
fn seal(hosts: &BTreeMap<HostName, String>, seen: &Observation) -> Result<Vec<SealedFor>, Trouble> {
    let Some(bundle) = seen.secret.as_ref().and_then(|found| found.bundle.as_ref()) else {
        return Ok(Vec::new());
    };
    let seal = |(host, recipient): (&HostName, &String)| {
        let recipient = recipient.parse::<Recipient>().map_err(str::to_owned);
        let sealed = recipient.and_then(|recipient| {
            age::encrypt_and_armor(&recipient, bundle).map_err(|error| error.to_string())
        });
        let data = sealed.map_err(|why| Trouble::Seal(host.clone(), why))?;
        Ok(SealedFor { host: host.to_string(), data })
    };
    hosts.iter().map(seal).collect()
}

/// Claims hosts for this cluster, each as it was read: the first claim holds.
async fn claim(names: &[HostName], seen: &Observation, access: &Access) -> Result<(), AccessError> {
    let Some(cluster) = &seen.cluster else { return Ok(()) };
    let claim = HostCluster {
        name: cluster.name_any(),
        uid: cluster.uid().unwrap_or_default(),
        config_digest: seen.known_digest.clone(),
        limits: convert::stated_limits(&cluster.spec),
    };
    let claims = names.iter().filter_map(|name| seen.hosts.get(name)).map(|host| {
        let target = Target {
            namespace: &seen.key.namespace,
            name: host.metadata.name.as_deref().unwrap_or_default(),
            version: host.metadata.resource_version.as_deref(),
            manager: MANAGER,
        };
        let status = json!({"cluster": claim});
        async move { access.apply_status::<PveHost>(target, &status).await }
    });
    futures::future::try_join_all(claims).await.map(drop)
}

/// Gives up the claim on hosts, each as it was read.
async fn let_go(
    names: &[HostName],
    seen: &Observation,
    access: &Access,
) -> Result<(), AccessError> {
    for host in names.iter().filter_map(|name| seen.hosts.get(name)) {
        let target = Target {
            namespace: &seen.key.namespace,
            name: host.metadata.name.as_deref().unwrap_or_default(),
            version: host.metadata.resource_version.as_deref(),
            manager: MANAGER,
        };
        access.apply_status::<PveHost>(target, &json!({})).await?;
    }
    Ok(())
}

/// Writes the cluster's entry at a witness, or takes it away, as that was read: the first that has a name holds it.
/// A field manager of its own per name lets several clusters write to one list, each its own entry.
async fn serve(due: Due, seen: &Observation, access: &Access) -> Result<(), AccessError> {
    let Due { witness, entry } = due;
    let (Some(cluster), Some(found)) = (&seen.cluster, seen.witnesses.get(&witness)) else {
        return Ok(());
    };
    let target = Target {
        namespace: &seen.key.namespace,
        name: witness.as_str(),
        version: found.host.metadata.resource_version.as_deref(),
        manager: &format!("{MANAGER}-serves-{}", cluster.effective_name()),
    };
    let status = entry.map_or_else(|| json!({}), |entry| json!({"clusters": [entry]}));
    access.apply_status::<PveHost>(target, &status).await
}

/// Creates the change under the number above every other. A name that is taken means that another
/// pass was faster, here or in another process: read again.
async fn create(plan: &Plan<Proven>, seen: &Observation, access: &Access) -> Result<Sent, Trouble> {
    let Some(cluster) = &seen.cluster else { return Ok(Sent::Nothing) };
    let number = seen.view.last_change.next();
    let change = object(plan, number.0, cluster).map_err(Trouble::Plan)?;
    let created = access.create(&seen.key.namespace, &change).await?;
    Ok(if created { Sent::Created(change.name_any()) } else { Sent::Nothing })
}

fn object(plan: &Plan<Proven>, number: u64, cluster: &PveCluster) -> Result<PveChange, String> {
    let (name, uid) = (cluster.name_any(), cluster.uid().unwrap_or_default());
    let owner = OwnerReference {
        api_version: PveCluster::api_version(&()).into_owned(),
        kind: PveCluster::kind(&()).into_owned(),
        name: name.clone(),
        uid: uid.clone(),
        controller: Some(true),
        // With `true` a foreground deletion would take the change although its finalizer holds.
        block_owner_deletion: Some(false),
    };
    let spec = PveChangeSpec {
        cluster_ref: ClusterRef { name: name.clone(), uid },
        number: i64::try_from(number).map_err(|why| why.to_string())?,
        plan: convert::plan_from_core(plan).map_err(|why| why.to_string())?,
        approved: false,
    };
    let mut change = PveChange::new(&format!("{name}-{number}"), spec);
    change.metadata = ObjectMeta {
        name: change.metadata.name,
        namespace: cluster.namespace(),
        labels: Some([(CLUSTER_LABEL.to_owned(), name)].into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    Ok(change)
}

/// Releases a stage. The first one is held by the finalizer before any host may act on it.
async fn release(stage: u32, seen: &Observation, access: &Access) -> Result<Sent, AccessError> {
    let Some((change, object)) = &seen.open else { return Ok(Sent::Nothing) };
    let held = object.finalizers().iter().any(|name| name == IN_FLIGHT);
    let version = if held { None } else { hold(&change.name, &[IN_FLIGHT], seen, access).await? };
    let total = change.stages.len();
    let released = i32::try_from(stage).unwrap_or(i32::MAX);
    write(seen, access, version, |status| {
        status.released_stage = released;
        status.stage = Some(format!("{stage}/{total}"));
    })
    .await?;
    Ok(Sent::Released(change.name.clone(), stage))
}

async fn finish(
    ending: Ending,
    why: String,
    seen: &Observation,
    access: &Access,
) -> Result<Sent, AccessError> {
    let Some((change, _)) = &seen.open else { return Ok(Sent::Nothing) };
    let outcome = match ending {
        Ending::Succeeded => Outcome::Succeeded,
        Ending::RolledBack => Outcome::RolledBack,
        Ending::Superseded => Outcome::Superseded,
        Ending::Failed => Outcome::Failed,
    };
    let message = super::limited(&why);
    write(seen, access, None, |status| {
        status.outcome = Some(outcome);
        status.message = Some(message);
        (status.sealed, status.certificates) = Default::default();
    })
    .await?;
    Ok(Sent::Finished(change.name.clone(), ending, why))
}

/// Writes the open change's status: what it was, the hosts' words as they are now, and one edit. It
/// is bound to the version that was read, or to the one that this pass has written since, so that a
/// stale pass never takes a release back.
async fn write(
    seen: &Observation,
    access: &Access,
    written: Option<String>,
    edit: impl FnOnce(&mut PveChangeStatus),
) -> Result<(), AccessError> {
    let Some((change, object)) = &seen.open else { return Ok(()) };
    let mut status = object.status.clone().unwrap_or_default();
    status.hosts = progress(seen);
    edit(&mut status);
    let version = written.or_else(|| object.metadata.resource_version.clone());
    let target = Target {
        namespace: &seen.key.namespace,
        name: &change.name,
        version: version.as_deref(),
        manager: MANAGER,
    };
    access.apply_status::<PveChange>(target, &status).await
}

/// How far each host got with the open change.
fn progress(seen: &Observation) -> Vec<HostProgress> {
    let Some((change, _)) = &seen.open else { return Vec::new() };
    let of = |(name, view): (&HostName, &HostView)| {
        let applied = view.applied.as_ref().filter(|applied| change.is_of(applied))?;
        Some(HostProgress {
            host: name.to_string(),
            stage: i32::try_from(applied.stage).ok()?,
            result: applied.result.into(),
            message: super::limited(&applied.message),
        })
    };
    seen.view.hosts.iter().filter_map(of).collect()
}

/// Holds the cluster's object, or lets it go. That only as it was read, since its policy may have changed.
async fn hold_cluster(
    held: bool,
    seen: &Observation,
    access: &Access,
) -> Result<Sent, AccessError> {
    let Some(cluster) = &seen.cluster else { return Ok(Sent::Nothing) };
    let target = Target {
        namespace: &seen.key.namespace,
        name: &seen.key.name,
        version: cluster.metadata.resource_version.as_deref().filter(|_| !held),
        manager: MANAGER,
    };
    let finalizers: &[&str] = if held { &[DISSOLVES] } else { &[] };
    access.apply_finalizers::<PveCluster>(target, finalizers).await?;
    let ends = !held && cluster.metadata.deletion_timestamp.is_some();
    Ok(if ends { Sent::LetEnd } else { Sent::Quietly })
}

/// Sets the finalizers on a change; the version that it then has.
async fn hold(
    name: &str,
    finalizers: &[&str],
    seen: &Observation,
    access: &Access,
) -> Result<Option<String>, AccessError> {
    let target = Target { namespace: &seen.key.namespace, name, version: None, manager: MANAGER };
    access.apply_finalizers::<PveChange>(target, finalizers).await
}

impl Effect {
    /// What is tried, for an error's sentence.
    const fn verb(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim hosts",
            Self::LetGo(_) => "give up the claim on hosts",
            Self::Serve(_) => "tell a witness whom it votes for",
            Self::Create(_) => "create a change",
            Self::PassOn(_) => "pass on what one host has for another",
            Self::Tell => "pass on what became of a stage",
            Self::Release(_) => "release a stage",
            Self::Finish(..) => "write a change's outcome",
            Self::HoldCluster(_) => "hold the cluster, or let it go",
            Self::Unhold(_) => "take the finalizer from a change",
            Self::Forget(_) => "delete an old change",
        }
    }
}
