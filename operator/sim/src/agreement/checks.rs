//! The rules, checked at every step from what the hosts persisted, not from what they believe.

use std::collections::BTreeMap;

use super::storage::{File, Text};
use super::world::{id, kind};
use pvecm_core::ids::NodeId;
use pvecm_core::protocol::{Message, Outcome, Phase, Record};

use crate::votes::Votes;

const fn has_gone(phase: &Phase) -> bool {
    !matches!(phase, Phase::Prepared { .. } | Phase::GaveUp { .. } | Phase::Unwritten { .. })
}

/// What was seen, and the first rule that was broken.
#[derive(Debug)]
pub(super) struct Checks {
    voters: usize,
    /// The host beyond the voters is a member that all wait for.
    restarts: bool,
    pub(super) broken: Option<String>,
    pub(super) outcomes: BTreeMap<NodeId, Outcome>,
    votes: Votes,
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
            votes: Votes::new(voters),
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

    /// A ledger entry.
    pub(super) fn persisted(&mut self, at: usize, before: Option<&Record>, now: &Record) {
        let before = before.map(|record| &record.phase);
        if at < self.voters {
            if let Err(why) = self.votes.cast(at, before, &now.phase) {
                self.fail(why.to_owned());
            }
        } else if self.restarts && before.is_none() && matches!(now.phase, Phase::Unwritten { .. })
        {
            self.votes.refuse();
        } else if matches!((before, &now.phase), (Some(Phase::Holds), Phase::RollingBack { .. })) {
            let over = self.votes.undone() || self.votes.never_begins();
            self.require(over, "who held gave up, and the others may keep the stage");
        }
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
        self.require(self.votes.begins(), "written before the vote to begin was won");
        self.require(!self.votes.never_begins(), "written after the end");
    }

    /// Nobody stops before all are sure to.
    pub(super) fn stops<'a>(&mut self, ledgers: impl Iterator<Item = Option<&'a Record>>) {
        let agreed = ledgers.into_iter().all(|ledger| ledger.is_some_and(|l| has_gone(&l.phase)));
        self.require(agreed && self.votes.begins(), "stopped before all had agreed");
    }

    pub(super) fn writes_back(&mut self) {
        let failed = self.outcomes.values().any(|outcome| kind(outcome) == "failed");
        self.require(self.votes.undone() || failed, "written back before that was decided");
        self.require(!self.votes.stays(), "written back, but it stays");
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
