//! `QNetd` on this machine and its certificates, by the tool that comes with it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
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
use crate::ports::{Issuer, Voters};

const FOLDER: &str = "/etc/corosync/qnetd/nssdb";
/// Where the daemon says which process it is.
const PID_FILE: &str = "/run/corosync-qnetd/corosync-qnetd.pid";
const DAEMON: &str = "corosync-qnetd";
const TOOL: &str = "corosync-qnetd-certutil";
/// The group that the daemon runs as.
const GROUP: &str = "coroqnetd";
/// The loop waits for it: far less than the watchdog does.
const SIGN_WITHIN: Duration = Duration::from_secs(10);
/// Where the daemon answers its tool.
const SOCKET: &str = "/run/corosync-qnetd/corosync-qnetd.sock";
/// It answers from memory.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A thousand nodes need no more.
const LONGEST: u64 = 1 << 20;

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

    fn voters(&self) -> Option<Voters> {
        let said = ask(b"list \n").ok()?;
        Some(listed(said.strip_prefix("OK\n")?))
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
    let words = |error: io::Error| format!("cannot hand a request to {TOOL}: {error}");
    let file = tempfile::NamedTempFile::new().map_err(words)?;
    fs::write(file.path(), to_der::<CertReq>(request)?).map_err(words)?;
    let mut command = Command::new(TOOL);
    command.arg("-s").arg("-c").arg(file.path()).args(["-n", cluster.as_str()]);
    run_within(command, SIGN_WITHIN).map_err(|why| format!("{TOOL} -s: {why}"))?;
    let signed = fs::read(format!("{FOLDER}/cluster-{cluster}.crt")).map_err(words)?;
    to_pem::<Certificate>(&signed)
}

/// What corosync-qnetd-tool asks, without that process: somebody asks every few seconds.
fn ask(command: &[u8]) -> io::Result<String> {
    let mut socket = UnixStream::connect(SOCKET)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    socket.set_write_timeout(Some(ANSWERS_WITHIN))?;
    socket.write_all(command)?;
    let mut said = String::new();
    socket.take(LONGEST).read_to_string(&mut said)?;
    Ok(said)
}

/// Who is connected, of a list of clusters with their nodes.
fn listed(said: &str) -> Voters {
    let mut voters = Voters::new();
    let mut cluster = None;
    for line in said.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Cluster \"").and_then(|l| l.strip_suffix("\":")) {
            cluster = Some(name.to_owned());
        }
        let from = line.strip_prefix("Client address:").and_then(|from| from.rsplit_once(':'));
        let address = from.and_then(|(address, _port)| {
            address.trim().trim_matches(['[', ']']).parse::<IpAddr>().ok()
        });
        if let (Some(cluster), Some(address)) = (&cluster, address) {
            voters.entry(cluster.clone()).or_default().insert(address.to_canonical());
        }
    }
    voters
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As corosync-qnetd 3.0.3 says it.
    const SAID: &str = "\
Cluster \"lab\":
    Algorithm:\t\tFifty-Fifty split (KAP Tie-breaker)
    Tie-breaker:\tNode with lowest node ID
    Node ID 1:
        Client address:\t\t::ffff:10.50.0.1:40240
        Configuration version:\t2
        Configured node list:\t1, 2
        Vote:\t\t\tNo change (ACK)
    Node ID 2:
        Client address:\t\t::ffff:10.50.0.2:40242
Cluster \"six\":
    Node ID 1:
        Client address:\t\tfd00::9:40244
";

    #[test]
    fn who_is_connected_is_told_by_cluster_and_address() {
        let voters = listed(SAID);
        let of = |name: &str| voters[name].iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(of("lab"), ["10.50.0.1", "10.50.0.2"]);
        assert_eq!(of("six"), ["fd00::9"]);
        assert!(listed("").is_empty() && voters.len() == 2);
    }
}
