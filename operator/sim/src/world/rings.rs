//! totem: who is in a ring with whom, when that changes, and who has quorum there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use pvecm_core::conf::Node;
use pvecm_core::gate::Idle;
use pvecm_core::ids::NodeId;

use super::World;

/// A membership change that is under way.
#[derive(Debug, Clone)]
pub struct Reform {
    wanted: Vec<Vec<usize>>,
    token: u64,
}

/// corosync's default and what it adds for each node beyond the second.
const TOKEN_MS: u64 = 1_000;

impl World {
    /// Who would be together if all that is seen now stayed so: sets in which each reaches each.
    fn parts(&self) -> Vec<Vec<usize>> {
        let running = |at: &usize| self.hosts[*at].daemon.is_some();
        let mut left: Vec<usize> = (0..self.hosts.len()).filter(running).collect();
        // Who is together stays so: one that comes and is not reached by all of them yet waits.
        let ring = |at: &usize| self.hosts[*at].daemon.as_ref().map(|daemon| &daemon.members);
        left.sort_by_key(|at| Reverse(ring(at).map_or(0, BTreeSet::len)));
        let mut parts = Vec::new();
        while let Some(first) = left.first().copied() {
            let mut part = vec![first];
            let with_first = |at: &usize| ring(&first).is_some_and(|ring| ring.contains(at));
            let mut others = left[1..].to_vec();
            others.sort_by_key(|at| !with_first(at));
            for at in others {
                if part.iter().all(|member| self.reaches(*member, at)) {
                    part.push(at);
                }
            }
            left.retain(|at| !part.contains(at));
            part.sort_unstable();
            parts.push(part);
        }
        parts
    }

    fn is_formed(&self, part: &[usize]) -> bool {
        let ring = |at: &usize| self.hosts[*at].daemon.as_ref().map(|daemon| daemon.ring);
        let members: BTreeSet<usize> = part.iter().copied().collect();
        let same = |at: &usize| {
            self.hosts[*at].daemon.as_ref().is_some_and(|daemon| daemon.members == members)
        };
        part.iter().all(|at| ring(at) == ring(&part[0]) && same(at))
    }

    /// Has rings form anew where the links ask for it.
    pub fn settle_rings(&mut self) {
        let wanted = self.parts();
        if wanted.iter().all(|part| self.is_formed(part)) {
            self.reform = None;
            return;
        }
        if self.reform.as_ref().is_some_and(|reform| reform.wanted == wanted) {
            return;
        }
        let wait = self.reform_wait(&wanted);
        let token = self.next_number();
        self.reform = Some(Reform { wanted, token });
        self.later(wait, move |world| world.form(token));
    }

    /// Forms the wanted rings without a wait: how a seed begins.
    pub fn form_now(&mut self) {
        let token = self.next_number();
        self.reform = Some(Reform { wanted: self.parts(), token });
        self.form(token);
    }

    /// A leave is told and seen at once; a loss only after token and consensus (facts/corosync.md 9.2).
    fn reform_wait(&mut self, wanted: &[Vec<usize>]) -> u64 {
        let lost = wanted.iter().flatten().any(|at| {
            let daemon = self.hosts[*at].daemon.as_ref();
            let members = daemon.map(|daemon| daemon.members.clone()).unwrap_or_default();
            members
                .iter()
                .any(|other| self.hosts[*other].daemon.is_some() && !self.reaches(*at, *other))
        });
        let crashed = wanted.iter().flatten().any(|at| {
            let daemon = self.hosts[*at].daemon.as_ref();
            daemon.is_some_and(|d| d.members.iter().any(|other| !self.hosts[*other].up))
        });
        let left = wanted.iter().flatten().any(|at| {
            let daemon = self.hosts[*at].daemon.as_ref();
            daemon.is_some_and(|d| d.members.iter().any(|o| self.hosts[*o].daemon.is_none()))
        });
        let token = TOKEN_MS + 125 * (self.hosts.len() as u64).saturating_sub(2);
        if lost || crashed {
            2 * token + self.dice.below(token)
        } else if left {
            self.dice.between(300, 400)
        } else {
            self.dice.between(800, 1_700)
        }
    }

    fn form(&mut self, token: u64) {
        if self.reform.as_ref().is_none_or(|reform| reform.token != token) {
            return;
        }
        self.reform = None;
        let parts = self.parts();
        let moved: Vec<_> = parts.into_iter().filter(|part| !self.is_formed(part)).collect();
        for part in moved {
            self.form_ring(&part);
        }
        self.settle_rings();
    }

    fn form_ring(&mut self, part: &[usize]) {
        self.rings += 4;
        let (ring, members) = (self.rings, part.iter().copied().collect::<BTreeSet<_>>());
        let again = self.lose_undelivered(part);
        let versions: BTreeMap<NodeId, (bool, u64)> = part
            .iter()
            .filter_map(|at| self.hosts[*at].daemon.as_ref())
            .map(|daemon| (daemon.id, (true, daemon.version())))
            .collect();
        let lowest = versions.keys().next().map_or(0, |id| id.get());
        self.note("ring", part[0], || format!("{ring}: {part:?}"));
        for at in part {
            let host = &mut self.hosts[*at];
            let Some(daemon) = &mut host.daemon else { continue };
            // Who was level and quorate stays so; who comes has to catch up (facts/pmxcfs.md 1).
            if daemon.quorate && host.synchronised == daemon.ring {
                host.synchronised = ring;
            }
            daemon.ring = ring;
            daemon.representative = lowest;
            daemon.members.clone_from(&members);
            daemon.peers.values_mut().for_each(|peer| peer.0 = false);
            daemon.peers.extend(versions.clone());
            let wait = self.dice.between(200, 800);
            let at = *at;
            self.later(wait, move |world| world.synchronise(at));
        }
        self.compare_versions(part);
        self.count_ring(part[0]);
        self.say_agents(part[0]);
        for (from, bytes) in again {
            self.broadcast(from, &bytes);
        }
        for at in part {
            self.tell(*at);
        }
        self.reload_waiting(part);
    }

