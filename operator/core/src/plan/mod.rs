//! The planner: from what is wanted and what is observed to the next safe change, in full.
//!
//! Total, deterministic and idempotent: it always returns a report, the same input gives the same
//! bytes, and a cluster that is as wanted gives no plan. It decides and numbers everything; nobody
//! behind it makes a choice. It proves nothing: that is [`crate::guard`]'s business, which does not
//! trust it.
//!
//! One plan changes one thing: a member that leaves (nothing else can be planned for a node that the spec
//! does not speak of), or the links, or the keys of totem, or those of logging, or the authkey, or one node
//! more, or the votes, or the QDevice, or lines of datacenter.cfg, or what takes a restart, or what takes an outage, in this order (what may wait for
//! approval comes last); what else the spec wants is in [`Report::waiting_for`]. Where to read next:
//! `ground` (may anything be planned at all), `texts` (which text is in force), `recover` (quorum is lost), `refresh` (what was changed beside
//! /etc/pve), `remove`, `form`, `due` (this order), `away` (who is not waited for), `links` and `moves`, `totem`,
//! `logging`, `keys`, `join`, `votes`, `device` (it goes out of the way of what moves members or votes), `datacenter`, `restarts`, `outage`, `transport` (what is not on knet is moved there first),
//! `preflight` (what stands in a joiner's way), `draft` (how stages are numbered), `ha` (what stands around
//! stages that may stall the cluster).

mod addresses;
mod away;
mod datacenter;
mod device;
mod draft;
mod due;
mod form;
mod ground;
mod ha;
mod join;
mod keys;
mod links;
mod logging;
mod moves;
mod outage;
mod pages;
mod preflight;
mod recover;
mod refresh;
mod remove;
mod report;
mod restarts;
mod shared;
mod texts;
mod totem;
mod transport;
mod votes;
mod wishes;

#[cfg(test)]
pub(crate) mod tests;

pub use report::{Blocker, Class, Report, State};
pub use wishes::{Wishes, is_managed, wishes};

use crate::change::{Plan, Proposed};
use crate::desired::{DesiredCluster, DesiredNode, Drift};
use crate::leaving::{in_effect, leaving};
use crate::observed::ObservedCluster;
use ground::{Ground, InForce};
use report::Obstacle;

/// The planner's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it says, always.
    pub report: Report,
    /// What would be done next; only with [`State::Proposing`].
    pub plan: Option<Plan<Proposed>>,
}

/// Plans the next change of a cluster.
#[must_use]
pub fn plan(desired: &DesiredCluster, observed: &ObservedCluster) -> Planned {
    let desired = &*in_effect(desired, observed);
    let mut planned = next(desired, observed);
    planned.report.waiting_for.extend(ground::remarks(desired, observed));
    planned.report.waiting_for.extend(away::remarks(desired, observed));
    planned.report.waiting_for.extend(datacenter::remarks(desired, observed));
    planned.report.waiting_for.extend(device::remarks(desired));
    planned.report.waiting_for.extend(preflight::remarks(desired, observed));
    planned.report.waiting_for.extend(shared::remarks(desired, observed));
    planned
}

fn next(desired: &DesiredCluster, observed: &ObservedCluster) -> Planned {
    match decide(desired, observed) {
        Err(obstacle) => Planned { report: obstacle.into(), plan: None },
        Ok(None) => {
            let name = &desired.name;
            let there = desired.nodes.iter().filter(|node| !away::is_absent(node, observed));
            let sentence = if desired.dissolves {
                format!("no host has anything of {name} any more")
            } else {
                format!("{name} is as the spec wants it on {}", hosts(there))
            };
            Planned {
                report: Report { sentence, state: State::Settled, waiting_for: vec![] },
                plan: None,
            }
        }
        Ok(Some(Next { plan, later: _, puts_back: true }))
            if desired.rollout.drift == Drift::Report =>
        {
            let sentence =
                format!("drift is only reported; what would put it back: {}", plan.summary);
            let waiting_for =
                vec!["`rollout.drift` to be Correct, or the edit to be undone".to_owned()];
            Planned { report: Report { sentence, state: State::Reported, waiting_for }, plan: None }
        }
        Ok(Some(Next { plan, later, .. })) if desired.rollout.paused => {
            let sentence = format!("the rollout is paused; next would be: {}", plan.summary);
            let waiting_for = [vec!["`rollout.paused` to end".to_owned()], later].concat();
            Planned { report: Report { sentence, state: State::Waiting, waiting_for }, plan: None }
        }
        Ok(Some(Next { plan, later, .. })) => {
            let sentence = match plan.stages.len() {
                1 => format!("{}, in one stage", plan.summary),
                several => format!("{}, in {several} stages", plan.summary),
            };
            let report = Report { sentence, state: State::Proposing, waiting_for: later };
            Planned { report, plan: Some(plan) }
        }
    }
}

