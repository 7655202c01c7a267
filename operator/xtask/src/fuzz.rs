//! `cargo xtask fuzz`: libFuzzer on the properties of `operator/core/fuzz`, with the stable compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cargo;
use crate::step::step;

/// Every target; each has its seeds in a folder of its name.
pub const TARGETS: [&str; 3] = ["corosync-conf", "datacenter-cfg", "property-string"];

/// What cargo-fuzz passes on a nightly compiler, less the sanitizers: counters on every edge, a table
/// of them, and the operands of comparisons.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs one target, or all, for so many seconds each.
///
/// What was found before is kept in `target/fuzz` and gone on from; a counterexample is left there as
/// well, and named.
pub fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    let chosen: Vec<&str> = target.map_or_else(|| TARGETS.to_vec(), |target| vec![target]);
    let programs = step("building the fuzz targets", build)?;
    for target in chosen {
        let what = format!("fuzzing {target} for {seconds} s");
        let end = step(&what, || fuzz(&programs, target, seconds))?;
        println!("{target}: {end}");
    }
    Ok(())
}

/// Builds all targets and returns the folder that they are in.
fn build() -> Result<PathBuf> {
    let triple = host()?;
    // With a target triple the flags reach what is fuzzed, and no build script.
    let arguments = ["build", "--quiet", "--locked", "--profile", "fuzz", "--target", &triple];
    let package = ["--package", "pvecm-fuzz", "--features", "libfuzzer"];
    let done = cargo::command(&arguments)
        .args(package)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cargo does not start")?;
    ensure!(done.success(), "the fuzz targets do not build");
    Ok(cargo::target().join(triple).join("fuzz"))
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let text = String::from_utf8(output.stdout).context("rustc does not speak UTF-8")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it builds")
}

/// Runs a target and returns the line with which libFuzzer ends.
fn fuzz(programs: &Path, target: &str, seconds: u32) -> Result<String> {
    let found = cargo::target().join("fuzz").join(target);
    std::fs::create_dir_all(&found)?;
    let seeds = cargo::root().join("operator/core/fuzz/seeds").join(target);
    let output = Command::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        // A property that takes a second on a file of this size is a finding of its own.
        .args(["-timeout=5", "-max_len=8192", "-print_final_stats=0"])
        .arg(format!("-artifact_prefix={}/", found.parent().unwrap_or(&found).display()))
        .args([&found, &seeds])
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("{target} does not start"))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{target} found a counterexample:\n{log}");
    let end = log.lines().rfind(|line| line.contains("DONE")).unwrap_or("ended without a word");
    Ok(end.trim().to_owned())
}
