//! The other nodes, asked over the trust that Proxmox VE's nodes have in each other (facts/pve.md 1.3): root's
//! key, and the host keys of /etc/pve/nodes. No key of our own, and nothing runs there but two tools.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::{Stream, StreamExt, stream};
use pvecm_core::gate::{Peer, Said, Weight};
use tokio::process::Command;

/// A cluster has up to 64 nodes, and a booting host has better things to do than 63 connections.
const AT_ONCE: usize = 16;
/// Three addresses of one node within the time that the gate has.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// The bit with which pmxcfs shows quorum (facts/pve.md 3.4), of the link itself, and the file.
pub const QUESTION: &str = "stat --format=%f /etc/pve/local && cat /etc/pve/corosync.conf";
const WRITABLE: u32 = 0o200;

/// Asks all of them, and gives the answers as they come.
pub fn ask(peers: Vec<Peer>) -> impl Stream<Item = Said> {
    stream::iter(peers).map(ask_one).buffer_unordered(AT_ONCE).filter_map(async |said| said)
}

async fn ask_one(peer: Peer) -> Option<Said> {
    let name = peer.name.as_str();
    for address in &peer.addresses {
        let answer = tokio::time::timeout(PER_ADDRESS, ask_at(name, address)).await;
        match answer.context("no answer in time").and_then(|answer| answer) {
            Ok(said) => return Some(said),
            Err(error) => tracing::info!(name, address, error = format!("{error:#}"), "no answer"),
        }
    }
    None
}

async fn ask_at(name: &str, address: &str) -> anyhow::Result<Said> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-n", "-T", "-e", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]);
    ssh.arg("-o").arg(format!("HostKeyAlias={name}"));
    // As Proxmox VE 8 and later do it; before that all keys are in the system's one file.
    let known = format!("/etc/pve/nodes/{name}/ssh_known_hosts");
    if Path::new(&known).exists() {
        ssh.arg("-o").arg(format!("UserKnownHostsFile={known}"));
        ssh.args(["-o", "GlobalKnownHostsFile=none"]);
    }
    ssh.arg(format!("root@{address}")).arg(QUESTION);
    ssh.stdin(Stdio::null()).kill_on_drop(true);
    let output = ssh.output().await.context("cannot run ssh")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, words.trim());
    answer(name, &output.stdout).context("the answer is not understood")
}

fn answer(name: &str, output: &[u8]) -> Option<Said> {
    let (mode, text) = std::str::from_utf8(output).ok()?.split_once('\n')?;
    let mode = u32::from_str_radix(mode.trim(), 16).ok()?;
    let weight = if mode & WRITABLE == 0 { Weight::Alone } else { Weight::Quorate };
    Some(Said { by: name.to_owned(), text: text.to_owned(), weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_the_link_says_whether_the_peer_is_quorate() {
        let weight = |output: &str| answer("n1", output.as_bytes()).map(|said| said.weight);
        assert_eq!(weight("a1ed\ntotem {\n}\n"), Some(Weight::Quorate));
        assert_eq!(weight("a16d\ntotem {\n}\n"), Some(Weight::Alone));
        assert_eq!(weight("welcome to n1\na1ed\ntotem {\n}\n"), None);
        assert_eq!(weight(""), None);
        assert_eq!(answer("n1", b"a1ed\ntotem {\n}\n").unwrap().text, "totem {\n}\n");
    }
}
