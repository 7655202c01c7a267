//! What is counted, for Prometheus. Few labels, no names of objects, no texts of errors.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::keys::ClusterKey;

/// How a pass over a cluster ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Pass {
    /// Nothing was to be done.
    Idle,
    /// One effect was carried out.
    Acted,
    /// Something is waited for.
    Waiting,
    /// A person is needed.
    Stalled,
    /// The API server failed or refused.
    Error,
    /// It panicked.
    Panic,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    outcome: Pass,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: String,
    status: String,
}

/// The conditions of one cluster: type and status.
pub type Conditions = Vec<(String, String)>;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<PassLabels, Counter>,
    changes: Family<ChangeLabels, Counter>,
    clusters: Family<ConditionLabels, Gauge>,
    known: Mutex<HashMap<ClusterKey, Conditions>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pvecm_operator");
        let (passes, changes) = (Family::default(), Family::default());
        let clusters = Family::default();
        registry.register("reconciles", "Passes over clusters by outcome", passes.clone());
        registry.register("changes", "Changes that ended, by outcome", changes.clone());
        registry.register("clusters", "Clusters by condition and status", clusters.clone());
        Self { registry, passes, changes, clusters, known: Mutex::default() }
    }
}

impl Metrics {
    /// Counts a pass.
    pub fn passed(&self, outcome: Pass) {
        self.passes.get_or_create(&PassLabels { outcome }).inc();
    }

    /// Counts a change that ended.
    pub fn ended(&self, outcome: &'static str) {
        self.changes.get_or_create(&ChangeLabels { outcome }).inc();
    }

    /// Takes in a cluster's conditions; empty: the cluster is gone.
    pub fn conditions(&self, key: &ClusterKey, conditions: Conditions) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let old = if conditions.is_empty() {
            known.remove(key)
        } else {
            known.insert(key.clone(), conditions.clone())
        };
        for (condition, status) in old.into_iter().flatten() {
            self.clusters.get_or_create(&ConditionLabels { condition, status }).dec();
        }
        for (condition, status) in conditions {
            self.clusters.get_or_create(&ConditionLabels { condition, status }).inc();
        }
    }

    /// All of it in the `OpenMetrics` text form.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_counts_once_per_condition_and_not_at_all_once_it_is_gone() {
        let metrics = Metrics::default();
        let key = ClusterKey::new("pve", "prod");
        let ready = |status: &str| vec![("Ready".to_owned(), status.to_owned())];
        metrics.conditions(&key, ready("False"));
        metrics.conditions(&key, ready("True"));
        let line = |status, n| {
            format!("pvecm_operator_clusters{{condition=\"Ready\",status=\"{status}\"}} {n}\n")
        };
        let text = metrics.render().unwrap();
        assert!(text.contains(&line("True", 1)) && text.contains(&line("False", 0)), "{text}");
        metrics.conditions(&key, Vec::new());
        assert!(metrics.render().unwrap().contains(&line("True", 0)));
    }
}
