//! The exchange of the authkey: when a host lays which key, and what nobody may do before all have.

use super::super::message::{Key, KeyWord, Keys, Phase};
use super::super::{Effect, InForce};
use super::{ALONE_MS, Machine, RETRY_MS};
use crate::ids::NodeId;

/// How long the writer waits until the new key lies everywhere. Meanwhile they are mixed, and a reload that
/// a person asks for would part the hosts.
const LAY_MS: u64 = 3_000;
/// How long the lock is kept for others who have yet to lay the old key.
const BACK_MS: u64 = 10_000;
/// How long a host that is alone tries one key: 32 nodes need 28 s to find each other (facts/corosync.md 3).
const TRY_MS: u64 = 30_000;

/// Proxmox VE's lock on corosync.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    Free,
    Asked,
    Held,
}

/// This host's part in an exchange.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    keys: Keys,
    /// The key that lies where corosync reads it; `None`: nobody knows, since laying one failed.
    lies: Option<Key>,
    lock: Lock,
    lock_again_at: u64,
    /// A key is being laid.
    laying: bool,
    lay_again_at: u64,
    /// The key lies here that stays, and the daemon has yet to read it: no reload of anybody's follows.
    late: bool,
    /// Since when the new key should lie everywhere.
    asked_at: Option<u64>,
    /// Since when the old key lies here again.
    back_at: Option<u64>,
    /// What was said last.
    said: Option<KeyWord>,
}

impl Exchange {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            lies: keys.lies,
            lock: Lock::Free,
            lock_again_at: 0,
            laying: false,
            lay_again_at: 0,
            late: false,
            asked_at: None,
            back_at: None,
            said: None,
        }
    }
}

impl Machine {
    /// What this host says of its keys.
    pub(super) fn key_word(&mut self) -> Option<KeyWord> {
        let word = self.key_word_now();
        if let Some(exchange) = &mut self.exchange {
            exchange.said = word;
        }
        word
    }

    fn key_word_now(&self) -> Option<KeyWord> {
        let Keys { old, new, .. } = self.exchange.as_ref()?.keys;
        Some(KeyWord { old, new, lies: self.lies(), asks: self.asks() })
    }

    /// The key that lies here for sure.
    fn lies(&self) -> Option<Key> {
        self.exchange.as_ref().filter(|exchange| !exchange.laying)?.lies
    }

    /// Whether the others do not know yet what is so here.
    pub(super) fn has_key_news(&self) -> bool {
        self.phase.is_some()
            && self.exchange.as_ref().is_some_and(|e| e.said != self.key_word_now())
    }

    /// The key that this host asks all to lay.
    fn asks(&self) -> Option<Key> {
        if self.to_take_file {
            return Some(self.final_key());
        }
        if self.exchange.as_ref()?.lock != Lock::Held {
            return None;
        }
        match self.phase {
            Some(Phase::Going | Phase::Holds) => Some(Key::New),
            Some(Phase::RollingBack { .. }) if self.tally.undone() && self.all_members_undo() => {
                Some(Key::Old)
            }
            Some(_) | None => None,
        }
    }

    /// Why the hosts cannot exchange their keys: they do not have the same two.
    pub(super) fn keys_differ(&self) -> Option<String> {
        self.exchange.as_ref()?;
        let mut words = self.tally.keys();
        let (lowest, first, _) = words.next()?;
        words.find_map(|(id, word, _)| {
            let other = match (word.old == first.old, word.new == first.new) {
                (true, true) => return None,
                (false, _) => "another authkey",
                (true, false) => "another new authkey",
            };
            Some(format!("{} has {other} than {}", self.setup.name(id), self.setup.name(lowest)))
        })
    }

    /// Whether the writer may begin; where keys are exchanged, only with the lock.
    pub(super) fn has_lock(&mut self) -> bool {
        let Some(exchange) = &mut self.exchange else { return true };
        if exchange.lock == Lock::Free && self.now >= exchange.lock_again_at {
            exchange.lock = Lock::Asked;
            self.out.push(Effect::Lock);
        }
        exchange.lock == Lock::Held
    }

