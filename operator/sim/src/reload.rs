//! One reload by itself: how running hosts stand before it and after it, for whoever holds the simulated
//! corosync against a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pvecm_agent::ports::DiskFile;

use crate::faults::Rates;
use crate::trace::Trace;
use crate::world::{Host, Shared, World, runtime};

/// Longer than a lost member takes to be given up and a link to connect.
const SETTLES: Duration = Duration::from_secs(20);

/// How a host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What cmap shows.
    pub values: BTreeMap<String, String>,
    /// The hosts of its ring, by their place in the list of hosts.
    pub members: BTreeSet<usize>,
    /// It has quorum.
    pub quorate: bool,
    /// The numbers of the links that are connected to every other host that runs.
    pub connected: BTreeSet<u8>,
    /// The ports of its links' sockets.
    pub ports: BTreeSet<String>,
}

/// What a reload made of the hosts. A host whose corosync ended has no standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the host that asked for the reload was told.
    pub answer: Result<(), String>,
    /// The hosts before it.
    pub before: Vec<Option<Standing>>,
    /// The hosts when everything has settled.
    pub after: Vec<Option<Standing>>,
}

/// Hosts with these cards, by network, run the first text together; then each has the second one on its
/// disk and the first host asks for a reload.
#[must_use]
pub fn reload(cards: &[BTreeMap<u8, String>], (old, new): (&str, &str)) -> Outcome {
    runtime().block_on(async {
        let shared = Shared::new(0, Rates::default(), Trace::new(false));
        shared.with(|world| begin(world, cards, old));
        tokio::time::sleep(SETTLES).await;
        let before = shared.with(|world| standings(world));
        let answer = shared.with(|world| {
            write(world, new);
            world.reload(0)
        });
        tokio::time::sleep(SETTLES).await;
        Outcome { answer, before, after: shared.with(|world| standings(world)) }
    })
}

fn write(world: &mut World, text: &str) {
    for host in &mut world.hosts {
        host.disk.insert(DiskFile::Conf, text.as_bytes().to_vec());
    }
}

fn begin(world: &mut World, cards: &[BTreeMap<u8, String>], text: &str) {
    let host = |(at, cards): (usize, &BTreeMap<u8, String>)| {
        let mut host = Host { cards: cards.clone(), ..Host::new(at, 0) };
        host.disk.insert(DiskFile::Authkey, b"the cluster's key".to_vec());
        host
    };
    world.hosts = cards.iter().enumerate().map(host).collect();
    write(world, text);
    for at in 0..cards.len() {
        if let Err(why) = world.start_corosync(at) {
            world.broken(why);
        }
    }
}

fn standings(world: &World) -> Vec<Option<Standing>> {
    (0..world.hosts.len()).map(|at| standing(world, at)).collect()
}

fn standing(world: &World, at: usize) -> Option<Standing> {
    let daemon = world.hosts[at].daemon.as_ref()?;
    let others = || (0..world.hosts.len()).filter(|other| *other != at);
    let runs = |other: &usize| world.hosts[*other].daemon.is_some();
    let up = |link: u8, other| world.link(at, other, link).is_some_and(|link| link.up);
    let connected = |link: &&u8| others().filter(runs).all(|other| up(**link, other));
    Some(Standing {
        values: daemon.values.clone(),
        members: daemon.members.clone(),
        quorate: daemon.quorate,
        connected: daemon.ports.keys().filter(connected).copied().collect(),
        ports: daemon.ports.values().cloned().collect(),
    })
}
