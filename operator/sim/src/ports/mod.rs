//! The ports of one life of the agent on one simulated host. Before and after each effect the process
//! may be killed: the code then unwinds from here and nothing of it goes on, but what was handed to
//! the kernel or to systemd does.

mod device;
mod files;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_agent::gate::Holding;
use pvecm_agent::host_ports::Host;
use pvecm_agent::ledger::Ledger;
use pvecm_agent::ports::{
    Arrival, BootTime, CardAddress, Clock, Corosync, CorosyncError, CorosyncView, DeviceState,
    Disk, DiskFile, HighAvailability, LedgerStore, Machine, Network, Services, Survey, Trust, Unit,
    Way, Workers,
};
use pvecm_core::fitness::{Measured, Pings};
use pvecm_core::gate::{Held, Idle};
use pvecm_core::ha::HaFiles;
use pvecm_core::ids::{LinkNumber, NodeId};
use pvecm_core::protocol::Attempt;
use tokio::sync::oneshot;

pub use files::rename;

use crate::world::{Crash, Mode, Shared, World};

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
        Host::of(&Arc::new(self.clone()))
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
                world.kill_life(at, life);
            }
            if world.is_dizzy() && world.lives(at, life) {
                world.broken(format!("the agent of n{} goes round in circles", at + 1));
                world.kill_life(at, life);
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
    fn pings(&self) -> BTreeMap<(NodeId, LinkNumber), Pings> {
        BTreeMap::new()
    }
    fn device(&self) -> Option<DeviceState> {
        self.look(|world| world.hosts[self.at].daemon.as_ref().map(|_| DeviceState::default()))
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
    fn set_expected_votes(&self, votes: u32) -> Result<(), CorosyncError> {
        self.effect(|world| world.expect(self.at, votes)).map_err(CorosyncError::Refused)
    }
    fn check(&self, text: &str) -> Result<(), String> {
        let parsed = self.shared.with(|world| world.parse(text.as_bytes()));
        parsed.config.as_ref().map(|_| ()).map_err(Clone::clone)
    }
}

impl Disk for Port {
    fn read(&self, file: DiskFile) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.hosts[self.at].disk.get(&file).cloned()))
    }
    fn replace(&self, file: DiskFile, bytes: &[u8]) -> io::Result<()> {
        self.effect(|world| {
            if file == DiskFile::Conf && world.hosts[self.at].gate == Some(self.life) {
                world.watch_refresh(self.at, bytes);
            } else if file == DiskFile::Conf {
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
    fn copy_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        self.effect(|world| {
            let host = &mut world.hosts[self.at];
            if host.aside.as_ref().is_none_or(|(known, _)| *known != attempt) {
                host.aside = Some((attempt, host.db.clone()));
            }
        });
        Ok(())
    }
    fn set_corosync_aside(&self, _: Attempt) -> io::Result<()> {
        self.effect(|world| world.hosts[self.at].disk.clear());
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
                Unit::Qdevice | Unit::Qnetd => Err(device::NOT_THERE.to_owned()),
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
                Unit::Qdevice | Unit::Qnetd => {}
            });
            Ok(())
        })
    }
    fn enable(&self, _: Unit) -> BoxFuture<'_, Result<(), String>> {
        async { Err(device::NOT_THERE.to_owned()) }.boxed()
    }
    fn disable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        self.enable(unit)
    }
    fn is_enabled(&self, _: Unit) -> bool {
        false
    }
    fn start_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        self.effect(|world| world.hosts[self.at].mode = Mode::Local);
        async { Ok(()) }.boxed()
    }
    fn stop_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        self.effect(|world| world.end_pmxcfs(self.at));
        async { Ok(()) }.boxed()
    }
    fn why_idle(&self) -> Option<Idle> {
        self.look(|world| {
            let host = &world.hosts[self.at];
            let held = host.held.as_ref().filter(|_| host.is_held());
            held.map(|(_, held)| Idle::Held(held.clone())).or_else(|| host.outrun.clone())
        })
    }
}

/// The simulated hosts are without high availability, as a host is whose LRM never ran.
impl HighAvailability for Port {
    fn files(&self) -> HaFiles {
        HaFiles::default()
    }
    fn disarm(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Err("there is no ha-manager on this host".to_owned()) }.boxed()
    }
    fn arm(&self) -> BoxFuture<'_, Result<(), String>> {
        self.disarm()
    }
}

