//! At rest nothing is written, anywhere, but the Leases.

use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::Value;

use crate::support::{HOSTS, changes, formed, get};

const REST: Duration = Duration::from_secs(60);

/// Lists what was written since the marker on a host's own disk and in /etc/pve, which is another file
/// system. Logs, and the clock's and systemd's own notes, are not ours.
const WRITTEN: &str = "find / /etc/pve -xdev -type f -cnewer /run/rest \
    ! -path '/etc/pve/.*' ! -path '/var/log/*' ! -path '/var/lib/chrony/*' \
    ! -path '/var/lib/systemd/*' ! -path '/tmp/*' ! -path '/var/tmp/*'";

#[test]
fn at_rest_only_leases_are_written() -> Result<()> {
    let lab = formed("rest")?;
    wait_until(Duration::from_secs(20), "the last change to be let go", || {
        let held = |change: &Value| !change["metadata"]["finalizers"].is_null();
        match changes(&lab) {
            Ok(changes) if !changes.iter().any(held) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    // A new member is one before its keys are the cluster's.
    wait_until(Duration::from_secs(20), "every member's keys to be shared", || {
        let hosts = statuses(&lab).map_err(|error| format!("{error:#}"))?;
        if hosts.contains("KeysShared") { Err(hosts) } else { Ok(()) }
    })?;
    for host in HOSTS {
        lab.host(host)?.run(&["touch", "/run/rest"])?;
    }
    let before = statuses(&lab)?;
    let written = lab.etcd()?.watch_writes(REST)?;
    // The API server keeps a Lease of its own, of which our objects know nothing.
    let leases = ["/registry/leases/", "/registry/peerserverleases/"];
    let others: Vec<_> =
        written.iter().filter(|key| !leases.iter().any(|lease| key.starts_with(lease))).collect();
    println!("writes in 60 s: {}, of which not Leases: {}", written.len(), others.len());
    let after = || statuses(&lab).unwrap_or_default();
    ensure!(others.is_empty(), "written at rest: {others:?}\n{before}\n{}", after());
    ensure!(written.len() > HOSTS.len(), "not even the heartbeats were seen: {written:?}");
    for host in HOSTS {
        let files = files_written(&lab, host)?;
        ensure!(files.is_empty(), "written on {host}: {files:?}");
    }
    assert_a_write_would_be_seen(&lab)
}

/// What the hosts say of themselves, a line each.
fn statuses(lab: &Lab) -> Result<String> {
    let status = |host: &str| Ok(format!("{}\n", get(lab, &["pvehost", host])?["status"]));
    HOSTS.into_iter().map(status).collect()
}

fn files_written(lab: &Lab, host: &str) -> Result<Vec<String>> {
    Ok(lab.host(host)?.sh(WRITTEN)?.lines().map(str::to_owned).collect())
}

fn assert_a_write_would_be_seen(lab: &Lab) -> Result<()> {
    for path in ["/var/lib/pvecm-agent/seen", "/etc/pve/seen"] {
        lab.host("n1")?.sh(&format!("echo seen > {path}"))?;
        let files = files_written(lab, "n1")?;
        ensure!(files.iter().any(|file| file == path), "{path} is not in {files:?}");
    }
    Ok(())
}
