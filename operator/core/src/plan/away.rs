//! Members that a person declared away: the others go on without them, as long as nobody hears them.
//!
//! Such a node stays on the list with its vote, which is missing, and takes part in nothing. One that is heard
//! is a member like any other, whatever the statement says. What moves members or votes, stops a daemon or
//! changes what daemons need to hear each other waits for everybody: with a vote missing already there is no
//! margin to give away, and who comes back would find nobody.

use super::ground::{self, InForce, Member};
use super::report::{Blocker, Obstacle};
use crate::conf::TotemOptions;
use crate::desired::{DesiredCluster, DesiredNode};
use crate::ids::NodeId;
use crate::observed::{HostView, ObservedCluster};

/// Whether a host is away by a person's word, and its agent is silent.
pub(super) fn is_missed(view: &HostView) -> bool {
    !view.connected && view.declared_away().is_some()
}

/// The same of a wanted node.
pub(super) fn is_absent(node: &DesiredNode, observed: &ObservedCluster) -> bool {
    ground::view(node, observed).is_some_and(is_missed)
}

/// A listed node, and whether it is one that nobody waits for. A host that never had anything of the cluster
/// is none: it never came.
pub(super) fn member<'a>(
    node: &'a DesiredNode,
    observed: &'a ObservedCluster,
) -> Result<(Member<'a>, bool), Obstacle> {
    let why = match ground::present(node, observed) {
        Ok(member) => return Ok((member, false)),
        Err(why) => why,
    };
    let is_silent = why.blocker == Blocker::HostNotConnected;
    let view = ground::view(node, observed).filter(|view| is_missed(view) && !view.is_empty());
    view.filter(|_| is_silent).map(|view| (Member { node, view }, true)).ok_or(why)
}

/// Silence of the agent alone is no absence: a machine whose corosync runs votes, and reloads its own disk
/// when the others do.
pub(super) fn refuse_heard(ground: &InForce<'_>) -> Result<(), Obstacle> {
    let heard = |id: &NodeId| Some((ground.members.get(id)?, ground::seen(ground, *id)?));
    let Some((Member { node, view }, seen)) = ground.away.iter().find_map(heard) else {
        return Ok(());
    };
    let (host, because) = (&node.host, view.declared_away().unwrap_or_default());
    let sentence = format!(
        "{host} is declared away ({because}), but {seen}, and its agent is not heard: start the agent there, or \
         power the machine off"
    );
    Obstacle::stop(Blocker::HostNotConnected, sentence)
}

/// Whether something can be done that takes everybody.
pub(super) fn refuse(ground: &InForce<'_>, what: &str) -> Result<(), Obstacle> {
    let away: Vec<_> = ground.away.iter().filter_map(|id| ground.members.get(id)).collect();
    if away.is_empty() {
        return Ok(());
    }
    let word = |Member { node, view }: &&Member<'_>| {
        format!("{} ({})", node.host, view.declared_away().unwrap_or_default())
    };
    let hosts = away.iter().map(word).collect::<Vec<_>>().join(", ");
    let sentence = format!(
        "next would be: {what}; that waits for who is away, {hosts}: only links, timing, logging \
         and datacenter.cfg change without a member"
    );
    Obstacle::stop(Blocker::HostAway, sentence)
}

/// The keys of totem that change without everybody, and those that do not, where somebody is away.
pub(super) fn apart(goal: TotemOptions, ground: &InForce<'_>) -> (TotemOptions, TotemOptions) {
    let none = TotemOptions::default();
    if ground.away.is_empty() {
        return (goal, none);
    }
    let TotemOptions { cipher, hash, .. } = goal;
    (TotemOptions { cipher: None, hash: None, ..goal }, TotemOptions { cipher, hash, ..none })
}

/// What is to be said of every absence that was stated.
pub(super) fn remarks(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<String> {
    let stated = desired.nodes.iter().filter_map(|node| {
        let view = ground::view(node, observed)?;
        Some((&node.host, view, view.declared_away()?))
    });
    let remark = |(host, view, because): (_, &HostView, &str)| {
        if view.connected {
            format!(
                "{host} is heard and counts as there: take back that it is away ({because}) with \
                 `kubectl pvecm host back {host}`"
            )
        } else {
            format!("{host} is away ({because}) and follows when it is back")
        }
    };
    stated.map(remark).collect()
}
