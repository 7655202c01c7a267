//! One corosync: what a start and a reload make of the host's own file, key by key as it was
//! measured (facts/corosync.md 4 and 5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pvecm_agent::ports::{CorosyncEvent, DiskFile};
use pvecm_core::conf::Config;
use pvecm_core::ids::NodeId;

use super::World;
use super::group::Item;
use super::text::{Parsed, with_transport};

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
    /// The port that each link's socket has, whatever cmap shows (facts/corosync.md 5.3).
    pub ports: BTreeMap<u8, String>,
    /// The token timeout in force, in milliseconds.
    pub token: u64,
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
    /// The votes that it was told to expect since it read its file, and when it was told.
    pub lowered: Option<(u32, u64)>,
    /// Which daemon of the world it is.
    pub started: u64,
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
    /// Starts corosync. `Ok` without a file and with one that is held: the unit's conditions are not met, which is
    /// no failure. Before the gate has ended it waits for that.
    pub fn start_corosync(&mut self, at: usize) -> Result<(), String> {
        let host = &self.hosts[at];
        if host.daemon.is_some() || !host.up || host.gate.is_some() || host.is_held() {
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
            values: shown(&parsed, parsed.token(), &BTreeMap::new()),
            ports: parsed.ports(&BTreeMap::new()),
            token: parsed.token(),
            key,
            ring: self.rings,
            representative: id.get(),
            members: BTreeSet::from([at]),
            peers: BTreeMap::from([(id, (true, parsed.version))]),
            quorate: false,
            lowered: None,
            started: self.rings,
            joined: false,
            inbox: VecDeque::new(),
            delivered: self.counter,
            queued: Vec::new(),
            reload_waits: false,
            running: parsed,
        };
        self.hosts[at].daemon = Some(daemon);
        self.hosts[at].outrun = None;
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
        self.watch_keys(&members);
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
        let Some(daemon) = &self.hosts[at].daemon else { return Ok(()) };
        let old = daemon.running.clone();
        let transport = daemon.values.get("totem.transport").cloned();
        let Some(bytes) = bytes else { return Err("no file".to_owned()) };
        let mut parsed = self.parse(&bytes);
        if parsed.values.get("totem.transport") != transport.as_ref() {
            parsed = self.parse(&with_transport(&bytes, transport.as_deref()));
        }
        if parsed.aborts {
            self.end_corosync(at);
            return Ok(());
        }
        let new = match &parsed.config {
            Ok(new) => new,
            Err(why) => {
                self.forget_gone(at, &parsed);
                return Err(why.clone());
            }
        };
        if let Some(before) = old.config() {
            addresses_stay(before, new)?;
        }
        self.take(at, &parsed);
        Ok(())
    }

    /// A file that can be read and makes no sense is refused after cmap has lost the keys that it lacks.
    fn forget_gone(&mut self, at: usize, parsed: &Parsed) {
        const OF_FILE: [&str; 4] = ["totem.", "nodelist.", "quorum.", "logging."];
        let Some(daemon) = self.hosts[at].daemon.as_mut().filter(|_| parsed.parses) else { return };
        daemon.values.retain(|key, _| {
            parsed.values.contains_key(key) || !OF_FILE.iter().any(|part| key.starts_with(part))
        });
    }

    fn take(&mut self, at: usize, parsed: &Arc<Parsed>) {
        let key = self.hosts[at].disk.get(&DiskFile::Authkey).cloned();
        let Some(daemon) = &mut self.hosts[at].daemon else { return };
        let mut values = shown(parsed, daemon.token, &daemon.values);
        daemon.token = parsed.token();
        daemon.ports = parsed.ports(&daemon.ports);
        for name in REFUSED {
            if let Some(kept) = daemon.values.get(name) {
                values.insert(name.to_owned(), kept.clone());
            }
        }
        daemon.values = values;
        let old = std::mem::replace(&mut daemon.running, parsed.clone()).version;
        let told = daemon.lowered.take().is_some() && old == parsed.version;
        if let Some(key) = key {
            daemon.key = key;
        }
        let (id, members) = (daemon.id, daemon.members.clone());
        let version = parsed.version;
        self.note("runs", at, || version.to_string());
        if told {
            // Lowered for nothing: whoever had quorum by it loses it again.
            self.outside("expects all votes again", at);
        }
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

/// cmap after a reload: the file, and the numbers that the daemon works with. Ping values that follow
/// from the token timeout are computed from the one before (facts/corosync.md 5.4).
fn shown(
    parsed: &Parsed,
    token_before: u64,
    known: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    const EFFECTIVE: &str = "runtime.config.totem.";
    let mut values = parsed.values.clone();
    // They fall back to defaults, and never go.
    let kept = known.iter().filter(|(key, _)| key.starts_with(EFFECTIVE));
    values.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    let written = |key: &str| parsed.values.get(&format!("totem.{key}")).cloned();
    let token = parsed.token();
    let numbers = [
        ("token", Some(token.to_string())),
        ("consensus", written("consensus").or(Some((token * 6 / 5).to_string()))),
        ("knet_mtu", written("knet_mtu").or(Some("0".to_owned()))),
        ("knet_compression_model", written("knet_compression_model").or(Some("none".to_owned()))),
        ("knet_compression_threshold", written("knet_compression_threshold")),
        ("knet_compression_level", written("knet_compression_level")),
    ];
    for (key, value) in numbers {
        values.extend(value.map(|value| (format!("{EFFECTIVE}{key}"), value)));
    }
    let links = parsed.config().map(Config::links).unwrap_or_default();
    for link in links {
        let own = |key: &str| written(&format!("interface.{link}.{key}"));
        let pongs = own("knet_pong_count").and_then(|text| text.parse().ok()).unwrap_or(2_u64);
        let interval =
            own("knet_ping_interval").unwrap_or((token_before / (2 * pongs)).to_string());
        let timeout = own("knet_ping_timeout").unwrap_or((token_before / pongs).to_string());
        values.insert(format!("{EFFECTIVE}interface.{link}.knet_ping_interval"), interval);
        values.insert(format!("{EFFECTIVE}interface.{link}.knet_ping_timeout"), timeout);
    }
    values
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
