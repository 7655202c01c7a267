//! Who votes with how much, and by which rules.

use std::collections::BTreeSet;

use super::device::Device;
use crate::conf::lint::{Effect, Finding, Reader, lint};
use crate::conf::overview::{NodeView, QuorumView, Row};
use crate::conf::{Document, Overview};
use crate::ids::{LinkNumber, NodeId};
use crate::quorum::{expected_in_force, needed_by};

/// Why nothing can be foretold from a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// A cluster with this file does not exist.
    #[error("corosync does not start with this file: {0}")]
    Refused(String),
    /// A value that corosync would not read.
    #[error("line {line}: `{key}` is `{value}`, which is no number: corosync refuses the file")]
    NoNumber {
        /// Counted from 1.
        line: usize,
        /// With its sections.
        key: String,
        /// As written.
        value: String,
    },
    /// Nothing counts votes.
    #[error(
        "the file has no `provider: corosync_votequorum`: no votes are counted, and Proxmox VE does not work"
    )]
    NoProvider,
    /// Nobody to speak of.
    #[error("the nodelist names no node")]
    NoNodes,
    /// Nodes are told apart by both.
    #[error("node {0} of the nodelist has no name or no nodeid: write both")]
    Nameless(usize),
    /// Its effect is not in the text.
    #[error("`{key}` is not foretold: {why}")]
    NotForetold {
        /// With its sections, and the value where that matters.
        key: String,
        /// What it hangs on.
        why: &'static str,
    },
    /// There is nothing to lose.
    #[error(
        "even with all nodes up nobody has quorum: {present} votes are there, {needed} are needed; \
         see `kubectl pvecm conf lint`"
    )]
    NeverQuorate {
        /// The votes of everybody.
        present: u64,
        /// What it takes; with `wait_for_all` all that are expected.
        needed: u64,
    },
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// `nodeid`.
    pub id: NodeId,
    /// `name`.
    pub name: String,
    /// `quorum_votes`, 1 by default.
    pub votes: u64,
}

/// Which half goes on when votes are even, without a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TieBreaker {
    /// The one with the lowest id of all.
    Lowest,
    /// The one with the highest id of all.
    Highest,
    /// The one with the first of these that there is.
    List(Vec<u32>),
}

/// The votes and rules of a corosync.conf that all its nodes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Electorate {
    /// By id. Never empty.
    pub(super) nodes: Vec<Voter>,
    /// The links that the nodes have addresses on.
    pub(super) links: BTreeSet<LinkNumber>,
    /// The votes that are expected once everybody has been there.
    pub(super) expected: u64,
    /// The device of the `quorum` section.
    pub(super) device: Option<Device>,
    /// `two_node`, where nothing turns it off.
    pub(super) two_node: bool,
    /// `wait_for_all`, written or brought along by `two_node`.
    pub(super) wait_for_all: bool,
    /// `last_man_standing` with its window in milliseconds, where nothing turns it off.
    pub(super) last_man_standing: Option<u64>,
    /// `auto_tie_breaker`, where nothing turns it off.
    pub(super) tie_breaker: Option<TieBreaker>,
    /// What the file says and corosync does not do.
    notes: Vec<String>,
}

impl Electorate {
    /// Reads a file of corosync 3.
    pub fn of(document: &Document) -> Result<Self, Unclear> {
        let findings = lint(document, &[Reader::Corosync3]);
        if let Some(refused) = findings.iter().find(|found| found.effect == Effect::Refuses) {
            let line = refused.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            return Err(Unclear::Refused(format!("{line}{}", refused.message)));
        }
        let overview = Overview::of(document);
        if let Some(Row { key, value, line, .. }) = overview.unreadable.first() {
            let (key, value, line) = (key.clone(), value.clone(), line.unwrap_or_default());
            return Err(Unclear::NoNumber { line, key, value });
        }
        let electorate = Self::read(&overview, &findings)?;
        electorate.is_quorate_as_a_whole()?;
        Ok(electorate)
    }

    fn read(overview: &Overview, findings: &[Finding]) -> Result<Self, Unclear> {
        let quorum = &overview.quorum;
        if quorum.provider.as_deref() != Some("corosync_votequorum") {
            return Err(Unclear::NoProvider);
        }
        refuse_memory(overview)?;
        let nodes = voters(&overview.nodes)?;
        let device = Device::of(quorum, findings)?;
        let there = quorum.votes.node_votes + device.as_ref().map_or(0, |device| device.votes);
        let written = tie_breaker(overview);
        Ok(Self {
            links: links(overview),
            expected: expected_in_force(quorum.votes.expected.value, there),
            device,
            // votequorum_readconfig: the tie breaker turns two_node off before it is turned off itself.
            two_node: quorum.two_node && written.is_none(),
            wait_for_all: quorum.wait_for_all.value,
            last_man_standing: last_man_standing(overview, &nodes),
            tie_breaker: written.filter(|_| !has(findings, "tie-breaker-off")),
            notes: notes(findings),
            nodes,
        })
    }

