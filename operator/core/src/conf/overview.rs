//! A file as people look at it: nodes, links, timers, votes, with the defaults that hold where it
//! says nothing. For any file, of any dialect.
//!
//! Owns the selection and the effective values; how they are laid out is the caller's business.

use std::collections::BTreeMap;

use serde::Serialize;

use super::dialect::Dialect;
use super::document::Document;
use super::effective::{
    Encryption, FIRST_PORT, PONG_COUNT, Timers, Valued, Votes, default_port, pings_millis, u32_of,
};
use super::keys::{Key, Kind, Standing, find, sections};
use super::settings::{Keys, NodeSettings, Settings, read_number};
use crate::ids::LinkNumber;

/// What a corosync.conf makes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Which corosync it was written for.
    pub dialect: Dialect,
    /// `totem.cluster_name`.
    pub cluster_name: Option<String>,
    /// `totem.config_version` as corosync reads it; 0 where it is missing.
    pub config_version: Valued<u64>,
    /// What holds for all links.
    pub totem: TotemView,
    /// The links that nodes have addresses on or that the file speaks of, in their order.
    pub links: Vec<LinkView>,
    /// The nodes, in file order.
    pub nodes: Vec<NodeView>,
    /// Votes and what they are counted by.
    pub quorum: QuorumView,
    /// The `logging` section; what single subsystems differ in is in `rest`.
    pub logging: Vec<Row>,
    /// Everything else that the file says, known to corosync or not.
    pub rest: Vec<Row>,
    /// Lines whose value is no number, though their key takes one. Defaults are shown for them.
    pub unreadable: Vec<Row>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The names of its sections and its own, with dots.
    pub key: String,
    /// The value.
    pub value: String,
    /// The line, counted from 1; `None`: the file does not write it and this is the default.
    pub line: Option<usize>,
    /// Whether somebody reads such a key.
    pub is_known: bool,
}

/// What holds for all links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TotemView {
    /// `transport`.
    pub transport: Valued<String>,
    /// `ip_version`: which addresses host names are resolved to.
    pub ip_version: Valued<String>,
    /// `link_mode` of knet.
    pub link_mode: Option<Valued<String>>,
    /// What the traffic is protected with.
    pub crypto: Encryption,
    /// The times that a failure is noticed by.
    #[serde(flatten)]
    pub timers: Timers,
}

/// One link; corosync 2 calls it a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    /// Its number.
    pub number: u32,
    /// How many nodes have an address on it.
    pub nodes: usize,
    /// Whether the file has an interface section for it.
    pub has_interface: bool,
    /// The UDP port: by default 5405 and the link's number with knet, 5405 without.
    pub port: Valued<u64>,
    /// What knet does with it; `None` without knet.
    pub knet: Option<KnetView>,
}

/// What knet does with one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnetView {
    /// `knet_link_priority`: the higher is preferred (pve.md 0.4).
    pub priority: Valued<u64>,
    /// `knet_ping_interval` in milliseconds; by default made of the token.
    pub ping_interval_millis: Valued<u64>,
    /// `knet_ping_timeout` in milliseconds; by default made of the token.
    pub ping_timeout_millis: Valued<u64>,
    /// `knet_pong_count`.
    pub pong_count: Valued<u64>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// `name`.
    pub name: Option<String>,
    /// `nodeid`.
    pub id: Option<u32>,
    /// `quorum_votes`.
    pub votes: Valued<u64>,
    /// Its addresses by link.
    pub addresses: BTreeMap<u32, String>,
}

/// Votes, and how they are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuorumView {
    /// `provider`; without one nothing is counted.
    pub provider: Option<String>,
    /// The votes.
    #[serde(flatten)]
    pub votes: Votes,
    /// `two_node`.
    pub two_node: bool,
    /// `wait_for_all`: by default that of `two_node`.
    pub wait_for_all: Valued<bool>,
    /// `last_man_standing`.
    pub last_man_standing: bool,
    /// `auto_tie_breaker`.
    pub auto_tie_breaker: bool,
    /// The `device` section with what is inside, defaults included. Empty without a device.
    pub device: Vec<Row>,
}

