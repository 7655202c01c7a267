//! What is left: the parts, their votes, and who is quorate.

use std::collections::BTreeSet;

use serde::Serialize;

use super::electorate::{Electorate, TieBreaker, Unclear};
use super::event::{Event, Side, halves, names};
use crate::ids::NodeId;
use crate::quorum::needed_by;

/// What an event leads to, once everything has settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The nodes that run, by those who hear each other.
    pub parts: Vec<Part>,
    /// The names of those that are lost.
    pub lost: Vec<String>,
    /// Nodes wait until all have been seen before they are quorate again: `wait_for_all`.
    pub waits_for_all: bool,
}

/// Nodes that hear each other and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its nodes, by id.
    pub members: Vec<Member>,
    /// The votes that it expects.
    pub expected: u64,
    /// The votes that it needs.
    pub needed: u64,
    /// `last_man_standing` has lowered what it expects, this long after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowered_after_millis: Option<u64>,
}

/// One node that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// `nodeid`.
    pub id: NodeId,
    /// `name`.
    pub name: String,
    /// The votes that it counts: those of its part, and the device's where it has them.
    pub present: u64,
    /// Whether it counts the device's votes.
    pub has_device: bool,
    /// Whether it is quorate.
    pub quorate: bool,
}

impl Outcome {
    /// Foretells what an event leads to.
    pub fn of(electorate: &Electorate, event: &Event) -> Result<Self, Unclear> {
        let sides = event.sides(electorate);
        let counted = match electorate.device() {
            Some(device) => device.counted_by(electorate, &sides)?,
            None => BTreeSet::new(),
        };
        let parts = sides.iter().map(|side| Part::of(electorate, side, &counted)).collect();
        let lost = names(electorate, &event.lost);
        Ok(Self { parts, lost, waits_for_all: electorate.wait_for_all })
    }

    /// The parts in which somebody is quorate.
    pub fn quorate(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.is_quorate())
    }

    /// Whether exactly one part goes on, and all of its members do.
    #[must_use]
    pub fn is_survived(&self) -> bool {
        let going: Vec<_> = self.quorate().collect();
        matches!(going[..], [part] if part.members.iter().all(|member| member.quorate))
    }

    /// Whether two parts are quorate at once: each starts the guests of the other.
    #[must_use]
    pub fn is_split_brain(&self) -> bool {
        self.quorate().count() > 1
    }
}

/// Whether the rules of a cluster let two parts be quorate at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitBrain {
    /// In no way in which it can fall in two.
    Impossible,
    /// When it falls apart like this.
    Possible(Event),
    /// There are too many nodes to go through all ways.
    Unknown,
}

impl SplitBrain {
    /// Goes through every way in which a cluster can fall in two.
    #[must_use]
    pub fn of(electorate: &Electorate) -> Self {
        let Some(mut halves) = halves(electorate) else { return Self::Unknown };
        // Where it is not foretold which half QNetd votes for, it is still one of them.
        let both_go_on =
            |event: &Event| Outcome::of(electorate, event).is_ok_and(|told| told.is_split_brain());
        halves.find(both_go_on).map_or(Self::Impossible, Self::Possible)
    }
}

impl Part {
    /// Whether somebody in it is quorate.
    #[must_use]
    pub fn is_quorate(&self) -> bool {
        self.members.iter().any(|member| member.quorate)
    }

    fn of(electorate: &Electorate, side: &Side, counted: &BTreeSet<NodeId>) -> Self {
        let votes = electorate.votes(&side.members);
        let device = electorate.device().map_or(0, |device| device.votes);
        let needed = electorate.needed_by(side.members.len());
        let at_first = Rule { electorate, side, expected: electorate.expected, needed };
        // votequorum never lowers what it expects by itself, but for `last_man_standing`.
        let window = electorate.last_man_standing.filter(|_| at_first.will_be_lowered(votes));
        let rule = if window.is_some() { at_first.lowered() } else { at_first };
        let member = |(id, name): (NodeId, &String)| {
            let has_device = counted.contains(&id);
            let present = votes + if has_device { device } else { 0 };
            let quorate = rule.holds(present);
            Member { id, name: name.clone(), present, has_device, quorate }
        };
        let inside = electorate.nodes.iter().filter(|node| side.members.contains(&node.id));
        let members = inside.map(|node| member((node.id, &node.name))).collect();
        Self { members, expected: rule.expected, needed: rule.needed, lowered_after_millis: window }
    }
}

/// What a part measures its votes by.
#[derive(Clone, Copy)]
struct Rule<'a> {
    electorate: &'a Electorate,
    side: &'a Side,
    expected: u64,
    needed: u64,
}

impl Rule<'_> {
    fn holds(&self, present: u64) -> bool {
        present >= self.needed || self.breaks_the_tie(present)
    }

    /// `are_we_quorate`: exactly half of the votes, rounded down, when the others are fewer nodes than votes are
    /// needed. With an odd number of votes that are not one per node the other part can be quorate as well.
    fn breaks_the_tie(&self, present: u64) -> bool {
        let Self { electorate, side, .. } = self;
        let others = electorate.nodes.len() - side.members.len();
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        let has = |id: Option<NodeId>| id.is_some_and(|id| side.members.contains(&id));
        let is_ours = match &electorate.tie_breaker {
            None => false,
            Some(TieBreaker::Lowest) => has(electorate.nodes.first().map(|node| node.id)),
            Some(TieBreaker::Highest) => has(electorate.nodes.last().map(|node| node.id)),
            // An earlier one of the list that was there before may be up on the other side.
            Some(TieBreaker::List(list)) => {
                let listed = |id: &&u32| electorate.nodes.iter().any(|node| node.id.get() == **id);
                let first = list.iter().find(listed);
                first.is_some_and(|first| side.members.iter().any(|id| id.get() == *first))
            }
        };
        is_ours && present == self.expected / 2 && others < self.needed
    }

    /// `votequorum_sync_init` starts the window when somebody left and as many nodes stay as votes were needed, or
    /// no more than that, with a tie breaker, and the lowest id among them. At its end the part has to be
    /// quorate.
    fn will_be_lowered(&self, present: u64) -> bool {
        let Self { electorate, side, .. } = self;
        let stay = u64::try_from(side.members.len()).unwrap_or(u64::MAX);
        let before = electorate.needed_by(electorate.nodes.len());
        let left = side.members.len() < electorate.nodes.len();
        let lowest = electorate.nodes.first().is_some_and(|node| side.members.contains(&node.id));
        let is_half = stay <= before && electorate.tie_breaker.is_some() && lowest;
        (stay >= before && left || is_half) && self.holds(present)
    }

    /// Expected is then the number of nodes, whatever their votes.
    fn lowered(self) -> Self {
        let nodes = self.side.members.len();
        let expected = u64::try_from(nodes).unwrap_or(u64::MAX);
        let needed = needed_by(nodes, expected, self.electorate.two_node);
        Self { expected, needed, ..self }
    }
}
