//! A host in memory, for tests: corosync, pmxcfs, systemd and the disk as far as stages see them.

mod device;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use pvecm_core::change::Tombstone;
use pvecm_core::conf::{Document, flat};
use pvecm_core::fitness::{Measured, Pings};
use pvecm_core::gate::Idle;
use pvecm_core::ha::HaFiles;
use pvecm_core::ids::{LinkNumber, NodeId, NodeName};
use pvecm_core::protocol::Attempt;
use pvecm_core::references::ReferenceKind;

use crate::host_ports::Host;
use crate::ports::{
    Arrival, BootTime, CardAddress, Clock, ClusterFiles, ConfLock, Corosync, CorosyncError,
    CorosyncView, DeviceState, Disk, DiskFile, HighAvailability, LedgerStore, Machine, Network,
    Services, Survey, Trust, Unit, Votes, Way, Workers,
};

pub use device::{Device, certificate};

/// Bytes in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(pub Mutex<Option<Vec<u8>>>);

impl LedgerStore for MemoryStore {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().clone())
    }
    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }
}

/// The state of the host.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one host")]
pub struct World {
    pub disk: BTreeMap<DiskFile, Vec<u8>>,
    pub pmxcfs_conf: Option<Vec<u8>>,
    pub pmxcfs_runs: bool,
    pub database_aside: Option<Attempt>,
    /// A copy of the database, as far as it is looked at here.
    pub database_copy: Option<(Attempt, Option<Vec<u8>>)>,
    /// pmxcfs runs outside of any cluster, which is no unit's.
    pub local_runs: bool,
    /// Outside of any cluster pmxcfs does not start.
    pub local_fails: bool,
    /// corosync.conf is in /etc/pve again when pmxcfs was started.
    pub conf_comes_back: bool,
    /// Whose folders and keys were put away.
    pub put_away: Option<BTreeSet<NodeName>>,
    pub set_aside: BTreeMap<DiskFile, Vec<u8>>,
    /// Who else is in the membership.
    pub others: BTreeSet<NodeId>,
    pub corosync_hangs: bool,
    pub guests: BTreeSet<u32>,
    /// Files that name nodes; `None`: it cannot be read.
    pub naming: BTreeMap<ReferenceKind, Option<String>>,
    /// Which of them were locked, in order, and which one cannot be written.
    pub locked: Vec<ReferenceKind>,
    pub refuses_naming: Option<ReferenceKind>,
    /// datacenter.cfg, what a person makes of it while its lock is waited for, and whether no write comes through.
    pub datacenter: Vec<u8>,
    pub datacenter_meanwhile: Option<Vec<u8>>,
    pub refuses_datacenter: bool,
    /// Guests of a node that has left, and the nodes that were swept.
    pub guests_left: BTreeSet<String>,
    pub swept: Vec<Tombstone>,
    pub corosync_runs: bool,
    pub running: Option<String>,
    /// The authkey that the daemon read last.
    pub daemon_key: Option<Vec<u8>>,
    /// The disk takes no authkey.
    pub refuses_key: bool,
    /// Which daemon runs; each start counts one up.
    pub started: Option<u64>,
    pub corosync_starts: bool,
    pub corosync_ends: bool,
    /// What the host tells of a corosync that does not run, and how often it was asked.
    pub idle: Option<Idle>,
    pub asked_why_idle: u32,
    /// The daemon does not start with this text.
    pub starts_not_with: Option<String>,
    /// No file of corosync is replaced.
    pub disk_is_full: bool,
    pub refuses_conf: bool,
    pub refuses_reload: bool,
    /// /etc/pve takes no writes, whatever corosync says.
    pub is_read_only: bool,
    /// What votequorum counts, and what it expects after a reload. Without it the host is quorate.
    pub votes: Option<Votes>,
    pub listed_votes: u32,
    /// What cmap has besides.
    pub cmap: BTreeMap<String, String>,
    /// Links to other nodes.
    pub links: BTreeMap<(NodeId, LinkNumber), bool>,
    pub pings: BTreeMap<(NodeId, LinkNumber), Pings>,
    pub reloads: u32,
    pub foreign_lock: bool,
    /// What a person writes while the lock is waited for.
    pub meanwhile: Option<Vec<u8>>,
    pub sent: Vec<Vec<u8>>,
    /// The handing over of keys, and whether they are not seen afterwards.
    pub shared: Vec<Arrival>,
    pub keeps_keys_back: bool,
    pub cards: Vec<CardAddress>,
    /// The address that each node has for its own name, and what names resolve to here.
    pub node_addresses: BTreeMap<String, IpAddr>,
    pub resolved: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Addresses at which nobody answers.
    pub silent: BTreeSet<IpAddr>,
    /// What comes back from an address, where it is not all that was sent.
    pub measured: BTreeMap<IpAddr, Measured>,
    /// Other machines that have one of this host's own addresses, where it is not that there are none.
    pub claimed: BTreeMap<IpAddr, Result<Option<String>, String>>,
    /// Who was asked, by which card.
    pub asked: Vec<(String, IpAddr)>,
    pub millis: u64,
    pub device: Device,
    /// High availability: its files, whether its CRM takes commands up, and what was asked for.
    pub ha: HaFiles,
    pub crm_is_away: bool,
    pub ha_commands: Vec<&'static str>,
}

