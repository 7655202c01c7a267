//! What each change makes of a document.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use pvecm_core::conf::edit::{
    add_link, add_node, remove_link, remove_node, set, set_priority, unset,
};
use pvecm_core::conf::{Config, Document, LinkOptions, NodeEntry, carried};
use pvecm_core::ids::{NodeId, NodeName};

use super::flags::{Key, NewLink, NewNode, Priority, Setting, Step, Steps};

impl Steps {
    /// The document after all changes. What was filled in on the way goes to the notes.
    pub(super) fn make(&self, document: &Document, notes: &mut Vec<String>) -> Result<Document> {
        let start = document.clone();
        self.0.iter().try_fold(start, |document, step| make(&document, step, notes))
    }
}

fn make(document: &Document, step: &Step, notes: &mut Vec<String>) -> Result<Document> {
    let made = match step {
        Step::Set(Setting { key: Key { path, name }, value }) => set(document, path, name, value),
        Step::Unset(Key { path, name }) => unset(document, path, name),
        Step::AddLink(link) => {
            let addresses = addresses(document, link, notes)?;
            add_link(document, link.number, &addresses, &LinkOptions::default())
        }
        Step::RemoveLink(link) => remove_link(document, *link),
        Step::Priority(Priority { link, value }) => set_priority(document, *link, *value),
        Step::AddNode(node) => add_node(document, &entry(document, node, notes)?),
        Step::RemoveNode(name) => remove_node(document, id_of(&Config::read(document)?, name)?),
    };
    Ok(made?)
}

/// Where every node is to be on a new link: as typed, else inside the network.
fn addresses(
    document: &Document,
    link: &NewLink,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<NodeId, String>> {
    let config = Config::read(document)?;
    let mut addresses = BTreeMap::new();
    for typed in &link.addresses {
        let id = id_of(&config, &typed.node)?;
        if addresses.insert(id, typed.address.clone()).is_some() {
            bail!("node {} is given two addresses on link {}", typed.node, link.number);
        }
        let outside =
            |net: &IpNet| typed.address.parse().is_ok_and(|ip: IpAddr| !net.contains(&ip));
        if let Some(network) = link.network.as_ref().filter(|network| outside(network)) {
            bail!("{} of node {} is not in {network}", typed.address, typed.node);
        }
    }
    let missing: Vec<_> = config.nodes.iter().filter(|n| !addresses.contains_key(&n.id)).collect();
    let Some(network) = link.network.filter(|_| !missing.is_empty()) else {
        return Ok(addresses);
    };
    let number = link.number;
    let carried = carried(&config, network)
        .with_context(|| format!("no addresses on link {number} follow from {network}"))?;
    for node in missing {
        let address = carried[&node.id].clone();
        notes.push(format!("link {number}: node {} gets {address}", node.name));
        addresses.insert(node.id, address);
    }
    Ok(addresses)
}

fn entry(document: &Document, node: &NewNode, notes: &mut Vec<String>) -> Result<NodeEntry> {
    let NewNode { name, id, votes, addresses } = node;
    let id = if let Some(id) = id {
        *id
    } else {
        let id = lowest_free(&Config::read(document)?)?;
        notes.push(format!("node {name} gets nodeid {id}, the lowest free one"));
        id
    };
    let mut by_link = BTreeMap::new();
    for (link, address) in addresses {
        if by_link.insert(*link, address.clone()).is_some() {
            bail!("node {name} is given two addresses on link {link}");
        }
    }
    Ok(NodeEntry { name: name.clone(), id, votes: *votes, addresses: by_link })
}

fn lowest_free(config: &Config) -> Result<NodeId> {
    let mut ids = (1..=u32::from(u16::MAX)).filter_map(|id| NodeId::try_from(id).ok());
    ids.find(|id| config.node(*id).is_none()).context("no nodeid is free")
}

fn id_of(config: &Config, name: &NodeName) -> Result<NodeId> {
    let found = config.nodes.iter().find(|node| node.name == *name).map(|node| node.id);
    found.with_context(|| {
        let known: Vec<_> = config.nodes.iter().map(|node| node.name.as_str()).collect();
        format!("there is no node {name}; these are: {}", known.join(", "))
    })
}
