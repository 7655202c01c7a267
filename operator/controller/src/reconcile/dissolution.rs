//! The end of a cluster whose object is deleted with `deletionPolicy: Dissolve`: the object is held until no host
//! obeys it any more. Pure.

use kube::ResourceExt as _;
use pvecm_core::observed::Claim;
use pvecm_crds::cluster::DeletionPolicy;
use pvecm_crds::convert::dissolves;

use super::DISSOLVES;
use super::observe::Observation;

/// Whether the cluster is to end.
pub fn ends(seen: &Observation) -> bool {
    seen.cluster.as_deref().is_some_and(dissolves)
}

/// Whether the object is to be held from now on, or let go; `None`: it is as it should be. Without the finalizer
/// a deletion would be over before any host was separated; with another policy it would never be over.
pub fn hold(seen: &Observation) -> Option<bool> {
    let cluster = seen.cluster.as_deref()?;
    let held = cluster.finalizers().iter().any(|name| name == DISSOLVES);
    let wanted = cluster.spec.deletion_policy == DeletionPolicy::Dissolve;
    let deleted = cluster.metadata.deletion_timestamp.is_some();
    match (deleted, held) {
        (false, _) => (held != wanted).then_some(wanted),
        (true, true) => (!wanted || is_over(seen)).then_some(false),
        // The API server takes no finalizer any more.
        (true, false) => None,
    }
}

/// Whether nobody obeys the cluster any more, and no witness has its name. One that is dead is not waited for.
fn is_over(seen: &Observation) -> bool {
    let mut hosts = seen.view.hosts.values();
    let obeys = hosts.any(|view| view.claim == Claim::Ours && view.declared_dead().is_none());
    let named = seen.witnesses.values().any(|witness| witness.entry.is_some());
    !obeys && !named && seen.open.is_none()
}
