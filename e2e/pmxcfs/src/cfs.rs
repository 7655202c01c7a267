//! What is mounted, as one shared value: the tree, its counters and how a change gets into it.
//!
//! Owns the lock around the tree and the path of an operation from its caller to the tree and the disk. Never talks to the
//! kernel; the rules are in `tree`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cluster::Link;
use crate::status::{self, Counters};
use crate::store::Store;
use crate::tree::{self, Op, Origin, Tree};

/// Where a process keeps its things.
#[derive(Debug)]
pub struct Setup {
    /// This host's node name.
    pub host: String,
    /// The host's own corosync.conf.
    pub corosync_conf: PathBuf,
    pub store: Store,
}

/// The mounted file system.
#[derive(Debug)]
pub struct Cfs {
    pub(crate) setup: Setup,
    state: Mutex<State>,
    /// Something in the state changed that somebody may wait for.
    pub(crate) changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    pub(crate) counters: Counters,
    /// `None` in local mode.
    pub(crate) link: Option<Link>,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    Link,
}

/// The attributes of a path.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Unix seconds.
    pub mtime: u64,
    /// Permission bits.
    pub mode: u16,
}

/// Unix seconds by this host's clock.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The target of one of the four links in the root directory.
#[must_use]
pub fn link(host: &str, path: &str) -> Option<String> {
    match path {
        "local" => Some(format!("nodes/{host}")),
        "qemu-server" | "lxc" | "openvz" => Some(format!("nodes/{host}/{path}")),
        _ => None,
    }
}

const LINKS: [&str; 4] = ["local", "qemu-server", "lxc", "openvz"];

impl Cfs {
    /// A file system over a loaded tree; `clustered` when changes go through the process group.
    #[must_use]
    pub fn new(setup: Setup, tree: Tree, clustered: bool) -> Self {
        let link = clustered.then(Link::default);
        let state = State { tree, counters: Counters::new(now()), link };
        Self { setup, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The directories that every host has; what is there already stays.
    pub fn lay_out(&self) -> Result<(), Errno> {
        for path in layout(&self.setup.host) {
            if self.state().tree.get(&path).is_some() {
                continue;
            }
            match self.submit(&Op::Mkdir { path }) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Carries a change out; when this returns it is in the tree and in the database.
    pub fn submit(&self, op: &Op) -> Result<(), Errno> {
        if reserved(op.paths()) {
            return Err(Errno::EACCES);
        }
        let mut state = self.state();
        if state.link.is_some() {
            drop(state);
            return self.submit_to_group(op);
        }
        let origin = Origin { node: 0, time: now() };
        self.apply(&mut state, op, origin)
    }

    /// Applies an operation to the tree and stores the result.
    pub(crate) fn apply(&self, state: &mut State, op: &Op, origin: Origin) -> Result<(), Errno> {
        state.tree.apply(op, origin)?;
        state.counters.note(op);
        self.save(&state.tree)
    }

    /// Stores a tree.
    pub(crate) fn save(&self, tree: &Tree) -> Result<(), Errno> {
        self.setup.store.save(tree).map_err(|error| {
            tracing::error!("[database] crit: writing the database failed: {error}");
            Errno::EIO
        })
    }

    /// Waits until every change made so far is on this host's disk.
    pub fn sync(&self) -> Result<(), Errno> {
        self.setup.store.sync().map_err(|_| Errno::EIO)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Attributes of a path.
    pub fn look(&self, path: &str) -> Result<Look, Errno> {
        let state = self.state();
        let writable = state.writable();
        if let Some(target) = link(&self.setup.host, path) {
            let mode = tree::mode(path, true, writable);
            return Ok(Look { kind: Kind::Link, size: target.len() as u64, mtime: 0, mode });
        }
        if status::NAMES.contains(&path) {
            let size = self.made_up(&state, path).len() as u64;
            let mode = if path == ".debug" { 0o640 } else { 0o440 };
            return Ok(Look { kind: Kind::File, size, mtime: state.tree.mtime, mode });
        }
        let node = state.tree.get(path).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &node.data {
            Some(data) => (Kind::File, data.len() as u64),
            None => (Kind::Dir, 0),
        };
        let mode = tree::mode(path, kind == Kind::Dir, writable);
        Ok(Look { kind, size, mtime: node.mtime, mode })
    }

    /// The content of a file from `offset`, at most `size` bytes.
    pub fn read(&self, path: &str, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let state = self.state();
        let text;
        let content = if status::NAMES.contains(&path) {
            text = self.made_up(&state, path);
            text.as_bytes()
        } else {
            let node = state.tree.get(path).ok_or(Errno::ENOENT)?;
            node.data.as_deref().ok_or(Errno::EISDIR)?
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(size as usize).min(content.len());
        Ok(content[start..end].to_vec())
    }

    /// Names in a directory.
    pub fn list(&self, dir: &str) -> Result<Vec<(String, Kind)>, Errno> {
        let state = self.state();
        let node = state.tree.get(dir).ok_or(Errno::ENOENT)?;
        if node.data.is_some() {
            return Err(Errno::ENOTDIR);
        }
        let kind = |name: &str| {
            let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            if state.tree.file(&path).is_some() { Kind::File } else { Kind::Dir }
        };
        let mut names: Vec<(String, Kind)> =
            state.tree.children(dir).into_iter().map(|name| (name.clone(), kind(&name))).collect();
        if dir.is_empty() {
            names.extend(LINKS.map(|name| (name.to_owned(), Kind::Link)));
            names.extend(status::NAMES.map(|name| (name.to_owned(), Kind::File)));
        }
        Ok(names)
    }

    /// The target of a link.
    pub fn target(&self, path: &str) -> Result<String, Errno> {
        link(&self.setup.host, path).ok_or(Errno::EINVAL)
    }

    fn made_up(&self, state: &State, name: &str) -> String {
        match name {
            ".members" => {
                let cluster = state.link.as_ref().and_then(Link::cluster);
                state.counters.members(&self.setup.host, cluster.as_ref())
            }
            ".version" => {
                let members = state.link.as_ref().map_or_else(Vec::new, Link::names);
                state.counters.version(&members)
            }
            ".vmlist" => state.counters.vmlist(&state.tree),
            ".clusterlog" => String::from("{\"data\": []}\n"),
            ".debug" => String::from("0\n"),
            _ => String::new(),
        }
    }
}

impl State {
    /// Whether changes are allowed: always in local mode, with quorum in a cluster.
    pub(crate) fn writable(&self) -> bool {
        self.link.as_ref().is_none_or(Link::quorate)
    }
}

/// The directories that every host has, parents first.
pub(crate) fn layout(host: &str) -> Vec<String> {
    let own =
        ["", "/qemu-server", "/lxc", "/openvz", "/priv"].map(|dir| format!("nodes/{host}{dir}"));
    ["priv", "priv/lock", "nodes"].map(String::from).into_iter().chain(own).collect()
}

/// Whether one of the paths is a link or a made-up file, which nobody changes.
fn reserved(paths: [&str; 2]) -> bool {
    paths.iter().any(|path| LINKS.contains(path) || status::NAMES.contains(path))
}