impl Trust for Port {
    fn is_shared(&self) -> bool {
        self.look(|world| {
            let host = &world.hosts[self.at];
            !host.db.strangers.contains_key(&host.name)
        })
    }
    fn share(&self, _: Arrival) -> BoxFuture<'_, Result<(), String>> {
        let (shared, at) = (self.shared.clone(), self.at);
        self.outside(async move {
            wait_ms(1_500).await;
            shared.with(|world| {
                let name = world.hosts[at].name.clone();
                let shared = world.edit_db(at, |db| _ = db.strangers.remove(&name));
                shared.map_err(|error| error.to_string())
            })
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
    fn resolved(&self, _: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<IpAddr>> {
        BTreeMap::new()
    }
    fn machine_id(&self) -> Option<String> {
        None
    }
    fn package_version(&self, _: &str) -> Option<String> {
        None
    }
}

impl Network for Port {
    fn survey(&self, ways: &[Way<'_>], own: &[Way<'_>]) -> Survey {
        self.look(|world| {
            let reached = |way: &Way<'_>| {
                let number = way.card.strip_prefix("eth");
                let network = number.and_then(|number| number.parse::<u8>().ok());
                let address = way.address.to_string();
                let other =
                    world.hosts.iter().position(|host| host.network_of(&address) == network);
                network.zip(other).is_some_and(|(network, other)| {
                    world.hosts[other].up && world.network.connects(network, self.at, other)
                })
            };
            let told = |way| {
                let round_trips_us = vec![100; usize::from(reached(way))];
                Ok(Measured { sent: 1, round_trips_us, large: None })
            };
            Survey { ways: ways.iter().map(told).collect(), claimed: vec![Ok(None); own.len()] }
        })
    }
    fn answers(&self, _: SocketAddr) -> BoxFuture<'_, Result<(), String>> {
        async { Err("there is no witness".to_owned()) }.boxed()
    }
}

impl Clock for Port {
    fn now(&self) -> BootTime {
        self.look(|world| BootTime {
            boot_id: world.hosts[self.at].boot.to_string(),
            millis: world.now(),
        })
    }
    fn time(&self) -> jiff::Timestamp {
        self.look(World::time)
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

/// The gate is killed where it writes, as an agent is.
impl Holding for Port {
    fn reason(&self, disk: &[u8]) -> Option<Held> {
        self.look(|world| {
            let held = world.hosts[self.at].held.as_ref().filter(|(file, _)| file == disk);
            held.map(|(_, held)| held.clone())
        })
    }
    fn set(&self, disk: &[u8], held: &Held) -> io::Result<()> {
        self.effect(|world| world.hosts[self.at].held = Some((disk.to_vec(), held.clone())));
        Ok(())
    }
    fn lift(&self) -> io::Result<()> {
        self.effect(|world| world.hosts[self.at].held = None);
        Ok(())
    }
    fn keep(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl LedgerStore for Port {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.look(|world| Ok(world.hosts[self.at].ledger.clone()))
    }
    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        self.effect(|world| {
            world.note("ledger", self.at, String::new);
            let before = world.hosts[self.at].ledger.replace(bytes.to_vec());
            world.watch_ledger(self.at, before.as_deref(), bytes);
            if world.checks.at_rest && !notes_a_start(before.as_deref(), bytes) {
                world.checks.host_wrote(self.at);
            }
        });
        Ok(())
    }
}

/// Whether a ledger differs by the daemon that was seen last alone: that is written once for each start,
/// by an agent that was only just installed as well.
fn notes_a_start(before: Option<&[u8]>, now: &[u8]) -> bool {
    let read = |bytes: &[u8]| serde_json::from_slice::<Ledger>(bytes).ok();
    let before = before.map_or_else(|| Some(Ledger::default()), read);
    let (Some(mut before), Some(now)) = (before, read(now)) else { return false };
    let start = |ledger: &Ledger| ledger.started.as_ref().map(|s| (s.boot_id.clone(), s.ticks));
    let another = start(&before) != start(&now);
    before.started.clone_from(&now.started);
    another && before == now
}
