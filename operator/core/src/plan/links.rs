//! Links on a running cluster: added, given priorities, removed; in this order.
//!
//! Make before break: a link goes only when everything was verified on those that stay, seen from
//! every host (corosync.md 6.2, 6.3). An address of an existing link is never edited: corosync
//! refuses the whole reload (5.2).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::addresses::{self, Owners};
use super::draft::Draft;
use super::ground::{InForce, Member};
use super::report::{Blocker, Obstacle};
use crate::conf::{Config, LinkOptions, Node, edit};
use crate::desired::DesiredCluster;
use crate::ids::{LinkNumber, NodeId};

/// The difference between the wanted links and those in force.
#[derive(Debug, Default)]
pub(super) struct Goal {
    add: BTreeMap<LinkNumber, NewLink>,
    priorities: BTreeMap<LinkNumber, u8>,
    remove: BTreeSet<LinkNumber>,
}

#[derive(Debug)]
struct NewLink {
    addresses: BTreeMap<NodeId, String>,
    priority: Option<u8>,
}

impl Goal {
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.priorities.is_empty() && self.remove.is_empty()
    }
}

/// What the spec wants of the links that the file does not have.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Result<Goal, Obstacle> {
    let current = ground.config.links();
    let wanted = wanted_links(desired, &current);
    for link in current.intersection(&wanted) {
        ground
            .members
            .iter()
            .try_for_each(|(id, member)| stays(desired, ground, (*link, *id, *member)))?;
    }
    let mut goal =
        Goal { remove: current.difference(&wanted).copied().collect(), ..Goal::default() };
    let mut owners = Owners::of(&ground.config);
    for link in wanted.difference(&current) {
        let addresses = new_addresses(desired, ground, *link, &mut owners)?;
        goal.add.insert(*link, NewLink { addresses, priority: priority(desired, *link) });
    }
    for link in current.intersection(&wanted) {
        let wanted = priority(desired, *link);
        goal.priorities.extend(
            wanted.filter(|_| wanted != written(&ground.config, *link)).map(|p| (*link, p)),
        );
    }
    may_remove(&goal, ground)?;
    Ok(goal)
}

/// What a plan for this goal does, in words.
pub(super) fn summary(goal: &Goal) -> String {
    let all = |links: Vec<&LinkNumber>| named(links.into_iter());
    let parts = [
        ("add", goal.add.keys().collect::<Vec<_>>()),
        ("change the priority of", goal.priorities.keys().collect()),
        ("remove", goal.remove.iter().collect()),
    ];
    let parts = parts.into_iter().filter(|(_, links)| !links.is_empty());
    parts.map(|(verb, links)| format!("{verb} {}", all(links))).collect::<Vec<_>>().join(", ")
}

