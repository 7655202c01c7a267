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

/// Sends what is told, each time that it is, and always the newest. `held` says whether the API server has
/// what was told last.
pub(super) async fn publish(
    (client, bootstrap): Own,
    mut status: watch::Receiver<Option<PveHostStatus>>,
    held: watch::Sender<bool>,
) {
    let api: Api<PveHost> = Api::namespaced(client, &bootstrap.namespace);
    let mut backoff = Backoff::default();
    loop {
        let told = status.borrow_and_update().clone();
        if let Some(told) = told {
            let taken = apply(&api, bootstrap.host.as_str(), &told).await;
            held.send_replace(taken);
            if !taken {
                backoff.wait().await;
                continue;
            }
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

/// Renews the host's Lease as often as the bootstrap file says, as long as the API server holds what the host
/// told last: who is heard is believed, and a status from before a power cut says that the host is quorate.
pub(super) async fn heartbeat((client, bootstrap): Own, mut held: watch::Receiver<bool>) {
    let api: Api<Lease> = Api::namespaced(client, &bootstrap.namespace);
    let seconds = bootstrap.heartbeat_seconds.max(1);
    let mut ticks = tokio::time::interval(Duration::from_secs(u64::from(seconds)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if held.wait_for(|held| *held).await.is_err() {
            return;
        }
        renew(&api, bootstrap.host.as_str(), seconds).await;
    }
}

async fn renew(api: &Api<Lease>, host: &str, seconds: u32) {
    let params = PatchParams::apply(FIELD_MANAGER).force();
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use pvecm_crds::bootstrap::Bootstrap;

    use super::*;

    /// An API server that takes statuses only while it is told to, and notes every request.
    #[derive(Clone, Default)]
    struct Server {
        takes: Arc<AtomicBool>,
        leases: Arc<AtomicUsize>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let answer = server.answer(request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            Client::new(service, "pve")
        }

        fn answer(&self, path: &str) -> Response<Body> {
            self.asked.lock().unwrap().push(path.to_owned());
            let is_lease = path.contains("/leases/");
            self.leases.fetch_add(usize::from(is_lease), Ordering::Relaxed);
            let object = json!({"metadata": {"name": "n1"}, "spec": {}});
            let (code, body) = if is_lease || self.takes.load(Ordering::Relaxed) {
                (200, object)
            } else {
                (500, json!({"kind": "Status", "status": "Failure", "code": 500}))
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body).unwrap()
        }

        fn beats(&self) -> usize {
            self.leases.load(Ordering::Relaxed)
        }
    }

    fn bootstrap() -> Arc<Bootstrap> {
        let text = json!({"server": "https://api", "certificateAuthority": "", "namespace": "pve",
            "host": "n1", "token": "", "heartbeatSeconds": 2, "expirationSeconds": 600});
        Arc::new(serde_json::from_value(text).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_not_heard_before_its_word_is_held_and_while_a_newer_one_is_not() {
        let server = Server::default();
        let own = || (server.client(), bootstrap());
        let (tell, told) = watch::channel(Some(PveHostStatus::default()));
        let (held_in, held) = watch::channel(false);
        tokio::spawn(publish(own(), told, held_in));
        tokio::spawn(heartbeat(own(), held));
        let soon = Duration::from_secs(60);
        tokio::time::sleep(soon).await;
        assert!(!server.asked.lock().unwrap().is_empty(), "the status was not even sent");
        assert_eq!(server.beats(), 0);

        server.takes.store(true, Ordering::Relaxed);
        tokio::time::sleep(soon).await;
        let heard = server.beats();
        assert!(heard >= 10, "{heard}");

        server.takes.store(false, Ordering::Relaxed);
        tell.send_replace(Some(PveHostStatus::default()));
        tokio::time::sleep(soon).await;
        assert!(server.beats() <= heard + 1, "heard with another word than the last");
    }
}
