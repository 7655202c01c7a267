//! The ways that a text has from this host to the other nodes, and by which network cards they go.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};

use ipnet::IpNet;
use pvecm_core::conf::{Config, Node};
use pvecm_core::fitness::{Measured, Passage};
use pvecm_core::ids::{LinkNumber, NodeId};

use crate::host_ports::Host;
use crate::ports::{CardAddress, Way};

/// So many ways are measured at a time: each takes a third of a thousand packets a second, in either direction.
const AT_A_TIME: usize = 16;

/// An address of another node that is to be reached, and the own one that it is reached from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The link.
    pub link: LinkNumber,
    /// This host's address, or a name of it.
    pub own: String,
    /// The other node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its address, or a name of it.
    pub address: String,
}

impl Ask {
    /// The card by which the link talks, and where to.
    pub fn way<'a>(&self, cards: &'a [CardAddress]) -> Result<Way<'a>, String> {
        let Self { link, own, name, address, .. } = self;
        let Some(card) = self.card(cards) else {
            return Err(format!(
                "{own}, the address of this host on link {link}, is on no network card"
            ));
        };
        let Some(peer) = resolved(address) else {
            return Err(format!(
                "{address}, the address of {name} on link {link}, is not known here"
            ));
        };
        Ok(Way { card: &card.interface, address: peer })
    }

    fn card<'a>(&self, cards: &'a [CardAddress]) -> Option<&'a CardAddress> {
        let own = resolved(&self.own)?;
        cards.iter().find(|card| network(card).is_some_and(|network| network.addr() == own))
    }

    /// What a firewall has to let through.
    #[must_use]
    pub fn passage(&self, config: &Config, cards: &[CardAddress]) -> Passage {
        let Self { link, own, address, .. } = self;
        Passage {
            port: config.port(*link),
            own: own.clone(),
            other: address.clone(),
            network: self.card(cards).and_then(network),
        }
    }
}

/// What is new in a text, as far as this node would talk by it; without an old text all that it has.
#[must_use]
pub fn asks(new: &Config, old: Option<&Config>, me: NodeId) -> Vec<Ask> {
    let Some(own) = new.node(me) else { return Vec::new() };
    let before = |id: NodeId| old.and_then(|old| old.node(id));
    // A link that is renumbered goes the way that it went.
    let known = |id: NodeId, mine: &String, theirs: &String| {
        let pair = before(me).zip(before(id));
        pair.is_some_and(|(me, other)| {
            let at = |link| (me.addresses.get(link), other.addresses.get(link));
            me.addresses.keys().any(|link| at(link) == (Some(mine), Some(theirs)))
        })
    };
    let mut asks = Vec::new();
    for (link, own) in &own.addresses {
        for node in new.nodes.iter().filter(|node| node.id != me) {
            let Some(address) = node.addresses.get(link) else { continue };
            if !known(node.id, own, address) {
                let (own, name, address) = (own.clone(), node.name.to_string(), address.clone());
                asks.push(Ask { link: *link, own, node: node.id, name, address });
            }
        }
    }
    asks
}

/// The own addresses that a node did not have, each with the first that asks from it.
#[must_use]
pub fn own_new<'a>(
    asks: &'a [Ask],
    cards: &'a [CardAddress],
    had: Option<&Node>,
) -> Vec<(&'a Ask, Way<'a>)> {
    let mut seen = BTreeSet::new();
    let mut new = Vec::new();
    for ask in asks {
        let is_known = had.is_some_and(|had| had.addresses.values().any(|own| *own == ask.own));
        let found = resolved(&ask.own).zip(ask.card(cards));
        if let Some((address, card)) = found.filter(|(own, _)| !is_known && seen.insert(*own)) {
            new.push((ask, Way { card: &card.interface, address }));
        }
    }
    new
}

/// Measures ways in use. What cannot be measured says why.
#[must_use]
pub fn measured(host: &Host, asks: &[Ask], cards: &[CardAddress]) -> Vec<Result<Measured, String>> {
    let ways: Vec<_> = asks.iter().map(|ask| ask.way(cards)).collect();
    let known: Vec<Way<'_>> = ways.iter().flatten().copied().collect();
    let mut found = known.chunks(AT_A_TIME).flat_map(|some| host.network.survey(some, &[]).ways);
    let nobody = || Err("nobody has asked".to_owned());
    ways.into_iter().map(|way| way.and_then(|_| found.next().unwrap_or_else(nobody))).collect()
}

fn network(card: &CardAddress) -> Option<IpNet> {
    card.cidr.parse().ok()
}

/// corosync resolves a name in the same way (pve.md 2.4).
fn resolved(address: &str) -> Option<IpAddr> {
    match address.parse() {
        Ok(ip) => Some(ip),
        Err(_) => (address, 0).to_socket_addrs().ok()?.next().map(|found| found.ip()),
    }
}
