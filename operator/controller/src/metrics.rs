//! What is counted, for Prometheus: of this process, and of each cluster what its status says. The labels are names of
//! objects and words of the API, never texts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use pvecm_crds::cluster::PveClusterStatus;

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
struct ClusterLabels {
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    name: String,
    condition: String,
}

/// Which votes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Votes {
    /// That are there.
    Present,
    /// That would be there with everybody.
    Expected,
    /// That are needed for quorum.
    Needed,
    /// Of those that are there: the device's.
    Device,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VotesLabels {
    namespace: String,
    name: String,
    votes: Votes,
}

/// What is told of one cluster.
#[derive(Debug)]
struct Figures {
    /// Type of a condition; 1: True, 0: False, -1: Unknown.
    conditions: Vec<(String, i64)>,
    votes: Vec<(Votes, i64)>,
    failures_survived: Option<i64>,
    nodes: i64,
    nodes_online: i64,
    link_faults: i64,
    config_version: Option<i64>,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    passes: Family<PassLabels, Counter>,
    changes: Family<ChangeLabels, Counter>,
    clusters: Mutex<BTreeMap<ClusterKey, Figures>>,
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

    /// Takes in what is so of a cluster.
    pub fn cluster(&self, key: &ClusterKey, status: &PveClusterStatus) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(key.clone(), Figures::of(status));
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, key: &ClusterKey) {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// All of it in the `OpenMetrics` text form. `leads`: this process is the one that works on clusters; what another one
    /// remembers of them is of the past.
    pub fn render(&self, leads: bool) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("pvecm_operator");
        let leader = Gauge::<i64>::default();
        leader.set(leads.into());
        registry.register("leader", "1: this process works on clusters", leader);
        registry.register("reconciles", "Passes over clusters by outcome", self.passes.clone());
        registry.register("changes", "Changes that ended, by outcome", self.changes.clone());
        if leads {
            let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            Gauges::of(&clusters).register(&mut registry);
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Figures {
    fn of(status: &PveClusterStatus) -> Self {
        let condition = |status: &str| match status {
            "True" => 1,
            "False" => 0,
            _ => -1,
        };
        let conditions = status.conditions.iter().map(|c| (c.type_.clone(), condition(&c.status)));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let votes = status.quorum.iter().flat_map(|quorum| {
            let device = quorum.device.map(|votes| (Votes::Device, votes));
            let (present, expected) = (Votes::Present, Votes::Expected);
            let own = [(present, quorum.present), (expected, quorum.expected)];
            own.into_iter().chain([(Votes::Needed, quorum.needed)]).chain(device)
        });
        let quorum = status.quorum.as_ref();
        Self {
            conditions: conditions.collect(),
            votes: votes.collect(),
            failures_survived: quorum.map(|quorum| quorum.failures_survived.into()),
            nodes: count(status.nodes.len()),
            nodes_online: count(status.nodes.iter().filter(|node| node.online).count()),
            link_faults: count(status.links.len()),
            config_version: status.config_version,
        }
    }
}

/// The same in the form of Prometheus.
#[derive(Debug, Default)]
struct Gauges {
    conditions: Family<ConditionLabels, Gauge>,
    votes: Family<VotesLabels, Gauge>,
    failures_survived: Family<ClusterLabels, Gauge>,
    nodes: Family<ClusterLabels, Gauge>,
    nodes_online: Family<ClusterLabels, Gauge>,
    link_faults: Family<ClusterLabels, Gauge>,
    config_version: Family<ClusterLabels, Gauge>,
}

impl Gauges {
    fn of(clusters: &BTreeMap<ClusterKey, Figures>) -> Self {
        let gauges = Self::default();
        for (ClusterKey { namespace, name }, figures) in clusters {
            let of = ClusterLabels { namespace: namespace.clone(), name: name.clone() };
            let set = |family: &Family<ClusterLabels, Gauge>, value: i64| {
                family.get_or_create(&of).set(value);
            };
            set(&gauges.nodes, figures.nodes);
            set(&gauges.nodes_online, figures.nodes_online);
            set(&gauges.link_faults, figures.link_faults);
            if let Some(failures) = figures.failures_survived {
                set(&gauges.failures_survived, failures);
            }
            if let Some(version) = figures.config_version {
                set(&gauges.config_version, version);
            }
            for (condition, value) in &figures.conditions {
                let ClusterLabels { namespace, name } = of.clone();
                let labels = ConditionLabels { namespace, name, condition: condition.clone() };
                gauges.conditions.get_or_create(&labels).set(*value);
            }
            for (votes, value) in &figures.votes {
                let ClusterLabels { namespace, name } = of.clone();
                let labels = VotesLabels { namespace, name, votes: *votes };
                gauges.votes.get_or_create(&labels).set(*value);
            }
        }
        gauges
    }

    fn register(self, registry: &mut Registry) {
        let condition = "Conditions of a PveCluster; 1: True, 0: False, -1: Unknown";
        registry.register("cluster_condition", condition, self.conditions);
        registry.register("cluster_votes", "Votes of a cluster", self.votes);
        let failures = "Nodes that may still fail, the worst first, before quorum is lost";
        registry.register("cluster_failures_survived", failures, self.failures_survived);
        registry.register("cluster_nodes", "Nodes of the cluster or of its spec", self.nodes);
        let online = "Nodes in the membership that the quorate hosts see";
        registry.register("cluster_nodes_online", online, self.nodes_online);
        let faults = "Links from one node to another that are configured and not connected";
        registry.register("cluster_link_faults", faults, self.link_faults);
        let version = "config_version in force on all hosts";
        registry.register("cluster_config_version", version, self.config_version);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Metrics {
        let metrics = Metrics::default();
        metrics.passed(Pass::Idle);
        metrics.ended("Succeeded");
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "Some", "message": "",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let node = |name: &str, online: bool| json!({"name": name, "online": online});
        let status = json!({
            "configVersion": 7,
            "conditions": [condition("Ready", "False"), condition("Quorate", "True"),
                           condition("HostsConnected", "Unknown")],
            "nodes": [node("n1", true), node("n2", false)],
            "links": [{"number": 0, "from": "n1", "to": "n2"}],
            "quorum": {"present": 2, "expected": 3, "needed": 2, "device": 1, "failuresSurvived": 0},
        });
        metrics.cluster(
            &ClusterKey::new("pve", "prod"),
            &serde_json::from_value(status).expect("a status"),
        );
        metrics
    }

    #[test]
    fn everything_that_is_told() {
        let text = told().render(true).unwrap();
        // The series of a family come in no order.
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_metric_is_documented() {
        const PAGE: &str = include_str!("../../docs/metrics.md");
        let text = told().render(true).unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        for (name, kind) in types {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let row = format!("| `{name}{suffix}` |");
            assert!(
                PAGE.contains(&row),
                "operator/docs/metrics.md has no row that begins with {row}"
            );
        }
    }

    #[test]
    fn of_clusters_only_the_leader_tells_and_nothing_once_they_are_gone() {
        let metrics = told();
        assert!(!metrics.render(false).unwrap().contains("prod"));
        metrics.forget(&ClusterKey::new("pve", "prod"));
        let text = metrics.render(true).unwrap();
        assert!(!text.contains("prod") && text.contains("pvecm_operator_leader 1\n"), "{text}");
    }
}
