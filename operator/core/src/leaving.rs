//! Nodes that the spec no longer names, and that are still part of its cluster.
//!
//! A host leaves only if the cluster has claimed it: the operator claims a host when a spec names it, and
//! gives up the claim on one that is no member any more. So the claim is the record that a member was in
//! force under this very `PveCluster`. It outlives restarts of the operator and the history that is kept,
//! a cluster that was adopted and never changed has it too, and a cluster made anew under the same name,
//! which has another UID, has not. A member without it (joined in the web UI, forgotten at adoption) is
//! nobody's to remove.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::change::Tombstone;
use crate::conf::{Config, Document};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::observed::{Claim, HostView, ObservedCluster};

/// What is wanted without the nodes whose machines a person has declared dead: that statement alone is a wish to
/// have them removed.
fn without_the_dead<'a>(
    desired: &'a DesiredCluster,
    observed: &ObservedCluster,
) -> Cow<'a, DesiredCluster> {
    let lives = |node: &DesiredNode| {
        observed.hosts.get(&node.host).is_none_or(|view| view.declared_dead().is_none())
    };
    if desired.nodes.iter().all(lives) {
        return Cow::Borrowed(desired);
    }
    let mut living = desired.clone();
    living.nodes.retain(lives);
    Cow::Owned(living)
}

/// What is wanted as far as members go: nobody, where the cluster is to be dissolved, and else all but the dead.
#[must_use]
pub fn in_effect<'a>(
    desired: &'a DesiredCluster,
    observed: &ObservedCluster,
) -> Cow<'a, DesiredCluster> {
    if desired.dissolves {
        return Cow::Owned(DesiredCluster { nodes: Vec::new(), ..desired.clone() });
    }
    without_the_dead(desired, observed)
}

/// The hosts that leave, as nodes: those that the list in force still has, and those that still have
/// something of the cluster.
#[must_use]
pub fn leaving(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<DesiredNode> {
    let is_named = |host: &_| desired.nodes.iter().any(|node| node.host == *host);
    let claimed = observed
        .hosts
        .iter()
        .filter(|(host, view)| view.claim == Claim::Ours && !is_named(*host))
        .filter(|(_, view)| !view.is_empty() || is_listed(observed, &view.hostname));
    let node = |(host, view): (&crate::ids::HostName, &HostView)| {
        let name = view.hostname.parse().ok()?;
        let wanted = desired.nodes.iter().any(|node| node.name == name);
        (!wanted).then(|| DesiredNode {
            name,
            host: host.clone(),
            node_id: None,
            votes: None,
            addresses: BTreeMap::new(),
        })
    };
    claimed.filter_map(node).collect()
}

/// Whether a wanted node has left this very cluster before and still has what it had of it: a member that
/// saw it go remembers that machine, and its files list both of them. A cluster that was made on it since
/// then under the same name is not that one.
#[must_use]
pub fn has_left(node: &DesiredNode, observed: &ObservedCluster) -> bool {
    let Some(view) = observed.hosts.get(&node.host).filter(|view| view.claim == Claim::Ours) else {
        return false;
    };
    let files: Vec<_> = view.pmxcfs_file.iter().chain(&view.disk_file).collect();
    let old: Option<Vec<Config>> = files.iter().map(|file| read(file.text.as_deref()?)).collect();
    let Some(old) = old.filter(|old| !old.is_empty()) else { return false };
    let saw = |member: &HostView, gone: &Tombstone| {
        let is_of = |config: &Config| {
            let has = |name: &str| config.nodes.iter().any(|node| node.name.as_str() == name);
            config.node(gone.node_id).is_some_and(|node| node.name == gone.name)
                && has(&member.hostname)
        };
        gone.name == node.name && gone.machine_id == view.machine_id && old.iter().all(is_of)
    };
    observed.hosts.values().any(|member| member.tombstones.iter().any(|gone| saw(member, gone)))
}

fn read(text: &str) -> Option<Config> {
    Config::read(&Document::parse(text.as_bytes())).ok()
}

/// Whether any known text lists a node of this name: a join that ended before its start leaves a host that
/// has nothing of the cluster, and a vote of its that is missing.
#[must_use]
pub fn is_listed(observed: &ObservedCluster, name: &str) -> bool {
    let files =
        observed.hosts.values().flat_map(|view| view.pmxcfs_file.iter().chain(&view.disk_file));
    let texts: BTreeSet<&str> = files.filter_map(|file| file.text.as_deref()).collect();
    let mut configs = texts.into_iter().filter_map(read);
    configs.any(|config| config.nodes.iter().any(|node| node.name.as_str() == name))
}
