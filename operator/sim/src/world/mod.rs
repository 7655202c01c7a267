//! Everything that is not production code: hosts with corosync and pmxcfs, the network, the API
//! server's objects, and the rules that are checked. All of it changes only under one lock, on one
//! thread, in an order that follows from the seed.

mod agents;
mod corosync;
mod group;
mod host;
mod links;
mod network;
mod pmxcfs;
mod power;
mod rings;
mod text;
mod watch;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::absence::Tale;
use crate::api::{Backup, Server};
use crate::checks::Checks;
use crate::dice::Dice;
use crate::faults::Rates;
use crate::stages::Stages;
use crate::trace::Trace;

pub use agents::{AgentProcess, Crash, OperatorProcess};
pub use corosync::Daemon;
pub use host::{Host, Mode};
pub use links::{Link, LinkKey};
pub use network::Network;
pub use pmxcfs::{Db, Lock, Stranger, denied};
pub use rings::Reform;
pub use text::Parsed;

/// Something that happens later, at a moment of the virtual clock.
type Later = (u64, Box<dyn FnOnce(&mut World) + Send>);

/// The state of one seed.
pub struct World {
    /// All choices.
    pub dice: Dice,
    /// What happened, hashed.
    pub trace: Trace,
    /// The rules, and the first that was broken.
    pub checks: Checks,
    /// Every stage that was planned.
    pub stages: Stages,
    /// The API server's objects.
    pub api: Server,
    /// The machines. A host's place here is its name's number less one.
    pub hosts: Vec<Host>,
    /// The API server's last backup.
    pub backup: Option<Backup>,
    /// Comments that persons wrote: they stay for ever.
    pub marks: Vec<String>,
    /// The operators.
    pub operators: Vec<Option<OperatorProcess>>,
    /// Cut networks.
    pub network: Network,
    /// knet's links between running daemons.
    pub links: BTreeMap<LinkKey, Link>,
    /// The membership change that is under way.
    pub reform: Option<Reform>,
    /// The highest ring number so far.
    pub rings: u64,
    /// Counts deliveries, lives and other things that need a number of their own.
    pub counter: u64,
    /// How often what goes wrong.
    pub rates: Rates,
    /// What is told besides.
    pub tale: Tale,
    /// The user has deleted the cluster's object.
    pub ends: bool,
    /// There is a storage that all hosts reach.
    pub shares: bool,
    /// Gates that are about to begin, by place and life, and who waits for them.
    pub gates: (Vec<(usize, u64)>, Arc<Notify>),
    parsed: BTreeMap<Vec<u8>, Arc<Parsed>>,
    /// The moment of the last step, and how many there were in it.
    moment: (u64, u32),
    started: Instant,
    later: Vec<Later>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World at {} ms", self.now())
    }
}

/// Where tasks of a world run: one thread, and a clock that only moves while everybody waits.
#[must_use]
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets needs nothing of the system")
}

/// A world that many tasks share. One thread runs them all.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// A new world, inside a [`runtime`].
    #[must_use]
    pub fn new(seed: u64, rates: Rates, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(World {
            dice: Dice::new(seed),
            trace,
            checks: Checks::default(),
            stages: Stages::default(),
            api: Server::default(),
            hosts: Vec::new(),
            backup: None,
            marks: Vec::new(),
            operators: Vec::new(),
            network: Network::default(),
            links: BTreeMap::new(),
            reform: None,
            rings: 1,
            counter: 0,
            rates,
            tale: Tale::None,
            ends: false,
            shares: false,
            gates: Default::default(),
            parsed: BTreeMap::new(),
            moment: (0, 0),
            started: Instant::now(),
            later: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the world, and has what it puts off happen in its time.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let (result, later) = {
            let mut world = self.lock();
            let result = act(&mut world);
            (result, std::mem::take(&mut world.later))
        };
        for (wait, act) in later {
            let shared = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                shared.with(act);
            });
        }
        result
    }
}

impl World {
    /// Milliseconds since the start.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time of day. The one outside would decide whether two conditions changed in the same second.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let millis = i64::try_from(self.now()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(millis).unwrap_or_default()
    }

    /// Puts something off.
    pub fn later(&mut self, wait_ms: u64, act: impl FnOnce(&mut Self) + Send + 'static) {
        self.later.push((wait_ms, Box::new(act)));
    }

    /// A number that was never given before.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Notes a step. The words are made only when somebody reads them.
    pub fn note(&mut self, what: &'static str, at: usize, words: impl FnOnce() -> String) {
        let now = self.now();
        let (known, count) = self.moment;
        self.moment = (now, if known == now { count + 1 } else { 0 });
        self.trace.note((now, what, at as u64), words);
    }

    /// Whether somebody goes round in circles: the clock moves only while everybody waits.
    #[must_use]
    pub const fn is_dizzy(&self) -> bool {
        const MANY: u32 = 5_000;
        self.moment.1 > MANY
    }

    /// A rule was broken.
    pub fn broken(&mut self, why: String) {
        self.note("broken", 0, || why.clone());
        self.checks.fail(why);
    }

    /// What a text of corosync.conf means, read once.
    pub fn parse(&mut self, bytes: &[u8]) -> Arc<Parsed> {
        if let Some(known) = self.parsed.get(bytes) {
            return known.clone();
        }
        let parsed = Arc::new(Parsed::read(bytes));
        self.parsed.insert(bytes.to_vec(), parsed.clone());
        parsed
    }
}
