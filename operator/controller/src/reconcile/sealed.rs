//! Secrets on their way from host to host: copied, never read. Pure.
//!
//! A sender publishes what only one receiver can decrypt; the copy in the change is where the
//! receiver may read it. Both copies go once the receiver has confirmed.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvecm_core::ids::HostName;
use pvecm_crds::change::SealedFor;
use pvecm_crds::{PveChange, PveHost};

use super::drive::OpenChange;

/// The secrets that the change should hold, if it holds others.
pub fn due(
    change: &OpenChange,
    object: &PveChange,
    hosts: &BTreeMap<HostName, Arc<PveHost>>,
) -> Option<Vec<SealedFor>> {
    let held = object.status.as_ref().map(|status| status.sealed.as_slice()).unwrap_or_default();
    let wanted = wanted(change, hosts);
    (wanted != held).then_some(wanted)
}

fn wanted(change: &OpenChange, hosts: &BTreeMap<HostName, Arc<PveHost>>) -> Vec<SealedFor> {
    let number = i64::try_from(change.number.0).unwrap_or(i64::MAX);
    let statuses = hosts.values().filter_map(|host| host.status.as_ref());
    let offered =
        statuses.flat_map(|status| &status.sealed).filter(|sealed| sealed.change == number);
    let open = offered.filter(|sealed| !received(change, &sealed.to, hosts));
    let copies: BTreeMap<_, _> = open.map(|sealed| (&sealed.to, &sealed.data)).collect();
    let copy =
        |(host, data): (&String, &String)| SealedFor { host: host.clone(), data: data.clone() };
    copies.into_iter().map(copy).collect()
}

/// Whether a receiver has confirmed the stage in which it takes its secret.
fn received(change: &OpenChange, to: &str, hosts: &BTreeMap<HostName, Arc<PveHost>>) -> bool {
    let Ok(name) = to.parse::<HostName>() else { return true };
    let stage = change.stages.iter().position(|stage| stage.receives_secret(&name));
    let Some(stage) = stage.and_then(|index| i32::try_from(index + 1).ok()) else { return true };
    let status = hosts.get(&name).and_then(|host| host.status.as_ref());
    let Some(applied) = status.and_then(|status| status.applied.as_ref()) else { return false };
    let same = u64::try_from(applied.change) == Ok(change.number.0);
    let confirmed = applied.result == pvecm_crds::change::StageResult::Confirmed;
    same && (applied.stage > stage || applied.stage == stage && confirmed)
}
