//! Puts the parts together and takes them apart again in order: stop the queues, let the passes
//! that have begun end, give the lease back.

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use kube::runtime::events::Reporter;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access::MANAGER;
use crate::context::Context;
use crate::flags::Flags;
use crate::heartbeat::Heartbeats;
use crate::leader::{Claim, Leadership};
use crate::queue::Queue;
use crate::stores::{News, watch_all};
use crate::{hosts, http, reconcile};

/// Clusters that are worked on at once. A pass is mostly waiting for the API server.
const CLUSTERS_AT_ONCE: usize = 16;
/// Hosts that are written at once.
const HOSTS_AT_ONCE: usize = 16;

/// Runs until SIGTERM or SIGINT.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("no way to a Kubernetes API server")?;
    let identity = flags.identity();
    let namespace = flags.lease_namespace.as_deref().unwrap_or(client.default_namespace());
    let (mut claim, leadership) =
        Claim::new(client.clone(), namespace, identity.clone(), flags.lease_times()?);
    let listener = TcpListener::bind(flags.listen).await.context("cannot listen")?;
    let stop = until_told()?;
    let (cluster_queue, clusters) = Queue::new();
    let (host_queue, host_triggers) = Queue::new();
    let beats = Arc::new(Heartbeats::default());
    let news = News { clusters: clusters.clone(), hosts: host_triggers, beats: beats.clone() };
    let (warm, is_warm) = watch::channel(false);
    let (stores, _watches) = watch_all(&client, &flags.namespaces, &news, warm);
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity) };
    let context = Context::new(
        (client.clone(), leadership.clone()),
        (reporter, Box::new(jiff::Timestamp::now)),
        stores,
        (beats, clusters),
    );
    let told_of = (context.metrics.clone(), leadership.clone());
    let serving = tokio::spawn(http::serve(listener, told_of, is_warm.clone(), told(stop.clone())));
    tokio::spawn(start_over(leadership, news, context.clone()));
    let of_hosts = context.clone();
    tokio::join!(
        cluster_queue.run(CLUSTERS_AT_ONCE, told(stop.clone()), move |key| {
            reconcile::reconcile(key, context.clone())
        }),
        host_queue.run(HOSTS_AT_ONCE, told(stop.clone()), move |key| {
            hosts::pass(key, of_hosts.clone())
        }),
        keep_once_warm(&mut claim, is_warm, stop),
    );
    claim.release().await;
    serving.await.context("the HTTP server ended")??;
    Ok(())
}

/// Asks for the lease once all stores are filled: a leader must not decide from half a list.
async fn keep_once_warm(
    claim: &mut Claim,
    mut is_warm: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
) {
    tokio::select! {
        // An error means that the watches ended, which they do only at the end.
        _ = is_warm.wait_for(|warm| *warm) => {}
        () = told(stop.clone()) => return,
    }
    claim.keep(told(stop)).await;
}

/// Looks at everything once whenever this process becomes the one that writes.
pub async fn start_over(mut leadership: Leadership, news: News, context: Arc<Context>) {
    while leadership.gained().await.is_some() {
        let (clusters, hosts) = context.stores.everything();
        for key in clusters {
            news.clusters.now(key);
        }
        for key in hosts {
            news.hosts.now(key);
        }
    }
}

/// True once the process is told to end.
fn until_told() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end");
        sender.send_replace(true);
    });
    Ok(receiver)
}

async fn told(mut stop: watch::Receiver<bool>) {
    // An error means that the sender has gone, which it does only after the value.
    let _ = stop.wait_for(|stop| *stop).await;
}
