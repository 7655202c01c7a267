//! Who changes corosync.conf, noted for the rules: a stage of ours, or a person.

use std::collections::{BTreeMap, BTreeSet};

use pvecm_agent::ports::DiskFile;
use pvecm_core::conf::Config;
use pvecm_core::ids::Digest;

use super::World;

/// After a cut, a crash or a repair so many milliseconds pass before a loss counts as our own: what was
/// checked when a stage was prepared could not have known of it.
const SETTLED_MS: u64 = 20_000;

impl World {
    /// A text of ours lands in /etc/pve or on a disk. Looked at before it does.
    pub fn we_write(&mut self, at: usize, bytes: &[u8], place: &'static str) {
        let parsed = self.parse(bytes);
        self.note("we write", at, || format!("{} to {place}", parsed.version));
        let is_disk = place != "/etc/pve";
        if is_disk && self.hosts[at].db.conf.as_deref() == Some(bytes) {
            // The disk gets what /etc/pve has, whoever wrote that.
            return self.checks.host_wrote(at);
        }
        let over = self.version_over(at);
        if let Err(why) = self.checks.written(at, (bytes, &parsed), (place, over)) {
            self.broken(why);
        }
        if is_disk {
            return;
        }
        self.watch_graves(at, bytes);
        self.watch_left_out(at, bytes);
        if let Err(why) = self.stages.lands(at, Digest::of(bytes)) {
            self.broken(why);
        }
    }

    /// The version of the text that would be written over.
    fn version_over(&mut self, at: usize) -> u64 {
        let over = self.hosts[at].db.conf.clone();
        over.map_or(0, |bytes| self.parse(&bytes).version)
    }

    /// A rename of ours begins. What a person does while it is in the kernel nobody can know.
    pub fn check_disks(&mut self, at: usize, bytes: &[u8]) {
        if let Some(other) = self.other_disk(at, bytes) {
            self.broken(format!("a stage writes over the disk of n{}, which differs", other + 1));
        }
    }

    /// A stage's text is about to be written over what runs: with the network as it is, nobody may
    /// lose quorum by it, and no connected pair its last connected link.
    pub fn check_act(&mut self, at: usize, bytes: &[u8]) {
        let parsed = self.parse(bytes);
        let Some(new) = parsed.config() else {
            return self.broken("a text of ours is not understood by corosync".to_owned());
        };
        let Some(daemon) = &self.hosts[at].daemon else { return };
        let members: Vec<usize> = daemon.members.iter().copied().collect();
        if self.now() < self.checks.outside_at + SETTLED_MS {
            return;
        }
        let found = self.lost_pair(&members, new).or_else(|| self.lost_majority(&members, new));
        if let Some(why) = found {
            self.broken(why);
        }
    }

    /// A member whose disk is not what the stage starts from: what a person wrote there would be lost.
    fn other_disk(&self, at: usize, bytes: &[u8]) -> Option<usize> {
        const JUST_NOW_MS: u64 = 5_000;
        let stage = self.stages.writing(Digest::of(bytes))?;
        if self.now() < self.checks.outside_at + JUST_NOW_MS {
            return None;
        }
        let parent = self.hosts[at].db.conf.as_ref()?;
        let differs = |other: &usize| {
            self.hosts[*other].disk.get(&DiskFile::Conf).is_some_and(|disk| disk != parent)
        };
        stage.group.iter().copied().find(differs).filter(|_| parent != bytes)
    }

    fn lost_pair(&self, members: &[usize], new: &Config) -> Option<String> {
        for (index, a) in members.iter().enumerate() {
            for b in &members[index + 1..] {
                if !self.passes(*a, *b) || !self.lists(new, *a) || !self.lists(new, *b) {
                    continue;
                }
                let stays = new.links().into_iter().any(|link| {
                    let same = self.same_addresses(*a, *b, (link, new));
                    same && self.link(*a, *b, link.get()).is_some_and(|l| l.up && l.wanted)
                });
                if !stays {
                    return Some(format!("n{} and n{} lose their last link by us", a + 1, b + 1));
                }
            }
        }
        None
    }

    /// Whether a text has this host in its list. One that is taken off it again is no pair's end.
    fn lists(&self, config: &Config, at: usize) -> bool {
        self.hosts[at].daemon.as_ref().is_some_and(|daemon| config.node(daemon.id).is_some())
    }

    fn same_addresses(
        &self,
        a: usize,
        b: usize,
        (link, new): (pvecm_core::ids::LinkNumber, &Config),
    ) -> bool {
        [a, b].into_iter().all(|at| {
            let Some(daemon) = &self.hosts[at].daemon else { return false };
            let address = |config: &Config| {
                config.node(daemon.id).and_then(|node| node.addresses.get(&link)).cloned()
            };
            let before = daemon.config().and_then(address);
            before.is_some() && before == address(new)
        })
    }

    /// Votes of the members that run, by the new text.
    fn lost_majority(&self, members: &[usize], new: &Config) -> Option<String> {
        let ids = members.iter().filter_map(|at| Some(self.hosts[*at].daemon.as_ref()?.id));
        let present: u32 = ids.filter_map(|id| Some(new.node(id)?.votes())).sum();
        let expected: u32 = new.nodes.iter().map(pvecm_core::conf::Node::votes).sum();
        (2 * present <= expected).then(|| {
            format!("a text of ours leaves {present} of {expected} votes to those who run")
        })
    }

    /// Daemons are about to read their keys. Who reads another one than the rest is thrown out, so in a ring
    /// with quorum that must not happen, unless something from outside has just disturbed it.
    pub(super) fn watch_keys(&mut self, members: &BTreeSet<usize>) {
        let here = |at: &usize| self.hosts[*at].disk.get(&DiskFile::Authkey);
        let keys: BTreeSet<_> = members.iter().map(here).collect();
        let quorate = members.iter().any(|at| self.hosts[*at].quorate());
        let quiet = self.now() >= self.checks.outside_at + SETTLED_MS;
        if keys.len() > 1 && quorate && quiet {
            let count = keys.len();
            self.broken(format!("daemons of one ring read {count} different keys"));
        }
    }

    /// A host lost quorum. Without anything from outside, that is our doing.
    pub(super) fn quorum_lost(&mut self, at: usize) {
        let quiet = self.now() >= self.checks.outside_at + SETTLED_MS;
        let unlisted = self.hosts.iter().filter(|host| host.quorate()).any(|host| {
            let config = host.daemon.as_ref().and_then(super::Daemon::config);
            config.is_some_and(|config| !self.lists(config, at))
        });
        let counts: BTreeMap<usize, bool> =
            (0..self.hosts.len()).map(|host| (host, self.hosts[host].quorate())).collect();
        if quiet && !unlisted {
            self.broken(format!("n{} lost quorum, and nothing from outside: {counts:?}", at + 1));
        }
    }

    /// Something from outside disturbs the cluster.
    pub fn outside(&mut self, what: &'static str, at: usize) {
        self.note(what, at, String::new);
        self.checks.outside_at = self.now();
    }
}
