//! One seed from its beginning to its end: a quiet start, wishes and faults, and the time after.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pvecm_agent::ports::LedgerStore;
use pvecm_agent::seal::SealingKey;

use crate::absence::{self, Tale};
use crate::faults::Rates;
use crate::setup::hosts;
use crate::trace::Trace;
use crate::wish::{JOIN, Wish};
use crate::world::{Shared, World, runtime};
use crate::{agent, gate, operator, person};

/// What is asked of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// So many hosts; `None`: the seed decides.
    pub hosts: Option<usize>,
    /// What goes wrong; `None`: the seed decides.
    pub rates: Option<Rates>,
    /// What is told besides; `None`: the seed decides.
    pub tale: Option<Tale>,
    /// Keep every step in words.
    pub words: bool,
}

/// What became of a seed.
#[derive(Debug, Clone)]
pub struct Report {
    /// The first rule that was broken.
    pub broken: Option<String>,
    /// The number that all runs of this seed share.
    pub hash: u64,
    /// How many steps there were.
    pub steps: u64,
    /// The steps in words, if they were kept.
    pub words: Vec<String>,
    /// How many hosts.
    pub hosts: usize,
    /// How the changes ended.
    pub changes: BTreeMap<String, usize>,
    /// How the cluster stood at the end.
    pub end: String,
    /// Milliseconds of the virtual clock.
    pub millis: u64,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, options: Options) -> Report {
    fastrand::seed(seed);
    let runtime = runtime();
    let report = runtime.block_on(tell(seed, options));
    drop(runtime);
    report
}

/// Sealing keys, made once for the process: making them is the slowest thing here, and nothing
/// depends on what they are.
fn keys() -> Arc<Vec<Vec<u8>>> {
    static KEYS: OnceLock<Arc<Vec<Vec<u8>>>> = OnceLock::new();
    KEYS.get_or_init(|| Arc::new((0..64).map(|_| new_key()).collect())).clone()
}

