//! The keys of logging, which a reload takes (corosync.md 5.6): one stage.

use super::draft::Draft;
use super::ground::InForce;
use super::report::Obstacle;
use crate::change::{Plan, Proposed};
use crate::conf::{LoggingOptions, edit};
use crate::desired::DesiredCluster;
use crate::observed::ObservedCluster;

/// The wanted keys that the file does not have.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> LoggingOptions {
    desired.logging.beyond(ground.config.logging)
}

/// What a goal does, in words.
pub(super) fn summary(goal: LoggingOptions) -> String {
    format!("set logging: {goal}")
}

/// Plans the way to the wanted keys.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, LoggingOptions),
) -> Result<Plan<Proposed>, Obstacle> {
    let mut draft = Draft::new(desired, observed, ground)?;
    let links = draft.links().clone();
    draft.write(format!("Set logging: {goal}"), &links, |text| edit::set_logging(text, &goal))?;
    let members = super::hosts(ground.up().map(|(_, member)| member.node));
    Ok(draft.finish(format!("On {members}: set logging: {goal}")))
}
