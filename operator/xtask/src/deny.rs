//! Licences, bans and sources of all dependencies, by cargo-deny.

use anyhow::Result;

use crate::cargo;
use crate::step::step;

/// Advisories are left out: their database is no package and cannot be fetched everywhere.
const CHECKS: [&str; 6] = ["deny", "--log-level=error", "check", "bans", "licenses", "sources"];

/// Installs cargo-deny when it is missing, and runs the checks.
pub fn check() -> Result<()> {
    cargo::ensure_installed("cargo-deny", &["cargo-deny"])?;
    step("licences, bans and sources of dependencies", || cargo::run(&CHECKS))
}
