//! `kubectl pvecm explain`: why nothing is happening, and what to do about it.

use clap::ArgGroup;
use kube::ResourceExt as _;
use pvecm_core::explain::Page;
use pvecm_crds::PveCluster;
use pvecm_crds::condition::{kind, reason};
use serde::Serialize;

use super::{absence, read};
use crate::cli::{Connection, online};
use crate::completion;
use crate::exit::Verdict;
use crate::output::{Format, print};

/// What `explain` is told.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("of").required(true).args(["cluster", "reason"]))]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: Option<String>,
    /// A reason as it stands in a condition; no cluster is looked at.
    #[arg(long)]
    reason: Option<String>,
    /// Print data instead of text.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Why a cluster is as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    cluster: String,
    /// What is the matter, the most important first; empty when nothing is.
    matters: Vec<Matter>,
    /// The machines that a person declared off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absences: Vec<String>,
    /// What has to come first, and what comes later.
    waiting_for: Vec<String>,
    /// What the conditions do not speak of yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<String>,
}

/// One thing that is the matter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Matter {
    /// The condition.
    condition: &'static str,
    reason: String,
    /// The condition's own sentence.
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static Page>,
}

/// The conditions that something is the matter with, and in which status, by importance.
const MATTERS: [(&str, &[&str]); 8] = [
    (kind::STALLED, &["True"]),
    (kind::PAUSED, &["True"]),
    (kind::RECONCILING, &["True"]),
    (kind::QUORATE, &["False", "Unknown"]),
    (kind::HOSTS_CONNECTED, &["False", "Unknown"]),
    (kind::DRIFTED, &["True"]),
    (kind::READY, &["False", "Unknown"]),
    (kind::LINKS_HEALTHY, &["False"]),
];

/// Explains a cluster, or a reason.
pub fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    if let Some(reason) = &args.reason {
        let Some(page) = page(reason, "") else {
            return Ok(Verdict::refused(&format!(
                "`{reason}` is no reason that the operator gives"
            )));
        };
        let text = || format!("{}\n{}", page.reason, paragraphs(page)).into_bytes();
        print(args.output, page, text)?;
        return Ok(Verdict::Fine);
    }
    let name = args.cluster.as_deref().unwrap_or_default();
    let cluster = online(async {
        let (client, namespace) = connection.connect().await?;
        read::cluster(&client, &namespace, name).await
    })?;
    let explanation = explain(&cluster);
    print(args.output, &explanation, || shown(&explanation).into_bytes())?;
    Ok(Verdict::Fine)
}

fn page(reason: &str, sentence: &str) -> Option<&'static Page> {
    Page::of(reason, sentence).or_else(|| reason::page(reason))
}

fn explain(cluster: &PveCluster) -> Explanation {
    let status = cluster.status.clone().unwrap_or_default();
    let mut matters: Vec<Matter> = Vec::new();
    for (condition, bad) in MATTERS {
        let found = status.conditions.iter().find(|c| c.type_ == condition);
        let Some(found) = found.filter(|found| bad.contains(&found.status.as_str())) else {
            continue;
        };
        // `Ready` repeats the reason of whatever stands in its way.
        if matters.iter().any(|matter| matter.reason == found.reason) {
            continue;
        }
        let (reason, sentence) = (found.reason.clone(), found.message.clone());
        matters.push(Matter { condition, page: page(&reason, &sentence), reason, sentence });
    }
    let seen = status.observed_generation;
    let stale = match (seen, cluster.metadata.generation) {
        (None, _) => Some(
            "the operator has said nothing of it yet: is it running, and does it serve this \
             namespace?"
                .to_owned(),
        ),
        (Some(seen), Some(now)) if seen < now => Some(format!(
            "the spec was edited after the operator last looked (generation {now}, seen {seen}): \
             what follows is about the one before"
        )),
        (Some(_), _) => None,
    };
    let absences = absence::sentences(&status);
    let waiting_for = status.plan.map(|plan| plan.waiting).unwrap_or_default();
    Explanation { cluster: cluster.name_any(), matters, absences, waiting_for, stale }
}

