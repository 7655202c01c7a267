//! What was heard from whom, and what that decides. Counts only; never acts.

use std::collections::{BTreeMap, BTreeSet};

use super::Setup;
use super::message::{Key, KeyWord, Message, Phase};
use crate::change::Course;
use crate::ids::NodeId;

/// What one host said last.
#[derive(Debug, Clone)]
struct Standing {
    phase: Phase,
    writable: bool,
    over_parent: bool,
    prepared_writable: Option<bool>,
    held: bool,
    key: Option<KeyWord>,
}

/// Everything heard in one attempt.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    group: BTreeSet<NodeId>,
    joining: BTreeSet<NodeId>,
    /// The hosts of `joining` that are members, and prepare with the group.
    restarting: BTreeSet<NodeId>,
    heard: BTreeMap<NodeId, Standing>,
}

impl Tally {
    pub(super) fn new(setup: &Setup) -> Self {
        let (group, joining) = (setup.group.clone(), setup.joining.clone());
        let restarts = setup.course == Course::Restart;
        let restarting = if restarts { joining.clone() } else { BTreeSet::new() };
        Self { group, joining, restarting, heard: BTreeMap::new() }
    }

    /// Takes a message in; strangers are not counted.
    pub(super) fn hear(&mut self, message: Message) {
        let Message { attempt: _, from, phase, writable, writer: _, over_parent, key } = message;
        if !self.group.contains(&from) && !self.joining.contains(&from) {
            return;
        }
        let before = self.heard.get(&from);
        let prepared_writable = match &phase {
            Phase::Prepared { writable } => Some(*writable),
            _other => before.and_then(|standing| standing.prepared_writable),
        };
        let held = matches!(phase, Phase::Holds | Phase::Sealed | Phase::Confirmed)
            || before.is_some_and(|standing| standing.held);
        let standing = Standing { phase, writable, over_parent, prepared_writable, held, key };
        self.heard.insert(from, standing);
    }

    fn voters(&self) -> impl Iterator<Item = (NodeId, &Standing)> {
        self.heard.iter().filter(|(id, _)| self.group.contains(id)).map(|(id, s)| (*id, s))
    }

    fn votes(&self, vote: fn(&Phase) -> bool) -> usize {
        self.voters().filter(|(_, standing)| vote(&standing.phase)).count()
    }

    /// The first reason given by a voter in such a phase.
    pub(super) fn reason(&self, such: fn(&Phase) -> bool) -> Option<&str> {
        self.voters().find(|(_, s)| such(&s.phase)).map(|(_, s)| s.phase.sentence())
    }

    /// Whether a voter is in such a phase.
    pub(super) fn any(&self, such: fn(&Phase) -> bool) -> bool {
        self.voters().any(|(_, standing)| such(&standing.phase))
    }

    /// The stage begins, whatever else is said.
    pub(super) fn begins(&self) -> bool {
        2 * self.votes(has_gone) > self.group.len()
    }

    /// The stage never begins.
    pub(super) fn never_begins(&self) -> bool {
        let gave_up = self.votes(|phase| matches!(phase, Phase::GaveUp { .. }));
        2 * gave_up >= self.group.len()
            || self.any(|p| matches!(p, Phase::Unwritten { .. }))
            || self.stays_up().is_some()
    }

    /// Why a host that was to restart does not, in its own words. Nobody has gone then, since all
    /// wait until it is prepared.
    pub(super) fn stays_up(&self) -> Option<&str> {
        let phases = self.restarting.iter().filter_map(|id| self.heard.get(id)).map(|s| &s.phase);
        phases.into_iter().find(|p| matches!(p, Phase::Unwritten { .. })).map(Phase::sentence)
    }

    /// The stage stays.
    pub(super) fn stays(&self) -> bool {
        2 * self.votes(|phase| matches!(phase, Phase::Sealed)) > self.group.len()
            || self.any(|phase| matches!(phase, Phase::Confirmed))
    }

