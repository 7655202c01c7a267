//! The rules, checked at every step from what the hosts persisted, not from what they believe.

use std::collections::BTreeMap;

use super::storage::{File, Text};
use super::world::{id, kind};
use crate::ids::NodeId;
use crate::protocol::{Message, Outcome, Phase, Record};

/// What was seen, and the first rule that was broken.
#[derive(Debug)]
pub(super) struct Checks {
    voters: usize,
    /// The host beyond the voters is a member that all wait for.
    restarts: bool,
    pub(super) broken: Option<String>,
    pub(super) outcomes: BTreeMap<NodeId, Outcome>,
    /// The first vote of each host on "does it begin?" and on "does it stay?".
    begin: BTreeMap<usize, bool>,
    stay: BTreeMap<usize, bool>,
    /// A host that never voted to begin said that it never begins.
    refused: bool,
    writer: Option<usize>,
    numbers: BTreeMap<u64, Text>,
}

impl Checks {
    pub(super) fn new(voters: usize, restarts: bool) -> Self {
        Self {
            voters,
            restarts,
            broken: None,
            outcomes: BTreeMap::new(),
            begin: BTreeMap::new(),
            stay: BTreeMap::new(),
            refused: false,
            writer: None,
            numbers: BTreeMap::new(),
        }
    }

    pub(super) fn fail(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    fn require(&mut self, holds: bool, why: &str) {
        if !holds {
            self.fail(why.to_owned());
        }
    }

    fn count(votes: &BTreeMap<usize, bool>, vote: bool) -> usize {
        votes.values().filter(|cast| **cast == vote).count()
    }

    fn begins(&self) -> bool {
        2 * Self::count(&self.begin, true) > self.voters
    }

    fn never_begins(&self) -> bool {
        self.refused || 2 * Self::count(&self.begin, false) >= self.voters
    }

    fn stays(&self) -> bool {
        2 * Self::count(&self.stay, true) > self.voters
    }

    fn undone(&self) -> bool {
        2 * Self::count(&self.stay, false) >= self.voters
    }

    /// A ledger entry: votes may not change before the count is over.
    pub(super) fn persisted(&mut self, at: usize, before: Option<&Record>, now: &Record) {
        if at >= self.voters {
            let unprepared = before.is_none() && matches!(now.phase, Phase::Unwritten { .. });
            self.refused |= self.restarts && unprepared;
            return;
        }
        if let Some(before) = before.filter(|record| record.phase.is_outcome()) {
            self.require(before.phase == now.phase, "an outcome was replaced");
        }
        match &now.phase {
            Phase::Prepared { .. } => {}
            Phase::GaveUp { .. } => self.vote_begin(at, false),
            Phase::Going | Phase::Holds => self.vote_begin(at, true),
            Phase::Sealed => self.vote_stay(at, true),
            Phase::RollingBack { .. } => self.vote_stay(at, false),
            Phase::Unwritten { .. } => {
                let voted = self.begin.contains_key(&at);
                let prepared = before.is_some();
                self.refused |= !voted && !prepared;
                self.require(self.never_begins(), "unwritten before that was decided");
            }
            Phase::Confirmed => self.require(self.stays(), "confirmed before that was decided"),
            Phase::RolledBack { .. } => {
                self.require(self.undone(), "rolled back before that was decided");
            }
            Phase::Failed { .. } => self.require(!self.stays(), "failed, but it stays"),
        }
        let both = (self.begins() && self.never_begins()) || (self.stays() && self.undone());
        self.require(!both, "yes and no are both decided");
    }

    fn vote_begin(&mut self, at: usize, vote: bool) {
        let first = *self.begin.entry(at).or_insert(vote);
        let over = if vote { self.begins() } else { self.never_begins() };
        self.require(first == vote || over, "a vote to begin changed before the end");
    }

    fn vote_stay(&mut self, at: usize, vote: bool) {
        let first = *self.stay.entry(at).or_insert(vote);
        let over = if vote { self.stays() } else { self.undone() };
        self.require(first == vote || over, "a vote to stay changed before the end");
    }

    /// Nobody may learn what a crash would make this host forget.
    pub(super) fn sent(&mut self, at: usize, ledger: Option<&Record>, message: &Message) {
        let known = ledger.is_some_and(|record| {
            record.phase == message.phase && record.writer.or(message.writer) == message.writer
        });
        self.require(known && message.from == id(at), "said before it was persisted");
    }

    pub(super) fn writes(&mut self, at: usize) {
        let writer = *self.writer.get_or_insert(at);
        self.require(writer == at, "two writers");
        self.require(self.begins(), "written before the vote to begin was won");
        self.require(!self.never_begins(), "written after the end");
    }

    pub(super) fn writes_back(&mut self) {
        let failed = self.outcomes.values().any(|outcome| kind(outcome) == "failed");
        self.require(self.undone() || failed, "written back before that was decided");
        self.require(!self.stays(), "written back, but it stays");
    }

    /// Two texts under one number would make every reader believe that it has the right one.
    pub(super) fn landed(&mut self, file: File) {
        let text = *self.numbers.entry(file.version).or_insert(file.text);
        self.require(text == file.text, "two texts under one number");
    }

    pub(super) fn done(&mut self, at: usize, outcome: Outcome) {
        let is = kind(&outcome);
        if let Some(before) = self.outcomes.insert(id(at), outcome) {
            self.require(kind(&before) == is, "an outcome changed");
        }
        let confirmed = self.outcomes.values().any(|o| kind(o) == "confirmed");
        let against = self.outcomes.values().any(|o| kind(o) != "confirmed");
        self.require(!(confirmed && against), "confirmed here and not there");
    }
}
