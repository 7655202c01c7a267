//! Guards on high availability: a host whose LRM runs its watchdog is reset after a minute without
//! quorum (pve.md 7).

use std::collections::BTreeSet;

use super::case::{Case, Step};
use super::refusal::Refusal;
use crate::change::{Action, Risk, Stage};
use crate::ids::HostName;
use crate::observed::HostView;

/// What may stall the cluster while watchdogs run is a reset of every host that they run on, all at
/// once, with the guests on them (peers.md 1.3).
pub(super) fn nobody_is_reset(case: &Case<'_>) -> Result<(), Refusal> {
    // Who has lost quorum has lost it for the watchdog, too: it has bitten, or it does not run. What high
    // availability wrote down is of before, since /etc/pve takes no writes.
    if case.recovers() {
        return Ok(());
    }
    let exposed = |step: &&Step<'_>| step.stage.risk > Risk::Live && !is_disarmed(case, step);
    if !case.steps.iter().any(|step| exposed(&step)) {
        return Ok(());
    }
    match members(case).find(|(_, view)| view.ha.may_reset()) {
        Some((host, _)) => Err(Refusal::HaActive { host: host.clone() }),
        None => Ok(()),
    }
}

/// Somebody who had it disarmed by hand meanwhile does not expect a change to arm it behind his back.
/// A change that waited for approval may find that.
pub(super) fn disarming_is_needed(case: &Case<'_>) -> Result<(), Refusal> {
    let disarms = case.steps.iter().find(|step| step.stage.has_action(&Action::DisarmHa {}));
    match disarms {
        Some(step) if !members(case).any(|(_, view)| view.ha.may_reset()) => {
            Err(Refusal::DisarmNotNeeded { stage: step.number })
        }
        Some(_) | None => Ok(()),
    }
}

/// Every member disarms and arms, so that each knows how it ends; left disarmed, the next host that
/// fails would take its guests along and nobody would start them elsewhere.
pub(super) fn disarming_ends(case: &Case<'_>) -> Result<(), Refusal> {
    let everybody: BTreeSet<_> = members(case).map(|(host, _)| host).collect();
    for step in &case.steps {
        for action in [Action::DisarmHa {}, Action::ArmHa {}] {
            let acting: BTreeSet<_> = step
                .stage
                .actions
                .iter()
                .filter(|(_, all)| all.contains(&action))
                .map(|(host, _)| host)
                .collect();
            if !acting.is_empty() && acting != everybody {
                return Err(Refusal::DisarmHalf { stage: step.number });
            }
        }
    }
    match case.steps.last() {
        Some(last) if is_disarmed(case, last) => Err(Refusal::StaysDisarmed),
        Some(_) | None => Ok(()),
    }
}

fn is_disarmed(case: &Case<'_>, step: &Step<'_>) -> bool {
    let stages = case.steps.iter().take(step.number).map(|step| step.stage);
    Stage::disarmed_by(stages)
}

/// The hosts of the cluster in force.
fn members<'c>(case: &'c Case<'_>) -> impl Iterator<Item = (&'c HostName, &'c HostView)> {
    let listed = case.parent.iter().flat_map(|parent| &parent.config.nodes);
    listed.filter_map(|node| {
        let node = case.node(&node.name)?;
        Some((&node.host, case.view(node)?))
    })
}
