//! Nodes that the spec no longer names, and that are still part of its cluster.
//!
//! A host leaves only if the cluster has claimed it: the operator claims a host when a spec names it, and
//! gives up the claim on one that is no member any more. So the claim is the record that a member was in
//! force under this very `PveCluster`. It outlives restarts of the operator and the history that is kept,
//! a cluster that was adopted and never changed has it too, and a cluster made anew under the same name,
//! which has another UID, has not. A member without it (joined in the web UI, forgotten at adoption) is
//! nobody's to remove.

use std::collections::BTreeMap;

use crate::desired::{DesiredCluster, DesiredNode};
use crate::observed::{Claim, HostView, ObservedCluster};

/// The hosts that leave, as nodes, whether or not the list in force still has them.
#[must_use]
pub fn leaving(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<DesiredNode> {
    let is_named = |host: &_| desired.nodes.iter().any(|node| node.host == *host);
    let claimed = observed
        .hosts
        .iter()
        .filter(|(host, view)| view.claim == Claim::Ours && has_cluster(view) && !is_named(*host));
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

/// Whether a host has anything of a cluster.
#[must_use]
pub fn has_cluster(view: &HostView) -> bool {
    view.pmxcfs_file.is_some() || view.disk_file.is_some() || view.running_version.is_some()
}
