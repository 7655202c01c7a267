//! Who has which address.
//!
//! Owns the question whether two spellings name one address: corosync accepts a file with an address
//! twice and isolates one of the two nodes (corosync.md 9.1).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::config::Config;
use crate::ids::NodeId;

/// What a spelling names: `fd00::1` and `fd00:0::1` are one address.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Named<'a> {
    Address(IpAddr),
    Host(&'a str),
}

impl<'a> Named<'a> {
    fn of(spelling: &'a str) -> Self {
        spelling.parse().map_or(Named::Host(spelling), Named::Address)
    }
}

/// One use of an address. The order is that of names, and of one name the old uses come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Use<'a> {
    name: Named<'a>,
    new: bool,
    node: NodeId,
    spelling: &'a str,
}

impl<'a> Use<'a> {
    fn of((spelling, node): (&'a str, NodeId), new: bool) -> Self {
        Self { name: Named::of(spelling), new, node, spelling }
    }
}

/// A new address that another node has already, in the file or among the new ones, and who has it. A
/// node's own on another link will do: the ports differ (corosync.md 6.1).
///
/// Everything is sorted once: a search per address would be the slowest part of an edit.
pub(super) fn taken<'a>(
    config: &'a Config,
    new: impl Iterator<Item = (&'a str, NodeId)>,
) -> Option<(&'a str, NodeId)> {
    let addresses = config.nodes.iter().flat_map(|node| {
        node.addresses.values().map(|address| Use::of((address.as_str(), node.id), false))
    });
    let mut uses: Vec<_> = addresses.chain(new.map(|one| Use::of(one, true))).collect();
    uses.sort_unstable();
    let differ = |pair: &[Use<'_>]| pair[0].name == pair[1].name && pair[0].node != pair[1].node;
    let clash = uses.windows(2).find(|pair| pair[1].new && differ(pair));
    clash.map(|pair| (pair[1].spelling, pair[0].node))
}

/// The first address that is there twice.
pub(super) fn twice<'a>(addresses: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut known = BTreeSet::new();
    addresses.into_iter().find(|address| !known.insert(Named::of(address)))
}
