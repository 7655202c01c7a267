//! Guards on datacenter.cfg: over which network, and how, guests travel between nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::case::{Case, Step};
use super::refusal::Refusal;
use crate::change::{Action, Course};
use crate::datacenter::{DatacenterWrite, Traffic, Transfer};
use crate::ids::HostName;
use crate::observed::HostView;

/// The hosts derive the new file each for itself. One that derives another, or none, never sees what the others
/// wrote, or confirms what it does not know; and what undoes the stage are the bytes from before, so that a text
/// to go back to would be one of corosync.conf that nobody needs.
pub(super) fn all_write_the_same(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let writes: Vec<_> = writes(step).collect();
        let fits = match step.stage.course {
            Course::Datacenter => {
                let own = |host: &HostName| step.stage.actions.get(host).map(Vec::as_slice);
                let same = |host| match (own(host), writes.first()) {
                    (Some([Action::WriteDatacenterConfig(own)]), Some(first)) => own == *first,
                    (_, _) => false,
                };
                let members = step.stage.group.values();
                step.stage.back.is_none()
                    && members.clone().all(same)
                    && step.stage.actions.len() == members.len()
                    && writes.first().is_some_and(|write| !write.lines.is_empty())
            }
            Course::Local | Course::Write | Course::Start | Course::Restart | Course::Outage => {
                writes.is_empty()
            }
        };
        if !fits {
            return Err(Refusal::DatacenterHalf { stage: step.number });
        }
    }
    Ok(())
}

/// A person edits this file in the web interface at any time. A change that was made for the file before would
/// take that away, unseen. Nobody can know the file after a first such stage, so there is one in a plan.
pub(super) fn the_file_is_the_parent(case: &Case<'_>) -> Result<(), Refusal> {
    let mut steps = case.steps.iter().filter_map(|step| Some((step, writes(step).next()?)));
    let Some((step, write)) = steps.next() else { return Ok(()) };
    if let Some((again, _)) = steps.next() {
        return Err(Refusal::DatacenterHalf { stage: again.number });
    }
    let is_other =
        |view: &HostView| view.datacenter.as_ref().is_none_or(|file| file.digest != write.parent);
    let mut members = step.stage.group.values();
    match members.find(|host| case.observed.hosts.get(*host).is_none_or(is_other)) {
        Some(host) => Err(Refusal::DatacenterReplaced { stage: step.number, host: host.clone() }),
        None => Ok(()),
    }
}

/// What nobody asked for would send the memory of guests over another network, or in the clear.
pub(super) fn lines_are_wanted(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (traffic, line) in lines(step) {
            let found = |host| case.observed.hosts.get(host)?.datacenter.as_ref();
            let now = step.stage.group.values().find_map(found);
            let now = now.and_then(|file| file.line(traffic).ok()).flatten();
            let wish = case.desired.datacenter.get(&traffic);
            if wish.is_none_or(|wish| wish.line(now) != line) {
                return Err(Refusal::DatacenterUnwanted { stage: step.number, key: traffic.key() });
            }
        }
    }
    Ok(())
}

/// Proxmox VE asks a node for its one address in the network. With none or several no guest can be moved to or
/// from it any more, and with one that another node has as well it would be sent to the wrong machine: whoever
/// empties a host that fails finds that out (pve.md 6.3).
pub(super) fn members_have_one_address(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (traffic, line) in lines(step) {
            let Some(network) = line.and_then(|line| line.network) else { continue };
            let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
            for node in &step.config.config.nodes {
                let Some(known) = case.node(&node.name) else { continue };
                if case.stopped.contains(&node.id) {
                    continue;
                }
                let view = case.view(known);
                let found: BTreeSet<_> =
                    view.into_iter().flat_map(|view| view.addresses_in(&network)).collect();
                if found.len() != 1 || !found.is_disjoint(&taken) {
                    let (stage, host) = (step.number, known.host.clone());
                    return Err(Refusal::TransferAddress {
                        stage,
                        host,
                        key: traffic.key(),
                        network,
                    });
                }
                taken.extend(found);
            }
        }
    }
    Ok(())
}

fn writes<'a>(step: &Step<'a>) -> impl Iterator<Item = &'a DatacenterWrite> + use<'a> {
    step.stage.actions.values().flatten().filter_map(|action| match action {
        Action::WriteDatacenterConfig(write) => Some(write),
        _other => None,
    })
}

fn lines<'a>(step: &Step<'a>) -> impl Iterator<Item = (Traffic, Option<Transfer>)> + use<'a> {
    writes(step).flat_map(|write| write.lines.iter().map(|(traffic, line)| (*traffic, *line)))
}
