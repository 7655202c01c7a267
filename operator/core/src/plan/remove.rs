//! A member leaves: it stops, the others take it off the list, and it puts away what it has of the cluster.
//!
//! In this order: a node that is taken off the list while it runs stalls everybody for seconds
//! (corosync.md 5.1), and one that puts its files away first could not go on if the others keep it. From
//! the stop on its votes count and are missing, so votes are lent before where the others would be left
//! with half.
//!
//! One that goes on alone ([`crate::separation`]) takes the cluster out of its own database instead, and
//! keeps its guests.

use std::collections::BTreeSet;

use super::device;
use super::draft::Draft;
use super::ground::{InForce, Member};
use super::keys;
use super::report::{Blocker, Obstacle};
use super::votes;
use crate::change::{Action, Plan, Proposed, Tombstone};
use crate::desired::{DesiredCluster, Removal};
use crate::ids::{HostName, NodeId};
use crate::observed::{HostView, ObservedCluster};
use crate::references::{Reference, ReferenceKind};
use crate::separation::{goes_along, separates};

/// Whether a removal is what comes next. A join that ended between list and start goes on before: its vote
/// is missing already. Unless a second one is missing: then [`refuse`] says so.
pub(super) fn is_due(ground: &InForce<'_>) -> bool {
    !ground.leaving.is_empty() && (ground.unstarted.is_none() || !ground.stopped.is_empty())
}

/// What is said of those whose turn has not come.
pub(super) fn later(ground: &InForce<'_>, now: Option<NodeId>) -> Vec<String> {
    let others = ground.leaving.iter().rev().filter(|id| Some(**id) != now);
    let members = others.filter_map(|id| ground.members.get(id));
    members.map(|member| format!("{} leaves", member.node.host)).collect()
}

/// Who goes first: one that has stopped, since it is missing already; else the highest, so that those who
/// write and lead stay longest.
pub(super) fn next(ground: &InForce<'_>) -> Option<NodeId> {
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
    refuse(desired, ground)?;
    if ground.members.len() == 1 {
        return dissolve(desired, observed, (ground, Member { node, view })).map(Some);
    }
    let alone = separates(desired, node, observed);
    let cleaned = cleaned(desired, view);
    refuse_references(&node.host, view, &cleaned, alone.is_some())?;
    refuse_shared(&node.host, view, alone.as_ref())?;

    let mut draft = Draft::new(desired, observed, ground)?;
    let is_dead = view.declared_dead().is_some();
    let with_device = is_dead && device::goes_with_the_dead(&draft, &node.host)?;
    if !with_device {
        device::out_of_the_way(&mut draft, observed)?;
    }
    let host = &node.host;
    while draft.config().node(id).is_some_and(|node| node.votes() > 1) {
        votes::step(&mut draft, Some(id), votes::Step::Lower)?;
    }
    // Taken off together with the device, it is not missing for a moment.
    let lent =
        if with_device { votes::Lent::default() } else { votes::lend_without(&mut draft, id)? };
    if !cleaned.is_empty() {
        draft.clean((id, &node.name), cleaned);
    }
    let acts = !view.is_empty() && view.declared_dead().is_none();
    if acts {
        draft.stop(id, host, alone.clone());
    }
    let machine_id = view.machine_id.clone();
    let keeps_key = view.declared_dead().map(|_because| keys::generation(ground));
    let (name, lives_alone) = (node.name.clone(), alone.is_some());
    let tombstone = Tombstone { name, node_id: id, machine_id, keeps_key, lives_alone };
    if with_device {
        draft.remove_with_device(&tombstone)?;
        device::stop_without_text(&mut draft, observed);
    } else {
        draft.remove(&tombstone)?;
    }
    if acts {
        leave(&mut draft, host, alone.as_ref());
    }
    // One that is left alone keeps the vote: taking it back costs it quorum for an instant (see `votes`), two
    // votes of two are as good as one of one, and the next node that joins needs it lent again.
    if draft.config().nodes.len() > 1 {
        votes::take_back(&mut draft, lent)?;
    }
    draft.sweep(&tombstone);
    device::back(&mut draft, desired, observed)?;
    let how = alone.as_ref().map(how).unwrap_or_default();
    Ok(Some(draft.finish(format!("{host} leaves the cluster {}{how}", desired.name))))
}

/// How it goes on. What both sides go on using is never left unsaid.
fn how(shared_storages: &BTreeSet<String>) -> String {
    let names: Vec<_> = shared_storages.iter().cloned().collect();
    match names.as_slice() {
        [] => " and goes on alone".to_owned(),
        some => format!(" and goes on alone; both may use the storages {}", some_of(some)),
    }
}

