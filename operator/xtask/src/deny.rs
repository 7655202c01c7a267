//! Licences, bans and sources of all dependencies, by cargo-deny.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::cargo;
use crate::step::step;

/// Advisories are left out: their database is no package and cannot be fetched everywhere.
const CHECKS: [&str; 6] = ["deny", "--log-level=error", "check", "bans", "licenses", "sources"];

/// Installs cargo-deny when it is missing, and runs the checks.
pub fn check() -> Result<()> {
    let there = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        step("installing cargo-deny", || {
            cargo::run(&["install", "--quiet", "--locked", "cargo-deny"])
        })?;
    }
    step("licences, bans and sources of dependencies", || cargo::run(&CHECKS))
}
