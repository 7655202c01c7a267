//! Guards on votes that are taken from those who are not there. Everything else keeps quorum; this makes some.

use std::collections::BTreeSet;

use super::case::{Case, Step, Text};
use super::keys;
use super::refusal::Refusal;
use crate::change::{Action, Course};
use crate::ids::HostName;
use crate::quorum::{Votes, expected, is_quorate};

/// Where those who are left are quorate, or would be as soon as they found each other, nobody has to be taken a
/// vote from: it would only let two parts hold a majority.
pub(super) fn is_needed(case: &Case<'_>) -> Result<(), Refusal> {
    let Some(parent) = case.parent.as_ref().filter(|_| case.recovers()) else { return Ok(()) };
    let members = keys::members(case);
    let quorate = members.iter().find(|(_, view)| view.quorate);
    let enough = is_quorate(expected(&of_members(case, parent)), expected(&parent.votes()));
    match quorate.or(members.iter().next().filter(|_| enough)) {
        Some((host, _)) => Err(Refusal::RecoveryNotNeeded { host: (*host).clone() }),
        None => Ok(()),
    }
}

/// A node that nobody declared dead may run where nobody here sees it, with as many votes as the rest: two
/// clusters with the same guests. With one of the dead on the list, the reload that takes the others off it sets
/// the expected votes back and quorum is lost again (corosync.md 9.2).
pub(super) fn votes_are_taken_from_the_dead_alone(case: &Case<'_>) -> Result<(), Refusal> {
    if !case.recovers() {
        return Ok(());
    }
    for step in &case.steps {
        let fits = match (step.number, &case.parent) {
            (1, Some(parent)) => lowers_rightly(case, step, parent),
            (2, Some(parent)) => drops_rightly(case, step, parent),
            _more => false,
        };
        if !fits {
            return Err(Refusal::RecoveryNotWhole { stage: step.number });
        }
    }
    Ok(())
}

/// Every member, and nobody else, takes the votes of exactly those who are not there. That these are dead by a
/// person's word their tombstones show (`removal`).
fn lowers_rightly(case: &Case<'_>, step: &Step<'_>, parent: &Text) -> bool {
    let wanted = u32::try_from(expected(&of_members(case, parent)))
        .ok()
        .map(|votes| vec![Action::SetExpectedVotes { votes, dead: case.stopped.clone() }]);
    let acting: BTreeSet<&HostName> = step.stage.actions.keys().collect();
    step.stage.course == Course::Local
        && acting == keys::members(case).into_keys().collect()
        && step.stage.actions.values().all(|own| Some(own) == wanted.as_ref())
}

/// The same ones leave the list, all at once, and the others keep what they have.
fn drops_rightly(case: &Case<'_>, step: &Step<'_>, parent: &Text) -> bool {
    step.stage.course == Course::Write
        && step.lowers().next().is_none()
        && step.config.votes() == of_members(case, parent)
}

fn of_members(case: &Case<'_>, parent: &Text) -> Votes {
    let mut votes = parent.votes();
    votes.retain(|id, _| case.members.contains(id));
    votes
}
