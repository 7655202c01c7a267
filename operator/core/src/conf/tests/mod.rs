//! Tests of the document model.

mod carried;
mod device;
mod documents;
mod edits;
mod forming;
mod logging;
mod overview;
mod properties;
mod reading;
mod running;
mod transports;

use std::collections::BTreeMap;

use super::{Document, Formation, LinkOptions, LoggingOptions, NodeEntry, TotemOptions};
use crate::ids::{ConfigVersion, LinkNumber, NodeId};

pub(super) fn node_id(id: u32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

pub(super) fn link(number: u32) -> LinkNumber {
    LinkNumber::try_from(number).unwrap()
}

/// A node with the address 10.5L.0.ID on each of these links.
pub(super) fn entry(name: &str, id: u32, links: &[u32]) -> NodeEntry {
    let address = |n: &u32| (link(*n), format!("10.5{n}.0.{id}"));
    NodeEntry {
        name: name.parse().unwrap(),
        id: node_id(id),
        votes: 1,
        addresses: links.iter().map(address).collect(),
    }
}

/// Three nodes on one link, as a new cluster.
pub(super) fn three_nodes() -> Formation {
    Formation {
        cluster_name: "prod".parse().unwrap(),
        version: ConfigVersion(1),
        nodes: (1..=3).map(|id| entry(&format!("n{id}"), id, &[0])).collect(),
        links: BTreeMap::from([(link(0), LinkOptions::default())]),
        totem: TotemOptions::default(),
        logging: LoggingOptions::default(),
    }
}

pub(super) fn formed(formation: &Formation) -> Document {
    Document::parse(&super::form(formation).unwrap())
}

pub(super) fn as_text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

/// A file as a person keeps it: comments, tabs, odd spacing, CRLF in places, no interface section.
pub(super) const BY_HAND: &str = "\
# our cluster, ask Ann\n\
totem {\n\
\tversion: 2\n\
\tcluster_name:prod\n\
\tconfig_version :  41 \n\
}\n\
nodelist {\r\n\
\tnode {\n\
\t\t# the old box\n\
\t\tring0_addr: 10.50.0.1\n\
\t\tname: n1\r\n\
\t\tnodeid: 1\n\
\t}\n\
\x20  node{\n\
\x20    name: n2\n\
\x20    nodeid: 2\n\
\x20    quorum_votes:   2\t\n\
\x20    ring0_addr: 10.50.0.2\n\
\x20  }   \n\
\t# the end\n\
}\n\
quorum {\n\
\tprovider: corosync_votequorum\n\
}\n\
oddity {\n\
}";

pub(super) fn by_hand() -> Document {
    Document::parse(BY_HAND.as_bytes())
}

/// What an edit did, line by line with numbers from 0: `-` what went, `+` what came.
pub(super) fn changed_lines(old: &Document, new: &Document) -> String {
    let (gone, come) = difference(old.as_bytes(), new.as_bytes());
    let show = |sign: char, changed: Vec<(usize, &[u8])>| {
        let line = move |(at, line): (usize, &[u8])| {
            (at, format!("{sign}{at}:{:?}\n", std::str::from_utf8(line).unwrap()))
        };
        changed.into_iter().map(line).collect::<Vec<_>>()
    };
    let all = show('-', gone).into_iter().chain(show('+', come));
    all.map(|(_, line)| line).collect()
}

/// How many lines went and came.
pub(super) fn changed_lines_of_bytes(old: &[u8], new: &[u8]) -> (usize, usize) {
    let (gone, come) = difference(old, new);
    (gone.len(), come.len())
}

type Lines<'a> = Vec<(usize, &'a [u8])>;

/// The lines outside a longest common subsequence, with their numbers.
fn difference<'a>(old: &'a [u8], new: &'a [u8]) -> (Lines<'a>, Lines<'a>) {
    let old: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let new: Vec<&[u8]> = new.split_inclusive(|byte| *byte == b'\n').collect();
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut gone, mut come) = (0, 0, Vec::new(), Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            gone.push((i, old[i]));
            i += 1;
        } else {
            come.push((j, new[j]));
            j += 1;
        }
    }
    (gone, come)
}
