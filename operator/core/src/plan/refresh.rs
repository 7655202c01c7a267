//! Members whose disk or daemon differs from what /etc/pve has: put back, host by host.
//!
//! /etc/pve is what a cluster has in common, so its text is the one that stays; no byte of it is
//! written. First every disk is put right, then the daemons read them: a reload makes all members read
//! their own disks, also one that is still wrong (corosync.md 4, pmxcfs.md 2).

use std::collections::BTreeMap;

use super::draft::Draft;
use super::ground::{InForce, Stray};
use super::report::Obstacle;
use crate::change::{Action, Plan, Proposed};
use crate::desired::DesiredCluster;
use crate::ids::HostName;
use crate::observed::ObservedCluster;

/// Plans how the strays are put right.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Result<Plan<Proposed>, Obstacle> {
    let mut draft = Draft::new(desired, observed, ground)?;
    let version = ground.conf.version;
    let disks = named(ground, |stray| stray.disk);
    if !disks.is_empty() {
        let summary = format!("Put version {version} back on the disk of {}", list(&disks));
        draft.local(summary, actions(&disks, &Action::RefreshStaleConfig {}));
    }
    let daemons = named(ground, |stray| stray.daemon);
    if !daemons.is_empty() {
        let summary = format!("Have corosync on {} read its file again", list(&daemons));
        draft.local(summary, actions(&daemons, &Action::Reload {}));
    }
    let hosts: Vec<&HostName> = ground.strays.keys().collect();
    Ok(draft.finish(format!("Put back what was changed beside /etc/pve on {}", list(&hosts))))
}

fn named<'g>(ground: &'g InForce<'_>, is: impl Fn(&Stray) -> bool) -> Vec<&'g HostName> {
    ground.strays.iter().filter(|(_, stray)| is(stray)).map(|(host, _)| host).collect()
}

fn actions(hosts: &[&HostName], action: &Action) -> BTreeMap<HostName, Vec<Action>> {
    hosts.iter().map(|host| ((*host).clone(), vec![action.clone()])).collect()
}

fn list(hosts: &[&HostName]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
