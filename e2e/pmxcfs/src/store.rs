//! The database file: one tree on the host's disk.
//!
//! Owns the file, its lock and its format (postcard; not the `SQLite` of Proxmox). Never changes a tree.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::tree::{Op, Origin, Tree};

/// Tries to get the lock before giving up, one second apart, as pmxcfs does.
const LOCK_TRIES: u32 = 10;

/// The database of one running process; the lock is held until it is dropped.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    _lock: Flock<File>,
}

impl Store {
    /// Takes the lock beside `file`. Waits up to ten seconds for another process to end.
    pub fn lock(file: &Path) -> Result<Self> {
        let dir = file.parent().context("the database needs a directory")?;
        fs::create_dir_all(dir)?;
        let path = dir.join(".pmxcfs.lockfile");
        let mut lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        for _ in 0..LOCK_TRIES {
            match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(Self { file: file.to_owned(), _lock: held }),
                Err((free, _)) => lock = free,
            }
            tracing::warn!("[main] notice: unable to acquire pmxcfs lock - trying again");
            sleep(Duration::from_secs(1));
        }
        bail!("unable to acquire the lock {}", path.display());
    }

    /// The stored tree; `None` when there is no database yet.
    pub fn load(&self) -> Result<Option<Tree>> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(Some(
                postcard::from_bytes(&bytes)
                    .with_context(|| format!("reading {}", self.file.display()))?,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.file.display())),
        }
    }

    /// Replaces the stored tree, so that it survives the end of this process.
    pub fn save(&self, tree: &Tree) -> io::Result<()> {
        let bytes = postcard::to_stdvec(tree).map_err(io::Error::other)?;
        let temp = self.file.with_extension("db.tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
        file.write_all(&bytes)?;
        fs::rename(&temp, &self.file)
    }

    /// Waits until the stored tree is on the disk. Not part of `save`: pmxcfs does not wait for the disk on every change either.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.file)?.sync_all()
    }
}

/// The tree of a fresh database, with this host's corosync.conf when it has one.
///
/// Its version is 1 and its time 0 whatever is in it: a host that joins with a fresh database must never outrank the members.
#[must_use]
pub fn fresh(corosync_conf: Option<Vec<u8>>) -> Tree {
    let mut tree = Tree::default();
    if let Some(data) = corosync_conf.filter(|text| !text.is_empty()) {
        let path = String::from("corosync.conf");
        let origin = Origin { node: 0, time: 0 };
        let imported = tree
            .apply(&Op::Create { path: path.clone() }, origin)
            .and_then(|()| tree.apply(&Op::Write { path, offset: 0, data }, origin));
        if let Err(error) = imported {
            tracing::error!("[main] crit: corosync.conf was not imported: {error}");
        }
    }
    (tree.version, tree.mtime) = (1, 0);
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_tree_is_loaded_again_and_a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.db");
        let store = Store::lock(&file).unwrap();
        assert_eq!(store.load().unwrap(), None);
        let tree = fresh(Some(b"config_version: 1".to_vec()));
        store.save(&tree).unwrap();
        assert_eq!(store.load().unwrap(), Some(tree));
        let second = File::open(dir.path().join(".pmxcfs.lockfile")).unwrap();
        assert!(Flock::lock(second, FlockArg::LockExclusiveNonblock).is_err());
    }

    #[test]
    fn a_fresh_tree_outranks_nobody() {
        let tree = fresh(Some(b"config_version: 9".to_vec()));
        assert_eq!((tree.version, tree.mtime), (1, 0));
        assert_eq!(tree.file("corosync.conf"), Some(&b"config_version: 9"[..]));
        assert!(fresh(None).file("corosync.conf").is_none());
    }
}
