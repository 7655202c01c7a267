//! What a running corosync says to whoever asks.

use std::collections::BTreeMap;

use pvecm_agent::ports::{CorosyncView, DeviceState, Votes};
use pvecm_core::ids::{LinkNumber, NodeId};

use crate::world::World;

impl World {
    pub(super) fn connected(&self, at: usize) -> Option<BTreeMap<(NodeId, LinkNumber), bool>> {
        let daemon = self.hosts[at].daemon.as_ref()?;
        let config = daemon.config()?;
        let place = |id: NodeId| {
            self.hosts.iter().position(|host| host.daemon.as_ref().is_some_and(|d| d.id == id))
        };
        let mut links = BTreeMap::new();
        for node in config.nodes.iter().filter(|node| node.id != daemon.id) {
            let other = place(node.id);
            for link in node.addresses.keys() {
                let state = other.and_then(|other| self.link(at, other, link.get()));
                links.insert((node.id, *link), state.is_some_and(|link| link.up));
            }
        }
        Some(links)
    }

    pub(super) fn view(&self, at: usize) -> Option<CorosyncView> {
        let daemon = self.hosts[at].daemon.as_ref()?;
        let mut values = daemon.values.clone();
        let nodes = daemon.config().map(|config| &config.nodes);
        let position = nodes.and_then(|n| n.iter().position(|node| node.id == daemon.id));
        values.extend(position.map(|p| ("nodelist.local_node_pos".to_owned(), p.to_string())));
        for (id, (joined, version)) in &daemon.peers {
            let status = if *joined { "joined" } else { "left" };
            values.insert(format!("runtime.members.{id}.status"), status.to_owned());
            values.insert(format!("runtime.members.{id}.config_version"), version.to_string());
        }
        let member = |at: &usize| Some(self.hosts[*at].daemon.as_ref()?.id);
        let (total, expected, needed) = self.votes(at)?;
        Some(CorosyncView {
            values,
            links: self.connected(at)?,
            quorate: daemon.quorate,
            ring: format!("{}.{:x}", daemon.representative, daemon.ring),
            members: daemon.members.iter().filter_map(member).collect(),
            local: Some(daemon.id),
            votes: Some(Votes { expected, total, needed }),
            device: DeviceState::default(),
            started: Some(daemon.started),
        })
    }
}
