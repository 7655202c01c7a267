//! One corosync: what a start and a reload make of the host's own file, key by key as it was
//! measured (facts/corosync.md 4 and 5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pvecm_agent::ports::{CorosyncEvent, DiskFile};
use pvecm_core::conf::Config;
use pvecm_core::ids::NodeId;

use super::World;
use super::effective::token_in_force;
use super::group::Item;
use super::text::Parsed;

/// Keys whose new value cmap shows although nothing has changed (facts/corosync.md 5.3, 5.7).
const IGNORED: [&str; 4] = [
    "totem.link_mode",
    "quorum.wait_for_all",
    "quorum.last_man_standing",
    "quorum.auto_tie_breaker",
];
/// Keys that keep their old value, one by one, while the rest of the file is taken (5.6).
const REFUSED: [&str; 4] =
    ["totem.transport", "totem.cluster_name", "totem.version", "quorum.provider"];

/// A running corosync.
#[derive(Debug)]
pub struct Daemon {
    /// Its node id.
    pub id: NodeId,
    /// The text that it took last.
    pub running: Arc<Parsed>,
    /// What cmap shows.
    pub values: BTreeMap<String, String>,
    /// Values that are in force and not in cmap.
    pub effective: BTreeMap<&'static str, String>,
    /// The token timeout in milliseconds that the pings were derived from last.
    pub pings_follow: u64,
    /// The key that it encrypts with.
    pub key: Vec<u8>,
    /// The number of its ring.
    pub ring: u64,
    /// The lowest id of the ring.
    pub representative: u32,
    /// Places of the hosts in its ring.
    pub members: BTreeSet<usize>,
    /// Versions that members have told: `runtime.members`.
    pub peers: BTreeMap<NodeId, (bool, u64)>,
    /// It is in the quorate part.
    pub quorate: bool,
    /// It was in a ring with others before: versions are compared once only (9.2).
    pub joined: bool,
    /// What it has yet to deliver, in order.
    pub inbox: VecDeque<(u64, Item)>,
    /// The last of the order that it delivered.
    pub delivered: u64,
    /// Sent while the ring was broken.
    pub queued: Vec<Vec<u8>>,
    /// A reload that waits for a ring that turns.
    pub reload_waits: bool,
}

impl Daemon {
    /// The typed view of what runs.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.running.config()
    }

    /// The version that the daemon says it runs.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.running.version
    }
}

impl World {
    /// Starts corosync. `Ok` without a file: the unit's condition is not met, which is no failure.
    pub fn start_corosync(&mut self, at: usize) -> Result<(), String> {
        if self.hosts[at].daemon.is_some() || !self.hosts[at].up {
            return Ok(());
        }
        let Some(bytes) = self.hosts[at].disk.get(&DiskFile::Conf).cloned() else { return Ok(()) };
        let parsed = self.parse(&bytes);
        let config = parsed.config.as_ref().map_err(Clone::clone)?;
        let name = &self.hosts[at].name;
        let node = config.nodes.iter().find(|node| node.name.as_str() == name);
        let id = node.ok_or("no node entry for this host")?.id;
        let key = self.hosts[at].disk.get(&DiskFile::Authkey).cloned();
        let key = key.ok_or("cannot read the authkey")?;
        self.rings += 4;
        let daemon = Daemon {
            id,
            values: parsed.values.clone(),
            effective: IGNORED.map(|key| (key, value(&parsed, key))).into(),
            pings_follow: token_in_force(&parsed.values),
            key,
            ring: self.rings,
            representative: id.get(),
            members: BTreeSet::from([at]),
            peers: BTreeMap::from([(id, (true, parsed.version))]),
            quorate: false,
            joined: false,
            inbox: VecDeque::new(),
            delivered: self.counter,
            queued: Vec::new(),
            reload_waits: false,
            running: parsed,
        };
        self.hosts[at].daemon = Some(daemon);
        self.note("corosync starts", at, String::new);
        self.count_votes(at);
        self.connect_agent(at);
        self.later(250, move |world| world.synchronise(at));
        self.settle();
        Ok(())
    }

