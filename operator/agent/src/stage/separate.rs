//! This host goes on alone: the cluster and the other nodes are taken out of its own database, which stays in use
//! with its guests in it (facts/pve.md 4.2).
//!
//! The order of the guide, with nothing deleted. corosync's file and keys go first: from then on nothing here
//! starts as a member, whoever boots the machine. The database is copied before it is touched, and taken back as
//! it was when pmxcfs does not come up with it. Each step may be done a second time.

use std::collections::BTreeSet;

use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::NodeName;

use super::Undone;
use super::action::{Task, not_begun};
use super::device::give_up;
use super::leave::stop_units;
use crate::host_ports::Host;
use crate::observe::{Observation, shared};
use crate::ports::Unit;

/// Takes the cluster out of this host's database and starts pmxcfs with it.
pub async fn separate(
    host: &Host,
    task: &Task<'_>,
    accepted: &BTreeSet<String>,
) -> Result<(), Undone> {
    may_separate(host, task)?;
    quiet(host, task).await.map_err(Undone::Stuck)?;
    let Err(why) = take_out(host, accepted).await else { return Ok(()) };
    Err(match put_back(host, task).await {
        Ok(()) => Undone::PutBack(why),
        Err(also) => Undone::Stuck(format!("{why}; and it could not be put back: {also}")),
    })
}

/// One that is listed is expected by others, unless there are none.
fn may_separate(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let name = host.machine.hostname();
    let nodes = names(task.pending.stage.config.text.as_bytes()).map_err(not_begun)?;
    let is_own = |node: &NodeName| node.as_str() == name;
    if nodes.iter().any(is_own) && !nodes.iter().all(is_own) {
        return Err(not_begun("the cluster still lists this host, and others beside it"));
    }
    Ok(())
}

fn names(text: &[u8]) -> Result<BTreeSet<NodeName>, String> {
    let config = Config::read(&Document::parse(text));
    let config = config.map_err(|error| format!("corosync.conf is not understood: {error}"))?;
    Ok(config.nodes.into_iter().map(|node| node.name).collect())
}

/// Nothing runs, nothing can start as a member, and the database is kept as it is.
async fn quiet(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let words = |error: std::io::Error| format!("cannot move the cluster's files: {error}");
    host.services.stop(Unit::PveCluster).await?;
    if host.cluster_files.mounted() {
        // What an earlier life of the agent started and did not end.
        host.services.stop_local_pmxcfs().await?;
    }
    stop_units(host).await?;
    let attempt = task.pending.attempt;
    host.disk.set_corosync_aside(attempt).map_err(words)?;
    host.disk.copy_database_aside(attempt).map_err(words)?;
    give_up(host, attempt).await
}

async fn take_out(host: &Host, accepted: &BTreeSet<String>) -> Result<(), String> {
    // Without quorum pmxcfs takes no writes, unless it runs outside of any cluster.
    host.services.start_local_pmxcfs().await?;
    let edited = edit(host, accepted).await;
    host.services.stop_local_pmxcfs().await?;
    edited?;
    host.services.start(Unit::PveCluster).await?;
    let seen = Observation::take(host);
    match (seen.writable, seen.pmxcfs_conf.is_some()) {
        (_, true) => Err("/etc/pve/corosync.conf is there again".to_owned()),
        (false, _) => Err("/etc/pve takes no writes after pmxcfs was started".to_owned()),
        (true, false) => Ok(()),
    }
}

/// The file goes last: as long as it is there, something may be left to do.
async fn edit(host: &Host, accepted: &BTreeSet<String>) -> Result<(), String> {
    let files = &host.cluster_files;
    refuse_shared(host, accepted)?;
    let conf = files.read_conf().map_err(|error| format!("cannot read the file: {error}"))?;
    let peers = conf.as_deref().map(names).transpose()?.unwrap_or_default();
    let put_away = files.put_others_away(&peers);
    put_away.map_err(|error| format!("cannot put away what is of the other nodes: {error}"))?;
    if conf.is_some() {
        let removed = files.replace_conf(None).await;
        removed.map_err(|error| format!("cannot take corosync.conf out of /etc/pve: {error}"))?;
    }
    Ok(())
}

/// Two clusters on one storage start one disk twice (facts/pve.md G31). The last look before it is too late.
pub fn refuse_shared(host: &Host, accepted: &BTreeSet<String>) -> Result<(), String> {
    match shared(host, &host.machine.hostname()).difference(accepted).next() {
        Some(storage) => Err(format!(
            "the storage {storage} is shared with the cluster, and nobody has said that it may be"
        )),
        None => Ok(()),
    }
}

/// The database as it was: readable, and without quorum not writable. corosync's key stays aside, so that nothing
/// starts as a member.
async fn put_back(host: &Host, task: &Task<'_>) -> Result<(), String> {
    host.services.stop(Unit::PveCluster).await?;
    if host.cluster_files.mounted() {
        host.services.stop_local_pmxcfs().await?;
    }
    let back = host.disk.bring_database_back(task.pending.attempt);
    back.map_err(|error| format!("cannot bring the database back: {error}"))?;
    host.services.start(Unit::PveCluster).await
}