/// The stages that reach the goal.
pub(super) fn stages(
    goal: &Goal,
    ground: &InForce<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Obstacle> {
    let mut connected: BTreeSet<_> = connected(ground);
    if !goal.add.is_empty() {
        connected.extend(goal.add.keys());
        let summary = format!("Add {} on every node", named(goal.add.keys()));
        draft.write(summary, &connected, |text| {
            goal.add.iter().try_fold(text.clone(), |text, (link, new)| {
                let options = LinkOptions { priority: new.priority, ..LinkOptions::default() };
                edit::add_link(&text, *link, &new.addresses, &options)
            })
        })?;
    }
    if !goal.priorities.is_empty() {
        let each = goal
            .priorities
            .iter()
            .map(|(link, priority)| format!("link {link} priority {priority}"));
        let summary = format!("Give {}", each.collect::<Vec<_>>().join(", "));
        draft.write(summary, &connected, |text| {
            let set = |text, (link, priority): (&LinkNumber, &u8)| {
                edit::set_priority(&text, *link, Some(*priority))
            };
            goal.priorities.iter().try_fold(text.clone(), set)
        })?;
    }
    if !goal.remove.is_empty() {
        connected.retain(|link| !goal.remove.contains(link));
        let summary = format!("Remove {} from every node", named(goal.remove.iter()));
        draft.write(summary, &connected, |text| {
            goal.remove.iter().try_fold(text.clone(), |text, link| edit::remove_link(&text, *link))
        })?;
    }
    Ok(())
}

/// The links that are in force and connected between every pair.
pub(super) fn connected(ground: &InForce<'_>) -> BTreeSet<LinkNumber> {
    let mut links = ground.config.links();
    links.retain(|link| faults(ground, *link).next().is_none());
    links
}

/// The first link in force that is not connected everywhere, in words.
pub(super) fn refuse_faults(
    ground: &InForce<'_>,
    links: &BTreeSet<LinkNumber>,
) -> Result<(), Obstacle> {
    match links.iter().find_map(|link| faults(ground, *link).next()) {
        Some(fault) => Obstacle::stop(Blocker::LinkNotConnected, fault),
        None => Ok(()),
    }
}

fn faults<'g>(ground: &'g InForce<'_>, link: LinkNumber) -> impl Iterator<Item = String> + 'g {
    ground.members.values().flat_map(move |member| {
        let faults = member.view.link_faults.iter().filter(move |(faulty, _)| *faulty == link);
        faults.map(move |(_, to)| {
            let name =
                ground.members.get(to).map_or_else(|| to.to_string(), |m| m.node.host.to_string());
            format!("link {link} from {} to {name} is not connected", member.node.host)
        })
    })
}

/// With a list of links the spec speaks of all; without one, addresses that it states may add a
/// link but never take one away.
fn wanted_links(desired: &DesiredCluster, current: &BTreeSet<LinkNumber>) -> BTreeSet<LinkNumber> {
    if !desired.links.is_empty() {
        return desired.links.iter().map(|link| link.number).collect();
    }
    let stated = desired.nodes.iter().flat_map(|node| node.addresses.keys().copied());
    current.iter().copied().chain(stated).collect()
}

fn priority(desired: &DesiredCluster, link: LinkNumber) -> Option<u8> {
    desired.links.iter().find(|wanted| wanted.number == link)?.priority
}

fn written(config: &Config, link: LinkNumber) -> Option<u8> {
    config.interfaces.get(&link)?.options.priority
}

/// The address in force is one that the spec can mean.
fn stays(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
    (link, id, member): (LinkNumber, NodeId, Member<'_>),
) -> Result<(), Obstacle> {
    let Some(now) = ground.config.node(id).and_then(|node: &Node| node.addresses.get(&link)) else {
        return Ok(());
    };
    let wanted = match (member.node.addresses.get(&link), addresses::network(desired, link)) {
        (Some(stated), _) if !addresses::same(stated, now) => stated.clone(),
        (None, Some(network)) if !now.parse::<IpAddr>().is_ok_and(|ip| network.contains(&ip)) => {
            format!("one in {network}")
        }
        (Some(_) | None, _) => return Ok(()),
    };
    let sentence = format!(
        "{} has the address {now} on link {link}, the spec wants {wanted}; moving a link is not supported yet",
        member.node.host
    );
    Obstacle::stop(Blocker::LinkMoveNotSupported, sentence)
}

fn new_addresses(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
    link: LinkNumber,
    owners: &mut Owners,
) -> Result<BTreeMap<NodeId, String>, Obstacle> {
    let mut found = BTreeMap::new();
    for (id, member) in &ground.members {
        let address = addresses::wanted(desired, *member, link)?;
        owners.take(*member, &address)?;
        found.insert(*id, address);
    }
    Ok(found)
}

/// What stays must carry everything before something goes. An added link proves itself in the
/// stage that adds it.
fn may_remove(goal: &Goal, ground: &InForce<'_>) -> Result<(), Obstacle> {
    if goal.remove.is_empty() {
        return Ok(());
    }
    let current = ground.config.links();
    let rest: BTreeSet<_> = current.difference(&goal.remove).copied().collect();
    if goal.add.is_empty() && rest.is_disjoint(&connected(ground)) {
        let fault = rest.iter().find_map(|link| faults(ground, *link).next()).unwrap_or_default();
        let sentence = format!(
            "{} cannot be removed, it is the last that works: {fault}",
            named(goal.remove.iter())
        );
        return Obstacle::stop(Blocker::LastLink, sentence);
    }
    refuse_faults(ground, &rest)?;
    keeps_token(goal, ground)
}

/// corosync counts the nodes for the token timeout by their `ring0_addr` (corosync.md 6.2): without
/// link 0 a cluster of many nodes falls back to the timeout of two.
fn keeps_token(goal: &Goal, ground: &InForce<'_>) -> Result<(), Obstacle> {
    let zero = goal.remove.iter().find(|link| link.get() == 0);
    let config = &ground.config;
    let grows = config.nodes.len() > 2 && config.token_coefficient_millis != Some(0);
    match zero {
        Some(zero) if grows => Obstacle::stop(
            Blocker::LinkZeroNotSupported,
            format!(
                "removing link {zero} would shorten the token timeout, which is not supported yet"
            ),
        ),
        Some(_) | None => Ok(()),
    }
}

fn named<'l>(links: impl Iterator<Item = &'l LinkNumber>) -> String {
    let numbers: Vec<_> = links.map(LinkNumber::to_string).collect();
    let word = if numbers.len() == 1 { "link" } else { "links" };
    format!("{word} {}", numbers.join(", "))
}
