//! systemd, by its own tool: only in actions, never at rest.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_core::gate::{Idle, outrun};

use super::disk::RealDisk;
use crate::gate::{Hold, Holding as _};
use crate::ports::{Disk as _, DiskFile, Services, Unit};

const AT_MOST: Duration = Duration::from_secs(45);

/// Where pmxcfs says which process it is.
const PID_FILE: &str = "/run/pve-cluster.pid";

/// Where systemd has a link to each unit that is started with the machine.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants";

/// systemd.
#[derive(Debug, Clone, Copy, Default)]
pub struct Systemd;

impl Services for Systemd {
    fn start(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        async move {
            // A unit that failed too often is not started again before its count is cleared.
            let _ = systemctl("reset-failed", unit);
            systemctl("start", unit)
        }
        .boxed()
    }

    fn stop(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        async move { systemctl("stop", unit) }.boxed()
    }

    fn enable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        async move { systemctl("enable", unit) }.boxed()
    }

    fn disable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        async move { systemctl("disable", unit) }.boxed()
    }

    fn is_enabled(&self, unit: Unit) -> bool {
        Path::new(WANTED).join(name(unit)).is_symlink()
    }

    fn start_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        // In a unit of its own: what the agent itself mounted nobody else on this host would see, and it may not.
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--collect", "--service-type=forking"]);
        command.arg(format!("--property=PIDFile={PID_FILE}")).args(["pmxcfs", "-l"]);
        async move { run(command) }.boxed()
    }

    fn stop_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        async move { end_pmxcfs() }.boxed()
    }

    fn why_idle(&self) -> Option<Idle> {
        let disk = RealDisk.read(DiskFile::Conf).ok().flatten()?;
        Hold::here().reason(&disk).map(Idle::Held).or_else(|| outrun(&journal()))
    }
}

/// What corosync and systemd said of it since the machine was started. Nothing else tells why a daemon
/// ended: because of its version it does so with exit code 0 (facts/corosync.md 9.2).
fn journal() -> String {
    // What was said last may not be in the files yet.
    let _ = journalctl(&["--sync"]);
    journalctl(&["--boot", "--unit=corosync.service", "--lines=100", "--output=cat", "--quiet"])
        .unwrap_or_default()
}

/// One that hangs must not keep the loop.
fn journalctl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("timeout").args(["5", "journalctl"]).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

fn end_pmxcfs() -> Result<(), String> {
    let text = std::fs::read_to_string(PID_FILE).map_err(|error| error.to_string())?;
    let pid: i32 = text.trim().parse().map_err(|_| format!("{PID_FILE} holds no number"))?;
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).map_err(|e| e.to_string())?;
    let end = Instant::now() + AT_MOST;
    while nix::sys::signal::kill(pid, None).is_ok() {
        if Instant::now() >= end {
            return Err("pmxcfs does not end".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

const fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::Corosync => "corosync.service",
        Unit::PveCluster => "pve-cluster.service",
        Unit::Qdevice => "corosync-qdevice.service",
        Unit::Qnetd => "corosync-qnetd.service",
    }
}

fn systemctl(verb: &str, unit: Unit) -> Result<(), String> {
    let name = name(unit);
    let mut command = Command::new("systemctl");
    command.args(["--quiet", "--no-ask-password", verb, name]);
    run(command).map_err(|why| format!("systemctl {verb} {name}: {why}"))
}

/// Runs a short command to its end; what it wrote to stderr is the error.
pub(super) fn run(command: Command) -> Result<(), String> {
    run_within(command, AT_MOST)
}

/// The same, with a time of its own.
pub fn run_within(mut command: Command, at_most: Duration) -> Result<(), String> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| error.to_string())?;
    let end = Instant::now() + at_most;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{status}{}", said(&mut child))),
            None if Instant::now() >= end => {
                // Only the tool is ended; the job that it asked systemd for goes on there.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no end within {} s", at_most.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn said(child: &mut std::process::Child) -> String {
    let text = child.stderr.take().and_then(|pipe| std::io::read_to_string(pipe).ok());
    let text = text.unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    if line.is_empty() { String::new() } else { format!(": {}", line.trim()) }
}
