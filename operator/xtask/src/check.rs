//! `cargo xtask test`: every check in order, each with its time, and a plain sum at the end.

use std::io::{BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{cargo, packages};

const CLIPPY: [&str; 6] = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"];

/// Passed and failed tests, as cargo's own lines say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: usize,
    failed: usize,
}

/// Format check and lints.
pub fn lint() -> Result<()> {
    packages::ensure_for_lab()?;
    cargo::run(&["fmt", "--all", "--check"])?;
    cargo::run(&CLIPPY)
}

/// Everything; with `all` also the long scenarios. The exit code says whether all of it passed.
pub fn test(all: bool) -> Result<ExitCode> {
    let mut sum = Sum::default();
    let mut broken: Vec<&str> = Vec::new();
    packages::ensure_for_lab()?;
    let scenarios: &[&str] = if all {
        &["test", "-p", "pvecm-e2e", "--test", "scenarios", "--", "--include-ignored"]
    } else {
        println!("skipping the long scenarios (cargo xtask test --all runs them)");
        &["test", "-p", "pvecm-e2e", "--test", "scenarios"]
    };
    let steps: [(&str, &[&str]); 5] = [
        ("format", &["fmt", "--all", "--check"]),
        ("lints", &CLIPPY),
        ("unit tests and generated files", &["test", "--workspace", "--lib", "--bins"]),
        ("programs for the lab", &["build", "--workspace", "--bins", "--quiet"]),
        ("scenarios", scenarios),
    ];
    for (name, arguments) in steps {
        if !step(name, arguments, &mut sum)? {
            broken.push(name);
        }
    }
    if !broken.is_empty() {
        println!("not in order: {}", broken.join(", "));
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one step, shows what it says, adds up its tests, and says whether it succeeded.
fn step(name: &str, arguments: &[&str], sum: &mut Sum) -> Result<bool> {
    let began = Instant::now();
    println!("== {name}: cargo {}", arguments.join(" "));
    let mut child = cargo::command(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start cargo for: {name}"))?;
    let output = child.stdout.take().context("cargo's output is a pipe")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(seen) = result_line(&line) {
            sum.passed += seen.passed;
            sum.failed += seen.failed;
        }
        println!("{line}");
        std::io::stdout().flush()?;
    }
    let passed = child.wait()?.success();
    let word = if passed { "passed" } else { "FAILED" };
    println!("== {name}: {word} after {:.1} s", began.elapsed().as_secs_f64());
    Ok(passed)
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`.
fn result_line(line: &str) -> Option<Sum> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let found = counts.split("; ").find_map(|part| part.strip_suffix(word));
        found.and_then(|number| number.trim().parse().ok())
    };
    Some(Sum { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_result_lines_of_cargo_are_added_up() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered \
                    out; finished in 0.01s";
        assert_eq!(result_line(line), Some(Sum { passed: 12, failed: 3 }));
        assert_eq!(result_line("test wait::tests::x ... ok"), None);
    }
}
