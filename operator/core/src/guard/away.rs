//! Guards on members that a person declared away.

use std::collections::BTreeSet;

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::{Action, Course};
use crate::conf::Node;
use crate::ids::NodeId;
use crate::observed::HostView;

/// The nodes that a plan may leave out: away by a person's word, silent, and heard by no daemon that runs. A
/// person can be wrong about a machine, and one that is left out while it runs gets a file whose links it was
/// never asked about: it is cut off by it, and its vote with it.
pub(super) fn left_out(case: &Case<'_>) -> BTreeSet<NodeId> {
    let Some(parent) = &case.parent else { return BTreeSet::new() };
    let is_silent =
        |view: &HostView| view.declared_away().is_some() && !view.connected && !view.is_empty();
    let away = parent.config.nodes.iter().filter(|listed| {
        let node = case.desired.nodes.iter().find(|node| node.name == listed.name);
        node.and_then(|node| case.view(node)).is_some_and(is_silent)
    });
    away.filter(|listed| !is_heard(case, parent, listed)).map(|listed| listed.id).collect()
}

fn is_heard(case: &Case<'_>, parent: &Text, away: &Node) -> bool {
    let links = parent.config.links();
    let others = parent.config.nodes.iter().filter(|node| node.id != away.id);
    let views = others.filter_map(|node| case.view(case.node(&node.name)?));
    // Who is silent itself hears what it heard last.
    let mut running = views.filter(|view| view.connected && view.running_version.is_some());
    // That it is in no membership either, the views of all who are there have to show anyway.
    running.any(|view| links.iter().any(|link| !view.link_faults.contains(&(*link, away.id))))
}

/// With a vote missing, another one that moves or stops leaves the rest without margin; and whoever comes back
/// to a cluster with another key or transport hears nobody, so that no file reaches it either.
pub(super) fn nobody_away_is_needed(case: &Case<'_>) -> Result<(), Refusal> {
    let missed = case.nodes().find(|node| case.is_away(node));
    let Some(missed) = missed else { return Ok(()) };
    match case.steps.iter().find(|step| !goes_without(step)) {
        Some(step) => Err(Refusal::AwayIsNeeded { stage: step.number, host: missed.host.clone() }),
        None => Ok(()),
    }
}

/// Whether a stage is one that nobody has to be there for.
fn goes_without(step: &Step<'_>) -> bool {
    let mut actions = step.stage.actions.values().flatten();
    match step.stage.course {
        Course::Local => actions
            .all(|action| matches!(action, Action::RefreshStaleConfig {} | Action::Reload {})),
        Course::Write => {
            let kept = step.before.as_ref().is_some_and(|before| keeps(before, &step.config));
            kept && actions.next().is_none()
        }
        // It reads the file when it is back.
        Course::Datacenter => true,
        Course::Start | Course::Restart | Course::Outage => false,
    }
}

/// Whether a text has the members, the votes and the encryption of the one before. What only a start reads takes
/// restarts, which are not without everybody.
fn keeps(before: &Text, after: &Text) -> bool {
    before.votes() == after.votes() && before.config.crypto() == after.config.crypto()
}
