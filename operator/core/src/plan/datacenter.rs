//! The lines `migration` and `replication` of datacenter.cfg: one stage, in which no daemon is touched.
//!
//! A network counts only where every member has exactly one address in it, and no two the same: Proxmox VE asks
//! each node for its one address there, and moves no guest to one that has none or several (pve.md 6.3). Of a
//! member that is away, the addresses are those that it had last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::draft::Draft;
use super::ground::{self, InForce, Member};
use super::report::{Blocker, Obstacle};
use crate::change::{Plan, Proposed};
use crate::datacenter::{DatacenterView, DatacenterWrite, Lines, Traffic, TransferWish};
use crate::desired::DesiredCluster;
use crate::ids::HostName;
use crate::observed::{HostView, ObservedCluster};

/// The lines that some member does not have as they are wanted, or of which it has not told.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> BTreeSet<Traffic> {
    let is_so = |traffic: Traffic, wish: TransferWish, view: &HostView| {
        let line = view.datacenter.as_ref().map(|view| view.line(traffic));
        line.is_some_and(|line| line.is_ok_and(|line| wish.is_met_by(line)))
    };
    let due = |(traffic, wish): &(&Traffic, &TransferWish)| {
        ground.up().any(|(_, member)| !is_so(**traffic, **wish, member.view))
    };
    desired.datacenter.iter().filter(due).map(|(traffic, _)| *traffic).collect()
}

/// What a goal does, in words.
pub(super) fn summary(goal: &BTreeSet<Traffic>) -> String {
    let keys: Vec<_> = goal.iter().map(|traffic| traffic.key()).collect();
    format!("change datacenter.cfg: {}", keys.join(", "))
}

/// Plans the way to the wanted lines.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, &BTreeSet<Traffic>),
) -> Result<Plan<Proposed>, Obstacle> {
    let view = seen_by_all(ground)?;
    let wishes = desired.datacenter.iter().filter(|(traffic, _)| goal.contains(traffic));
    let lines = wishes.map(|(traffic, wish)| {
        let now = match (wish, view.line(*traffic)) {
            (_, Ok(line)) => line,
            // Nobody has to understand what is taken out.
            (TransferWish::NoLine, Err(_)) => None,
            (TransferWish::Type(_) | TransferWish::Line(_), Err(why)) => {
                return not_understood(*traffic, why);
            }
        };
        Ok((*traffic, wish.line(now)))
    });
    let lines = lines.collect::<Result<Lines, _>>()?;
    let networks = lines.iter().filter_map(|(traffic, line)| Some((*traffic, (*line)?.network?)));
    let members = || ground.members.iter().filter(|(id, _)| !ground.stopped.contains(id));
    let faults: Vec<_> = networks
        .flat_map(|network| {
            faults(network, members().map(|(_, member)| (&member.node.host, member.view)))
        })
        .collect();
    if !faults.is_empty() {
        return Obstacle::stop(Blocker::TransferNetworkUnfit, faults.join("; "));
    }
    let write = DatacenterWrite { parent: view.digest, lines };
    let mut draft = Draft::new(desired, observed, ground)?;
    draft.datacenter(format!("In datacenter.cfg: {write}"), &write);
    let members = super::hosts(ground.up().map(|(_, member)| member.node));
    Ok(draft.finish(format!("In datacenter.cfg of {members}: {write}")))
}

/// The file, if all members tell of the same one.
fn seen_by_all<'a>(ground: &'a InForce<'_>) -> Result<&'a DatacenterView, Obstacle> {
    let mut seen: Option<(&HostName, &DatacenterView)> = None;
    for (_, Member { node, view }) in ground.up() {
        let host = &node.host;
        let Some(own) = &view.datacenter else {
            let sentence = format!("{host} has not told what its datacenter.cfg says");
            return Obstacle::stop(Blocker::DatacenterUnknown, sentence);
        };
        let (first, known) = *seen.get_or_insert((host, own));
        if known.digest != own.digest {
            let sentence =
                format!("{first} and {host} have not told of the same datacenter.cfg yet");
            return Obstacle::stop(Blocker::DatacenterUnknown, sentence);
        }
    }
    seen.map(|(_, view)| view).ok_or_else(|| {
        Obstacle::new(Blocker::DatacenterUnknown, "no member has told what datacenter.cfg says")
    })
}

fn not_understood<T>(traffic: Traffic, why: &str) -> Result<T, Obstacle> {
    let key = traffic.key();
    let sentence = format!(
        "`{key}` in /etc/pve/datacenter.cfg counts for nothing to Proxmox VE ({why}): correct the line or take it \
         out"
    );
    Obstacle::stop(Blocker::DatacenterNotUnderstood, sentence)
}

/// What keeps a network from being the one over which guests travel between these hosts.
fn faults<'a>(
    (traffic, network): (Traffic, IpNet),
    hosts: impl Iterator<Item = (&'a HostName, &'a HostView)>,
) -> Vec<String> {
    let key = traffic.key();
    let mut faults = Vec::new();
    let mut owners: BTreeMap<IpAddr, &HostName> = BTreeMap::new();
    for (host, view) in hosts {
        let found: BTreeSet<IpAddr> = view.addresses_in(&network).collect();
        let listed = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ");
        match found.len() {
            0 => faults.push(format!("{host} has no address in {network}, the network of `{key}`")),
            1 => {}
            _ => faults.push(format!(
                "{host} has {listed} in {network}, the network of `{key}`, where each node may have one address \
                 only"
            )),
        }
        for address in found {
            if let Some(other) = owners.insert(address, host) {
                faults.push(format!(
                    "{other} and {host} both have {address}, in the network of `{key}`"
                ));
            }
        }
    }
    faults
}

/// What is to be said of a network that is in force as it is wanted, and that a node has left since, or never
/// was in.
pub(super) fn remarks(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<String> {
    let views = || {
        let all = desired.nodes.iter();
        all.filter_map(|node| Some((&node.host, ground::view(node, observed)?)))
    };
    let in_force = |(traffic, wish): (&Traffic, &TransferWish)| {
        let mut told =
            views().filter_map(|(_, view)| view.datacenter.as_ref()?.line(*traffic).ok());
        let line = told.find(|line| line.is_some() && wish.is_met_by(*line))??;
        Some((*traffic, line.network?))
    };
    let networks = desired.datacenter.iter().filter_map(in_force);
    let faults = networks.flat_map(|network| {
        faults(network, views().filter(|(_, view)| view.running_version.is_some()))
    });
    faults.map(|fault| format!("{fault}: no guest travels to or from there")).collect()
}