/// A plan, and what comes after it.
struct Next {
    plan: Plan<Proposed>,
    later: Vec<String>,
    /// It does nothing but put back what somebody changed beside the operator. Of an ordinary change
    /// that is only found out where it matters, with `rollout.drift: Report`.
    puts_back: bool,
}

fn decide(desired: &DesiredCluster, observed: &ObservedCluster) -> Result<Option<Next>, Obstacle> {
    let leaving = leaving(desired, observed);
    let next = match ground::look(desired, &leaving, observed)? {
        Ground::Empty(_) if desired.dissolves => None,
        Ground::Empty(nodes) => {
            let plan = form::plan(desired, observed, &nodes)?;
            let later = desired.nodes.iter().skip(1).map(join::summary).collect();
            Some(Next { plan, later, puts_back: false })
        }
        Ground::Cluster(ground) => {
            keys::refuse_differing(desired, &ground)?;
            let next = of_cluster(desired, observed, &ground)?;
            next.iter().try_for_each(|next| preflight::refuse_mixed(&ground, &next.plan))?;
            next
        }
    };
    if let Some(next) = &next {
        refuse_paused(observed, &next.plan)?;
    }
    Ok(next)
}

/// The next change of a cluster. With quorum lost, or a vote missing, nothing else is begun.
fn of_cluster(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Result<Option<Next>, Obstacle> {
    if ground.is_lost {
        let plan = recover::plan(desired, observed, ground)?;
        return Ok(Some(Next { plan, later: recover::later(), puts_back: false }));
    }
    if transport::is_old(ground) {
        let next = change(desired, observed, ground)?;
        let leave = remove::later(ground, None);
        let next = next.map(|next| Next { later: [next.later, leave].concat(), ..next });
        return bracketed(next, desired, ground);
    }
    if !ground.strays.is_empty() && ground.unstarted.is_none() {
        let plan = refresh::plan(desired, observed, ground)?;
        return Ok(Some(Next { plan, later: Vec::new(), puts_back: true }));
    }
    if let Some(gone) = ground.gone.first().filter(|_| desired.dissolves) {
        let plan = remove::put_away(desired, observed, (ground, *gone))?;
        return Ok(Some(Next { plan, later: remove::later(ground, None), puts_back: false }));
    }
    if remove::is_due(ground) {
        away::refuse(ground, "a member leaves")?;
        let later = remove::later(ground, remove::next(ground));
        let plan = remove::plan(desired, observed, ground)?;
        return Ok(plan.map(|plan| Next { plan, later, puts_back: false }));
    }
    let next = match ground.unstarted {
        Some((id, joiner)) => {
            away::refuse(ground, &join::summary(joiner.node))?;
            let plan = join::resume(desired, observed, (ground, id, joiner))?;
            Some(Next { plan, later: remove::later(ground, None), puts_back: false })
        }
        None => change(desired, observed, ground)?,
    };
    bracketed(next, desired, ground)
}

fn bracketed(
    next: Option<Next>,
    desired: &DesiredCluster,
    ground: &InForce<'_>,
) -> Result<Option<Next>, Obstacle> {
    let bracketed =
        |next: Next| Ok(Next { plan: ha::bracketed(next.plan, desired, ground)?, ..next });
    next.map(bracketed).transpose()
}

/// The next change of a sound cluster.
fn change(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Result<Option<Next>, Obstacle> {
    let mut due = transport::first(due::all(desired, observed, ground)?, ground)?.into_iter();
    let Some(first) = due.next() else { return Ok(None) };
    if first.needs_everybody() {
        away::refuse(ground, &first.summary().unwrap_or_default())?;
    }
    // Texts are read for it, and only with `Report` does it matter.
    let reports = desired.rollout.drift == Drift::Report;
    let puts_back = reports && first.only_puts_back(desired, observed, &ground.conf);
    let (plan, rest) = first.plan(desired, observed, ground)?;
    let later = rest.into_iter().chain(due.filter_map(|due| due.summary())).collect();
    Ok(Some(Next { plan, later, puts_back }))
}

/// A paused host does nothing: a stage that needs it would time out and be undone.
fn refuse_paused(observed: &ObservedCluster, plan: &Plan<Proposed>) -> Result<(), Obstacle> {
    let paused = |host| observed.hosts.get(host).is_some_and(|view| view.paused);
    let mut hosts = plan.stages.iter().flat_map(crate::change::Stage::hosts);
    match hosts.find(|host| paused(*host)) {
        Some(host) => Obstacle::stop(
            Blocker::HostPaused,
            format!("{host} is paused and takes part in no change"),
        ),
        None => Ok(()),
    }
}

fn hosts<'a>(nodes: impl Iterator<Item = &'a DesiredNode>) -> String {
    nodes.map(|node| node.host.to_string()).collect::<Vec<_>>().join(", ")
}
