//! The Debian packages that building and testing need, installed when they are missing.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::step::step;

/// Everything that is needed beyond Rust, Go and Debian's base system.
const NEEDED: [&str; 25] = [
    // The agent, the recorder and the lab's stand-in for pmxcfs link to corosync's libraries.
    "libcfg-dev",
    "libcmap-dev",
    "libcpg-dev",
    "libquorum-dev",
    "libvotequorum-dev",
    "gcc",
    // libFuzzer is written in C++.
    "g++",
    "libc6-dev",
    "pkg-config",
    "make",
    // The test control plane's etcd client is generated from protocol definitions.
    "libprotobuf-dev",
    "protobuf-compiler",
    // Hosts, their networks and their certificates.
    "corosync",
    "fuse3",
    "iproute2",
    "iptables",
    "iputils-arping",
    "iputils-ping",
    "mmdebstrap",
    "openssl",
    "systemd-container",
    "util-linux",
    "procps",
    // The agent's package.
    "binutils",
    "dpkg",
];

/// Installs what everything needs.
pub fn ensure() -> Result<()> {
    install(&NEEDED)
}

/// Installs what is missing of these. Does nothing, and needs no root, when all is there.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("installing {}", missing.join(" ")), || {
        apt(&["update", "-qq"])?;
        apt(&[&["install", "-qq", "--no-install-recommends"], &missing[..]].concat())
    })
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|query| query.stdout == b"installed")
}

fn apt(arguments: &[&str]) -> Result<()> {
    let done = Command::new("apt-get")
        .args(arguments)
        .arg("--yes")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("this is not a Debian machine: apt-get does not start")?;
    ensure!(done.success(), "apt-get {} failed; as root it may work", arguments.join(" "));
    Ok(())
}
