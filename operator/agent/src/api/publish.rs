//! Status and heartbeat, by server-side apply.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use pvecm_crds::PveHost;
use pvecm_crds::host::PveHostStatus;
use serde_json::json;
use tokio::sync::watch;

use super::{Backoff, FIELD_MANAGER, Own, in_time};

/// Sends what is told, each time that it is, and always the newest.
pub(super) async fn publish(
    (client, bootstrap): Own,
    mut status: watch::Receiver<Option<PveHostStatus>>,
) {
    let api: Api<PveHost> = Api::namespaced(client, &bootstrap.namespace);
    let mut backoff = Backoff::default();
    loop {
        let told = status.borrow_and_update().clone();
        if let Some(told) = told
            && !apply(&api, bootstrap.host.as_str(), &told).await
        {
            backoff.wait().await;
            continue;
        }
        backoff.reset();
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Whether the API server took the status.
async fn apply(api: &Api<PveHost>, host: &str, status: &PveHostStatus) -> bool {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let object = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost", "status": status});
    let done = in_time(api.patch_status(host, &params, &Patch::Apply(object))).await;
    if let Err(error) = &done {
        tracing::warn!(error = format!("{error:#}"), "cannot publish the status");
    }
    done.is_ok()
}

/// Renews the host's Lease as often as the bootstrap file says.
pub(super) async fn heartbeat((client, bootstrap): Own) {
    let api: Api<Lease> = Api::namespaced(client, &bootstrap.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let seconds = bootstrap.heartbeat_seconds.max(1);
    let mut ticks = tokio::time::interval(Duration::from_secs(u64::from(seconds)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let host = bootstrap.host.as_str();
    loop {
        ticks.tick().await;
        let now = jiff::Timestamp::now();
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": host},
            "spec": {
                "holderIdentity": host,
                "leaseDurationSeconds": seconds.saturating_mul(4),
                "renewTime": format!("{now:.6}"),
            },
        });
        if let Err(error) = in_time(api.patch(host, &params, &Patch::Apply(object))).await {
            tracing::warn!(error = format!("{error:#}"), "cannot renew the heartbeat");
        }
    }
}
