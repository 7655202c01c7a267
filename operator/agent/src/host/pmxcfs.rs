//! /etc/pve through its files, with the manners that pmxcfs asks for (facts/pmxcfs.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use pvecm_core::change::Tombstone;
use pvecm_core::ids::NodeName;
use pvecm_core::references::ReferenceKind;
use serde_json::Value;

use super::disk::read_optional;
use super::naming;
use crate::STATE_FOLDER;
use crate::ports::{ClusterFiles, ConfLock};

const DATACENTER: &str = "datacenter.cfg";
/// The lock under which Proxmox VE writes it (facts/pve.md 6.1).
const DATACENTER_LOCK: &str = "file-datacenter_cfg";
const LOCAL_LOCK: &str = "/var/lock/pvecm.lock";
/// The time of the cluster's lock as this host set it last, or sets it just now; there while the lock is not
/// given back.
const LOCK_NOTE: &str = "conf-lock";

/// pmxcfs at its mount point.
#[derive(Debug, Clone)]
pub struct RealPmxcfs {
    root: PathBuf,
    hostname: String,
    note: PathBuf,
}

impl RealPmxcfs {
    /// At a mount point, on the host of this name.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, hostname: String) -> Self {
        Self { root: root.into(), hostname, note: Path::new(STATE_FOLDER).join(LOCK_NOTE) }
    }

    fn conf(&self) -> PathBuf {
        self.root.join("corosync.conf")
    }

    /// What pmxcfs makes up when such a file is read.
    fn told(&self, name: &str) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.root.join(name)).ok()?).ok()
    }

    fn replace(&self, text: Option<&[u8]>) -> io::Result<()> {
        match text {
            Some(text) => self.put(&self.conf(), text),
            None => fs::remove_file(self.conf()),
        }
    }

    /// Replaces a file. Two hosts that share a temporary name rename each other's content (facts/pmxcfs.md 2).
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".pvecm-{}", self.hostname));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        let renamed = fs::rename(&temporary, path);
        if renamed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        renamed
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    fn take_lock(&self, at_most_ms: u64) -> io::Result<Box<dyn ConfLock>> {
        let end = Instant::now() + Duration::from_millis(at_most_ms);
        let local = local_lock(end)?;
        let folder = self.root.join("priv/lock");
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
        }
        let path = folder.join("file-corosync_conf");
        loop {
            match fs::create_dir(&path) {
                Ok(()) => {
                    let _ = fs::remove_file(&self.note);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if was_left_behind(&path, &self.note) {
                        break;
                    }
                    ask_for(&path);
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= end {
                let held = "another program holds Proxmox VE's lock on corosync.conf";
                return Err(io::Error::new(io::ErrorKind::TimedOut, held));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let lock = HeldLock { path, note: self.note.clone(), _local: local };
        if lock.is_own() { Ok(Box::new(lock)) } else { Err(io::Error::other("the lock is gone")) }
    }
}

impl ClusterFiles for RealPmxcfs {
    fn mounted(&self) -> bool {
        // A mount point lies on another device than its parent. A dead FUSE daemon answers ENOTCONN.
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
        let parent = self.root.parent().unwrap_or(Path::new("/"));
        matches!((device(&self.root), device(parent)), (Ok(own), Ok(above)) if own != above)
    }

    fn writable(&self) -> bool {
        // The test that Proxmox VE itself uses everywhere: without quorum the bit is gone.
        let link = fs::symlink_metadata(self.root.join("local"));
        self.mounted() && link.is_ok_and(|meta| meta.permissions().mode() & 0o200 != 0)
    }

    fn read_conf(&self) -> io::Result<Option<Vec<u8>>> {
        read_optional(&self.conf())
    }

    fn replace_conf<'a>(&'a self, text: Option<&'a [u8]>) -> BoxFuture<'a, io::Result<()>> {
        async move { self.replace(text) }.boxed()
    }

    fn stamp(&self) -> Option<String> {
        let all = self.told(".version")?;
        // The other counters (tasks, statistics) move all the time and mean nothing here.
        let wanted = ["starttime", "clinfo", "vmlist", "corosync.conf", DATACENTER];
        let naming = ReferenceKind::ALL.map(ReferenceKind::file);
        let counters = wanted.into_iter().chain(naming).map(|key| all[key].to_string());
        Some(counters.collect::<Vec<_>>().join(" "))
    }

    fn lock(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        async move { self.take_lock(at_most_ms) }.boxed()
    }

    fn guests(&self) -> BTreeSet<u32> {
        let list = self.told(".vmlist");
        let ids = list.as_ref().and_then(|list| list["ids"].as_object());
        let own = |guest: &Value| guest["node"] == self.hostname.as_str();
        ids.into_iter()
            .flatten()
            .filter(|(_, guest)| own(guest))
            .filter_map(|(id, _)| id.parse().ok())
            .collect()
    }

    fn node_addresses(&self) -> BTreeMap<String, IpAddr> {
        let list = self.told(".members");
        let nodes = list.as_ref().and_then(|list| list["nodelist"].as_object());
        let address = |(name, node): (&String, &Value)| {
            Some((name.clone(), node["ip"].as_str()?.parse::<IpAddr>().ok()?))
        };
        nodes.into_iter().flatten().filter_map(address).collect()
    }

    fn read_naming(&self, kind: ReferenceKind) -> io::Result<Option<Vec<u8>>> {
        read_optional(&self.root.join(kind.file()))
    }

    fn replace_naming(&self, kind: ReferenceKind, bytes: &[u8]) -> io::Result<()> {
        self.put(&self.root.join(kind.file()), bytes)
    }

    fn lock_naming(
        &self,
        kind: ReferenceKind,
        at_most_ms: u64,
    ) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        async move { naming::lock(&self.root, kind, at_most_ms) }.boxed()
    }

    fn read_datacenter(&self) -> io::Result<Vec<u8>> {
        Ok(read_optional(&self.root.join(DATACENTER))?.unwrap_or_default())
    }

    fn replace_datacenter(&self, bytes: &[u8]) -> io::Result<()> {
        self.put(&self.root.join(DATACENTER), bytes)
    }

    fn lock_datacenter(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        async move { naming::take(&self.root, DATACENTER_LOCK, at_most_ms) }.boxed()
    }

    fn guests_left(&self, node: &NodeName) -> io::Result<BTreeSet<String>> {
        naming::guests_left(&self.root, node)
    }

    fn sweep(&self, gone: &Tombstone) -> io::Result<()> {
        naming::sweep(self, gone)
    }

    fn put_others_away(&self, peers: &BTreeSet<NodeName>) -> io::Result<()> {
        naming::put_others_away(self, peers)
    }
}

const NO_FLAGS: UtimensatFlags = UtimensatFlags::FollowSymlink;

/// Asking with utime(0, 0) makes pmxcfs look whether a lock is too old; its answer is always an error.
pub(super) fn ask_for(lock: &Path) {
    let zero = TimeSpec::new(0, 0);
    let _ = utimensat(nix::fcntl::AT_FDCWD, lock, &zero, &zero, NO_FLAGS);
}

/// Sets the time of a lock to now, which pmxcfs refuses for one that is gone or that another host holds.
pub(super) fn keep(lock: &Path, now: i64) -> bool {
    let time = TimeSpec::new(now, 0);
    utimensat(nix::fcntl::AT_FDCWD, lock, &time, &time, NO_FLAGS).is_ok()
}

/// Seconds since 1970.
pub(super) fn unix_time() -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(now.as_secs()).ok()
}

