//! corosync: rings, quorum, and messages in one order, not safely delivered.

use std::collections::{BTreeMap, BTreeSet};

use super::storage::Text;
use super::world::{Item, World, id};
use pvecm_core::ids::NodeId;
use pvecm_core::protocol::{Event, Key, Message};

impl World {
    /// Every host of the ring whose agent runs delivers it, in this place of the order.
    pub(super) fn broadcast(&mut self, ring: u64, item: &Item) {
        self.sequence += 1;
        for host in &mut self.hosts {
            if host.ring == ring && host.up && host.member && host.agent.is_some() {
                host.inbox.push_back((self.sequence, item.clone()));
            }
        }
    }

    pub(super) fn say_agents(&mut self, ring: u64) {
        let agents = self.in_ring(ring, |world, at| world.hosts[at].agent.is_some());
        self.broadcast(ring, &Item::Agents(agents));
    }

    fn in_ring(&self, ring: u64, such: fn(&Self, usize) -> bool) -> BTreeSet<NodeId> {
        let inside = |at: &usize| {
            let host = &self.hosts[*at];
            host.ring == ring && host.up && host.member && such(self, *at)
        };
        (0..self.hosts.len()).filter(inside).map(id).collect()
    }

    /// Delivers the next item of the order to one host.
    pub(super) fn deliver(&mut self, at: usize) -> bool {
        let Some((sequence, item)) = self.hosts[at].inbox.pop_front() else { return false };
        self.hosts[at].delivered = sequence;
        match item {
            Item::Said(message) => self.event(at, Event::Delivered(message)),
            Item::Agents(agents) => {
                if let Some(agent) = &mut self.hosts[at].agent {
                    agent.view.agents = agents;
                    let view = agent.view.clone();
                    self.event(at, Event::View(view));
                }
            }
        }
        true
    }

    /// Whether the ring of this host has quorum. An even number of votes never stands alone: one is
    /// lent to the lowest id, or a device gives its own to the part of the lowest id that runs.
    pub(super) fn quorate(&self, at: usize) -> bool {
        let host = &self.hosts[at];
        if !host.up || !host.member {
            return false;
        }
        let total = self.hosts.len();
        let present = self.in_ring(host.ring, |_, _| true);
        let lowest = if self.traits.device {
            (0..total).filter(|at| self.hosts[*at].up && self.hosts[*at].member).map(id).min()
        } else {
            Some(id(0))
        };
        let even = total.is_multiple_of(2);
        let extra = usize::from(even && lowest.is_some_and(|low| present.contains(&low)));
        2 * (present.len() + extra) > total + usize::from(even)
    }

    /// The quorum service speaks on a connection of its own: when it is heard is left to chance.
    pub(super) fn tell_view(&mut self, at: usize) {
        let quorate = self.quorate(at);
        let writable = quorate && !self.hosts[at].read_only;
        let members = self.in_ring(self.hosts[at].ring, |_, _| true);
        let Some(agent) = &mut self.hosts[at].agent else { return };
        let before = agent.view.clone();
        agent.view.quorate = quorate;
        agent.view.writable = writable;
        agent.view.members = members;
        if agent.view != before {
            let view = agent.view.clone();
            self.event(at, Event::View(view));
        }
    }

    /// New rings where the network or the texts made or broke connections.
    pub(super) fn reform(&mut self) {
        let mut wanted: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for at in 0..self.hosts.len() {
            if self.hosts[at].up && self.hosts[at].member {
                wanted.entry(self.side(at)).or_default().push(at);
            }
        }
        let moved = |part: &&Vec<usize>| {
            let rings: BTreeSet<u64> = part.iter().map(|at| self.hosts[*at].ring).collect();
            let before = self.in_ring(self.hosts[part[0]].ring, |_, _| true);
            rings.len() > 1 || before.len() != part.len()
        };
        let moved: Vec<Vec<usize>> = wanted.values().filter(moved).cloned().collect();
        for part in moved {
            let rings = part.iter().map(|at| self.hosts[*at].ring).collect();
            self.form(&part, &rings);
        }
        self.synchronise();
    }

    /// Hosts that share a side and a key share a ring, except those that a text cuts off.
    fn side(&self, at: usize) -> u64 {
        let host = &self.hosts[at];
        let side = if self.cut_off(at) { 1_000 + at as u64 } else { host.side };
        let parted = self.traits.parts && host.started == Text::New;
        4 * side + 2 * u64::from(host.daemon_key == Key::New) + u64::from(parted)
    }

    /// What part of the old ring's order was delivered by one of those that stay together is
    /// delivered by all of them; what comes after may be lost, except for what they sent themselves.
    fn form(&mut self, part: &[usize], rings: &BTreeSet<u64>) {
        let mut again: Vec<Message> = Vec::new();
        for ring in rings {
            let together: Vec<usize> =
                part.iter().copied().filter(|at| self.hosts[*at].ring == *ring).collect();
            let ids: BTreeSet<NodeId> = together.iter().copied().map(id).collect();
            let delivered = together.iter().map(|at| self.hosts[*at].delivered).max().unwrap_or(0);
            let cut = delivered + self.dice.below(self.sequence.saturating_sub(delivered) + 1);
            let mut seen = BTreeSet::new();
            for at in together {
                let (keep, late): (Vec<_>, Vec<_>) =
                    self.hosts[at].inbox.drain(..).partition(|(sequence, _)| *sequence <= cut);
                self.hosts[at].inbox.extend(keep);
                for (sequence, item) in late {
                    if let Item::Said(message) = item
                        && ids.contains(&message.from)
                        && seen.insert(sequence)
                    {
                        again.push(message);
                    }
                }
            }
        }
        self.rings += 1;
        let ring = self.rings;
        self.note(|| format!("ring {ring}: {part:?}"));
        for at in part {
            self.hosts[*at].came = Some((self.now, self.hosts[*at].ring));
            self.hosts[*at].ring = ring;
        }
        self.say_agents(ring);
        for message in again {
            self.broadcast(ring, &Item::Said(message));
        }
    }
}
