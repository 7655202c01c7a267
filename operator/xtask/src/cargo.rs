//! Calls of cargo: what is built, and what is run from it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::package;
use crate::step::step;

/// The binaries that a lab runs besides the agent, which comes as a package.
const LAB_BINARIES: [&str; 4] =
    ["kubectl-pvecm", "pmxcfs-standin", "pvecm-operator", "pvecm-recorder"];

/// A cargo command at the root of the workspace.
pub fn command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.current_dir(root()).args(arguments);
    cargo
}

/// Runs cargo to its end.
pub fn run(arguments: &[&str]) -> Result<()> {
    let done = command(arguments).status().context("cargo does not start")?;
    ensure!(done.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

/// Builds everything that runs in a lab: binaries and the agent's package.
pub fn build_what_hosts_run() -> Result<()> {
    step("building operator, agent, plugin and what the lab needs", || {
        let mut arguments = vec!["build", "--quiet", "--package", "pvecm-e2e"];
        arguments.extend(LAB_BINARIES.iter().flat_map(|name| ["--package", name]));
        run(&arguments)
    })?;
    step("packing the agent", || package::package(false))
}

/// Runs the lab with these arguments; its exit code is ours.
pub fn lab(arguments: &[String]) -> Result<ExitCode> {
    let mut cargo = command(&["run", "--quiet", "--manifest-path"]);
    cargo.arg(root().join("Cargo.toml")).args(["--package", "pvecm-e2e", "--bin", "pvecm-lab", "--"]);
    // Paths on the command line are the caller's, not the workspace's.
    cargo.current_dir(std::env::current_dir().context("the current directory is gone")?);
    let done = cargo.args(arguments).status().context("cargo does not start")?;
    Ok(u8::try_from(done.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Writes all generated YAML: first the definitions, then the kustomize base from the chart.
pub fn generate() -> Result<ExitCode> {
    run(&["run", "--quiet", "--package", "pvecm-crds", "--example", "generate"])?;
    lab(&["render".to_owned()])
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}
