//! The seven conditions, always all of them. Pure but for the time of a flip.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pvecm_core::drift::Difference;
use pvecm_core::ids::HostName;
use pvecm_core::plan::Blocker;
use pvecm_crds::PveCluster;
use pvecm_crds::cluster::{LinkFault, NodeStatus};
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::host::AbsenceKind;

use super::{Observation, Stand, Verdict};
use crate::heartbeat::Heard;

/// What the conditions are made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What was observed.
    pub seen: &'a Observation,
    /// What it came to.
    pub verdict: &'a Verdict,
    /// The nodes as they are reported.
    pub nodes: &'a [NodeStatus],
    /// The links that are broken.
    pub links: &'a [LinkFault],
    /// What somebody changed beside the operator.
    pub drift: &'a [Difference],
    /// The time of day.
    pub now: Timestamp,
}

/// One condition before it gets its times.
struct Claim {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Claim {
    fn new(
        kind: &'static str,
        status: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status, reason: reason.into(), message: message.into() }
    }
}

/// All conditions; a time moves only where the status flips.
pub fn conditions(cluster: &PveCluster, facts: &Facts<'_>) -> Vec<Condition> {
    let claims = [
        ready(facts),
        reconciling(facts.verdict),
        stalled(facts.verdict),
        quorate(facts),
        hosts_connected(facts.seen),
        drifted(facts),
        paused(cluster),
    ];
    let old = |kind: &str| {
        let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().find(|old| old.type_ == kind)
    };
    let condition = |claim: Claim| {
        let Claim { kind, status, reason, message } = claim;
        let since = old(kind).filter(|old| old.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            observed_generation: cluster.metadata.generation,
            last_transition_time: since
                .map_or_else(|| Time(facts.now), |old| old.last_transition_time.clone()),
        }
    };
    claims.into_iter().map(condition).collect()
}

fn ready(facts: &Facts<'_>) -> Claim {
    let verdict = facts.verdict;
    if verdict.stand != Stand::Settled {
        return Claim::new(kind::READY, "False", &verdict.reason, &verdict.sentence);
    }
    let (away, here): (Vec<_>, Vec<_>) =
        facts.nodes.iter().partition(|node| !node.online && is_away(node));
    let sick = here.iter().find_map(|node| Some((node, node.message.as_ref()?)));
    if let Some((node, why)) = sick {
        let sentence = format!("{}: {why}", node.name);
        return Claim::new(kind::READY, "False", reason::NODE_UNHEALTHY, sentence);
    }
    if let Some(node) = here.iter().find(|node| !node.online) {
        let sentence = format!("{} is not in the membership", node.name);
        return Claim::new(kind::READY, "False", reason::NODE_UNHEALTHY, sentence);
    }
    let is_missed = |fault: &&LinkFault| away.iter().any(|node| node.name == fault.to);
    let mut faults = facts.links.iter().filter(|fault| !is_missed(fault));
    if let Some(LinkFault { number, from, to }) = faults.next() {
        let sentence = format!("link {number} from {from} to {to} is not connected");
        return Claim::new(kind::READY, "False", Blocker::LinkNotConnected.reason(), sentence);
    }
    // What is wanted is not in force on a machine that is off, however well that is known.
    if let Some(node) = away.first() {
        let because = node.absence.as_ref().map(|absence| absence.because.as_str());
        let sentence = format!(
            "{}; {} is away ({}) and follows when it is back",
            verdict.sentence,
            node.name,
            because.unwrap_or_default()
        );
        let sentence = super::super::limited(&sentence);
        return Claim::new(kind::READY, "False", Blocker::HostAway.reason(), sentence);
    }
    Claim::new(kind::READY, "True", reason::AS_WANTED, &verdict.sentence)
}

fn is_away(node: &NodeStatus) -> bool {
    node.absence.as_ref().is_some_and(|absence| absence.kind == AbsenceKind::Away)
}

fn reconciling(verdict: &Verdict) -> Claim {
    match verdict.stand {
        Stand::Working | Stand::Waiting => {
            Claim::new(kind::RECONCILING, "True", &verdict.reason, &verdict.sentence)
        }
        Stand::Settled | Stand::Paused | Stand::Stalled => {
            Claim::new(kind::RECONCILING, "False", &verdict.reason, "nothing is being changed")
        }
    }
}