    /// The nodes, by id.
    #[must_use]
    pub fn nodes(&self) -> &[Voter] {
        &self.nodes
    }

    /// The device of the `quorum` section.
    #[must_use]
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// What the file says and corosync does not do, in sentences.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The votes of these nodes.
    pub(super) fn votes(&self, ids: &BTreeSet<NodeId>) -> u64 {
        self.nodes.iter().filter(|node| ids.contains(&node.id)).map(|node| node.votes).sum()
    }

    pub(super) fn ids(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// What a part of so many nodes needs, before any window has passed.
    pub(super) fn needed_by(&self, nodes: usize) -> u64 {
        needed_by(nodes, self.expected, self.two_node)
    }

    fn is_quorate_as_a_whole(&self) -> Result<(), Unclear> {
        let cast = self.device.as_ref().filter(|device| device.never_votes.is_none());
        let present = self.votes(&self.ids()) + cast.map_or(0, |device| device.votes);
        // are_we_quorate: from a start on, `wait_for_all` wants every vote that is expected.
        let all = if self.wait_for_all { self.expected } else { 0 };
        let needed = self.needed_by(self.nodes.len()).max(all);
        if present < needed { Err(Unclear::NeverQuorate { present, needed }) } else { Ok(()) }
    }
}

pub(super) fn has(findings: &[Finding], code: &str) -> bool {
    findings.iter().any(|found| found.code.name == code)
}

/// Both take `expected_votes` from a file of each host's own, which remembers the highest number that it saw.
fn refuse_memory(overview: &Overview) -> Result<(), Unclear> {
    for key in ["quorum.allow_downscale", "quorum.expected_votes_tracking"] {
        let is_on = written(overview, key).is_some_and(|value| value != "0");
        if is_on {
            let why = "what is expected then hangs on what each host remembers in \
                       /var/lib/corosync/ev_tracking";
            return Err(Unclear::NotForetold { key: key.to_owned(), why });
        }
    }
    Ok(())
}

fn written<'a>(overview: &'a Overview, key: &str) -> Option<&'a str> {
    overview.rest.iter().find(|row| row.key == key).map(|row| row.value.as_str())
}

fn voters(nodes: &[NodeView]) -> Result<Vec<Voter>, Unclear> {
    let voter = |(at, node): (usize, &NodeView)| {
        let id = node.id.and_then(|id| NodeId::try_from(id).ok());
        let (Some(id), Some(name)) = (id, node.name.clone()) else {
            return Err(Unclear::Nameless(at + 1));
        };
        Ok(Voter { id, name, votes: node.votes.value })
    };
    let mut voters = nodes.iter().enumerate().map(voter).collect::<Result<Vec<_>, _>>()?;
    voters.sort_by_key(|voter| voter.id);
    if voters.is_empty() { Err(Unclear::NoNodes) } else { Ok(voters) }
}

fn links(overview: &Overview) -> BTreeSet<LinkNumber> {
    let used = overview.links.iter().filter(|link| link.nodes > 0);
    used.filter_map(|link| LinkNumber::try_from(link.number).ok()).collect()
}

/// votequorum turns it off as soon as it hears of a node with more than one vote.
fn last_man_standing(overview: &Overview, nodes: &[Voter]) -> Option<u64> {
    const WINDOW_MILLIS: u64 = 10_000;
    let QuorumView { last_man_standing, .. } = &overview.quorum;
    let is_on = *last_man_standing && nodes.iter().all(|node| node.votes <= 1);
    let window = written(overview, "quorum.last_man_standing_window");
    is_on.then(|| window.and_then(|window| window.parse().ok()).unwrap_or(WINDOW_MILLIS))
}

/// What is written. A word that is neither of the two nor begins with a number turns it off
/// (`parse_atb_string`).
fn tie_breaker(overview: &Overview) -> Option<TieBreaker> {
    if !overview.quorum.auto_tie_breaker {
        return None;
    }
    match written(overview, "quorum.auto_tie_breaker_node") {
        None | Some("lowest") => Some(TieBreaker::Lowest),
        Some("highest") => Some(TieBreaker::Highest),
        Some(list) => {
            let ids = list.split_ascii_whitespace().map_while(|id| id.parse().ok());
            let ids: Vec<u32> = ids.take_while(|id| *id > 0).collect();
            (!ids.is_empty()).then_some(TieBreaker::List(ids))
        }
    }
}

/// The findings about votes that explain an outcome which the file does not promise.
fn notes(findings: &[Finding]) -> Vec<String> {
    const CODES: [&str; 8] = [
        "tie-breaker-off",
        "two-node-ignored",
        "two-node-splits",
        "device-without-model",
        "device-without-host",
        "ffsplit-votes",
        "ffsplit-node-votes",
        "expected-votes-too-high",
    ];
    let told = findings.iter().filter(|found| CODES.contains(&found.code.name));
    told.map(|found| found.message.clone()).collect()
}
