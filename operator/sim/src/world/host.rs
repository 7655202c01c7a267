//! One machine: what survives a power cut and what does not.

use std::collections::BTreeMap;

use pvecm_agent::ports::DiskFile;
use pvecm_core::gate::{Held, Idle, Said};
use pvecm_core::protocol::Attempt;

use super::agents::AgentProcess;
use super::corosync::Daemon;
use super::pmxcfs::Db;
use crate::absence::Stated;
use crate::stages::StageKey;

/// How pmxcfs runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does not run.
    Down,
    /// Alone: always writable.
    Local,
    /// With the other members: writable only with quorum.
    Cluster,
}

/// One machine.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "faults that are there or not, each by itself")]
pub struct Host {
    /// Its name: `n1`, `n2` ...
    pub name: String,
    /// It has power.
    pub up: bool,
    /// A person keeps it off.
    pub off: bool,
    /// What a person says of it.
    pub stated: Option<Stated>,
    /// When it was declared dead last.
    pub dead_until: u64,
    /// Counts its starts.
    pub boot: u64,
    /// The life of the gate that runs before its corosync.
    pub gate: Option<u64>,
    /// What others told that gate, and while it holds corosync the one of an earlier boot.
    pub told: Vec<Said>,
    /// The file with which corosync must not be started, and why.
    pub held: Option<(Vec<u8>, Held)>,
    /// Why its corosync ended by itself.
    pub outrun: Option<Idle>,
    /// Addresses by network.
    pub cards: BTreeMap<u8, String>,
    /// /etc/corosync.
    pub disk: BTreeMap<DiskFile, Vec<u8>>,
    /// Without quorum: since when, and in which life of the agent.
    pub alone: Option<(u64, u64)>,
    /// A person changed the file on this disk.
    pub edited: bool,
    /// The agent's ledger.
    pub ledger: Option<Vec<u8>>,
    /// The running corosync.
    pub daemon: Option<Daemon>,
    /// How pmxcfs runs.
    pub mode: Mode,
    /// /etc/pve takes no writes although there is quorum.
    pub read_only: bool,
    /// Writes to /etc/pve take seconds.
    pub slow: bool,
    /// What other hosts write to /etc/pve arrives late.
    pub lags: bool,
    /// So many writes have yet to arrive.
    pub behind: u32,
    /// The ring in which pmxcfs is level with the others.
    pub synchronised: u64,
    /// pmxcfs's database.
    pub db: Db,
    /// It goes on alone with a guest.
    pub lives_on: bool,
    /// A person says that it may go on using the storage that all reach.
    pub may_share: bool,
    /// A database that was set aside.
    pub aside: Option<(Attempt, Db)>,
    /// /var/lock/pvecm.lock, by the life of the agent that holds it.
    pub local_lock: Option<u64>,
    /// The running agent.
    pub agent: Option<AgentProcess>,
    /// The agent does not reach the API server.
    pub api_cut: bool,
    /// When it was heard there last.
    pub heard_at: u64,
    /// Since when it is heard there without a longer silence.
    pub heard_since: u64,
    /// The stage that it says it is at work on, and since when.
    pub works: Option<(StageKey, u64)>,
}

impl Host {
    /// A machine with power and nothing of a cluster.
    #[must_use]
    pub fn new(at: usize, networks: u8) -> Self {
        let card = |network: u8| (network, format!("10.0.{network}.{}", at + 1));
        Self {
            name: format!("n{}", at + 1),
            up: true,
            off: false,
            stated: None,
            dead_until: 0,
            boot: 1,
            gate: None,
            told: Vec::new(),
            held: None,
            outrun: None,
            cards: (0..networks).map(card).collect(),
            disk: BTreeMap::new(),
            alone: None,
            edited: false,
            ledger: None,
            daemon: None,
            mode: Mode::Local,
            read_only: false,
            slow: false,
            lags: false,
            behind: 0,
            synchronised: 0,
            // A machine of its own has a database of its own, with its guests.
            db: Db { version: 3, ..Db::default() },
            lives_on: false,
            may_share: false,
            aside: None,
            local_lock: None,
            agent: None,
            api_cut: false,
            heard_at: 0,
            heard_since: 0,
            works: None,
        }
    }

    /// The network of one of the own addresses.
    #[must_use]
    pub fn network_of(&self, address: &str) -> Option<u8> {
        self.cards.iter().find(|(_, own)| own.as_str() == address).map(|(network, _)| *network)
    }

    /// Whether the gate holds corosync: whatever else is written to the disk lifts that.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let disk = self.disk.get(&DiskFile::Conf);
        self.held.as_ref().is_some_and(|(file, _)| disk == Some(file))
    }

    /// Whether corosync says that this host is in the quorate part.
    #[must_use]
    pub fn quorate(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.quorate)
    }

    /// Whether /etc/pve takes writes now.
    #[must_use]
    pub fn writable(&self) -> bool {
        match self.mode {
            Mode::Down => false,
            Mode::Local => true,
            Mode::Cluster => {
                let level = |daemon: &Daemon| daemon.quorate && daemon.ring == self.synchronised;
                !self.read_only && self.daemon.as_ref().is_some_and(level)
            }
        }
    }
}
