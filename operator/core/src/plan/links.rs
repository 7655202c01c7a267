//! Links on a running cluster: added, given options, moved, removed.
//!
//! Make before break: a link goes only when everything was verified on those that stay, seen from
//! every host (corosync.md 6.2, 6.3). An address of an existing link is never edited: corosync
//! refuses the whole reload (5.2). Where a link moves, removals wait for it: it may have to carry.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::addresses::{self, Owners};
use super::draft::Draft;
use super::ground::InForce;
use super::moves::{self, Move, Way};
use super::report::{Blocker, Obstacle};
use super::wishes::{Wishes, node_key};
use crate::change::{Plan, Proposed};
use crate::conf::{Config, Document, EditError, LinkOptions, Node, edit};
use crate::desired::{DesiredCluster, DesiredLink};
use crate::fitness::Limits;
use crate::ids::{LinkNumber, NodeId};
use crate::observed::ObservedCluster;

/// The difference between the wanted links and those in force.
#[derive(Debug, Default)]
pub(super) struct Goal {
    add: BTreeMap<LinkNumber, NewLink>,
    options: BTreeMap<LinkNumber, LinkOptions>,
    moves: BTreeMap<LinkNumber, Move>,
    remove: BTreeSet<LinkNumber>,
}

#[derive(Debug)]
struct NewLink {
    addresses: BTreeMap<NodeId, String>,
    options: LinkOptions,
}

/// What the ways of each link may be like, where the spec says so. A link that helps in a move goes where the one
/// that moves will.
pub(super) fn limits(desired: &DesiredCluster, config: &Config) -> BTreeMap<LinkNumber, Limits> {
    let stated = || desired.links.iter().filter_map(|link| Some((link, link.limits?)));
    let is_in = |link: LinkNumber, wanted: &DesiredLink| {
        let mut addresses = config.nodes.iter().filter_map(|node| node.addresses.get(&link));
        let ip = addresses.find_map(|address| address.parse().ok());
        wanted.network.zip(ip).is_some_and(|(network, ip): (_, IpAddr)| network.contains(&ip))
    };
    let of = |link: LinkNumber| {
        let mut by_number = stated().filter(|(wanted, _)| wanted.number == link);
        let by_network = || stated().find(|(wanted, _)| is_in(link, wanted));
        Some((link, by_number.next().or_else(by_network)?.1))
    };
    if stated().next().is_none() {
        return BTreeMap::new();
    }
    config.links().into_iter().filter_map(of).collect()
}

/// A plan, and what of the goal comes after it.
pub(super) struct Planned {
    pub plan: Plan<Proposed>,
    pub later: Vec<String>,
}

impl Goal {
    pub fn is_empty(&self) -> bool {
        let Self { add, options, moves, remove } = self;
        add.is_empty() && options.is_empty() && moves.is_empty() && remove.is_empty()
    }

    /// The keys of the file that it changes.
    pub fn wishes(&self, ground: &InForce<'_>) -> Wishes {
        let Self { add, options, moves, remove } = self;
        let mut wishes = Wishes::new();
        let added = add.iter().map(|(link, new)| (*link, &new.addresses));
        let moved = moves.iter().map(|(link, to)| (*link, to.addresses()));
        for (link, addresses) in added.chain(moved) {
            let nodes = ground.config.nodes.iter();
            let news = nodes.filter_map(|node| Some((node, addresses.get(&node.id)?)));
            let news = news.filter(|(node, wanted)| node.addresses.get(&link) != Some(wanted));
            wishes.extend(news.map(|(node, wanted)| (address(node, link), Some(wanted.clone()))));
        }
        for link in remove {
            wishes.extend(ground.config.nodes.iter().map(|node| (address(node, *link), None)));
        }
        let ports = moves.iter().filter_map(|(link, to)| {
            Some((*link, LinkOptions { port: Some(to.port()?), ..LinkOptions::default() }))
        });
        let added = add.iter().map(|(link, new)| (*link, new.options));
        for (link, options) in options.iter().map(|(l, o)| (*l, *o)).chain(added).chain(ports) {
            let pairs = options.pairs().into_iter();
            wishes.extend(pairs.map(|(k, v)| (format!("totem.interface[{link}].{k}"), Some(v))));
        }
        wishes
    }

