//! A file for corosync 2, or for udp and udpu, as a file for knet.
//!
//! Owns what carries over and how. Touches only lines that mean something else to knet: comments,
//! order, spacing and unknown keys stay. Never guesses an id or an address, and never raises
//! `config_version`: that is [`super::edit::set_version`], once per text.

mod steps;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;

use super::config::Config;
use super::dialect::Dialect;
use super::document::{Document, SectionView};
use super::effective::{Encryption, Timers};
use super::scan::Problem;
use super::settings::{NodeSettings, Settings};
use steps::Steps;

/// A file that was made fit for knet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The new text. Without steps it is the old one.
    pub document: Document,
    /// What was changed, in file order.
    pub steps: Vec<Step>,
    /// What a person has to know before the file is used.
    pub remarks: Vec<String>,
}

/// One change of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The line of the old file, counted from 1; `None`: something new that belongs to none.
    pub line: Option<usize>,
    /// What was done and why, in one sentence.
    pub what: String,
}

/// Why a file cannot become a knet file. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// corosync itself refuses the text.
    #[error("corosync refuses this file: {0}")]
    Refused(#[from] Problem),
    /// corosync 2 finds its members by multicast; knet has to be told (corosync.md 11).
    #[error(
        "the file lists no nodes: knet needs every node with its id and addresses in a nodelist, \
         and nothing in this file names them"
    )]
    NoNodelist,
    /// Neither knet nor anything that becomes it.
    #[error("line {line}: transport {transport} has no counterpart in knet")]
    Transport {
        /// The key's line.
        line: usize,
        /// Its value.
        transport: String,
    },
    /// corosync 2 makes ids of addresses, which are too long for knet.
    #[error(
        "line {line}: node {node} has no nodeid: knet needs one from 1 to 65535, and it must be the \
         one that the node has kept in its own files"
    )]
    NoNodeId {
        /// The line that opens the node's section.
        line: usize,
        /// The node, by name or address.
        node: String,
    },
    /// `Knet requires nodeid to be less than 65536`.
    #[error("line {line}: node {node} has nodeid {id}: knet takes 1 to 65535")]
    NodeIdTooLarge {
        /// The line that opens the node's section.
        line: usize,
        /// The node, by name or address.
        node: String,
        /// Its id.
        id: u32,
    },
    /// `Nodeid N appears twice in corosync.conf`.
    #[error("line {line}: nodeid {id} is there a second time")]
    NodeIdTwice {
        /// The line that opens the second node's section.
        line: usize,
        /// The id.
        id: u32,
    },
    /// `for a multi-link configuration, all nodes must have a 'name' attribute`.
    #[error(
        "line {line}: node {node} has no name: with more than one link knet needs it, and an address \
         does not tell it"
    )]
    NoName {
        /// The line that opens the node's section.
        line: usize,
        /// The node, by its address.
        node: String,
    },
    /// `Not all nodes have the same number of links`.
    #[error("line {line}: node {node} has no ring{link}_addr, which other nodes have")]
    UnevenLinks {
        /// The line that opens the node's section.
        line: usize,
        /// The node, by name or address.
        node: String,
        /// The link.
        link: u32,
    },
    /// corosync 2 knows its own address by bindnetaddr alone; knet needs everybody's.
    #[error(
        "line {line}: there is an interface section for ring {ring}, but no node has a \
         ring{ring}_addr: knet cannot know the addresses"
    )]
    RingWithoutAddresses {
        /// The line that opens the section.
        line: usize,
        /// The ring.
        ring: u32,
    },
    /// corosync 2 takes the last of them, knet merges them.
    #[error("line {line}: ring {ring} has a second interface section")]
    RingTwice {
        /// The line that opens the second section.
        line: usize,
        /// The ring.
        ring: u32,
    },
}

/// Makes a knet file of any file that can become one. A knet file comes back as it is, but for
/// leftovers of corosync 2 in it.
pub fn convert(document: &Document) -> Result<Converted, ConvertError> {
    convert_as(document, Dialect::of(document))
}

/// The same of a file that corosync 3 runs, whatever it was written for: what that one does not encrypt is not
/// encrypted by a conversion.
pub fn convert_running(document: &Document) -> Result<Converted, ConvertError> {
    convert_as(document, Dialect::of_corosync3(document))
}

fn convert_as(document: &Document, dialect: Dialect) -> Result<Converted, ConvertError> {
    if let Some(problem) = document.problems().first() {
        return Err(problem.clone().into());
    }
    let settings = Settings { dialect, ..Settings::of(document) };
    check_nodes(&settings)?;
    let interfaces = numbered_interfaces(document, &settings)?;
    let mut steps = Steps::new(document, settings.dialect);
    for totem in document.root().sections("totem") {
        steps.totem(&totem)?;
    }
    for (ring, section) in &interfaces {
        steps.interface(*ring, section);
    }
    let rings = interfaces.into_iter().map(|(ring, _)| ring).collect();
    name_nodes(document, &settings, &mut steps)?;
    if let Some(totem) = document.root().sections("totem").next() {
        steps.missing_interfaces(&totem, &settings.links(), &rings);
        if settings.dialect == Dialect::Corosync2 {
            steps.crypto(&totem, &settings);
        }
        if matches!(settings.dialect, Dialect::Corosync2 | Dialect::Udp) {
            steps.ip_version(&totem, &settings);
        }
    }
    let (document, steps) = steps.finish();
    let remarks = remarks(&settings, &document);
    Ok(Converted { document, steps, remarks })
}

