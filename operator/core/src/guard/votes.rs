//! Guards on quorum: nobody that stays loses it, and no two parts can both have it.

use super::case::{Case, Step, Text};
use super::device::goes_with_the_dead;
use super::refusal::Refusal;
use crate::change::Course;
use crate::ids::NodeId;
use crate::quorum::{expected, is_quorate, majorities_meet};

/// A QDevice, `two_node` or `expected_votes` changes what a majority is. Counting the nodelist alone
/// would release a stage that makes the whole cluster read-only.
pub(super) fn arithmetic_is_known(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let Some(before) = &step.before else { continue };
        let known = is_plain(before) && is_plain(&step.config);
        let moves = before.votes() != step.config.votes();
        let redefined = !is_same_but_device(before, &step.config);
        let goes = matches!(step.stage.course, Course::Restart | Course::Outage);
        let goes = goes || !step.stops.is_empty();
        if redefined || (moves || goes) && !known && !goes_with_the_dead(case, step) {
            return Err(Refusal::ArithmeticUnknown { stage: step.number });
        }
    }
    Ok(())
}

/// From the write that lists a joiner until it is up, its votes count and are missing: a founder
/// with one of two votes is read-only, and with the watchdog armed it is reset (pmxcfs.md 4). So is the
/// other one of two while corosync restarts on one, and from a member's stop on those that it leaves behind. Those that run have to hold the majority under the text of the stage and under the one that undoes it.
pub(super) fn margin_is_kept(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for text in step.texts() {
            let votes = text.votes();
            let counted = votes.iter().filter(|(id, _)| runs(step, text, **id));
            let present = counted.map(|(_, votes)| u64::from(*votes)).sum();
            let expected = expected(&votes);
            // With options of its own the votes do not move: the members have the quorum they had. Those who have
            // lost it cannot lose it (see `recovery`).
            if is_plain(text) && !case.is_before_recovery(text) && !is_quorate(present, expected) {
                return Err(Refusal::NotQuorate { stage: step.number, present, expected });
            }
        }
    }
    Ok(())
}

/// Whether a node is up while the stage runs. A first node is up as soon as there is a cluster.
pub(super) fn runs(step: &Step<'_>, text: &Text, id: NodeId) -> bool {
    match step.before {
        Some(_) => step.staying().contains(&id),
        None => text.config.nodes.len() == 1,
    }
}

/// Whether two texts agree in what a majority is, whatever votes besides the nodes. A device comes and goes only
/// where nothing else is said.
fn is_same_but_device(before: &Text, after: &Text) -> bool {
    let [old, new] = [before, after].map(|text| {
        let mut quorum = text.config.quorum.clone();
        (quorum.device.take(), quorum)
    });
    let says_more = |text: &Text| {
        let section = text.document.top("quorum");
        section.is_none_or(|section| section.keys().any(|(key, _)| key != b"provider"))
    };
    old.1 == new.1 && (old.0 == new.0 || !says_more(before) && !says_more(after))
}

/// Whether the text's `quorum` section names the provider and nothing else.
fn is_plain(text: &Text) -> bool {
    let section = text.document.top("quorum");
    section.is_some_and(|section| {
        section.keys().all(|(key, _)| key == b"provider") && section.all_sections().next().is_none()
    })
}

/// While a text spreads, some hosts count by the old list and some by the new one. With two votes
/// moved at once both halves of a partition can be quorate at the same time: a split brain
/// (corosync.md 9.2).
pub(super) fn move_by_one(case: &Case<'_>) -> Result<(), Refusal> {
    let moves = |step: &&Step<'_>| step.writes() || step.stage.course == Course::Start;
    for step in case.steps.iter().filter(moves) {
        let Some(before) = &step.before else { continue };
        // What the dead could do with their votes is what a person was asked about.
        let of = |text: &Text| {
            let mut votes = text.votes();
            votes.retain(|id, _| !(case.recovers() && case.stopped.contains(id)));
            votes
        };
        let new = of(&step.config);
        let back = step.back.as_ref().map(of);
        let safe = majorities_meet(&of(before), &new)
            && back.is_none_or(|back| majorities_meet(&new, &back));
        if !safe {
            return Err(Refusal::VotesMoveTooFar { stage: step.number });
        }
    }
    Ok(())
}
