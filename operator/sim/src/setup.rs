//! How a seed begins: hosts, perhaps a cluster that runs already, and the user's objects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pvecm_agent::ports::DiskFile;
use pvecm_core::conf::{Formation, LinkOptions, LoggingOptions, NodeEntry, TotemOptions, form};
use pvecm_core::ids::{ConfigVersion, LinkNumber, NodeId};
use serde_json::{Value, json};

use crate::absence::{Stated, Tale};
use crate::api::{Kind, Write};
use crate::separation::STORAGE;
use crate::wish::{WantedLink, Wish};
use crate::world::{Host, Mode, World};

/// The cluster's name.
pub const CLUSTER: &str = "prod";

/// How many hosts a seed has: 3 to 16, half of them 5 or fewer.
pub fn hosts(world: &mut World) -> usize {
    let few = world.dice.chance(550);
    let range = if few { 3..6 } else { 6..17 };
    let most = if few || world.dice.chance(250) { range.end } else { 9 };
    usize::try_from(world.dice.between(range.start, most)).unwrap_or(3)
}

impl World {
    /// Makes hosts and the user's first wish. With `formed` hosts in a running cluster; 0: none runs.
    pub fn set_up(&mut self, hosts: usize, formed: usize) -> Wish {
        let networks = 4;
        self.hosts = (0..hosts).map(|at| Host::new(at, networks)).collect();
        let members = formed.max(1);
        let mut wish = Wish {
            nodes: (0..members).map(|at| (at, None)).collect(),
            links: BTreeMap::from([(0, WantedLink { network: 0, priority: None, port: None })]),
            hosts,
            networks,
            token: None,
            crypto: None,
            key: 0,
            confirm_timeout_secs: 30,
            dissolves: self.tale == Tale::Dissolution,
        };
        if self.dice.chance(500) {
            wish.links.insert(1, WantedLink { network: 1, priority: Some(5), port: None });
        }
        if formed > 0 {
            self.install(&wish);
        }
        for at in 0..hosts {
            let (name, body) = (self.hosts[at].name.clone(), self.host_object(at));
            let key = (Kind::Host, name.as_str());
            let _ = self.api.create(Write { key, manager: "user", status: false, body });
        }
        self.want(&wish);
        wish
    }

    /// What a person writes of a machine.
    #[must_use]
    pub fn host_object(&self, at: usize) -> Value {
        let Host { name, stated, may_share, .. } = &self.hosts[at];
        let mut spec = json!({});
        if self.tale == Tale::Separation {
            spec["afterRemoval"] = json!("LiveAlone");
        }
        if *may_share {
            spec["sharedStorages"] = json!([STORAGE]);
        }
        if let Some(Stated { dead, until }) = stated {
            let kind = if *dead { "Dead" } else { "Away" };
            spec["absence"] = json!({"kind": kind, "because": "seen by itself"});
            let time = |millis: u64| Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok();
            if let Some(until) = until.and_then(time) {
                spec["absence"]["until"] = json!(until.to_string());
            }
        }
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost", "metadata": {"name": name},
            "spec": spec})
    }

    /// Writes the user's spec.
    pub fn want(&mut self, wish: &Wish) {
        let body = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
            "metadata": {"name": CLUSTER}, "spec": wish.spec()});
        let key = (Kind::Cluster, CLUSTER);
        let write = || Write { key, manager: "user", status: false, body: body.clone() };
        if self.api.apply(write()).is_err() && !self.ends {
            let _ = self.api.create(write());
        }
    }

    /// A cluster that somebody made by hand: files, daemons, one ring.
    fn install(&mut self, wish: &Wish) {
        let Some(text) = text(wish) else {
            return self.broken("the first text cannot be formed".to_owned());
        };
        for at in wish.nodes.keys().copied() {
            let host = &mut self.hosts[at];
            host.disk.insert(DiskFile::Conf, text.clone());
            host.disk.insert(DiskFile::Authkey, b"the cluster's key".to_vec());
            host.db.conf = Some(text.clone());
            host.db.version = 1;
            host.mode = Mode::Cluster;
            if let Err(why) = self.start_corosync(at) {
                self.broken(why);
            }
        }
        self.formed(&wish.nodes.keys().copied().collect());
    }
}

fn text(wish: &Wish) -> Option<Vec<u8>> {
    let link = |number: &u8| LinkNumber::try_from(u32::from(*number)).ok();
    let node = |at: usize| {
        let address = |(number, wanted): (&u8, &WantedLink)| {
            Some((link(number)?, format!("10.0.{}.{}", wanted.network, at + 1)))
        };
        Some(NodeEntry {
            name: format!("n{}", at + 1).parse().ok()?,
            id: NodeId::try_from(u32::try_from(at + 1).ok()?).ok()?,
            votes: 1,
            addresses: wish.links.iter().map(address).collect::<Option<_>>()?,
        })
    };
    let options = |(number, wanted): (&u8, &WantedLink)| {
        let options = LinkOptions { priority: wanted.priority, ..LinkOptions::default() };
        Some((link(number)?, options))
    };
    let formation = Formation {
        cluster_name: CLUSTER.parse().ok()?,
        version: ConfigVersion(7),
        nodes: wish.nodes.keys().map(|at| node(*at)).collect::<Option<_>>()?,
        links: wish.links.iter().map(options).collect::<Option<_>>()?,
        totem: TotemOptions { token_coefficient_millis: Some(125), ..TotemOptions::default() },
        logging: LoggingOptions::default(),
    };
    form(&formation).ok()
}

impl World {
    /// Puts running daemons into one ring with all links up, as if that had been so for long.
    fn formed(&mut self, members: &BTreeSet<usize>) {
        self.settle();
        self.links.values_mut().for_each(|link| link.up = link.wanted);
        self.form_now();
        for at in members {
            self.synchronise(*at);
        }
    }
}
