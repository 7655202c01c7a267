//! How long the planner takes for the next change of a cluster, and the guards for proving it.
//!
//! `cargo xtask bench plan` runs it. Prints `NODES CHANGE STAGES` and then, in microseconds, the median
//! and the 99th percentile of planning and of proving, a line each. All clusters have two links.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first thing that goes wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::Instant;

use pvecm_core::change::ConfText;
use pvecm_core::conf::{
    Config, Document, Formation, LinkOptions, LoggingOptions, NodeEntry, TotemOptions, form,
    values_at_start,
};
use pvecm_core::desired::{
    Approval, DesiredCluster, DesiredLink, DesiredNode, Drift, HighAvailability, MaxRisk, Removal,
    Rollout,
};
use pvecm_core::device::DeviceView;
use pvecm_core::fitness::Fitness;
use pvecm_core::guard::guard;
use pvecm_core::ha::HaState;
use pvecm_core::ids::{ConfigVersion, Fingerprint, HostName, LinkNumber, NodeId};
use pvecm_core::observed::{Claim, FileView, HostView, KeyView, ObservedCluster};
use pvecm_core::plan::plan;

const NODES: [u32; 5] = [3, 8, 16, 32, 64];

/// Enough for a 99th percentile that twenty rounds lie above.
const ROUNDS: usize = 2_000;

/// A change of what is wanted.
type Edit = fn(&mut World);

/// What the spec wants that the cluster does not have, by the name that is printed.
const CHANGES: [(&str, Edit); 4] = [
    ("nothing", |_| {}),
    ("link-added", |world| world.desired.links.push(wanted_link(2, 0))),
    ("link-moved", |world| world.desired.links[1] = wanted_link(1, 1)),
    ("node-joins", World::newcomer),
];

struct World {
    desired: DesiredCluster,
    observed: ObservedCluster,
}

fn main() {
    // `cargo test --benches` passes no argument, and has to see no more than that it starts.
    let is_asked = std::env::args().any(|word| word == "--bench");
    for nodes in NODES {
        for (name, change) in CHANGES {
            let mut world = World::running(nodes);
            change(&mut world);
            if is_asked {
                measure(name, nodes, &world);
            }
        }
    }
}

fn measure(name: &str, nodes: u32, World { desired, observed }: &World) {
    let planned = plan(desired, observed);
    assert_eq!(planned.plan.is_none(), name == "nothing", "{}", planned.report.sentence);
    let stages = planned.plan.as_ref().map_or(0, |plan| plan.stages.len());
    let planning = times(|| (), |()| drop(black_box(plan(black_box(desired), observed))));
    let proving = planned.plan.map(|plan| {
        times(|| plan.clone(), |plan| drop(black_box(guard(plan, desired, observed).unwrap())))
    });
    let (proved, late) = proving.unwrap_or_default();
    println!("{nodes} {name} {stages} {:.1} {:.1} {proved:.1} {late:.1}", planning.0, planning.1);
}

/// The median and the 99th percentile.
fn times<T>(prepared: impl Fn() -> T, act: impl Fn(T)) -> (f64, f64) {
    let once = || {
        let given = prepared();
        let began = Instant::now();
        act(given);
        began.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], times[ROUNDS * 99 / 100])
}

impl World {
    /// A cluster that is as the spec wants it, on links 0 and 1.
    fn running(nodes: u32) -> Self {
        let links = [0, 1].map(|number| wanted_link(number, 0));
        let text = form(&Formation {
            cluster_name: "bench".parse().unwrap(),
            version: ConfigVersion(7),
            nodes: (1..=nodes).map(entry).collect(),
            links: links.iter().map(|link| (link.number, link.options)).collect(),
            totem: TotemOptions::default(),
            logging: LoggingOptions::default(),
        });
        let text = ConfText::new(ConfigVersion(7), String::from_utf8(text.unwrap()).unwrap());
        let members: BTreeSet<NodeId> = (1..=nodes).map(id).collect();
        let hosts = (1..=nodes).map(|n| (host(n), member(n, &text, &members))).collect();
        let rollout = Rollout {
            approval: Approval::Automatic,
            max_risk: MaxRisk::Live,
            high_availability: HighAvailability::RequireIdle,
            drift: Drift::Correct,
            removal: Removal::default(),
            confirm_timeout_secs: 30,
            paused: false,
        };
        let desired = DesiredCluster {
            name: "bench".parse().unwrap(),
            nodes: (1..=nodes).map(wanted_node).collect(),
            links: links.into(),
            totem: TotemOptions::default(),
            logging: LoggingOptions::default(),
            datacenter: BTreeMap::new(),
            device: None,
            key_generation: 0,
            dissolves: false,
            rollout,
            generation: 1,
        };
        Self { desired, observed: ObservedCluster { hosts, ..ObservedCluster::default() } }
    }

