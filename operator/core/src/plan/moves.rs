//! A link that goes on with other addresses or another port, under its number.
//!
//! corosync takes neither on a running link: other addresses make it refuse the whole reload, another
//! port it shows and ignores (corosync.md 5.2, 5.3). So a link under a free number carries meanwhile
//! (6.2): add it at the new place, remove the old link, add that one at the new place, remove the
//! helper. The last text is the first one with nothing but the new place in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::addresses::{self, Owners};
use super::draft::Draft;
use super::ground::{InForce, Member};
use super::links;
use super::report::Obstacle;
use crate::conf::{Config, Document, EditError, LinkOptions, default_port, edit};
use crate::desired::DesiredCluster;
use crate::ids::{LinkNumber, NodeId};

/// Where a link goes.
#[derive(Debug)]
pub(super) struct Move {
    /// Of every node, also of those that stay where they are.
    addresses: BTreeMap<NodeId, String>,
    /// The new port, if that is what changes.
    port: Option<u16>,
    /// Where that is, for people: a network or single addresses. Empty: where the link is.
    places: Vec<String>,
}

impl Move {
    /// The address of every node at the new place.
    pub const fn addresses(&self) -> &BTreeMap<NodeId, String> {
        &self.addresses
    }

    /// The new port, if that is what changes.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The new addresses in words that follow on the link's name.
    fn at(&self) -> String {
        if self.places.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.places.join(" and "))
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!("port {port}"));
        f.write_str(&self.places.iter().cloned().chain(port).collect::<Vec<_>>().join(" and "))
    }
}

/// What carries while a link is away.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// A link under this number, at the new place.
    Helper(LinkNumber),
    /// The other links: no number is free.
    Others,
}

/// Where the spec wants a link, if that is not where it is.
pub(super) fn wanted(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
    link: LinkNumber,
    owners: &mut Owners,
) -> Result<Option<Move>, Obstacle> {
    let (mut addresses, mut places) = (BTreeMap::new(), Vec::new());
    for (id, member) in &ground.members {
        let now = ground.config.node(*id).and_then(|node| node.addresses.get(&link));
        let stays = now.filter(|now| means(desired, (link, *member), now));
        let address = if let Some(now) = stays {
            now.clone()
        } else {
            let new = addresses::wanted(desired, *member, link)?;
            owners.take(*member, &new)?;
            places.push(format!("{new} on {}", member.node.host));
            new
        };
        addresses.insert(*id, address);
    }
    if let Some(network) = addresses::network(desired, link).filter(|_| places.len() > 1) {
        places = vec![network.to_string()];
    }
    let port = links::options(desired, link).port.filter(|port| *port != ground.config.port(link));
    if places.is_empty() && port.is_none() {
        return Ok(None);
    }
    // A node that stays gets its address again, on a link that is new to corosync.
    for (member, address) in ground.members.values().zip(addresses.values()) {
        addresses::is_on_host(*member, link, address)?;
    }
    Ok(Some(Move { addresses, port, places }))
}

/// Whether the address in force is one that the spec can mean. With several in the link's network the
/// one in force is as good as any; one that the host has given up for another is not.
fn means(desired: &DesiredCluster, (link, member): (LinkNumber, Member<'_>), now: &str) -> bool {
    match (member.node.addresses.get(&link), addresses::network(desired, link)) {
        (Some(stated), _) => addresses::same(stated, now),
        (None, Some(network)) => now.parse::<IpAddr>().is_ok_and(|ip| {
            let here: Vec<_> = member.view.addresses_in(network).collect();
            network.contains(&ip) && (here.len() != 1 || here == [ip])
        }),
        (None, None) => true,
    }
}

/// What can carry while this link is away: a link under the lowest free number, but not link 0, which
/// would make the token timeout depend on the number of nodes.
pub(super) fn way(ground: &InForce<'_>, link: LinkNumber) -> Option<Way> {
    let config = &ground.config;
    let taken =
        |number: &LinkNumber| config.has_link(*number) || config.interfaces.contains_key(number);
    let free = LinkNumber::all().skip(1).find(|number| !taken(number));
    let others = || links::connected(ground).iter().any(|other| *other != link);
    free.map(Way::Helper).or_else(|| others().then_some(Way::Others))
}

/// The stages that move a link.
pub(super) fn stages(
    (link, to, way): (LinkNumber, &Move, Way),
    draft: &mut Draft<'_>,
) -> Result<(), Obstacle> {
    let token = draft.config().token_in_force_millis();
    let held = |text: Result<Document, EditError>| edit::hold_token(&text?, token);
    let there = |text: &Document| {
        let text = edit::set_addresses(text, link, &to.addresses)?;
        let port = LinkOptions { port: to.port, ..LinkOptions::default() };
        if to.port.is_some() { edit::set_link_options(&text, link, &port) } else { Ok(text) }
    };
    let first = draft.document().clone();
    let mut old = draft.links().clone();
    let others: BTreeSet<_> = old.iter().copied().filter(|other| *other != link).collect();
    let with = |more: &[LinkNumber]| others.iter().chain(more).copied().collect::<BTreeSet<_>>();

    let Way::Helper(helper) = way else {
        let summary = format!("Remove link {link} from every node, the other links carry");
        draft.write(summary, &others, |text| held(edit::remove_link(text, link)))?;
        let summary = format!("Add link {link} again, with {to}");
        return draft.write(summary, &with(&[link]), |_| there(&first));
    };
    let ping_interval_millis = Some(quick_interval_millis(draft.config(), link));
    let options = LinkOptions {
        port: helper_port(draft.config(), helper, to),
        ping_interval_millis,
        ..draft.config().link_options(link)
    };
    let add = |text: &Document| edit::add_link(text, helper, &to.addresses, &options);
    let quick = LinkOptions { ping_interval_millis, ..LinkOptions::default() };
    let there_quickly = || edit::set_link_options(&there(&first)?, link, &quick);

    let summary = format!("Add link {helper}{}, to carry while link {link} moves", to.at());
    old.insert(helper);
    draft.write(summary, &old, |text| held(add(text)))?;
    let summary = format!("Remove link {link} from every node");
    draft.write(summary, &with(&[helper]), |text| held(edit::remove_link(text, link)))?;
    let summary = format!("Add link {link} again, with {to}");
    draft.write(summary, &with(&[helper, link]), |_| held(add(&there_quickly()?)))?;
    let summary = format!("Remove link {helper} from every node");
    draft.write(summary, &with(&[link]), |_| there(&first))
}

/// How often a link pings that a move waits for: knet calls it connected after `knet_pong_count` pongs,
/// and at the interval that follows from the token timeout that takes some two seconds. How long a pong
/// may take stays what it was.
fn quick_interval_millis(config: &Config, link: LinkNumber) -> u32 {
    const QUICK: u32 = 200;
    let (interval, _) = config.pings_millis(link);
    interval.min(QUICK)
}

/// The helper stands where the link goes to, so that it needs a port of its own.
fn helper_port(config: &Config, helper: LinkNumber, to: &Move) -> Option<u16> {
    let taken: BTreeSet<u16> =
        config.links().into_iter().map(|link| config.port(link)).chain(to.port).collect();
    if !taken.contains(&default_port(helper)) {
        return None;
    }
    (default_port(LinkNumber::ZERO)..=u16::MAX).find(|port| !taken.contains(port))
}