/// The host.
#[derive(Debug, Clone, Default)]
pub struct FakeHost(pub Arc<Mutex<World>>);

impl FakeHost {
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// A fresh host: pmxcfs alone, no cluster.
    pub fn fresh() -> Self {
        let fake = Self::default();
        fake.world().pmxcfs_runs = true;
        fake.world().corosync_starts = true;
        fake
    }

    /// The only member of a cluster with this text.
    pub fn member(text: &str) -> Self {
        let fake = Self::fresh();
        fake.world().disk.insert(DiskFile::Conf, text.into());
        fake.world().pmxcfs_conf = Some(text.into());
        fake.world().corosync_runs = true;
        fake.world().started = Some(1);
        fake.world().running = Some(text.to_owned());
        fake
    }

    /// Waits for what a job of this host does in a thread of its own; whether it came.
    pub fn comes(&self, done: impl Fn(&World) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while !done(&self.world()) && Instant::now() < end {
            std::thread::yield_now();
        }
        done(&self.world())
    }

    pub fn host(&self) -> Host {
        Host::of(&Arc::new(self.clone()))
    }
}

impl World {
    fn is_quorate(&self) -> bool {
        self.votes.is_none_or(|votes| votes.total >= votes.needed)
    }

    fn expect(&mut self, expected: u32) {
        if let Some(votes) = &mut self.votes {
            (votes.expected, votes.needed) = (expected, expected / 2 + 1);
        }
    }
}

fn node() -> NodeId {
    NodeId::try_from(1).unwrap()
}

impl Corosync for FakeHost {
    fn view(&self) -> Option<CorosyncView> {
        let world = self.world();
        let text = world.running.clone().filter(|_| world.corosync_runs)?;
        let version = Document::parse(text.as_bytes()).version()?.to_string();
        let key = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        // Of a text two sections are enough for what stages look at.
        let read = |key: &str| ["totem.", "logging."].iter().any(|tree| key.starts_with(tree));
        let all = flat(&Document::parse(text.as_bytes())).into_iter();
        let all = all.filter(|(key, _)| read(key) && !key.contains('['));
        let mut values: BTreeMap<String, String> = all.chain(world.cmap.clone()).collect();
        values.extend([
            key("totem.config_version", &version),
            key("runtime.members.1.config_version", &version),
            key("runtime.members.1.status", "joined"),
        ]);
        Some(CorosyncView {
            values,
            quorate: world.is_quorate(),
            votes: world.votes,
            links: world.links.clone(),
            ring: "1.1".to_owned(),
            members: world.others.iter().copied().chain([node()]).collect(),
            local: Some(node()),
            device: world.device.state(),
            started: world.started,
        })
    }
    fn links(&self) -> Option<BTreeMap<(NodeId, LinkNumber), bool>> {
        Some(BTreeMap::new())
    }
    fn pings(&self) -> BTreeMap<(NodeId, LinkNumber), Pings> {
        self.world().pings.clone()
    }
    fn device(&self) -> Option<DeviceState> {
        let world = self.world();
        world.corosync_runs.then(|| world.device.state())
    }
    fn send(&self, bytes: &[u8]) -> Result<(), CorosyncError> {
        self.world().sent.push(bytes.to_vec());
        Ok(())
    }
    fn reload(&self) -> Result<(), CorosyncError> {
        let mut world = self.world();
        world.reloads += 1;
        if world.refuses_reload {
            return Ok(());
        }
        let listed = world.listed_votes;
        world.expect(listed);
        let disk = world.disk.get(&DiskFile::Conf).cloned();
        world.running = disk.and_then(|bytes| String::from_utf8(bytes).ok());
        world.daemon_key = world.disk.get(&DiskFile::Authkey).cloned();
        Ok(())
    }
    fn set_expected_votes(&self, votes: u32) -> Result<(), CorosyncError> {
        let mut world = self.world();
        if world.votes.is_none_or(|now| votes < now.total) {
            return Err(CorosyncError::Refused("CsErrInvalidParam".to_owned()));
        }
        world.expect(votes);
        Ok(())
    }
    fn check(&self, _: &str) -> Result<(), String> {
        if self.world().refuses_conf { Err("corosync says no".to_owned()) } else { Ok(()) }
    }
}

