//! What a person is told of a cluster in the making: pure, from the objects as they are to the
//! sentences that are new. Reads no clock, prints nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use pvecm_crds::change::{PveChangeStatus, StageResult};
use pvecm_crds::condition::kind;
use pvecm_crds::host::AppliedStage;
use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde_json::Value;

/// Everything that the API server has of one cluster, at one moment.
#[derive(Debug, Default)]
pub struct Scene {
    cluster: Option<PveCluster>,
    changes: Vec<PveChange>,
    hosts: Vec<PveHost>,
}

impl Scene {
    /// Reads a `List` of mixed kinds as kubectl prints it.
    pub fn parse(list: &str) -> Result<Self> {
        let mut list: Value = serde_json::from_str(list).context("kubectl did not print JSON")?;
        let mut scene = Self::default();
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for item in items {
            match item["kind"].as_str() {
                Some("PveCluster") => scene.cluster = Some(serde_json::from_value(item)?),
                Some("PveChange") => scene.changes.push(serde_json::from_value(item)?),
                Some("PveHost") => scene.hosts.push(serde_json::from_value(item)?),
                _ => {}
            }
        }
        scene.changes.sort_by_key(|change| change.spec.number);
        Ok(scene)
    }

    /// Whether the cluster says of the spec as it stands that it is in force and healthy.
    pub fn is_ready(&self) -> bool {
        self.condition(kind::READY).is_some_and(|(status, _)| status == "True")
    }

    /// What a person has to do something about, in the operator's words.
    pub fn stalled(&self) -> Option<String> {
        let (status, message) = self.condition(kind::STALLED)?;
        (status == "True").then_some(message)
    }

    /// Where things stand right now, in one line.
    pub fn now(&self) -> String {
        let open = self.changes.iter().find(|change| outcome(change).is_none());
        let Some(change) = open else {
            return self.report().unwrap_or_else(|| "waiting for the operator".to_owned());
        };
        let stage = change.status.as_ref().map_or(0, |status| status.released_stage);
        let at = self.hosts.iter().filter_map(|host| {
            let applied = applied(host).filter(|applied| applied.change == change.spec.number)?;
            Some(format!("{} {}", name(host), word(applied.result)))
        });
        let at: Vec<_> = at.collect();
        let at = if at.is_empty() { "about to begin".to_owned() } else { at.join(", ") };
        format!("change {} stage {stage}: {at}", change.spec.number)
    }

    fn condition(&self, kind: &str) -> Option<(String, String)> {
        let cluster = self.cluster.as_ref()?;
        let conditions = &cluster.status.as_ref()?.conditions;
        let current = conditions.iter().find(|condition| {
            condition.type_ == kind && condition.observed_generation == cluster.metadata.generation
        })?;
        Some((current.status.clone(), current.message.clone()))
    }

    fn report(&self) -> Option<String> {
        let plan = self.cluster.as_ref()?.status.as_ref()?.plan.as_ref()?;
        let waiting = plan.waiting.join(", ");
        let later = if waiting.is_empty() { waiting } else { format!("; then {waiting}") };
        Some(format!("{}{later}", plan.sentence))
    }

    /// Every sentence that is true now, each with who says it.
    fn sentences(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for change in &self.changes {
            let number = change.spec.number;
            let who = format!("change {number}");
            all.extend(of_change(change).into_iter().map(|what| (who.clone(), what)));
            let at_work =
                self.hosts.iter().filter_map(|host| Some((name(host), work(host, number)?)));
            all.extend(at_work);
            all.extend(outcome(change).map(|outcome| (who, outcome)));
        }
        all.extend(self.report().map(|report| ("plan".to_owned(), report)));
        all.extend(self.hosts.iter().filter_map(|host| Some((name(host), running(host)?))));
        // As long as it is not ready, this condition repeats the plan's sentence.
        let ready = self.condition(kind::READY).filter(|(status, _)| status == "True");
        all.extend(ready.map(|(_, message)| ("cluster".to_owned(), format!("Ready: {message}"))));
        all
    }
}

/// Remembers the last scene, so that nothing is told again while it stays true.
#[derive(Debug, Default)]
pub struct Story {
    told: BTreeSet<(String, String)>,
}

impl Story {
    /// The lines that this scene adds, in the order of cause and effect.
    pub fn news(&mut self, scene: &Scene) -> Vec<String> {
        let sentences = scene.sentences();
        let new = sentences.iter().filter(|sentence| !self.told.contains(sentence));
        let lines = new.map(|(who, what)| format!("{who:<9} {what}")).collect();
        self.told = sentences.into_iter().collect();
        lines
    }
}

