//! Guards on members that leave.

use std::collections::BTreeSet;

use super::case::{Case, Step, Text};
use super::keys;
use super::refusal::Refusal;
use super::separation::is_the_last;
use crate::change::{Action, Course, Tombstone};
use crate::desired::Removal;
use crate::ids::{HostName, NodeId};
use crate::observed::HostView;
use crate::references::Reference;
use crate::separation::goes_along;

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
    // All the dead go at once there, and nobody else does (see `recovery`).
    if case.recovers() {
        return Ok(());
    }
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

/// A person can be wrong about a machine: one that runs, and that the others throw out, is a second cluster
/// with the same guests.
pub(super) fn the_dead_are_not_seen(case: &Case<'_>) -> Result<(), Refusal> {
    let Some(parent) = &case.parent else { return Ok(()) };
    let links = parent.config.links();
    for node in &parent.config.nodes {
        let Some((host, dead)) = case.node(&node.name).and_then(|n| Some((&n.host, case.view(n)?)))
        else {
            continue;
        };
        if dead.declared_dead().is_none() {
            continue;
        }
        // That no member has it in the membership is a part of every view that is sound.
        let sees = |view: &HostView| {
            links.iter().any(|link| !view.link_faults.contains(&(*link, node.id)))
        };
        if dead.connected || keys::members(case).into_values().any(sees) {
            return Err(Refusal::DeadIsSeen { host: host.clone() });
        }
    }
    Ok(())
}

/// A guest's configuration lies in the database that its host puts away, and in a directory of the cluster
/// that belongs to nobody then: the guest is lost to both. A replication job to it is irremovable. A host that
/// goes on alone keeps its guests, and a storage that is its own.
pub(super) fn nobody_leaves_who_is_referred_to(case: &Case<'_>) -> Result<(), Refusal> {
    // Without quorum nobody can move a guest or take a node out of a list, so that comes afterwards.
    if case.recovers() {
        return Ok(());
    }
    for step in &case.steps {
        let acts = |action: &Action| action.stops_for_good() || action.leaves_for_good();
        let leaves = |host: &HostName| {
            step.stage.actions[host].iter().any(acts) && !is_the_last(case, step, host)
        };
        let dropped = step.before.iter().flat_map(|before| &before.config.nodes);
        let dropped = dropped.filter(|node| step.config.config.node(node.id).is_none());
        let dropped = dropped.filter_map(|node| Some(&case.node(&node.name)?.host));
        let cleaned = cleaned_before(case, step.number);
        let is_named = |view: &HostView, goes_on: bool| {
            let is_cleaned = |reference| cleaned.contains(&(view.hostname.as_str(), reference));
            let is_settled = |reference| is_cleaned(reference) || goes_on && goes_along(reference);
            !goes_on && !view.guests.is_empty() || !view.references.iter().all(is_settled)
        };
        let is_needed = |host: &HostName| {
            let view = case.observed.hosts.get(host);
            view.is_some_and(|view| is_named(view, case.separates(host).is_some()))
        };
        let mut hosts = step.stage.actions.keys().filter(|host| leaves(host)).chain(dropped);
        if let Some(host) = hosts.find(|host| is_needed(host)) {
            return Err(Refusal::LeavesReferenced { stage: step.number, host: host.clone() });
        }
    }
    Ok(())
}

/// Where nodes are taken out before a stage, with their names.
fn cleaned_before<'a>(case: &Case<'a>, stage: usize) -> BTreeSet<(&'a str, &'a Reference)> {
    let earlier = case.steps.iter().filter(|step| step.number < stage);
    let actions = earlier.flat_map(|step| step.stage.actions.values().flatten());
    let cleans = actions.filter_map(|action| match action {
        Action::CleanReferences { node, references } => Some((node.as_str(), references)),
        _other => None,
    });
    cleans.flat_map(|(node, all)| all.iter().map(move |reference| (node, reference))).collect()
}

/// A storage without any node in its list is one of all nodes, and so is a rule: what names nobody else is a
/// person's to decide about. A member that stays needs what names it.
pub(super) fn only_those_who_leave_are_cleaned(case: &Case<'_>) -> Result<(), Refusal> {
    for (at, step) in case.steps.iter().enumerate() {
        for action in step.stage.actions.values().flatten() {
            let Action::CleanReferences { node, references } = action else { continue };
            let known =
                case.node(node).and_then(|node| case.view(node)).map(|view| &view.references);
            let is_known = |one: &Reference| {
                one.names_others && known.is_some_and(|known| known.contains(one))
            };
            let listed = step.config.config.nodes.iter().find(|listed| listed.name == *node);
            let goes = |id| case.steps[at..].iter().any(|later| later.dropped().contains(&id));
            let is_wanted = case.desired.rollout.removal == Removal::CleanReferences
                && references.iter().all(is_known)
                && listed.is_some_and(|listed| goes(listed.id));
            if !is_wanted {
                return Err(Refusal::CleansTooMuch { stage: step.number, node: node.clone() });
            }
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
    let node = case.node(&listed.name)?;
    let (view, lives_alone) = (case.view(node)?, case.separates(&node.host).is_some());
    let machine_id = view.machine_id.clone();
    let keeps_key = view.declared_dead().map(|_because| keys::known(case).unwrap_or(0));
    let name = listed.name.clone();
    Some(Tombstone { name, node_id: id, machine_id, keeps_key, lives_alone })
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

/// The members that saw a node go may leave one after the other: with the last one of them that was not
/// replaced by somebody who knows it too, its number would be free and its machine a new one.
pub(super) fn who_joins_remembers(case: &Case<'_>) -> Result<(), Refusal> {
    let members = keys::members(case);
    let known: BTreeSet<&Tombstone> = members.values().flat_map(|view| &view.tombstones).collect();
    for step in &case.steps {
        let forgets = |action: &Action| match action {
            Action::Join { tombstones } => tombstones.iter().collect::<BTreeSet<_>>() != known,
            _other => false,
        };
        let mut all = step.stage.actions.iter();
        if let Some((host, _)) = all.find(|(_, actions)| actions.iter().any(forgets)) {
            let host = host.clone();
            return Err(Refusal::TombstonesNotHandedOn { stage: step.number, host });
        }
    }
    Ok(())
}

/// The folder of a member holds its certificates and the configuration of its guests: what is moved away
/// under it stops its web interface, and its guests are nobody's.
pub(super) fn only_the_gone_are_swept(case: &Case<'_>) -> Result<(), Refusal> {
    let mut buried: BTreeSet<&Tombstone> = case.observed.tombstones().collect();
    for step in &case.steps {
        for action in step.stage.actions.values().flatten() {
            let Action::Sweep(gone) = action else { continue };
            let mut texts = step.before.iter().chain(step.texts());
            let lists = |text: &Text| text.config.nodes.iter().any(|node| node.name == gone.name);
            // Whether its key may still ask is as it is planned.
            let is_it = |buried: &&Tombstone| {
                **buried == Tombstone { keeps_key: buried.keeps_key, ..gone.clone() }
            };
            if texts.any(lists) || !buried.iter().any(is_it) {
                let node = gone.name.clone();
                return Err(Refusal::SweepsMember { stage: step.number, node });
            }
        }
        let of_step = step.stage.actions.values().flatten();
        buried.extend(of_step.filter_map(|action| match action {
            Action::Bury(gone) => Some(gone),
            _other => None,
        }));
    }
    Ok(())
}