struct FakeLock;

impl ConfLock for FakeLock {
    fn is_own(&self) -> bool {
        true
    }
}

impl ClusterFiles for FakeHost {
    fn mounted(&self) -> bool {
        let world = self.world();
        world.pmxcfs_runs || world.local_runs
    }
    fn writable(&self) -> bool {
        let world = self.world();
        let has_quorum = world.corosync_runs && world.is_quorate() && !world.is_read_only;
        let in_cluster = world.pmxcfs_conf.is_none() || has_quorum;
        world.local_runs || world.pmxcfs_runs && in_cluster
    }
    fn read_conf(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.world().pmxcfs_conf.clone())
    }
    fn replace_conf<'a>(&'a self, text: Option<&'a [u8]>) -> BoxFuture<'a, io::Result<()>> {
        let clustered = self.world().corosync_runs;
        self.world().pmxcfs_conf = text.map(<[u8]>::to_vec);
        if let Some(text) = text.filter(|_| clustered) {
            self.world().disk.insert(DiskFile::Conf, text.to_vec());
            let _ = self.reload();
        }
        ready(Ok(())).boxed()
    }
    fn stamp(&self) -> Option<String> {
        None
    }
    fn lock(&self, _: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        if self.world().foreign_lock {
            let held = io::Error::new(io::ErrorKind::TimedOut, "somebody else holds the lock");
            return ready(Err(held)).boxed();
        }
        let mut world = self.world();
        if let Some(text) = world.meanwhile.take() {
            world.pmxcfs_conf = Some(text);
        }
        let lock: Box<dyn ConfLock> = Box::new(FakeLock);
        ready(Ok(lock)).boxed()
    }
    fn guests(&self) -> BTreeSet<u32> {
        self.world().guests.clone()
    }
    fn node_addresses(&self) -> BTreeMap<String, IpAddr> {
        self.world().node_addresses.clone()
    }
    fn read_naming(&self, kind: ReferenceKind) -> io::Result<Option<Vec<u8>>> {
        match self.world().naming.get(&kind) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.clone().into_bytes())),
            Some(None) => Err(io::Error::other("torn")),
        }
    }
    fn replace_naming(&self, kind: ReferenceKind, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        if world.refuses_naming == Some(kind) {
            return Err(io::Error::other("no quorum"));
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        world.naming.insert(kind, Some(text));
        Ok(())
    }
    fn lock_naming(
        &self,
        kind: ReferenceKind,
        at_most_ms: u64,
    ) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        self.world().locked.push(kind);
        self.lock(at_most_ms)
    }
    fn read_datacenter(&self) -> io::Result<Vec<u8>> {
        Ok(self.world().datacenter.clone())
    }
    fn replace_datacenter(&self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        if world.refuses_datacenter {
            return Err(io::Error::other("no quorum"));
        }
        world.datacenter = bytes.to_vec();
        Ok(())
    }
    fn lock_datacenter(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>> {
        let mut world = self.world();
        if let Some(bytes) = world.datacenter_meanwhile.take() {
            world.datacenter = bytes;
        }
        drop(world);
        self.lock(at_most_ms)
    }
    fn guests_left(&self, _: &NodeName) -> io::Result<BTreeSet<String>> {
        Ok(self.world().guests_left.clone())
    }
    fn sweep(&self, gone: &Tombstone) -> io::Result<()> {
        self.world().swept.push(gone.clone());
        Ok(())
    }
    fn put_others_away(&self, peers: &BTreeSet<NodeName>) -> io::Result<()> {
        let mut world = self.world();
        assert!(world.local_runs, "without quorum nothing is written");
        world.put_away.get_or_insert_default().extend(peers.iter().cloned());
        Ok(())
    }
}

