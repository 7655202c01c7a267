//! `QNetd` on this machine and its certificates, by the tool that comes with it.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::unistd::Group;
use pvecm_core::ids::ClusterName;
use x509_cert::Certificate;
use x509_cert::request::CertReq;

use super::nss::Folders;
use super::services::{run, run_within};
use crate::certificate::{answers, asks_for, to_der, to_pem};
use crate::ports::Issuer;

const FOLDER: &str = "/etc/corosync/qnetd/nssdb";
/// Where the daemon says which process it is.
const PID_FILE: &str = "/run/corosync-qnetd/corosync-qnetd.pid";
const DAEMON: &str = "corosync-qnetd";
const TOOL: &str = "corosync-qnetd-certutil";
/// The group that the daemon runs as.
const GROUP: &str = "coroqnetd";
/// The loop waits for it: far less than the watchdog does.
const SIGN_WITHIN: Duration = Duration::from_secs(10);

/// The witness.
#[derive(Debug, Default)]
pub struct Qnetd(Folders);

impl Issuer for Qnetd {
    fn authority(&self) -> Option<String> {
        self.0.look(Path::new(FOLDER))?.authority
    }

    fn serves(&self) -> bool {
        let pid = fs::read_to_string(PID_FILE).unwrap_or_default();
        // What was killed leaves its file.
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim()));
        name.is_ok_and(|name| name.trim() == DAEMON)
    }

    fn initialise(&self) -> BoxFuture<'_, Result<(), String>> {
        async { initialise() }.boxed()
    }

    fn sign(&self, cluster: &ClusterName, request: &str) -> Result<String, String> {
        asks_for(request, cluster)?;
        let authority = self.authority().ok_or("QNetd has no certificate of its own yet")?;
        let certificate = sign(cluster, request)?;
        // The tool writes to one file for each cluster, and a person may sign as well at this moment.
        answers(&certificate, request, &authority)?;
        Ok(certificate)
    }
}

fn sign(cluster: &ClusterName, request: &str) -> Result<String, String> {
    let words = |error: std::io::Error| format!("cannot hand a request to {TOOL}: {error}");
    let file = tempfile::NamedTempFile::new().map_err(words)?;
    fs::write(file.path(), to_der::<CertReq>(request)?).map_err(words)?;
    let mut command = Command::new(TOOL);
    command.arg("-s").arg("-c").arg(file.path()).args(["-n", cluster.as_str()]);
    run_within(command, SIGN_WITHIN).map_err(|why| format!("{TOOL} -s: {why}"))?;
    let signed = fs::read(format!("{FOLDER}/cluster-{cluster}.crt")).map_err(words)?;
    to_pem::<Certificate>(&signed)
}

/// The tool gives everything to root, and the daemon is not root: what Debian's package does after it.
fn initialise() -> Result<(), String> {
    let mut command = Command::new(TOOL);
    command.args(["-i", "-G"]);
    run(command).map_err(|why| format!("{TOOL} -i: {why}"))?;
    let group = Group::from_name(GROUP).map_err(|error| error.to_string())?;
    let group = group.ok_or_else(|| format!("there is no group {GROUP}"))?;
    for name in ["", "/cert9.db", "/key4.db"] {
        let path = format!("{FOLDER}{name}");
        chown(&path, None, Some(group.gid.as_raw())).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}
