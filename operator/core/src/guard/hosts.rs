//! Guards on hosts: the right machines take part, in the state that the plan starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::Course;
use crate::ids::{HostName, NodeId, NodeName};
use crate::observed::{Claim, FileView, HostView};

/// A stage that starts from a state which is not everybody's hits some hosts differently: a silent
/// or read-only one keeps an old text and returns as a stale node, one with a higher version on its
/// disk refuses every later file (pmxcfs.md 2).
pub(super) fn view_is_sound(case: &Case<'_>) -> Result<(), Refusal> {
    for node in case.nodes() {
        let listed = case.parent.as_ref().and_then(|parent| {
            parent
                .config
                .nodes
                .iter()
                .find(|listed| listed.name == node.name)
                .map(|listed| listed.id)
        });
        let takes_part = case.steps.iter().any(|step| step.stage.concerns(&node.host));
        let needed = listed.is_some() || takes_part || case.parent.is_none();
        let fault = match (case.view(node), listed, &case.parent) {
            (None, ..) => Some("is not known"),
            (Some(view), Some(id), _) if case.stopped.contains(&id) => stopped_fault(view),
            (Some(view), Some(id), _) if case.away.contains(&id) => away_fault(view),
            (Some(view), Some(id), Some(parent)) if case.members.contains(&id) => {
                member_fault(case, parent, (&node.host, view))
            }
            (Some(view), None, Some(_)) if case.goes(&node.host) => stopped_fault(view),
            (Some(view), ..) => stranger_fault(view, takes_part && case.parent.is_some())
                .or_else(|| fitness_fault(case, view)),
        };
        if let Some(why) = fault.filter(|_| needed) {
            return Err(Refusal::ViewNotSound { host: node.host.clone(), why });
        }
    }
    Ok(())
}

fn anybody_fault(view: &HostView) -> Option<&'static str> {
    let faults = [
        (!view.connected, "is not heard"),
        (view.witness, "is a witness"),
        (matches!(view.claim, Claim::Other(_)), "obeys another cluster"),
    ];
    faults.into_iter().find_map(|(fault, why)| fault.then_some(why))
}

/// One that leaves and has stopped, or is off the list. Of one that is dead nobody expects a word.
fn stopped_fault(view: &HostView) -> Option<&'static str> {
    if view.declared_dead().is_some() {
        return matches!(view.claim, Claim::Other(_)).then_some("obeys another cluster");
    }
    anybody_fault(view).or(view.paused.then_some("is paused"))
}

/// One that is away: that it is silent is why it is left out.
fn away_fault(view: &HostView) -> Option<&'static str> {
    let faults = [
        (view.witness, "is a witness"),
        (matches!(view.claim, Claim::Other(_)), "obeys another cluster"),
    ];
    faults.into_iter().find_map(|(fault, why)| fault.then_some(why))
}

fn member_fault(
    case: &Case<'_>,
    parent: &Text,
    (host, view): (&HostName, &HostView),
) -> Option<&'static str> {
    let other = |file: &Option<FileView>| {
        file.as_ref().is_none_or(|file| file.digest != parent.conf.digest)
    };
    let members = parent.config.nodes.iter().filter(|node| case.members.contains(&node.id));
    let members = members.filter_map(|node| case.view(case.node(&node.name)?));
    let rings: BTreeSet<_> = members.map(|member| &member.ring).collect();
    // Unless that is what the plan puts right, before anything else is done with this host.
    let disk = other(&view.disk_file) && case.refreshed(host) != Some(1);
    let runs = view.running_version != Some(parent.conf.version)
        && case.reloaded(host).is_none_or(|at| at > 2);
    let faults = [
        (view.paused, "is paused"),
        (other(&view.pmxcfs_file), "has another corosync.conf in /etc/pve"),
        (disk, "has another corosync.conf on its disk"),
        (runs, "runs another version"),
        (!view.quorate && !case.recovers(), "is not quorate"),
        (view.members != case.members, "does not see all members"),
        (view.ring.is_none() || rings.len() != 1, "is in another membership"),
        (!view.pmxcfs_writable && !case.recovers(), "cannot write /etc/pve"),
    ];
    anybody_fault(view).or(faults.into_iter().find_map(|(fault, why)| fault.then_some(why)))
}

/// A host without cluster. One that joins loses its own configuration database.
fn stranger_fault(view: &HostView, joins: bool) -> Option<&'static str> {
    let file = view.pmxcfs_file.is_some() || view.disk_file.is_some();
    let faults = [
        (file, "has a corosync.conf already"),
        (view.running_version.is_some(), "runs corosync already"),
        (joins && view.paused, "is paused"),
        (joins && !view.guests.is_empty(), "has guests"),
    ];
    anybody_fault(view).or(faults.into_iter().find_map(|(fault, why)| fault.then_some(why)))
}