    /// Only on the first join, and only the lower one, ends (facts/corosync.md 9.2).
    fn compare_versions(&mut self, part: &[usize]) {
        if part.len() < 2 {
            return;
        }
        let versions = part.iter().filter_map(|at| self.hosts[*at].daemon.as_ref());
        let highest = versions.map(super::Daemon::version).max().unwrap_or(0);
        for at in part {
            let Some(daemon) = &mut self.hosts[*at].daemon else { continue };
            let first = !std::mem::replace(&mut daemon.joined, true);
            let (at, own, ring) = (*at, daemon.version(), daemon.ring);
            if first && own != 0 && own < highest {
                self.later(200, move |world| {
                    if world.hosts[at].daemon.as_ref().is_some_and(|d| d.ring == ring) {
                        let outrun = Idle::Outrun { theirs: highest, mine: own };
                        world.hosts[at].outrun = Some(outrun);
                        world.end_corosync(at);
                    }
                });
            }
        }
    }

    fn reload_waiting(&mut self, part: &[usize]) {
        let waits = |world: &Self, at: usize| {
            world.hosts[at].daemon.as_ref().is_some_and(|daemon| daemon.reload_waits)
        };
        if let Some(at) = part.iter().copied().find(|at| waits(self, *at)) {
            let _refused = self.reload(at);
        }
    }

    /// The ring of this host does not turn: somebody in it does not get packets through.
    #[must_use]
    pub fn is_broken(&self, at: usize) -> bool {
        let Some(daemon) = &self.hosts[at].daemon else { return true };
        let members = &daemon.members;
        let gone = |other: &usize| {
            self.hosts[*other].daemon.as_ref().is_none_or(|d| d.ring != daemon.ring)
        };
        members.iter().any(gone)
            || members.iter().any(|a| members.iter().any(|b| !self.passes(*a, *b)))
    }

    /// Counts the votes on every host of a ring.
    pub fn count_ring(&mut self, at: usize) {
        let members = self.hosts[at].daemon.as_ref().map(|daemon| daemon.members.clone());
        for member in members.unwrap_or_default() {
            self.count_votes(member);
        }
    }

    /// Has a ring expect fewer votes than its files list. Never fewer than there are (facts/pve.md 1.10).
    pub fn expect(&mut self, at: usize, votes: u32) -> Result<(), String> {
        let (total, ..) = self.votes(at).ok_or("corosync does not run")?;
        if votes < total {
            return Err("CsErrInvalidParam".to_owned());
        }
        self.watch_lowering(at);
        let now = self.now();
        let members = self.hosts[at].daemon.as_ref().map(|daemon| daemon.members.clone());
        for member in members.unwrap_or_default() {
            if let Some(daemon) = &mut self.hosts[member].daemon {
                daemon.lowered = Some((votes, now));
            }
        }
        self.count_ring(at);
        Ok(())
    }

    /// Present, expected and needed votes as one host counts them, by its own file. Where votes were told, each
    /// expects the most that one in its ring does: who comes and was not told has the others count by its file
    /// (facts/corosync.md 9.2).
    #[must_use]
    pub fn votes(&self, at: usize) -> Option<(u32, u32, u32)> {
        let daemon = self.hosts[at].daemon.as_ref()?;
        let config = daemon.config()?;
        let expected: u32 = config.nodes.iter().map(Node::votes).sum();
        let own = |member: &usize| {
            let other = self.hosts[*member].daemon.as_ref()?;
            let told = other.config().and_then(|config| config.node(other.id));
            Some(told.or_else(|| config.node(other.id))?.votes())
        };
        let total = daemon.members.iter().filter_map(own).sum();
        let told = |member: &usize| {
            let daemon = self.hosts[*member].daemon.as_ref()?;
            let listed = || Some(daemon.config()?.nodes.iter().map(Node::votes).sum());
            Some((daemon.lowered.is_some(), daemon.lowered.map(|(told, _)| told).or_else(listed)?))
        };
        let told: Vec<(bool, u32)> = daemon.members.iter().filter_map(told).collect();
        let highest = told.iter().map(|(_, votes)| *votes).max().unwrap_or(expected);
        let is_told = told.iter().any(|(is_told, _)| *is_told);
        let expected = if is_told { highest } else { expected };
        Some((total, expected, expected / 2 + 1))
    }

    pub(super) fn count_votes(&mut self, at: usize) {
        let Some((total, _, needed)) = self.votes(at) else { return };
        let quorate = total >= needed;
        let Some(daemon) = &mut self.hosts[at].daemon else { return };
        if daemon.quorate != quorate {
            daemon.quorate = quorate;
            self.note("quorate", at, || quorate.to_string());
            self.tell(at);
            if !quorate {
                self.quorum_lost(at);
            }
        }
    }
}