    /// The stage is undone.
    pub(super) fn undone(&self) -> bool {
        2 * self.votes(is_against) >= self.group.len()
            || self.any(|p| matches!(p, Phase::RolledBack { .. } | Phase::Failed { .. }))
    }

    /// Why a joining host undoes what it did, in its own words: nobody has to wait for it.
    pub(super) fn joiner_against(&self) -> Option<&str> {
        let joiners = self.heard.iter().filter(|(id, _)| self.joining.contains(id));
        joiners.map(|(_, s)| &s.phase).find(|phase| is_against(phase)).map(Phase::sentence)
    }

    /// All of the group and all that join have held.
    pub(super) fn all_held(&self) -> bool {
        let held = |id: &NodeId| self.heard.get(id).is_some_and(|standing| standing.held);
        self.group.iter().chain(&self.joining).all(held)
    }

    /// The first host not heard to be prepared, of those that all wait for.
    pub(super) fn unprepared(&self) -> Option<NodeId> {
        let prepared =
            |id: &NodeId| self.heard.get(id).is_some_and(|s| s.prepared_writable.is_some());
        self.group.iter().chain(&self.restarting).copied().find(|id| !prepared(id))
    }

    /// The lowest id that was writable when it prepared. Means something once all are prepared.
    pub(super) fn first_writable(&self) -> Option<NodeId> {
        self.voters().find(|(_, s)| s.prepared_writable == Some(true)).map(|(id, _)| id)
    }

    /// Every host of the group has voted to begin.
    pub(super) fn all_went(&self) -> bool {
        self.votes(has_gone) == self.group.len()
    }

    /// What each voter said last of its authkeys, and whether it is for undoing, or never began.
    pub(super) fn keys(&self) -> impl Iterator<Item = (NodeId, KeyWord, bool)> {
        let is_back = |p: &Phase| is_against(p) || matches!(p, Phase::Unwritten { .. });
        self.voters().filter_map(move |(id, s)| Some((id, s.key?, is_back(&s.phase))))
    }

    /// The first of the group that does not say that this key lies where corosync reads it.
    pub(super) fn without(&self, key: Key) -> Option<NodeId> {
        let lies = |id: &NodeId| {
            let word = self.heard.get(id).and_then(|standing| standing.key);
            word.is_some_and(|word| word.lies == Some(key))
        };
        self.group.iter().copied().find(|id| !lies(id))
    }

    /// Whether a voter asks for this key.
    pub(super) fn asks_for(&self, key: Key) -> bool {
        self.voters().any(|(_, s)| s.key.and_then(|word| word.asks) == Some(key))
    }

    /// Whether a host said last that /etc/pve takes its writes, and has no outcome yet.
    pub(super) fn can_lead(&self, id: NodeId) -> bool {
        self.heard.get(&id).is_some_and(|s| s.writable && !s.phase.is_outcome())
    }

    /// Whether undoing has to write over the parent as well. Without a writer's own word that it
    /// has no write in flight, its rename may still land after everybody looked.
    pub(super) fn over_parent(&self, writer: Option<NodeId>) -> bool {
        let quiet = writer.and_then(|id| self.heard.get(&id)).is_some_and(|s| is_against(&s.phase));
        !quiet || self.voters().any(|(_, standing)| standing.over_parent)
    }
}

/// A vote to begin was cast, or the vote was over.
pub(super) fn has_gone(phase: &Phase) -> bool {
    match phase {
        Phase::Prepared { .. } | Phase::GaveUp { .. } | Phase::Unwritten { .. } => false,
        Phase::Going
        | Phase::Holds
        | Phase::Sealed
        | Phase::RollingBack { .. }
        | Phase::Confirmed
        | Phase::RolledBack { .. }
        | Phase::Failed { .. } => true,
    }
}

/// A vote to undo was cast, or the vote was over.
pub(super) fn is_against(phase: &Phase) -> bool {
    matches!(phase, Phase::RollingBack { .. } | Phase::RolledBack { .. } | Phase::Failed { .. })
}
