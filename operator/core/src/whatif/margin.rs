//! How many further nodes may fail, from where a cluster stands now.

use std::collections::BTreeSet;

use super::electorate::Electorate;
use super::event::Event;
use super::outcome::Outcome;
use crate::ids::NodeId;

/// The most nodes of which every choice is gone through.
const GONE_THROUGH: usize = 16;

/// Where a cluster stands, as its quorate part counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The nodes that are there.
    pub members: BTreeSet<NodeId>,
    /// The device's votes are counted.
    pub has_device: bool,
    /// The votes that are there.
    pub present: u64,
    /// The votes that there would be with everybody there.
    pub expected: u64,
    /// The votes that are needed.
    pub needed: u64,
}

/// How many further nodes may fail, the worst first, before somebody who is left loses quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margin {
    /// With the device as it is now.
    pub nodes: usize,
    /// When the device's votes are gone as well; `None`: there is no device.
    pub without_device: Option<usize>,
}

impl Margin {
    /// Foretells it. `None` where the cluster does not stand as its file says it should: somebody told the daemons
    /// something else, and the file foretells nothing.
    #[must_use]
    pub fn of(electorate: &Electorate, now: &Standing) -> Option<Self> {
        let is_lost = !now.has_device;
        if !stands(electorate, now) {
            return None;
        }
        let without_device = electorate.device().map(|_| survived(electorate, now, true));
        Some(Self { nodes: survived(electorate, now, is_lost), without_device })
    }
}

/// Whether the model has the votes that are counted.
fn stands(electorate: &Electorate, now: &Standing) -> bool {
    let event = lost(electorate, now, &[], !now.has_device);
    let Ok(outcome) = Outcome::of(electorate, &event) else { return false };
    let same = |part: &super::Part| {
        let present = part.members.iter().all(|member| member.present == now.present);
        present && part.expected == now.expected && part.needed == now.needed
    };
    matches!(&outcome.parts[..], [part] if same(part))
}

/// So many nodes as may be lost whichever they are.
fn survived(electorate: &Electorate, now: &Standing, witness_lost: bool) -> usize {
    let holds = |gone: &[NodeId]| {
        let event = lost(electorate, now, gone, witness_lost);
        Outcome::of(electorate, &event).is_ok_and(|outcome| outcome.is_survived())
    };
    let all = |several: usize| choices(electorate, now, several).iter().all(|gone| holds(gone));
    (0..now.members.len()).take_while(|several| all(*several)).count().saturating_sub(1)
}

/// Every choice of so many that are there; with more nodes than can be gone through, those with the most votes.
fn choices(electorate: &Electorate, now: &Standing, several: usize) -> Vec<Vec<NodeId>> {
    let there = electorate.nodes.iter().filter(|node| now.members.contains(&node.id));
    let mut there: Vec<_> = there.map(|node| (node.votes, node.id)).collect();
    if there.len() > GONE_THROUGH {
        there.sort_unstable_by(|one, other| other.cmp(one));
        return vec![there.into_iter().take(several).map(|(_, id)| id).collect()];
    }
    let wanted = u32::try_from(several).unwrap_or(u32::MAX);
    let ways = (0..1_u32 << there.len()).filter(|way| way.count_ones() == wanted);
    let chosen = |way: u32| {
        let in_it = there.iter().zip(0..).filter(move |(_, at)| way >> at & 1 == 1);
        in_it.map(|((_, id), _)| *id).collect()
    };
    ways.map(chosen).collect()
}

fn lost(electorate: &Electorate, now: &Standing, gone: &[NodeId], witness_lost: bool) -> Event {
    let absent = electorate.ids().into_iter().filter(|id| !now.members.contains(id));
    let lost = absent.chain(gone.iter().copied()).collect();
    Event { lost, witness_lost, ..Event::default() }
}
