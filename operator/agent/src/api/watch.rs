//! What is wanted of this host: its own object and the changes of its namespace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, ResourceExt};
use pvecm_crds::{PveChange, PveHost};
use tokio::sync::mpsc::UnboundedSender;

use super::{Own, Wanted};

/// A silent connection is noticed after so many seconds; the library's own limit is five minutes.
const WATCH_SECONDS: u32 = 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// kube's own backoff, cut at five seconds. An API server that comes back answers the first watches
/// with "expired", and a host that listens again half a minute after the others misses the prepare of a stage.
#[derive(Default)]
struct Soon(DefaultBackoff);

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {
        self.0.reset();
    }
}

pub(super) async fn watch_host((client, bootstrap): Own, wanted: UnboundedSender<Wanted>) {
    let api: Api<PveHost> = Api::namespaced(client, &bootstrap.namespace);
    let only_own = format!("metadata.name={}", bootstrap.host);
    let config = watcher::Config::default().timeout(WATCH_SECONDS).fields(&only_own);
    let events = watcher::watcher(api, config).backoff(Soon::default());
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(host) | Event::InitApply(host)) => {
                let _ = wanted.send(Wanted::Host(Box::new(host)));
            }
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
            Err(error) => tracing::warn!(%error, "cannot watch the own PveHost"),
        }
    }
}

pub(super) async fn watch_changes((client, bootstrap): Own, wanted: UnboundedSender<Wanted>) {
    let api: Api<PveChange> = Api::namespaced(client, &bootstrap.namespace);
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher::watcher(api, config).backoff(Soon::default());
    let mut events = std::pin::pin!(events);
    let (mut known, mut listed) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = BTreeMap::new(),
            Ok(Event::InitApply(change)) => {
                listed.insert(change.name_any(), Arc::new(change));
                continue;
            }
            Ok(Event::InitDone) => known = std::mem::take(&mut listed),
            Ok(Event::Apply(change)) => {
                known.insert(change.name_any(), Arc::new(change));
            }
            Ok(Event::Delete(change)) => {
                known.remove(&change.name_any());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot watch the changes");
                continue;
            }
        }
        let _ = wanted.send(Wanted::Changes(known.clone()));
    }
}
