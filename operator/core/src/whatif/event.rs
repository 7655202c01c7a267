//! What fails, and who still hears whom then.

use std::collections::BTreeSet;
use std::fmt;

use super::electorate::Electorate;
use crate::ids::{LinkNumber, NodeId};

/// The word that stands for the QNetd of a device.
const WITNESS: &str = "witness";

/// What a person asks about, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names of nodes, or `witness`.
    pub lose: Vec<String>,
    /// `link:N`.
    pub cut: Vec<String>,
    /// `n1/n2,n3`: names, with commas inside of a part and slashes between parts; `witness` in one of them
    /// when only that one reaches it.
    pub partition: Option<String>,
}

/// Why a question makes no sense for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misasked {
    /// There is no such node.
    #[error("there is no node `{0}`: the nodes are {1}")]
    NoNode(String, String),
    /// Which is it?
    #[error("`witness` is the name of a node here, and stands for the QDevice's host as well")]
    TwoWitnesses,
    /// There is no device.
    #[error("there is no witness: the file has no quorum device")]
    NoWitness,
    /// Not a link.
    #[error("`{0}` is no link: write `link:0`, for instance; the nodes have {1}")]
    NoLink(String, String),
    /// Nobody would be left.
    #[error("every node would be lost: nobody is left to ask about")]
    NobodyLeft,
    /// A partition that separates nobody.
    #[error("a partition has two parts at least: write `n1/n2,n3`, for instance")]
    OnePart,
    /// Twice in a partition.
    #[error("{0} is in two parts of the partition, or twice in one")]
    InTwoParts(String),
    /// Lost, and in a part.
    #[error("{0} is lost and in a part of the partition: leave it out there")]
    LostInPart(String),
    /// Left out of a partition.
    #[error("the partition says nothing of {0}: every node that is not lost belongs in a part")]
    InNoPart(String),
}

/// What fails, all at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The nodes that are lost.
    pub lost: BTreeSet<NodeId>,
    /// The QNetd of the device is lost.
    pub witness_lost: bool,
    /// The links that are cut for everybody.
    pub cut: BTreeSet<LinkNumber>,
    /// The parts into which those that are left fall; empty: they stay together as far as links do.
    pub parts: Vec<Side>,
}

/// Nodes that hear each other and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Never empty.
    pub members: BTreeSet<NodeId>,
    /// Whether they reach the QNetd of the device.
    pub reaches_witness: bool,
}

impl Event {
    /// Makes sense of a question.
    pub fn read(electorate: &Electorate, asked: &Asked) -> Result<Self, Misasked> {
        let mut event = Self::default();
        for name in &asked.lose {
            match find(electorate, name)? {
                Some(id) => _ = event.lost.insert(id),
                None => event.witness_lost = true,
            }
        }
        if event.lost.len() == electorate.nodes.len() {
            return Err(Misasked::NobodyLeft);
        }
        for link in &asked.cut {
            event.cut.insert(link_of(electorate, link)?);
        }
        if let Some(partition) = &asked.partition {
            event.parts = parts(electorate, &event, partition)?;
        }
        Ok(event)
    }

    /// One node is lost, or several.
    fn lost(lost: impl IntoIterator<Item = NodeId>) -> Self {
        Self { lost: lost.into_iter().collect(), ..Self::default() }
    }

    /// Who still hears whom.
    pub(super) fn sides(&self, electorate: &Electorate) -> Vec<Side> {
        let left: BTreeSet<_> = electorate.ids().difference(&self.lost).copied().collect();
        let all = Side { members: left, reaches_witness: true };
        let parts = if self.parts.is_empty() { vec![all] } else { self.parts.clone() };
        // knet goes on over the links that are left, of whatever mode or priority (corosync.md 6.3).
        let is_cut_off = !self.cut.is_empty() && electorate.links.is_subset(&self.cut);
        let reach = |side: Side| {
            let reaches_witness = side.reaches_witness && !self.witness_lost;
            let alone = is_cut_off.then(|| side.members.iter().map(|id| BTreeSet::from([*id])));
            match alone {
                Some(alone) => alone.map(|members| Side { members, reaches_witness }).collect(),
                None => vec![Side { reaches_witness, ..side }],
            }
        };
        parts.into_iter().flat_map(reach).collect()
    }

    /// The event in a few words: `n1 lost`, `link 0 cut`.
    #[must_use]
    pub fn called<'a>(&'a self, electorate: &'a Electorate) -> impl fmt::Display + 'a {
        Called(self, electorate)
    }
}

struct Called<'a>(&'a Event, &'a Electorate);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Event { lost, witness_lost, cut, parts }, electorate) = self;
        let mut said = Vec::new();
        let mut gone: Vec<String> = names(electorate, lost);
        gone.extend(witness_lost.then(|| format!("the {WITNESS}")));
        if !gone.is_empty() {
            said.push(format!("{} lost", gone.join(", ")));
        }
        if !cut.is_empty() {
            let links: Vec<String> = cut.iter().map(|link| format!("link {link}")).collect();
            said.push(format!("{} cut", links.join(", ")));
        }
        if !parts.is_empty() {
            let everybody = parts.iter().all(|side| side.reaches_witness);
            let part = |side: &Side| {
                let mut names = names(electorate, &side.members);
                names.extend((side.reaches_witness && !everybody).then(|| WITNESS.to_owned()));
                names.join(",")
            };
            said.push(format!("{} apart", parts.iter().map(part).collect::<Vec<_>>().join(" / ")));
        }
        f.pad(&said.join(", "))
    }
}

