//! The lines of datacenter.cfg that a person changed. The file is in /etc/pve alone: no disk, no daemon.

use std::collections::BTreeSet;

use super::HostDrift;
use crate::datacenter::{Traffic, TransferWish};
use crate::desired::DesiredCluster;
use crate::observed::{HostView, ObservedCluster};

/// What the keys of these rows begin with.
pub(super) const PREFIX: &str = "datacenter.";

/// Whether the last change that wrote these lines left each as it is wanted, so that a plan would only put back.
#[must_use]
pub fn is_only_edited(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    lines: &BTreeSet<Traffic>,
) -> bool {
    let wish = |traffic| desired.datacenter.get(traffic);
    lines.iter().all(|traffic| wish(traffic).is_some_and(|wish| was_so(observed, *traffic, *wish)))
}

/// A spec that has moved on since is an ordinary change.
fn was_so(observed: &ObservedCluster, traffic: Traffic, wish: TransferWish) -> bool {
    observed.left_datacenter.get(&traffic).is_some_and(|left| wish.is_met_by(*left))
}

/// What a host has in place of what the spec wants and had, each with that.
pub(super) fn of_view<'a>(
    desired: &'a DesiredCluster,
    observed: &'a ObservedCluster,
    view: &'a HostView,
) -> impl Iterator<Item = (HostDrift, String)> + 'a {
    let file = view.datacenter.as_ref();
    desired.datacenter.iter().filter_map(move |(traffic, wish)| {
        let found = file?.line(*traffic);
        let edited =
            was_so(observed, *traffic, *wish) && !found.is_ok_and(|line| wish.is_met_by(line));
        let pmxcfs = match found {
            Ok(line) => line.map(|line| line.to_string()),
            Err(why) => Some(format!("a line that counts for nothing ({why})")),
        };
        let wanted = wish.line(found.unwrap_or_default());
        let wanted = wanted.map_or_else(|| "nothing".to_owned(), |line| line.to_string());
        let key = format!("{PREFIX}{}", traffic.key());
        edited.then_some((HostDrift { key, pmxcfs, disk: None, running: None }, wanted))
    })
}