/// What knet needs of every node and nothing can make up.
fn check_nodes(settings: &Settings) -> Result<(), ConvertError> {
    let links = settings.links();
    if links.is_empty() {
        return Err(ConvertError::NoNodelist);
    }
    let mut ids = BTreeSet::new();
    for node in &settings.nodes {
        let line = node.line;
        let id = match node.id() {
            None | Some(0) => return Err(ConvertError::NoNodeId { line, node: node.label() }),
            Some(id @ 1..=65_535) => id,
            Some(id) => {
                return Err(ConvertError::NodeIdTooLarge { line, node: node.label(), id });
            }
        };
        if !ids.insert(id) {
            return Err(ConvertError::NodeIdTwice { line, id });
        }
        let addresses = node.addresses();
        if let Some(link) = links.iter().find(|link| !addresses.contains_key(link)) {
            return Err(ConvertError::UnevenLinks { line, node: node.label(), link: *link });
        }
    }
    Ok(())
}

/// The interface sections with their rings, each of which must be a link of the nodes.
fn numbered_interfaces<'a>(
    document: &'a Document,
    settings: &Settings,
) -> Result<Vec<(u32, SectionView<'a>)>, ConvertError> {
    let links = settings.links();
    let mut found: Vec<(u32, SectionView<'a>)> = Vec::new();
    let totem = document.root().sections("totem");
    for section in totem.flat_map(|totem| totem.sections("interface")) {
        let (line, ring) = (section.line(), steps::ring_of(&section));
        if found.iter().any(|(other, _)| *other == ring) {
            return Err(ConvertError::RingTwice { line, ring });
        }
        if !links.contains(&ring) {
            return Err(ConvertError::RingWithoutAddresses { line, ring });
        }
        found.push((ring, section));
    }
    Ok(found)
}

/// A node's name as its ring address gives it away: Proxmox VE 4 wrote the host name there.
fn derived_name<'a>(node: &NodeSettings, addresses: &'a [&'a str]) -> Option<&'a str> {
    let first = addresses.first().filter(|_| node.name().is_none())?;
    first.parse::<crate::ids::NodeName>().is_ok().then_some(*first)
}

fn name_nodes<'a>(
    document: &'a Document,
    settings: &Settings,
    steps: &mut Steps<'a>,
) -> Result<(), ConvertError> {
    let many = settings.links().len() > 1;
    let nodelists = document.root().sections("nodelist");
    let sections = nodelists.flat_map(|list| list.sections("node"));
    for (node, section) in settings.nodes.iter().zip(sections) {
        let addresses: Vec<&str> = node.addresses().into_values().collect();
        match derived_name(node, &addresses) {
            Some(name) => steps.name(&section, name),
            None if many && node.name().is_none() => {
                return Err(ConvertError::NoName { line: node.line, node: node.label() });
            }
            None => {}
        }
    }
    Ok(())
}

/// What the new file does not show.
fn remarks(old: &Settings, converted: &Document) -> Vec<String> {
    let new = Settings::of(converted);
    let mut remarks = Vec::new();
    let mut say = |text: String| remarks.push(text);
    if old.dialect != Dialect::Knet {
        say("corosync must be stopped on all nodes before the first one starts with this file: knet \
             does not talk to udp or udpu"
            .to_owned());
    }
    if old.dialect == Dialect::Corosync2 {
        say("every node needs corosync 3: corosync 2 does not read this file".to_owned());
    }
    let (before, after) = (Timers::of(old), Timers::of(&new));
    if before.token_millis.is_default && before.token_millis != after.token_millis {
        let (old, new) = (before.token_millis.value, after.token_millis.value);
        say(format!("token is not written: its default goes from {old} to {new} ms"));
    }
    let (token, consensus) = (after.token_effective_millis, after.consensus_millis.value);
    if consensus < token {
        say(format!("consensus, {consensus} ms, is shorter than the token, {token} ms"));
    }
    let (before, after) = (Encryption::of(old), Encryption::of(&new));
    if after.is_plain() {
        say("the traffic stays unencrypted: `secauth: on` and the same /etc/corosync/authkey on all \
             nodes would change that"
            .to_owned());
    } else if before != after {
        say(format!("encryption goes from {before} to {after}"));
    }
    if let Some(mtu) = new.totem("netmtu") {
        say(format!("netmtu {mtu} now limits what is handed to knet, which finds the MTU itself"));
    }
    let unnamed = new.nodes.iter().find(|node| node.name().is_none());
    if let Some(node) = unnamed {
        let label = node.label();
        say(format!("node {label} has no name: Proxmox VE and further links need one"));
    }
    for section in ["qb", "service", "amf", "aisexec"] {
        if new.others.keys().any(|place| place.section == section) {
            say(format!("section {section} stays, but corosync 3 takes no notice of it"));
        }
    }
    if let (None, Err(error)) = (unnamed, Config::read(converted)) {
        say(format!("the file is not yet one that can be managed: {error}"));
    }
    remarks
}