    /// What it does, in words.
    pub fn summary(&self) -> String {
        self.phrases().join(", ")
    }

    /// The same, each a phrase.
    fn phrases(&self) -> Vec<String> {
        let only_priority =
            |o: &LinkOptions| *o == LinkOptions { priority: o.priority, ..LinkOptions::default() };
        let options = if self.options.values().all(only_priority) { "priority" } else { "options" };
        let add = named("add", self.add.keys());
        let options = named(&format!("change the {options} of"), self.options.keys());
        let remove = named("remove", self.remove.iter());
        let moves = self.moves.iter().map(|(link, to)| format!("move link {link} to {to}"));
        add.into_iter().chain(options).chain(moves).chain(remove).collect()
    }
}

fn address(node: &Node, link: LinkNumber) -> String {
    node_key(node.name.as_str(), &format!("ring{link}_addr"))
}

/// What the spec wants of the links that the file does not have.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Result<Goal, Obstacle> {
    let current = ground.config.links();
    let wanted = wanted_links(desired, &current);
    let mut goal =
        Goal { remove: current.difference(&wanted).copied().collect(), ..Goal::default() };
    let mut owners = Owners::of(&ground.config);
    for link in current.intersection(&wanted) {
        let to = moves::wanted(desired, ground, *link, &mut owners)?;
        goal.moves.extend(to.map(|to| (*link, to)));
        let changed = options(desired, *link).beyond(ground.config.link_options(*link));
        let live = LinkOptions { port: None, ..changed };
        if live != LinkOptions::default() {
            goal.options.insert(*link, live);
        }
    }
    for link in wanted.difference(&current) {
        let addresses = new_addresses(desired, ground, *link, &mut owners)?;
        goal.add.insert(*link, NewLink { addresses, options: options(desired, *link) });
    }
    Ok(goal)
}

/// The next plan towards the goal.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, Goal),
) -> Result<Planned, Obstacle> {
    let (now, way, later) = first(goal, ground)?;
    may_remove(&now, ground)?;
    let mut draft = Draft::new(desired, observed, ground)?;
    stages(&now, way, &mut draft)?;
    let members = super::hosts(ground.up().map(|(_, member)| member.node));
    let plan = draft.finish(format!("On {members}: {}", now.summary()));
    Ok(Planned { plan, later: later.phrases() })
}

/// What one plan does of a goal, by which way it moves a link, and the rest. One link is moved at a
/// time, when every new one carries and before an old one goes: so there is most to fall back on.
fn first(goal: Goal, ground: &InForce<'_>) -> Result<(Goal, Option<Way>, Goal), Obstacle> {
    let Goal { add, options, mut moves, remove } = goal;
    if moves.is_empty() {
        return Ok((Goal { add, options, moves, remove }, None, Goal::default()));
    }
    if !add.is_empty() || !options.is_empty() {
        let now = Goal { add, options, ..Goal::default() };
        return Ok((now, None, Goal { moves, remove, ..Goal::default() }));
    }
    let way = moves.keys().find_map(|link| Some((*link, moves::way(ground, *link)?)));
    let taken = way.and_then(|(link, way)| Some((way, link, moves.remove(&link)?)));
    if let Some((way, link, to)) = taken {
        let now = Goal { moves: BTreeMap::from([(link, to)]), ..Goal::default() };
        return Ok((now, Some(way), Goal { moves, remove, ..Goal::default() }));
    }
    if !remove.is_empty() {
        let now = Goal { remove, ..Goal::default() };
        return Ok((now, None, Goal { moves, ..Goal::default() }));
    }
    let moves = Goal { moves, ..Goal::default() }.summary();
    let sentence = format!(
        "the plan is to {moves}, but nothing would carry meanwhile: links 1 to 7 are in use, and no \
         other link is connected between every pair of nodes"
    );
    Obstacle::stop(Blocker::NoSpareLink, sentence)
}

