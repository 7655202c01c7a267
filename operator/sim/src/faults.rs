//! What goes wrong, how often, and one fault at a time.

use crate::dice::Dice;
use crate::world::{Mode, World};

/// Chances in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// A request to the API server does not simply arrive.
    pub api: u64,
    /// A request takes seconds.
    pub api_slow: u64,
    /// An agent is killed before or after an effect.
    pub agent_crash: u64,
    /// The operator is killed before or after a write.
    pub operator_crash: u64,
    /// A step of the story is a fault of the hosts or the network.
    pub hosts: u64,
    /// A step of the story is a person's edit.
    pub person: u64,
    /// There are two operators.
    pub rivals: u64,
}

impl Rates {
    /// Everything goes wrong.
    pub const ALL: Self = Self {
        api: 40,
        api_slow: 15,
        agent_crash: 4,
        operator_crash: 15,
        hosts: 500,
        person: 150,
        rivals: 1,
    };
    const NONE: Self = Self {
        api: 0,
        api_slow: 0,
        agent_crash: 0,
        operator_crash: 0,
        hosts: 0,
        person: 0,
        rivals: 0,
    };
    /// One kind at a time, by its name on the command line.
    pub const KINDS: [(&str, Self); 7] = [
        ("none", Self::NONE),
        ("api", Self { api: Self::ALL.api, api_slow: Self::ALL.api_slow, ..Self::NONE }),
        ("agents", Self { agent_crash: Self::ALL.agent_crash, ..Self::NONE }),
        ("operators", Self { operator_crash: Self::ALL.operator_crash, rivals: 1, ..Self::NONE }),
        ("hosts", Self { hosts: Self::ALL.hosts, ..Self::NONE }),
        ("persons", Self { person: 400, ..Self::NONE }),
        ("all", Self::ALL),
    ];

    /// A third of all seeds has no faults, half has one kind, the rest has all.
    pub fn drawn(dice: &mut Dice) -> Self {
        let place = dice.below(12);
        let kind = if place < 3 { 0 } else { usize::try_from(place - 2).unwrap_or(0) };
        Self::KINDS.get(kind).map_or(Self::ALL, |(_, rates)| *rates)
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let known = Self::KINDS.iter().find(|(kind, _)| *kind == name);
        let names = Self::KINDS.map(|(kind, _)| kind).join(", ");
        known.map(|(_, rates)| *rates).ok_or_else(|| format!("one of {names}"))
    }
}

impl World {
    /// One thing goes wrong.
    pub fn fault(&mut self) {
        let at = self.dice.index(self.hosts.len());
        let other = self.dice.index(self.hosts.len());
        match self.dice.below(14) {
            0 => self.cut_link(at, other),
            1 => self.isolate(at),
            2 | 3 => {
                self.network.mend();
                self.outside("network mended", at);
                self.settle();
            }
            4 => {
                self.outside("agent killed", at);
                self.kill_agent(at);
            }
            5 => self.power_cut(at),
            6 => {
                self.hosts[at].read_only = !self.hosts[at].read_only;
                self.outside("read-only turned", at);
            }
            7 => {
                self.hosts[at].slow = !self.hosts[at].slow;
                self.outside("slow turned", at);
            }
            8 => self.hosts[at].api_cut = !self.hosts[at].api_cut,
            9 => self.restart_pmxcfs(at),
            10 => self.crash_corosync(at),
            11 => self.forget_lock(at),
            12 => self.hosts[at].lags = !self.hosts[at].lags,
            _backup => self.lose_history(),
        }
    }

    /// One thing goes wrong on a host that joins just now: nothing else is so often in between.
    pub fn fault_of_joiner(&mut self, at: usize) {
        match self.dice.below(4) {
            0 => self.isolate(at),
            1 => self.power_cut(at),
            2 => self.crash_corosync(at),
            _link => self.cut_link(at, 0),
        }
    }

    fn crash_corosync(&mut self, at: usize) {
        // One that was stopped is not started by its end.
        if self.hosts[at].daemon.is_none() {
            return;
        }
        self.outside("corosync killed", at);
        self.end_corosync(at);
        self.later(4_000, move |world| {
            let _refused = world.start_corosync(at);
        });
    }

    fn cut_link(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let networks: Vec<u8> = self.hosts[a].cards.keys().copied().collect();
        if let Some(network) = self.dice.pick(&networks).copied() {
            self.network.set(network, (a, b), false);
            self.outside("link cut", a);
            self.settle();
        }
    }

    fn isolate(&mut self, at: usize) {
        let networks: Vec<u8> = self.hosts[at].cards.keys().copied().collect();
        let only_one = self.dice.chance(600);
        let chosen = self.dice.index(networks.len());
        for (index, network) in networks.into_iter().enumerate() {
            for other in 0..self.hosts.len() {
                if other != at && (!only_one || index == chosen) {
                    self.network.set(network, (at, other), false);
                }
            }
        }
        self.outside("host cut off", at);
        self.settle();
    }

    fn restart_pmxcfs(&mut self, at: usize) {
        if self.hosts[at].mode != Mode::Cluster {
            return;
        }
        self.outside("pmxcfs killed", at);
        self.end_pmxcfs(at);
        self.later(1_500, move |world| world.start_pmxcfs(at));
    }

    /// A backup of the API server is made.
    pub fn keep_history(&mut self) {
        self.backup = Some(self.api.backup());
    }

    /// The API server comes back from its last backup.
    fn lose_history(&mut self) {
        if let Some(backup) = self.backup.take() {
            self.note("API server restored from a backup", 0, String::new);
            self.checks.restored_at = Some(self.now());
            self.api.restore(&backup);
            self.backup = Some(backup);
        }
    }

    /// Somebody removes a lock that is not his own.
    fn forget_lock(&mut self, at: usize) {
        if self.hosts[at].db.lock.is_some() {
            self.outside("lock taken away", at);
            self.drop_lock(at);
        }
    }

    /// The end of everything that goes wrong.
    pub fn heal(&mut self) {
        self.outside("healed", 0);
        if self.rates.api_slow > 0 {
            self.checks.slow_until = Some(self.now());
        }
        self.rates = Rates::default();
        self.network.mend();
        for host in &mut self.hosts {
            host.read_only = false;
            host.slow = false;
            host.lags = false;
            host.api_cut = false;
        }
        self.settle();
    }
}