/// Everything that can fail alone: each node, each link, the witness.
#[must_use]
pub fn singles(electorate: &Electorate) -> Vec<Event> {
    let nodes = electorate.nodes.iter().filter(|_| electorate.nodes.len() > 1);
    let nodes = nodes.map(|node| Event::lost([node.id]));
    let link = |link: &LinkNumber| Event { cut: BTreeSet::from([*link]), ..Event::default() };
    let witness =
        electorate.device.iter().map(|_| Event { witness_lost: true, ..Event::default() });
    nodes.chain(electorate.links.iter().map(link)).chain(witness).collect()
}

/// Every two nodes that can be lost together with somebody left.
#[must_use]
pub fn pairs(electorate: &Electorate) -> Vec<Event> {
    let nodes = &electorate.nodes;
    let first = nodes.iter().enumerate().filter(|_| nodes.len() > 2);
    let pair = |(at, one): (usize, &super::Voter)| {
        let one = one.id;
        nodes[at + 1..].iter().map(move |other| Event::lost([one, other.id]))
    };
    first.flat_map(pair).collect()
}

/// Every way to fall into two parts, as far as that many can be gone through: `None` with more nodes than 16.
pub(super) fn halves(electorate: &Electorate) -> Option<impl Iterator<Item = Event>> {
    let nodes = &electorate.nodes;
    let ways = (nodes.len() <= 16).then(|| 1_u32 << nodes.len().saturating_sub(1))?;
    let side = |way: u32, wanted: u32| {
        let part = nodes.iter().zip(0..).filter(move |(_, at)| way >> at & 1 == wanted);
        Side { members: part.map(|(node, _)| node.id).collect(), reaches_witness: true }
    };
    // The node of the highest id is always in the other part: every way once.
    let parts = (1..ways).map(move |way| vec![side(way, 1), side(way, 0)]);
    Some(parts.map(|parts| Event { parts, ..Event::default() }))
}

/// The names of these nodes, by id.
pub(super) fn names(electorate: &Electorate, ids: &BTreeSet<NodeId>) -> Vec<String> {
    let named = electorate.nodes.iter().filter(|node| ids.contains(&node.id));
    named.map(|node| node.name.clone()).collect()
}

/// The node of this name; `None`: the witness.
fn find(electorate: &Electorate, name: &str) -> Result<Option<NodeId>, Misasked> {
    let node = electorate.nodes.iter().find(|node| node.name == name);
    match (node, name == WITNESS) {
        (Some(_), true) if electorate.device.is_some() => Err(Misasked::TwoWitnesses),
        (Some(node), _) => Ok(Some(node.id)),
        (None, true) if electorate.device.is_some() => Ok(None),
        (None, true) => Err(Misasked::NoWitness),
        (None, false) => {
            let all = names(electorate, &electorate.ids()).join(", ");
            Err(Misasked::NoNode(name.to_owned(), all))
        }
    }
}

fn link_of(electorate: &Electorate, text: &str) -> Result<LinkNumber, Misasked> {
    let number = text.strip_prefix("link:").and_then(|number| number.parse::<u32>().ok());
    let link = number.and_then(|number| LinkNumber::try_from(number).ok());
    let known = || {
        let all: Vec<String> = electorate.links.iter().map(|link| format!("link {link}")).collect();
        Misasked::NoLink(text.to_owned(), all.join(", "))
    };
    link.filter(|link| electorate.links.contains(link)).ok_or_else(known)
}

fn parts(electorate: &Electorate, event: &Event, text: &str) -> Result<Vec<Side>, Misasked> {
    let (mut sides, mut seen, mut witness) = (Vec::new(), BTreeSet::new(), None);
    for (at, part) in text.split('/').enumerate() {
        let mut members = BTreeSet::new();
        for name in part.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let is_first = match find(electorate, name)? {
                Some(id) if event.lost.contains(&id) => {
                    return Err(Misasked::LostInPart(name.to_owned()));
                }
                Some(id) => members.insert(id) && seen.insert(id),
                None => witness.replace(at).is_none(),
            };
            if !is_first {
                return Err(Misasked::InTwoParts(name.to_owned()));
            }
        }
        sides.push(Side { members, reaches_witness: true });
    }
    for (at, side) in sides.iter_mut().enumerate() {
        side.reaches_witness = witness.is_none_or(|only| only == at);
    }
    sides.retain(|side| !side.members.is_empty());
    if sides.len() < 2 {
        return Err(Misasked::OnePart);
    }
    let left: BTreeSet<_> = electorate.ids().difference(&event.lost).copied().collect();
    let missing: BTreeSet<_> = left.difference(&seen).copied().collect();
    if missing.is_empty() {
        return Ok(sides);
    }
    Err(Misasked::InNoPart(names(electorate, &missing).join(", ")))
}
