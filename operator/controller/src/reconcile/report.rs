//! The cluster's status: what is so, in numbers and in sentences. Written once per pass, and only if
//! it differs; no figure in it moves by itself.

mod conditions;
mod drift;
mod nodes;
pub mod quorum;

use jiff::Timestamp;
use kube::ResourceExt;
use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::Digest;
use pvecm_core::observed::KeyView;
use pvecm_crds::PveCluster;
use pvecm_crds::cluster::{Authkey, ChangeProgress, PlanReport, PveClusterStatus};
use pvecm_crds::condition::{kind, reason};

use super::decide::{Stand, Verdict};
use super::events;
use super::observe::Observation;
use crate::access::{AccessError, MANAGER, Target};
use crate::context::{Context, Margins};
use crate::heartbeat::Heard;

/// Writes the status if it is another one than before.
pub async fn report(
    seen: &Observation,
    verdict: &Verdict,
    context: &Context,
) -> Result<(), AccessError> {
    let Some(cluster) = &seen.cluster else {
        context.metrics.forget(&seen.key);
        context.outcomes.forget(&seen.key);
        context.margins.forget(&seen.key);
        return Ok(());
    };
    if too_early(cluster, seen) {
        return Ok(());
    }
    let status = status(cluster, seen, (verdict, (context.time)()), &context.margins);
    context.metrics.cluster(&seen.key, &status);
    // The stored copy may be newer than what this pass observed.
    let stored = context.stores.cluster(&seen.key);
    let stored = stored.filter(|stored| stored.uid() == cluster.uid());
    let known = [Some(cluster), stored.as_ref()];
    if known.into_iter().flatten().any(|known| known.status.as_ref() == Some(&status)) {
        return Ok(());
    }
    let target = Target {
        namespace: &seen.key.namespace,
        name: &seen.key.name,
        version: None,
        manager: MANAGER,
    };
    context.access.apply_status::<PveCluster>(target, &status).await?;
    if let Some(note) = drift::begun(cluster, &status) {
        events::drifted(seen, &note, context).await;
    }
    if verdict.stand == Stand::Stalled && !was(cluster, kind::STALLED, &verdict.reason) {
        events::stalled(seen, &verdict.sentence, context).await;
    }
    let asks = reason::WAITING_FOR_APPROVAL;
    if verdict.reason == asks && !was(cluster, kind::RECONCILING, asks) {
        events::asks(seen, &verdict.sentence, context).await;
    }
    Ok(())
}

/// An operator that has just started has not heard every host yet. What its predecessor wrote of this
/// spec stands until it has, or else every restart would stall every cluster for a moment.
fn too_early(cluster: &PveCluster, seen: &Observation) -> bool {
    let told = cluster.status.as_ref().and_then(|status| status.observed_generation);
    told == cluster.metadata.generation && seen.heard.values().any(|h| *h == Heard::Unknown)
}

/// Whether a condition was true already, and for this reason: news are told once.
fn was(cluster: &PveCluster, kind: &str, reason: &str) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| {
        condition.type_ == kind && condition.status == "True" && condition.reason == reason
    })
}

/// The whole status.
fn status(
    cluster: &PveCluster,
    seen: &Observation,
    (verdict, now): (&Verdict, Timestamp),
    margins: &Margins,
) -> PveClusterStatus {
    let in_force = InForce::of(seen);
    let config = in_force.as_ref().map(|in_force| &in_force.config);
    let nodes = nodes::nodes(&cluster.spec, config, seen);
    let (quorum, device) = quorum::quorum((seen, in_force.as_ref()), &nodes, margins);
    let links = nodes::links(seen, &nodes);
    let drift = drift::differences(cluster, seen);
    let ready = cluster.spec.nodes.iter().filter(|wanted| {
        nodes.iter().any(|node| node.name == wanted.name && node.online && node.message.is_none())
    });
    let facts = conditions::Facts {
        seen,
        verdict,
        nodes: &nodes,
        links: &links,
        device: device.as_deref(),
        drift: &drift,
        now,
    };
    PveClusterStatus {
        observed_generation: cluster.metadata.generation,
        conditions: conditions::conditions(cluster, &facts),
        cluster_name: Some(cluster.effective_name().chars().take(15).collect()),
        config_version: common_version(seen),
        authkey: authkey(seen),
        nodes_ready: Some(format!("{}/{}", ready.count(), cluster.spec.nodes.len())),
        nodes,
        quorum,
        links,
        drift: drift.iter().take(64).map(drift::row).collect(),
        change: progress(seen, verdict),
        plan: Some(PlanReport {
            sentence: super::limited(&verdict.sentence),
            waiting: verdict.waiting.iter().take(64).map(|s| super::limited(s)).collect(),
        }),
    }
}

/// The text in force, as far as somebody knows and understands it.
#[derive(Debug)]
pub struct InForce<'a> {
    digest: Digest,
    text: &'a str,
    config: Config,
}

impl<'a> InForce<'a> {
    fn of(seen: &'a Observation) -> Option<Self> {
        let views = || seen.view.hosts.values().filter(|view| view.connected);
        let ranked = views().filter(|view| view.quorate).chain(views());
        let texts = ranked.filter_map(|view| {
            let mut files = view.pmxcfs_file.iter().chain(&view.disk_file);
            files.find_map(|file| Some((file.digest, file.text.as_deref()?)))
        });
        let mut read = texts.map(|(digest, text)| {
            let config = Config::read(&Document::parse(text.as_bytes())).ok()?;
            Some(Self { digest, text, config })
        });
        read.find_map(|read| read)
    }
}

/// The version that runs on every host that runs one. One that is known to be off runs none.
fn common_version(seen: &Observation) -> Option<i64> {
    let views = seen.view.hosts.values().filter(|view| view.connected || view.absence.is_none());
    let mut versions = views.filter_map(|view| view.running_version);
    let first = versions.next()?;
    versions.all(|version| version == first).then(|| i64::try_from(first.0).ok()).flatten()
}

/// The key of the members: the highest generation that one of them knows of, and its fingerprint while
/// that is the same everywhere.
fn authkey(seen: &Observation) -> Option<Authkey> {
    let members = seen.view.hosts.values().filter(|view| view.running_version.is_some());
    let keys: Vec<KeyView> = members.filter_map(|view| view.authkey).collect();
    let first = keys.first()?.fingerprint;
    let same = keys.iter().all(|key| key.fingerprint == first);
    let generation = keys.iter().map(|key| key.generation).max().unwrap_or(0);
    Some(Authkey {
        generation: i32::try_from(generation).unwrap_or(i32::MAX),
        fingerprint: same.then(|| first.to_string()),
    })
}

fn progress(seen: &Observation, verdict: &Verdict) -> Option<ChangeProgress> {
    let (change, _) = seen.open.as_ref()?;
    Some(ChangeProgress {
        name: change.name.clone(),
        stage: i32::try_from(change.released).unwrap_or(i32::MAX),
        stages: i32::try_from(change.stages.len()).unwrap_or(i32::MAX),
        sentence: super::limited(&verdict.sentence),
    })
}
