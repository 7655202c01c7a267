//! What all of corosync has to stop for: the order of address families in which host names are resolved.
//!
//! One after the other does not do: a host that resolves its peers to other addresses than they use is alone
//! until all do. So everybody stops, and each starts with the new text on its own disk. /etc/pve gets it at
//! the end: pmxcfs would have the daemons read it while they cannot follow (corosync.md 5.6).

use super::draft::Draft;
use super::ground::InForce;
use super::links;
use super::report::Obstacle;
use super::votes;
use crate::change::{Plan, Proposed};
use crate::conf::{IP_VERSION, IpVersion, TotemOptions, edit};
use crate::desired::DesiredCluster;
use crate::observed::ObservedCluster;

/// What is to be so, and whether the file says it already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    ip_version: IpVersion,
    written: bool,
}

impl Goal {
    /// The word that the file is to have; `None`: it has it.
    pub fn to_write(self) -> Option<IpVersion> {
        (!self.written).then_some(self.ip_version)
    }

    /// What it does, in words.
    pub fn summary(self) -> String {
        format!("stop corosync everywhere and start it with ip_version {}", self.ip_version)
    }
}

/// What the spec wants of these keys that is not so; `None`: nothing.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Option<Goal> {
    let ip_version = desired.totem.ip_version?;
    let written = ground.config.ip_version() == ip_version;
    let word = ip_version.to_string();
    // What a daemon was started with is known from its agent's first look on: before, the file's.
    let mut started = ground.up().filter_map(|(_, m)| m.view.started_with.get(IP_VERSION));
    let runs_other = started.any(|started| *started != word);
    (!written || runs_other).then_some(Goal { ip_version, written })
}

/// Plans the way there.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, Goal),
) -> Result<Plan<Proposed>, Obstacle> {
    // A device's daemon ends with corosync, and nobody starts it again.
    votes::refuse_options(ground)?;
    links::refuse_faults(ground, &ground.config.links())?;
    let mut draft = Draft::new(desired, observed, ground)?;
    let options = TotemOptions { ip_version: Some(goal.ip_version), ..TotemOptions::default() };
    let members = super::hosts(ground.members.values().map(|member| member.node));
    let summary = format!("Stop corosync on {members}, then start it with {options}");
    draft.outage(summary, |text| edit::set_totem(text, &options))?;
    Ok(draft.finish(format!("On {members}: {}", goal.summary())))
}
