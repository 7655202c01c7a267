//! A cluster on paper: what hosts would report, and what carrying out a plan makes of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Action, ConfText, Course, Plan, Risk, Stage};
use crate::conf::{
    Config, Document, Formation, LinkOptions, LoggingOptions, NodeEntry, TotemOptions, form,
    values_at_start,
};
use crate::datacenter::{DatacenterView, Traffic};
use crate::desired::{
    Approval, DesiredCluster, DesiredLink, DesiredNode, Drift, HighAvailability, MaxRisk, Removal,
    Rollout,
};
use crate::device::DeviceView;
use crate::fitness::Fitness;
use crate::ha::HaState;
use crate::ids::{ConfigVersion, Fingerprint, HostName, LinkNumber, NodeId};
use crate::observed::{Absence, Claim, FileView, HostView, KeyView, ObservedCluster};
use crate::plan::tests::device::device_votes;
use crate::quorum::{expected, is_quorate};

/// A spec and the hosts that it speaks of.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub desired: DesiredCluster,
    pub observed: ObservedCluster,
}

pub(crate) fn id(id: u32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

pub(crate) fn link(number: u32) -> LinkNumber {
    LinkNumber::try_from(number).unwrap()
}

pub(crate) fn host(number: u32) -> HostName {
    format!("n{number}").parse().unwrap()
}

pub(crate) fn read(conf: &ConfText) -> Config {
    Config::read(&Document::parse(conf.text.as_bytes())).unwrap()
}

impl World {
    /// A spec of nodes n1, n2 ... with one link, and as many hosts without any cluster.
    pub fn new(nodes: u32) -> Self {
        let node = |n| DesiredNode {
            name: format!("n{n}").parse().unwrap(),
            host: host(n),
            node_id: None,
            votes: None,
            addresses: BTreeMap::new(),
        };
        let desired = DesiredCluster {
            name: "prod".parse().unwrap(),
            nodes: (1..=nodes).map(node).collect(),
            links: vec![wanted_link(0, None)],
            totem: TotemOptions::default(),
            logging: LoggingOptions::default(),
            datacenter: BTreeMap::new(),
            device: None,
            key_generation: 0,
            dissolves: false,
            rollout: Rollout {
                approval: Approval::Automatic,
                max_risk: MaxRisk::Live,
                high_availability: HighAvailability::RequireIdle,
                confirm_timeout_secs: 30,
                drift: Drift::Correct,
                removal: Removal::default(),
                paused: false,
            },
            generation: 1,
        };
        let hosts = (1..=nodes).map(|n| (host(n), empty_host(n))).collect();
        Self { desired, observed: ObservedCluster { hosts, ..ObservedCluster::default() } }
    }

    /// The same spec with a cluster of all its nodes in force, one vote each, version 7.
    pub fn running(nodes: u32, links: &[u32]) -> Self {
        let mut world = Self::new(nodes);
        world.desired.links = links.iter().map(|number| wanted_link(*number, None)).collect();
        world.install(&(1..=nodes).map(|n| (n, 1)).collect::<Vec<_>>(), links);
        world
    }

    /// Puts a cluster of these nodes (number and votes) in force.
    pub fn install(&mut self, nodes: &[(u32, u32)], links: &[u32]) {
        let address = |n: u32, l: u32| (link(l), format!("10.0.{l}.{n}"));
        let entry = |(n, votes): &(u32, u32)| NodeEntry {
            name: format!("n{n}").parse().unwrap(),
            id: id(*n),
            votes: *votes,
            addresses: links.iter().map(|l| address(*n, *l)).collect(),
        };
        let text = form(&Formation {
            cluster_name: self.desired.name.clone(),
            version: ConfigVersion(7),
            nodes: nodes.iter().map(entry).collect(),
            links: links.iter().map(|l| (link(*l), LinkOptions::default())).collect(),
            totem: TotemOptions::default(),
            logging: LoggingOptions::default(),
        });
        let text = String::from_utf8(text.unwrap()).unwrap();
        let ids: BTreeSet<_> = nodes.iter().map(|(n, _)| id(*n)).collect();
        self.in_force(&ConfText::new(ConfigVersion(7), text), &ids);
    }

    /// The same cluster with one of its nodes as a join leaves it that ended between the list and the
    /// start: listed, and without anything.
    pub fn unstarted(mut self, number: u32) -> Self {
        let links = self.text().links();
        self.observed.hosts.insert(host(number), empty_host(number));
        for view in self.observed.hosts.values_mut().filter(|view| view.pmxcfs_file.is_some()) {
            view.members.remove(&id(number));
            view.ring = Some("1.9".to_owned());
            view.link_faults.extend(links.iter().map(|link| (*link, id(number))));
        }
        self
    }

    /// The same cluster with one of its nodes powered off and declared away.
    pub fn away(mut self, number: u32) -> Self {
        let links = self.text().links();
        let absence = Absence { is_dead: false, because: "new board".to_owned() };
        let host = self.host(number);
        (host.absence, host.connected) = (Some(absence), false);
        for (_, view) in self.observed.hosts.iter_mut().filter(|(_, view)| view.connected) {
            view.members.remove(&id(number));
            view.ring = Some("1.9".to_owned());
            view.link_faults.extend(links.iter().map(|link| (*link, id(number))));
        }
        self
    }

    /// The same cluster with some of its nodes powered off, and declared dead. Those who are left have quorum if
    /// their votes are enough.
    pub fn without(mut self, dead: &[u32]) -> Self {
        let text = self.text();
        let dead: BTreeSet<_> = dead.iter().map(|number| id(*number)).collect();
        let up: BTreeSet<_> =
            text.nodes.iter().map(|node| node.id).filter(|id| !dead.contains(id)).collect();
        let votes = text.nodes.iter().map(|node| (node.id, u64::from(node.votes())));
        let present = votes.clone().filter(|(id, _)| up.contains(id)).map(|(_, votes)| votes).sum();
        let quorate = is_quorate(present, votes.map(|(_, votes)| votes).sum());
        let faults: BTreeSet<_> = text
            .links()
            .into_iter()
            .flat_map(|link| dead.iter().map(move |id| (link, *id)))
            .collect();
        for node in &text.nodes {
            let mut hosts = self.observed.hosts.values_mut();
            let view = hosts.find(|host| host.hostname == node.name.as_str()).unwrap();
            if dead.contains(&node.id) {
                view.connected = false;
                view.absence =
                    Some(Absence { is_dead: true, because: "PDU port 7 off".to_owned() });
                continue;
            }
            (view.quorate, view.pmxcfs_writable) = (quorate, quorate);
            view.members.clone_from(&up);
            view.ring = Some("1.9".to_owned());
            view.link_faults.clone_from(&faults);
        }
        self
    }

    pub fn host(&mut self, number: u32) -> &mut HostView {
        self.observed.hosts.get_mut(&host(number)).unwrap()
    }

    pub fn node(&mut self, number: usize) -> &mut DesiredNode {
        &mut self.desired.nodes[number - 1]
    }

    /// Carries a plan out, as the hosts would, and holds every state on the way against quorum.
    pub fn apply<S>(&mut self, plan: &Plan<S>) {
        for stage in &plan.stages {
            self.carry_out(stage);
            let back = stage.back.as_ref().map_or(ConfigVersion(0), |back| back.version);
            let reserved = self.observed.reserved_version;
            self.observed.reserved_version = reserved.max(stage.config.version).max(back);
        }
    }

    fn carry_out(&mut self, stage: &Stage) {
        let forms = stage.actions.values().flatten().any(|a| *a == Action::FormCluster {});
        let mut up: BTreeSet<_> = stage.group.keys().copied().collect();
        // Undone, a recovery leaves those without quorum who had none.
        let back = stage.back.as_ref().filter(|_| stage.risk != Risk::Recovery);
        for text in [Some(&stage.config), back].into_iter().flatten() {
            if !up.is_empty() {
                self.stays_quorate(text, &up);
            }
        }
        up.extend(stage.joining.keys());
        match stage.course {
            Course::Local if forms => {
                up = read(&stage.config).nodes.iter().map(|node| node.id).collect();
                assert_eq!(up.len(), 1);
            }
            Course::Local => {
                self.act_on_device(stage);
                return self.act_alone(stage);
            }
            Course::Datacenter => return self.write_datacenter(stage),
            Course::Write => {
                self.exchange(stage);
                self.bury(stage);
                self.reload(&stage.config);
            }
            Course::Outage => {
                let started = values_at_start(&read(&stage.config));
                for view in self.observed.hosts.values_mut() {
                    view.started_with.clone_from(&started);
                }
            }
            Course::Start => self.connect(stage),
            Course::Restart => self.restart(stage),
        }
        self.stays_quorate(&stage.config, &up);
        self.in_force(&stage.config, &up);
    }

    /// Every member derives the same file. What else is in it does not matter here.
    fn write_datacenter(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            let [Action::WriteDatacenterConfig(write)] = actions.as_slice() else { panic!() };
            let view = self.observed.hosts.get_mut(host).unwrap();
            let before = view.datacenter.clone().unwrap();
            assert_eq!(before.digest, write.parent);
            let line = |traffic| match write.lines.get(&traffic) {
                Some(line) => *line,
                None => before.line(traffic).unwrap(),
            };
            let lines = Traffic::ALL.map(|traffic| (traffic, line(traffic)));
            self.observed.left_datacenter.extend(write.lines.clone());
            let text = lines
                .iter()
                .filter_map(|(traffic, line)| Some(format!("{}: {}\n", traffic.key(), (*line)?)));
            view.datacenter = Some(DatacenterView::of(text.collect::<String>().as_bytes()));
        }
    }

    /// A host that leaves stops, or puts its files away.
    fn act_alone(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            let view = self.observed.hosts.get_mut(host).unwrap();
            if actions.iter().any(Action::stops_for_good) {
                view.stop();
                let running = self.observed.hosts.values().filter(|v| v.running_version.is_some());
                let names: BTreeSet<_> = running.map(|view| view.hostname.clone()).collect();
                let up = read(&stage.config).nodes.into_iter();
                let up = up.filter(|node| names.contains(node.name.as_str())).map(|node| node.id);
                let up = up.collect();
                self.stays_quorate(&stage.config, &up);
                self.in_force(&stage.config, &up);
            } else if actions.contains(&Action::LeaveCluster {}) {
                assert_eq!(view.running_version, None, "it runs");
                view.disk_file = None;
                view.tombstones.clear();
            } else if actions.iter().any(Action::leaves_for_good) {
                view.stop();
                view.disk_file = None;
                view.pmxcfs_writable = true;
                view.tombstones.clear();
            }
            let view = self.observed.hosts.get_mut(host).unwrap();
            if let [Action::SetExpectedVotes { .. }] = actions.as_slice() {
                (view.quorate, view.pmxcfs_writable) = (true, true);
            }
            for action in actions {
                if let Action::CleanReferences { node, references } = action {
                    let mut views = self.observed.hosts.values_mut();
                    let view = views.find(|view| view.hostname == node.as_str()).unwrap();
                    view.references.retain(|one| !references.contains(one));
                }
            }
        }
    }

    fn bury(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            let view = self.observed.hosts.get_mut(host).unwrap();
            view.tombstones.extend(actions.iter().filter_map(|action| match action {
                Action::Bury(tombstone) => Some(tombstone.clone()),
                _other => None,
            }));
        }
    }

    fn exchange(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            if let [Action::ExchangeAuthkey { generation }] = **actions {
                let fingerprint = Fingerprint::of(&generation.to_be_bytes());
                let key = KeyView { fingerprint, generation };
                self.observed.hosts.get_mut(host).unwrap().authkey = Some(key);
            }
        }
    }

    /// Who starts is connected to everybody, and remembers what it was told.
    fn connect(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            if let [Action::Join { tombstones }] = actions.as_slice() {
                self.observed.hosts.get_mut(host).unwrap().tombstones.clone_from(tombstones);
            }
        }
        for view in self.observed.hosts.values_mut() {
            view.link_faults.retain(|(_, node)| !stage.joining.contains_key(node));
        }
    }

    /// The host that restarts takes the keys that a reload does not change.
    fn restart(&mut self, stage: &Stage) {
        let started = values_at_start(&read(&stage.config));
        for host in stage.joining.values() {
            self.observed.hosts.get_mut(host).unwrap().started_with.clone_from(&started);
        }
    }

    /// What corosync makes of a text over the one that runs: it refuses another address of a link that
    /// stays and ignores another port, and a link carries only where it did before.
    fn reload(&mut self, new: &ConfText) {
        let old = self.text();
        let new = read(new);
        let links = old.links();
        let away = self.absent(&new);
        let faulty = |link: &&LinkNumber| {
            let mut views = self.observed.hosts.values();
            views.any(|view| {
                let mut faults = view.link_faults.iter();
                faults.any(|(faulty, to)| faulty == *link && !away.contains(to))
            })
        };
        let mut staying = links.iter().filter(|link| new.links().contains(link));
        for link in staying.clone() {
            assert_eq!(old.port(*link), new.port(*link), "link {link}");
            for node in &old.nodes {
                let staying = new.node(node.id).into_iter();
                let mut links = staying.map(|new| new.addresses.get(link));
                assert!(links.all(|address| address == node.addresses.get(link)));
            }
        }
        let dropped = new.nodes.len() < old.nodes.len();
        if new.links().is_superset(&links) {
            assert!(
                new.token_in_force_millis() >= old.token_in_force_millis()
                    || self.sets_token()
                    || dropped
            );
        } else {
            assert!(staying.any(|link| !faulty(&link)), "nothing carries");
            assert_eq!(new.token_in_force_millis(), old.token_in_force_millis());
        }
        for view in self.observed.hosts.values_mut().filter(|view| view.connected) {
            view.link_faults.retain(|(link, _)| new.links().contains(link));
            // Nobody answers on a new link either.
            for to in &away {
                view.link_faults.extend(new.links().into_iter().map(|link| (link, *to)));
            }
        }
    }

    /// Who is away and silent.
    fn absent(&self, config: &Config) -> BTreeSet<NodeId> {
        let is_away = |view: &HostView| !view.connected && view.declared_away().is_some();
        let away = self.observed.hosts.values().filter(|view| is_away(view));
        let names: BTreeSet<_> = away.map(|view| view.hostname.as_str()).collect();
        let nodes = config.nodes.iter().filter(|node| names.contains(node.name.as_str()));
        nodes.map(|node| node.id).collect()
    }

    fn sets_token(&self) -> bool {
        let totem = &self.desired.totem;
        totem.token_millis.is_some() || totem.token_coefficient_millis.is_some()
    }

    /// Puts another text in the place of the one in force, under its version.
    pub fn rewrite(&mut self, change: impl Fn(&str) -> String) -> ConfText {
        let file = self.host(1).pmxcfs_file.clone().unwrap();
        let conf = ConfText::new(file.version.unwrap(), change(&file.text.unwrap()));
        for view in self.observed.hosts.values_mut().filter(|view| view.pmxcfs_file.is_some()) {
            let file = Some(FileView::from(&conf));
            (view.pmxcfs_file, view.disk_file) = (file.clone(), file);
        }
        conf
    }

    /// The text in force.
    pub fn text(&self) -> Config {
        let file = self.observed.hosts.values().find_map(|view| view.pmxcfs_file.clone()).unwrap();
        Config::read(&Document::parse(file.text.unwrap().as_bytes())).unwrap()
    }

    /// With the votes of a device as far as every one of these counts them.
    fn stays_quorate(&self, conf: &ConfText, up: &BTreeSet<NodeId>) {
        let config = read(conf);
        let of_device = device_votes(&config);
        let votes = config.nodes.iter().map(|node| (node.id, node.votes())).collect();
        let mut present = config.nodes.iter().filter(|node| up.contains(&node.id));
        let of_nodes: u64 = present.clone().map(|node| u64::from(node.votes())).sum();
        let views = || self.observed.hosts.values();
        let casts = |name: &str| views().any(|view| view.hostname == name && view.device.casts);
        let cast = present.all(|node| casts(node.name.as_str()));
        let there = of_nodes + if cast { of_device } else { 0 };
        assert!(is_quorate(there, expected(&votes) + of_device), "{there} votes of\n{}", conf.text);
    }

    fn in_force(&mut self, conf: &ConfText, up: &BTreeSet<NodeId>) {
        for node in read(conf).nodes.iter().filter(|node| up.contains(&node.id)) {
            let mut hosts = self.observed.hosts.values_mut();
            let host = hosts.find(|host| host.hostname == node.name.as_str()).unwrap();
            let file = Some(FileView::from(conf));
            (host.pmxcfs_file, host.disk_file) = (file.clone(), file);
            host.running_version = Some(conf.version);
            if host.started_with.is_empty() {
                host.started_with = values_at_start(&read(conf));
            }
            let key = KeyView { fingerprint: Fingerprint::of(b"key"), generation: 0 };
            host.authkey = host.authkey.or(Some(key));
            (host.quorate, host.pmxcfs_writable) = (true, true);
            host.members.clone_from(up);
            host.ring = Some(format!("1.{}", up.len()));
        }
    }
}