/// The plan and every stage that was released so far: one that came and went between two looks is
/// told as well.
fn of_change(change: &PveChange) -> Vec<String> {
    let plan = &change.spec.plan;
    let released = change.status.as_ref().map_or(0, |status| status.released_stage);
    let released = usize::try_from(released).unwrap_or(0);
    let count = plan.stages.len();
    let stage = |(at, stage): (usize, &pvecm_crds::change::Stage)| {
        format!("stage {}/{count}: {}", at + 1, stage.summary)
    };
    let begun = plan.stages.iter().enumerate().take(released).map(stage);
    std::iter::once(plan.summary.clone()).chain(begun).collect()
}

/// What a host reports of its work on a change.
fn work(host: &PveHost, change: i64) -> Option<String> {
    let applied = applied(host).filter(|applied| applied.change == change)?;
    let message = &applied.message;
    let why = if message.is_empty() { String::new() } else { format!(": {message}") };
    Some(format!("change {change} stage {} {}{why}", applied.stage, word(applied.result)))
}

/// What a host reports of its corosync.
fn running(host: &PveHost) -> Option<String> {
    let status = host.status.as_ref()?;
    let (quorum, running) = (status.quorum.as_ref()?, status.running.as_ref()?);
    let quorate = if quorum.quorate { "quorate" } else { "not quorate" };
    let votes = format!("{} of {} votes", quorum.total_votes, quorum.expected_votes);
    Some(format!("corosync runs version {}, {quorate} with {votes}", running.config_version))
}

fn outcome(change: &PveChange) -> Option<String> {
    let PveChangeStatus { outcome, message, .. } = change.status.as_ref()?;
    let why = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    outcome.map(|outcome| format!("{outcome:?}{why}"))
}

fn applied(host: &PveHost) -> Option<&AppliedStage> {
    host.status.as_ref()?.applied.as_ref()
}

fn name(host: &PveHost) -> String {
    host.metadata.name.clone().unwrap_or_default()
}

fn word(result: StageResult) -> &'static str {
    match result {
        StageResult::Prepared => "prepared",
        StageResult::Acting => "acting",
        StageResult::Confirmed => "confirmed",
        StageResult::RolledBack => "rolled back",
        StageResult::Refused => "refused",
        StageResult::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(observed: i64) -> Value {
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
            "metadata": {"name": "c", "generation": 2},
            "spec": {"nodes": [], "links": []},
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "AsWanted", "message": "all is well",
                    "observedGeneration": observed, "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
                "plan": {"sentence": "On n1: form the cluster", "waiting": ["n2 joins", "n3 joins"]},
            },
        })
    }

    fn host(stage: i32) -> Value {
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": "n1"}, "spec": {},
            "status": {
                "applied": {"change": 1, "changeDigest": "0".repeat(64), "stage": stage, "result": "Confirmed"},
                "running": {"configVersion": 3},
                "quorum": {"quorate": true, "expectedVotes": 3, "totalVotes": 2, "quorumVotes": 2},
            },
        })
    }

    fn change() -> Value {
        let stage = json!({
            "summary": "form", "risk": "Live", "course": "Local", "group": [], "joining": [],
            "config": {"version": 1, "digest": "0", "text": ""}, "actions": [], "probes": [],
            "confirmTimeoutSeconds": 10,
        });
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange", "metadata": {"name": "c-1"},
            "spec": {
                "clusterRef": {"name": "c", "uid": "u"}, "number": 1,
                "plan": {"generation": 1, "summary": "n1 begins", "risk": "Live", "stages": [stage]},
            },
            "status": {"releasedStage": 1},
        })
    }

    fn scene(items: &[Value]) -> Scene {
        Scene::parse(&json!({"kind": "List", "items": items}).to_string()).unwrap()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let mut story = Story::default();
        let first = story.news(&scene(&[cluster(2), host(1)]));
        let want = [
            "plan      On n1: form the cluster; then n2 joins, n3 joins",
            "n1        corosync runs version 3, quorate with 2 of 3 votes",
            "cluster   Ready: all is well",
        ];
        assert_eq!(first, want);
        assert_eq!(story.news(&scene(&[cluster(2), host(1)])), Vec::<String>::new());
        let news = story.news(&scene(&[cluster(2), host(1), change()]));
        let want = [
            "change 1  n1 begins",
            "change 1  stage 1/1: form",
            "n1        change 1 stage 1 confirmed",
        ];
        assert_eq!(news, want);
        // What is true again after it was not is told again.
        story.news(&scene(&[cluster(2)]));
        assert_eq!(story.news(&scene(&[cluster(2), host(1)])).len(), 1);
    }

    #[test]
    fn a_condition_of_an_older_spec_does_not_make_the_cluster_ready() {
        assert!(scene(&[cluster(2)]).is_ready());
        assert!(!scene(&[cluster(1)]).is_ready());
        assert!(!scene(&[]).is_ready());
    }
}
