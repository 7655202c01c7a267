//! Links that go by a network card by which guests or storage go as well: what fills it keeps corosync's packets waiting
//! (facts/pve.md G12).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::ground;
use crate::conf::{Config, Document};
use crate::datacenter::Traffic;
use crate::desired::DesiredCluster;
use crate::ids::LinkNumber;
use crate::observed::{HostView, ObservedCluster};

/// What else goes by a card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Load {
    Guests(Traffic, IpNet),
    Storage(IpAddr, String),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guests(traffic, network) => {
                write!(f, "`{}` ({})", traffic.key(), network.trunc())
            }
            Self::Storage(server, name) => write!(f, "the storage {name} ({server})"),
        }
    }
}

/// What is to be said of them. It stops nothing: many clusters have one card, and live with it.
pub(super) fn remarks(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<String> {
    let views: Vec<&HostView> =
        desired.nodes.iter().filter_map(|node| ground::view(node, observed)).collect();
    let mut texts = views.iter().filter_map(|view| view.pmxcfs_file.as_ref()?.text.as_deref());
    let config = texts.find_map(|text| Config::read(&Document::parse(text.as_bytes())).ok());
    let Some(config) = config else { return Vec::new() };
    let mut shared: BTreeMap<(LinkNumber, Load), BTreeSet<&str>> = BTreeMap::new();
    for view in views {
        for found in shared_by(view, &config) {
            shared.entry(found).or_default().insert(&view.hostname);
        }
    }
    let remark = |((link, load), hosts): (&(LinkNumber, Load), &BTreeSet<&str>)| {
        let hosts = hosts.iter().copied().collect::<Vec<_>>().join(", ");
        format!(
            "link {link} goes by the same network card as {load} on {hosts}: what fills that card keeps corosync \
             waiting, so have one of the two go by another card"
        )
    };
    shared.iter().map(remark).collect()
}

/// The links of a host that share a card, each with what it is shared with.
fn shared_by(view: &HostView, config: &Config) -> Vec<(LinkNumber, Load)> {
    let node = config.nodes.iter().find(|node| node.name.as_str() == view.hostname);
    let addresses = node.iter().flat_map(|node| &node.addresses);
    let mut found = Vec::new();
    for (link, address) in addresses {
        let has = |addresses: &BTreeSet<IpNet>| {
            addresses.iter().any(|own| own.addr().to_string() == *address)
        };
        let card = view.cards.iter().find(|(_, own)| has(own)).map(|(card, _)| wire(card));
        let beside = view.cards.iter().filter(|(other, _)| Some(wire(other)) == card);
        let beside: BTreeSet<_> = beside.flat_map(|(_, addresses)| addresses).collect();
        found.extend(loads(view, &beside).into_iter().map(|load| (*link, load)));
    }
    found
}

/// What goes by a card that has these addresses.
fn loads(view: &HostView, addresses: &BTreeSet<&IpNet>) -> Vec<Load> {
    let network = |traffic: Traffic| {
        let line = view.datacenter.as_ref()?.line(traffic).ok()??;
        let network = line.network?;
        let is_here = addresses.iter().any(|own| network.contains(&own.addr()));
        is_here.then_some(Load::Guests(traffic, network))
    };
    let storage = |(server, name): (&IpAddr, &String)| {
        let is_here = addresses.iter().any(|own| own.contains(server));
        is_here.then(|| Load::Storage(*server, name.clone()))
    };
    let guests = Traffic::ALL.into_iter().filter_map(network);
    guests.chain(view.storage_servers.iter().filter_map(storage)).collect()
}

/// A VLAN goes by the card that is named before its dot.
fn wire(card: &str) -> &str {
    card.split('.').next().unwrap_or(card)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datacenter::DatacenterView;
    use crate::plan::tests::world::World;

    /// Three nodes, each with these addresses on these cards, whose guests go by 10.9.0.0/24.
    fn world(cards: &[(&str, &[&str])]) -> World {
        let mut world = World::running(3, &[0, 1]);
        for (number, view) in (1..).zip(world.observed.hosts.values_mut()) {
            view.datacenter = Some(DatacenterView::of(b"migration: secure,network=10.9.0.0/24\n"));
            let addresses = |networks: &[&str]| {
                let address = |network: &&str| format!("{network}.{number}/24").parse().unwrap();
                networks.iter().map(address).collect()
            };
            let card =
                |(card, networks): &(&str, &[&str])| ((*card).to_owned(), addresses(networks));
            view.cards = cards.iter().map(card).collect();
        }
        world
    }

    fn told(world: &World) -> Vec<String> {
        remarks(&world.desired, &world.observed)
    }

    #[test]
    fn a_link_is_called_out_that_goes_by_the_card_by_which_guests_go() {
        let apart = world(&[("eth0", &["10.0.0"]), ("eth1", &["10.0.1"]), ("eth2", &["10.9.0"])]);
        assert!(told(&apart).is_empty());
        let wanted = "link 1 goes by the same network card as `migration` (10.9.0.0/24) on n1, n2, n3: what fills that \
                      card keeps corosync waiting, so have one of the two go by another card";
        let shared = world(&[("eth0", &["10.0.0"]), ("eth1", &["10.0.1", "10.9.0"])]);
        assert_eq!(told(&shared), [wanted]);
        let vlan =
            world(&[("eth0", &["10.0.0"]), ("eth1.7", &["10.0.1"]), ("eth1.8", &["10.9.0"])]);
        assert_eq!(told(&vlan), [wanted]);
        let mut one = world(&[("eth0", &["10.0.0"]), ("eth1", &["10.0.1"])]);
        let first = one.observed.hosts.values_mut().next().unwrap();
        first.cards.get_mut("eth0").unwrap().insert("10.9.0.1/24".parse().unwrap());
        assert!(told(&one)[0].contains("link 0") && told(&one)[0].contains(" on n1:"));
    }

    #[test]
    fn a_storage_counts_where_its_server_is_in_the_network_of_the_card() {
        let mut world = world(&[("eth0", &["10.0.0"]), ("eth1", &["10.0.1"])]);
        let first = world.observed.hosts.values_mut().next().unwrap();
        first.storage_servers = [("10.0.1.99".parse().unwrap(), "backup".to_owned())].into();
        let wanted = "link 1 goes by the same network card as the storage backup (10.0.1.99) on n1: what fills that \
                      card keeps corosync waiting, so have one of the two go by another card";
        assert_eq!(told(&world), [wanted]);
    }

    #[test]
    fn without_a_network_of_their_own_guests_go_where_nobody_said() {
        let mut shared = world(&[("eth0", &["10.0.0", "10.9.0"])]);
        for view in shared.observed.hosts.values_mut() {
            view.datacenter = Some(DatacenterView::of(b"migration: secure\n"));
        }
        assert!(told(&shared).is_empty());
    }
}
