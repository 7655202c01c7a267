//! Which address a node gets on a link, and that no two nodes get the same.
//!
//! corosync itself notices neither: with an address that is on no card it runs alone without an
//! error line, and of two nodes with one address it silently loses one (corosync.md 9.1).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::away;
use super::ground::Member;
use super::report::{Blocker, Obstacle};
use crate::conf::Config;
use crate::desired::DesiredCluster;
use crate::ids::LinkNumber;

/// The network that the spec gives a link.
pub(super) fn network(desired: &DesiredCluster, link: LinkNumber) -> Option<&IpNet> {
    desired.links.iter().find(|wanted| wanted.number == link)?.network.as_ref()
}

/// The address that a node is to have on a link that is new to it.
pub(super) fn wanted(
    desired: &DesiredCluster,
    member: Member<'_>,
    link: LinkNumber,
) -> Result<String, Obstacle> {
    let Member { node, view } = member;
    let host = &node.host;
    if let Some(stated) = node.addresses.get(&link) {
        is_on_host(member, link, stated)?;
        return Ok(stated.clone());
    }
    let Some(network) = network(desired, link) else {
        let sentence = format!("the spec gives {} no address on link {link}", node.name);
        return Obstacle::stop(Blocker::AddressMissing, sentence);
    };
    let found: Vec<_> = view.addresses_in(network).map(|ip| ip.to_string()).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if away::is_missed(view) => Obstacle::stop(
            Blocker::AddressMissing,
            format!(
                "{host} is away and had no address in {network}, the network of link {link}, when it was last \
                 heard: state in `addresses` which one it will have"
            ),
        ),
        [] => Obstacle::stop(
            Blocker::AddressMissing,
            format!("{host} has no address in {network}, the network of link {link}"),
        ),
        several => Obstacle::stop(
            Blocker::AddressAmbiguous,
            format!(
                "{host} has several addresses in {network}, the network of link {link}: {}",
                several.join(", ")
            ),
        ),
    }
}

/// The address is on a network card of the node's host. A host name is left to corosync, and of one that is
/// away its word in the spec counts: what it will have when it comes back stands on no card now.
pub(super) fn is_on_host(
    member: Member<'_>,
    link: LinkNumber,
    address: &str,
) -> Result<(), Obstacle> {
    let Member { node, view } = member;
    let here = |ip: IpAddr| view.addresses.iter().any(|net| net.addr() == ip);
    match address.parse::<IpAddr>() {
        Ok(ip) if !here(ip) && !away::is_missed(view) => Obstacle::stop(
            Blocker::AddressNotOnHost,
            format!("{} has no address {address}, which is to be on link {link}", node.host),
        ),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether two spellings name the same address.
pub(super) fn same(one: &str, other: &str) -> bool {
    spelling(one) == spelling(other)
}

fn spelling(address: &str) -> String {
    address.parse::<IpAddr>().map_or_else(|_| address.to_ascii_lowercase(), |ip| ip.to_string())
}

/// Who uses which address.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<String, String>);

impl Owners {
    /// Everybody in a file.
    pub fn of(config: &Config) -> Self {
        let all = config.nodes.iter().flat_map(|node| {
            node.addresses.values().map(|address| (spelling(address), node.name.to_string()))
        });
        Self(all.collect())
    }

    /// Notes an address, refused when another node has it.
    pub fn take(&mut self, member: Member<'_>, address: &str) -> Result<(), Obstacle> {
        let name = member.node.name.to_string();
        match self.0.insert(spelling(address), name.clone()) {
            Some(other) if other != name => Obstacle::stop(
                Blocker::AddressTaken,
                format!("{name} and {other} would both have the address {address}"),
            ),
            Some(_) | None => Ok(()),
        }
    }
}
