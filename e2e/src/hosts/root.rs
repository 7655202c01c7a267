//! The Debian root that all hosts share read-only, and what the lab adds to it.
//!
//! The root is made once per list of packages and cached outside the tree; the additions
//! (units, the pmxcfs in use, the recorder) are a layer per lab, so that they are always those
//! of the tree that runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::binaries;
use crate::cache::{Cache, tag};
use crate::command;

/// What a Proxmox VE host has of corosync and its surroundings; the last line is what a real
/// pmxcfs binary needs to start.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,corosync,corosync-qdevice,corosync-qnetd,\
    libnss3-tools,iproute2,iptables,iputils-arping,iputils-ping,openssh-server,openssh-client,procps,\
    ca-certificates,chrony,fuse,\
    libglib2.0-0,libsqlite3-0,librrd8";

const SUITE: &str = "bookworm";

/// Root's key, which Proxmox VE's installer makes.
const ROOT_KEY: [&str; 7] = ["ssh-keygen", "-q", "-trsa", "-N", "", "-f", "/root/.ssh/id_rsa"];

/// Timers and services of Debian that would write to a host at rest, or set the machine's clock.
const MASKED: [&str; 9] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "chrony.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "logrotate.timer",
    "systemd-tmpfiles-clean.timer",
    "systemd-networkd-wait-online.service",
];

const PVE_CLUSTER_UNIT: &str = include_str!("units/pve-cluster.service");
const COROSYNC_DROP_IN: &str = include_str!("units/corosync-needs-config.conf");
const RECORDER_UNIT: &str = include_str!("units/pvecm-recorder.service");

/// The cached root, made first where it is missing (about a minute).
pub fn base() -> Result<PathBuf> {
    let name = format!("root-{}", tag(&format!("{SUITE} {PACKAGES} {ROOT_KEY:?}")));
    Cache::open()?.once(&name, |making| {
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap
            .args(["--quiet", "--variant=apt", "--format=directory"])
            .arg(format!("--include={PACKAGES}"))
            .arg(SUITE)
            .arg(making)
            // Debian's package tools need the directories of root in their search path.
            .env("PATH", command::PATH);
        command::run(&mut mmdebstrap).context("could not make the hosts' Debian root")?;
        as_after_installation(making)
    })
}

/// A root as Proxmox VE's installer leaves it: no example corosync.conf, no identity, a key for root.
fn as_after_installation(root: &Path) -> Result<()> {
    fs::create_dir_all(root.join("root/.ssh"))?;
    let mut keygen = Command::new("chroot");
    keygen.arg(root).args(ROOT_KEY).env("PATH", command::PATH);
    command::run(&mut keygen).context("could not make a key for root")?;
    remove_if_there(&root.join("etc/corosync/corosync.conf"))?;
    remove_if_there(&root.join("etc/hostname"))?;
    // Empty, not missing: systemd then makes a new one for every host.
    fs::write(root.join("etc/machine-id"), "")?;
    remove_if_there(&root.join("var/lib/dbus/machine-id"))?;
    Ok(())
}

/// Writes what every host of a lab has on top of the root.
pub fn write_layer(layer: &Path, hosts_file: &str) -> Result<()> {
    write(&layer.join("etc/hosts"), hosts_file, 0o644)?;
    let units = layer.join("etc/systemd/system");
    write(&units.join("corosync.service.d/needs-config.conf"), COROSYNC_DROP_IN, 0o644)?;
    for unit in MASKED {
        fs::create_dir_all(&units)?;
        symlink("/dev/null", units.join(unit))?;
    }
    enable(&units, "corosync.service", "/lib/systemd/system/corosync.service")?;
    Ok(())
}

/// The programs that a host has besides Debian's.
#[derive(Clone, Debug)]
pub struct Programs {
    pmxcfs: PathBuf,
    recorder: PathBuf,
}

impl Programs {
    /// Finds them: as pmxcfs a real one where `PVECM_PMXCFS` names it, else the stand-in.
    pub fn find() -> Result<Self> {
        let pmxcfs = match std::env::var_os("PVECM_PMXCFS").map(PathBuf::from) {
            Some(path) if path.is_file() => path,
            Some(path) => bail!("PVECM_PMXCFS names no file: {}", path.display()),
            None => binaries::find("pmxcfs-standin")?,
        };
        Ok(Self { pmxcfs, recorder: binaries::find("pvecm-recorder")? })
    }

    /// Adds them and their units to a layer.
    pub fn write(&self, layer: &Path) -> Result<()> {
        let units = layer.join("etc/systemd/system");
        install(&self.pmxcfs, &layer.join("usr/bin/pmxcfs"))?;
        fs::create_dir_all(layer.join("etc/pve"))?;
        fs::create_dir_all(layer.join("var/lib/pve-cluster"))?;
        write_and_enable(&units, "pve-cluster.service", PVE_CLUSTER_UNIT)?;
        install(&self.recorder, &layer.join("usr/local/bin/pvecm-recorder"))?;
        write_and_enable(&units, "pvecm-recorder.service", RECORDER_UNIT)
    }
}

fn write_and_enable(units: &Path, unit: &str, text: &str) -> Result<()> {
    let path = Path::new("/etc/systemd/system").join(unit);
    write(&units.join(unit), text, 0o644)?;
    enable(units, unit, &path.to_string_lossy())
}

fn enable(units: &Path, unit: &str, target: &str) -> Result<()> {
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    symlink(target, wants.join(unit)).with_context(|| format!("could not enable {unit}"))
}

fn install(program: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(program, to).with_context(|| format!("could not copy {}", program.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
