//! The two questions of a stage, "does it begin?" and "does it stay?", as the voters' ledgers answer
//! them (`pvecm_core::protocol`). Counts what was persisted, never what a host believes.

use std::collections::BTreeMap;

use pvecm_core::protocol::Phase;

/// The votes of one attempt, by the voters' places.
#[derive(Debug, Clone)]
pub struct Votes {
    voters: usize,
    /// The first vote of each host on each question.
    begin: BTreeMap<usize, bool>,
    stay: BTreeMap<usize, bool>,
    /// A host that never voted to begin said that it never begins.
    refused: bool,
}

impl Votes {
    /// Nobody has voted yet.
    #[must_use]
    pub const fn new(voters: usize) -> Self {
        Self { voters, begin: BTreeMap::new(), stay: BTreeMap::new(), refused: false }
    }

    fn count(votes: &BTreeMap<usize, bool>, vote: bool) -> usize {
        votes.values().filter(|cast| **cast == vote).count()
    }

    /// It is decided that the stage begins.
    #[must_use]
    pub fn begins(&self) -> bool {
        2 * Self::count(&self.begin, true) > self.voters
    }

    /// It is decided that it never begins.
    #[must_use]
    pub fn never_begins(&self) -> bool {
        self.refused || 2 * Self::count(&self.begin, false) >= self.voters
    }

    /// It is decided that it stays.
    #[must_use]
    pub fn stays(&self) -> bool {
        2 * Self::count(&self.stay, true) > self.voters
    }

    /// It is decided that it is undone.
    #[must_use]
    pub fn undone(&self) -> bool {
        2 * Self::count(&self.stay, false) >= self.voters
    }

    /// A host without a vote that all wait for was never prepared.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// A ledger entry of a voter: votes may not change before the count is over.
    pub fn cast(
        &mut self,
        at: usize,
        before: Option<&Phase>,
        now: &Phase,
    ) -> Result<(), &'static str> {
        if before.is_some_and(|before| before.is_outcome() && before != now) {
            return Err("an outcome was replaced");
        }
        match now {
            Phase::Prepared { .. } => {}
            Phase::GaveUp { .. } => self.vote_begin(at, false)?,
            Phase::Going | Phase::Holds => self.vote_begin(at, true)?,
            Phase::Sealed => self.vote_stay(at, true)?,
            Phase::RollingBack { .. } => self.vote_stay(at, false)?,
            Phase::Unwritten { .. } => {
                self.refused |= !self.begin.contains_key(&at) && before.is_none();
                require(self.never_begins(), "unwritten before that was decided")?;
            }
            Phase::Confirmed => require(self.stays(), "confirmed before that was decided")?,
            Phase::RolledBack { .. } => {
                require(self.undone(), "rolled back before that was decided")?;
            }
            Phase::Failed { .. } => require(!self.stays(), "failed, but it stays")?,
        }
        let both = (self.begins() && self.never_begins()) || (self.stays() && self.undone());
        require(!both, "yes and no are both decided")
    }

    fn vote_begin(&mut self, at: usize, vote: bool) -> Result<(), &'static str> {
        let first = *self.begin.entry(at).or_insert(vote);
        let over = if vote { self.begins() } else { self.never_begins() };
        require(first == vote || over, "a vote to begin changed before the end")
    }

    fn vote_stay(&mut self, at: usize, vote: bool) -> Result<(), &'static str> {
        let first = *self.stay.entry(at).or_insert(vote);
        let over = if vote { self.stays() } else { self.undone() };
        require(first == vote || over, "a vote to stay changed before the end")
    }
}

fn require(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}