    pub(super) fn locked(&mut self, result: Result<(), String>) {
        let again_at = self.now + RETRY_MS;
        let Some(exchange) = self.exchange.as_mut().filter(|e| e.lock == Lock::Asked) else {
            return;
        };
        match result {
            Ok(()) => exchange.lock = Lock::Held,
            Err(why) => {
                (exchange.lock, exchange.lock_again_at) = (Lock::Free, again_at);
                if matches!(self.phase, Some(Phase::Prepared { .. })) {
                    let sentence = format!("{} could not take the lock: {why}", self.me());
                    self.enter(Phase::GaveUp { sentence });
                }
            }
        }
    }

    pub(super) fn unlock(&mut self) {
        let held = |exchange: &&mut Exchange| exchange.lock != Lock::Free;
        if let Some(exchange) = self.exchange.as_mut().filter(held) {
            exchange.lock = Lock::Free;
            self.out.push(Effect::Unlock);
        }
    }

    pub(super) fn laid(&mut self, result: Result<Key, String>) {
        let (again_at, unfinished) = (self.now + RETRY_MS, self.unfinished());
        let Some(exchange) = &mut self.exchange else { return };
        exchange.laying = false;
        match result {
            Ok(key) => exchange.lies = Some(key),
            // Nothing was laid: with the outcome the copies went.
            Err(_) if !unfinished => {}
            Err(why) => {
                (exchange.lies, exchange.lay_again_at) = (None, again_at);
                self.lost = Some(format!("{} could not lay the authkey: {why}", self.me()));
                self.own_loss = true;
            }
        }
    }

    fn lay(&mut self, key: Key, effect: fn(Key) -> Effect) {
        let now = self.now;
        let due = |exchange: &&mut Exchange| {
            !exchange.laying && exchange.lies != Some(key) && now >= exchange.lay_again_at
        };
        if let Some(exchange) = self.exchange.as_mut().filter(due) {
            exchange.laying = true;
            self.out.push(effect(key));
        }
    }

    /// The writer, from the moment that all went until it has written.
    fn waits_for_keys(&self) -> bool {
        let writes = self.writer == Some(self.setup.me) && !self.wrote;
        writes && self.setup.in_force == InForce::Parent && self.tally.all_went()
    }

    /// Notices a host that does not lay the new key.
    pub(super) fn notice_late_keys(&mut self) {
        if !self.waits_for_keys() {
            return;
        }
        let (now, without) = (self.now, self.tally.without(Key::New));
        let asked_at = self.exchange.as_mut().map(|e| *e.asked_at.get_or_insert(now));
        let late = asked_at.is_some_and(|asked_at| now >= asked_at + LAY_MS);
        if let Some(without) = without.filter(|_| late) {
            let without = self.setup.name(without);
            self.lost.get_or_insert(format!("{without} did not lay the new authkey in time"));
            self.own_loss = true;
        }
    }

    /// Lays the new key, and says whether it lies everywhere. The text is written only then.
    pub(super) fn new_key_lies(&mut self) -> bool {
        if self.exchange.is_none() {
            return true;
        }
        if self.waits_for_keys() && !self.has_lock() {
            return false;
        }
        if self.tally.all_went() && self.tally.asks_for(Key::New) {
            self.lay(Key::New, Effect::Lay);
        }
        self.tally.without(Key::New).is_none()
    }

    /// Lays the old key, and says whether it lies everywhere where a daemon can be asked to read it. What
    /// undoes the stage is written only then.
    pub(super) fn old_key_lies(&mut self, over_parent: bool) -> bool {
        if self.exchange.is_none() {
            return true;
        }
        let unwritten = !over_parent && self.setup.in_force == InForce::Parent;
        // Either nothing was written, or somebody has asked before.
        let others = self.tally.any(|p| matches!(p, Phase::RolledBack { .. }));
        let is_back = |(id, word, against): (NodeId, KeyWord, bool)| {
            id != self.setup.me && against && word.lies == Some(Key::Old) && self.is_member(id)
        };
        let under_way = self.tally.keys().any(is_back);
        if unwritten || others || under_way || self.tally.asks_for(Key::Old) {
            if self.lies() != Some(Key::Old) && self.setup.in_force == InForce::Back {
                self.note_late();
            }
            self.lay(Key::Old, Effect::Lay);
        } else if self.leads() && self.all_members_undo() {
            self.has_lock();
        }
        let lies = self.lies() == Some(Key::Old);
        let all = self.all_members_undo() && self.members_without_old().next().is_none();
        if lies && all && !self.leads() {
            // Whoever leads needs it to write.
            self.unlock();
        }
        lies && (all || ((unwritten || others) && !self.waits_for_others()))
    }

