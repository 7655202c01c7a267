//! pmxcfs: one database per host, level among the members of a ring, and its way to the disks
//! (facts/pmxcfs.md 2 to 4).

use std::collections::BTreeMap;

use pvecm_agent::ports::DiskFile;

use super::World;
use super::host::Mode;

/// What is in /etc/pve, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub struct Db {
    /// corosync.conf.
    pub conf: Option<Vec<u8>>,
    /// datacenter.cfg.
    pub datacenter: Vec<u8>,
    /// Counts the writes.
    pub version: u64,
    /// priv/lock/file-corosync_conf.
    pub lock: Option<Lock>,
    /// Nodes that have left and whose keys were put away.
    pub strangers: BTreeMap<String, Stranger>,
    /// Guests, and the place of the machine in whose folder each is configured.
    pub guests: BTreeMap<u32, usize>,
}

/// What a node that has left may still do with its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Ask the gate's question.
    Asks,
    /// Nobody lets it in.
    Unknown,
}

impl Db {
    /// Whether the gate of a node is answered here.
    #[must_use]
    pub fn answers(&self, node: &str) -> bool {
        self.strangers.get(node) != Some(&Stranger::Unknown)
    }
}

/// Proxmox VE's lock on corosync.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Whose.
    pub holder: usize,
    /// Which one: a lock that was taken away and made anew is another.
    pub inode: u64,
    /// When it was renewed last.
    pub renewed: u64,
}

/// A lock so old is dropped when somebody asks (facts/pmxcfs.md 3).
const LOCK_ENDS_MS: u64 = 120_000;

impl World {
    /// Starts pmxcfs: in cluster mode where its database has a corosync.conf. A new database takes
    /// the one on the disk.
    pub fn start_pmxcfs(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        if !host.up || host.mode != Mode::Down {
            return;
        }
        if host.db.version == 0 {
            host.db.conf = host.disk.get(&DiskFile::Conf).cloned();
        }
        host.mode = if host.db.conf.is_some() { Mode::Cluster } else { Mode::Local };
        host.synchronised = 0;
        self.note("pmxcfs starts", at, String::new);
        let wait = self.dice.between(200, 600);
        self.later(wait, move |world| world.synchronise(at));
    }

    /// Ends pmxcfs.
    pub fn end_pmxcfs(&mut self, at: usize) {
        self.hosts[at].mode = Mode::Down;
        self.hosts[at].local_lock = None;
        self.note("pmxcfs ends", at, String::new);
    }

    /// The members of this host's ring whose pmxcfs takes part.
    fn level(&self, at: usize) -> Vec<usize> {
        let Some(daemon) = &self.hosts[at].daemon else { return Vec::new() };
        let here = |other: &usize| {
            let host = &self.hosts[*other];
            host.mode == Mode::Cluster
                && host.daemon.as_ref().is_some_and(|other| other.ring == daemon.ring)
        };
        daemon.members.iter().copied().filter(here).collect()
    }

    /// Brings one host to what the most recent database of its ring holds. Nobody reloads: a daemon
    /// that missed a write goes on with the old text (facts/pmxcfs.md 2).
    pub fn synchronise(&mut self, at: usize) {
        if self.hosts[at].mode != Mode::Cluster || self.hosts[at].daemon.is_none() {
            return;
        }
        let level = self.level(at);
        let newest = level
            .iter()
            .copied()
            .max_by_key(|other| (self.hosts[*other].db.version, std::cmp::Reverse(*other)));
        let Some(newest) = newest else { return };
        let db = self.hosts[newest].db.clone();
        let ring = self.hosts[at].daemon.as_ref().map_or(0, |daemon| daemon.ring);
        let host = &mut self.hosts[at];
        let moved = host.db.version != db.version;
        host.synchronised = ring;
        host.db = db;
        if moved {
            self.note("synchronised", at, String::new);
        }
        self.copy_to_disk(at);
        self.tell(at);
    }

    /// The database's file goes to the disk, unless the disk's is newer or has no number.
    fn copy_to_disk(&mut self, at: usize) {
        let Some(conf) = self.hosts[at].db.conf.clone() else { return };
        let disk = self.hosts[at].disk.get(&DiskFile::Conf).cloned();
        if disk.as_ref() == Some(&conf) {
            return;
        }
        let number = |world: &mut Self, bytes: &[u8]| world.parse(bytes).pmxcfs_version;
        let Some(new) = number(self, &conf) else { return };
        let old = disk.and_then(|bytes| number(self, &bytes)).unwrap_or(0);
        if new >= old {
            self.hosts[at].disk.insert(DiskFile::Conf, conf);
            self.note("disk follows", at, || new.to_string());
        }
    }