fn new_key() -> Vec<u8> {
    #[derive(Default)]
    struct Kept(std::sync::Mutex<Vec<u8>>);
    impl LedgerStore for Kept {
        fn load(&self) -> std::io::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn save(&self, bytes: &[u8]) -> std::io::Result<()> {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bytes.to_vec();
            Ok(())
        }
    }
    let kept = Kept::default();
    let made = SealingKey::open(&kept);
    debug_assert!(made.is_ok(), "a key is made without asking anybody");
    kept.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn tell(seed: u64, options: Options) -> Report {
    let shared = Shared::new(seed, Rates::default(), Trace::new(options.words));
    let (mut wish, rates) = shared.with(|world| begin(world, options));
    let tasks = [
        tokio::spawn(agent::keep_running(shared.clone(), keys())),
        tokio::spawn(operator::keep_running(shared.clone())),
        tokio::spawn(gate::keep_running(shared.clone())),
    ];
    let adopted = shared.with(|world| world.hosts.iter().any(|host| host.daemon.is_some()));
    if adopted {
        shared.with(|world| world.checks.at_rest = true);
    }
    pause(&shared, 20_000).await;
    shared.with(|world| world.checks.at_rest = false);
    shared.with(|world| world.rates = rates);
    let tale = tokio::spawn(absence::tell(shared.clone(), shared.with(|world| world.tale)));
    act(&shared, &mut wish).await;
    while !tale.is_finished() && shared.with(|world| world.checks.broken.is_none()) {
        pause(&shared, 1_000).await;
    }
    tale.abort();
    shared.with(|world| {
        world.heal();
        world.strike_the_dead(&mut wish);
    });
    settle(&shared, &mut wish).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    shared.with(report)
}

fn begin(world: &mut World, options: Options) -> (Wish, Rates) {
    let drawn = hosts(world);
    let told = Tale::drawn(&mut world.dice);
    world.tale = options.tale.unwrap_or(told);
    let count = options.hosts.unwrap_or(world.tale.hosts(drawn));
    let drawn = Rates::drawn(&mut world.dice);
    let rates = options.rates.unwrap_or(drawn);
    let fresh = world.dice.chance(150);
    let absent = matches!(world.tale, Tale::Dead | Tale::Away | Tale::Recovery);
    let formed = match (absent, fresh) {
        (true, _) => count,
        (false, true) => 0,
        (false, false) => count - world.dice.index(2),
    };
    world.shares = world.tale.separates() && world.dice.chance(300);
    let operators = if rates.rivals > 0 { 2 } else { 1 };
    world.operators = (0..operators).map(|_| None).collect();
    let wish = world.set_up(count, formed.min(count));
    let tale = world.tale;
    world.note("begins", 0, || format!("{count} hosts, {formed} formed, {tale:?}, {rates:?}"));
    (wish, rates)
}

async fn pause(shared: &Shared, millis: u64) {
    let mut left = millis;
    while left > 0 && shared.with(|world| world.checks.broken.is_none()) {
        let now = left.min(1_000);
        tokio::time::sleep(Duration::from_millis(now)).await;
        shared.with(|world| {
            world.watch_alone();
            world.watch_gone();
        });
        left -= now;
    }
}

/// The user wants one thing after the other, and things go wrong.
async fn act(shared: &Shared, wish: &mut Wish) {
    let steps = shared.with(|world| world.dice.between(2, 7));
    for _ in 0..steps {
        happen(shared, wish);
        let wait = shared.with(|world| {
            let long = world.rates.hosts > 0 && world.dice.chance(80);
            // What follows at once meets what nobody has noticed yet.
            let soon = world.dice.chance(250);
            match (long, soon) {
                (true, _) => world.dice.between(100_000, 250_000),
                (false, true) => world.dice.between(20, 1_500),
                (false, false) => world.dice.between(200, 15_000),
            }
        });
        pause(shared, wait).await;
        if shared.with(|world| world.checks.broken.is_some()) {
            return;
        }
    }
}

/// One fault, one person's edit or one wish.
fn happen(shared: &Shared, wish: &mut Wish) {
    let (fault, person) = shared.with(|world| {
        if world.rates.hosts > 0 && world.dice.chance(300) {
            let wait = world.dice.below(10_000);
            world.later(wait, World::keep_history);
        }
        let chances = (world.rates.hosts, world.rates.person);
        (world.dice.chance(chances.0), world.dice.chance(chances.1))
    });
    if fault {
        shared.with(World::fault);
    } else if person {
        tokio::spawn(person::edit(shared.clone()));
    } else if !shared.with(|world| world.ends) {
        shared.with(|world| wants(world, wish));
    }
}

fn wants(world: &mut World, wish: &mut Wish) {
    let separates = world.tale == Tale::Separation;
    let turns = separates && world.dice.chance(500);
    let kind = if turns { wish.turn(&mut world.dice) } else { wish.walk(&mut world.dice) };
    world.note("the user wants", 0, || format!("{kind}: {wish:?}"));
    if separates {
        world.move_guests(wish);
    }
    world.want(wish);
    let joiner = wish.nodes.len() - 1;
    if kind == JOIN && world.rates.hosts > 0 && world.dice.chance(400) {
        let wait = world.dice.between(500, 8_000);
        world.later(wait, move |world| {
            // Not after the end of all faults.
            if world.rates.hosts > 0 {
                world.fault_of_joiner(joiner);
            }
        });
    }
}

/// After the faults everything comes to what is wanted, and then nobody writes anything. A person gives
/// what was undone too often another try.
async fn settle(shared: &Shared, wish: &mut Wish) {
    const BOUND_MS: u64 = 900_000;
    let begun = shared.with(|world| world.now());
    let (mut stalled, mut round) = (0, 0);
    loop {
        pause(shared, 5_000).await;
        let (state, reason, now) = shared.with(|world| {
            let state = match world.checks.broken {
                Some(_) => Ok(()),
                None if world.ends => world.has_ended(),
                None => world.stands(wish),
            };
            (state, world.stalled(), world.now())
        });
        let Err(why) = state else { break };
        if now > begun + BOUND_MS {
            return shared.with(|world| {
                let said = world.said();
                world.broken(format!("not as wanted after {} s: {why}; {said}", BOUND_MS / 1000));
            });
        }
        round += 1;
        if round % 6 == 2 {
            shared.with(|world| {
                world.repair();
                if world.tale == Tale::Separation {
                    world.move_guests(wish);
                }
            });
        }
        shared.with(|world| {
            if world.tale.separates() {
                world.agree_to_part();
            }
        });
        stalled = if reason.is_some_and(|r| AGAIN.contains(&r.as_str())) { stalled + 1 } else { 0 };
        if stalled == 4 {
            wish.confirm_timeout_secs += 1;
            shared.with(|world| {
                world.note("the user tries again", 0, String::new);
                world.want(wish);
            });
        }
    }
    silence(shared).await;
}

/// What a person lets go on by touching the spec.
const AGAIN: [&str; 2] = ["RolledBack", "Failed"];

/// At rest nobody writes anything but heartbeats.
async fn silence(shared: &Shared) {
    const SILENT_MS: u64 = 30_000;
    // What was just reached is still being reported. An agent looks only after a while whether the API
    // server still holds what it was told.
    let restored = shared.with(|world| world.checks.restored_at.is_some());
    pause(shared, if restored { 20_000 } else { 10_000 }).await;
    let before = shared.with(|world| {
        world.checks.at_rest = true;
        world.api.writes
    });
    pause(shared, SILENT_MS).await;
    shared.with(|world| {
        let written = world.api.writes - before;
        if written > 0 {
            world.broken(format!("{written} writes to the API server at rest"));
        }
    });
}

fn report(world: &mut World) -> Report {
    Report {
        broken: world.checks.broken.clone(),
        hash: world.trace.hash(),
        steps: world.trace.steps(),
        words: world.trace.words().to_vec(),
        hosts: world.hosts.len(),
        changes: world.outcomes(),
        end: world.said(),
        millis: world.now(),
    }
}
