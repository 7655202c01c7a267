//! The ports of one life of the agent on one simulated host. Before and after each effect the process
//! may be killed: the code then unwinds from here and nothing of it goes on, but what was handed to
//! the kernel or to systemd does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_agent::host_ports::Host;
use pvecm_agent::ports::{
    BootTime, CardAddress, Clock, ClusterFiles, ConfLock, Corosync, CorosyncError, CorosyncView,
    Disk, DiskFile, LedgerStore, Machine, Network, Services, Unit, Votes, Workers,
};
use pvecm_core::ids::{LinkNumber, NodeId};
use pvecm_core::protocol::Attempt;
use tokio::sync::oneshot;

use crate::world::{Crash, Mode, Shared, World, denied, effective};

/// One life of an agent.
#[derive(Debug, Clone)]
pub struct Port {
    shared: Shared,
    at: usize,
    life: u64,
}

impl Port {
    /// The ports of this life.
    #[must_use]
    pub const fn new(shared: Shared, at: usize, life: u64) -> Self {
        Self { shared, at, life }
    }

    /// All of them, as the agent takes them.
    #[must_use]
    pub fn host(&self) -> Host {
        let own = Arc::new(self.clone());
        Host {
            corosync: own.clone(),
            cluster_files: own.clone(),
            disk: own.clone(),
            services: own.clone(),
            machine: own.clone(),
            network: own.clone(),
            clock: own.clone(),
            workers: own,
        }
    }

    fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.with(|world| look(world))
    }

    /// Here the process may be killed.
    fn may_die(&self) {
        let (at, life) = (self.at, self.life);
        let dead = self.shared.with(|world| {
            let chance = world.rates.agent_crash;
            if world.lives(at, life) && chance > 0 && world.dice.chance(chance) {
                world.outside("agent killed inside an effect", at);
                world.kill_agent(at);
            }
            !world.lives(at, life)
        });
        if dead {
            std::panic::resume_unwind(Box::new(Crash));
        }
    }

    fn effect<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.may_die();
        let done = self.shared.with(act);
        self.may_die();
        done
    }

    /// Something that goes on when the process dies, as long as the machine has power.
    fn outside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'_, T> {
        self.may_die();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            // Nobody waits for it any more when the process was killed.
            let _ = answer.send(work.await);
        });
        async move {
            match answered.await {
                Ok(done) => {
                    self.may_die();
                    done
                }
                Err(_) => std::future::pending().await,
            }
        }
        .boxed()
    }
}

async fn wait_ms(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

impl Corosync for Port {
    fn view(&self) -> Option<CorosyncView> {
        self.look(|world| world.view(self.at))
    }
    fn links(&self) -> Option<BTreeMap<(NodeId, LinkNumber), bool>> {
        self.look(|world| world.connected(self.at))
    }
    fn send(&self, bytes: &[u8]) -> Result<(), CorosyncError> {
        self.effect(|world| {
            if world.hosts[self.at].daemon.is_none() {
                return Err(CorosyncError::NotRunning);
            }
            world.send(self.at, bytes);
            Ok(())
        })
    }
    fn reload(&self) -> Result<(), CorosyncError> {
        self.effect(|world| world.reload(self.at)).map_err(CorosyncError::Refused)
    }
    fn check(&self, text: &str) -> Result<(), String> {
        let parsed = self.shared.with(|world| world.parse(text.as_bytes()));
        parsed.config.as_ref().map(|_| ()).map_err(Clone::clone)
    }
}

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
    fn guests(&self) -> BTreeSet<u32> {
        BTreeSet::new()
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
        Ok(world.land(at, text.as_deref()))
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

impl Disk for Port {
    fn read(&self, file: DiskFile) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.hosts[self.at].disk.get(&file).cloned()))
    }
    fn replace(&self, file: DiskFile, bytes: &[u8]) -> io::Result<()> {
        self.effect(|world| {
            if file == DiskFile::Conf {
                world.we_write(self.at, bytes, "/etc/corosync");
            }
            world.hosts[self.at].disk.insert(file, bytes.to_vec());
        });
        Ok(())
    }
    fn remove(&self, file: DiskFile) -> io::Result<()> {
        self.effect(|world| world.hosts[self.at].disk.remove(&file));
        Ok(())
    }
    fn set_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        self.effect(|world| {
            let host = &mut world.hosts[self.at];
            if host.aside.as_ref().is_none_or(|(known, _)| *known != attempt) {
                host.aside = Some((attempt, std::mem::take(&mut host.db)));
            } else {
                host.db = crate::world::Db::default();
            }
        });
        Ok(())
    }
    fn bring_database_back(&self, attempt: Attempt) -> io::Result<()> {
        self.effect(|world| {
            let host = &mut world.hosts[self.at];
            if let Some((_, db)) = host.aside.take_if(|(known, _)| *known == attempt) {
                host.db = db;
            }
        });
        Ok(())
    }
}

