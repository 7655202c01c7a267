//! A person at the keyboard: edits by Proxmox VE's own manners or without them, and repairs.

use std::time::Duration;

use pvecm_agent::ports::DiskFile;

use crate::ports::rename;
use crate::world::{Mode, Shared, World};

/// One edit somewhere.
pub async fn edit(shared: Shared) {
    let (at, kind) = shared.with(|world| {
        let at = world.dice.index(world.hosts.len());
        (at, world.dice.below(5))
    });
    match kind {
        0..3 => under_lock(shared, at).await,
        3 => shared.with(|world| disk_edit(world, at, false)),
        _torn => shared.with(|world| disk_edit(world, at, true)),
    }
}

/// As `pvecm` does it: under the lock, over what is in force, with the next number.
async fn under_lock(shared: Shared, at: usize) {
    let inode = shared.with(|world| {
        let cluster = world.hosts[at].mode == Mode::Cluster && world.hosts[at].local_lock.is_none();
        if cluster { world.take_lock(at).ok().flatten() } else { None }
    });
    let Some(inode) = inode else { return };
    let Some((text, mark)) = shared.with(|world| next_text(world, at)) else { return };
    // A person looks at it once more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let still = shared.with(|world| {
        world.outside("a person writes", at);
        world.renew_lock(at, inode)
    });
    if still && rename(shared.clone(), at, Some(text.clone()), false).await.is_ok() {
        shared.with(|world| {
            if world.hosts[at].db.conf.as_ref() == Some(&text) {
                world.marks.push(mark);
            }
        });
    }
    shared.with(|world| {
        if world.renew_lock(at, inode) {
            world.drop_lock(at);
        }
    });
}

fn next_text(world: &mut World, at: usize) -> Option<(Vec<u8>, String)> {
    let text = String::from_utf8(world.hosts[at].db.conf.clone()?).ok()?;
    let version = world.parse(text.as_bytes()).version;
    let mark = format!("# by hand {}", world.next_number());
    let old = format!("config_version: {version}");
    let new = format!("config_version: {}", version + 1);
    Some((format!("{}{mark}\n", text.replace(&old, &new)).into_bytes(), mark))
}

/// Past pmxcfs, on one host's disk: read by whoever reloads next, or torn.
fn disk_edit(world: &mut World, at: usize, torn: bool) {
    // Nobody writes to what is off, and another file lifts the hold of the gate.
    if !world.hosts[at].up || world.hosts[at].is_held() {
        return;
    }
    let Some(mut bytes) = world.hosts[at].disk.get(&DiskFile::Conf).cloned() else { return };
    world.outside("a person edits the disk", at);
    if torn {
        bytes.truncate(bytes.len() / 2);
    } else {
        bytes.extend(b"# on this disk only\n");
    }
    world.hosts[at].disk.insert(DiskFile::Conf, bytes);
    world.hosts[at].edited = true;
}

impl World {
    /// A person puts right what only a person may, with the file of the quorate part, or the newest where
    /// there is none: a disk that differs, a corosync that ended (nothing else starts it again,
    /// facts/corosync.md 9.2).
    pub fn repair(&mut self) {
        let members = self.hosts.iter().filter(|host| host.mode == Mode::Cluster);
        let newest = members.max_by_key(|host| (host.writable(), host.db.version));
        let Some(conf) = newest.and_then(|host| host.db.conf.clone()) else { return };
        let parsed = self.parse(&conf);
        let Some(config) = parsed.config() else { return };
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            let listed = config.nodes.iter().any(|node| node.name.as_str() == host.name);
            // A host without a file has never been a member: a join is not a person's repair.
            if host.edited && host.up && !listed {
                // It has left, and can say so only with a file that is understood.
                if let Some(own) = host.db.conf.clone() {
                    self.hosts[at].disk.insert(DiskFile::Conf, own);
                }
                self.hosts[at].edited = false;
                continue;
            }
            let is_up = host.up && host.gate.is_none();
            let Some(disk) = host.disk.get(&DiskFile::Conf).filter(|_| listed && is_up) else {
                continue;
            };
            let (differs, stopped) = (disk != &conf, host.daemon.is_none());
            if (differs && host.edited) || stopped {
                self.hosts[at].edited = false;
                self.outside("a person repairs", at);
                self.hosts[at].disk.insert(DiskFile::Conf, conf.clone());
                let _refused = if stopped { self.start_corosync(at) } else { self.reload(at) };
                // One that stopped to leave, and that the list still has.
                if self.hosts[at].mode == Mode::Down {
                    self.start_pmxcfs(at);
                }
            }
        }
    }
}