    /// Whoever holds the lock keeps it until all members have laid the old key, also one whose agent starts
    /// just now, but not for ever.
    fn waits_for_others(&mut self) -> bool {
        let now = self.now;
        let Some(exchange) = self.exchange.as_mut().filter(|e| e.lock == Lock::Held) else {
            return false;
        };
        let back_at = *exchange.back_at.get_or_insert(now);
        let is_back = |id: &NodeId| {
            let mut words = self.tally.keys();
            words.any(|(other, word, against)| {
                other == *id && against && word.lies == Some(Key::Old)
            })
        };
        let others = self.setup.group.iter().filter(|id| **id != self.setup.me);
        let mut members = others.filter(|id| self.is_member(**id));
        now < back_at + BACK_MS && !members.all(is_back)
    }

    fn is_member(&self, id: NodeId) -> bool {
        self.view.members.contains(&id)
    }

    /// Every member of the group that corosync sees has an agent that voted to undo. The writer's vote
    /// says that it has no write in flight.
    fn all_members_undo(&self) -> bool {
        let voted: Vec<NodeId> =
            self.tally.keys().filter(|(.., against)| *against).map(|(id, ..)| id).collect();
        let mut members = self.setup.group.iter().filter(|id| self.is_member(**id));
        members.all(|id| self.view.agents.contains(id) && voted.contains(id))
    }

    fn members_without_old(&self) -> impl Iterator<Item = NodeId> {
        let without = |(id, word, _): &(NodeId, KeyWord, bool)| {
            word.lies != Some(Key::Old) && self.is_member(*id)
        };
        self.tally.keys().filter(without).map(|(id, ..)| id)
    }

    /// Alone for long: the old key and the new one in turn, until the others are heard.
    pub(super) fn try_keys(&mut self) {
        let tries = self.exchange.is_some() && self.alone_too_long();
        let Some(since) = self.deadline.filter(|_| tries) else { return };
        let turn = (self.now - since - ALONE_MS) / TRY_MS;
        self.lay(if turn.is_multiple_of(2) { Key::Old } else { Key::New }, Effect::TryKey);
    }

    pub(super) fn note_late(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.late = true;
        }
    }

    /// Whether this host's daemon has yet to read the key that lies there.
    pub(super) fn is_late(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.late)
    }

    /// After the outcome: whether all who would read their keys again have the one that belongs to it.
    pub(super) fn may_reload(&self) -> bool {
        if self.exchange.is_none() {
            return true;
        }
        let key = self.final_key();
        // What was said before the outcome was decided counts for nothing.
        let says = |id: &NodeId| {
            let mut words = self.tally.keys();
            words.any(|(other, word, against)| {
                other == *id && word.lies == Some(key) && against == (key == Key::Old)
            })
        };
        let mut others = self.setup.group.iter().filter(|id| **id != self.setup.me);
        self.is_member(self.setup.me) && others.all(|id| !self.is_member(*id) || says(id))
    }

    fn final_key(&self) -> Key {
        if matches!(self.phase, Some(Phase::Confirmed)) { Key::New } else { Key::Old }
    }

    /// The end of the exchange. Whoever has another key by then has it since it was alone, and so has its
    /// daemon.
    pub(super) fn keep_key(&mut self) {
        self.unlock();
        let key = self.final_key();
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.lies != Some(key) {
            exchange.late = true;
            exchange.laying = true;
        }
        self.out.push(Effect::KeepKey(key));
    }
}