impl Overview {
    /// Looks at a document. Lines that corosync would stop at ([`Document::problems`]) are passed
    /// over.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let settings = Settings::of(document);
        let timers = Timers::of(&settings);
        Self {
            dialect: settings.dialect,
            cluster_name: settings.totem("cluster_name").map(ToOwned::to_owned),
            config_version: Valued::new(settings.number("totem", "config_version"), 0),
            totem: totem(&settings, timers),
            links: links(&settings, &timers),
            nodes: settings.nodes.iter().map(node).collect(),
            quorum: quorum(&settings),
            logging: rows(&settings, "logging"),
            rest: rest(&settings),
            unreadable: unreadable(&settings),
        }
    }
}

fn totem(settings: &Settings, timers: Timers) -> TotemView {
    let word = |key: &str, default: &str| {
        Valued::new(settings.totem(key).map(ToOwned::to_owned), default.to_owned())
    };
    let (transport, ip_version) = match settings.dialect {
        Dialect::Corosync2 => ("udp", "ipv4"),
        Dialect::Udp => ("knet", "ipv4"),
        Dialect::Knet | Dialect::Udpu => ("knet", "ipv6-4"),
    };
    TotemView {
        transport: word("transport", transport),
        ip_version: word("ip_version", ip_version),
        link_mode: (settings.dialect == Dialect::Knet).then(|| word("link_mode", "passive")),
        crypto: Encryption::of(settings),
        timers,
    }
}

fn links(settings: &Settings, timers: &Timers) -> Vec<LinkView> {
    let mut numbers = settings.links();
    numbers.extend(settings.interfaces.keys());
    let link = |number: u32| {
        let keys = settings.interfaces.get(&number);
        let is_on = |node: &&NodeSettings| node.addresses().contains_key(&number);
        let value = |key: &str| read_number("totem.interface", key, &keys?.get(key)?.value);
        let is_knet = settings.dialect == Dialect::Knet;
        let port = match LinkNumber::try_from(number) {
            Ok(link) if is_knet => default_port(link),
            Ok(_) | Err(_) => FIRST_PORT,
        };
        LinkView {
            number,
            nodes: settings.nodes.iter().filter(is_on).count(),
            has_interface: keys.is_some(),
            port: Valued::new(value("mcastport"), u64::from(port)),
            knet: is_knet.then(|| knet(&value, timers.token_effective_millis)),
        }
    };
    numbers.into_iter().map(link).collect()
}

/// pve.md 2.5: the pings are made of the token unless both are written.
fn knet(value: &impl Fn(&str) -> Option<u64>, token_millis: u64) -> KnetView {
    let not_zero = |key: &str| value(key).filter(|number| *number > 0);
    let pong_count = Valued::new(not_zero("knet_pong_count"), u64::from(PONG_COUNT));
    let (interval, timeout) = pings_millis(u32_of(token_millis), u32_of(pong_count.value));
    let time = |key: &str, default: u32| Valued::new(not_zero(key), u64::from(default));
    KnetView {
        priority: Valued::new(value("knet_link_priority"), 1),
        ping_interval_millis: time("knet_ping_interval", interval),
        ping_timeout_millis: time("knet_ping_timeout", timeout),
        pong_count,
    }
}

fn node(settings: &NodeSettings) -> NodeView {
    let address = |(link, address): (u32, &str)| (link, address.to_owned());
    let written = settings.keys.contains_key("quorum_votes");
    NodeView {
        name: settings.name().map(ToOwned::to_owned),
        id: settings.id(),
        votes: Valued { value: settings.votes(), is_default: !written },
        addresses: settings.addresses().into_iter().map(address).collect(),
    }
}

fn quorum(settings: &Settings) -> QuorumView {
    let flag = |key: &str| settings.number("quorum", key).map(|value| value > 0);
    let two_node = flag("two_node").unwrap_or(false);
    let device = ["quorum.device", "quorum.device.net", "quorum.device.heuristics"];
    let device = if settings.has_device() { &device[..] } else { &[] };
    QuorumView {
        provider: settings.value("quorum", "provider").map(ToOwned::to_owned),
        votes: Votes::of(settings),
        two_node,
        wait_for_all: Valued::new(flag("wait_for_all"), two_node),
        last_man_standing: flag("last_man_standing").unwrap_or(false),
        auto_tie_breaker: flag("auto_tie_breaker").unwrap_or(false),
        device: device.iter().flat_map(|section| rows(settings, section)).collect(),
    }
}

