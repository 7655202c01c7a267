//! /etc/pve as an agent sees it: the rename that blocks, and the locks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_agent::ports::{ClusterFiles, ConfLock};
use pvecm_core::change::Tombstone;
use pvecm_core::ids::NodeName;
use pvecm_core::references::ReferenceKind;

use super::{Port, wait_ms};
use crate::world::{Mode, Shared, Stranger, World, denied};

impl ClusterFiles for Port {
    fn mounted(&self) -> bool {
        self.look(|world| world.hosts[self.at].mode != Mode::Down)
    }
    fn writable(&self) -> bool {
        self.look(|world| world.hosts[self.at].writable())
    }
    fn read_conf(&self) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.hosts[self.at].db.conf.clone()))
    }
    fn replace_conf<'a>(&'a self, text: Option<&'a [u8]>) -> BoxFuture<'a, io::Result<()>> {
        let (shared, at, text) = (self.shared.clone(), self.at, text.map(<[u8]>::to_vec));
        self.outside(rename(shared, at, text, true))
    }
    fn stamp(&self) -> Option<String> {
        self.look(|world| {
            let host = &world.hosts[self.at];
            (host.mode != Mode::Down).then(|| host.db.version.to_string())
        })
    }
    fn lock(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        self.take_lock(at_most_ms).boxed()
    }
    fn node_addresses(&self) -> BTreeMap<String, IpAddr> {
        BTreeMap::new()
    }
    fn guests(&self) -> BTreeSet<u32> {
        self.look(|world| {
            let all = world.hosts[self.at].db.guests.iter();
            all.filter(|(_, at)| **at == self.at).map(|(id, _)| *id).collect()
        })
    }
    fn read_naming(&self, kind: ReferenceKind) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.storages().filter(|_| kind == ReferenceKind::Storage)))
    }
    fn replace_naming(&self, _: ReferenceKind, _: &[u8]) -> io::Result<()> {
        Err(denied())
    }
    fn lock_naming(
        &self,
        _: ReferenceKind,
        at_most_ms: u64,
    ) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        self.lock(at_most_ms)
    }
    fn read_datacenter(&self) -> io::Result<Vec<u8>> {
        self.look(|world| Ok(world.hosts[self.at].db.datacenter.clone()))
    }
    fn replace_datacenter(&self, bytes: &[u8]) -> io::Result<()> {
        self.effect(|world| world.land_datacenter(self.at, bytes))
    }
    fn lock_datacenter(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        self.lock(at_most_ms)
    }
    fn guests_left(&self, node: &NodeName) -> io::Result<BTreeSet<String>> {
        self.look(|world| {
            let all = world.hosts[self.at].db.guests.iter();
            let left = all.filter(|(_, at)| world.hosts[**at].name == node.as_str());
            Ok(left.map(|(id, _)| id.to_string()).collect())
        })
    }
    fn sweep(&self, gone: &Tombstone) -> io::Result<()> {
        let name = gone.name.to_string();
        let may = if gone.keeps_key.is_some() { Stranger::Asks } else { Stranger::Unknown };
        self.effect(|world| {
            let place = world.hosts.iter().position(|host| host.name == name);
            world.edit_db(self.at, |db| {
                db.strangers.insert(name.clone(), may);
                db.guests.retain(|_, at| Some(*at) != place || !gone.lives_alone);
            })
        })
    }
    fn put_others_away(&self, _: &BTreeSet<NodeName>) -> io::Result<()> {
        self.effect(|world| {
            world.watch_parting(self.at);
            world.edit_db(self.at, |db| db.guests.retain(|_, at| *at == self.at))
        })
    }
}

/// A rename in the kernel: it lands when the ring turns, and in cluster mode the reload is inside.
pub async fn rename(
    shared: Shared,
    at: usize,
    text: Option<Vec<u8>>,
    ours: bool,
) -> io::Result<()> {
    let (boot, wait) = shared.with(|world| {
        if let Some(bytes) = text.as_ref().filter(|_| ours) {
            world.check_disks(at, bytes);
        }
        let slow = world.hosts[at].slow;
        let wait = if slow { world.dice.below(25_000) } else { world.dice.between(1, 12) };
        (world.hosts[at].boot, wait)
    });
    wait_ms(wait).await;
    loop {
        let stuck = shared.with(|world| {
            let host = &world.hosts[at];
            (host.up && host.boot == boot).then(|| host.writable() && world.is_stuck(at))
        });
        match stuck {
            None => return std::future::pending().await,
            Some(true) => wait_ms(100).await,
            Some(false) => break,
        }
    }
    let reloads = shared.with(|world| {
        if !world.hosts[at].writable() {
            return Err(denied());
        }
        if let Some(bytes) = text.as_ref().filter(|_| ours) {
            if world.hosts[at].mode == Mode::Cluster {
                world.check_act(at, bytes);
            }
            world.we_write(at, bytes, "/etc/pve");
        }
        Ok(world.land(at, text.as_ref()))
    })?;
    if reloads {
        let pause = shared.with(|world| world.dice.between(1_000, 1_050));
        wait_ms(pause).await;
        // The writer's daemon may be gone or refuse: pmxcfs only logs that.
        let _ = shared.with(
            |world| {
                if world.hosts[at].boot == boot { world.reload(at) } else { Ok(()) }
            },
        );
        wait_ms(20).await;
    }
    Ok(())
}

struct HeldLock {
    port: Port,
    inode: u64,
}

impl ConfLock for HeldLock {
    fn is_own(&self) -> bool {
        self.port.shared.with(|world| world.renew_lock(self.port.at, self.inode))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let Port { shared, at, life } = &self.port;
        shared.with(|world| {
            // Nobody tidies up behind a process that was killed.
            if world.lives(*at, *life) {
                world.hosts[*at].local_lock = None;
                if world.renew_lock(*at, self.inode) {
                    world.drop_lock(*at);
                }
            }
        });
    }
}

impl Port {
    async fn take_lock(&self, at_most_ms: u64) -> io::Result<Box<dyn ConfLock>> {
        self.may_die();
        let (at, life) = (self.at, self.life);
        let end = self.look(World::now) + at_most_ms;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "another program holds the lock");
        loop {
            let taken = self.shared.with(|world| {
                if world.hosts[at].local_lock.is_some_and(|holder| holder != life) {
                    return Ok(None);
                }
                world.hosts[at].local_lock = Some(life);
                world.take_lock(at)
            });
            match taken {
                Ok(Some(inode)) => {
                    self.may_die();
                    return Ok(Box::new(HeldLock { port: self.clone(), inode }));
                }
                Ok(None) if self.look(World::now) < end => wait_ms(200).await,
                Ok(None) => {
                    self.release_local();
                    return Err(late());
                }
                Err(error) => {
                    self.release_local();
                    return Err(error);
                }
            }
        }
    }

    fn release_local(&self) {
        self.shared.with(|world| {
            if world.hosts[self.at].local_lock == Some(self.life) {
                world.hosts[self.at].local_lock = None;
            }
        });
    }
}