/// Plans the end of a cluster that has one member left. Nobody stays who could lose anything by it.
fn dissolve(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, Member { node, view }): (&InForce<'_>, Member<'_>),
) -> Result<Plan<Proposed>, Obstacle> {
    if view.running_version.is_none() {
        let sentence = format!("corosync does not run on {}, the last member", node.host);
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    let mut draft = Draft::new(desired, observed, ground)?;
    leave(&mut draft, &node.host, Some(&view.shared_storages));
    let sentence = format!("{} goes on alone, and the cluster {} ends", node.host, desired.name);
    Ok(draft.finish(sentence))
}

/// Plans what a removal left undone that ended with the list: an edit by hand, or an error on the host.
pub(super) fn put_away(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, Member { node, view }): (&InForce<'_>, Member<'_>),
) -> Result<Plan<Proposed>, Obstacle> {
    let alone = separates(desired, node, observed);
    refuse_references(&node.host, view, &BTreeSet::new(), alone.is_some())?;
    refuse_shared(&node.host, view, alone.as_ref())?;
    let mut draft = Draft::new(desired, observed, ground)?;
    leave(&mut draft, &node.host, alone.as_ref());
    Ok(draft.finish(put_away_summary(Member { node, view })))
}

/// What is said of that.
pub(super) fn put_away_summary(gone: Member<'_>) -> String {
    format!("{}, off the list, leaves the cluster for good", gone.node.host)
}

fn leave(draft: &mut Draft<'_>, host: &HostName, alone: Option<&BTreeSet<String>>) {
    let (summary, action) = match alone {
        None => (format!("{host} puts away what it has of the cluster"), Action::LeaveCluster {}),
        Some(shared_storages) => (
            format!("{host} takes the cluster and the other nodes out of its own database"),
            Action::Separate { shared_storages: shared_storages.clone() },
        ),
    };
    draft.leave(summary, host, action);
}

/// Two clusters that write to one storage lose the disks of guests: no lock reaches over, and both give out
/// the same ids (pve.md G31). A person who has looked at it says so.
fn refuse_shared(
    host: &HostName,
    view: &HostView,
    accepted: Option<&BTreeSet<String>>,
) -> Result<(), Obstacle> {
    let Some(accepted) = accepted else { return Ok(()) };
    let unsaid: Vec<_> = view.shared_storages.difference(accepted).cloned().collect();
    if unsaid.is_empty() {
        return Ok(());
    }
    let sentence = format!(
        "{host} is to go on alone, and the others reach these storages as well: {}; give it storages of its own \
         (`nodes` in storage.cfg), or name them in `spec.sharedStorages` of the PveHost if both may use them",
        some_of(&unsaid)
    );
    Obstacle::stop(Blocker::StorageShared, sentence)
}

/// The database that knows a guest's configuration goes with the cluster, and its directory stays behind
/// there under a name that nobody has; a job that names the node is irremovable then (pve.md 4.1).
fn refuse_references(
    host: &HostName,
    view: &HostView,
    cleaned: &BTreeSet<Reference>,
    goes_on: bool,
) -> Result<(), Obstacle> {
    let guests = view.guests.iter().filter(|_| !goes_on).map(u32::to_string).collect();
    let of = |kind: ReferenceKind| {
        let left = view.references.difference(cleaned).filter(|one| !(goes_on && goes_along(one)));
        let those = left.filter(|reference| reference.kind == kind);
        (kind.plural(), those.map(|reference| reference.name.clone()).collect())
    };
    let all: Vec<(&str, Vec<String>)> =
        [("guests", guests)].into_iter().chain(ReferenceKind::ALL.map(of)).collect();
    let named = all.iter().filter(|(_, names)| !names.is_empty());
    let named: Vec<_> = named.map(|(what, names)| format!("{what} {}", some_of(names))).collect();
    if named.is_empty() {
        return Ok(());
    }
    let sentence = format!(
        "{host} is to leave, and these still refer to it: {}; migrate or remove its guests, and take it out of \
         the others first",
        named.join("; ")
    );
    Obstacle::stop(Blocker::StillReferenced, sentence)
}

/// What is taken out for a node before it stops: where other nodes are named as well. A list without any node
/// means all of them, and what is for this node alone may be what somebody needs.
fn cleaned(desired: &DesiredCluster, view: &HostView) -> BTreeSet<Reference> {
    let references = view.references.iter().filter(|reference| reference.names_others);
    match desired.rollout.removal {
        Removal::CleanReferences => references.cloned().collect(),
        Removal::RefuseIfReferenced => BTreeSet::new(),
    }
}

/// A list that a sentence can hold.
fn some_of(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut some: Vec<_> = names.iter().take(MOST).cloned().collect();
    some.extend(names.len().checked_sub(MOST + 1).map(|more| format!("{} more", more + 1)));
    some.join(", ")
}

fn refuse(desired: &DesiredCluster, ground: &InForce<'_>) -> Result<(), Obstacle> {
    votes::refuse_options(desired, ground)?;
    if ground.leaving.len() == ground.members.len() && !desired.dissolves {
        let sentence =
            "the spec names no member of the cluster, so that nobody would be left of it";
        return Obstacle::stop(Blocker::NobodyStays, sentence);
    }
    let stopped = ground.stopped.iter().filter_map(|id| ground.members.get(id));
    let missing = stopped.chain(ground.unstarted.as_ref().map(|(_, member)| member));
    let missing: Vec<_> = missing.map(|member| member.node).collect();
    if missing.len() > 1 {
        let hosts = super::hosts(missing.into_iter());
        let sentence = format!(
            "{hosts} are listed and do not run, and a member is to leave: start all of them but one that is to leave"
        );
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    let mut living = ground.members.values().filter(|m| m.view.declared_dead().is_none());
    match living.find(|member| member.view.ha.may_reset()) {
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
