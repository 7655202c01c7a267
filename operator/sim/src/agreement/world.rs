//! The world of one seed, and the two parts of a run: faults, then none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::checks::Checks;
use super::storage::{File, Text};
use crate::dice::Dice;
use pvecm_core::change::Course;
use pvecm_core::ids::{ChangeNumber, Fingerprint, NodeId};
use pvecm_core::protocol::{
    Attempt, Effect, Event, InForce, Key, Keys, Machine, Message, Outcome, Record, Setup,
};
use pvecm_core::protocol::{Phase, View};

pub(super) const ATTEMPT: Attempt = Attempt { change: ChangeNumber(7), stage: 1, attempt: 1 };

/// The round of calm in which the network reaches a joiner again that was cut off: all others have undone by then.
const MENDED: u64 = 120;

/// One entry of the order that all hosts of a ring deliver in.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Said(Message),
    Agents(BTreeSet<NodeId>),
}

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) machine: Machine,
    pub(super) life: u64,
    pub(super) view: View,
    pub(super) told_in_force: InForce,
    pub(super) told_runs: InForce,
    pub(super) probing: bool,
}

/// One machine with its disk, which outlives the agent.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what happened to it, each by itself")]
pub(super) struct Host {
    pub(super) up: bool,
    /// corosync runs and the node list names it.
    pub(super) member: bool,
    /// Which side of a cut network it is on.
    pub(super) side: u64,
    /// The ring that it is in now; it follows `side` with a delay.
    pub(super) ring: u64,
    pub(super) agent: Option<Agent>,
    pub(super) ledger: Option<Record>,
    /// On the boot clock; a reboot makes it the past.
    pub(super) deadline: Option<u64>,
    pub(super) inbox: VecDeque<(u64, Item)>,
    pub(super) delivered: u64,
    /// What this host sees in /etc/pve.
    pub(super) sees: File,
    /// On the own disk and in the own corosync.
    pub(super) disk: File,
    pub(super) read_only: bool,
    /// It was started anew in this attempt.
    pub(super) restarted: bool,
    /// The authkey on the own disk, and the one that the own corosync read last.
    pub(super) key: Key,
    pub(super) daemon_key: Key,
    /// When it came into its ring, and from which.
    pub(super) came: Option<(u64, u64)>,
    /// The text that the own corosync was started with.
    pub(super) started: Text,
}

/// What goes on beside the agents and ends later.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Checks,
    Write,
    WriteBack {
        over_parent: bool,
    },
    /// In the kernel: lands even when the agent is killed.
    Rename {
        file: File,
        back: bool,
    },
    Answer(Event),
    Act,
    /// In an outage: corosync stopped, the disk written, corosync starts.
    Start(File),
    Undo,
    Lock,
    Lay {
        key: Key,
        reload: bool,
    },
}

/// Proxmox VE's lock on the file, kept for longer than one write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock {
    pub(super) host: usize,
    pub(super) life: u64,
    pub(super) taken_at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) host: usize,
    pub(super) life: u64,
    pub(super) at: u64,
    pub(super) work: Work,
}

/// What is drawn once per seed.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent traits of a seed")]
pub(super) struct Traits {
    pub(super) course: Course,
    pub(super) voters: usize,
    pub(super) has_back: bool,
    pub(super) timeout: u64,
    /// The tie is broken by a device; else by a vote lent to the lowest id.
    pub(super) device: bool,
    /// Who runs the new text reaches nobody.
    pub(super) cuts_off: bool,
    pub(super) never_holds: bool,
    pub(super) checks_fail: Option<usize>,
    pub(super) joiner_broken: bool,
    pub(super) fault: u64,
    pub(super) crash: u64,
    pub(super) slow: bool,
    /// Much time passes between steps.
    pub(super) hurried: bool,
    pub(super) person: bool,
    /// The stage exchanges the authkey.
    pub(super) exchanges: bool,
    /// Who was started with the new text hears only who was as well, as over another transport.
    pub(super) parts: bool,
    /// In an outage: corosync does not start on this host with the new text.
    pub(super) breaks: Option<usize>,
    /// Who starts is cut off in the moment in which it holds, for longer than the others wait.
    pub(super) loses_joiner: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) jobs: Vec<Job>,
    pub(super) traits: Traits,
    /// What the quorate part holds in /etc/pve.
    pub(super) file: File,
    pub(super) edited: bool,
    pub(super) lock: Option<Lock>,
    pub(super) sequence: u64,
    pub(super) rings: u64,
    pub(super) lives: u64,
    pub(super) checks: Checks,
    pub(super) calm: bool,
    pub(super) trace: Option<Vec<String>>,
}

/// How a seed ended.
#[derive(Debug)]
pub struct Report {
    /// What each host said last.
    pub outcomes: BTreeMap<NodeId, Outcome>,
    /// The rule that was broken.
    pub broken: Option<String>,
    /// Every step, when asked for.
    pub trace: Vec<String>,
}

pub(super) fn id(at: usize) -> NodeId {
    NodeId::try_from(u32::try_from(at + 1).expect("few hosts")).expect("not zero")
}

