//! Quorum is lost, and a person says of the machines that it was lost with that they never come back.
//!
//! All of them go at once: a reload sets the expected votes back to those of the list (corosync.md 9.2), so with
//! one of them listed yet quorum would be lost again. No vote is lent: the shorter list counts nobody who is
//! not there. What the cluster keeps of the dead stays where it is, their keys above all: with those the gate of one that
//! is switched on asks the survivors before it starts (ADR 0009), and several together would be quorate by their
//! old list. It is put away when they join again.

use super::draft::Draft;
use super::ground::{InForce, Member};
use super::report::{Blocker, Obstacle};
use super::{keys, transport, votes};
use crate::change::{Plan, Proposed, Tombstone};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::ids::NodeId;
use crate::observed::ObservedCluster;
use crate::quorum::{expected, is_quorate};

/// Whether the members are without quorum, all that run are left with too few votes, and everybody else on the list
/// is dead. Any other loss of quorum is mended by starting what does not run.
pub(super) fn is_due(ground: &InForce<'_>) -> bool {
    let is_dead = |id: &NodeId| {
        let member = ground.members.get(id);
        member.is_some_and(|member| member.view.declared_dead().is_some())
    };
    let are_left = !ground.stopped.is_empty()
        && ground.leaving == ground.stopped
        && ground.stopped.iter().all(is_dead)
        && ground.unstarted.is_none();
    let mut quorate = ground.up().map(|(_, member)| member.view.quorate);
    are_left
        && !quorate.any(|quorate| quorate)
        && !is_quorate(held(ground, false), expected(&votes::of(&ground.config)))
}

/// Plans how those who are left get it back.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Result<Plan<Proposed>, Obstacle> {
    refuse(desired, ground)?;
    let of_living = held(ground, false);
    let Some(of_living) = u32::try_from(of_living).ok().filter(|votes| *votes > 0) else {
        let sentence =
            format!("{} have no vote: there is nothing to be quorate by", living(ground));
        return Obstacle::stop(Blocker::NoVotes, sentence);
    };
    let mut draft = Draft::new(desired, observed, ground)?;
    draft.lower(of_living, &ground.stopped);
    let gone: Vec<_> = dead(ground).map(|(id, member)| tombstone(ground, id, member)).collect();
    draft.remove_dead(&gone)?;
    Ok(draft.finish(summary(ground)))
}

/// What is said of what comes next.
pub(super) fn later() -> Vec<String> {
    vec!["exchange the authkey, which the dead have".to_owned()]
}

/// Who would win comes first: to whom the dead would be a cluster, this is the moment to look at their plugs.
fn summary(ground: &InForce<'_>) -> String {
    let (living, dead) =
        (living(ground), super::hosts(dead(ground).map(|(_, member)| member.node)));
    let (all, theirs) = (expected(&votes::of(&ground.config)), held(ground, true));
    let warning = if is_quorate(theirs, all) {
        format!(
            ", which hold {theirs} of {all} votes and are a second quorate cluster if they run, or are switched on \
             together"
        )
    } else {
        String::new()
    };
    format!("Recover quorum on {living} without {dead}{warning}")
}

fn tombstone(
    ground: &InForce<'_>,
    node_id: NodeId,
    Member { node, view }: Member<'_>,
) -> Tombstone {
    Tombstone {
        name: node.name.clone(),
        node_id,
        machine_id: view.machine_id.clone(),
        keeps_key: Some(keys::generation(ground)),
        lives_alone: false,
    }
}

fn refuse(desired: &DesiredCluster, ground: &InForce<'_>) -> Result<(), Obstacle> {
    votes::refuse_options(desired, ground)?;
    if ground.config.quorum.device.is_some() {
        let sentence = "quorum is lost with a QDevice in corosync.conf, whose votes are expected: have its witness \
                        back, or recover by hand (`pvecm expected`)";
        return Obstacle::stop(Blocker::QuorumOptionsNotSupported, sentence);
    }
    if transport::is_old(ground) {
        let sentence = "quorum is lost, and the cluster is not on knet: nobody can see there whether a dead node \
                        is switched on; recover it by hand (`pvecm expected`)";
        return Obstacle::stop(Blocker::OldTransport, sentence);
    }
    match ground.strays.keys().next() {
        Some(host) => Obstacle::stop(
            Blocker::HostsDisagree,
            format!(
                "{host} differs from /etc/pve, which takes no writes without quorum: put it right first"
            ),
        ),
        None => Ok(()),
    }
}

fn dead<'g>(ground: &'g InForce<'_>) -> impl Iterator<Item = (NodeId, Member<'g>)> {
    ground.stopped.iter().filter_map(|id| Some((*id, *ground.members.get(id)?)))
}

fn living(ground: &InForce<'_>) -> String {
    super::hosts(ground.up().map(|(_, member)| -> &DesiredNode { member.node }))
}

/// The votes of the dead, or of the others.
fn held(ground: &InForce<'_>, by_dead: bool) -> u64 {
    let mut votes = votes::of(&ground.config);
    votes.retain(|id, _| ground.stopped.contains(id) == by_dead);
    expected(&votes)
}