/// The explanation of a cluster as text.
pub(super) fn told(cluster: &PveCluster) -> String {
    shown(&explain(cluster))
}

fn shown(explanation: &Explanation) -> String {
    let Explanation { cluster, matters, absences, waiting_for, stale } = explanation;
    let mut out = String::new();
    if let Some(stale) = stale {
        out.push_str(&format!("{cluster}: {stale}\n"));
    } else if matters.is_empty() {
        out.push_str(&format!("{cluster}: all is as wanted; nothing has to be done\n"));
    }
    for Matter { condition, reason, sentence, page } in matters {
        out.push_str(&format!("{cluster} {condition}, {reason}: {sentence}\n"));
        if let Some(page) = page {
            out.push_str(&paragraphs(page));
        }
    }
    for sentence in absences {
        out.push_str(&format!("{cluster}: {sentence}\n"));
    }
    for sentence in waiting_for {
        out.push_str(&format!("Waits for, or later: {sentence}\n"));
    }
    out
}

fn paragraphs(page: &Page) -> String {
    let Page { reason: _, means, prevents, act } = page;
    let mut out = format!("  What it means:    {means}\n");
    if !prevents.is_empty() {
        out.push_str(&format!("  What it prevents: {prevents}\n"));
    }
    out.push_str(&format!("  What to do:       {act}\n"));
    out
}

#[cfg(test)]
mod tests {
    use pvecm_core::guard::Refusal;
    use pvecm_core::plan::Blocker;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake;

    fn with(conditions: &[(&str, &str, &str, &str)]) -> PveCluster {
        let condition = |(kind, status, reason, message): &(&str, &str, &str, &str)| -> Value {
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let mut cluster = fake::cluster();
        cluster["status"] = json!({
            "observedGeneration": 1,
            "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
        });
        serde_json::from_value(cluster).unwrap()
    }

    /// What is said of a cluster that is stalled for this reason.
    fn stalled(reason: &str, sentence: &str) -> String {
        let ready = ("Ready", "False", reason, sentence);
        shown(&explain(&with(&[("Stalled", "True", reason, sentence), ready])))
    }

    #[test]
    fn every_blocker_is_explained() {
        let said = Blocker::PAGES.iter().map(|page| stalled(page.reason, "n2 ..."));
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn every_guard_is_explained() {
        let sentence = format!("{}...", Refusal::BEGINS);
        let said = Refusal::PAGES.iter().map(|page| stalled(page.reason, &sentence));
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn every_other_reason_is_explained() {
        let said = reason::PAGES.iter().map(|page| stalled(page.reason, "..."));
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_is_the_matter_is_said_once_and_the_most_important_first() {
        let said = explain(&with(&[
            ("Ready", "False", "HostNotConnected", "n2 is not heard"),
            ("Reconciling", "False", "HostNotConnected", "nothing is being changed"),
            ("Stalled", "True", "HostNotConnected", "n2 is not heard"),
            ("Quorate", "True", "Quorate", "the cluster has quorum"),
            ("HostsConnected", "False", "HeartbeatStale", "not heard: n2"),
            ("Paused", "True", "Paused", "nothing new is started"),
        ]));
        let order: Vec<_> = said.matters.iter().map(|matter| matter.condition).collect();
        assert_eq!(order, ["Stalled", "Paused", "HostsConnected"]);
        assert!(said.matters.iter().all(|matter| matter.page.is_some()));
    }

    #[test]
    fn a_cluster_that_is_well_or_was_not_looked_at_is_not_blamed() {
        let well = with(&[("Ready", "True", "AsWanted", "all is as wanted")]);
        assert!(shown(&explain(&well)).contains("nothing has to be done"));
        let fresh: PveCluster = serde_json::from_value(fake::cluster()).unwrap();
        assert!(shown(&explain(&fresh)).contains("is it running"));
        let mut edited = well;
        edited.metadata.generation = Some(2);
        assert!(shown(&explain(&edited)).contains("generation 2, seen 1"));
    }
}
