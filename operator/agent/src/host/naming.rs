//! The files of /etc/pve that name nodes, and what it keeps of one that has left.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pvecm_core::change::Tombstone;
use pvecm_core::ids::NodeName;
use pvecm_core::references::ReferenceKind;

use super::disk::read_optional;
use super::pmxcfs::{RealPmxcfs, ask_for, keep, unix_time};
use crate::gate::QUESTION;
use crate::ports::ConfLock;

/// Where what is kept of nodes that have left is put: below `priv` root alone may read, and among it are keys.
/// Proxmox VE looks at names that it knows there.
const ARCHIVE: &str = "priv/pvecm-removed";
/// What holds the configuration of guests in a node's folder.
const GUESTS: [&str; 3] = ["qemu-server", "lxc", "openvz"];

/// The lock under which Proxmox VE writes such a file. High availability has one for all of its files.
const fn lock_name(kind: ReferenceKind) -> &'static str {
    match kind {
        ReferenceKind::ReplicationJob => "file-replication_cfg",
        ReferenceKind::HaRule | ReferenceKind::HaGroup | ReferenceKind::HaResource => "domain-ha",
        ReferenceKind::Storage => "file-storage_cfg",
        ReferenceKind::BackupJob => "file-jobs_cfg",
    }
}

/// Takes it.
pub(super) fn lock(
    root: &Path,
    kind: ReferenceKind,
    at_most_ms: u64,
) -> io::Result<Box<dyn ConfLock>> {
    take(root, lock_name(kind), at_most_ms)
}