/// A machine that would not work as a member: its vote would be listed, and missing.
fn fitness_fault(case: &Case<'_>, view: &HostView) -> Option<&'static str> {
    let own = &view.fitness;
    let members = || {
        let views = case.nodes().filter_map(|node| case.view(node));
        views.filter(|other| other.running_version.is_some()).map(|other| &other.fitness)
    };
    let faults = [
        (own.is_nameless(), "has a name that leads nowhere"),
        (members().any(|other| own.unlike(other).is_some()), "has another release than a member"),
        (members().any(|other| own.is_apart_from(other)), "has another time than a member"),
    ];
    faults.into_iter().find_map(|(fault, why)| fault.then_some(why))
}

/// corosync finds its own entry by the host name, Proxmox VE its directory below /etc/pve/nodes: a
/// node under another name does not start, or runs without its guests.
pub(super) fn names_are_host_names(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for name in step.texts().flat_map(|text| text.config.nodes.iter().map(|node| &node.name)) {
            let view = case.node(name).and_then(|node| case.view(node));
            if view.is_none_or(|view| view.hostname != name.as_str()) {
                return Err(Refusal::WrongName { stage: step.number, name: name.to_string() });
            }
        }
    }
    Ok(())
}

/// A stage counts as confirmed when its group says so. With a member missing from the group, its
/// silence would be taken for consent; with one node too many listed at once, the members lose
/// quorum on the spot (corosync.md 5.1: five listed, four lost).
pub(super) fn groups_are_the_members(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let (stage, listed) = (step.number, step.config.ids());
        let wrong = match step.stage.course {
            Course::Local => !step.stage.group.is_empty() || !step.stage.joining.is_empty(),
            Course::Write | Course::Outage | Course::Datacenter => {
                step.stage.group != mapping(case, step, &step.running)
                    || !step.stage.joining.is_empty()
            }
            Course::Start | Course::Restart => {
                let joining: BTreeSet<_> = step.stage.joining.keys().copied().collect();
                let member = joining.is_subset(&step.running);
                step.stage.group != mapping(case, step, &step.staying())
                    || joining.len() != 1
                    || member != (step.stage.course == Course::Restart)
                    || step.stage.joining != mapping(case, step, &joining)
            }
        };
        if wrong {
            return Err(Refusal::WrongGroup { stage });
        }
        let gone = step.running.difference(&listed).next();
        // The dead are not what somebody lists too early.
        let dead = if case.recovers() { &case.stopped } else { &BTreeSet::new() };
        let expected = |id: &&NodeId| !case.away.contains(id) && !dead.contains(id);
        let early = listed.difference(&step.running).filter(expected).nth(1);
        if let Some(node) = gone.or(early.filter(|_| case.parent.is_some())) {
            return Err(Refusal::MembersMove { stage, node: *node });
        }
    }
    nobody_is_left_out(case)
}

/// A node that is listed and never started, or stopped and not taken off the list, takes a vote from the
/// margin for good.
fn nobody_is_left_out(case: &Case<'_>) -> Result<(), Refusal> {
    let Some(last) = case.steps.last().filter(|_| case.parent.is_some()) else {
        return Ok(());
    };
    let mut listed = last.config.ids();
    let joining = case.joining();
    let runs = |id: &NodeId| last.running.contains(id) && !last.stops.contains(id);
    listed.retain(|id| !runs(id) && !joining.contains_key(id) && !case.away.contains(id));
    let stage = last.number;
    listed.first().map_or(Ok(()), |node| Err(Refusal::MembersMove { stage, node: *node }))
}

/// The hosts of these nodes by the names in the stage's text.
fn mapping(case: &Case<'_>, step: &Step<'_>, ids: &BTreeSet<NodeId>) -> BTreeMap<NodeId, HostName> {
    let nodes = step.config.config.nodes.iter().filter(|node| ids.contains(&node.id));
    nodes.filter_map(|node| Some((node.id, case.node(&node.name)?.host.clone()))).collect()
}

/// With an address that is on no card corosync runs alone and says nothing (corosync.md 9.1).
pub(super) fn addresses_are_on_hosts(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (name, address) in new_addresses(case, step) {
            let Ok(ip) = address.parse::<IpAddr>() else { continue };
            let Some((node, view)) = case.node(name).and_then(|n| Some((n, case.view(n)?))) else {
                continue;
            };
            // What one that is away will have is on no card, and a person has to say so.
            let is_stated = case.is_away(node) && node.addresses.values().any(|a| a == address);
            if !is_stated && !view.addresses.iter().any(|net| net.addr() == ip) {
                let (stage, host, address) = (step.number, node.host.clone(), address.clone());
                return Err(Refusal::AddressNotOnHost { stage, host, address });
            }
        }
    }
    Ok(())
}

/// Two nodes with one address: corosync takes it and one of them is isolated (corosync.md 9.1).
pub(super) fn addresses_are_unique(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (name, address) in new_addresses(case, step) {
            let others = step.config.config.nodes.iter().filter(|node| node.name != *name);
            if others.flat_map(|node| node.addresses.values()).any(|other| is_same(other, address))
            {
                return Err(Refusal::AddressTwice { stage: step.number, address: address.clone() });
            }
        }
    }
    Ok(())
}

fn is_same(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => one.eq_ignore_ascii_case(other),
    }
}

/// The addresses that a stage's text has and the parent has not.
fn new_addresses<'s>(
    case: &'s Case<'_>,
    step: &'s Step<'_>,
) -> impl Iterator<Item = (&'s NodeName, &'s String)> {
    let parent = case.parent.as_ref();
    step.config.config.nodes.iter().flat_map(move |node| {
        let old = parent.and_then(|parent| parent.config.node(node.id)).map(|old| &old.addresses);
        let fresh = node.addresses.iter().filter(move |(link, address)| {
            old.and_then(|old| old.get(link)).is_none_or(|old| old != *address)
        });
        fresh.map(|(_, address)| (&node.name, address))
    })
}
