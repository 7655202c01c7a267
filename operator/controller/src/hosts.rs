//! The two things that the operator writes on a host besides its cluster's claim: whether its agent
//! is heard, and that a claim ends when its cluster's object is gone.
//!
//! Never touches what the agent writes, and never takes a host from a cluster that exists.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::{PveCluster, PveHost};
use serde_json::json;
use tokio::time::Instant;

use crate::access::{AccessError, CONNECTED_MANAGER, MANAGER, Target};
use crate::context::Context;
use crate::heartbeat::Heard;
use crate::keys::{ClusterKey, HostKey};

/// How soon a claim whose cluster is gone is looked at again while a change still runs.
const CLAIM_AGAIN: Duration = Duration::from_secs(5);

/// One pass over a host; when to come back.
pub async fn pass(key: HostKey, context: Arc<Context>) -> Option<Duration> {
    if context.beats.flipped(&key) {
        context.stores.concerned(&key).into_iter().for_each(|key| context.clusters.now(key));
    }
    let expiry = context.beats.expires(&key).map(|end| end.duration_since(Instant::now()));
    if !context.access.leads() {
        return expiry;
    }
    let host = context.stores.host(&key)?;
    match write(&key, &host, &context).await {
        Ok(again) => {
            context.host_backoff.reset(&key);
            expiry.into_iter().chain(again).min()
        }
        Err(AccessError::NotLeading) => expiry,
        Err(error) => {
            let (_, wait) = context.host_backoff.failed(key.clone());
            tracing::warn!(host = %key, error = crate::chain(&error), "host not written");
            Some(wait)
        }
    }
}

async fn write(
    key: &HostKey,
    host: &PveHost,
    context: &Context,
) -> Result<Option<Duration>, AccessError> {
    let old = host.status.iter().flat_map(|status| &status.conditions);
    let old = old.into_iter().find(|condition| condition.type_ == kind::CONNECTED);
    if let Some(condition) = connected(context.beats.heard(key), old, (context.time)()) {
        let target = Target {
            namespace: &key.namespace,
            name: &key.name,
            version: None,
            manager: CONNECTED_MANAGER,
        };
        let status = json!({"conditions": [condition]});
        context.access.apply_status::<PveHost>(target, &status).await?;
    }
    release_claim(key, host, context).await
}

/// The condition to write, if it is another one than before.
fn connected(heard: Heard, old: Option<&Condition>, now: Timestamp) -> Option<Condition> {
    let (status, reason, message) = match heard {
        Heard::Fresh => ("True", reason::HEARTBEAT_FRESH, "the agent's heartbeat is fresh"),
        Heard::Silent if old.is_none() => {
            ("False", reason::NEVER_SEEN, "no heartbeat of the agent was ever seen")
        }
        Heard::Silent => ("False", reason::HEARTBEAT_STALE, "the agent's heartbeat is old"),
        // A fresh operator does not know yet; what its predecessor wrote stands until it does.
        Heard::Unknown => return None,
    };
    if old.is_some_and(|old| old.status == status) {
        return None;
    }
    Some(Condition {
        type_: kind::CONNECTED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(now),
        observed_generation: None,
    })
}

/// Drops the claim of a cluster whose object is gone for good, so that a new one can adopt.
async fn release_claim(
    key: &HostKey,
    host: &PveHost,
    context: &Context,
) -> Result<Option<Duration>, AccessError> {
    let Some(claim) = host.status.as_ref().and_then(|status| status.cluster.as_ref()) else {
        return Ok(None);
    };
    let cluster = ClusterKey::new(&key.namespace, &claim.name);
    let is_claimant = |found: &PveCluster| found.uid().as_deref() == Some(claim.uid.as_str());
    if context.stores.cluster(&cluster).is_some_and(|found| is_claimant(&found)) {
        return Ok(None);
    }
    let live: Option<PveCluster> = context.access.get(&key.namespace, &claim.name).await?;
    if live.is_some_and(|found| is_claimant(&found)) {
        return Ok(None);
    }
    let runs = context
        .stores
        .changes(&cluster)
        .iter()
        .any(|change| change.spec.cluster_ref.uid == claim.uid && change.outcome().is_none());
    if runs {
        return Ok(Some(CLAIM_AGAIN));
    }
    let target = Target {
        namespace: &key.namespace,
        name: &key.name,
        version: host.metadata.resource_version.as_deref(),
        manager: MANAGER,
    };
    context.access.apply_status::<PveHost>(target, &json!({})).await?;
    tracing::info!(host = %key, cluster = claim.name, "claim released: its cluster is gone");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_written_on_a_flip_only() {
        let fresh = connected(Heard::Fresh, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(fresh.status, "True");
        assert_eq!(connected(Heard::Fresh, Some(&fresh), Timestamp::UNIX_EPOCH), None);
        let stale = connected(Heard::Silent, Some(&fresh), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((stale.status.as_str(), stale.reason.as_str()), ("False", "HeartbeatStale"));
        assert_eq!(connected(Heard::Silent, Some(&stale), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn an_operator_that_has_just_started_takes_nothing_back() {
        let fresh = connected(Heard::Fresh, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(connected(Heard::Unknown, Some(&fresh), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_host_that_was_never_heard_says_so() {
        assert_eq!(
            connected(Heard::Silent, None, Timestamp::UNIX_EPOCH).unwrap().reason,
            "NeverSeen"
        );
    }
}
