//! The files and directories of /etc/pve as a value, and the operations that change it.
//!
//! Owns the rules: limits, errors, modes, versions, lock expiry. Never does I/O and reads no clock: the time and the node of an
//! operation come with it, so that every member of a cluster computes the same result.

use std::collections::BTreeMap;
use std::ops::Bound;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Largest file, bytes.
pub const FILE_LIMIT: u64 = 1024 * 1024;
/// A lock directory may be taken away this long after it was last refreshed, seconds.
pub const LOCK_SECONDS: u64 = 120;

/// One file (`data`) or directory (no `data`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub version: u64,
    /// Unix seconds.
    pub mtime: u64,
    /// Node id of the last writer; 0 in local mode.
    pub writer: u32,
    #[serde(with = "serde_bytes")]
    pub data: Option<Vec<u8>>,
}

/// A change, with paths relative to the mount (no leading slash; the root is the empty string).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Mkdir {
        path: String,
    },
    Create {
        path: String,
    },
    Write {
        path: String,
        offset: u64,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    Truncate {
        path: String,
        size: u64,
    },
    Remove {
        path: String,
        dir: bool,
    },
    Rename {
        from: String,
        to: String,
    },
    Touch {
        path: String,
        mtime: u64,
    },
    /// `utime(0, 0)` on a lock: take it away when it has expired.
    Unlock {
        path: String,
    },
}

impl Op {
    /// The paths that it changes; the same one twice for everything but a rename.
    #[must_use]
    pub fn paths(&self) -> [&str; 2] {
        match self {
            Self::Rename { from, to } => [from, to],
            Self::Mkdir { path }
            | Self::Create { path }
            | Self::Write { path, .. }
            | Self::Truncate { path, .. }
            | Self::Remove { path, .. }
            | Self::Touch { path, .. }
            | Self::Unlock { path } => [path, path],
        }
    }
}

/// Who made an operation, and when (Unix seconds by the maker's clock).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub node: u32,
    pub time: u64,
}

/// The whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Counts every change; the highest one leads after a merge.
    pub version: u64,
    /// Unix seconds of the last change; breaks ties of `version`.
    pub mtime: u64,
    nodes: BTreeMap<String, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { version: 0, mtime: 0, writer: 0, data: None };
        Self { version: 0, mtime: 0, nodes: BTreeMap::from([(String::new(), root)]) }
    }
}

/// The directory part of a path; the root's parent is the root.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Whether a path is a lock directory (`priv/lock/NAME`).
#[must_use]
pub fn is_lock(path: &str) -> bool {
    parent(path) == "priv/lock"
}

/// Whether a path lies in a part that only root may read.
#[must_use]
pub fn is_private(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("priv") => true,
        Some("nodes") => parts.nth(1) == Some("priv"),
        _ => false,
    }
}

/// The permission bits that are shown: read-only everywhere without quorum, nothing for others in the private parts.
#[must_use]
pub fn mode(path: &str, dir: bool, writable: bool) -> u16 {
    let base = match (dir, writable) {
        (true, true) => 0o777,
        (true, false) => 0o555,
        (false, true) => 0o666,
        (false, false) => 0o444,
    };
    let mask = match (is_private(path), dir) {
        (true, _) => 0o700,
        (false, true) => 0o755,
        (false, false) => 0o750,
    };
    base & mask
}

/// The guest id of a path like `nodes/N/qemu-server/100.conf`.
#[must_use]
pub fn vmid(path: &str) -> Option<(u32, &str, &str)> {
    let parts: Vec<&str> = path.split('/').collect();
    let ["nodes", node, kind @ ("qemu-server" | "lxc" | "openvz"), file] = parts[..] else {
        return None;
    };
    let id = file.strip_suffix(".conf")?.parse().ok()?;
    (id >= 100).then_some((id, node, kind))
}

