//! Writing corosync.conf: under the locks, over the expected bytes only, and read back.

use pvecm_core::change::Stage;
use pvecm_core::protocol::InForce;

use super::probe::which;
use crate::host_ports::Host;
use crate::ports::{ConfLock, DiskFile};

/// Writes the stage's text over its parent.
pub async fn write(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    kept: Kept,
) -> Result<(), String> {
    let at_most_ms = u64::from(stage.confirm_timeout_secs) * 1000;
    let lock = locked(host, kept, at_most_ms).await?;
    let over = |found: InForce| found == InForce::Parent;
    let wish: Wish<'_> = (&stage.config.text, InForce::New, lock, &over);
    match put(host, stage, parent, wish).await? {
        InForce::New => Ok(()),
        InForce::Parent => Err("the file is unchanged after the write".to_owned()),
        InForce::Back | InForce::Other => {
            Err("/etc/pve/corosync.conf was changed by somebody else".to_owned())
        }
    }
}

/// Writes the text that undoes a stage over the stage's own, and over the parent where said so.
/// Returns what is in force afterwards.
pub async fn write_back(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    (over_parent, kept): (bool, Kept),
) -> Result<InForce, String> {
    let Some(back) = &stage.back else {
        return Err("the stage has no text to go back to".to_owned());
    };
    let over = |found: InForce| found == InForce::New || (over_parent && found == InForce::Parent);
    let lock = locked(host, kept, 10_000).await?;
    put(host, stage, parent, (&back.text, InForce::Back, lock, &over)).await
}

/// The locks, where this host holds them already.
pub type Kept = Option<Box<dyn ConfLock>>;

async fn locked(host: &Host, kept: Kept, at_most_ms: u64) -> Result<Box<dyn ConfLock>, String> {
    if let Some(lock) = kept {
        return Ok(lock);
    }
    let lock = host.cluster_files.lock(at_most_ms).await;
    lock.map_err(|error| format!("cannot take the lock: {error}"))
}

type Wish<'a> = (&'a str, InForce, Box<dyn ConfLock>, &'a (dyn Fn(InForce) -> bool + Sync));

async fn put(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    wish: Wish<'_>,
) -> Result<InForce, String> {
    let (text, wanted, lock, over) = wish;
    let files = &host.cluster_files;
    let found = || {
        let bytes = files.read_conf().map_err(|error| format!("cannot read the file: {error}"))?;
        Ok::<_, String>(which(stage, parent, bytes.as_deref()))
    };
    let before = found()?;
    if before == wanted || !over(before) {
        return Ok(before);
    }
    if !lock.is_own() {
        return Err("the lock was taken away".to_owned());
    }
    // Two hosts that rename at once can each see success or failure wrongly (facts/pmxcfs.md 2): what
    // counts is what is read afterwards.
    let renamed = files.replace_conf(Some(text.as_bytes())).await;
    let after = found()?;
    match renamed {
        Err(error) if after != wanted => Err(format!("cannot write the file: {error}")),
        Ok(()) | Err(_) => Ok(after),
    }
}

/// Puts the text that undoes a stage on the own disk alone and has the daemon read it: /etc/pve takes
/// no writes without quorum, and without the old text there may never be quorum again.
pub fn restore_own_disk(host: &Host, stage: &Stage) -> Result<(), String> {
    let Some(back) = &stage.back else {
        return Err("the stage has no text to go back to".to_owned());
    };
    put_on_disk(host, back.text.as_bytes())
}

/// Takes the cluster's file over the own disk's.
pub fn take_cluster_file(host: &Host) -> Result<(), String> {
    let bytes = host.cluster_files.read_conf().map_err(|error| error.to_string())?;
    put_on_disk(host, &bytes.ok_or("/etc/pve holds no corosync.conf")?)
}

fn put_on_disk(host: &Host, bytes: &[u8]) -> Result<(), String> {
    host.disk.replace(DiskFile::Conf, bytes).map_err(|error| error.to_string())?;
    host.corosync.reload().map_err(|error| error.to_string())
}
