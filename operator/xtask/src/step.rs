//! One line per step: what is done, how it ended, and how long it took.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Instant;

use anyhow::Result;

/// Does one step and says so on standard error. On a terminal the line appears when the step begins.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut out = stderr();
    if out.is_terminal() {
        write!(out, "xtask: {what} ...\r")?;
    }
    let began = Instant::now();
    let done = work();
    let verdict = if done.is_ok() { "ok" } else { "FAILED" };
    writeln!(out, "xtask: {what}: {verdict} ({:.0} s)", began.elapsed().as_secs_f64())?;
    done
}
