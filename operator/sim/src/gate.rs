//! What comes before corosync when a simulated machine boots: the production gate, with the API server and the
//! other machines to ask, and what is held against its answer.

use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use pvecm_agent::api::left_for;
use pvecm_agent::gate;
use pvecm_agent::ports::DiskFile;
use pvecm_core::conf::Node;
use pvecm_core::gate::{Peer, Said, Weight};

use crate::agent::way;
use crate::ports::Port;
use crate::world::{Crash, Host, Mode, Shared, World};

/// So long nobody answers at an address that is not reached.
const UNREACHED_MS: u64 = 3_000;

/// Runs the gate of every machine that boots.
pub async fn keep_running(shared: Shared) {
    let booted = shared.with(|world| world.gates.1.clone());
    loop {
        booted.notified().await;
        for (at, life) in shared.with(|world| std::mem::take(&mut world.gates.0)) {
            tokio::spawn(run(shared.clone(), (at, life)));
        }
    }
}

/// Asks, judges and acts, and lets corosync start: also when it was killed (ADR 0009).
async fn run(shared: Shared, (at, life): (usize, u64)) {
    let (boot, own) = shared.with(|world| (world.hosts[at].boot, world.newest_copy(at)));
    let port = Port::new(shared.clone(), at, life);
    let world = shared.clone();
    let pass = tokio::spawn(async move {
        let host = port.host();
        gate::pass(&host, &port, |peers| words(world, at, peers)).await
    });
    let killed = match pass.await {
        Ok(Ok(outcome)) => {
            shared.with(|world| world.note("gate", at, || outcome));
            false
        }
        Ok(Err(error)) => {
            shared.with(|world| world.broken(format!("the gate of n{}: {error:#}", at + 1)));
            false
        }
        Err(error) => {
            let crash = error.try_into_panic().is_ok_and(|why| why.is::<Crash>());
            if !crash {
                shared.with(|world| world.broken(format!("the gate of n{} panicked", at + 1)));
            }
            true
        }
    };
    shared.with(|world| {
        if world.hosts[at].up && world.hosts[at].boot == boot {
            world.hosts[at].gate = None;
            if killed {
                world.hosts[at].told.clear();
            } else if let Some(own) = &own {
                world.judge_gate(at, own);
            }
            let _refused = world.start_corosync(at);
        }
    });
}

fn words(shared: Shared, at: usize, peers: Vec<Peer>) -> impl Stream<Item = Said> {
    const AT_ONCE: usize = 16;
    let changes = stream::once(by_changes(shared.clone(), at)).flat_map(stream::iter);
    let asks = stream::iter(peers).map(move |peer| by_peer(shared.clone(), at, peer));
    stream::select(asks.buffer_unordered(AT_ONCE).filter_map(async |said| said), changes)
}

async fn by_changes(shared: Shared, at: usize) -> Vec<Said> {
    let (wait, arrives) = shared.with(|world| way(world, at));
    tokio::time::sleep(Duration::from_millis(wait)).await;
    if !arrives {
        return Vec::new();
    }
    shared.with(|world| {
        let name = world.hosts[at].name.clone();
        let Some(host) = world.api.host(&name) else { return Vec::new() };
        let changes = world.api.changes();
        let said = left_for(&host, changes.values().map(AsRef::as_ref).collect());
        world.hosts[at].told.extend(said.iter().cloned());
        said
    })
}

/// One address after the other, until somebody answers.
async fn by_peer(shared: Shared, at: usize, peer: Peer) -> Option<Said> {
    for address in &peer.addresses {
        let wait = shared.with(|world| {
            let reached = world.is_reached(at, address);
            if reached { world.dice.between(5, 400) } else { UNREACHED_MS }
        });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let said = shared.with(|world| world.answers(at, &peer, address));
        if said.is_some() {
            return said;
        }
    }
    None
}

impl World {
    /// The machine that has an address, if packets of this one get there.
    fn is_reached(&self, at: usize, address: &str) -> bool {
        self.at_address(at, address).is_some()
    }

    fn at_address(&self, at: usize, address: &str) -> Option<usize> {
        let address: IpAddr = address.parse().ok()?;
        let found = self.hosts.iter().enumerate().find_map(|(other, host)| {
            let network = host.network_of(&address.to_string())?;
            Some((other, network))
        });
        let (other, network) = found?;
        let there = self.hosts[other].up && self.network.connects(network, at, other);
        there.then_some(other)
    }

    /// What is said there to somebody who has the keys of a member. The name is that of the host key.
    fn answers(&mut self, at: usize, peer: &Peer, address: &str) -> Option<Said> {
        let (name, other) = (self.hosts[at].name.clone(), self.at_address(at, address)?);
        let host = &self.hosts[other];
        let lets_in = host.name == peer.name.as_str() && host.db.answers(&name);
        if host.mode == Mode::Down || !lets_in {
            return None;
        }
        let text = String::from_utf8(host.db.conf.clone()?).ok()?;
        let weight = if host.quorate() { Weight::Quorate } else { Weight::Alone };
        let said = Said { by: peer.name.to_string(), text, weight };
        self.hosts[at].told.push(said.clone());
        Some(said)
    }

    /// A gate brings a file: nobody starts with a text that was never written anywhere, its number would have all
    /// others outrun.
    pub(crate) fn watch_refresh(&mut self, at: usize, bytes: &[u8]) {
        if self.checks.is_planned_alone(bytes) {
            let version = self.parse(bytes).version;
            self.broken(format!("n{} gets version {version} at boot, which never was", at + 1));
        }
    }

    /// What quorate members told, all of them the same and newer than what lies here, is what comes of it: a host
    /// that they do not list stays down, and one that they list starts with their file.
    fn judge_gate(&mut self, at: usize, own: &[u8]) {
        let told = self.hosts[at].told.iter().filter(|said| said.weight == Weight::Quorate);
        let told: Vec<Vec<u8>> = told.map(|said| said.text.clone().into_bytes()).collect();
        let Some(first) = told.first().filter(|first| told.iter().all(|text| text == *first))
        else {
            return;
        };
        let (theirs, mine) = (self.parse(first), self.parse(own));
        let (Some(config), Some(before)) = (theirs.config(), mine.config()) else { return };
        let host = &self.hosts[at];
        let me = before.nodes.iter().find(|node| node.name.as_str() == host.name);
        let Some(me) = me.filter(|_| theirs.version > mine.version) else { return };
        // A cluster that has none of the nodes of before is another one.
        let has_it = |node: &Node| config.node(node.id).is_some_and(|same| same.name == node.name);
        if !before.nodes.iter().any(|node| node.id != me.id && has_it(node)) {
            return;
        }
        let listed = has_it(me);
        let has = host.disk.get(&DiskFile::Conf) == Some(first);
        if !listed && !host.is_held() {
            self.broken(format!("n{} was told that it is no member, and starts", at + 1));
        } else if listed && !has {
            self.broken(format!("n{} was told of a newer file, and starts without it", at + 1));
        }
    }

    /// The newest of the files that a machine has when it boots.
    fn newest_copy(&mut self, at: usize) -> Option<Vec<u8>> {
        let Host { disk, db, .. } = &self.hosts[at];
        let copies: Vec<Vec<u8>> =
            disk.get(&DiskFile::Conf).into_iter().chain(&db.conf).cloned().collect();
        copies.into_iter().max_by_key(|bytes| self.parse(bytes).version)
    }
}
