//! Rules about those who are gone: who was taken off the list, whom a person declared dead, and whose votes others
//! were told not to expect.

use std::collections::{BTreeMap, BTreeSet};

use pvecm_core::ids::{Digest, NodeId};

use crate::world::{Host, Link, World};

/// Nodes that were taken off the list, by the place of their machine and their number.
pub type Graves = BTreeSet<(usize, NodeId)>;

/// A node that a stage takes off the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buried {
    /// The place of its machine.
    pub at: usize,
    /// Its number.
    pub id: NodeId,
    /// A person declared it dead.
    pub dead: bool,
}

/// What an agent or the operator saw may be so old.
const JUST_NOW_MS: u64 = 1_500;
/// A host that is heard for so long is known to be.
const KNOWN_MS: u64 = 20_000;

impl World {
    /// A heartbeat arrives.
    pub fn heard(&mut self, at: usize) {
        let now = self.now();
        let host = &mut self.hosts[at];
        if now > host.heard_at + KNOWN_MS {
            host.heard_since = now;
        }
        host.heard_at = now;
    }

    /// Looks once a second at who has quorum.
    pub fn watch_gone(&mut self) {
        let mut parts: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, host) in self.hosts.iter().enumerate() {
            if let Some(daemon) = host.daemon.as_ref().filter(|daemon| daemon.quorate) {
                parts.entry(daemon.ring).or_default().push(at);
            }
        }
        // Whom nobody told that it was removed no gate can hold (ADR 0009).
        let untold = |at: &usize| self.is_removed(*at) && self.hosts[*at].told.is_empty();
        parts.retain(|_, part| !part.iter().any(untold));
        if let Some(at) = parts.values().flatten().find(|at| self.is_removed(**at)) {
            return self.broken(format!("n{} was removed, and has quorum", at + 1));
        }
        if parts.len() > 1 {
            let parts: Vec<_> = parts.values().collect();
            return self.broken(format!("several parts have quorum: {parts:?}"));
        }
        self.watch_lowered();
    }

    fn is_removed(&self, at: usize) -> bool {
        let id = self.hosts[at].daemon.as_ref().map(|daemon| daemon.id);
        id.is_some_and(|id| self.checks.graves.contains(&(at, id)))
    }

    /// Votes that are expected no more while the dead are on the list: two of these that start would be quorate.
    fn watch_lowered(&mut self) {
        const GRACE_MS: u64 = 60_000 + 20_000;
        let now = self.now();
        let is_late = |at: &usize| {
            let host = &self.hosts[*at];
            let lowered = host.daemon.as_ref().and_then(|daemon| daemon.lowered);
            let watches = host.agent.is_some() && now > self.checks.outside_at + KNOWN_MS;
            watches && lowered.is_some_and(|(_, since)| now > since + GRACE_MS)
        };
        if let Some(at) = (0..self.hosts.len()).find(is_late) {
            self.broken(format!("n{} expects fewer votes than its list has, for long", at + 1));
        }
    }

    /// A text of ours is about to be in /etc/pve: whom it takes off the list, and whom it has there again.
    pub(crate) fn watch_graves(&mut self, at: usize, bytes: &[u8]) {
        let gone = self.stages.buried(Digest::of(bytes));
        if let Some(seen) = gone.iter().find(|gone| gone.dead && self.is_seen_from(at, gone.at)) {
            let dead = seen.at + 1;
            self.broken(format!("n{dead}, declared dead, is taken off the list and seen"));
        }
        self.checks.graves.extend(gone.iter().map(|gone| (gone.at, gone.id)));
        let parsed = self.parse(bytes);
        let Some(config) = parsed.config() else { return };
        let (hosts, graves) = (&self.hosts, &mut self.checks.graves);
        graves.retain(|(at, id)| {
            config.node(*id).is_none_or(|node| node.name.as_str() != hosts[*at].name)
        });
    }

    /// A stage's text is about to be in /etc/pve: every member that runs and stays on the list has a part in it, or
    /// it gets a file that it was never asked about.
    pub(crate) fn watch_left_out(&mut self, at: usize, bytes: &[u8]) {
        if self.now() < self.checks.outside_at + KNOWN_MS {
            return;
        }
        let parsed = self.parse(bytes);
        let (Some(config), Some(daemon)) = (parsed.config(), &self.hosts[at].daemon) else {
            return;
        };
        let Some(stage) = self.stages.writing(Digest::of(bytes)) else { return };
        let takes_part =
            |other: &usize| stage.group.contains(other) || stage.joining.contains(other);
        let stays = |other: &usize| {
            let id = self.hosts[*other].daemon.as_ref().map(|daemon| daemon.id);
            id.is_some_and(|id| config.node(id).is_some())
        };
        let mut left_out = daemon.members.iter().filter(|other| stays(other) && !takes_part(other));
        if let Some(other) = left_out.next().copied() {
            self.broken(format!("n{} is a member, and a stage leaves it out", other + 1));
        }
    }

    /// Whether any member of a host's ring has a connected link to a machine, and has had it for a moment.
    fn is_seen_from(&self, at: usize, gone: usize) -> bool {
        let now = self.now();
        let members = self.hosts[at].daemon.iter().flat_map(|daemon| &daemon.members);
        let is_old = |link: &Link| link.up && now > link.up_since + JUST_NOW_MS;
        members.filter(|member| **member != gone).any(|at| self.between(*at, gone).any(is_old))
    }

    /// The expected votes of a ring are lowered: nobody outside of it may be seen from it.
    pub(crate) fn watch_lowering(&mut self, at: usize) {
        let members = self.hosts[at].daemon.as_ref().map(|daemon| daemon.members.clone());
        let members = members.unwrap_or_default();
        let strangers = (0..self.hosts.len()).filter(|other| !members.contains(other));
        let seen: Vec<usize> = strangers.filter(|other| self.is_seen_from(at, *other)).collect();
        if let Some(other) = seen.first() {
            self.broken(format!("n{} takes the vote of n{}, which is seen", at + 1, other + 1));
        }
    }

    /// A change was made that takes the dead off the list: somebody has to have said so.
    pub(crate) fn watch_dead_planned(&mut self, gone: &[Buried]) {
        const LATE_MS: u64 = 3_000;
        let now = self.now();
        // Read a moment ago, and perhaps long under way.
        if self.rates.api > 0 || self.rates.api_slow > 0 {
            return;
        }
        let said = |gone: &Buried| {
            let Host { stated, dead_until, .. } = &self.hosts[gone.at];
            let ended = stated.and_then(|stated| stated.until).unwrap_or(0).max(*dead_until);
            stated.is_some_and(|stated| stated.is_dead_at(now)) || now < ended + LATE_MS
        };
        if let Some(gone) = gone.iter().find(|gone| gone.dead && !said(gone)) {
            let at = gone.at + 1;
            self.broken(format!("n{at} is to be removed as dead, and nobody says that it is"));
        }
    }

    /// A stage is released that takes the dead off the list: none of them may be heard.
    pub(crate) fn watch_dead_released(&mut self, gone: &[Buried]) {
        const FRESH_MS: u64 = 8_000;
        let now = self.now();
        let is_late = self.rates.api > 0 || self.rates.api_slow > 0;
        let heard = |gone: &&Buried| {
            let host = &self.hosts[gone.at];
            gone.dead && now < host.heard_at + FRESH_MS && now > host.heard_since + KNOWN_MS
        };
        if let Some(gone) = gone.iter().find(heard).filter(|_| !is_late) {
            let at = gone.at + 1;
            self.broken(format!("n{at}, declared dead, is heard, and its removal begins"));
        }
    }
}
