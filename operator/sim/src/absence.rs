//! Machines that a person takes off their power, what is stated of them, and how they come back: the courses of
//! ADR 0006 and 0008 to 0011. One in five seeds has such a tale, beside its wishes and faults.
//!
//! The person is honest about machines that are off, now and then wrong about one that runs, and switches on what
//! was given up only where somebody can be asked: what runs together with nobody in reach no gate can hold.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Kind, Write};
use crate::dice::Dice;
use crate::separation;
use crate::wish::Wish;
use crate::world::{Host, Shared, World};

/// What a seed tells besides its wishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tale {
    /// Nobody is absent.
    #[default]
    None,
    /// A machine dies and is removed; its disk boots again.
    Dead,
    /// A machine is off for a while and remains a member.
    Away,
    /// So many die that quorum is lost, and the others go on without them.
    Recovery,
    /// Who is removed goes on alone.
    Separation,
    /// The cluster's object is deleted, and every host goes on alone.
    Dissolution,
}

/// What a person says of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// It does not come back; else it does.
    pub dead: bool,
    /// When the permission to act on it ends.
    pub until: Option<u64>,
}

impl Stated {
    /// Whether it says at a moment that the machine is dead.
    #[must_use]
    pub fn is_dead_at(self, now: u64) -> bool {
        self.dead && self.until.is_none_or(|until| now < until)
    }
}

impl Tale {
    /// One seed in five has one.
    pub fn drawn(dice: &mut Dice) -> Self {
        match dice.below(24) {
            0 => Self::Dead,
            1 => Self::Away,
            2 => Self::Recovery,
            3 => Self::Separation,
            4 => Self::Dissolution,
            _most => Self::None,
        }
    }

    /// Few hosts: what is absent of many changes nothing, and each that comes back joins by itself.
    #[must_use]
    pub fn hosts(self, drawn: usize) -> usize {
        match self {
            Self::None => drawn,
            Self::Dead | Self::Away | Self::Recovery | Self::Separation | Self::Dissolution => {
                3 + drawn % 3
            }
        }
    }

    /// Whether hosts go on alone in it.
    #[must_use]
    pub const fn separates(self) -> bool {
        matches!(self, Self::Separation | Self::Dissolution)
    }
}

/// Tells it to its end: every machine has its power again, or is dead for good.
pub async fn tell(shared: Shared, tale: Tale) {
    if tale == Tale::Dissolution {
        return separation::dissolve(shared).await;
    }
    let dead = tale != Tale::Away;
    let absent = shared.with(|world| world.chosen(tale));
    if absent.is_empty() {
        return;
    }
    // Somebody states it of a machine that runs: nothing may come of it as long as it does.
    let too_early = shared.with(|world| world.dice.chance(300));
    if too_early {
        state(&shared, &absent, Some(dead));
        // Its agent may be silent meanwhile: the others hear its corosync.
        shared.with(|world| {
            let cut = world.dice.chance(700);
            world.cut_api(&absent, cut);
        });
        wait(&shared, (1_000, 60_000)).await;
        shared.with(|world| world.cut_api(&absent, false));
    }
    for at in &absent {
        shared.with(|world| world.power_off(*at));
        wait(&shared, (0, 800)).await;
    }
    if !too_early {
        wait(&shared, (0, 30_000)).await;
        state(&shared, &absent, Some(dead));
    }
    go_on(&shared, (tale, &absent)).await;
    come_back(&shared, (tale, &absent)).await;
}

fn state(shared: &Shared, absent: &[usize], dead: Option<bool>) {
    for at in absent {
        shared.with(|world| world.state(*at, dead));
    }
}

