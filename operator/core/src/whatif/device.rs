//! The device of the `quorum` section, and to whom QNetd gives its vote.

use std::collections::BTreeSet;

use super::electorate::{Electorate, Unclear, has};
use super::event::Side;
use crate::conf::lint::Finding;
use crate::conf::overview::QuorumView;
use crate::ids::NodeId;

/// A QDevice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its votes, which are expected whether they are cast or not.
    pub votes: u64,
    /// How QNetd chooses.
    pub algorithm: Algorithm,
    /// Whom it chooses when all else is equal.
    pub preferred: Preferred,
    /// Why every corosync-qdevice ends at start, so that the votes are never cast.
    pub never_votes: Option<String>,
}

/// How QNetd chooses the part that gets the vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The part with more than half of the nodes; of two halves one.
    FfSplit,
    /// The part of which most nodes reach it.
    Lms,
}

/// `tie_breaker` of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preferred {
    /// The lowest id.
    Lowest,
    /// The highest id.
    Highest,
    /// This id.
    Node(u32),
}

impl Device {
    pub(super) fn of(quorum: &QuorumView, findings: &[Finding]) -> Result<Option<Self>, Unclear> {
        let Some(votes) = &quorum.votes.device_votes else { return Ok(None) };
        let value = |key: &str| {
            let row = quorum.device.iter().find(|row| row.key == format!("quorum.device.{key}"));
            // A row without a line has the words of a default, which are for people.
            row.filter(|row| row.line.is_some()).map(|row| row.value.as_str())
        };
        let not_foretold = |key: &str, value: &str, why| {
            Err(Unclear::NotForetold { key: format!("quorum.device.{key}: {value}"), why })
        };
        match value("model") {
            Some("net") => {}
            other => {
                let why = "only the model net is known";
                return not_foretold("model", other.unwrap_or_default(), why);
            }
        }
        let algorithm = match value("net.algorithm") {
            None | Some("ffsplit") => Algorithm::FfSplit,
            Some("lms") => Algorithm::Lms,
            Some(other) => {
                let why = "of QNetd's algorithms Proxmox VE uses ffsplit and lms, and only they are known";
                return not_foretold("net.algorithm", other, why);
            }
        };
        let preferred = match value("net.tie_breaker") {
            None | Some("lowest") => Preferred::Lowest,
            Some("highest") => Preferred::Highest,
            Some(word) => {
                let Ok(id) = word.parse() else {
                    let why = "corosync-qdevice takes lowest, highest or a node id";
                    return not_foretold("net.tie_breaker", word, why);
                };
                Preferred::Node(id)
            }
        };
        let ends = ["ffsplit-votes", "ffsplit-node-votes", "device-without-host"];
        let ends =
            findings.iter().find(|found| ends.iter().any(|code| has(&[(*found).clone()], code)));
        let never_votes = ends.map(|found| found.message.clone());
        Ok(Some(Self { votes: votes.value, algorithm, preferred, never_votes }))
    }

    /// The nodes that count the device's votes once QNetd has heard from everybody that reaches it.
    pub(super) fn counted_by(
        &self,
        electorate: &Electorate,
        sides: &[Side],
    ) -> Result<BTreeSet<NodeId>, Unclear> {
        if self.never_votes.is_some() {
            return Ok(BTreeSet::new());
        }
        let heard: Vec<&Side> = sides.iter().filter(|side| side.reaches_witness).collect();
        match self.algorithm {
            Algorithm::FfSplit => self.of_halves(electorate, &heard),
            Algorithm::Lms => Ok(self.of_most(&heard)),
        }
    }

    /// The part with more than half of the listed nodes, else the better half: with an odd number there are no halves
    /// (`qnetd_algo_ffsplit_partition_cmp`). Heuristics are taken to pass everywhere.
    fn of_halves(&self, all: &Electorate, heard: &[&Side]) -> Result<BTreeSet<NodeId>, Unclear> {
        let nodes = all.nodes.len();
        let has_half = |side: &&&Side| side.members.len() * 2 >= nodes + nodes % 2;
        match heard.iter().filter(has_half).copied().collect::<Vec<_>>()[..] {
            [] => Ok(BTreeSet::new()),
            [one] => Ok(one.members.clone()),
            [first, second, ..] => {
                let preferred = match self.preferred {
                    Preferred::Lowest => all.nodes.first().map(|node| node.id.get()),
                    Preferred::Highest => all.nodes.last().map(|node| node.id.get()),
                    Preferred::Node(id) => Some(id),
                };
                let holds = |side: &Side| side.members.iter().any(|id| Some(id.get()) == preferred);
                match [first, second].into_iter().find(|side| holds(side)) {
                    Some(side) => Ok(side.members.clone()),
                    None => Err(Unclear::NotForetold {
                        key: "quorum.device.net.tie_breaker".to_owned(),
                        why: "it names no node of the list, so that of two halves the one wins whose \
                              corosync-qdevice came first",
                    }),
                }
            }
        }
    }

    /// The part of which most nodes reach QNetd, which counts those and no others (`do_lms_algorithm`).
    fn of_most(&self, heard: &[&Side]) -> BTreeSet<NodeId> {
        let most = heard.iter().map(|side| side.members.len()).max().unwrap_or_default();
        let largest: Vec<_> = heard.iter().filter(|side| side.members.len() == most).collect();
        if let [one] = largest[..] {
            return one.members.clone();
        }
        let ids = heard.iter().flat_map(|side| side.members.iter().copied());
        // The part of that node gets it, even when it is smaller than those that are equal.
        let part_of = |id: Option<NodeId>| {
            let side = heard.iter().find(|side| id.is_some_and(|id| side.members.contains(&id)));
            side.map(|side| side.members.clone()).unwrap_or_default()
        };
        match self.preferred {
            Preferred::Lowest => part_of(ids.min()),
            Preferred::Highest => part_of(ids.max()),
            // QNetd 3.0.3 answers that node alone: it looks for a node's part only under `lowest` and `highest`.
            Preferred::Node(id) => ids.filter(|other| other.get() == id).collect(),
        }
    }
}
