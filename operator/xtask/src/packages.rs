//! The Debian packages that the tree needs to build and that the lab needs to run: one list, in
//! one place, installed by apt only where something is missing.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Package, and why it is needed.
const NEEDED: [(&str, &str); 15] = [
    ("build-essential", "ring and the linker"),
    ("protobuf-compiler", "etcd-client"),
    ("libprotobuf-dev", "etcd-client"),
    ("libcmap-dev", "rust-corosync"),
    ("libcpg-dev", "rust-corosync"),
    ("libcfg-dev", "rust-corosync"),
    ("libquorum-dev", "rust-corosync"),
    ("libvotequorum-dev", "rust-corosync"),
    ("systemd-container", "the lab's hosts"),
    ("mmdebstrap", "the lab's Debian root"),
    ("iproute2", "the lab's networks"),
    ("iptables", "the lab's one-way blocks"),
    ("util-linux", "the lab's namespaces"),
    ("openssl", "the lab's token signing key"),
    ("dpkg", "the agent's package"),
];

/// Installs what is missing; says so, because that takes a while.
pub fn ensure_for_lab() -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().map(|(package, _)| *package).filter(|p| !is_installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing by apt: {}", missing.join(" "));
    // A fresh machine or container has no package lists yet; a second try gets them.
    if install(&missing).is_err() {
        apt(&["update"])?;
        install(&missing)?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Standard output belongs to the task that needed the packages.
        .stdout(Stdio::null())
        .status()
        .context("could not start apt-get: this needs Debian, as root")?;
    if !status.success() {
        bail!("`apt-get {}` failed ({status}); are we root?", arguments.join(" "));
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|said| said.stdout == b"installed")
}