impl Tree {
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The content of a file; `None` for a directory or nothing.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.get(path)?.data.as_deref()
    }

    /// Every path with its node, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Names directly below a directory.
    #[must_use]
    pub fn children(&self, dir: &str) -> Vec<String> {
        let names = self.below(dir).filter(|path| parent(path) == dir);
        names.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect()
    }

    fn below<'a>(&'a self, dir: &str) -> impl Iterator<Item = &'a String> + use<'a> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let from = if dir.is_empty() {
            Bound::Excluded(prefix.clone())
        } else {
            Bound::Included(prefix.clone())
        };
        self.nodes
            .range((from, Bound::Unbounded))
            .map(|(path, _)| path)
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// Applies an operation; on an error the tree is as it was.
    pub fn apply(&mut self, op: &Op, origin: Origin) -> Result<(), Errno> {
        match op {
            Op::Mkdir { path } => self.insert(path, None, origin),
            Op::Create { path } => self.insert(path, Some(Vec::new()), origin),
            Op::Write { path, offset, data } => self.write(path, (*offset, data), origin),
            Op::Truncate { path, size } => self.truncate(path, *size, origin),
            Op::Remove { path, dir } => self.remove(path, *dir, origin),
            Op::Rename { from, to } => self.rename(from, to, origin),
            Op::Touch { path, mtime } => self.touch(path, *mtime, origin),
            Op::Unlock { path } => self.unlock(path, origin),
        }
    }

    /// Counts a change and gives the new version.
    fn bump(&mut self, origin: Origin) -> u64 {
        self.version += 1;
        self.mtime = origin.time;
        self.version
    }

    fn stamp(&mut self, path: &str, origin: Origin) {
        let version = self.bump(origin);
        if let Some(node) = self.nodes.get_mut(path) {
            (node.version, node.mtime, node.writer) = (version, origin.time, origin.node);
        }
    }

    fn directory(&self, path: &str) -> Result<(), Errno> {
        let node = self.get(path).ok_or(Errno::ENOENT)?;
        if node.data.is_some() { Err(Errno::ENOTDIR) } else { Ok(()) }
    }

    /// The same guest must not be configured twice, on whichever node.
    fn guest_is_free(&self, path: &str, moved: Option<&str>) -> Result<(), Errno> {
        let Some((id, ..)) = vmid(path) else { return Ok(()) };
        let taken = self.below("nodes").any(|other| {
            other != path
                && Some(other.as_str()) != moved
                && vmid(other).is_some_and(|(found, ..)| found == id)
        });
        if taken { Err(Errno::EEXIST) } else { Ok(()) }
    }

    fn insert(&mut self, path: &str, data: Option<Vec<u8>>, origin: Origin) -> Result<(), Errno> {
        self.directory(parent(path))?;
        if self.nodes.contains_key(path) {
            return Err(Errno::EEXIST);
        }
        if data.is_some() {
            self.guest_is_free(path, None)?;
        }
        let version = self.bump(origin);
        let node = Node { version, mtime: origin.time, writer: origin.node, data };
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn content(&mut self, path: &str) -> Result<&mut Vec<u8>, Errno> {
        let node = self.nodes.get_mut(path).ok_or(Errno::ENOENT)?;
        node.data.as_mut().ok_or(Errno::EISDIR)
    }

    fn write(&mut self, path: &str, piece: (u64, &[u8]), origin: Origin) -> Result<(), Errno> {
        let (offset, data) = piece;
        let end = offset.saturating_add(data.len() as u64);
        if end > FILE_LIMIT {
            return Err(Errno::EFBIG);
        }
        let (start, end) = (to_index(offset)?, to_index(end)?);
        let content = self.content(path)?;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(data);
        self.stamp(path, origin);
        Ok(())
    }

    fn truncate(&mut self, path: &str, size: u64, origin: Origin) -> Result<(), Errno> {
        if size > FILE_LIMIT {
            return Err(Errno::EFBIG);
        }
        let size = to_index(size)?;
        self.content(path)?.resize(size, 0);
        self.stamp(path, origin);
        Ok(())
    }

    fn remove(&mut self, path: &str, dir: bool, origin: Origin) -> Result<(), Errno> {
        let node = self.get(path).ok_or(Errno::ENOENT)?;
        match (dir, node.data.is_some()) {
            (true, true) => return Err(Errno::ENOTDIR),
            (false, false) => return Err(Errno::EISDIR),
            (true, false) if path.is_empty() => return Err(Errno::EBUSY),
            (true, false) if self.below(path).next().is_some() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.nodes.remove(path);
        self.bump(origin);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, origin: Origin) -> Result<(), Errno> {
        let source = self.get(from).ok_or(Errno::ENOENT)?;
        self.directory(parent(to))?;
        if from == to {
            return Ok(());
        }
        if source.data.is_none() && self.below(from).next().is_some() {
            return Err(Errno::ENOTEMPTY);
        }
        match (source.data.is_some(), self.get(to).map(|old| old.data.is_some())) {
            (true, Some(false)) => return Err(Errno::EISDIR),
            (false, Some(true)) => return Err(Errno::ENOTDIR),
            (false, Some(false)) if self.below(to).next().is_some() => {
                return Err(Errno::ENOTEMPTY);
            }
            _ => {}
        }
        self.guest_is_free(to, Some(from))?;
        if let Some(node) = self.nodes.remove(from) {
            self.nodes.insert(to.to_owned(), node);
        }
        self.stamp(to, origin);
        Ok(())
    }

    /// A lock is refreshed by the host that holds it and by nobody else.
    fn touch(&mut self, path: &str, mtime: u64, origin: Origin) -> Result<(), Errno> {
        let node = self.nodes.get_mut(path).ok_or(Errno::ENOENT)?;
        if is_lock(path) && node.writer != origin.node {
            return Err(Errno::EACCES);
        }
        node.mtime = mtime;
        let version = self.bump(origin);
        if let Some(node) = self.nodes.get_mut(path) {
            node.version = version;
        }
        Ok(())
    }

    /// Asking for a lock is always refused; asking for an expired one takes it away first, so that the next `mkdir` gets it.
    fn unlock(&mut self, path: &str, origin: Origin) -> Result<(), Errno> {
        let node = self.get(path).ok_or(Errno::ENOENT)?;
        if !is_lock(path) || origin.time.saturating_sub(node.mtime) < LOCK_SECONDS {
            return Err(Errno::EACCES);
        }
        self.remove(path, true, origin)
    }
}

fn to_index(number: u64) -> Result<usize, Errno> {
    usize::try_from(number).map_err(|_| Errno::EFBIG)
}

#[cfg(test)]
mod tests;
