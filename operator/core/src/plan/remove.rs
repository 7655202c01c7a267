//! A member leaves: it stops, the others take it off the list, and it puts away what it has of the cluster.
//!
//! In this order: a node that is taken off the list while it runs stalls everybody for seconds
//! (corosync.md 5.1), and one that puts its files away first could not go on if the others keep it. From
//! the stop on its votes count and are missing, so votes are lent before where the others would be left
//! with half.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::ground::{InForce, Member};
use super::report::{Blocker, Obstacle};
use super::votes;
use crate::change::{Action, Plan, Proposed, Tombstone};
use crate::desired::DesiredCluster;
use crate::ids::{HostName, NodeId};
use crate::observed::ObservedCluster;

/// What is said of those whose turn has not come.
pub(super) fn later(ground: &InForce<'_>) -> Vec<String> {
    let now = next(ground);
    let others = ground.leaving.iter().rev().filter(|id| Some(**id) != now);
    let members = others.filter_map(|id| ground.members.get(id));
    members.map(|member| format!("{} leaves", member.node.host)).collect()
}

/// Who goes first: one that has stopped, since it is missing already; else the highest, so that those who
/// write and lead stay longest.
fn next(ground: &InForce<'_>) -> Option<NodeId> {
    ground.stopped.first().or(ground.leaving.last()).copied()
}

/// Plans how one member leaves; `None`: nobody is to.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Result<Option<Plan<Proposed>>, Obstacle> {
    let leaver = next(ground).and_then(|id| Some((id, *ground.members.get(&id)?)));
    let Some((id, Member { node, view })) = leaver else { return Ok(None) };
    refuse(ground)?;
    refuse_guests(&node.host, &view.guests)?;

    let mut draft = Draft::new(desired, observed, ground)?;
    let host = &node.host;
    while draft.config().node(id).is_some_and(|node| node.votes() > 1) {
        votes::step(&mut draft, Some(id), votes::Step::Lower)?;
    }
    let lent = votes::lend_without(&mut draft, id)?;
    draft.stop(id, host);
    let machine_id = view.machine_id.clone();
    draft.remove(&Tombstone { name: node.name.clone(), node_id: id, machine_id })?;
    let away = BTreeMap::from([(host.clone(), vec![Action::LeaveCluster {}])]);
    draft.local(format!("{host} puts away what it has of the cluster"), away);
    // One that is left alone keeps the vote: taking it back costs it quorum for an instant (see `votes`), two
    // votes of two are as good as one of one, and the next node that joins needs it lent again.
    if draft.config().nodes.len() > 1 {
        votes::take_back(&mut draft, lent)?;
    }
    Ok(Some(draft.finish(format!("{host} leaves the cluster {}", desired.name))))
}

/// The database that knows a guest's configuration goes with the cluster, and its directory stays behind
/// there under a name that nobody has.
fn refuse_guests(host: &HostName, guests: &BTreeSet<u32>) -> Result<(), Obstacle> {
    const NAMED: usize = 20;
    if guests.is_empty() {
        return Ok(());
    }
    let mut named: Vec<_> = guests.iter().take(NAMED).map(u32::to_string).collect();
    named.extend(guests.len().checked_sub(NAMED + 1).map(|more| format!("{} more", more + 1)));
    let sentence = format!(
        "{host} is to leave and still has guests: {}; migrate them first",
        named.join(", ")
    );
    Obstacle::stop(Blocker::StillReferenced, sentence)
}

fn refuse(ground: &InForce<'_>) -> Result<(), Obstacle> {
    votes::refuse_options(ground)?;
    if ground.leaving.len() == ground.members.len() {
        let sentence =
            "the spec names no member of the cluster, so that nobody would be left of it";
        return Obstacle::stop(Blocker::NobodyStays, sentence);
    }
    if ground.stopped.len() > 1 {
        let hosts = ground.stopped.iter().filter_map(|id| ground.members.get(id));
        let hosts = super::hosts(hosts.map(|member| member.node));
        let sentence =
            format!("several members that are to leave have stopped: {hosts}; start all but one");
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    match ground.members.values().find(|member| member.view.ha.may_reset()) {
        Some(member) => {
            let sentence = format!(
                "high availability runs its watchdog on {}, and a member is to leave: wait until it is idle",
                member.node.host
            );
            Obstacle::stop(Blocker::HaNotIdle, sentence)
        }
        None => Ok(()),
    }
}
