//! Guards on the QDevice: its votes never count on a text that not everybody runs, and the nodes never need them
//! while it comes or goes.

use std::collections::BTreeSet;

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use super::votes::runs;
use crate::change::Action;
use crate::conf::QuorumDevice;
use crate::device::{AlgorithmWish, DeviceWish, ManagedDevice};
use crate::ids::HostName;
use crate::quorum::{expected, is_quorate, needed};

/// While a text spreads, one part counts by the old one and one by the new one. Where a daemon casts meanwhile, one
/// node with the votes of an `lms` device and the other nodes without it are both quorate: a split brain. The one
/// vote that goes together with a dead node is none that two parts could both have.
pub(super) fn nobody_casts_meanwhile(case: &Case<'_>) -> Result<(), Refusal> {
    let mut casting = casting_before(case);
    for step in &case.steps {
        let counts = changes_device(step) && !goes_with_the_dead(case, step);
        if let Some(host) = counts.then(|| casting.first()).flatten() {
            return Err(Refusal::DeviceCasts { stage: step.number, host: host.clone() });
        }
        casting.retain(|host| !does(step, host, &Action::StopDevice {}));
        casting.extend(starting(step).cloned());
    }
    Ok(())
}

/// With the device's votes expected and not cast, as from its text until its daemons run, or when they stop first,
/// the nodes that run have to be quorate alone: else the whole cluster is read-only.
pub(super) fn nodes_have_quorum_alone(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let stops = step.stage.has_action(&Action::StopDevice {});
        for text in step.texts().filter(|_| stops || changes_device(step)) {
            let Some(device) = &text.config.quorum.device else { continue };
            let votes = text.votes();
            let counted = votes.iter().filter(|(id, _)| runs(step, text, **id));
            let present: u64 = counted.map(|(_, votes)| u64::from(*votes)).sum();
            let of_nodes = expected(&votes);
            let of_device = device.votes_of(of_nodes);
            let expected = of_nodes + of_device;
            // What undoes it has the vote that nobody had stopped casting.
            let is_cast = goes_with_the_dead(case, step);
            let present = present + if is_cast { of_device } else { 0 };
            if !is_quorate(present, expected) {
                return Err(Refusal::NotQuorate { stage: step.number, present, expected });
            }
        }
    }
    Ok(())
}

/// corosync takes a device whose daemons all end at their start, and expects its votes all the same
/// (corosync.md 8.2): the next failure of a node takes quorum from everybody.
pub(super) fn daemons_start(case: &Case<'_>) -> Result<(), Refusal> {
    for step in case.steps.iter().filter(|step| changes_device(step)) {
        let Some(device) = &step.config.config.quorum.device else { continue };
        let one_each = step.config.config.nodes.iter().all(|node| node.votes() == 1);
        let is_even = step.config.config.nodes.len().is_multiple_of(2);
        let fits = match device.algorithm.as_deref() {
            Some("ffsplit") => device.votes == Some(1) && is_even,
            Some("lms") => device.votes.is_none(),
            Some(_) | None => false,
        };
        if !(fits && one_each && device.model == "net" && device.tls.as_deref() == Some("on")) {
            return Err(Refusal::DeviceWrong { stage: step.number });
        }
    }
    Ok(())
}

/// Another machine that votes, or another algorithm, decides who survives the next split.
pub(super) fn devices_are_asked_for(case: &Case<'_>) -> Result<(), Refusal> {
    for step in case.steps.iter().filter(|step| changes_device(step)) {
        let Some(device) = &step.config.config.quorum.device else { continue };
        if !is_wanted(case, device) {
            return Err(Refusal::DeviceUnwanted { stage: step.number });
        }
    }
    Ok(())
}

fn is_wanted(case: &Case<'_>, device: &QuorumDevice) -> bool {
    let Some(wish) = wish(case) else { return false };
    let algorithm = match wish.algorithm {
        AlgorithmWish::Auto | AlgorithmWish::FfSplit => "ffsplit",
        AlgorithmWish::Lms => "lms",
    };
    let host = device.host.as_ref().and_then(|host| host.parse().ok());
    let is_there = host.is_some_and(|host| {
        case.observed.witness.as_ref().is_some_and(|witness| witness.addresses.contains(&host))
            && wish.address.is_none_or(|stated| stated == host)
    });
    device.algorithm.as_deref() == Some(algorithm) && is_there
}