/// The known keys of a section with their values or defaults; an old name only where it is written.
fn rows(settings: &Settings, section: &str) -> Vec<Row> {
    let known = sections().filter(|known| known.path == section).flat_map(|known| known.keys);
    let row = |key: &Key| {
        let written = settings.written(section, key.name);
        let value = written.map_or(key.default, |written| &written.value).to_owned();
        let key = format!("{section}.{}", key.name);
        Row { key, value, line: written.map(|written| written.line), is_known: true }
    };
    let is_told = |key: &&Key| {
        let is_old = key.standing == Standing::OldName;
        !key.name.ends_with('*') && (!is_old || settings.written(section, key.name).is_some())
    };
    known.filter(is_told).map(row).collect()
}

/// What has its own place in the overview.
fn is_shown(section: &str, key: &str) -> bool {
    const TOTEM: [&str; 11] = [
        "version",
        "cluster_name",
        "config_version",
        "transport",
        "ip_version",
        "link_mode",
        "secauth",
        "crypto_cipher",
        "crypto_hash",
        "token",
        "token_coefficient",
    ];
    const QUORUM: [&str; 6] = [
        "provider",
        "expected_votes",
        "two_node",
        "wait_for_all",
        "last_man_standing",
        "auto_tie_breaker",
    ];
    const INTERFACE: [&str; 7] = [
        "linknumber",
        "ringnumber",
        "mcastport",
        "knet_link_priority",
        "knet_ping_interval",
        "knet_ping_timeout",
        "knet_pong_count",
    ];
    match section {
        "totem" => TOTEM.contains(&key) || key == "consensus",
        "quorum" => QUORUM.contains(&key),
        "totem.interface" => INTERFACE.contains(&key),
        "nodelist.node" => find(section, key).is_some(),
        // A command of the heuristics is one of many names, so it is not among the rows.
        "quorum.device" | "quorum.device.net" | "quorum.device.heuristics" | "logging" => {
            find(section, key).is_some_and(|known| !known.name.ends_with('*'))
        }
        _ => false,
    }
}

fn rest(settings: &Settings) -> Vec<Row> {
    all_rows(settings)
        .filter(|(section, name, _)| !is_shown(section, name))
        .map(|(.., row)| row)
        .collect()
}

fn unreadable(settings: &Settings) -> Vec<Row> {
    let is_bad = |(section, name, row): &(&str, &str, Row)| match find(section, name)
        .map(|k| k.kind)
    {
        Some(Kind::Number(number)) => number.width.read(row.value.as_bytes()).is_none(),
        Some(Kind::OneOf(_) | Kind::Words { .. } | Kind::Address | Kind::Text(_)) | None => false,
    };
    all_rows(settings).filter(is_bad).map(|(.., row)| row).collect()
}

/// Every key of the file, with its section and name as the inventory knows them.
fn all_rows(settings: &Settings) -> impl Iterator<Item = (&str, &str, Row)> {
    let nodes = settings
        .nodes
        .iter()
        .map(|node| ("nodelist.node", format!("nodelist.node[{}]", node.label()), &node.keys));
    let interfaces = settings
        .interfaces
        .iter()
        .map(|(link, keys)| ("totem.interface", format!("totem.interface[{link}]"), keys));
    let others = settings
        .others
        .iter()
        .map(|(place, keys)| (place.section.as_str(), place.to_string(), keys));
    nodes
        .chain(interfaces)
        .chain(others)
        .flat_map(|(section, place, keys)| rows_of(section, &place, keys))
}

fn rows_of<'a>(section: &'a str, place: &str, keys: &'a Keys) -> Vec<(&'a str, &'a str, Row)> {
    let row = |name: &'a String, written: &super::settings::Written| {
        let key = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        let is_known = find(section, name).is_some();
        let row = Row { key, value: written.value.clone(), line: Some(written.line), is_known };
        (section, name.as_str(), row)
    };
    keys.iter().map(|(name, written)| row(name, written)).collect()
}
