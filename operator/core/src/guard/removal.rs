//! Guards on members that leave.

use std::collections::BTreeSet;

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::{Action, Course, Tombstone};
use crate::ids::{HostName, NodeId};
use crate::observed::HostView;

/// A node that the spec names, or that it never named, would be thrown out with its guests. Who leaves is
/// what the spec named once and names no more (see [`crate::leaving`]).
pub(super) fn only_those_who_leave_are_dropped(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let before = step.before.iter().flat_map(|before| &before.config.nodes);
        let mut goes = before.filter(|node| step.config.config.node(node.id).is_none());
        let is_leaving = |name| case.node(name).is_some_and(|node| case.leaves(&node.host));
        if let Some(node) = goes.find(|node| !is_leaving(&node.name)) {
            return Err(Refusal::DropsMember { stage: step.number, node: node.id });
        }
    }
    Ok(())
}

/// Two nodes that go in one plan are two votes that are missing before anybody has looked; with one that
/// comes as well, a failure in between leaves a list that nobody has proven.
pub(super) fn one_goes_and_nobody_comes(case: &Case<'_>) -> Result<(), Refusal> {
    let mut going: BTreeSet<NodeId> = case.stopped.clone();
    for step in &case.steps {
        going.extend(step.stops.iter().chain(&step.dropped()));
        let comes = going.first().is_some() && !case.joining().is_empty();
        if going.len() > 1 || comes {
            return Err(Refusal::SeveralMove { stage: step.number });
        }
    }
    Ok(())
}

/// A guest's configuration lies in the database that its host puts away, and in a directory of the cluster
/// that belongs to nobody then: the guest is lost to both. A replication job to it is irremovable.
pub(super) fn nobody_leaves_who_is_referred_to(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let acts =
            |action: &Action| matches!(action, Action::StopCorosync {} | Action::LeaveCluster {});
        let leaves = |host: &HostName| step.stage.actions[host].iter().any(acts);
        let is_named = |view: &HostView| !view.guests.is_empty() || !view.references.is_empty();
        let is_needed = |host: &HostName| case.observed.hosts.get(host).is_some_and(is_named);
        let mut hosts = step.stage.actions.keys().filter(|host| leaves(host));
        if let Some(host) = hosts.find(|host| is_needed(host)) {
            return Err(Refusal::LeavesReferenced { stage: step.number, host: host.clone() });
        }
    }
    Ok(())
}

/// A machine that was removed and of which nobody knows is let in again when it comes back with its old
/// files, and one removed node back can leave all the others without quorum (corosync.md 9.2).
pub(super) fn who_goes_is_buried(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let buries = |action: &Action| matches!(action, Action::Bury(_));
        let dropped = step.dropped();
        let wanted: Vec<_> = dropped.iter().filter_map(|id| tombstone(case, step, *id)).collect();
        let wanted: Vec<_> = wanted.into_iter().map(Action::Bury).collect();
        let has_all = |host: &HostName| step.stage.actions.get(host).is_some_and(|a| *a == wanted);
        let whole = dropped.is_empty() || step.stage.group.values().all(has_all);
        let stray = dropped.is_empty() && step.stage.actions.values().flatten().any(buries);
        if !whole || stray || step.stage.course != Course::Write && !dropped.is_empty() {
            return Err(Refusal::NotBuried { stage: step.number });
        }
    }
    Ok(())
}

fn tombstone(case: &Case<'_>, step: &Step<'_>, id: NodeId) -> Option<Tombstone> {
    let listed = step.before.as_ref()?.config.node(id)?;
    let machine_id = case.view(case.node(&listed.name)?)?.machine_id.clone();
    Some(Tombstone { name: listed.name.clone(), node_id: id, machine_id })
}

/// The old machine has that number in the file on its disk: two nodes under one number, and whoever comes
/// second is rejected, or the first one loses its links (corosync.md 9.2).
pub(super) fn buried_numbers_stay_buried(case: &Case<'_>) -> Result<(), Refusal> {
    let buried: BTreeSet<NodeId> = case.observed.tombstones().map(|t| t.node_id).collect();
    let known = case.parent.as_ref().map(Text::ids).unwrap_or_default();
    for step in &case.steps {
        let listed = step.config.ids();
        if let Some(node) = listed.difference(&known).find(|id| buried.contains(id)) {
            return Err(Refusal::NodeIdBuried { stage: step.number, node: *node });
        }
    }
    Ok(())
}
