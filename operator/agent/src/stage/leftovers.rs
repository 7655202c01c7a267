//! What the cluster's own files say of a node that is to leave, or that has left. Removing a node changes
//! nothing of that (facts/pve.md 4.1).

use std::collections::BTreeSet;

use pvecm_core::change::Tombstone;
use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::NodeName;
use pvecm_core::references::{Reference, ReferenceKind, without};

use super::Undone;
use super::action::{Task, not_begun};
use super::probe::parent_in_force;
use crate::host_ports::Host;
use crate::observe::Observation;

/// Takes a node out of lists that name others as well, file by file, each under the lock of those that write
/// it. What was edited since the plan was made is judged again: a list is never left without a node.
pub async fn clean(
    host: &Host,
    task: &Task<'_>,
    (node, references): (&NodeName, &BTreeSet<Reference>),
) -> Result<(), Undone> {
    parent_in_force(task.pending.expects.as_ref(), &Observation::take(host))
        .map_err(Undone::NotBegun)?;
    let mut begun = false;
    for kind in ReferenceKind::ALL {
        let of_kind = references.iter().filter(|reference| reference.kind == kind);
        let names: BTreeSet<&str> = of_kind.map(|reference| reference.name.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let cleaned = clean_file(host, task, (kind, node, &names)).await;
        cleaned.map_err(|why| if begun { Undone::Stuck(why) } else { Undone::NotBegun(why) })?;
        begun = true;
    }
    Ok(())
}

async fn clean_file(
    host: &Host,
    task: &Task<'_>,
    (kind, node, names): (ReferenceKind, &NodeName, &BTreeSet<&str>),
) -> Result<(), String> {
    let (files, file) = (&host.cluster_files, kind.file());
    let lock = files.lock_naming(kind, left_ms(host, task)).await;
    let lock = lock.map_err(|error| format!("cannot take the lock on {file}: {error}"))?;
    let read = files.read_naming(kind).map_err(|error| format!("cannot read {file}: {error}"))?;
    let Some(bytes) = read else { return Ok(()) };
    let text = std::str::from_utf8(&bytes).map_err(|error| format!("{file}: {error}"))?;
    let cleaned = without(kind, text, (node.as_str(), names))?;
    if cleaned == text {
        return Ok(());
    }
    if !lock.is_own() {
        return Err(format!("the lock on {file} was taken away"));
    }
    let replaced = files.replace_naming(kind, cleaned.as_bytes());
    replaced.map_err(|error| format!("cannot write {file}: {error}"))
}

/// Puts away the folder and the keys of a node that has left. Under the lock under which nodes are added:
/// nobody of that name comes meanwhile.
pub async fn sweep(host: &Host, task: &Task<'_>, gone: &Tombstone) -> Result<(), Undone> {
    let (files, name) = (&host.cluster_files, gone.name.as_str());
    parent_in_force(task.pending.expects.as_ref(), &Observation::take(host))
        .map_err(Undone::NotBegun)?;
    let lock = files.lock(left_ms(host, task)).await;
    let lock = lock.map_err(|error| not_begun(format!("cannot take the lock: {error}")))?;
    let text = files.read_conf().map_err(not_begun)?.unwrap_or_default();
    let config = Config::read(&Document::parse(&text)).map_err(not_begun)?;
    let is_listed = config.nodes.iter().any(|node| node.name == gone.name);
    if is_listed || name == host.machine.hostname() {
        return Err(not_begun(format!("{name} is a member of the cluster")));
    }
    let left = files.guests_left(&gone.name).map_err(not_begun)?;
    if let Some(guest) = left.first().filter(|_| !gone.lives_alone) {
        return Err(not_begun(format!(
            "the guest {guest} is configured on {name}, which has left"
        )));
    }
    if !lock.is_own() {
        return Err(not_begun("the lock was taken away"));
    }
    let swept = files.sweep(gone);
    swept.map_err(|error| {
        Undone::Stuck(format!("cannot put away what /etc/pve keeps of {name}: {error}"))
    })
}

fn left_ms(host: &Host, task: &Task<'_>) -> u64 {
    task.deadline_ms.saturating_sub(host.clock.now().millis)
}
