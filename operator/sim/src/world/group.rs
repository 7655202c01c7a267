//! The process group of the agents: one order for all of a ring, agreed and not safe.

use std::collections::BTreeSet;

use pvecm_agent::ports::CorosyncEvent;
use pvecm_core::ids::NodeId;

use super::World;

/// One entry of the order.
#[derive(Debug, Clone)]
pub enum Item {
    /// An agent said something.
    Said {
        /// Where it was said.
        from: usize,
        /// The node id there.
        node: NodeId,
        /// What.
        bytes: Vec<u8>,
    },
    /// The agents in the group.
    Agents(BTreeSet<NodeId>),
}

impl World {
    /// Multicasts. While the ring does not turn, what is said waits (facts/corosync.md 7.1).
    pub fn send(&mut self, at: usize, bytes: &[u8]) {
        if self.is_broken(at) {
            if let Some(daemon) = &mut self.hosts[at].daemon {
                daemon.queued.push(bytes.to_vec());
            }
        } else {
            self.broadcast(at, bytes);
        }
    }

    pub(super) fn broadcast(&mut self, from: usize, bytes: &[u8]) {
        if let Some(node) = self.hosts[from].daemon.as_ref().map(|daemon| daemon.id) {
            self.order(from, &Item::Said { from, node, bytes: bytes.to_vec() });
        }
    }

    /// Every agent of the ring hears who is in the group, in this place of the order.
    pub fn say_agents(&mut self, at: usize) {
        let members = self.hosts[at].daemon.as_ref().map(|daemon| daemon.members.clone());
        let with_agent = |member: &usize| {
            let host = &self.hosts[*member];
            host.agent.as_ref()?;
            Some(host.daemon.as_ref()?.id)
        };
        let agents = members.unwrap_or_default().iter().filter_map(with_agent).collect();
        self.order(at, &Item::Agents(agents));
    }

    fn order(&mut self, at: usize, item: &Item) {
        let number = self.next_number();
        let Some(daemon) = &self.hosts[at].daemon else { return };
        let (ring, members) = (daemon.ring, daemon.members.clone());
        for member in members {
            let here = self.hosts[member].daemon.as_mut().filter(|daemon| daemon.ring == ring);
            if let Some(daemon) = here {
                daemon.inbox.push_back((number, item.clone()));
                let wait = self.dice.below(4);
                self.later(wait, move |world| world.deliver(member, number));
            }
        }
    }

    /// Delivers everything up to this place of the order.
    fn deliver(&mut self, at: usize, up_to: u64) {
        while let Some(daemon) = &mut self.hosts[at].daemon {
            if daemon.inbox.front().is_none_or(|(number, _)| *number > up_to) {
                return;
            }
            let Some((number, item)) = daemon.inbox.pop_front() else { return };
            daemon.delivered = number;
            match item {
                Item::Said { from: _, node, bytes } => {
                    self.event(at, CorosyncEvent::Message { from: node, bytes });
                }
                Item::Agents(agents) => self.event(at, CorosyncEvent::Group(agents)),
            }
        }
    }

    /// What one of those that stay together delivered, all of them deliver; of the rest some may be
    /// lost, except for what they sent themselves. Returns what is to be said again in the new ring.
    pub(super) fn lose_undelivered(&mut self, part: &[usize]) -> Vec<(usize, Vec<u8>)> {
        let mut again = Vec::new();
        let mut rings: BTreeSet<u64> = BTreeSet::new();
        rings.extend(part.iter().filter_map(|at| Some(self.hosts[*at].daemon.as_ref()?.ring)));
        for ring in rings {
            let here = |at: &usize| {
                self.hosts[*at].daemon.as_ref().is_some_and(|daemon| daemon.ring == ring)
            };
            let together: Vec<usize> = part.iter().copied().filter(here).collect();
            let delivered = together.iter().filter_map(|at| self.hosts[*at].daemon.as_ref());
            let delivered = delivered.map(|daemon| daemon.delivered).max().unwrap_or(0);
            let cut = delivered + self.dice.below(self.counter.saturating_sub(delivered) + 1);
            let mut seen = BTreeSet::new();
            for at in &together {
                let Some(daemon) = &mut self.hosts[*at].daemon else { continue };
                let all = std::mem::take(&mut daemon.inbox);
                let (keep, late): (Vec<_>, Vec<_>) = all.into_iter().partition(|i| i.0 <= cut);
                daemon.inbox.extend(keep);
                for (number, item) in late {
                    if let Item::Said { from, bytes, .. } = item
                        && together.contains(&from)
                        && seen.insert(number)
                    {
                        again.push((from, bytes));
                    }
                }
                let at = *at;
                self.later(0, move |world| world.deliver(at, cut));
            }
        }
        for at in part {
            if let Some(daemon) = &mut self.hosts[*at].daemon {
                again.extend(daemon.queued.drain(..).map(|bytes| (*at, bytes)));
            }
        }
        again
    }
}
