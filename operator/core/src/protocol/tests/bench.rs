//! One machine on a bench: events go in, and what it said and did can be asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::Course;
use crate::ids::{ChangeNumber, Fingerprint, NodeId};
use crate::protocol::{Attempt, Effect, Event, InForce, Key, KeyWord, Keys, Machine, Message};
use crate::protocol::{Outcome, Phase};
use crate::protocol::{Record, Setup, View};

const ATTEMPT: Attempt = Attempt { change: ChangeNumber(3), stage: 2, attempt: 1 };

pub(super) struct Bench {
    machine: Machine,
    pub(super) now: u64,
    /// Everything since the last `forget`.
    pub(super) done: Vec<Effect>,
}

pub(super) fn id(number: u32) -> NodeId {
    NodeId::try_from(number).unwrap()
}

pub(super) fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(id).collect()
}

/// A host of a group of `hosts` that is about to write.
pub(super) fn setup(me: u32, hosts: u32) -> Setup {
    Setup {
        me: id(me),
        attempt: ATTEMPT,
        course: Course::Write,
        group: ids(1..=hosts),
        joining: BTreeSet::new(),
        names: BTreeMap::new(),
        has_back: true,
        confirm_timeout_ms: 30_000,
        in_force: InForce::Parent,
        keys: None,
        runs: InForce::Parent,
        recovered: None,
    }
}

/// The same host after its agent was killed.
pub(super) fn recovered(me: u32, hosts: u32, phase: Phase) -> Setup {
    let record = Record {
        phase,
        remaining_ms: Some(20_000),
        writer: Some(id(1)),
        restored: false,
        stopped: false,
    };
    Setup { recovered: Some(record), ..setup(me, hosts) }
}

/// The two keys of an exchange, with one of them in its place.
pub(super) fn keys(lies: Key) -> Keys {
    Keys { old: Fingerprint::of(b"old"), new: Fingerprint::of(b"new"), lies: Some(lies) }
}

pub(super) fn undo() -> Phase {
    Phase::RollingBack { sentence: "link 1 is down".to_owned() }
}

pub(super) fn view(members: impl IntoIterator<Item = u32>, quorate: bool) -> View {
    let members = ids(members);
    View { quorate, writable: quorate, agents: members.clone(), members }
}

impl Bench {
    /// Starts with everybody present and quorate.
    pub(super) fn start(setup: Setup) -> Self {
        let present: Vec<u32> = setup.group.iter().map(|id| id.get()).collect();
        let (machine, done) = Machine::new(setup, 0);
        let mut bench = Self { machine, now: 0, done };
        bench.on(Event::View(view(present, true)));
        bench
    }

    /// A host whose agent was killed after the outcome.
    pub(super) fn over(setup: Setup) -> Self {
        let present: Vec<u32> = setup.group.iter().map(|id| id.get()).collect();
        let mut bench = Self { machine: Machine::over(setup, 0), now: 0, done: Vec::new() };
        bench.on(Event::View(view(present, true)));
        bench
    }

    /// Host 1 or another one of `hosts` that has just voted to begin, as everybody did.
    pub(super) fn gone(me: u32, hosts: u32) -> Self {
        let mut bench = Self::start(setup(me, hosts));
        bench.on(Event::Checks(Ok(())));
        (1..=hosts).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
        (1..=hosts).for_each(|from| bench.hear(from, Phase::Going));
        bench
    }

    pub(super) fn on(&mut self, event: Event) {
        self.done.extend(self.machine.on(event, self.now));
    }

    pub(super) fn tick_at(&mut self, now: u64) {
        self.now = now;
        self.on(Event::Tick);
    }

    pub(super) fn hear(&mut self, from: u32, phase: Phase) {
        self.hear_key(from, phase, None);
    }

    /// The same in a stage that exchanges the authkey.
    pub(super) fn hear_key(&mut self, from: u32, phase: Phase, key: impl Into<Option<KeyWord>>) {
        let writer = (!matches!(phase, Phase::Prepared { .. })).then(|| id(1));
        let message = Message {
            attempt: ATTEMPT,
            from: id(from),
            phase,
            writable: true,
            writer,
            over_parent: false,
            key: key.into(),
        };
        self.on(Event::Delivered(message));
    }

    /// Hands the own words back, as the group does.
    pub(super) fn hear_itself(&mut self) {
        let said = self.done.iter().rev().find_map(|effect| match effect {
            Effect::Send(message) => Some(message.clone()),
            _other => None,
        });
        self.on(Event::Delivered(said.expect("it has said something")));
    }

    pub(super) fn forget(&mut self) {
        self.done.clear();
    }

    /// What the ledger holds.
    pub(super) fn phase(&self) -> Phase {
        let persisted = self.done.iter().rev().find_map(|effect| match effect {
            Effect::Persist(record) => Some(record.phase.clone()),
            _other => None,
        });
        persisted.expect("nothing was persisted")
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.done.iter().find_map(|effect| match effect {
            Effect::Done(outcome) => Some(outcome.clone()),
            _other => None,
        })
    }

    pub(super) fn did(&self, effect: &Effect) -> bool {
        self.done.contains(effect)
    }
}