/// Somebody takes his time.
pub async fn wait(shared: &Shared, (from, to): (u64, u64)) {
    let millis = shared.with(|world| world.dice.between(from, to));
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// The others go on without them, mostly for long enough that something comes of it. A person approves a recovery.
async fn go_on(shared: &Shared, (tale, absent): (Tale, &[usize])) {
    const LOOKS_EACH_MS: u64 = 3_000;
    let most = shared.with(|world| {
        let in_the_middle = world.dice.chance(250);
        if in_the_middle { world.dice.between(2_000, 40_000) } else { 100_000 }
    });
    for _ in 0..most / LOOKS_EACH_MS {
        let (is_over, changes_mind) = shared.with(|world| {
            let may = tale == Tale::Recovery && world.dice.chance(600);
            let approved = may && world.approve("Recovery");
            let is_over = match tale {
                Tale::Away => world.dice.chance(80),
                _dead => world.are_gone(absent) && world.dice.chance(300),
            };
            (is_over, approved && world.dice.chance(200))
        });
        if changes_mind {
            // Between its stages perhaps: what was lowered for it is put back.
            wait(shared, (60, 600)).await;
            return state(shared, absent, None);
        }
        if is_over {
            return;
        }
        tokio::time::sleep(Duration::from_millis(LOOKS_EACH_MS)).await;
    }
}

/// They are switched on, together or one by one, before or after the statement is taken back. Some of the dead
/// never are.
async fn come_back(shared: &Shared, (tale, absent): (Tale, &[usize])) {
    let (first, for_good) = shared.with(|world| {
        let stays = world.are_gone(absent) && absent.iter().all(|at| world.is_dead_for_good(*at));
        (world.dice.chance(200), tale == Tale::Dead && stays && world.dice.chance(250))
    });
    if for_good {
        return;
    }
    if first {
        state(shared, absent, None);
        wait(shared, (0, 20_000)).await;
    }
    reachable(shared, absent).await;
    let again = shared.with(|world| {
        let known = world.are_gone(absent) && absent.iter().all(|at| world.can_ask_peers(*at));
        let again = known && world.dice.chance(300);
        world.cut_api(absent, again);
        again
    });
    for at in absent {
        shared.with(|world| world.power_on(*at));
        wait(shared, (0, 300)).await;
    }
    if again {
        boot_again(shared, absent).await;
    }
    wait(shared, (6_000, 40_000)).await;
    shared.with(|world| {
        // Too late: they are seen by now.
        if tale == Tale::Recovery && world.rates.hosts == 0 {
            world.approve("Recovery");
        }
    });
    if !first {
        state(shared, absent, None);
    }
}

/// Those that the others' word holds are booted once more, with nobody but each other in reach: what they know from
/// before holds them.
async fn boot_again(shared: &Shared, absent: &[usize]) {
    const GATE_MS: u64 = 10_000;
    tokio::time::sleep(Duration::from_millis(GATE_MS)).await;
    let held = shared.with(|world| {
        let held = absent.iter().all(|at| world.hosts[*at].is_held());
        if held {
            world.part(absent);
            for at in absent {
                world.power_off(*at);
            }
        }
        held
    });
    if held {
        for at in absent {
            shared.with(|world| world.power_on(*at));
        }
        wait(shared, (GATE_MS, 3 * GATE_MS)).await;
    }
    shared.with(|world| {
        world.network.mend();
        world.settle();
        world.cut_api(absent, false);
    });
}

/// Waits until who is switched on finds somebody who tells it that it was given up. While a recovery goes on
/// nobody does it: no look can exclude what comes of that (ADR 0011).
async fn reachable(shared: &Shared, absent: &[usize]) {
    for tries in 0.. {
        let done = shared.with(|world| {
            if tries > 20 {
                world.network.mend();
                world.settle();
                world.cut_api(absent, false);
            }
            let gone = world.are_gone(absent);
            !world.recovers() && (!gone || absent.iter().all(|at| world.can_ask(*at)))
        });
        if done || tries > 60 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

impl World {
    /// Who is dead for good is no longer wanted: as long as the spec names it, all is not as wanted.
    pub fn strike_the_dead(&mut self, wish: &mut Wish) {
        let before = wish.nodes.len();
        wish.nodes.retain(|at, _| !self.hosts[*at].off);
        if wish.nodes.len() < before {
            self.want(wish);
        }
    }

    /// Members that are to be off: one, or so many that the others have no quorum.
    fn chosen(&mut self, tale: Tale) -> Vec<usize> {
        let members = self.hosts.iter().enumerate().filter(|(_, host)| host.daemon.is_some());
        let mut members: Vec<usize> = members.map(|(at, _)| at).collect();
        let count = match tale {
            Tale::None | Tale::Separation | Tale::Dissolution => 0,
            Tale::Dead | Tale::Away => usize::from(members.len() > 2),
            Tale::Recovery => members.len().div_ceil(2).min(members.len().saturating_sub(1)),
        };
        let mut chosen: Vec<usize> = (0..count)
            .map(|_| {
                let place = self.dice.index(members.len());
                members.remove(place)
            })
            .collect();
        chosen.sort_unstable();
        chosen
    }

    /// A person states something of a machine, or takes it back.
    pub fn state(&mut self, at: usize, dead: Option<bool>) {
        let now = self.now();
        if dead.is_none() {
            // Votes that were lowered for it are put back.
            self.outside("a person takes back", at);
        }
        self.note("a person states", at, || format!("dead: {dead:?}"));
        let until = self.dice.chance(300).then(|| now + self.dice.between(15_000, 60_000));
        if let Some(before) = self.hosts[at].stated.filter(|before| before.dead) {
            self.hosts[at].dead_until = before.until.unwrap_or(now).min(now);
        }
        self.hosts[at].stated = dead.map(|dead| Stated { dead, until });
        let (name, body) = (self.hosts[at].name.clone(), self.host_object(at));
        let key = (Kind::Host, name.as_str());
        let stated = self.api.apply(Write { key, manager: "user", status: false, body });
        debug_assert!(stated.is_ok(), "the object of a host is there from the beginning");
    }

    fn cut_api(&mut self, absent: &[usize], cut: bool) {
        for at in absent {
            self.hosts[*at].api_cut = cut;
        }
    }

    /// Cuts machines off from all others, and not from each other.
    fn part(&mut self, absent: &[usize]) {
        let others = (0..self.hosts.len()).filter(|other| !absent.contains(other));
        for (other, at) in others.flat_map(|other| absent.iter().map(move |at| (other, *at))) {
            for network in self.hosts[at].cards.keys() {
                self.network.set(*network, (other, at), false);
            }
        }
        self.outside("machines cut off", absent.first().copied().unwrap_or(0));
        self.settle();
    }

    fn is_dead_for_good(&self, at: usize) -> bool {
        self.hosts[at].stated.is_some_and(|stated| stated.dead && stated.until.is_none())
    }

    fn open(&self, risk: &str, approved: bool) -> Option<String> {
        let is_it = |value: &Value| {
            value["spec"]["plan"]["risk"] == risk
                && (value["spec"]["approved"] == true) == approved
                && value["status"]["outcome"].is_null()
        };
        let mut all = self.api.all(Kind::Change);
        all.find(|(_, change)| is_it(&change.value)).map(|(name, _)| name.clone())
    }

    /// Whether votes are being taken from the dead, or are not given back yet.
    fn recovers(&self) -> bool {
        let lowered = |host: &Host| host.daemon.as_ref().is_some_and(|d| d.lowered.is_some());
        self.open("Recovery", true).is_some() || self.hosts.iter().any(lowered)
    }

    /// What has such a risk always waits for a person; whether something waited.
    pub fn approve(&mut self, risk: &str) -> bool {
        let Some(name) = self.open(risk, false) else { return false };
        self.note("a person approves", 0, || name.clone());
        let (key, body) = ((Kind::Change, name.as_str()), json!({"spec": {"approved": true}}));
        self.api.apply(Write { key, manager: "user", status: false, body }).is_ok()
    }

    /// Whether the list in force has none of them any more.
    fn are_gone(&mut self, absent: &[usize]) -> bool {
        let quorate = self.hosts.iter().find(|host| host.quorate());
        let Some(conf) = quorate.and_then(|host| host.db.conf.clone()) else { return false };
        let parsed = self.parse(&conf);
        let Some(config) = parsed.config() else { return false };
        let is = |at: &usize| &self.hosts[*at].name;
        !absent.iter().any(|at| config.nodes.iter().any(|node| node.name.as_str() == is(at)))
    }

    /// Whether the gate of a machine that boots now finds a quorate member that lets it in, or the API server.
    fn can_ask(&self, at: usize) -> bool {
        let by_api = self.rates.api == 0 && self.rates.api_slow == 0;
        by_api && !self.hosts[at].api_cut || self.can_ask_peers(at)
    }

    fn can_ask_peers(&self, at: usize) -> bool {
        let asks = &self.hosts[at];
        self.hosts.iter().enumerate().any(|(other, host)| {
            let reached = asks.cards.keys().all(|net| self.network.connects(*net, at, other));
            host.quorate() && reached && host.db.answers(&asks.name)
        })
    }
}