/// A certificate of another witness lets nobody in, and one for another cluster's name lets this one into that.
pub(super) fn certificates_are_of_the_witness(case: &Case<'_>) -> Result<(), Refusal> {
    let mut asked: BTreeSet<HostName> = BTreeSet::new();
    let mut holding = holding_before(case);
    for step in &case.steps {
        let refuse = |host: &HostName| Refusal::CertificateForeign {
            stage: step.number,
            host: host.clone(),
        };
        for (host, actions) in &step.stage.actions {
            for action in actions {
                let fits = match action {
                    Action::RequestCertificate { .. } => {
                        asked.insert(host.clone());
                        is_asked_rightly(case, action)
                    }
                    Action::TakeCertificate {} => {
                        holding.insert(host.clone());
                        asked.remove(host)
                    }
                    Action::StartDevice {} => holding.contains(host),
                    _other => true,
                };
                if !fits {
                    return Err(refuse(host));
                }
            }
        }
    }
    Ok(())
}

fn is_asked_rightly(case: &Case<'_>, action: &Action) -> bool {
    let Action::RequestCertificate { cluster, authority, witness, .. } = action else {
        return false;
    };
    let Some(view) = &case.observed.witness else { return false };
    let own = view.authority.as_ref().is_some_and(|own| own.certificate == *authority);
    let is_free = !view.names.contains_key(cluster);
    wish(case).is_some()
        && *cluster == case.desired.name
        && own
        && is_free
        && view.addresses.contains(witness)
}

/// Whether the stage takes the device and one of the dead off together, while its votes are cast on every node that
/// runs, and each part that is quorate with them shares a node with each part that is quorate without both.
pub(super) fn goes_with_the_dead(case: &Case<'_>, step: &Step<'_>) -> bool {
    let Some(before) = &step.before else { return false };
    let device = before.config.quorum.device.as_ref();
    let casts = step.staying().iter().all(|id| {
        let node = before.config.node(*id).and_then(|node| case.node(&node.name));
        node.and_then(|node| case.view(node)).is_some_and(|view| view.device.casts)
    });
    // A node that is not known to be off is among them, and then the parts do not meet.
    let running = step.staying().len();
    casts
        && device.is_some_and(|device| parts_meet((before, device), &step.config, running))
        && step.config.config.quorum.device.is_none()
        && !step.dropped().is_empty()
}

/// Whether the fewest nodes that are quorate with the device under the one text, and the fewest that are under the
/// other, are more than run. Every node has one vote.
fn parts_meet((before, device): (&Text, &QuorumDevice), after: &Text, running: usize) -> bool {
    let [old, new] = [before, after].map(|text| expected(&text.votes()));
    let of_device = device.votes_of(old);
    let with_device = needed(old + of_device).saturating_sub(of_device);
    with_device + needed(new) > u64::try_from(running).unwrap_or(u64::MAX)
}

fn wish<'a>(case: &Case<'a>) -> Option<&'a ManagedDevice> {
    match &case.desired.device {
        Some(DeviceWish::Managed(device)) => Some(device),
        Some(DeviceWish::Absent) | None => None,
    }
}

/// Whether the stage makes another device of the one before, or would when it is undone.
fn changes_device(step: &Step<'_>) -> bool {
    let of = |text: &Text| text.config.quorum.device.clone();
    let before = step.before.as_ref().and_then(of);
    step.texts().any(|text| of(text) != before)
}

fn casting_before(case: &Case<'_>) -> BTreeSet<HostName> {
    let views = case.observed.hosts.iter();
    let casts = views.filter(|(_, view)| {
        view.running_version.is_some() && (view.device.enabled || view.device.alive)
    });
    casts.map(|(host, _)| host.clone()).collect()
}

fn holding_before(case: &Case<'_>) -> BTreeSet<HostName> {
    let views = case.observed.hosts.iter();
    let holds = views.filter(|(_, view)| {
        let issued = view.device.laid.as_ref().is_some_and(|laid| laid.request.is_none());
        view.device.certificate.is_some() || issued
    });
    holds.map(|(host, _)| host.clone()).collect()
}

fn does(step: &Step<'_>, host: &HostName, action: &Action) -> bool {
    step.stage.actions.get(host).is_some_and(|actions| actions.contains(action))
}

fn starting<'s>(step: &Step<'s>) -> impl Iterator<Item = &'s HostName> {
    let actions = step.stage.actions.iter();
    let starts = actions.filter(|(_, actions)| actions.contains(&Action::StartDevice {}));
    starts.map(|(host, _)| host)
}
