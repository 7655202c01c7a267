//! Guards on the QDevice: its votes never count on a text that not everybody runs, and the nodes never need them
//! while it comes or goes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use super::votes::runs;
use crate::change::Action;
use crate::conf::QuorumDevice;
use crate::device::{AlgorithmWish, DeviceWish, SecretView, Voter, WantedDevice};
use crate::ids::{ClusterName, HostName};
use crate::quorum::{expected, is_quorate, parts_meet};

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
    device.algorithm.as_deref() == Some(algorithm)
        && host.is_some_and(|host| is_at(case, wish, host))
}

/// Whether the wanted device is reached there.
fn is_at(case: &Case<'_>, wish: &WantedDevice, host: IpAddr) -> bool {
    match &wish.voter {
        Voter::Managed { witness: _, address } => {
            let witness = case.observed.witness.as_ref();
            let has = witness.is_some_and(|witness| witness.addresses.contains(&host));
            has && address.is_none_or(|stated| stated == host)
        }
        Voter::External { address, secret: _ } => *address == host,
    }
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
                    Action::ImportCertificate { .. } => {
                        holding.insert(host.clone());
                        is_given_rightly(case, action)
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

/// Whoever reads the key that a whole cluster has at its `QNetd` can speak for it there.
pub(super) fn given_keys_go_to_their_owners(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let is_strangers = |(host, recipient): (&HostName, &String)| {
            let view = case.observed.hosts.get(host);
            view.is_none_or(|view| view.sealing_key.as_ref() != Some(recipient))
        };
        let mut imports = step.stage.imports().map(|(host, recipient, _)| (host, recipient));
        if let Some((to, _)) = imports.find(|import| is_strangers(*import)) {
            return Err(Refusal::WrongRecipient { stage: step.number, to: to.clone() });
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
    own && view.holder(cluster).is_none() && is_for_the_wanted(case, cluster, *witness)
}

/// What is sealed is the Secret's, so the plan has to be made for what that holds now.
fn is_given_rightly(case: &Case<'_>, action: &Action) -> bool {
    let Action::ImportCertificate { cluster, authority, witness, .. } = action else {
        return false;
    };
    let is_held = match &case.observed.secret {
        Some(SecretView::Usable(held)) => held.certificate == *authority,
        Some(SecretView::Unusable(_)) | None => false,
    };
    is_held && is_for_the_wanted(case, cluster, *witness)
}

fn is_for_the_wanted(case: &Case<'_>, cluster: &ClusterName, at: IpAddr) -> bool {
    *cluster == case.desired.name && wish(case).is_some_and(|wish| is_at(case, wish, at))
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
    let running = u64::try_from(step.staying().len()).unwrap_or(u64::MAX);
    let [old, new] = [before, &step.config].map(|text| expected(&text.votes()));
    let meets = |device: &QuorumDevice| parts_meet((old, device.votes_of(old)), new, running);
    casts
        && device.is_some_and(meets)
        && step.config.config.quorum.device.is_none()
        && !step.dropped().is_empty()
}

fn wish<'a>(case: &Case<'a>) -> Option<&'a WantedDevice> {
    match &case.desired.device {
        Some(DeviceWish::Present(device)) => Some(device),
        Some(DeviceWish::Absent) | None => None,
    }
}

/// Whether the stage makes another device of the one before, or would when it is undone.
fn changes_device(step: &Step<'_>) -> bool {
    let of = |text: &Text| text.config.quorum.device.clone();
    let before = step.before.as_ref().and_then(of);
    step.texts().any(|text| of(text) != before)
}

/// The dead cast nothing, whatever was last heard of them: that nobody sees them is a guard of its own.
fn casting_before(case: &Case<'_>) -> BTreeSet<HostName> {
    let views = case.observed.hosts.iter();
    let casts = views.filter(|(_, view)| {
        let runs = view.running_version.is_some() && view.declared_dead().is_none();
        runs && (view.device.enabled || view.device.alive)
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
