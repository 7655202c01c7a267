//! What the spec wants of a sound cluster and that is not so, in the order in which it is brought about.

use std::collections::BTreeSet;

use super::ground::{InForce, Member};
use super::report::Obstacle;
use super::{
    away, datacenter, device, join, keys, links, logging, outage, remove, restarts, totem, votes,
};
use crate::change::{ConfText, Plan, Proposed};
use crate::conf::{LoggingOptions, TotemOptions};
use crate::datacenter::Traffic;
use crate::desired::{DesiredCluster, DesiredNode};
use crate::drift::{is_only_edited, only_edited};
use crate::observed::ObservedCluster;
use crate::quorum::Votes;

/// One thing that a plan of its own changes.
#[derive(Debug)]
pub(super) enum Due<'a> {
    Links(links::Goal),
    Totem(TotemOptions),
    Logging(LoggingOptions),
    /// The generation of the authkey.
    Key(u32),
    Join(&'a DesiredNode),
    Votes(Votes),
    Device(device::Goal<'a>),
    Datacenter(BTreeSet<Traffic>),
    Restarts(restarts::Goal),
    Outage(outage::Goal),
    /// A host that left and could not do the rest.
    PutAway(Member<'a>),
}

/// All of it. What may wait for approval comes last, so that nothing else waits with it.
pub(super) fn all<'a>(
    desired: &'a DesiredCluster,
    observed: &'a ObservedCluster,
    ground: &InForce<'a>,
) -> Result<Vec<Due<'a>>, Obstacle> {
    let links = links::goal(desired, ground)?;
    let (totem, crypto) = away::apart(totem::goal(desired, ground), ground);
    let logging = logging::goal(desired, ground);
    let votes = votes::goal(ground)?;
    let listed = |name: &_| ground.config.nodes.iter().any(|known| known.name == *name);
    let joiners = desired.nodes.iter().filter(|node| !listed(&node.name));

    let mut all = Vec::new();
    all.extend((!links.is_empty()).then_some(Due::Links(links)));
    all.extend((totem != TotemOptions::default()).then_some(Due::Totem(totem)));
    all.extend((logging != LoggingOptions::default()).then_some(Due::Logging(logging)));
    all.extend((crypto != TotemOptions::default()).then_some(Due::Totem(crypto)));
    all.extend(keys::goal(desired, ground).map(Due::Key));
    all.extend(joiners.map(Due::Join));
    all.extend((!votes.is_empty()).then_some(Due::Votes(votes)));
    // Of the nodes that there are when all have come.
    let comes = all.iter().any(|due| matches!(due, Due::Join(_)));
    if !comes {
        all.extend(device::goal(desired, observed, ground).map(Due::Device));
    }
    let datacenter = datacenter::goal(desired, ground);
    all.extend((!datacenter.is_empty()).then_some(Due::Datacenter(datacenter)));
    all.extend(restarts::goal(desired, ground).map(Due::Restarts));
    all.extend(outage::goal(desired, ground).map(Due::Outage));
    let rests = |gone: &&Member<'_>| !desired.nodes.iter().any(|node| node.host == gone.node.host);
    all.extend(ground.gone.iter().find(rests).copied().map(Due::PutAway));
    Ok(all)
}

impl Due<'_> {
    /// What is said of it while it waits.
    pub fn summary(&self) -> Option<String> {
        match self {
            Self::Links(goal) => Some(goal.summary()),
            Self::Totem(goal) => totem::summary(goal),
            Self::Logging(goal) => Some(logging::summary(*goal)),
            Self::Key(_) => Some("exchange the authkey".to_owned()),
            Self::Join(node) => Some(join::summary(node)),
            Self::Votes(_) => Some("votes change".to_owned()),
            Self::Device(goal) => Some(goal.summary()),
            Self::Datacenter(goal) => Some(datacenter::summary(goal)),
            Self::Restarts(goal) => Some(goal.summary()),
            Self::Outage(goal) => Some(goal.summary()),
            Self::PutAway(gone) => Some(remove::put_away_summary(*gone)),
        }
    }

    /// Whether it moves members or votes, stops a daemon, or changes what daemons need to hear each other.
    pub const fn needs_everybody(&self) -> bool {
        match self {
            Self::Links(_) | Self::Logging(_) | Self::Datacenter(_) => false,
            Self::Totem(goal) => goal.cipher.is_some() || goal.hash.is_some(),
            Self::Key(_)
            | Self::Join(_)
            | Self::Votes(_)
            | Self::Device(_)
            | Self::Restarts(_)
            | Self::Outage(_)
            | Self::PutAway(_) => true,
        }
    }

    /// Whether it does nothing but put back what somebody changed beside the operator.
    pub fn only_puts_back(
        &self,
        desired: &DesiredCluster,
        observed: &ObservedCluster,
        conf: &ConfText,
    ) -> bool {
        match self {
            Self::Datacenter(goal) => is_only_edited(desired, observed, goal),
            // A file says nothing of keys.
            Self::Key(_) => false,
            Self::Links(_)
            | Self::Totem(_)
            | Self::Logging(_)
            | Self::Join(_)
            | Self::Votes(_)
            | Self::Device(_)
            | Self::Restarts(_)
            | Self::Outage(_)
            | Self::PutAway(_) => only_edited(desired, observed, conf),
        }
    }

    /// The plan, and what of it is left for later ones.
    pub fn plan(
        self,
        desired: &DesiredCluster,
        observed: &ObservedCluster,
        ground: &InForce<'_>,
    ) -> Result<(Plan<Proposed>, Vec<String>), Obstacle> {
        let plan = match self {
            Self::Links(goal) => {
                let links::Planned { plan, later } =
                    links::plan(desired, observed, (ground, goal))?;
                return Ok((plan, later));
            }
            Self::Totem(goal) => totem::plan(desired, observed, (ground, goal)),
            Self::Logging(goal) => logging::plan(desired, observed, (ground, goal)),
            Self::Key(generation) => keys::plan(desired, observed, (ground, generation)),
            Self::Join(node) => match ground.gone.iter().find(|gone| gone.node.host == node.host) {
                Some(gone) => {
                    let plan = remove::put_away(desired, observed, (ground, *gone))?;
                    return Ok((plan, vec![join::summary(node)]));
                }
                None => join::plan(desired, observed, (ground, node)),
            },
            Self::Votes(goal) => votes::plan(desired, observed, (ground, &goal)),
            Self::Device(goal) => device::plan(desired, observed, (ground, &goal)),
            Self::Datacenter(goal) => datacenter::plan(desired, observed, (ground, &goal)),
            Self::Restarts(goal) => restarts::plan(desired, observed, (ground, &goal)),
            Self::Outage(goal) => outage::plan(desired, observed, (ground, goal)),
            Self::PutAway(gone) => remove::put_away(desired, observed, (ground, gone)),
        };
        Ok((plan?, Vec::new()))
    }
}