    /// Ends corosync. A stop is told to the others, a crash is not.
    pub fn end_corosync(&mut self, at: usize) {
        if self.hosts[at].daemon.take().is_some() {
            self.note("corosync ends", at, String::new);
            self.event(at, CorosyncEvent::Down);
            self.tell(at);
            self.settle();
        }
    }

    /// `-R` on one host: every member of its ring reads its own file. What comes back is about this
    /// host alone (facts/corosync.md 4).
    pub fn reload(&mut self, at: usize) -> Result<(), String> {
        let Some(daemon) = &mut self.hosts[at].daemon else {
            return Err("corosync does not run".to_owned());
        };
        let members = daemon.members.clone();
        daemon.reload_waits = true;
        if self.is_broken(at) {
            return Ok(());
        }
        if let Some(daemon) = &mut self.hosts[at].daemon {
            daemon.reload_waits = false;
        }
        self.note("reload", at, String::new);
        for member in members.into_iter().filter(|member| *member != at) {
            let wait = self.dice.between(1, 4);
            let ring = self.hosts[at].daemon.as_ref().map_or(0, |daemon| daemon.ring);
            self.later(wait, move |world| {
                let same = world.hosts[member].daemon.as_ref().is_some_and(|d| d.ring == ring);
                if same {
                    let _refused = world.read_own_file(member);
                }
            });
        }
        self.read_own_file(at)
    }

    /// Takes the host's own file, or refuses it as a whole.
    pub fn read_own_file(&mut self, at: usize) -> Result<(), String> {
        let bytes = self.hosts[at].disk.get(&DiskFile::Conf).cloned();
        let parsed = bytes.map(|bytes| self.parse(&bytes));
        let Some(daemon) = &self.hosts[at].daemon else { return Ok(()) };
        let Some(parsed) = parsed else { return Err("no file".to_owned()) };
        if parsed.aborts {
            self.end_corosync(at);
            return Ok(());
        }
        let old = daemon.running.clone();
        let new = parsed.config.as_ref().map_err(Clone::clone)?;
        if let Some(before) = old.config() {
            addresses_stay(before, new)?;
        }
        self.take(at, &parsed);
        Ok(())
    }

    fn take(&mut self, at: usize, parsed: &Arc<Parsed>) {
        let key = self.hosts[at].disk.get(&DiskFile::Authkey).cloned();
        let Some(daemon) = &mut self.hosts[at].daemon else { return };
        let mut values = parsed.values.clone();
        for name in REFUSED {
            if let Some(kept) = daemon.values.get(name) {
                values.insert(name.to_owned(), kept.clone());
            }
        }
        daemon.values = values;
        // Derived before the new timeout is known: it counts from the next reload on (5.4).
        daemon.pings_follow = token_in_force(&daemon.running.values);
        daemon.running = parsed.clone();
        if let Some(key) = key {
            daemon.key = key;
        }
        let (id, members) = (daemon.id, daemon.members.clone());
        let version = parsed.version;
        self.note("runs", at, || version.to_string());
        for member in members {
            if let Some(other) = &mut self.hosts[member].daemon {
                other.peers.insert(id, (true, version));
            }
            self.tell(member);
        }
        self.count_ring(at);
        self.settle();
    }

    /// Tells an agent to look again.
    pub fn tell(&mut self, at: usize) {
        self.event(at, CorosyncEvent::Changed);
    }

    /// Hands an event to an agent that runs.
    pub fn event(&mut self, at: usize, event: CorosyncEvent) {
        if let Some(agent) = &self.hosts[at].agent {
            agent.tell(event);
        }
    }
}

fn value(parsed: &Parsed, key: &str) -> String {
    parsed.values.get(key).cloned().unwrap_or_default()
}

/// An address of a link that stays must stay too, or the whole file is refused (5.2).
fn addresses_stay(old: &Config, new: &Config) -> Result<(), String> {
    for node in &new.nodes {
        let Some(before) = old.node(node.id) else { continue };
        for (link, address) in &node.addresses {
            if before.addresses.get(link).is_some_and(|known| known != address) {
                return Err(format!("new config has different address for link {link}"));
            }
        }
    }
    Ok(())
}