/// The stages of one plan.
fn stages(goal: &Goal, way: Option<Way>, draft: &mut Draft<'_>) -> Result<(), Obstacle> {
    let mut connected = draft.links().clone();
    // With link 0 the number of nodes counts for the token timeout, and without it not.
    let token = draft.config().token_in_force_millis();
    let held = |text: Result<Document, EditError>| edit::hold_token(&text?, token);
    let Goal { add, options, moves, remove } = goal;
    if !add.is_empty() {
        connected.extend(add.keys());
        let summary = format!("Add {} on every node", list(add.keys()));
        draft.write(summary, &connected, |text| {
            held(add.iter().try_fold(text.clone(), |text, (link, new)| {
                edit::add_link(&text, *link, &new.addresses, &new.options)
            }))
        })?;
    }
    if !options.is_empty() {
        let each = options.iter().map(|(link, options)| format!("link {link} {}", words(*options)));
        let summary = format!("Give {}", each.collect::<Vec<_>>().join(", "));
        draft.write(summary, &connected, |text| {
            options.iter().try_fold(text.clone(), |text, (link, options)| {
                edit::set_link_options(&text, *link, options)
            })
        })?;
    }
    for ((link, to), way) in moves.iter().zip(way) {
        moves::stages((*link, to, way), draft)?;
    }
    if !remove.is_empty() {
        connected.retain(|link| !remove.contains(link));
        let summary = format!("Remove {} from every node", list(remove.iter()));
        draft.write(summary, &connected, |text| {
            held(remove.iter().try_fold(text.clone(), |text, link| edit::remove_link(&text, *link)))
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
    ground.up().flat_map(move |(_, member)| {
        let is_up = |to: &NodeId| {
            !ground.stopped.contains(to)
                && !ground.away.contains(to)
                && ground.unstarted.is_none_or(|(id, _)| id != *to)
        };
        let faults = member.view.link_faults.iter();
        let faults = faults.filter(move |(faulty, to)| *faulty == link && is_up(to));
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

pub(super) fn options(desired: &DesiredCluster, link: LinkNumber) -> LinkOptions {
    let wanted = desired.links.iter().find(|wanted| wanted.number == link);
    wanted.map(|wanted| wanted.options).unwrap_or_default()
}

/// The options that change on a running link, for people.
fn words(options: LinkOptions) -> String {
    let LinkOptions { priority, ping_interval_millis, ping_timeout_millis, .. } = options;
    let LinkOptions { ping_precision, pong_count, port: _, .. } = options;
    let words = [
        priority.map(|v| format!("priority {v}")),
        ping_interval_millis.map(|v| format!("ping interval {v} ms")),
        ping_timeout_millis.map(|v| format!("ping timeout {v} ms")),
        ping_precision.map(|v| format!("ping precision {v}")),
        pong_count.map(|v| format!("pong count {v}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
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
            list(goal.remove.iter())
        );
        return Obstacle::stop(Blocker::LastLink, sentence);
    }
    refuse_faults(ground, &rest)
}

fn list<'l>(links: impl Iterator<Item = &'l LinkNumber>) -> String {
    let numbers: Vec<_> = links.map(LinkNumber::to_string).collect();
    let word = if numbers.len() == 1 { "link" } else { "links" };
    format!("{word} {}", numbers.join(", "))
}

/// Something done to these links, if there are any.
fn named<'l>(verb: &str, links: impl Iterator<Item = &'l LinkNumber>) -> Option<String> {
    let mut links = links.peekable();
    links.peek()?;
    Some(format!("{verb} {}", list(links)))
}