impl HostView {
    /// corosync and pmxcfs end.
    pub fn stop(&mut self) {
        (self.running_version, self.pmxcfs_file, self.ring) = (None, None, None);
        (self.quorate, self.pmxcfs_writable) = (false, false);
        self.members.clear();
    }
}

pub(crate) fn wanted_link(number: u32, priority: Option<u8>) -> DesiredLink {
    let network = Some(format!("10.0.{number}.0/24").parse().unwrap());
    let options = LinkOptions { priority, ..LinkOptions::default() };
    DesiredLink { number: link(number), network, options, limits: None }
}

fn empty_host(number: u32) -> HostView {
    let address = |site, l| format!("10.{site}.{l}.{number}/24").parse().unwrap();
    let addresses = (0..8).flat_map(|l| [address(0, l), address(1, l)]);
    HostView {
        connected: true,
        claim: Claim::Ours,
        paused: false,
        witness: false,
        hostname: format!("n{number}"),
        machine_id: Some(format!("machine{number}")),
        sealing_key: Some(format!("age1n{number}")),
        authkey: None,
        addresses: addresses.collect(),
        guests: BTreeSet::new(),
        absence: None,
        references: BTreeSet::new(),
        shared_storages: BTreeSet::new(),
        device: DeviceView::default(),
        lives_alone: false,
        may_share: BTreeSet::new(),
        pmxcfs_file: None,
        disk_file: None,
        datacenter: Some(DatacenterView::of(b"")),
        idle: None,
        running_version: None,
        started_with: BTreeMap::new(),
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
        tombstones: BTreeSet::new(),
        applied: None,
        fitness: Fitness::default(),
    }
}

/// Puts a wanted link into the network that the hosts have for it at the other site.
pub(crate) fn moved(wanted: &mut DesiredLink) {
    wanted.network = Some(format!("10.1.{}.0/24", wanted.number).parse().unwrap());
}