/// The lock that `pvecm` takes on its own host.
fn local_lock(end: Instant) -> io::Result<Flock<File>> {
    let mut file = File::options().create(true).append(true).open(LOCAL_LOCK)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::Error::EWOULDBLOCK)) if Instant::now() < end => file = back,
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the lock is one that this agent took and could not give back: quorum was lost meanwhile, or
/// the agent was killed. Nobody else would get it for two minutes (facts/pmxcfs.md 3), and the text that
/// undoes a stage has to be written long before. A lock of another program on this host has a time of
/// its own.
fn was_left_behind(path: &Path, note: &Path) -> bool {
    let text = fs::read_to_string(note).unwrap_or_default();
    let mut noted = text.split_whitespace().filter_map(|time| time.parse::<i64>().ok());
    time_of(path).is_some_and(|time| noted.any(|noted| noted == time))
}

fn time_of(lock: &Path) -> Option<i64> {
    Some(fs::metadata(lock).ok()?.mtime())
}

/// Gives the lock another time. Before that both are noted: whoever is killed in between finds it with the
/// one or with the other.
fn renew(path: &Path, note: &Path, time: i64, set: impl FnOnce(&Path) -> bool) -> bool {
    let Some(before) = time_of(path) else { return false };
    let next = note.with_extension("new");
    let noted =
        |text: String| fs::write(&next, text).and_then(|()| fs::rename(&next, note)).is_ok();
    if !noted(format!("{before} {time}")) {
        return false;
    }
    let renewed = set(path);
    noted(if renewed { time } else { before }.to_string()) && renewed
}

struct HeldLock {
    path: PathBuf,
    note: PathBuf,
    _local: Flock<File>,
}

impl ConfLock for HeldLock {
    fn is_own(&self) -> bool {
        // Renewing asks pmxcfs itself, which refuses it for a lock that is gone or that another host
        // holds. Looking alone is not enough: the kernel shows what it saw up to a second ago.
        if self.note.exists() && !was_left_behind(&self.path, &self.note) {
            return false;
        }
        let Some(now) = unix_time() else { return false };
        renew(&self.path, &self.note, now, |path| keep(path, now))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if self.is_own() && fs::remove_dir(&self.path).is_ok() {
            let _ = fs::remove_file(&self.note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_told_no_address_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let real = RealPmxcfs::new(folder.path(), "n1".to_owned());
        assert_eq!(real.node_addresses(), BTreeMap::new());
        let told = r#"{"nodename": "n1", "version": 5, "nodelist": {
            "n1": {"id": 1, "online": 1, "ip": "10.0.0.1"}, "n2": {"id": 2, "online": 0},
            "n3": {"id": 3, "online": 1, "ip": "fd00::3"}}}"#;
        fs::write(folder.path().join(".members"), told).unwrap();
        let nodes = [("n1", "10.0.0.1"), ("n3", "fd00::3")];
        let nodes = nodes.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        assert_eq!(real.node_addresses(), nodes.into());
    }

    #[test]
    fn a_lock_of_an_agent_that_was_killed_is_known_again_also_when_it_was_just_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, note) = (folder.path().join("lock"), folder.path().join("note"));
        fs::create_dir(&path).unwrap();
        assert!(!was_left_behind(&path, &note), "nothing is noted");
        assert!(renew(&path, &note, 50, |path| keep(path, 50)));
        assert!(was_left_behind(&path, &note));
        let renewed = renew(&path, &note, 51, |path| {
            assert!(was_left_behind(path, &note), "killed before");
            keep(path, 51) && was_left_behind(path, &note)
        });
        assert!(renewed);
        assert!(!renew(&path, &note, 52, |_refused| false));
        keep(&path, 52);
        assert!(!was_left_behind(&path, &note), "somebody else has taken it since");
        fs::remove_dir(&path).unwrap();
        assert!(!renew(&path, &note, 53, |_| true));
    }
}
