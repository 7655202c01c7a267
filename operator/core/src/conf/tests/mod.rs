//! Tests of the document model.

mod edits;
mod forming;

use std::collections::BTreeMap;

use super::{Document, Formation, LinkOptions, NodeEntry};
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
        token_coefficient_millis: 125,
    }
}

pub(super) fn formed(formation: &Formation) -> Document {
    Document::parse(&super::form(formation).unwrap())
}

pub(super) fn as_text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}
