//! The text of a new cluster, as `pvecm create` of Proxmox VE 9 writes it (pve.md 1.4, 2.1).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::config::Config;
use super::document::Document;
use super::logging::{Debugging, LoggingOptions, Switch};
use super::options::{LinkOptions, TotemOptions};
use super::values::{ConfError, check_writable};
use crate::ids::{ClusterName, ConfigVersion, LinkNumber, NodeId, NodeName};

/// What a new cluster is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formation {
    /// `totem.cluster_name`.
    pub cluster_name: ClusterName,
    /// The first `config_version`; Proxmox VE begins with 1.
    pub version: ConfigVersion,
    /// The nodes, each with an address on every link. Written in the order of their names.
    pub nodes: Vec<NodeEntry>,
    /// The links with what is set for them.
    pub links: BTreeMap<LinkNumber, LinkOptions>,
    /// What is set in `totem` besides what `pvecm create` writes. A `token_coefficient` that is left
    /// out is 125 milliseconds, as Proxmox VE 9.1 writes it (pve.md 1.3).
    pub totem: TotemOptions,
    /// What is set in `logging`; the rest of it is as `pvecm create` writes it.
    pub logging: LoggingOptions,
}

/// One node as it is to stand in the nodelist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The machine's host name.
    pub name: NodeName,
    /// Its number, at most 65535.
    pub id: NodeId,
    /// `quorum_votes`.
    pub votes: u32,
    /// Its address on every link.
    pub addresses: BTreeMap<LinkNumber, String>,
}

impl NodeEntry {
    /// The keys of the node's section, in Proxmox VE's order.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("name", self.name.to_string()),
            ("nodeid", self.id.to_string()),
            ("quorum_votes", self.votes.to_string()),
        ];
        let address =
            |(link, address): (&LinkNumber, &String)| (address_key(*link), address.clone());
        fixed.into_iter().chain(self.addresses.iter().map(address)).collect()
    }
}

/// The key of a node's address on a link.
pub(super) fn address_key(link: LinkNumber) -> &'static str {
    const KEYS: [&str; 8] = [
        "ring0_addr",
        "ring1_addr",
        "ring2_addr",
        "ring3_addr",
        "ring4_addr",
        "ring5_addr",
        "ring6_addr",
        "ring7_addr",
    ];
    KEYS[usize::from(link.get())]
}

/// The keys of a link's interface section, in Proxmox VE's order (bytewise).
pub(super) fn interface_pairs(
    link: LinkNumber,
    options: &LinkOptions,
) -> Vec<(&'static str, String)> {
    let mut pairs = options.pairs();
    pairs.push(("linknumber", link.to_string()));
    pairs.sort();
    pairs
}

/// The text of a new cluster's corosync.conf. An error when the parts make no cluster that
/// [`Config::read`] understands (no node, an address missing, an id twice ...).
///
/// Unlike `pvecm create` it writes a priority of 0 where 0 is asked for: corosync takes 0 for 1.
pub fn form(formation: &Formation) -> Result<Vec<u8>, ConfError> {
    for (link, address) in formation.nodes.iter().flat_map(|node| &node.addresses) {
        check_writable(address_key(*link), address)?;
    }
    let text = write(formation);
    let config = Config::read(&Document::parse(text.as_bytes()))?;
    // A link that no node has an address on would be an interface section without a link.
    for (node, link) in
        config.nodes.iter().flat_map(|n| formation.links.keys().map(move |l| (n, l)))
    {
        if !node.addresses.contains_key(link) {
            return Err(ConfError::UnevenLinks { line: node.line, node: node.id, link: *link });
        }
    }
    Ok(text.into_bytes())
}

fn write(formation: &Formation) -> String {
    let mut nodes: Vec<&NodeEntry> = formation.nodes.iter().collect();
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    // PVE refuses addnode when a link has an address but no interface section (pve.md 2.3).
    let mut links = formation.links.clone();
    for link in nodes.iter().flat_map(|node| node.addresses.keys()) {
        links.entry(*link).or_default();
    }

    let LoggingOptions { debug, syslog_priority, to_syslog } = formation.logging;
    let logging = LoggingOptions {
        debug: debug.or(Some(Debugging::Off)),
        syslog_priority,
        to_syslog: to_syslog.or(Some(Switch::Yes)),
    };
    let mut text = String::from("logging {\n");
    for (key, value) in &logging.pairs() {
        push_pair(&mut text, 1, (key, value));
    }
    text.push_str("}\n\nnodelist {\n");
    for node in nodes {
        push_section(&mut text, "node", &node.pairs());
    }
    text.push_str("}\n\nquorum {\n  provider: corosync_votequorum\n}\n\ntotem {\n");
    // Bytewise, as Proxmox VE sorts; `interface` is one of the names.
    let keys = totem_keys(formation);
    for (key, value) in keys.range(.."interface") {
        push_pair(&mut text, 1, (key, value));
    }
    for (link, options) in &links {
        push_section(&mut text, "interface", &interface_pairs(*link, options));
    }
    for (key, value) in keys.range("interface"..) {
        push_pair(&mut text, 1, (key, value));
    }
    text.push_str("}\n\n");
    text
}

fn totem_keys(formation: &Formation) -> BTreeMap<&'static str, String> {
    let mut keys = BTreeMap::from([
        ("cluster_name", formation.cluster_name.to_string()),
        ("config_version", formation.version.to_string()),
        ("ip_version", "ipv4-6".to_owned()),
        ("link_mode", "passive".to_owned()),
        ("secauth", "on".to_owned()),
        ("token_coefficient", "125".to_owned()),
        ("version", "2".to_owned()),
    ]);
    keys.extend(formation.totem.pairs().into_iter().filter_map(|(key, v)| Some((key, v?))));
    keys
}

fn push_section(text: &mut String, name: &str, pairs: &[(&str, String)]) {
    text.push_str("  ");
    text.push_str(name);
    text.push_str(" {\n");
    for (key, value) in pairs {
        push_pair(text, 2, (key, value));
    }
    text.push_str("  }\n");
}

fn push_pair(text: &mut String, depth: usize, (key, value): (&str, &str)) {
    writeln!(text, "{:1$}{key}: {value}", "", 2 * depth).expect("writing to a String never fails");
}