impl FakeHost {
    fn ask_crm(&self, command: &'static str, disarm: &str) {
        let mut world = self.world();
        world.ha_commands.push(command);
        if world.crm_is_away {
            world.ha.crm_commands = Some(format!("{command}\n"));
            return;
        }
        world.ha.manager_status = Some(format!("{{{disarm}}}"));
        if world.ha.lrm_status.is_some() && !disarm.is_empty() {
            let released = r#"{"state":"wait_for_agent_lock","mode":"disarm"}"#;
            world.ha.lrm_status = Some(released.to_owned());
        }
    }
}

impl HighAvailability for FakeHost {
    fn files(&self) -> HaFiles {
        self.world().ha.clone()
    }
    fn disarm(&self) -> BoxFuture<'_, Result<(), String>> {
        self.ask_crm("disarm-ha freeze", r#""disarm":{"mode":"freeze","state":"disarmed"}"#);
        ready(Ok(())).boxed()
    }
    fn arm(&self) -> BoxFuture<'_, Result<(), String>> {
        self.ask_crm("arm-ha", "");
        ready(Ok(())).boxed()
    }
}

impl Disk for FakeHost {
    fn read(&self, file: DiskFile) -> io::Result<Option<Vec<u8>>> {
        Ok(self.world().disk.get(&file).cloned())
    }
    fn replace(&self, file: DiskFile, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        let full = world.disk_is_full || world.refuses_key && file == DiskFile::Authkey;
        if full {
            return Err(io::Error::other("the disk is full"));
        }
        world.disk.insert(file, bytes.to_vec());
        Ok(())
    }
    fn remove(&self, file: DiskFile) -> io::Result<()> {
        self.world().disk.remove(&file);
        Ok(())
    }
    fn set_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        self.world().database_aside = Some(attempt);
        Ok(())
    }
    fn copy_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        let mut world = self.world();
        assert!(!world.pmxcfs_runs && !world.local_runs, "a database in use is no copy");
        if world.database_copy.as_ref().is_none_or(|(known, _)| *known != attempt) {
            world.database_copy = Some((attempt, world.pmxcfs_conf.clone()));
        }
        Ok(())
    }
    fn set_corosync_aside(&self, _: Attempt) -> io::Result<()> {
        let mut world = self.world();
        let files = std::mem::take(&mut world.disk);
        world.set_aside.extend(files);
        Ok(())
    }
    fn bring_database_back(&self, attempt: Attempt) -> io::Result<()> {
        let mut world = self.world();
        if world.database_aside == Some(attempt) {
            world.database_aside = None;
            world.pmxcfs_conf = None;
        }
        if let Some((_, conf)) = world.database_copy.take_if(|(known, _)| *known == attempt) {
            world.pmxcfs_conf = conf;
        }
        Ok(())
    }
}

