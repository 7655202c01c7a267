//! Root's trust in the other nodes, as Proxmox VE's tools build it (facts/pve.md 1.3, 1.7): root's key among those
//! that every node takes, and the host's own key where the others look for it. Migrations, replication and
//! the gate go by it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::disk::read_optional;
use super::naming::asks_only;
use super::pmxcfs::RealPmxcfs;
use super::services::{run, run_within};
use crate::ports::{Arrival, Trust};

/// The tool gives up after 80 s by itself (facts/pve.md 1.10).
const UPDATE: Duration = Duration::from_secs(90);

/// The keys of root and of the machine, and those of the cluster.
#[derive(Debug, Clone)]
pub struct NodeTrust {
    cluster: RealPmxcfs,
    ssh: PathBuf,
    machine_key: PathBuf,
    tool: PathBuf,
}

impl NodeTrust {
    /// Those of this machine.
    #[must_use]
    pub fn new(cluster: RealPmxcfs) -> Self {
        Self {
            cluster,
            ssh: "/root/.ssh".into(),
            machine_key: "/etc/ssh/ssh_host_rsa_key.pub".into(),
            tool: "/usr/bin/pvecm".into(),
        }
    }

    fn taken(&self) -> PathBuf {
        self.cluster.root().join("priv/authorized_keys")
    }

    fn own(&self) -> PathBuf {
        self.ssh.join("authorized_keys")
    }

    fn known(&self) -> PathBuf {
        self.cluster.root().join("nodes").join(self.cluster.hostname()).join("ssh_known_hosts")
    }

    /// The line by which the others know this machine.
    fn introduction(&self) -> Result<String> {
        let key = read(&self.machine_key)?;
        let mut words = key.split_whitespace();
        let (kind, body) = words.next().zip(words.next()).context("the host key is no key")?;
        Ok(format!("{} {kind} {body}\n", self.cluster.hostname()))
    }

    fn check(&self) -> Result<bool> {
        let root = read(&self.ssh.join("id_rsa.pub"))?;
        let taken = text(read_optional(&self.taken())?)?;
        let known = text(read_optional(&self.known())?)?;
        let linked = fs::read_link(self.own()).is_ok_and(|target| target == self.taken());
        let is_taken = merged(&taken, &root) == taken && without_asking(&taken, &root) == taken;
        Ok(linked && is_taken && known == self.introduction()?)
    }

    /// A machine that was taken for dead has a key that may only ask. Proxmox VE's tool knows a key by its body,
    /// and would leave it at that.
    fn asks_no_more(&self) -> Result<()> {
        let taken = text(read_optional(&self.taken())?)?;
        let root = text(read_optional(&self.ssh.join("id_rsa.pub"))?)?;
        put_in(&self.cluster, &self.taken(), &without_asking(&taken, &root))
    }

    /// What the tool would do about keys, where there is none. Certificates are for programs that are not there
    /// either, then.
    fn by_hand(&self) -> Result<()> {
        let key = self.ssh.join("id_rsa");
        let public = self.ssh.join("id_rsa.pub");
        fs::create_dir_all(&self.ssh)?;
        if !public.exists() {
            let mut keygen = Command::new("ssh-keygen");
            let comment = format!("root@{}", self.cluster.hostname());
            keygen.args(["-q", "-t", "rsa", "-b", "4096", "-N", "", "-C", &comment, "-f"]);
            keygen.arg(key);
            run(keygen).map_err(|why| anyhow::anyhow!("ssh-keygen: {why}"))?;
        }
        let mut keys = text(read_optional(&self.taken())?)?;
        let linked = fs::read_link(self.own()).is_ok_and(|target| target == self.taken());
        if !linked {
            keys = merged(&keys, &text(read_optional(&self.own())?)?);
        }
        let keys = merged(&keys, &read(&public)?);
        put_in(&self.cluster, &self.taken(), &keys)?;
        put_in(&self.cluster, &self.known(), &self.introduction()?)?;
        if !linked {
            self.link()?;
        }
        Ok(())
    }

    /// Root's keys are the cluster's from now on; the file that was there is kept beside it.
    fn link(&self) -> io::Result<()> {
        let kept = self.ssh.join("authorized_keys.org");
        if fs::symlink_metadata(self.own()).is_ok() {
            fs::rename(self.own(), kept)?;
        }
        symlink(self.taken(), self.own())
    }

    /// A node that has joined has certificates of its old self; with `--force` it gets those of the cluster.
    fn by_tool(&self, arrival: Arrival) -> Result<()> {
        let mut update = Command::new(&self.tool);
        update.arg("updatecerts");
        if arrival == Arrival::Joined {
            update.arg("--force");
        }
        run_within(update, UPDATE).map_err(|why| anyhow::anyhow!("pvecm updatecerts: {why}"))?;
        let mut daemons = Command::new("systemctl");
        daemons.args(["--no-block", "reload-or-restart", "pvedaemon", "pveproxy"]);
        run(daemons).map_err(|why| anyhow::anyhow!("systemctl reload-or-restart: {why}"))
    }
}

impl Trust for NodeTrust {
    fn is_shared(&self) -> bool {
        self.check().unwrap_or(false)
    }

    fn share(&self, arrival: Arrival) -> BoxFuture<'_, Result<(), String>> {
        let done = move || {
            self.asks_no_more()?;
            if self.tool.exists() { self.by_tool(arrival) } else { self.by_hand() }?;
            ensure!(self.check()?, "the keys are not among the cluster's afterwards");
            Ok(())
        };
        async move { done().map_err(|error: anyhow::Error| format!("{error:#}")) }.boxed()
    }
}

/// The body of a key, which tells which one it is.
fn body(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("AAAA"))
}

