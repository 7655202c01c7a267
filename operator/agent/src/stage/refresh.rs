//! Putting this host back to what /etc/pve has: its disk, and then its daemon.
//!
//! pmxcfs writes the same disk whenever /etc/pve changes, so the disk is only touched under the lock of
//! those that change it: otherwise the older of two texts could be the last one written.

use pvecm_core::conf::{Config, Document, derived_pings};

use super::Undone;
use super::action::{Task, not_begun, wait};
use super::probe::same_text;
use crate::host_ports::Host;
use crate::observe::{Observation, drift};
use crate::ports::DiskFile;

const CLUSTER_FILE: &str = "/etc/pve/corosync.conf";

/// Puts the stage's text, which /etc/pve must have, on the own disk.
pub async fn refresh_stale_config(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let config = &task.pending.stage.config;
    let files = &host.cluster_files;
    let left_ms = task.deadline_ms.saturating_sub(host.clock.now().millis);
    let lock = files.lock(left_ms).await;
    let lock = lock.map_err(|error| not_begun(format!("cannot take the lock: {error}")))?;
    let in_cluster = files.read_conf().map_err(not_begun)?;
    same_text(CLUSTER_FILE, in_cluster.as_deref(), config).map_err(Undone::NotBegun)?;
    let on_disk = host.disk.read(DiskFile::Conf).map_err(not_begun)?;
    if on_disk.as_deref() == Some(config.text.as_bytes()) {
        return Ok(());
    }
    if !lock.is_own() {
        return Err(not_begun("the lock was taken away"));
    }
    // The log keeps what somebody had in mind here: the file itself goes.
    tracing::warn!(
        replaced = %String::from_utf8_lossy(&on_disk.unwrap_or_default()),
        "the corosync.conf on this disk goes back to what /etc/pve has"
    );
    host.disk.replace(DiskFile::Conf, config.text.as_bytes()).map_err(not_begun)
}

/// Has corosync read its file until it runs what the file says. A second time where the ping times of an
/// earlier token timeout are left: they are computed anew one reload late (facts/corosync.md 5.4).
pub async fn reload(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    const MOST: usize = 2;
    let config = &task.pending.stage.config;
    let places = |seen: &Observation| {
        same_text(CLUSTER_FILE, seen.pmxcfs_conf.as_deref(), config)?;
        same_text("/etc/corosync/corosync.conf", seen.disk_conf.as_deref(), config)
    };
    let runs = |seen: &Observation| match (seen.running_version(), drift(seen).first()) {
        (Some(running), None) if running == config.version => Ok(()),
        (_, Some(drift)) => Err(format!("{} is still another one in the daemon", drift.key)),
        (_, None) => Err("the daemon does not run the file's version".to_owned()),
    };
    for _ in 0..MOST {
        let seen = Observation::take(host);
        places(&seen).map_err(Undone::NotBegun)?;
        if runs(&seen).is_ok() && has_pings(&seen, &config.text) {
            return Ok(());
        }
        host.corosync.reload().map_err(|error| Undone::PutBack(error.to_string()))?;
        wait(host, task.deadline_ms, &runs).await.map_err(Undone::PutBack)?;
    }
    Ok(())
}

/// Whether the ping times are those that follow from the token timeout of a text.
fn has_pings(seen: &Observation, text: &str) -> bool {
    let Ok(config) = Config::read(&Document::parse(text.as_bytes())) else { return true };
    let Some(corosync) = &seen.corosync else { return false };
    derived_pings(&config).iter().all(|(key, value)| corosync.values.get(key) == Some(value))
}