/// Runs one seed to its end.
#[must_use]
pub fn simulate(seed: u64, traced: bool) -> Report {
    let mut world = World::new(seed, traced);
    for at in 0..world.hosts.len() {
        world.start_agent(at);
    }
    let steps = 100 + world.dice.below(300);
    for _ in 0..steps {
        world.random_step();
        if world.checks.broken.is_some() {
            return world.report();
        }
    }
    world.heal();
    // Who has an outcome may still have to hear of the others' keys, which takes two seconds.
    let mut settled = 0;
    for round in 0..1200 {
        world.calm_round(round);
        if world.checks.broken.is_some() {
            return world.report();
        }
        settled = if world.settled() { settled + 1 } else { 0 };
        if settled > if world.traits.exchanges { 12 } else { 4 } {
            break;
        }
    }
    world.check_end();
    world.report()
}

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let voters = 1 + dice.index(5);
        let outage = dice.chance(300);
        let start = !outage && dice.chance(250);
        let restart = start && dice.chance(400);
        let file = if start { File::NEW } else { File::PARENT };
        let traits = Traits {
            course: match (start, restart) {
                (true, true) => Course::Restart,
                (true, false) => Course::Start,
                (false, _) if outage => Course::Outage,
                (false, _) => Course::Write,
            },
            voters,
            has_back: !start || restart || dice.chance(700),
            timeout: if outage { 10_000 } else { [2_000, 10_000][dice.index(2)] },
            device: dice.chance(500),
            cuts_off: !start && dice.chance(150),
            parts: outage && dice.chance(700),
            breaks: (outage && dice.chance(200)).then(|| dice.index(voters)),
            never_holds: dice.chance(150),
            checks_fail: dice.chance(50).then(|| dice.index(voters)),
            joiner_broken: dice.chance(300),
            fault: [0, 10, 30, 80][dice.index(4)],
            crash: [0, 0, 5, 20][dice.index(4)],
            slow: dice.chance(300),
            hurried: dice.chance(400),
            person: dice.chance(150),
            exchanges: !start && !outage && dice.chance(400),
            loses_joiner: start && !restart && dice.chance(400),
        };
        let hosts =
            (0..voters + usize::from(start)).map(|at| Host::new(restart || at < voters, file));
        Self {
            hosts: hosts.collect(),
            checks: Checks::new(voters, restart),
            dice,
            now: 1_000,
            jobs: Vec::new(),
            traits,
            file,
            edited: false,
            lock: None,
            sequence: 0,
            rings: 10,
            lives: 0,
            calm: false,
            trace: traced.then(Vec::new),
        }
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now, what()));
        }
    }

    pub(super) fn setup(&self, at: usize) -> Setup {
        let host = &self.hosts[at];
        let voters = self.traits.voters;
        let recovered = host.ledger.clone().map(|mut record| {
            record.remaining_ms = host.deadline.map(|end| end.saturating_sub(self.now));
            record
        });
        let pair = |lies| Keys { old: Fingerprint::of(b"old"), new: Fingerprint::of(b"new"), lies };
        Setup {
            me: id(at),
            attempt: ATTEMPT,
            course: self.traits.course,
            group: (0..voters).map(id).collect(),
            joining: (voters..self.hosts.len()).map(id).collect(),
            names: BTreeMap::new(),
            has_back: self.traits.has_back,
            confirm_timeout_ms: self.traits.timeout,
            in_force: host.sees.text.in_force(),
            runs: self.runs(at),
            keys: self.traits.exchanges.then(|| pair(Some(host.key))),
            recovered,
        }
    }

    /// Hands an event to an agent and carries out what it says; it may be killed in between.
    pub(super) fn event(&mut self, at: usize, event: Event) {
        let now = self.now;
        if self.hosts[at].agent.is_none() {
            return;
        }
        self.note(|| format!("{} <- {event:?}", at + 1));
        let Some(agent) = self.hosts[at].agent.as_mut() else { return };
        let effects = agent.machine.on(event, now);
        self.carry_out(at, effects);
    }

    pub(super) fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            if !self.calm && self.dice.chance(self.traits.crash) {
                self.kill_agent(at);
                return;
            }
            self.effect(at, effect);
        }
    }

    /// Without faults: time passes evenly and everything is delivered.
    fn calm_round(&mut self, round: u64) {
        self.now += 250;
        if round >= MENDED {
            self.hosts.iter_mut().for_each(|host| host.side = 0);
        }
        self.reform();
        for at in 0..self.hosts.len() {
            self.start_agent(at);
            self.tell_view(at);
            while self.deliver(at) {}
            self.tell_in_force(at);
            self.tell_runs(at);
            self.probe(at);
            self.event(at, Event::Tick);
        }
        while self.run_job() {}
        if round.is_multiple_of(8) {
            self.pass_on();
        }
    }

    /// A host that was taken off the node list again hears nothing in the group: the control plane passes on to it
    /// that a member undid the stage, once that one has told so.
    pub(super) fn pass_on(&mut self) {
        if self.traits.course != Course::Start {
            return;
        }
        let voters = self.traits.voters;
        let ended = self.hosts[..voters].iter().filter_map(|host| host.ledger.as_ref());
        let mut ended = ended.map(|record| &record.phase).filter(|phase| phase.is_outcome());
        let undone = ended.find(|phase| **phase != Phase::Confirmed);
        let Some(why) = undone.map(|phase| phase.sentence().to_owned()) else { return };
        for joiner in voters..self.hosts.len() {
            self.event(joiner, Event::Told(why.clone()));
        }
    }

    fn settled(&self) -> bool {
        self.jobs.is_empty()
            && self.hosts.iter().all(|host| {
                host.inbox.is_empty()
                    && host.ledger.as_ref().is_some_and(|record| record.phase.is_outcome())
            })
            && (self.traits.course != Course::Outage || self.all_told())
    }

    /// In an outage the outcome is told when the daemon runs what belongs to it.
    fn all_told(&self) -> bool {
        (0..self.hosts.len()).all(|at| self.checks.outcomes.contains_key(&id(at)))
    }

    /// What must be true once the faults are over.
    fn check_end(&mut self) {
        let phases: Vec<Option<Phase>> =
            self.hosts.iter().map(|host| host.ledger.as_ref().map(|r| r.phase.clone())).collect();
        if self.edited && self.traits.course == Course::Outage {
            // A person's file is left alone, also on a disk from which nobody hears the others: it is on a
            // person then.
            return;
        }
        if !self.settled() {
            return self.checks.fail(format!("no end: {phases:?}"));
        }
        let kinds: BTreeSet<&str> = self.kinds();
        let failed = kinds.contains("failed");
        if kinds.len() > 1 && !failed {
            return self.checks.fail(format!("different outcomes: {:?}", self.checks.outcomes));
        }
        let members = !matches!(self.traits.course, Course::Start | Course::Restart);
        if failed && !self.edited && members {
            return self.checks.fail("failed, and nobody edited the file".to_owned());
        }
        let texts: BTreeSet<Text> =
            self.hosts[..self.traits.voters].iter().map(|host| host.disk.text).collect();
        let start = !members;
        let back = |at| self.checks.outcomes.get(&id(at)).is_some_and(|o| kind(o) == "rolled back");
        let to_undo = !start || (self.traits.has_back && (0..self.traits.voters).any(back));
        let fits = |text: &Text| match kinds.first() {
            Some(&"confirmed") => *text == Text::New || self.edited,
            Some(&"undone") => *text != Text::New || !to_undo,
            _failed => true,
        };
        if !failed && (texts.len() > 1 || !texts.iter().all(fits)) {
            let hosts: Vec<_> = self.hosts.iter().map(|host| (host.sees, host.disk)).collect();
            self.checks.fail(format!("{kinds:?}, but the texts are {:?} {hosts:?}", self.file));
        }
        if self.traits.exchanges {
            self.check_keys(kinds.contains("confirmed"));
        }
        if self.traits.course == Course::Outage {
            self.check_daemons(kinds.contains("confirmed"));
        }
    }

    /// The same key on every disk and in every daemon, and the one that belongs to the outcome.
    fn check_keys(&mut self, confirmed: bool) {
        let wanted = if confirmed { Key::New } else { Key::Old };
        let keys: Vec<_> = self.hosts.iter().map(|host| (host.key, host.daemon_key)).collect();
        if keys.iter().any(|pair| *pair != (wanted, wanted)) {
            self.checks.fail(format!("{:?}, but the keys are {keys:?}", self.checks.outcomes));
        }
    }

    /// After an outage every daemon was started with what belongs to the outcome.
    fn check_daemons(&mut self, confirmed: bool) {
        let new: Vec<_> = self.hosts.iter().map(|host| host.started == Text::New).collect();
        if new.iter().any(|new| *new != confirmed) {
            self.checks.fail(format!("{:?}, but started new: {new:?}", self.checks.outcomes));
        }
    }

    /// How the hosts ended. Refused and rolled back may stand side by side: one host went while the
    /// others gave up. Both say that the stage is not in force.
    fn kinds(&self) -> BTreeSet<&'static str> {
        let of = |outcome: &Outcome| match kind(outcome) {
            "rolled back" | "refused" => "undone",
            other => other,
        };
        self.checks.outcomes.values().map(of).collect()
    }

    fn report(self) -> Report {
        Report {
            outcomes: self.checks.outcomes,
            broken: self.checks.broken,
            trace: self.trace.unwrap_or_default(),
        }
    }
}

impl Host {
    fn new(member: bool, file: File) -> Self {
        Self {
            up: true,
            member,
            side: 0,
            ring: u64::from(!member),
            agent: None,
            ledger: None,
            deadline: None,
            inbox: VecDeque::new(),
            delivered: 0,
            sees: file,
            disk: file,
            read_only: false,
            restarted: false,
            key: Key::Old,
            daemon_key: Key::Old,
            came: None,
            started: file.text,
        }
    }
}

pub(super) fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed => "confirmed",
        Outcome::RolledBack(_) => "rolled back",
        Outcome::Refused(_) => "refused",
        Outcome::Failed(_) => "failed",
    }
}