    /// A rename arrives in every database of the ring, and on the disks in cluster mode. Returns
    /// whether a reload follows.
    pub fn land(&mut self, at: usize, conf: Option<&Vec<u8>>) -> bool {
        let everywhere = self.hosts[at].mode == Mode::Cluster;
        let reached = if everywhere { self.level(at) } else { vec![at] };
        let version = self.hosts[at].db.version + 1;
        for other in reached {
            if everywhere && other != at && self.hosts[other].lags {
                self.arrive_late(other, (version, conf.cloned()));
            } else {
                self.arrive(other, (version, conf.cloned()));
            }
        }
        everywhere && conf.is_some()
    }

    /// The same of datacenter.cfg, which goes to no disk and is followed by no reload.
    pub fn land_datacenter(&mut self, at: usize, bytes: &[u8]) -> std::io::Result<()> {
        let reached = if self.hosts[at].mode == Mode::Cluster { self.level(at) } else { vec![at] };
        let behind = reached.iter().any(|other| self.hosts[*other].behind > 0);
        if !self.hosts[at].writable() || self.is_stuck(at) || behind {
            return Err(denied());
        }
        let version = self.hosts[at].db.version + 1;
        for other in reached {
            let db = &mut self.hosts[other].db;
            (db.version, db.datacenter) = (version, bytes.to_vec());
        }
        self.note("datacenter.cfg", at, || version.to_string());
        Ok(())
    }

    fn arrive(&mut self, at: usize, (version, conf): (u64, Option<Vec<u8>>)) {
        let db = &mut self.hosts[at].db;
        if db.version < version {
            (db.version, db.conf) = (version, conf);
            if self.hosts[at].mode == Mode::Cluster {
                self.copy_to_disk(at);
            }
        }
    }

    /// pmxcfs did not run for a moment: its disk follows, and the reload is over by then (facts/pmxcfs.md 2).
    fn arrive_late(&mut self, at: usize, write: (u64, Option<Vec<u8>>)) {
        self.outside("a write arrives late", at);
        self.hosts[at].behind += 1;
        let wait = self.dice.between(300, 4_000);
        self.later(wait, move |world| {
            world.hosts[at].behind -= 1;
            if world.hosts[at].mode == Mode::Cluster {
                world.arrive(at, write);
                world.tell(at);
            }
        });
    }

    /// Makes the lock if nobody has it; an old one is dropped first.
    pub fn take_lock(&mut self, at: usize) -> Result<Option<u64>, std::io::Error> {
        if !self.hosts[at].writable() || self.is_stuck(at) {
            return Err(denied());
        }
        let now = self.now();
        if self.hosts[at].db.lock.is_some_and(|lock| now < lock.renewed + LOCK_ENDS_MS) {
            return Ok(None);
        }
        let inode = self.next_number();
        self.set_lock(at, Some(Lock { holder: at, inode, renewed: now }));
        Ok(Some(inode))
    }

    /// Whether a lock is still this one; asking renews it.
    pub fn renew_lock(&mut self, at: usize, inode: u64) -> bool {
        let now = self.now();
        let held = self.hosts[at].db.lock;
        let own = held.filter(|lock| lock.holder == at && lock.inode == inode);
        match own {
            Some(lock) if self.hosts[at].writable() && !self.is_stuck(at) => {
                self.set_lock(at, Some(Lock { renewed: now, ..lock }));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Removes the lock; any host may (facts/pmxcfs.md 3).
    pub fn drop_lock(&mut self, at: usize) {
        if self.hosts[at].writable() {
            self.set_lock(at, None);
        }
    }

    /// Changes something else than corosync.conf in the cluster's files.
    pub fn edit_db(&mut self, at: usize, edit: impl Fn(&mut Db)) -> Result<(), std::io::Error> {
        if !self.hosts[at].writable() {
            return Err(denied());
        }
        let reached = if self.hosts[at].mode == Mode::Cluster { self.level(at) } else { vec![at] };
        let version = self.hosts[at].db.version + 1;
        for other in reached {
            let db = &mut self.hosts[other].db;
            db.version = version;
            edit(db);
        }
        Ok(())
    }

    fn set_lock(&mut self, at: usize, lock: Option<Lock>) {
        let reached = if self.hosts[at].mode == Mode::Cluster { self.level(at) } else { vec![at] };
        for other in reached {
            self.hosts[other].db.lock = lock;
        }
    }

    /// In cluster mode nothing gets through while the ring does not turn, or pmxcfs does not run.
    #[must_use]
    pub fn is_stuck(&self, at: usize) -> bool {
        let host = &self.hosts[at];
        host.mode == Mode::Cluster && (host.behind > 0 || self.is_broken(at))
    }
}

/// What pmxcfs says without quorum.
#[must_use]
pub fn denied() -> std::io::Error {
    std::io::Error::from_raw_os_error(13)
}
