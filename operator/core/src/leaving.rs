//! Nodes that the spec no longer names, and that are still part of its cluster.
//!
//! A host leaves only if the cluster has claimed it: the operator claims a host when a spec names it, and
//! gives up the claim on one that is no member any more. So the claim is the record that a member was in
//! force under this very `PveCluster`. It outlives restarts of the operator and the history that is kept,
//! a cluster that was adopted and never changed has it too, and a cluster made anew under the same name,
//! which has another UID, has not. A member without it (joined in the web UI, forgotten at adoption) is
//! nobody's to remove.

use std::collections::{BTreeMap, BTreeSet};

use crate::conf::{Config, Document};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::observed::{Claim, HostView, ObservedCluster};

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

/// Whether any known text lists a node of this name: a join that ended before its start leaves a host that
/// has nothing of the cluster, and a vote of its that is missing.
#[must_use]
pub fn is_listed(observed: &ObservedCluster, name: &str) -> bool {
    let files =
        observed.hosts.values().flat_map(|view| view.pmxcfs_file.iter().chain(&view.disk_file));
    let texts: BTreeSet<&str> = files.filter_map(|file| file.text.as_deref()).collect();
    texts.into_iter().any(|text| {
        let config = Config::read(&Document::parse(text.as_bytes()));
        config.is_ok_and(|config| config.nodes.iter().any(|node| node.name.as_str() == name))
    })
}
