//! Guards on links: every pair keeps one that is known to work.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::Probe;
use crate::conf::Config;
use crate::ids::{LinkNumber, NodeId};
use crate::observed::HostView;

/// corosync refuses the whole reload when an address of an existing link changes, with exit code 0
/// for everybody but the issuer (corosync.md 5.2): nothing else of the text would be in force either.
pub(super) fn addresses_stay(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let Some(before) = &step.before else { continue };
        for node in &before.config.nodes {
            for (link, old) in &node.addresses {
                let new = step.config.config.node(node.id).and_then(|new| new.addresses.get(link));
                if new.is_some_and(|new| new != old) {
                    let (stage, node, link) = (step.number, node.id, *link);
                    return Err(Refusal::AddressMoves { stage, node, link });
                }
            }
        }
    }
    Ok(())
}

/// corosync shows another port of a running link and goes on with the old one (corosync.md 5.3); a node
/// that restarts then is alone on the new one and not quorate (6.4).
pub(super) fn ports_stay(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let Some(before) = &step.before else { continue };
        let (old, new) = (&before.config, &step.config.config);
        let (was, is) = (old.links(), new.links());
        let mut both = was.intersection(&is);
        if let Some(link) = both.find(|link| old.port(**link) != new.port(**link)) {
            return Err(Refusal::PortMoves { stage: step.number, link: *link });
        }
    }
    Ok(())
}

/// Two links of one node with one address and one port: corosync takes that without a word and sends
/// both through the same socket (seen with 3.1.7). One of them would count as verified by the other,
/// and not be there when it has to carry alone.
pub(super) fn links_have_sockets_of_their_own(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let before = step.before.as_ref().map(|before| &before.config);
        for (node, link) in shared_sockets(&step.config.config) {
            if !before.is_some_and(|before| shared_sockets(before).contains(&(node, link))) {
                return Err(Refusal::SharedSocket { stage: step.number, node, link });
            }
        }
    }
    Ok(())
}

/// The links that have the socket of a lower one.
fn shared_sockets(config: &Config) -> BTreeSet<(NodeId, LinkNumber)> {
    let mut shared = BTreeSet::new();
    for node in &config.nodes {
        let mut taken = BTreeSet::new();
        for (link, address) in &node.addresses {
            if !taken.insert((address, config.port(*link))) {
                shared.insert((node.id, *link));
            }
        }
    }
    shared
}

/// A link of a pair of nodes, the lower id first.
type Path = (LinkNumber, NodeId, NodeId);

/// Removing the last link that works is taken by corosync without a word and leaves every node alone
/// (corosync.md 6.3). So each pair that loses a link keeps one on which it was seen connected: before
/// the plan, or by an earlier stage's probes. A pair whose links are all broken may gain one.
pub(super) fn pairs_keep_a_verified_link(case: &Case<'_>) -> Result<(), Refusal> {
    let Some(parent) = &case.parent else {
        return Ok(());
    };
    let ids = parent.ids();
    let views: BTreeMap<NodeId, &HostView> = parent
        .config
        .nodes
        .iter()
        .filter_map(|node| Some((node.id, case.view(case.node(&node.name)?)?)))
        .collect();
    let connected = paths(parent, &ids).into_iter().filter(|path| is_connected(&views, *path));
    let mut verified: BTreeSet<_> = connected.collect();
    for step in &case.steps {
        let left: BTreeSet<_> = paths(&step.config, &step.running).into_iter().collect();
        if step.writes() {
            verified.retain(|path| left.contains(path));
            losers_keep_one(step, &left, &verified)?;
        }
        let up: BTreeSet<_> =
            step.running.iter().chain(step.stage.joining.keys()).copied().collect();
        let proven = probed(step);
        let now = paths(&step.config, &up).into_iter();
        verified.extend(now.filter(|(link, _, _)| proven.contains(link)));
    }
    Ok(())
}

fn losers_keep_one(
    step: &Step<'_>,
    left: &BTreeSet<Path>,
    verified: &BTreeSet<Path>,
) -> Result<(), Refusal> {
    let linked: BTreeSet<_> = verified.iter().map(|(_, one, other)| (*one, *other)).collect();
    let before = step.before.iter().flat_map(|before| paths(before, &step.running));
    let mut lost = before.filter(|path| !left.contains(path));
    let stage = step.number;
    let unlinked = lost.find(|(_, one, other)| !linked.contains(&(*one, *other)));
    unlinked.map_or(Ok(()), |(_, one, other)| Err(Refusal::NoVerifiedLink { stage, one, other }))
}

/// The links on which both nodes of a pair have an address, pair by pair.
fn paths(text: &Text, ids: &BTreeSet<NodeId>) -> Vec<Path> {
    let mut nodes: Vec<_> =
        text.config.nodes.iter().filter(|node| ids.contains(&node.id)).collect();
    nodes.sort_unstable_by_key(|node| node.id);
    let mut paths = Vec::new();
    for (at, one) in nodes.iter().enumerate() {
        for other in &nodes[at + 1..] {
            let links = one.addresses.keys().filter(|link| other.addresses.contains_key(link));
            paths.extend(links.map(|link| (*link, one.id, other.id)));
        }
    }
    paths
}

/// Whether neither end of a path reports it as broken.
fn is_connected(views: &BTreeMap<NodeId, &HostView>, (link, one, other): Path) -> bool {
    let fine = |from: NodeId, to: NodeId| {
        views.get(&from).is_some_and(|view| !view.link_faults.contains(&(link, to)))
    };
    fine(one, other) && fine(other, one)
}

fn probed(step: &Step<'_>) -> BTreeSet<LinkNumber> {
    let link = |probe: &Probe| match probe {
        Probe::LinkConnected { link } => Some(*link),
        Probe::RunningValue { .. }
        | Probe::StartedWith { .. }
        | Probe::AuthkeyTaken {}
        | Probe::Membership { .. } => None,
    };
    step.stage.probes.iter().filter_map(link).collect()
}
