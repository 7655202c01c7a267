//! The eight conditions, always all of them. Pure but for the time of a flip.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pvecm_core::drift::Difference;
use pvecm_core::ids::HostName;
use pvecm_core::plan::Blocker;
use pvecm_crds::PveCluster;
use pvecm_crds::cluster::{LinkFault, NodeStatus};
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::host::{AbsenceKind, LinkClass};

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
    /// The links that are not as they should be.
    pub links: &'a [LinkFault],
    /// What is to be said of a device that does not vote everywhere.
    pub device: Option<&'a str>,
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
        ready(facts.verdict, (facts.nodes, facts.links), facts.device),
        reconciling(facts.verdict),
        stalled(facts.verdict),
        quorate(facts),
        hosts_connected(facts.seen),
        links_healthy(facts),
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

fn ready(
    verdict: &Verdict,
    (nodes, links): (&[NodeStatus], &[LinkFault]),
    device: Option<&str>,
) -> Claim {
    if verdict.stand != Stand::Settled {
        return Claim::new(kind::READY, "False", &verdict.reason, &verdict.sentence);
    }
    let (absent, here): (Vec<_>, Vec<_>) =
        nodes.iter().partition(|node| !node.online && node.absence.is_some());
    let sick = here.iter().find_map(|node| Some((node, node.message.as_ref()?)));
    if let Some((node, why)) = sick {
        let sentence = format!("{}: {why}", node.name);
        return Claim::new(kind::READY, "False", reason::NODE_UNHEALTHY, sentence);
    }
    if let Some(node) = here.iter().find(|node| !node.online) {
        let sentence = format!("{} is not in the membership", node.name);
        return Claim::new(kind::READY, "False", reason::NODE_UNHEALTHY, sentence);
    }
    let is_missed = |fault: &&LinkFault| absent.iter().any(|node| node.name == fault.to);
    let is_broken = |fault: &&LinkFault| fault.class == LinkClass::Broken;
    if let Some(fault) = links.iter().filter(is_broken).find(|fault| !is_missed(fault)) {
        let sentence = super::super::limited(&format!("link {fault}"));
        return Claim::new(kind::READY, "False", Blocker::LinkNotConnected.reason(), sentence);
    }
    if let Some(why) = device {
        let sentence = super::super::limited(why);
        return Claim::new(kind::READY, "False", reason::DEVICE_NOT_VOTING, sentence);
    }
    // What is wanted is not in force on a machine that is off, however well that is known.
    if let Some((node, absence)) =
        absent.first().and_then(|node| Some((node, node.absence.as_ref()?)))
    {
        let (name, because) = (&node.name, &absence.because);
        let (reason, what) = match absence.kind {
            AbsenceKind::Away => (
                Blocker::HostAway.reason(),
                format!("{name} is away ({because}) and follows when it is back"),
            ),
            AbsenceKind::Dead => (
                reason::NODE_UNHEALTHY,
                format!(
                    "{name} is declared dead ({because}) and is left out: take it out of spec.nodes"
                ),
            ),
        };
        let sentence = super::super::limited(&format!("{}; {what}", verdict.sentence));
        return Claim::new(kind::READY, "False", reason, sentence);
    }
    Claim::new(kind::READY, "True", reason::AS_WANTED, &verdict.sentence)
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

/// What carries and is not good is no reason not to be ready. Of who is known to be off nobody expects a link.
fn links_healthy(facts: &Facts<'_>) -> Claim {
    let is_off = |name: &String| {
        facts.nodes.iter().any(|node| node.name == *name && node.absence.is_some() && !node.online)
    };
    let faults: Vec<_> = facts.links.iter().filter(|fault| !is_off(&fault.to)).collect();
    if !facts.seen.view.hosts.values().any(|view| view.connected) {
        let sentence = "no agent of this cluster is heard";
        return Claim::new(kind::LINKS_HEALTHY, "Unknown", reason::UNKNOWN, sentence);
    }
    let Some(worst) = faults.iter().map(|fault| fault.class).max_by_key(|class| severity(*class))
    else {
        let sentence = "every configured link is connected and good";
        return Claim::new(kind::LINKS_HEALTHY, "True", reason::AS_WANTED, sentence);
    };
    let reason = match worst {
        LinkClass::Broken => Blocker::LinkNotConnected.reason(),
        LinkClass::Good | LinkClass::Slow | LinkClass::Lossy => reason::LINKS_DEGRADED,
    };
    let worst: Vec<_> = faults.iter().filter(|fault| fault.class == worst).collect();
    let said = worst.iter().take(NAMED).map(|fault| format!("link {fault}"));
    Claim::new(kind::LINKS_HEALTHY, "False", reason, named(said, worst.len()))
}

fn severity(class: LinkClass) -> pvecm_core::fitness::LinkClass {
    class.into()
}

/// So many are named in a condition: the rest stands in the status, row by row.
const NAMED: usize = 3;

/// The first of so many.
fn named(first: impl Iterator<Item = String>, all: usize) -> String {
    let mut said: Vec<_> = first.collect();
    said.extend(all.checked_sub(NAMED + 1).map(|more| format!("and {} more", more + 1)));
    super::super::limited(&said.join("; "))
}

/// Names key and host.
fn drifted(facts: &Facts<'_>) -> Claim {
    let drift = facts.drift;
    if drift.is_empty() {
        let sentence = "no managed value was edited elsewhere";
        return Claim::new(kind::DRIFTED, "False", reason::AS_WANTED, sentence);
    }
    let sentence = named(drift.iter().take(NAMED).map(ToString::to_string), drift.len());
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

#[cfg(test)]
mod tests {
    use pvecm_crds::host::Absence;

    use super::*;

    fn absent(kind: AbsenceKind) -> NodeStatus {
        let absence = Absence { kind, because: "PDU port 7 off".to_owned(), until: None };
        NodeStatus { name: "n3".to_owned(), absence: Some(absence), ..NodeStatus::default() }
    }

    /// A person who looks why the cluster is not ready is told what is left to do.
    #[test]
    fn a_cluster_without_one_of_its_nodes_is_not_ready_and_says_what_becomes_of_that_one() {
        let settled = Verdict::new(Stand::Settled, reason::AS_WANTED, "as wanted");
        let here = NodeStatus { name: "n1".to_owned(), online: true, ..NodeStatus::default() };
        let fault = |to: &str| LinkFault {
            from: "n1".to_owned(),
            to: to.to_owned(),
            ..LinkFault::default()
        };
        let said = |nodes: &[NodeStatus], links: &[LinkFault]| {
            let Claim { status, reason, message, .. } = ready(&settled, (nodes, links), None);
            (status, reason, message)
        };
        let with = |node: NodeStatus| said(&[here.clone(), node], &[fault("n3")]);
        let (status, reason, message) = with(absent(AbsenceKind::Away));
        assert_eq!((status, reason.as_str()), ("False", "HostAway"));
        assert_eq!(message, "as wanted; n3 is away (PDU port 7 off) and follows when it is back");
        let (status, reason, message) = with(absent(AbsenceKind::Dead));
        assert_eq!((status, reason.as_str()), ("False", "NodeUnhealthy"));
        let left_out =
            "n3 is declared dead (PDU port 7 off) and is left out: take it out of spec.nodes";
        assert_eq!(message, format!("as wanted; {left_out}"));
        let silent = NodeStatus { absence: None, ..absent(AbsenceKind::Dead) };
        assert_eq!(said(&[silent], &[]).2, "n3 is not in the membership");
        let broken = said(std::slice::from_ref(&here), &[fault("n2")]);
        assert_eq!((broken.0, broken.1.as_str()), ("False", "LinkNotConnected"));
        let lossy = LinkFault { class: LinkClass::Lossy, ..fault("n2") };
        assert_eq!(said(std::slice::from_ref(&here), &[lossy]).0, "True", "it carries");
        assert_eq!(said(&[here], &[]).0, "True");
    }

    /// A cluster that is believed to survive a failure more than it does.
    #[test]
    fn a_cluster_whose_device_does_not_vote_is_not_ready_once_all_else_is_well() {
        let settled = Verdict::new(Stand::Settled, reason::AS_WANTED, "as wanted");
        let here = NodeStatus { name: "n1".to_owned(), online: true, ..NodeStatus::default() };
        let device = Some("n1 does not count the votes of the device");
        let Claim { status, reason, message, .. } =
            ready(&settled, (std::slice::from_ref(&here), &[]), device);
        assert_eq!((status, reason.as_str()), ("False", "DeviceNotVoting"));
        assert_eq!(Some(message.as_str()), device);
        let sick = NodeStatus { message: Some("not quorate".to_owned()), ..here };
        assert_eq!(ready(&settled, (&[sick], &[]), device).reason, "NodeUnhealthy");
        let working = Verdict::new(Stand::Working, reason::CHANGE_IN_PROGRESS, "...");
        assert_eq!(ready(&working, (&[], &[]), device).reason, "ChangeInProgress");
    }
}