/// Takes a lock of this name. One that a killed agent left is given free by pmxcfs after two minutes.
pub(super) fn take(root: &Path, name: &str, at_most_ms: u64) -> io::Result<Box<dyn ConfLock>> {
    let end = Instant::now() + Duration::from_millis(at_most_ms);
    let folder = root.join("priv/lock");
    if !folder.exists() {
        fs::create_dir_all(&folder)?;
    }
    let path = folder.join(name);
    loop {
        match fs::create_dir(&path) {
            Ok(()) => return Ok(Box::new(FolderLock(path))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => ask_for(&path),
            Err(error) => return Err(error),
        }
        if Instant::now() >= end {
            let held = "another program holds Proxmox VE's lock";
            return Err(io::Error::new(io::ErrorKind::TimedOut, held));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

struct FolderLock(PathBuf);

impl ConfLock for FolderLock {
    fn is_own(&self) -> bool {
        unix_time().is_some_and(|now| keep(&self.0, now))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if self.is_own() {
            let _ = fs::remove_dir(&self.0);
        }
    }
}

/// The files of guests in a node's folder.
pub(super) fn guests_left(root: &Path, node: &NodeName) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in GUESTS {
        for entry in entries(&node_folder(root, node).join(folder))? {
            found.insert(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(found)
}

fn node_folder(root: &Path, node: &NodeName) -> PathBuf {
    root.join("nodes").join(node.as_str())
}

/// The keys go first and the folder last: as long as it is there, something may be left to do.
pub(super) fn sweep(files: &RealPmxcfs, gone: &Tombstone) -> io::Result<()> {
    let Tombstone { name, node_id, keeps_key, lives_alone, .. } = gone;
    let archive = files.root().join(ARCHIVE).join(format!("{name}-{node_id}"));
    let guests = if *lives_alone { Guests::Go } else { Guests::Stay };
    // It still has the cluster's files: switched on again, it must learn from somebody that it has left.
    let key = if keeps_key.is_some() { RootKey::Asks } else { RootKey::Goes };
    put_node_away(files, name, &archive, (guests, key))
}

/// What becomes of the guests in a folder that is put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guests {
    /// They are nobody else's: the folder stays, too.
    Stay,
    /// They live on elsewhere.
    Go,
}

/// What becomes of the key of root on a node that is put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RootKey {
    /// It opens nothing any more.
    Goes,
    /// It asks the gate's question, and opens nothing else.
    Asks,
}

/// How a line begins by which a key can do nothing but ask what the gate asks.
pub(super) fn asks_only() -> String {
    format!("restrict,command=\"{QUESTION}\"")
}

fn put_node_away(
    files: &RealPmxcfs,
    name: &NodeName,
    archive: &Path,
    (guests, key): (Guests, RootKey),
) -> io::Result<()> {
    let comment = format!("root@{name}");
    let asks = asks_only();
    let is_key = |line: &str| line.split_whitespace().next_back() == Some(comment.as_str());
    let becomes = |line: &str| match key {
        _ if !is_key(line) => Fate::Stays,
        RootKey::Asks if line.starts_with(&asks) => Fate::Stays,
        // Options that it has already go on to bind it.
        RootKey::Asks if line.starts_with("ssh-") => Fate::Becomes(format!("{asks} {line}")),
        RootKey::Asks => Fate::Becomes(format!("{asks},{line}")),
        RootKey::Goes => Fate::Goes,
    };
    let is_host = |line: &str| {
        let mut names = line.split_whitespace().next().unwrap_or_default().split(',');
        names.any(|named| named == name.as_str())
    };
    let is_known = |line: &str| if is_host(line) { Fate::Goes } else { Fate::Stays };
    take_lines(files, "authorized_keys", archive, becomes)?;
    take_lines(files, "known_hosts", archive, is_known)?;
    put_away(&node_folder(files.root(), name), &archive.join("node"), guests)
}

/// What high availability was to do for a cluster. A host that is alone would take itself for its master, the
/// other nodes for dead and their guests for its own to start (facts/pve.md 7).
const HA: [&str; 6] =
    ["resources.cfg", "rules.cfg", "groups.cfg", "manager_status", "crm_commands", "fence.cfg"];

/// On a host that goes on alone. Its own folder is never touched.
pub(super) fn put_others_away(files: &RealPmxcfs, peers: &BTreeSet<NodeName>) -> io::Result<()> {
    let archive = files.root().join(ARCHIVE);
    for name in HA {
        let path = files.root().join("ha").join(name);
        if path.exists() {
            fs::create_dir_all(archive.join("ha"))?;
            fs::rename(&path, free_name(&archive.join("ha").join(name)))?;
        }
    }
    let folders = entries(&files.root().join("nodes"))?.into_iter();
    let names = folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut all: BTreeSet<NodeName> = names.collect();
    all.extend(peers.iter().cloned());
    for name in all.iter().filter(|name| name.as_str() != files.hostname()) {
        put_node_away(files, name, &archive.join(name.as_str()), (Guests::Go, RootKey::Goes))?;
    }
    Ok(())
}

/// What becomes of a line of a file that is put away.
enum Fate {
    Stays,
    Goes,
    /// This stands in its place.
    Becomes(String),
}

/// Moves lines of a file below `priv` to the end of the file of that name in the archive.
fn take_lines(
    files: &RealPmxcfs,
    name: &str,
    archive: &Path,
    fate: impl Fn(&str) -> Fate,
) -> io::Result<()> {
    let path = files.root().join("priv").join(name);
    let Some(bytes) = read_optional(&path)? else { return Ok(()) };
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match fate(&String::from_utf8_lossy(line)) {
            Fate::Stays => kept.extend_from_slice(line),
            Fate::Goes => gone.extend_from_slice(line),
            Fate::Becomes(other) => {
                gone.extend_from_slice(line);
                kept.extend_from_slice(other.as_bytes());
            }
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(archive)?;
    let mut file = OpenOptions::new().create(true).append(true).open(archive.join(name))?;
    file.write_all(&gone)?;
    file.sync_all()?;
    drop(file);
    files.put(&path, &kept)
}

/// Moves the files of a folder one by one, since pmxcfs renames no folder that has something in it
/// (facts/pmxcfs.md 3). A folder of guests that stay is only removed, which fails where one is in it.
fn put_away(from: &Path, to: &Path, guests: Guests) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for entry in entries(from)? {
        let (path, name) = (entry.path(), entry.file_name());
        if !entry.file_type()?.is_dir() {
            fs::create_dir_all(to)?;
            fs::rename(&path, free_name(&to.join(&name)))?;
        } else if guests == Guests::Stay && GUESTS.iter().any(|folder| name == *folder) {
            fs::remove_dir(&path)?;
        } else {
            put_away(&path, &to.join(&name), guests)?;
        }
    }
    fs::remove_dir(from)
}

/// What an earlier sweep put there is not written over.
fn free_name(wanted: &Path) -> PathBuf {
    let numbered = |number: u32| wanted.with_added_extension(number.to_string());
    let names = std::iter::once(wanted.to_owned()).chain((1..).map(numbered));
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| wanted.to_owned())
}

/// What is in a folder, if there is one.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::ports::ClusterFiles;

    /// Files below a mount point, as they lie in a cluster from which n4 has gone.
    fn files(texts: &[(&str, &str)]) -> (TempDir, RealPmxcfs) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in texts {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = RealPmxcfs::new(folder.path(), "n1".to_owned());
        (folder, files)
    }

    /// Every file with its text, by its path.
    fn all(folder: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in entries(&next).unwrap() {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                    continue;
                }
                let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
                found.push((path, fs::read_to_string(entry.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    fn tombstone() -> Tombstone {
        let node_id = 4.try_into().unwrap();
        let (name, machine_id, keeps_key) = ("n4".parse().unwrap(), None, None);
        Tombstone { name, node_id, machine_id, keeps_key, lives_alone: false }
    }

    #[test]
    fn each_file_that_names_nodes_is_read_where_proxmox_ve_has_it() {
        let texts = [
            ("replication.cfg", "a"),
            ("ha/rules.cfg", "b"),
            ("ha/groups.cfg", "c"),
            ("storage.cfg", "d"),
            ("jobs.cfg", "e"),
            ("ha/resources.cfg", "f"),
        ];
        let (_folder, real) = files(&texts);
        for (kind, text) in ReferenceKind::ALL.into_iter().zip(["a", "b", "c", "d", "e", "f"]) {
            assert_eq!(real.read_naming(kind).unwrap().unwrap(), text.as_bytes(), "{kind:?}");
        }
        let (folder, real) = files(&[]);
        assert_eq!(real.read_naming(ReferenceKind::Storage).unwrap(), None);
        fs::create_dir(folder.path().join("storage.cfg")).unwrap();
        assert!(
            real.read_naming(ReferenceKind::Storage).is_err(),
            "what cannot be read is not missing"
        );
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_under_the_lock_of_proxmox_ve() {
        let (folder, real) = files(&[("storage.cfg", "old"), ("ha/rules.cfg", "rules")]);
        let path = folder.path().join("priv/lock/file-storage_cfg");
        let held = lock(folder.path(), ReferenceKind::Storage, 0).unwrap();
        assert!(path.is_dir() && held.is_own());
        let second = lock(folder.path(), ReferenceKind::Storage, 0).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::TimedOut);
        let other = lock(folder.path(), ReferenceKind::HaRule, 0).unwrap();
        assert!(lock(folder.path(), ReferenceKind::HaGroup, 0).is_err(), "one for all of them");
        real.replace_naming(ReferenceKind::Storage, b"new").unwrap();
        drop((held, other));
        let left = [("ha/rules.cfg", "rules"), ("storage.cfg", "new")];
        assert_eq!(all(folder.path()), left.map(|(path, text)| (path.into(), text.into())));
        assert_eq!(entries(&folder.path().join("priv/lock")).unwrap().len(), 0);
        let taken = lock(folder.path(), ReferenceKind::Storage, 0).unwrap();
        fs::remove_dir(&path).unwrap();
        assert!(!taken.is_own());
    }

    #[test]
    fn what_is_kept_of_a_node_is_moved_aside_and_the_others_keep_theirs() {
        let before = [
            ("nodes/n3/pve-ssl.pem", "three"),
            ("nodes/n4/lrm_status", "{}"),
            ("nodes/n4/priv/extra.key", "secret"),
            ("nodes/n4/pve-ssl.pem", "four"),
            ("nodes/n40/pve-ssl.pem", "forty"),
            (
                "priv/authorized_keys",
                "# n4\nssh-rsa AAA root@n1\nssh-rsa BBB root@n4\nssh-rsa CCC root@n40\nssh-rsa DDD n4\n",
            ),
            (
                "priv/known_hosts",
                "n1,10.0.0.1 ssh-rsa A\nn4 ssh-rsa B\n10.0.0.4,n4 ssh-rsa B\nn40 ssh-rsa n4\n",
            ),
        ];
        let (folder, real) = files(&before);
        fs::create_dir_all(folder.path().join("nodes/n4/qemu-server")).unwrap();
        real.sweep(&tombstone()).unwrap();
        let after = [
            ("nodes/n3/pve-ssl.pem", "three"),
            ("nodes/n40/pve-ssl.pem", "forty"),
            (
                "priv/authorized_keys",
                "# n4\nssh-rsa AAA root@n1\nssh-rsa CCC root@n40\nssh-rsa DDD n4\n",
            ),
            ("priv/known_hosts", "n1,10.0.0.1 ssh-rsa A\nn40 ssh-rsa n4\n"),
            ("priv/pvecm-removed/n4-4/authorized_keys", "ssh-rsa BBB root@n4\n"),
            ("priv/pvecm-removed/n4-4/known_hosts", "n4 ssh-rsa B\n10.0.0.4,n4 ssh-rsa B\n"),
            ("priv/pvecm-removed/n4-4/node/lrm_status", "{}"),
            ("priv/pvecm-removed/n4-4/node/priv/extra.key", "secret"),
            ("priv/pvecm-removed/n4-4/node/pve-ssl.pem", "four"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(all(folder.path()), after);
        assert!(!folder.path().join("nodes/n4").exists());
        real.sweep(&tombstone()).unwrap();
        assert_eq!(all(folder.path()), after, "a second time there is nothing to do");
    }

    /// Three of five that were removed as dead are a majority of their old list, and one of them asking is enough.
    #[test]
    fn the_key_of_one_that_still_has_the_clusters_files_asks_the_gates_question_and_nothing_else() {
        let keys =
            "ssh-rsa AAA root@n1\nssh-rsa BBB root@n4\nfrom=\"10.0.0.4\" ssh-rsa CCC root@n4\n";
        let (folder, real) = files(&[("priv/authorized_keys", keys)]);
        let dead = Tombstone { keeps_key: Some(0), ..tombstone() };
        real.sweep(&dead).unwrap();
        let asks =
            "restrict,command=\"stat --format=%f /etc/pve/local && cat /etc/pve/corosync.conf\"";
        let left = format!(
            "ssh-rsa AAA root@n1\n{asks} ssh-rsa BBB root@n4\n{asks},from=\"10.0.0.4\" ssh-rsa CCC root@n4\n"
        );
        let moved = "ssh-rsa BBB root@n4\nfrom=\"10.0.0.4\" ssh-rsa CCC root@n4\n";
        let path = "priv/pvecm-removed/n4-4/authorized_keys";
        let after = [("priv/authorized_keys", left.as_str()), (path, moved)];
        let after = after.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(all(folder.path()), after);
        real.sweep(&dead).unwrap();
        assert_eq!(all(folder.path()), after, "a second time there is nothing to do");
        real.sweep(&tombstone()).unwrap();
        let kept = fs::read_to_string(folder.path().join("priv/authorized_keys")).unwrap();
        assert_eq!(
            kept, "ssh-rsa AAA root@n1\n",
            "who comes again under the name needs it no more"
        );
    }

    #[test]
    fn a_sweep_that_was_interrupted_goes_on_and_writes_over_nothing() {
        let moved = "priv/pvecm-removed/n4-4/node/pve-ssl.pem";
        let (folder, real) = files(&[(moved, "first"), ("nodes/n4/pve-ssl.pem", "second")]);
        real.sweep(&tombstone()).unwrap();
        let texts = [(moved, "first"), (&format!("{moved}.1"), "second")];
        assert_eq!(all(folder.path()), texts.map(|(path, text)| (path.into(), text.into())));
    }

    #[test]
    fn guests_are_told_of_and_never_moved() {
        let guests = [("nodes/n4/lxc/101.conf", "ct"), ("nodes/n4/qemu-server/100.conf", "vm")];
        let (folder, real) = files(&guests);
        let left = real.guests_left(&tombstone().name).unwrap();
        assert_eq!(left.into_iter().collect::<Vec<_>>(), ["lxc/101.conf", "qemu-server/100.conf"]);
        assert!(real.sweep(&tombstone()).is_err());
        assert_eq!(all(folder.path()), guests.map(|(path, text)| (path.into(), text.into())));
        assert_eq!(real.guests_left(&"n5".parse().unwrap()).unwrap(), BTreeSet::new());
    }

    /// They went along with their host: left here they would keep their ids from everybody.
    #[test]
    fn the_guests_of_one_that_lives_on_alone_are_put_away_with_its_folder() {
        let (folder, real) = files(&[("nodes/n4/qemu-server/100.conf", "vm")]);
        real.sweep(&Tombstone { lives_alone: true, ..tombstone() }).unwrap();
        let moved = [("priv/pvecm-removed/n4-4/node/qemu-server/100.conf", "vm")];
        assert_eq!(all(folder.path()), moved.map(|(path, text)| (path.into(), text.into())));
        assert!(!folder.path().join("nodes/n4").exists());
    }

    #[test]
    fn a_host_that_goes_on_alone_keeps_what_is_its_own_and_nothing_of_the_others() {
        let (folder, real) = files(&[
            ("ha/manager_status", "{}"),
            ("ha/resources.cfg", "vm: 200"),
            ("nodes/n1/qemu-server/100.conf", "own"),
            ("nodes/n2/qemu-server/200.conf", "theirs"),
            ("nodes/old/host.fw", "stale"),
            ("priv/authorized_keys", "A root@n1\nB root@n2\nC root@n3\nD root@old\nE me\n"),
            ("priv/known_hosts", "n1 A\nn2,10.0.0.2 B\n"),
            ("storage.cfg", "dir: local"),
        ]);
        let peers = ["n1", "n2", "n3"].map(|name| name.parse().unwrap()).into();
        real.put_others_away(&peers).unwrap();
        let after = [
            ("nodes/n1/qemu-server/100.conf", "own"),
            ("priv/authorized_keys", "A root@n1\nE me\n"),
            ("priv/known_hosts", "n1 A\n"),
            ("priv/pvecm-removed/ha/manager_status", "{}"),
            ("priv/pvecm-removed/ha/resources.cfg", "vm: 200"),
            ("priv/pvecm-removed/n2/authorized_keys", "B root@n2\n"),
            ("priv/pvecm-removed/n2/known_hosts", "n2,10.0.0.2 B\n"),
            ("priv/pvecm-removed/n2/node/qemu-server/200.conf", "theirs"),
            ("priv/pvecm-removed/n3/authorized_keys", "C root@n3\n"),
            ("priv/pvecm-removed/old/authorized_keys", "D root@old\n"),
            ("priv/pvecm-removed/old/node/host.fw", "stale"),
            ("storage.cfg", "dir: local"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(all(folder.path()), after);
        real.put_others_away(&peers).unwrap();
        assert_eq!(all(folder.path()), after, "a second time there is nothing to do");
    }
}
