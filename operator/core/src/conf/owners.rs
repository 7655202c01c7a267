//! Who has which address.
//!
//! Owns the question whether two spellings name one address: corosync accepts a file with an address
//! twice and isolates one of the two nodes (corosync.md 9.1).

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use memchr::memchr;

use super::config::Config;
use crate::ids::NodeId;

/// What a spelling names: `fd00::1` and `fd00:0::1` are one address. An IPv4 address has one spelling
/// only, and a host name is taken as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named<'a> {
    Ipv6(Ipv6Addr),
    Word(&'a str),
}

impl<'a> Named<'a> {
    fn of(spelling: &'a str) -> Self {
        let ipv6 = memchr(b':', spelling.as_bytes()).and_then(|_| spelling.parse().ok());
        ipv6.map_or(Named::Word(spelling), Named::Ipv6)
    }
}

/// A new address that another node has already, in the file or among the new ones, and who has it. A
/// node's own on another link will do: the ports differ (corosync.md 6.1).
///
/// Only the new ones are sorted, and those of the file looked up among them: there are up to eight
/// times as many.
pub(super) fn taken<'a>(
    config: &Config<&'a str>,
    new: impl Iterator<Item = (&'a str, NodeId)>,
) -> Option<(&'a str, NodeId)> {
    let mut new: Vec<_> = new.map(|(spelling, id)| (Named::of(spelling), id, spelling)).collect();
    new.sort_unstable();
    let shared = new.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
    if let Some(pair) = shared {
        return Some((pair[1].2, pair[0].1));
    }
    // From here on equal ones are of one node, so that any of them will do. A link has a network of its
    // own, as a rule: then all addresses of the others are outside these bounds.
    let bounds = new.first()?.0..=new.last()?.0;
    let used = config.nodes.iter().flat_map(|node| node.addresses.values().map(|a| (*a, node.id)));
    used.into_iter().find_map(|(address, owner)| {
        let name = Named::of(address);
        if !bounds.contains(&name) {
            return None;
        }
        let at = new.binary_search_by_key(&name, |(name, ..)| *name).ok()?;
        let (_, taker, spelling) = new[at];
        (taker != owner).then_some((spelling, owner))
    })
}

/// The first address that is there twice.
pub(super) fn twice<'a>(addresses: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut known = BTreeSet::new();
    addresses.into_iter().find(|address| !known.insert(Named::of(address)))
}