fn stalled(verdict: &Verdict) -> Claim {
    match verdict.stand {
        Stand::Stalled => Claim::new(kind::STALLED, "True", &verdict.reason, &verdict.sentence),
        Stand::Settled | Stand::Working | Stand::Waiting | Stand::Paused => {
            Claim::new(kind::STALLED, "False", reason::AS_WANTED, "nobody has to act")
        }
    }
}

fn quorate(facts: &Facts<'_>) -> Claim {
    let heard = || facts.seen.view.hosts.values().filter(|view| view.connected);
    if heard().any(|view| view.quorate) {
        Claim::new(kind::QUORATE, "True", reason::QUORATE, "the cluster has quorum")
    } else if heard().next().is_none() {
        Claim::new(kind::QUORATE, "Unknown", reason::UNKNOWN, "no agent of this cluster is heard")
    } else if heard().all(|view| view.disk_file.is_none()) {
        Claim::new(kind::QUORATE, "False", reason::NOT_FORMED, "there is no cluster yet")
    } else {
        Claim::new(
            kind::QUORATE,
            "False",
            Blocker::NotQuorate.reason(),
            "no host that is heard is quorate",
        )
    }
}

fn hosts_connected(seen: &Observation) -> Claim {
    let named = |wanted: Heard| {
        let found = seen.heard.iter().filter(move |(_, heard)| **heard == wanted);
        found.map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (silent, unknown) = (named(Heard::Silent), named(Heard::Unknown));
    let is_known = |name: &&HostName| {
        seen.view.hosts.get(*name).is_some_and(|view| view.declared_away().is_some())
    };
    let mut all = seen.heard.iter().filter(|(_, heard)| **heard == Heard::Silent).map(|(n, _)| n);
    if !silent.is_empty() && all.all(|name| is_known(&name)) {
        let sentence = format!("not heard, and known to be away: {silent}");
        let reason = Blocker::HostAway.reason();
        Claim::new(kind::HOSTS_CONNECTED, "False", reason, sentence)
    } else if !silent.is_empty() {
        let sentence = format!("not heard: {silent}");
        Claim::new(kind::HOSTS_CONNECTED, "False", reason::HEARTBEAT_STALE, sentence)
    } else if !unknown.is_empty() {
        let sentence = format!("not heard since this operator started: {unknown}");
        Claim::new(kind::HOSTS_CONNECTED, "Unknown", reason::UNKNOWN, sentence)
    } else if seen.heard.is_empty() {
        Claim::new(kind::HOSTS_CONNECTED, "False", reason::NEVER_SEEN, "there are no hosts yet")
    } else {
        let sentence = "the agents of all hosts are heard";
        Claim::new(kind::HOSTS_CONNECTED, "True", reason::HEARTBEAT_FRESH, sentence)
    }
}

/// Names key and host: the rest stands in the status, row by row.
fn drifted(facts: &Facts<'_>) -> Claim {
    const NAMED: usize = 3;
    let drift = facts.drift;
    if drift.is_empty() {
        let sentence = "no managed value was edited elsewhere";
        return Claim::new(kind::DRIFTED, "False", reason::AS_WANTED, sentence);
    }
    let mut said: Vec<_> = drift.iter().take(NAMED).map(ToString::to_string).collect();
    said.extend(drift.len().checked_sub(NAMED + 1).map(|more| format!("and {} more", more + 1)));
    let sentence = super::super::limited(&said.join("; "));
    Claim::new(kind::DRIFTED, "True", reason::EDITED_ELSEWHERE, sentence)
}

fn paused(cluster: &PveCluster) -> Claim {
    if cluster.spec.rollout.paused {
        let sentence = "`rollout.paused` is true: nothing new is started";
        Claim::new(kind::PAUSED, "True", reason::PAUSED, sentence)
    } else {
        Claim::new(kind::PAUSED, "False", reason::NOT_PAUSED, "changes are carried out")
    }
}
