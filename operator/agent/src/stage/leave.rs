//! This host leaves its cluster, or another one does.
//!
//! Nothing is ever deleted: what a host has of the cluster is moved into pmxcfs's backup folder. Without
//! /etc/corosync/corosync.conf systemd does not start corosync, and without the database pmxcfs does not
//! write that file again: the machine stays out when it boots, whoever boots it.

use std::collections::BTreeSet;

use pvecm_core::change::{Action, Risk, Stage, Tombstone};
use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::NodeId;
use pvecm_core::references::Reference;
use pvecm_core::separation::goes_along;

use super::Undone;
use super::action::{Task, not_begun};
use super::device::give_up;
use super::probe::parent_in_force;
use super::separate::refuse_shared;
use crate::host_ports::Host;
use crate::observe::{Observation, referring};
use crate::ports::{CorosyncView, Unit};

/// Stops corosync and pmxcfs, as long as every other node that the file lists is there: the votes of this
/// one are missing from then on. Guests stay nobody's when their host has left, so it has none, and a job
/// that names it would be irremovable. When it cannot stop, it goes on as a member.
/// One that goes on alone takes its guests along, and may share some storages (`alone`).
pub async fn stop(
    host: &Host,
    task: &Task<'_>,
    alone: Option<&BTreeSet<String>>,
) -> Result<(), Undone> {
    let seen = Observation::take(host);
    if seen.corosync.is_some() {
        parent_in_force(task.pending.expects.as_ref(), &seen).map_err(Undone::NotBegun)?;
        all_are_here(task, &seen).map_err(Undone::NotBegun)?;
    }
    if let Some(guest) = seen.guests.first().filter(|_| alone.is_none()) {
        return Err(not_begun(format!("the guest {guest} is configured on this host")));
    }
    let mut binding = seen.references.iter().filter(|one| alone.is_none() || !goes_along(one));
    if let Some(Reference { kind, name, names_others: _ }) = binding.next() {
        return Err(not_begun(format!("{} name this host, among them {name}", kind.plural())));
    }
    if let Some(accepted) = alone.filter(|_| seen.mounted) {
        refuse_shared(host, accepted).map_err(Undone::NotBegun)?;
    }
    let Err(why) = stop_units(host).await else { return Ok(()) };
    let mut started = Ok(());
    for unit in [Unit::Corosync, Unit::PveCluster] {
        started = started.and(host.services.start(unit).await);
    }
    Err(match started {
        Ok(()) => Undone::PutBack(why),
        Err(also) => Undone::Stuck(format!("{why}; and it could not be started again: {also}")),
    })
}

/// What a command returned is no evidence: it is looked whether anything still runs.
pub(super) async fn stop_units(host: &Host) -> Result<(), String> {
    host.services.stop(Unit::Corosync).await?;
    host.services.stop(Unit::PveCluster).await?;
    let seen = Observation::take(host);
    match (seen.corosync.is_some(), seen.mounted) {
        (true, _) => Err("corosync still runs after it was stopped".to_owned()),
        (_, true) => Err("/etc/pve is still mounted after pmxcfs was stopped".to_owned()),
        (false, false) => Ok(()),
    }
}

fn all_are_here(task: &Task<'_>, seen: &Observation) -> Result<(), String> {
    let members = seen.corosync.iter().flat_map(|corosync| &corosync.members);
    let here: BTreeSet<NodeId> = members.copied().collect();
    match nodes(&task.pending.stage.config.text)?.difference(&here).next() {
        Some(missing) => Err(format!(
            "node {missing} is not in the membership: without this host as well, the rest may lose quorum"
        )),
        None => Ok(()),
    }
}

pub(super) fn nodes(text: &str) -> Result<BTreeSet<NodeId>, String> {
    let config = Config::read(&Document::parse(text.as_bytes()));
    let config = config.map_err(|error| format!("corosync.conf is not understood: {error}"))?;
    Ok(config.nodes.iter().map(|node| node.id).collect())
}

/// Moves everything aside and starts pmxcfs with a database of this host alone.
pub async fn put_away(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let name = host.machine.hostname();
    let text = &task.pending.stage.config.text;
    let config = Config::read(&Document::parse(text.as_bytes())).map_err(not_begun)?;
    if config.nodes.iter().any(|node| node.name.as_str() == name) {
        return Err(not_begun("the cluster still lists this host"));
    }
    let moved = move_all(host, task).await;
    moved.map_err(Undone::Stuck)
}

async fn move_all(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let words = |error: std::io::Error| format!("cannot move the cluster's files: {error}");
    stop_units(host).await?;
    let attempt = task.pending.attempt;
    host.disk.set_corosync_aside(attempt).map_err(words)?;
    host.disk.set_database_aside(attempt).map_err(words)?;
    host.services.start(Unit::PveCluster).await?;
    give_up(host, attempt).await
}

/// Who a stage takes off the list.
fn the_gone(stage: &Stage) -> impl Iterator<Item = &Tombstone> {
    stage.actions.values().flatten().filter_map(|action| match action {
        Action::Bury(tombstone) => Some(tombstone),
        _other => None,
    })
}

/// That the nodes which a stage takes off the list have stopped: of one that runs the others hear only when
/// the token is lost, and everybody stalls for seconds (facts/corosync.md 5.1). Of the dead no link is connected
/// either: a machine that is switched on is seen by that first.
pub fn the_gone_have_stopped(stage: &Stage, seen: &Observation) -> Result<(), String> {
    let Some(corosync) = &seen.corosync else { return Ok(()) };
    let is_seen = |gone: &Tombstone| match gone.keeps_key {
        Some(_dead) => is_seen(corosync, gone.node_id),
        None => corosync.members.contains(&gone.node_id),
    };
    match the_gone(stage).find(|gone| is_seen(gone)) {
        Some(Tombstone { name, .. }) => {
            Err(format!("{name} is to be taken off the list and still runs"))
        }
        None => Ok(()),
    }
}

/// Whether a node is in the membership, or a link to it is connected.
pub(super) fn is_seen(corosync: &CorosyncView, node: NodeId) -> bool {
    let mut links = corosync.links.iter();
    corosync.members.contains(&node) || links.any(|((to, _), connected)| *to == node && *connected)
}

/// That nothing in the cluster's own files needs them. A node that died does not tell any more what refers to
/// it, and what it told before may be old.
pub fn the_gone_are_not_needed(host: &Host, stage: &Stage) -> Result<(), String> {
    // Before quorum was recovered nobody could move anything away from them.
    if stage.risk == Risk::Recovery {
        return Ok(());
    }
    let files = &host.cluster_files;
    for Tombstone { name, lives_alone, .. } in the_gone(stage).collect::<BTreeSet<_>>() {
        let guests = files.guests_left(name).map_err(|error| {
            format!("cannot see whether guests are configured on {name}, which goes: {error}")
        })?;
        if let Some(guest) = guests.first().filter(|_| !lives_alone) {
            return Err(format!("the guest {guest} is configured on {name}, which goes"));
        }
        let all = referring(host, name.as_str());
        let mut binding = all.iter().filter(|one| !(*lives_alone && goes_along(one)));
        if let Some(Reference { kind, name: what, .. }) = binding.next() {
            return Err(format!("{} name {name}, which goes, among them {what}", kind.plural()));
        }
    }
    Ok(())
}
