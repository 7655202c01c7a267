//! `pvecm-agent enrol FILE`: from what `kubectl pvecm host enrol` printed to an agent that works.
//!
//! The file is tried before it is installed. Where anything is wrong with it, whatever the agent goes by stays as it
//! was.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use pvecm_crds::bootstrap::{BOOTSTRAP_PATH, Bootstrap};

use crate::api::{self, Reached, Unreached};
use crate::host::{hostname, replace_file, run_within};

/// Far more than a bootstrap file has; what is piped in by mistake may have no end.
const LONGEST: u64 = 256 * 1024;
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
const STARTS_WITHIN: Duration = Duration::from_secs(60);
const UNIT: &str = "pvecm-agent.service";

/// What is given to the verb.
#[derive(Debug, clap::Args)]
pub struct Enrol {
    /// The file that `kubectl pvecm host enrol` printed; `-` is standard input.
    file: std::path::PathBuf,
    /// Take a file for a `PveHost` that has another name than this machine. A `PveCluster` then names it with `hostRef`.
    #[arg(long)]
    other_name: bool,
}

impl Enrol {
    /// Tries the file and installs it.
    pub async fn run(self) -> anyhow::Result<()> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "only root may read the token of this host: run it as root"
        );
        let bootstrap = read(&text(&self.file)?, &hostname(), self.other_name)?;
        let Reached { host: _, lacks } = reach(&bootstrap).await.map_err(unchanged)?;
        if !lacks.is_empty() {
            bail!(unchanged(format!(
                "the host's account may not {}: type `kubectl pvecm host enrol {}` again, which makes its Role anew",
                lacks.join(", "),
                bootstrap.host
            )));
        }
        install(Path::new(BOOTSTRAP_PATH), &bootstrap)?;
        let Bootstrap { namespace, host, server, .. } = &bootstrap;
        println!("{BOOTSTRAP_PATH} makes this machine PveHost {namespace}/{host} at {server}");
        start()
    }
}

/// An API server needs a moment until it knows of an account that was just made, and of its rights.
async fn reach(bootstrap: &Bootstrap) -> Result<Reached, Unreached> {
    let end = Instant::now() + KNOWN_WITHIN;
    loop {
        let reached = api::reach(bootstrap).await;
        let may_come = match &reached {
            Ok(reached) => !reached.lacks.is_empty(),
            Err(Unreached::Token { end, .. }) => end.is_none(),
            Err(unreached) => matches!(unreached, Unreached::Forbidden { .. }),
        };
        if !may_come || Instant::now() >= end {
            return reached;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn unchanged(why: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{why}. Nothing was changed on this host")
}

fn text(file: &Path) -> anyhow::Result<String> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "standard input".into() } else { file.display().to_string() };
    let read = |from: &mut dyn std::io::Read| {
        let mut text = String::new();
        from.take(LONGEST).read_to_string(&mut text).map(|_| text)
    };
    let text = if is_stdin {
        read(&mut std::io::stdin().lock())
    } else {
        fs::File::open(file).and_then(|mut file| read(&mut file))
    };
    text.with_context(|| format!("cannot read the bootstrap file from {name}"))
}

/// A file for another machine would make this one speak in its name.
fn read(text: &str, hostname: &str, other_name: bool) -> anyhow::Result<Bootstrap> {
    let understood = serde_yaml::from_str::<Bootstrap>(text);
    let bootstrap = understood.map_err(|why| {
        unchanged(format!(
            "this is not what `kubectl pvecm host enrol` printed, or only a part of it ({why})"
        ))
    })?;
    let (own, named) = (hostname.to_lowercase(), bootstrap.host.as_str());
    if own != named && !other_name {
        bail!(unchanged(format!(
            "this file is for {named}, and this machine is {own}: it would speak in the name of another; if the PveHost \
             of this machine is really called {named}, say `--other-name`"
        )));
    }
    Ok(bootstrap)
}

/// Puts the file where the agent looks for it, for root alone.
fn install(path: &Path, bootstrap: &Bootstrap) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let text = pvecm_crds::yaml::write(bootstrap)?;
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o700)))
        .and_then(|()| replace_file(path, text.as_bytes(), 0o600));
    written.map_err(|why| unchanged(format!("cannot write {}: {why}", path.display())))
}

/// Has systemd start the agent with it. The unit says that it is up once the agent works.
fn start() -> anyhow::Result<()> {
    if !Path::new("/run/systemd/system").is_dir() {
        println!("systemd does not run here: start `pvecm-agent run` yourself");
        return Ok(());
    }
    let mut restart = Command::new("systemctl");
    restart.args(["--quiet", "--no-ask-password", "restart", UNIT]);
    run_within(restart, STARTS_WITHIN).map_err(|why| {
        anyhow::anyhow!(
            "the file is installed, and {UNIT} does not start with it: {why}; `journalctl -u {UNIT}` tells more"
        )
    })?;
    println!("{UNIT} runs with it; `pvecm-agent doctor` tells what else this host needs");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "server: https://192.0.2.1:6443\ncertificateAuthority: ''\nnamespace: pve\n\
        host: n1\ntoken: t\nheartbeatSeconds: 30\nexpirationSeconds: 600\n";

    fn refused(text: &str, hostname: &str) -> String {
        format!("{:#}", read(text, hostname, false).unwrap_err())
    }

    #[test]
    fn a_file_for_another_machine_is_refused_unless_that_is_meant() {
        read(FILE, "N1", false).unwrap();
        let said = refused(FILE, "n2");
        assert!(said.contains("this file is for n1, and this machine is n2"), "{said}");
        assert!(said.ends_with("Nothing was changed on this host"), "{said}");
        read(FILE, "n2", true).unwrap();
    }

    #[test]
    fn half_a_file_is_told_from_one_for_another_machine() {
        let said = refused(&FILE[..FILE.len() - 60], "n1");
        assert!(said.starts_with("this is not what `kubectl pvecm host enrol` printed"), "{said}");
    }

    #[test]
    fn the_file_is_installed_for_its_owner_alone_over_one_that_anybody_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/bootstrap.yaml");
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(&path, "old").unwrap();
        let bootstrap = read(FILE, "n1", false).unwrap();
        install(&path, &bootstrap).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(api::read_bootstrap(&path).unwrap(), bootstrap);
        let said = install(Path::new("/proc/no/bootstrap.yaml"), &bootstrap).unwrap_err();
        assert!(format!("{said:#}").contains("cannot write /proc/no/bootstrap.yaml"), "{said:#}");
    }
}