impl Services for FakeHost {
    fn start(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        let mut world = self.world();
        let disk = world.disk.get(&DiskFile::Conf).cloned();
        match unit {
            Unit::Corosync
                if !world.corosync_starts
                    || world.starts_not_with.as_ref().map(String::as_bytes) == disk.as_deref()
                        && disk.is_some() =>
            {
                return ready(Err("corosync: failed".to_owned())).boxed();
            }
            Unit::Corosync => {
                if !world.corosync_runs {
                    world.started = Some(world.started.unwrap_or(0) + 1);
                }
                world.corosync_runs = !world.corosync_ends;
                world.running = disk.and_then(|bytes| String::from_utf8(bytes).ok());
            }
            Unit::PveCluster => {
                world.pmxcfs_runs = true;
                if world.conf_comes_back && world.pmxcfs_conf.is_none() {
                    world.pmxcfs_conf = world.set_aside.get(&DiskFile::Conf).cloned();
                }
                if world.database_aside.is_some() && world.pmxcfs_conf.is_none() {
                    world.pmxcfs_conf = disk;
                }
            }
            Unit::Qdevice | Unit::Qnetd => return ready(world.device.start(unit)).boxed(),
        }
        ready(Ok(())).boxed()
    }
    fn stop(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        match unit {
            Unit::Corosync if self.world().corosync_hangs => {
                return ready(Err("corosync does not end".to_owned())).boxed();
            }
            Unit::Corosync => {
                let mut world = self.world();
                world.corosync_runs = false;
                world.device.stop(Unit::Qdevice);
            }
            Unit::PveCluster => self.world().pmxcfs_runs = false,
            Unit::Qdevice | Unit::Qnetd => self.world().device.stop(unit),
        }
        ready(Ok(())).boxed()
    }
    fn enable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        self.world().device.enabled.insert(unit);
        ready(Ok(())).boxed()
    }
    fn disable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>> {
        self.world().device.enabled.remove(&unit);
        ready(Ok(())).boxed()
    }
    fn is_enabled(&self, unit: Unit) -> bool {
        self.world().device.enabled.contains(&unit)
    }
    fn start_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        let mut world = self.world();
        if world.local_fails {
            return ready(Err("pmxcfs: failed".to_owned())).boxed();
        }
        world.local_runs = true;
        ready(Ok(())).boxed()
    }
    fn stop_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>> {
        self.world().local_runs = false;
        ready(Ok(())).boxed()
    }
    fn why_idle(&self) -> Option<Idle> {
        let mut world = self.world();
        world.asked_why_idle += 1;
        world.idle.clone()
    }
}

impl Machine for FakeHost {
    fn addresses(&self) -> Vec<CardAddress> {
        self.world().cards.clone()
    }
    fn hostname(&self) -> String {
        "n1".to_owned()
    }
    fn resolved(&self, _: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<IpAddr>> {
        self.world().resolved.clone()
    }
    fn machine_id(&self) -> Option<String> {
        None
    }
    fn package_version(&self, _: &str) -> Option<String> {
        (!self.world().device.is_missing).then(|| "3".to_owned())
    }
}

impl Network for FakeHost {
    fn survey(&self, ways: &[Way<'_>], own: &[Way<'_>]) -> Survey {
        let mut world = self.world();
        world.asked.extend(ways.iter().map(|way| (way.card.to_owned(), way.address)));
        let measured = |way: &Way<'_>| {
            let answers = if world.silent.contains(&way.address) { 0 } else { 100 };
            let round_trips_us = vec![100; answers];
            let usual = Measured { sent: 100, round_trips_us, large: None };
            world.measured.get(&way.address).cloned().unwrap_or(usual)
        };
        Survey {
            ways: ways.iter().map(|way| Ok(measured(way))).collect(),
            claimed: own
                .iter()
                .map(|own| world.claimed.get(&own.address).cloned().unwrap_or(Ok(None)))
                .collect(),
        }
    }
    fn answers(&self, at: SocketAddr) -> BoxFuture<'_, Result<(), String>> {
        let is_silent = self.world().device.refuses == Some(at.ip());
        let refused = Err("connection refused".to_owned());
        ready(if is_silent { refused } else { Ok(()) }).boxed()
    }
}

impl Clock for FakeHost {
    fn now(&self) -> BootTime {
        BootTime { boot_id: "boot".to_owned(), millis: self.world().millis }
    }
    fn time(&self) -> jiff::Timestamp {
        let millis = i64::try_from(self.world().millis);
        jiff::Timestamp::from_millisecond(millis.unwrap_or(i64::MAX)).unwrap_or_default()
    }
    fn sleep_ms(&self, millis: u64) -> BoxFuture<'_, ()> {
        self.world().millis += millis;
        ready(()).boxed()
    }
}

impl Trust for FakeHost {
    fn is_shared(&self) -> bool {
        let world = self.world();
        !world.shared.is_empty() && !world.keeps_keys_back
    }
    fn share(&self, arrival: Arrival) -> BoxFuture<'_, Result<(), String>> {
        self.world().shared.push(arrival);
        ready(Ok(())).boxed()
    }
}

impl Workers for FakeHost {
    fn spawn(&self, job: BoxFuture<'static, ()>) {
        std::thread::spawn(move || futures::executor::block_on(job));
    }
}
