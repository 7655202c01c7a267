//! The Debian package of the agent, from the binary that this tree builds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::step::step;
use crate::{cargo, packages};

/// The units of the package.
const UNITS: [&str; 2] = ["pvecm-agent.service", "pvecm-agent-gate.service"];

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
    stage(&cargo::root(), &target.join(profile).join("pvecm-agent"), &staging)?;
    let package = path();
    let mut command = Command::new("dpkg-deb");
    // The lab installs it at once: a fast compression beats a small file.
    command.args(["--build", "--root-owner-group", "-Zgzip", "-z1"]).arg(&staging).arg(&package);
    run(command)?;
    Ok(package)
}

/// Where the package of this tree lies.
fn path() -> PathBuf {
    let name = format!("debian/pvecm-agent_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture());
    cargo::target().join(name)
}

/// How far a unit of the agent may be exposed, in tenths as systemd counts.
const MOST_EXPOSED: &str = "--threshold=30";

/// Has Debian's own checker look at the package, and systemd's at its units.
pub fn lint() -> anyhow::Result<()> {
    packages::install(&["lintian"])?;
    step("linting the agent's package", || {
        let mut command = Command::new("lintian");
        command.args(["--fail-on", "error,warning", "--allow-root"]).arg(path());
        run(command)?;
        UNITS.iter().try_for_each(|unit| judge(unit))
    })
}

fn judge(unit: &str) -> anyhow::Result<()> {
    let unit = cargo::root().join("operator/agent/debian").join(unit);
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", MOST_EXPOSED]).arg(&unit);
    let said = command.output().context("systemd-analyze does not start")?;
    let table = String::from_utf8_lossy(&said.stdout);
    ensure!(said.status.success(), "{} is exposed too much:\n{table}", unit.display());
    Ok(())
}

/// What Debian calls the machine that this is built for, and on.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn stage(root: &Path, binary: &Path, staging: &Path) -> anyhow::Result<()> {
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
        (UNITS[0], UNITS[0]),
        (UNITS[1], UNITS[1]),
        ("corosync-held.conf", "corosync.service.d/pvecm-agent.conf"),
    ] {
        put(&units.join(to), &fs::read(debian.join(from))?, 0o644)?;
    }
    let share = staging.join("usr/share");
    // The program is all that counts.
    let kibibytes = fs::metadata(&installed)?.len().div_ceil(1024);
    let changelog = filled(&debian.join("changelog"), kibibytes)?;
    put_packed(&share.join("doc/pvecm-agent/changelog"), changelog.as_bytes())?;
    for page in fs::read_dir(debian.join("man8"))? {
        let page = page?;
        put_packed(&share.join("man/man8").join(page.file_name()), &fs::read(page.path())?)?;
    }
    for (from, to) in [
        ("copyright", "doc/pvecm-agent/copyright"),
        ("lintian-overrides", "lintian/overrides/pvecm-agent"),
        ("completions/pvecm-agent.bash", "bash-completion/completions/pvecm-agent"),
        ("completions/_pvecm-agent", "zsh/vendor-completions/_pvecm-agent"),
        ("completions/pvecm-agent.fish", "fish/vendor_completions.d/pvecm-agent.fish"),
    ] {
        put(&share.join(to), &fs::read(debian.join(from))?, 0o644)?;
    }
    let control = filled(&debian.join("control"), kibibytes)?;
    put(&staging.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        put(&staging.join("DEBIAN").join(script), &fs::read(debian.join(script))?, 0o755)?;
    }
    Ok(())
}

/// A file of the package with what is only known now.
fn filled(path: &Path, kibibytes: u64) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)?.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let text = text.replace("@ARCHITECTURE@", architecture());
    Ok(text.replace("@KIBIBYTES@", &kibibytes.to_string()))
}

/// As Debian wants its documentation: the same bytes give the same file.
fn put_packed(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    put(path, bytes, 0o644)?;
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name", "--force"]).arg(path);
    run(gzip)
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
