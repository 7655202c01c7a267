//! The stand-in for Proxmox VE's HA stack, for the hosts of a lab that ask for it. What it does and does
//! not is in e2e/ha/README.md; as a package it has the name and a version that agents look for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::lab::Lab;

const FILES: [(&str, &str, u32); 4] = [
    ("usr/sbin/ha-manager", include_str!("../ha/ha-manager"), 0o755),
    ("usr/sbin/pve-ha-standin", include_str!("../ha/pve-ha-standin"), 0o755),
    (
        "usr/lib/systemd/system/pve-ha-standin.service",
        include_str!("../ha/pve-ha-standin.service"),
        0o644,
    ),
    ("usr/share/doc/pve-ha-manager/README.md", include_str!("../ha/README.md"), 0o644),
];

const CONTROL: &str = "Package: pve-ha-manager\nVersion: 5.1.3+standin\nArchitecture: all\n\
    Maintainer: pvecm-operator\nDescription: the lab's stand-in for Proxmox VE's HA stack\n";

/// Installs it on every host and starts it; the agents then look at their host's packages anew.
pub fn install(lab: &Lab) -> Result<()> {
    let folder = lab.state().join("ha");
    let package = folder.join("pve-ha-manager.deb");
    pack(&folder.join("root"), &package)?;
    let bytes = fs::read(&package).context("the stand-in was not packed")?;
    for host in lab.hosts() {
        host.write_file("/root/pve-ha-manager.deb", &bytes, 0o644)?;
        host.run(&["dpkg", "--install", "/root/pve-ha-manager.deb"])?;
        host.run(&["systemctl", "start", "pve-ha-standin"])?;
        host.run(&["systemctl", "restart", "pvecm-agent"])?;
    }
    Ok(())
}

fn pack(root: &Path, package: &Path) -> Result<()> {
    for (path, text, mode) in [&FILES[..], &[("DEBIAN/control", CONTROL, 0o644)]].concat() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    let mut build = Command::new("dpkg-deb");
    build.args(["--build", "--root-owner-group", "-Zgzip", "-z1"]).arg(root).arg(package);
    command::run(&mut build).map(drop).context("cannot pack the stand-in")
}
