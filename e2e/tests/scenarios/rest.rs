//! At rest nothing is written, anywhere, but the Leases.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;

use crate::support::{HOSTS, formed};

const REST: Duration = Duration::from_secs(60);

/// Where corosync, pmxcfs and the agent keep what they keep.
const FOLDERS: &str = "/etc/corosync /etc/pve /etc/pvecm-agent /var/lib/pvecm-agent \
                       /var/lib/corosync /var/lib/pve-cluster";

#[test]
fn at_rest_only_leases_are_written() -> Result<()> {
    let lab = formed("rest")?;
    let before = host_files(&lab)?;
    let written = lab.etcd()?.watch_writes(REST)?;
    // The API server keeps a Lease of its own, of which our objects know nothing.
    let leases = ["/registry/leases/", "/registry/peerserverleases/"];
    let others: Vec<_> =
        written.iter().filter(|key| !leases.iter().any(|lease| key.starts_with(lease))).collect();
    println!("writes in 60 s: {}, of which not Leases: {}", written.len(), others.len());
    ensure!(others.is_empty(), "written at rest: {others:?}");
    ensure!(written.len() > HOSTS.len(), "not even the heartbeats were seen: {written:?}");
    let after = host_files(&lab)?;
    ensure!(before == after, "host files were written: {before:?} is now {after:?}");
    Ok(())
}

/// Path, time, size and inode of every file, and what the agent's process has written to disks.
fn host_files(lab: &Lab) -> Result<BTreeMap<&'static str, String>> {
    let look = format!(
        "find {FOLDERS} -type f ! -path '/etc/pve/.*' -printf '%p %T@ %s %i\\n' | sort; \
         grep ^write_bytes /proc/$(systemctl show pvecm-agent --property=MainPID --value)/io"
    );
    let read = |host: &'static str| {
        let files = lab.host(host)?.sh(&look).context("cannot list a host's files")?;
        ensure!(files.contains("/etc/corosync/corosync.conf"), "the list is empty: {files}");
        Ok((host, files))
    };
    HOSTS.into_iter().map(read).collect()
}
