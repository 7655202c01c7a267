//! Starting other things through cargo.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

/// What a lab with everything in it is made of.
const LAB_CRATES: [&str; 5] =
    ["pvecm-e2e", "pmxcfs-standin", "pvecm-recorder", "pvecm-operator", "kubectl-pvecm"];

/// A cargo with these arguments: the one that runs us, so that versions agree.
pub fn command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments);
    cargo
}

/// Runs cargo; it has to succeed.
pub fn run(arguments: &[&str]) -> Result<()> {
    let status = command(arguments).status().context("could not start cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Builds the programs that the lab puts into its hosts and control plane.
pub fn build_for_lab() -> Result<()> {
    let mut arguments = vec!["build", "--quiet", "--bins"];
    for name in LAB_CRATES {
        arguments.extend(["-p", name]);
    }
    run(&arguments)
}

/// Runs the lab's program in place of ours.
pub fn run_lab(arguments: &[String]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let mut lab = command(&["run", "--quiet", "-p", "pvecm-e2e", "--bin", "pvecm-lab", "--"]);
    Err(lab.args(arguments).exec()).context("could not start cargo")
}
