//! The Debian package of the agent, from the binary that this tree builds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::cargo;

/// Builds the agent and its package, and prints the package's path on stdout.
pub fn package(release: bool) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--locked", "--package", "pvecm-agent", "--release"];
    cargo::run(&build[..build.len() - usize::from(!release)])?;
    let package = pack(if release { "release" } else { "debug" })?;
    println!("{}", package.display());
    Ok(())
}

/// Packs the agent that was built with this profile, and returns the package's path.
pub fn pack(profile: &str) -> anyhow::Result<PathBuf> {
    let target = cargo::target();
    let out = target.join("debian");
    fs::create_dir_all(&out)?;
    let staging = out.join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    let architecture = architecture()?;
    stage(&cargo::root(), &target.join(profile).join("pvecm-agent"), &staging, &architecture)?;
    let version = env!("CARGO_PKG_VERSION");
    let package = out.join(format!("pvecm-agent_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    // The lab installs it at once: a fast compression beats a small file.
    command.args(["--build", "--root-owner-group", "-Zgzip", "-z1"]).arg(&staging).arg(&package);
    run(command)?;
    Ok(package)
}

/// What Debian calls this machine's architecture.
fn architecture() -> anyhow::Result<String> {
    let said = Command::new("dpkg").arg("--print-architecture").output();
    Ok(String::from_utf8(said.context("dpkg does not start")?.stdout)?.trim().to_owned())
}

fn stage(root: &Path, binary: &Path, staging: &Path, architecture: &str) -> anyhow::Result<()> {
    let debian = root.join("operator/agent/debian");
    let strip = |to: &Path| {
        let mut command = Command::new("strip");
        command.arg("-o").arg(to).arg(binary);
        run(command)
    };
    let installed = staging.join("usr/bin/pvecm-agent");
    folder_of(&installed)?;
    strip(&installed)?;
    fs::set_permissions(&installed, Permissions::from_mode(0o755))?;
    let units = staging.join("usr/lib/systemd/system");
    for (from, to) in [
        ("pvecm-agent.service", "pvecm-agent.service"),
        ("pvecm-agent-gate.service", "pvecm-agent-gate.service"),
        ("corosync-held.conf", "corosync.service.d/pvecm-agent.conf"),
    ] {
        put(&units.join(to), &fs::read(debian.join(from))?, 0o644)?;
    }
    put(
        &staging.join("usr/share/doc/pvecm-agent/copyright"),
        &fs::read(root.join("LICENSE"))?,
        0o644,
    )?;
    let control = fs::read_to_string(debian.join("control"))?;
    let control = control.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let control = control.replace("Architecture: amd64", &format!("Architecture: {architecture}"));
    put(&staging.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        put(&staging.join("DEBIAN").join(script), &fs::read(debian.join(script))?, 0o755)?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    folder_of(path)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Makes the folders above a file, as every user may read them whatever the umask is.
fn folder_of(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().context("a path without a folder")?;
    fs::create_dir_all(folder)?;
    Ok(fs::set_permissions(folder, Permissions::from_mode(0o755))?)
}

fn run(mut command: Command) -> anyhow::Result<()> {
    // Only the package's path belongs on stdout.
    command.stdout(Stdio::from(std::io::stderr()));
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