    fn newcomer(&mut self) {
        let n = u32::try_from(self.desired.nodes.len()).unwrap() + 1;
        self.desired.nodes.push(wanted_node(n));
        self.observed.hosts.insert(host(n), machine(n));
    }
}

fn wanted_node(n: u32) -> DesiredNode {
    DesiredNode {
        name: format!("n{n}").parse().unwrap(),
        host: host(n),
        node_id: None,
        votes: None,
        addresses: BTreeMap::new(),
    }
}

fn wanted_link(number: u32, site: u32) -> DesiredLink {
    let network = Some(format!("10.{site}.{number}.0/24").parse().unwrap());
    DesiredLink { number: link(number), network, options: LinkOptions::default(), limits: None }
}

fn entry(n: u32) -> NodeEntry {
    NodeEntry {
        name: format!("n{n}").parse().unwrap(),
        id: id(n),
        votes: 1,
        addresses: (0..2).map(|number| (link(number), format!("10.0.{number}.{n}"))).collect(),
    }
}

/// A machine outside of any cluster, with an address in every network that is wanted here.
fn machine(n: u32) -> HostView {
    let address = |(site, number)| format!("10.{site}.{number}.{n}/24").parse().unwrap();
    HostView {
        connected: true,
        claim: Claim::Ours,
        paused: false,
        witness: false,
        hostname: format!("n{n}"),
        machine_id: None,
        sealing_key: Some(format!("age1n{n}")),
        authkey: Some(KeyView { fingerprint: Fingerprint::of(b"key"), generation: 0 }),
        addresses: [(0, 0), (0, 1), (0, 2), (1, 1)].map(address).into(),
        guests: BTreeSet::new(),
        absence: None,
        references: BTreeSet::new(),
        shared_storages: BTreeSet::new(),
        device: DeviceView::default(),
        lives_alone: false,
        may_share: BTreeSet::new(),
        pmxcfs_file: None,
        disk_file: None,
        datacenter: None,
        idle: None,
        running_version: None,
        pmxcfs_writable: true,
        quorate: false,
        ring: None,
        members: BTreeSet::new(),
        link_faults: BTreeSet::new(),
        cards: BTreeMap::new(),
        storage_servers: BTreeMap::new(),
        drift: Vec::new(),
        ha: HaState::Absent,
        can_disarm: false,
        started_with: BTreeMap::new(),
        tombstones: BTreeSet::new(),
        applied: None,
        fitness: Fitness::default(),
    }
}

fn member(n: u32, text: &ConfText, members: &BTreeSet<NodeId>) -> HostView {
    HostView {
        pmxcfs_file: Some(FileView::from(text)),
        disk_file: Some(FileView::from(text)),
        running_version: Some(text.version),
        started_with: values_at_start(
            &Config::read(&Document::parse(text.text.as_bytes())).unwrap(),
        ),
        quorate: true,
        ring: Some("1.1".to_owned()),
        members: members.clone(),
        ..machine(n)
    }
}

fn id(n: u32) -> NodeId {
    NodeId::try_from(n).unwrap()
}

fn link(number: u32) -> LinkNumber {
    LinkNumber::try_from(number).unwrap()
}

fn host(n: u32) -> HostName {
    format!("n{n}").parse().unwrap()
}
