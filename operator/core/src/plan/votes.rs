//! Votes of members, changed one by one.
//!
//! One vote per stage: while a text spreads some hosts count by the old list and some by the new
//! one, and only lists one vote apart never give both sides the majority (see [`crate::quorum`]).

use super::device;
use super::draft::Draft;
use super::ground::InForce;
use super::report::{Blocker, Obstacle};
use crate::change::{Plan, Proposed};
use crate::conf::{Config, edit};
use crate::desired::DesiredCluster;
use crate::ids::NodeId;
use crate::observed::ObservedCluster;
use crate::quorum::{Votes, expected, is_quorate};

/// The most votes moved by one plan: its texts have to fit into one object.
const MOST_STAGES: usize = 8;

/// Why a single vote moves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Lend,
    TakeBack,
    Raise,
    Lower,
}

/// The votes in a file.
pub(super) fn of(config: &Config) -> Votes {
    config.nodes.iter().map(|node| (node.id, node.votes())).collect()
}

/// The member that votes are lent to.
pub(super) fn lowest(votes: &Votes) -> Option<NodeId> {
    votes.keys().next().copied()
}

/// The wanted votes of the members where they differ. One that is alone gives none up: corosync takes a
/// node's votes before what is expected of all, so that it would have one vote of two for an instant (seen
/// with 3.1.7), and whoever is alone has the majority with any number.
pub(super) fn goal(ground: &InForce<'_>) -> Result<Votes, Obstacle> {
    let now = of(&ground.config);
    let mut then = now.clone();
    then.extend(ground.members.iter().filter_map(|(id, member)| Some((*id, member.node.votes?))));
    if then != now && expected(&then) == 0 {
        return Obstacle::stop(Blocker::NoVotes, "the spec would leave no node with a vote");
    }
    let alone = now.len() == 1;
    then.retain(|id, votes| now.get(id).is_none_or(|now| now < votes || now > votes && !alone));
    Ok(then)
}

/// Plans the way to the wanted votes. Raises first, so that there is always a vote.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, &Votes),
) -> Result<Plan<Proposed>, Obstacle> {
    refuse_options(desired, ground)?;
    let mut draft = Draft::new(desired, observed, ground)?;
    device::out_of_the_way(&mut draft, observed)?;
    for (up, direction) in [(true, Step::Raise), (false, Step::Lower)] {
        for (id, wanted) in goal {
            while draft.stages() < MOST_STAGES {
                let now = of(draft.config()).get(id).copied().unwrap_or(0);
                if now == *wanted || (now < *wanted) != up {
                    break;
                }
                step(&mut draft, Some(*id), direction)?;
            }
        }
    }
    device::back(&mut draft, desired, observed)?;
    let names = goal.keys().filter_map(|id| ground.members.get(id));
    let names: Vec<_> = names.map(|member| member.node.host.to_string()).collect();
    Ok(draft.finish(format!("Change the votes of {}", names.join(", "))))
}

/// A stage that moves one vote of a node.
pub(super) fn step(draft: &mut Draft<'_>, id: Option<NodeId>, step: Step) -> Result<(), Obstacle> {
    let Some(node) = id.and_then(|id| draft.config().node(id)) else {
        return Obstacle::stop(Blocker::NoVotes, "there is no member to give a vote to");
    };
    let (id, name, now) = (node.id, node.name.clone(), node.votes());
    let (votes, summary) = match step {
        Step::Lend => (now.saturating_add(1), format!("Lend {name} a vote")),
        Step::TakeBack => (now.saturating_sub(1), format!("Take the lent vote back from {name}")),
        Step::Raise => (now.saturating_add(1), format!("Give {name} a vote more")),
        Step::Lower => (now.saturating_sub(1), format!("Take a vote from {name}")),
    };
    let links = draft.links().clone();
    draft.write(format!("{summary}: {votes}"), &links, |text| edit::set_votes(text, id, votes))
}

/// Votes that were lent to one node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lent {
    to: Option<NodeId>,
    votes: u32,
}

/// Lends the lowest other node votes until the others hold the majority without this one.
pub(super) fn lend_without(draft: &mut Draft<'_>, without: NodeId) -> Result<Lent, Obstacle> {
    let others = draft.config().nodes.iter().map(|node| node.id).filter(|id| *id != without);
    let mut lent = Lent { to: others.min(), votes: 0 };
    while !keep_quorum(draft, without) {
        step(draft, lent.to, Step::Lend)?;
        lent.votes += 1;
    }
    Ok(lent)
}

/// Takes all of it back.
pub(super) fn take_back(draft: &mut Draft<'_>, lent: Lent) -> Result<(), Obstacle> {
    (0..lent.votes).try_for_each(|_| step(draft, lent.to, Step::TakeBack))
}

/// Whether the others hold the majority without this node.
fn keep_quorum(draft: &Draft<'_>, without: NodeId) -> bool {
    let mut votes = of(draft.config());
    let all = expected(&votes);
    votes.remove(&without);
    is_quorate(expected(&votes), all)
}

/// The vote arithmetic knows a nodelist and nothing else, and a device that the spec speaks of goes out of its
/// way. `two_node`, `expected_votes` and the like change what a majority is.
pub(super) fn refuse_options(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
) -> Result<(), Obstacle> {
    let Some(section) = ground.document.top("quorum") else {
        return Ok(());
    };
    let key = section.keys().map(|(key, _)| key).find(|key| *key != b"provider");
    let is_managed = |name: &[u8]| name == b"device" && desired.device.is_some();
    let inner = section.all_sections().map(|inner| inner.name()).find(|name| !is_managed(name));
    let Some(option) = key.or(inner) else {
        return Ok(());
    };
    let option = String::from_utf8_lossy(option);
    let sentence = format!(
        "corosync.conf has `quorum.{option}`; changing members or votes with it is not supported yet"
    );
    Obstacle::stop(Blocker::QuorumOptionsNotSupported, sentence)
}
