//! The first node of a cluster.
//!
//! A first node that will get company is formed with one vote more than it keeps: when the second
//! one is listed it then holds two of three votes and stays quorate and writable while that one
//! starts (pmxcfs.md 4). Without the lent vote it would be read-only until the second node is up,
//! and for ever when that never comes.

use std::collections::BTreeMap;

use super::addresses::{self, Owners};
use super::draft::first_free;
use super::ground::Member;
use super::join::node_id;
use super::preflight;
use super::report::{Blocker, Obstacle};
use super::transport;
use crate::change::{Action, ConfText, Course, Plan, Probe, Proposed, Risk, Stage};
use crate::conf::{ConfError, Formation, LinkOptions, NodeEntry, form};
use crate::desired::DesiredCluster;
use crate::ids::{LinkNumber, NodeId};
use crate::observed::ObservedCluster;

/// Plans the formation. `nodes` are all wanted ones, each heard and without any cluster.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    nodes: &[Member<'_>],
) -> Result<Plan<Proposed>, Obstacle> {
    transport::refuse_forming(desired)?;
    let Some((first, more)) = nodes.split_first() else {
        return Obstacle::stop(Blocker::NoVotes, "the spec names no node");
    };
    let links = links(desired)?;
    // Nothing is begun that an address in the spec, or a machine, would stop halfway.
    let mut owners = Owners::default();
    let mut faults = preflight::of_founders(nodes);
    let taken = nodes.iter().map(|member| take_addresses(desired, *member, &links, &mut owners));
    faults.extend(taken.filter_map(Result::err));
    preflight::refuse(&faults)?;
    if !desired.nodes.iter().any(|node| node.votes != Some(0)) {
        return Obstacle::stop(Blocker::NoVotes, "the spec gives no node a vote");
    }
    let lent = if more.is_empty() { 1 } else { 2 };
    let entry = NodeEntry {
        name: first.node.name.clone(),
        id: node_id(desired, first.node, &[])?,
        votes: first.node.votes.unwrap_or(1).max(lent),
        addresses: take_addresses(desired, *first, &links, &mut owners)?,
    };
    let stage = stage(desired, observed, (*first, entry, links))?;
    let summary = format!("Form the cluster {} on {}", desired.name, first.node.host);
    Ok(Plan::proposed(None, desired.generation, summary, vec![stage]))
}

/// The links of a new cluster, with their options.
fn links(desired: &DesiredCluster) -> Result<BTreeMap<LinkNumber, LinkOptions>, Obstacle> {
    let listed = desired.links.iter().map(|link| (link.number, link.options));
    let links: BTreeMap<_, _> = if desired.links.is_empty() {
        let stated = desired.nodes.iter().flat_map(|node| node.addresses.keys());
        stated.map(|link| (*link, LinkOptions::default())).collect()
    } else {
        listed.collect()
    };
    if links.is_empty() {
        let sentence = "the spec names no link and no address to form a cluster on";
        return Obstacle::stop(Blocker::AddressMissing, sentence);
    }
    Ok(links)
}

fn take_addresses(
    desired: &DesiredCluster,
    member: Member<'_>,
    links: &BTreeMap<LinkNumber, LinkOptions>,
    owners: &mut Owners,
) -> Result<BTreeMap<LinkNumber, String>, Obstacle> {
    let mut taken = BTreeMap::new();
    for link in links.keys() {
        let address = addresses::wanted(desired, member, *link)?;
        owners.take(member, &address)?;
        taken.insert(*link, address);
    }
    Ok(taken)
}

fn stage(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (first, entry, links): (Member<'_>, NodeEntry, BTreeMap<LinkNumber, LinkOptions>),
) -> Result<Stage, Obstacle> {
    let version = first_free(observed)?;
    let (host, id): (_, NodeId) = (first.node.host.clone(), entry.id);
    let summary = format!("{host} forms the cluster {} with {} votes", desired.name, entry.votes);
    let formation = Formation {
        cluster_name: desired.name.clone(),
        version,
        nodes: vec![entry],
        links,
        totem: desired.totem,
        logging: desired.logging,
    };
    let text = form(&formation).map_err(|error| not_formable(&error))?;
    let config = ConfText::new(version, String::from_utf8_lossy(&text).into_owned());
    Ok(Stage {
        summary,
        risk: Risk::Live,
        course: Course::Local,
        group: BTreeMap::new(),
        joining: BTreeMap::new(),
        config,
        back: None,
        actions: BTreeMap::from([(host, vec![Action::FormCluster {}])]),
        probes: vec![Probe::Membership { nodes: vec![id] }],
        limits: BTreeMap::new(),
        confirm_timeout_secs: desired.rollout.confirm_timeout_secs,
    })
}

fn not_formable(error: &ConfError) -> Obstacle {
    let sentence = format!("the spec makes no corosync.conf that everybody understands: {error}");
    Obstacle::new(Blocker::ConfigNotUnderstood, sentence)
}
