//! Prometheus' own checker of rules, out of Debian's package. That is not installed: it would start a
//! server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::command;

/// Its path, downloaded first where it is missing.
pub fn path() -> Result<PathBuf> {
    let kept = Cache::open()?.once("promtool-bookworm", |making| {
        fs::create_dir(making)?;
        command::run(Command::new("apt-get").args(["update", "-qq"]))?;
        let mut apt = Command::new("apt-get");
        command::run(apt.args(["download", "-qq", "prometheus"]).current_dir(making))?;
        let mut unpack = Command::new("sh");
        unpack.args(["-c", "dpkg-deb --extract ./*.deb . && rm ./*.deb"]).current_dir(making);
        command::run(&mut unpack).map(|_| ()).context("could not unpack Debian's prometheus")
    })?;
    Ok(kept.join("usr/bin/promtool"))
}
