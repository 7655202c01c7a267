//! Keys that corosync takes when it starts and at no reload: the link mode.
//!
//! The text first, which no daemon follows yet (corosync.md 5.3), then corosync is started anew host by
//! host: each time the others hold the majority, with votes lent where they would be left with half
//! (pmxcfs.md 4). What a daemon was started with is what counts, not what its cmap shows.

use super::device;
use super::draft::Draft;
use super::ground::InForce;
use super::report::Obstacle;
use super::votes;
use crate::change::{MOST_RESTARTS, Plan, Proposed};
use crate::conf::{Document, LINK_MODE, LinkMode, TotemOptions, edit};
use crate::desired::DesiredCluster;
use crate::ids::NodeId;
use crate::observed::ObservedCluster;

/// The wanted link mode, whether the file has it, and the members that run with another one.
#[derive(Debug)]
pub(super) struct Goal {
    mode: LinkMode,
    written: bool,
    restart: Vec<NodeId>,
}

impl Goal {
    /// The mode that the file is to have; `None`: it has it.
    pub fn to_write(&self) -> Option<LinkMode> {
        (!self.written).then_some(self.mode)
    }

    /// What it does, in words.
    pub fn summary(&self) -> String {
        match (self.written, self.restart.is_empty()) {
            (false, true) => format!("set link_mode {}", self.mode),
            (false, false) => format!("set link_mode {} and restart corosync", self.mode),
            (true, _) => format!("restart corosync for link_mode {}", self.mode),
        }
    }
}

/// What the spec wants of these keys that is not so; `None`: nothing. A node that is alone takes them
/// at its next start: nobody would keep quorum meanwhile, and it has nobody to send anything to.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Option<Goal> {
    let mode = desired.totem.link_mode?;
    let in_file = ground.config.link_mode();
    let runs_other = |started: Option<&String>| {
        // What a daemon was started with is known from its agent's first look on: before, the file's.
        started.map_or(in_file != mode, |started| *started != mode.to_string())
    };
    let others = ground.up().filter(|(_, m)| runs_other(m.view.started_with.get(LINK_MODE)));
    let alone = ground.members.len() == 1;
    let restart: Vec<_> = others.map(|(id, _)| *id).filter(|_| !alone).collect();
    let written = in_file == mode;
    (!written || !restart.is_empty()).then_some(Goal { mode, written, restart })
}

/// Plans the way there.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, &Goal),
) -> Result<Plan<Proposed>, Obstacle> {
    if !goal.restart.is_empty() {
        votes::refuse_options(desired, ground)?;
    }
    let mut draft = Draft::new(desired, observed, ground)?;
    if !goal.restart.is_empty() {
        device::out_of_the_way(&mut draft, observed)?;
    }
    let origin = draft.document().clone();
    if !goal.written {
        let options = TotemOptions { link_mode: Some(goal.mode), ..TotemOptions::default() };
        let links = draft.links().clone();
        draft.write(format!("Set {options}"), &links, |text| edit::set_totem(text, &options))?;
    }
    for id in goal.restart.iter().take(MOST_RESTARTS) {
        restart(&mut draft, *id, &origin)?;
    }
    device::back(&mut draft, desired, observed)?;
    let members = super::hosts(ground.members.values().map(|member| member.node));
    Ok(draft.finish(format!("On {members}: {}", goal.summary())))
}

/// A restart with the votes that the others need meanwhile.
fn restart(draft: &mut Draft<'_>, id: NodeId, origin: &Document) -> Result<(), Obstacle> {
    let lent = votes::lend_without(draft, id)?;
    draft.restart(id, origin)?;
    votes::take_back(draft, lent)
}
