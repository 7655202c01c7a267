//! Calls of cargo: what is built, and what is run from it.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::step::step;
use crate::{chart, package};

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

/// Installs a program from its crate, with these arguments, where it is missing.
pub fn ensure_installed(program: &str, arguments: &[&str]) -> Result<()> {
    let mut version = Command::new(program);
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    step(&format!("installing {program}"), || {
        run(&[&["install", "--quiet", "--locked"], arguments].concat())
    })
}

/// Builds everything that runs in a lab: binaries and the agent's package.
///
/// As one workspace: a package built by itself has other features in its dependencies, and all of
/// them would be compiled anew for it.
pub fn build_what_hosts_run() -> Result<()> {
    step("building operator, agent, plugin and what the lab needs", || {
        run(&["build", "--quiet", "--locked", "--workspace"])
    })?;
    step("packing the agent", || package::pack("debug").map(|_| ()))
}

/// Runs the lab with these arguments; its exit code is ours. A lab that is up is spoken to by the
/// program that brought it up, so nothing is built here.
pub fn lab(arguments: &[String]) -> Result<ExitCode> {
    let program = target().join("debug/pvecm-lab");
    if !program.is_file() {
        build_what_hosts_run()?;
    }
    let done = Command::new(program).args(arguments).status().context("the lab does not start")?;
    Ok(u8::try_from(done.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs the simulation, built to be fast, with these arguments.
pub fn simulate(arguments: &[String]) -> Result<ExitCode> {
    step("building the simulation", || {
        run(&["build", "--quiet", "--locked", "--profile", "sim", "--package", "pvecm-sim"])
    })?;
    let program = target().join("sim/pvecm-sim");
    let done = Command::new(program).args(arguments).status().context("it does not start")?;
    Ok(if done.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes all that is generated: first the definitions, then what is made from the chart.
pub fn generate() -> Result<ExitCode> {
    run(&["run", "--quiet", "--package", "pvecm-crds", "--example", "generate"])?;
    chart::write_readme()?;
    build_what_hosts_run()?;
    lab(&["render".to_owned()])
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from)
}
