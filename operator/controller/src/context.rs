//! What every pass is handed: the ways to read and write, and what is counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter};
use tokio::time::{Instant, timeout};

use crate::access::{Access, PATIENCE};
use crate::backoff::Backoff;
use crate::heartbeat::Heartbeats;
use crate::keys::{ClusterKey, HostKey};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::queue::Triggers;
use crate::reconcile::{Foretold, Question};
use crate::stores::Stores;

/// What every pass is handed. Nothing in here is a decision that outlives its pass.
pub struct Context {
    /// Calls to the API server.
    pub access: Access,
    /// What the watches brought.
    pub stores: Arc<Stores>,
    /// Which agents are heard.
    pub beats: Arc<Heartbeats>,
    /// Where passes over clusters are asked for.
    pub clusters: Triggers<ClusterKey>,
    /// Errors in a row per cluster.
    pub cluster_backoff: Backoff<ClusterKey>,
    /// Errors in a row per host.
    pub host_backoff: Backoff<HostKey>,
    /// When an outcome was first seen here.
    pub outcomes: Outcomes,
    /// What files foretold of clusters.
    pub margins: Margins,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Events.
    pub recorder: Recorder,
    /// The time of day.
    pub time: TimeOfDay,
}

/// Where the time of day comes from.
pub type TimeOfDay = Box<dyn Fn() -> Timestamp + Send + Sync>;

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Context {
    /// What passes begin with, in a process that has counted nothing yet.
    #[must_use]
    pub fn new(
        (client, leadership): (Client, Leadership),
        (reporter, time): (Reporter, TimeOfDay),
        stores: Arc<Stores>,
        (beats, clusters): (Arc<Heartbeats>, Triggers<ClusterKey>),
    ) -> Arc<Self> {
        Arc::new(Self {
            access: Access::new(client.clone(), leadership),
            stores,
            beats,
            clusters,
            cluster_backoff: Backoff::default(),
            host_backoff: Backoff::default(),
            outcomes: Outcomes::default(),
            margins: Margins::default(),
            metrics: Arc::default(),
            recorder: Recorder::new(client, reporter),
            time,
        })
    }

    /// Publishes an event, under a timeout, without waiting for a second try.
    pub async fn tell(&self, event: &Event, about: &ObjectReference) {
        if !self.access.leads() {
            return;
        }
        let published = timeout(PATIENCE, self.recorder.publish(event, about)).await;
        if !published.is_ok_and(|published| published.is_ok()) {
            tracing::warn!(reason = event.reason, "event not published");
        }
    }
}

/// When this process first saw that a change had failed: the next try waits from then on. A restart
/// waits anew, which is the safe side.
#[derive(Debug, Default)]
pub struct Outcomes(Mutex<HashMap<ClusterKey, (String, Instant)>>);

impl Outcomes {
    /// How long ago this process first saw this outcome.
    pub fn age(&self, key: &ClusterKey, change: &str) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match seen.get(key) {
            Some((name, since)) if name == change => now.duration_since(*since),
            Some(_) | None => {
                seen.insert(key.clone(), (change.to_owned(), now));
                Duration::ZERO
            }
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, key: &ClusterKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What a file foretold the last time, per cluster: the same question is not gone through again.
#[derive(Debug, Default)]
pub struct Margins(Mutex<HashMap<ClusterKey, (Question, Foretold)>>);

impl Margins {
    /// The answer, asked for only when it is another question than the last one.
    pub fn of(
        &self,
        key: &ClusterKey,
        question: Question,
        ask: impl FnOnce(&Question) -> Foretold,
    ) -> Foretold {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some((_, answer)) = known.filter(|(asked, _)| *asked == question) {
            return answer;
        }
        let answer = ask(&question);
        let answered = (question, answer.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), answered);
        answer
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, key: &ClusterKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