impl Services for Port {
    fn start(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        let (shared, at) = (self.shared.clone(), self.at);
        self.outside(async move {
            let pause = shared.with(|world| world.dice.between(300, 900));
            wait_ms(pause).await;
            shared.with(|world| match unit {
                Unit::Corosync => world.start_corosync(at),
                Unit::PveCluster => {
                    world.start_pmxcfs(at);
                    Ok(())
                }
            })
        })
    }
    fn stop(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        let (shared, at) = (self.shared.clone(), self.at);
        self.outside(async move {
            let pause = shared.with(|world| world.dice.between(300, 1_100));
            wait_ms(pause).await;
            shared.with(|world| match unit {
                Unit::Corosync => world.end_corosync(at),
                Unit::PveCluster => world.end_pmxcfs(at),
            });
            Ok(())
        })
    }
    fn start_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        self.effect(|world| world.hosts[self.at].mode = Mode::Local);
        async { Ok(()) }.boxed()
    }
    fn stop_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        self.effect(|world| world.end_pmxcfs(self.at));
        async { Ok(()) }.boxed()
    }
}

impl Network for Port {
    fn answers(&self, asked: &[(String, IpAddr)]) -> Vec<Result<(), String>> {
        asked.iter().map(|(card, peer)| self.answer(card, *peer)).collect()
    }
}

impl Port {
    fn answer(&self, card: &str, peer: IpAddr) -> Result<(), String> {
        let network = card.strip_prefix("eth").and_then(|number| number.parse::<u8>().ok());
        let network = network.ok_or_else(|| format!("there is no card {card}"))?;
        let has = |address: &String| address.parse() == Ok(peer);
        self.look(|world| {
            let mut hosts = world.hosts.iter();
            let other = hosts.position(|host| host.cards.get(&network).is_some_and(has));
            let open = other.is_some_and(|other| {
                world.hosts[other].up && world.network.connects(network, self.at, other)
            });
            if open { Ok(()) } else { Err("no answer".to_owned()) }
        })
    }
}

impl Machine for Port {
    fn addresses(&self) -> Vec<CardAddress> {
        self.look(|world| {
            let card = |(network, address): (&u8, &String)| CardAddress {
                interface: format!("eth{network}"),
                cidr: format!("{address}/24"),
            };
            world.hosts[self.at].cards.iter().map(card).collect()
        })
    }
    fn hostname(&self) -> String {
        self.look(|world| world.hosts[self.at].name.clone())
    }
    fn machine_id(&self) -> Option<String> {
        None
    }
    fn package_version(&self, _: &str) -> Option<String> {
        None
    }
}

impl Clock for Port {
    fn now(&self) -> BootTime {
        self.look(|world| BootTime {
            boot_id: world.hosts[self.at].boot.to_string(),
            millis: world.now(),
        })
    }
    fn sleep_ms(&self, millis: u64) -> BoxFuture<'_, ()> {
        wait_ms(millis).boxed()
    }
}

impl Workers for Port {
    fn spawn(&self, job: BoxFuture<'static, ()>) {
        let task = tokio::spawn(job);
        let (at, life) = (self.at, self.life);
        self.shared.with(|world| match &mut world.hosts[at].agent {
            Some(agent) if agent.life == life => agent.owns(task.abort_handle()),
            Some(_) | None => task.abort(),
        });
    }
}

impl LedgerStore for Port {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.hosts[self.at].ledger.clone()))
    }
    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        self.effect(|world| {
            world.note("ledger", self.at, String::new);
            world.hosts[self.at].ledger = Some(bytes.to_vec());
            world.checks.host_wrote(self.at);
        });
        Ok(())
    }
}

impl World {
    fn connected(&self, at: usize) -> Option<BTreeMap<(NodeId, LinkNumber), bool>> {
        let daemon = self.hosts[at].daemon.as_ref()?;
        let config = daemon.config()?;
        let place = |id: NodeId| {
            self.hosts.iter().position(|host| host.daemon.as_ref().is_some_and(|d| d.id == id))
        };
        let mut links = BTreeMap::new();
        for node in config.nodes.iter().filter(|node| node.id != daemon.id) {
            let other = place(node.id);
            for link in node.addresses.keys() {
                let state = other.and_then(|other| self.link(at, other, link.get()));
                links.insert((node.id, *link), state.is_some_and(|link| link.up));
            }
        }
        Some(links)
    }

    fn view(&self, at: usize) -> Option<CorosyncView> {
        let daemon = self.hosts[at].daemon.as_ref()?;
        let mut values = daemon.values.clone();
        values.extend(effective(&daemon.running.values, daemon.pings_follow));
        let nodes = daemon.config().map(|config| &config.nodes);
        let position = nodes.and_then(|n| n.iter().position(|node| node.id == daemon.id));
        values.extend(position.map(|p| ("nodelist.local_node_pos".to_owned(), p.to_string())));
        for (id, (joined, version)) in &daemon.peers {
            let status = if *joined { "joined" } else { "left" };
            values.insert(format!("runtime.members.{id}.status"), status.to_owned());
            values.insert(format!("runtime.members.{id}.config_version"), version.to_string());
        }
        let member = |at: &usize| Some(self.hosts[*at].daemon.as_ref()?.id);
        let (total, expected, needed) = self.votes(at)?;
        Some(CorosyncView {
            values,
            links: self.connected(at)?,
            quorate: daemon.quorate,
            ring: format!("{}.{:x}", daemon.representative, daemon.ring),
            members: daemon.members.iter().filter_map(member).collect(),
            local: Some(daemon.id),
            votes: Some(Votes { expected, total, needed }),
        })
    }
}
