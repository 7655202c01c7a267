//! The agents of a lab: installed from the Debian package, enrolled with the plugin, as on real hosts.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::binaries;
use crate::command;
use crate::controlplane::ControlPlane;
use crate::hosts::Host;
use crate::supervisor::Supervisor;

/// A lab's time is short: lost agents are noticed within seconds.
const HEARTBEAT_SECONDS: &str = "2";
/// And high availability is armed again soon after the operator was lost.
const ARM_AFTER_SECONDS: &str = "20";

/// Installs the agent on a host, enrols it and starts it.
pub fn install(
    supervisor: &Supervisor,
    control_plane: &ControlPlane<'_>,
    host: &Host<'_>,
) -> Result<()> {
    let package = binaries::package()?;
    let bytes = fs::read(&package).with_context(|| format!("cannot read {}", package.display()))?;
    host.write_file("/root/pvecm-agent.deb", &bytes, 0o644)?;
    host.run(&["dpkg", "--install", "/root/pvecm-agent.deb"])?;
    let bootstrap = enrol(supervisor, control_plane, host, &[])?;
    host.write_file("/root/bootstrap.yaml", bootstrap.as_bytes(), 0o600)?;
    host.run(&["pvecm-agent", "enrol", "/root/bootstrap.yaml"])?;
    host.run(&["rm", "/root/bootstrap.yaml"]).map(|_| ())
}

/// Makes a host's account and returns what is to be handed to its agent.
pub fn enrol(
    supervisor: &Supervisor,
    control_plane: &ControlPlane<'_>,
    host: &Host<'_>,
    more: &[&str],
) -> Result<String> {
    let name = host.name();
    let program = binaries::find("kubectl-pvecm")?;
    let mut plugin = Command::new("nsenter");
    plugin.args(["-t", &supervisor.pid().to_string(), "-n", "--"]).arg(program);
    plugin.args(["host", "enrol", name, "--namespace", "pve"]).args(more);
    plugin.args(["--heartbeat", HEARTBEAT_SECONDS, "--arm-after", ARM_AFTER_SECONDS]);
    if host.is_witness() {
        plugin.arg("--witness");
    }
    plugin.env("KUBECONFIG", control_plane.kubeconfig());
    command::run(&mut plugin).with_context(|| format!("cannot enrol {name}"))
}
