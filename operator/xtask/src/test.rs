//! `cargo xtask test`: formatting, lints, dependencies, unit tests, fuzzing, scenarios, in this order,
//! and one closing line that counts.

use std::io::{BufRead as _, BufReader, Read, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::step::step;
use crate::{cargo, deny, fuzz, image, package, packages};

/// What the test runners counted.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// For how long each parser is fuzzed: enough to find again what it found once.
const FUZZ_SECONDS: u32 = 10;

/// How much of what a failing test says is said again.
const LINES_OF_A_FAILURE: usize = 20;

/// Scenarios wait for timers most of their time, so that two cores carry two labs; with more,
/// hosts that boot take from corosync what its timers need.
const LABS_AT_ONCE: &str = "--test-threads=2";

/// What cannot run where the API server's store is somebody else's.
const NEED_OWN_STORE: [&str; 4] = [
    "rest::at_rest_only_leases_are_written",
    "lab::the_api_server_stops_and_comes_back_with_what_it_knew",
    "lab::a_write_to_the_api_is_seen_in_etcd",
    "foreign::",
];

/// Runs everything, or only the scenarios whose names contain one of these; the exit code says whether all
/// is well.
pub fn run(all: bool, use_cluster: bool, only: &[String]) -> Result<ExitCode> {
    let cluster = use_cluster.then(kubeconfig).transpose()?;
    packages::ensure()?;
    let mut count = Count::default();
    let more: &[&str] = if all { &["--include-ignored"] } else { &[] };
    let before = if only.is_empty() { before_scenarios(more, &mut count)? } else { Ok(()) };
    cargo::build_what_hosts_run()?;
    if only.is_empty() {
        package::lint()?;
    }
    if all {
        image::build(false)?;
    }
    // A cluster holds one lab.
    let at_once = if use_cluster { "--test-threads=1" } else { LABS_AT_ONCE };
    let asked = ["test", "--workspace", "--test", "scenarios", "--", "--nocapture", at_once];
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    let mut scenarios = [&asked[..], more, &only].concat();
    if cluster.is_some() {
        scenarios.extend(NEED_OWN_STORE.iter().flat_map(|test| ["--skip", test]));
        println!("skipped, for want of an API server with a store of its own: {NEED_OWN_STORE:?}");
    }
    let mut scenarios = cargo::command(&scenarios);
    scenarios.envs(cluster.map(|kubeconfig| ("PVECM_USE_CLUSTER", kubeconfig)));
    // What a scenario says of its failure tells where it failed; a backtrace is that of the runner.
    scenarios.env("RUST_LIB_BACKTRACE", "0").stderr(Stdio::piped());
    let scenarios = step("lab and scenarios", || count.add(&mut scenarios));
    if count.ignored > 0 && !all {
        let skipped = count.ignored;
        println!("skipped {skipped} tests that only `cargo xtask test --all` runs");
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    before.and(scenarios)?;
    Ok(ExitCode::SUCCESS)
}

/// Everything that needs no lab. What lints find ends it; a test that fails is told of after the scenarios.
fn before_scenarios(more: &[&str], count: &mut Count) -> Result<Result<()>> {
    step("formatting", || cargo::run(&["fmt", "--all", "--check"]))?;
    step("lints", || {
        lint("--all-targets")?;
        // What runs only when it is asked for is not among all targets.
        lint("--test=scenarios")
    })?;
    deny::check()?;
    // Both as one workspace: of some packages alone other features are asked for, and all that these
    // packages share would be compiled anew.
    let unit = [&["test", "--workspace", "--"], more].concat();
    let units = step("unit tests", || count.add(&mut cargo::command(&unit)));
    Ok(units.and(fuzz::run(None, FUZZ_SECONDS)))
}

/// Clippy over some targets of every package.
fn lint(targets: &str) -> Result<()> {
    cargo::run(&["clippy", "--quiet", "--workspace", targets, "--", "-D", "warnings"])
}

/// The one file that KUBECONFIG names.
fn kubeconfig() -> Result<PathBuf> {
    let path = std::env::var_os("KUBECONFIG").map(PathBuf::from);
    let path = path.and_then(|path| path.canonicalize().ok()).filter(|path| path.is_file());
    path.context("--use-cluster needs KUBECONFIG to name the kubeconfig of that cluster, one file")
}

impl Count {
    /// Runs cargo's test runner to its end, passes its output on and counts what it says.
    fn add(&mut self, cargo: &mut Command) -> Result<()> {
        let mut child = cargo.stdout(Stdio::piped()).spawn().context("cargo does not start")?;
        let output = child.stdout.take().context("cargo's output is gone")?;
        let errors = child.stderr.take().map(|errors| thread::spawn(|| pass_on(errors, stderr())));
        for line in BufReader::new(output).lines() {
            let line = line.context("cargo's output breaks off")?;
            self.read(&line);
            writeln!(stdout(), "{line}")?;
        }
        let done = child.wait().context("cargo is gone")?;
        for failure in errors.and_then(|errors| errors.join().ok()).unwrap_or_default() {
            writeln!(stdout(), "{failure}")?;
        }
        ensure!(done.success(), "{cargo:?} failed");
        Ok(())
    }

    /// Counts a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn read(&mut self, line: &str) {
        let Some((_, figures)) = line.split_once("test result: ") else { return };
        for part in figures.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Passes on what tests say on their standard error, and keeps what those that fail say: scenarios run for a
/// quarter of an hour after some failure, and the end of a long output is what is looked at.
fn pass_on(errors: impl Read, mut to: impl Write) -> Vec<String> {
    let mut failures: Vec<String> = Vec::new();
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let _ = writeln!(to, "{line}");
        match failures.last_mut() {
            _ if line.starts_with("Error: ") => failures.push(line),
            Some(failure) if failure.lines().count() < LINES_OF_A_FAILURE => {
                failure.push('\n');
                failure.push_str(&line);
            }
            _ => {}
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failing_test_says_is_said_again_at_the_end() {
        let said =
            format!("Compiling\nError: n1 lost quorum\n\nCaused by:\n  0: x\n{}", "y\n".repeat(40));
        let said = format!("{said}Error: late\n");
        let mut passed_on = Vec::new();
        let failures = pass_on(said.as_bytes(), &mut passed_on);
        assert_eq!(String::from_utf8(passed_on).unwrap(), said);
        assert_eq!(failures.len(), 2);
        assert!(failures[0].starts_with("Error: n1 lost quorum\n\nCaused by:"), "{failures:?}");
        assert_eq!(failures[0].lines().count(), LINES_OF_A_FAILURE);
        assert_eq!(failures[1], "Error: late");
    }

    #[test]
    fn the_closing_line_of_a_test_runner_is_counted() {
        let mut count = Count::default();
        count.read("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out");
        count.read("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured");
        count.read("test something ... ok");
        assert_eq!((count.passed, count.failed, count.ignored), (13, 2, 3));
    }
}
