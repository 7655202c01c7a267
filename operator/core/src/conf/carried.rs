//! Addresses on a new network, made of those that the nodes have already.
//!
//! Owns the one rule by which they are made, and refuses wherever it leaves a choice: a wrong address
//! makes corosync run alone without an error line (corosync.md 9.1).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::config::Config;
use crate::ids::{LinkNumber, NodeId};

/// Why no addresses are made. Nodes are called by their names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// The network is written with an address inside of it.
    #[error("{0} is an address inside a network; the network is {trunc}", trunc = .0.trunc())]
    NotANetwork(IpNet),
    /// A host name has no host part.
    #[error("node {node} has the host name {name} on link {link}, which tells no host part")]
    HostName {
        /// The node.
        node: String,
        /// What stands in the place of its address.
        name: String,
        /// The link that the host parts are taken from.
        link: LinkNumber,
    },
    /// The host parts of two families have nothing in common.
    #[error("node {node} has {address} on link {link}, but {network} is of the other IP family")]
    Family {
        /// The node.
        node: String,
        /// Its address.
        address: IpAddr,
        /// The link that the host parts are taken from.
        link: LinkNumber,
        /// The new network.
        network: IpNet,
    },
    /// Host parts of several networks may be equal.
    #[error(
        "nodes {one} and {other} are in {first} and {second} on link {link}: with /{length} their \
         host parts do not belong together", length = .first.prefix_len()
    )]
    SeveralNetworks {
        /// A node.
        one: String,
        /// Its network.
        first: IpNet,
        /// A node outside of it.
        other: String,
        /// The network of that one.
        second: IpNet,
        /// The link that the host parts are taken from.
        link: LinkNumber,
    },
    /// The first address of a network names the network, the last one of an IPv4 network everybody.
    #[error("node {node} would get {address}, which is no host's address in {network}")]
    NoHost {
        /// The node.
        node: String,
        /// What it would get.
        address: IpAddr,
        /// The new network.
        network: IpNet,
    },
}

/// For every node an address in the network: the network's bits, then those that its address on the
/// lowest link has behind a prefix of the same length. Only where all those addresses are in one
/// network of that length, so that no two nodes can get the same.
pub fn carried(config: &Config, network: IpNet) -> Result<BTreeMap<NodeId, String>, CarryError> {
    if network.trunc() != network {
        return Err(CarryError::NotANetwork(network));
    }
    let mut first: Option<(String, IpNet)> = None;
    let mut addresses = BTreeMap::new();
    for node in &config.nodes {
        let Some((link, written)) = node.addresses.first_key_value() else { continue };
        let (link, name) = (*link, node.name.to_string());
        let Ok(address) = written.parse::<IpAddr>() else {
            return Err(CarryError::HostName { node: name, name: written.clone(), link });
        };
        let Some((new, old)) = moved(address, network) else {
            return Err(CarryError::Family { node: name, address, link, network });
        };
        let (one, first) = first.get_or_insert_with(|| (name.clone(), old)).clone();
        if first != old {
            let (other, second) = (name, old);
            return Err(CarryError::SeveralNetworks { one, first, other, second, link });
        }
        if is_no_host(new, network) {
            return Err(CarryError::NoHost { node: name, address: new, network });
        }
        addresses.insert(node.id, new.to_string());
    }
    Ok(addresses)
}

/// The address with the network's bits in front, and the network of that length that it was in.
fn moved(address: IpAddr, network: IpNet) -> Option<(IpAddr, IpNet)> {
    let old = IpNet::new(address, network.prefix_len()).ok()?.trunc();
    let new = match (address, network) {
        (IpAddr::V4(address), IpNet::V4(network)) => {
            let host = address.to_bits() & network.hostmask().to_bits();
            IpAddr::V4((network.addr().to_bits() | host).into())
        }
        (IpAddr::V6(address), IpNet::V6(network)) => {
            let host = address.to_bits() & network.hostmask().to_bits();
            IpAddr::V6((network.addr().to_bits() | host).into())
        }
        (IpAddr::V4(_), IpNet::V6(_)) | (IpAddr::V6(_), IpNet::V4(_)) => return None,
    };
    Some((new, old))
}

/// A /31, /32, /127 or /128 has no address to spare.
fn is_no_host(address: IpAddr, network: IpNet) -> bool {
    let spare = network.max_prefix_len() - network.prefix_len() > 1;
    let last = matches!(network, IpNet::V4(_)) && address == network.broadcast();
    spare && (address == network.network() || last)
}