/// Keys without the lines by which this one may only ask.
fn without_asking(keys: &str, key: &str) -> String {
    let asks = asks_only();
    let is_it = |line: &&str| line.starts_with(&asks) && body(line) == body(key);
    keys.split_inclusive('\n').filter(|line| !is_it(line)).collect()
}

/// Keys with those of `more` that are not among them.
fn merged(keys: &str, more: &str) -> String {
    let mut all = keys.to_owned();
    for line in more.lines().filter(|line| !line.trim().is_empty()) {
        let is_there = all.lines().any(|known| match body(line) {
            Some(key) => body(known) == Some(key),
            None => known == line,
        });
        if !is_there {
            if !all.is_empty() && !all.ends_with('\n') {
                all.push('\n');
            }
            all.push_str(line);
            all.push('\n');
        }
    }
    all
}

/// A file that is as it should be is not written: each write goes to every node.
fn put_in(cluster: &RealPmxcfs, path: &Path, wanted: &str) -> Result<()> {
    if text(read_optional(path)?)? == wanted {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    cluster.put(path, wanted.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn text(bytes: Option<Vec<u8>>) -> Result<String> {
    String::from_utf8(bytes.unwrap_or_default()).context("a file of keys is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine in a folder, with root's key and one of the machine.
    fn machine(root: &Path) -> NodeTrust {
        let trust = NodeTrust {
            cluster: RealPmxcfs::new(root.join("pve"), "n2".to_owned()),
            ssh: root.join("ssh"),
            machine_key: root.join("host.pub"),
            tool: root.join("pvecm"),
        };
        fs::create_dir_all(root.join("pve/priv")).unwrap();
        fs::create_dir_all(root.join("ssh")).unwrap();
        fs::write(root.join("ssh/id_rsa.pub"), "ssh-rsa AAAAn2 root@n2\n").unwrap();
        fs::write(root.join("host.pub"), "ssh-rsa AAAAhost root@build\n").unwrap();
        trust
    }

    fn share(trust: &NodeTrust, arrival: Arrival) -> Result<(), String> {
        futures::executor::block_on(trust.share(arrival))
    }

    #[test]
    fn keys_are_added_once_and_none_that_root_took_before_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let trust = machine(root.path());
        let at = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        fs::write(root.path().join("pve/priv/authorized_keys"), "ssh-rsa AAAAn1 root@n1").unwrap();
        fs::write(root.path().join("ssh/authorized_keys"), "# mine\nssh-ed25519 AAAAme me\n")
            .unwrap();
        assert!(!trust.is_shared());
        share(&trust, Arrival::Joined).unwrap();
        let keys =
            "ssh-rsa AAAAn1 root@n1\n# mine\nssh-ed25519 AAAAme me\nssh-rsa AAAAn2 root@n2\n";
        assert_eq!(at("pve/priv/authorized_keys"), keys);
        assert_eq!(at("pve/nodes/n2/ssh_known_hosts"), "n2 ssh-rsa AAAAhost\n");
        assert_eq!(at("ssh/authorized_keys"), keys, "root takes what the cluster takes");
        assert_eq!(at("ssh/authorized_keys.org"), "# mine\nssh-ed25519 AAAAme me\n");
        assert!(trust.is_shared());
        share(&trust, Arrival::Joined).unwrap();
        assert_eq!(at("pve/priv/authorized_keys"), keys);
    }

    #[test]
    fn what_is_missing_of_the_trust_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let trust = machine(root.path());
        share(&trust, Arrival::Formed).unwrap();
        for (path, other) in [
            ("pve/priv/authorized_keys", "ssh-rsa AAAAn1 root@n1\n"),
            ("pve/nodes/n2/ssh_known_hosts", "n2 ssh-rsa AAAAold\n"),
        ] {
            let before = fs::read_to_string(root.path().join(path)).unwrap();
            fs::write(root.path().join(path), other).unwrap();
            assert!(!trust.is_shared(), "{path}");
            fs::write(root.path().join(path), before).unwrap();
            assert!(trust.is_shared(), "{path}");
        }
        fs::remove_file(root.path().join("ssh/authorized_keys")).unwrap();
        assert!(!trust.is_shared(), "root takes nobody's key");
    }

    #[test]
    fn one_that_was_taken_for_dead_gets_its_whole_key_back() {
        let root = tempfile::tempdir().unwrap();
        let trust = machine(root.path());
        share(&trust, Arrival::Joined).unwrap();
        let path = root.path().join("pve/priv/authorized_keys");
        let asks = asks_only();
        let other = format!("{asks} ssh-rsa AAAAn3 root@n3\n");
        fs::write(&path, format!("{other}{asks} ssh-rsa AAAAn2 root@n2\n")).unwrap();
        assert!(!trust.is_shared(), "the key may only ask");
        share(&trust, Arrival::Joined).unwrap();
        let keys = fs::read_to_string(&path).unwrap();
        assert_eq!(keys, format!("{other}ssh-rsa AAAAn2 root@n2\n"));
        assert!(trust.is_shared());
    }

    #[test]
    fn proxmox_ves_own_tool_does_it_where_there_is_one_and_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let trust = machine(root.path());
        let said = root.path().join("said");
        let script = format!("#!/bin/sh\necho \"$@\" >>{}\nexit 3\n", said.display());
        fs::write(&trust.tool, script).unwrap();
        fs::set_permissions(&trust.tool, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = share(&trust, Arrival::Joined).unwrap_err();
        assert!(refused.starts_with("pvecm updatecerts: exit status: 3"), "{refused}");
        share(&trust, Arrival::Formed).unwrap_err();
        assert_eq!(fs::read_to_string(said).unwrap(), "updatecerts --force\nupdatecerts\n");
        assert!(!trust.is_shared());
    }
}
