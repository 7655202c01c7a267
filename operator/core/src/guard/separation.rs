//! Guards on hosts that go on alone.

use std::collections::BTreeSet;

use super::case::{Case, Step};
use super::refusal::Refusal;
use crate::change::Action;
use crate::ids::HostName;

/// No lock of Proxmox VE reaches from one cluster to another: two of them on one storage start one disk twice
/// and give two guests one id (pve.md G31). The last host of a cluster shares with nobody.
pub(super) fn who_goes_on_alone_shares_only_what_is_said(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (host, said) in separating(step) {
            let known = case.observed.hosts.get(host).map(|view| &view.shared_storages);
            let mut unsaid = known.into_iter().flat_map(|known| known.difference(said));
            if let Some(storage) = unsaid.next() {
                let (host, storage) = (host.clone(), storage.clone());
                return Err(Refusal::StorageShared { stage: step.number, host, storage });
            }
        }
    }
    Ok(())
}

fn separating<'s>(
    step: &'s Step<'_>,
) -> impl Iterator<Item = (&'s HostName, &'s BTreeSet<String>)> {
    let all = step
        .stage
        .actions
        .iter()
        .flat_map(|(host, actions)| actions.iter().map(move |action| (host, action)));
    all.filter_map(|(host, action)| match action {
        Action::StopToSeparate { shared_storages } | Action::Separate { shared_storages } => {
            Some((host, shared_storages))
        }
        _other => None,
    })
}

/// Whether a host goes on alone, and may then share exactly these storages; `None`: it does not, and puts away
/// what it has, which with guests of its own would be the loss of them.
pub(super) fn is_as_said(
    case: &Case<'_>,
    host: &HostName,
    said: Option<&BTreeSet<String>>,
) -> bool {
    match (case.separates(host), said) {
        (None, None) => true,
        (Some(accepted), Some(said)) => accepted == *said,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether a stage lists this host and nobody else, in a cluster that is to end.
pub(super) fn is_the_last(case: &Case<'_>, step: &Step<'_>, host: &HostName) -> bool {
    let [node] = step.config.config.nodes.as_slice() else { return false };
    case.desired.dissolves && case.node(&node.name).is_some_and(|node| node.host == *host)
}
