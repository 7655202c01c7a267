//! What a running corosync shows in cmap when a text is in force.
//!
//! Owns the key names and the form of the values; reading cmap is the agent's business. An equal
//! `config_version` alone proves nothing: it is recorded even when other keys of the same file
//! were refused (corosync.md 4).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::config::{Config, Node};
use super::effective::{PONG_COUNT, pings_millis};
use super::form::address_key;
use super::options::{Compression, LinkOptions, TotemOptions};
use crate::ids::LinkNumber;

/// The cmap keys that two texts differ in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedValues {
    /// Keys that must have these values.
    pub set: BTreeMap<String, String>,
    /// Keys that must not be there any more.
    pub gone: BTreeSet<String>,
}

/// The cmap keys that the operator's stages change, with the values that the daemon shows when
/// this text is in force, numbers in decimal. Keys that the file does not write are not in cmap
/// and not here.
#[must_use]
pub fn running_values(config: &Config) -> Vec<(String, String)> {
    values(config).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The name of a cmap key. Those of the nodes are put into words only where that is asked for: a large
/// cluster has hundreds, of which few change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Node(usize, NodeKey),
    Other(String),
}

/// A key of one node in the nodelist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NodeKey {
    Name,
    Id,
    Votes,
    Address(LinkNumber),
}

#[derive(PartialEq, Eq)]
enum Value<'a> {
    Number(u32),
    Text(Cow<'a, str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, key) = match self {
            Self::Node(at, key) => (at, key),
            Self::Other(name) => return f.write_str(name),
        };
        write!(f, "nodelist.node.{at}.")?;
        match key {
            NodeKey::Name => f.write_str("name"),
            NodeKey::Id => f.write_str("nodeid"),
            NodeKey::Votes => f.write_str("quorum_votes"),
            NodeKey::Address(link) => f.write_str(&address_key(*link)),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn values(config: &Config) -> impl Iterator<Item = (Name, Value<'_>)> {
    let nodes = config.nodes.iter().enumerate().flat_map(|(at, node)| {
        node_values(node).map(move |(key, value)| (Name::Node(at, key), value))
    });
    let others = other_values(config).into_iter();
    nodes.chain(others.map(|(key, value)| (Name::Other(key), Value::Text(value.into()))))
}

fn node_values(node: &Node) -> impl Iterator<Item = (NodeKey, Value<'_>)> {
    let text = |text| Value::Text(Cow::Borrowed(text));
    let fixed = [
        Some((NodeKey::Name, text(node.name.as_str()))),
        Some((NodeKey::Id, Value::Number(node.id.get()))),
        node.quorum_votes.map(|votes| (NodeKey::Votes, Value::Number(votes))),
    ];
    let addresses = node.addresses.iter();
    let addresses = addresses.map(move |(link, address)| (NodeKey::Address(*link), text(address)));
    fixed.into_iter().flatten().chain(addresses)
}

/// All but the nodes.
fn other_values(config: &Config) -> Vec<(String, String)> {
    let mut values = vec![("totem.config_version".to_owned(), config.version.to_string())];
    for (link, interface) in &config.interfaces {
        let pairs = interface.options.pairs().into_iter();
        values.extend(pairs.map(|(key, value)| (format!("totem.interface.{link}.{key}"), value)));
    }
    let totem = config.totem.pairs().into_iter();
    values.extend(totem.filter_map(|(key, value)| Some((format!("totem.{key}"), value?))));
    values.extend(effective_values(config));
    values
}

/// The keys that the daemon takes when it starts and at no reload, with the values that this text gives
/// them. cmap shows a new value at once and the daemon goes on with the old one (corosync.md 5.3): what
/// proves them is a start after the text was written.
#[must_use]
pub fn values_at_start(config: &Config) -> BTreeMap<String, String> {
    BTreeMap::from([(LINK_MODE.to_owned(), config.link_mode().to_string())])
}

/// The key of the link mode in cmap and in [`values_at_start`].
pub const LINK_MODE: &str = "totem.link_mode";

/// Where cmap shows what the daemon works with, not what it has read.
const EFFECTIVE: &str = "runtime.config.";

/// The effective numbers that a reload sets at once.
fn effective_values(config: &Config) -> impl Iterator<Item = (String, String)> + '_ {
    let TotemOptions { consensus_millis, mtu_bytes, compression, .. } = config.totem;
    let TotemOptions { compression_threshold_bytes, compression_level, .. } = config.totem;
    let totem = [
        ("token", Some(config.token_in_force_millis().to_string())),
        ("consensus", consensus_millis.map(|v| v.to_string())),
        ("knet_mtu", mtu_bytes.map(|v| v.to_string())),
        ("knet_compression_model", Some(compression.unwrap_or(Compression::None).to_string())),
        ("knet_compression_threshold", compression_threshold_bytes.map(|v| v.to_string())),
        ("knet_compression_level", compression_level.map(|v| v.to_string())),
    ];
    let totem = totem.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let pings = config.interfaces.iter().flat_map(|(link, interface)| {
        let LinkOptions { ping_interval_millis, ping_timeout_millis, .. } = interface.options;
        pings(*link, (ping_interval_millis, ping_timeout_millis))
    });
    totem.chain(pings).map(|(key, value)| (format!("{EFFECTIVE}totem.{key}"), value))
}

/// The effective ping values that follow from the token timeout, where the file sets none. corosync
/// computes them anew only at the reload *after* the one that changes the timeout (corosync.md 5.4).
#[must_use]
pub fn derived_pings(config: &Config) -> Vec<(String, String)> {
    let token = config.token_in_force_millis();
    let derived = config.links().into_iter().flat_map(|link| {
        let options = config.link_options(link);
        let pongs = options.pong_count.filter(|count| *count > 0).unwrap_or(PONG_COUNT);
        let unset = |set: Option<u32>, derived| set.is_none().then_some(derived);
        let (interval, timeout) = pings_millis(token, pongs);
        let interval = unset(options.ping_interval_millis, interval);
        pings(link, (interval, unset(options.ping_timeout_millis, timeout)))
    });
    derived.map(|(key, value)| (format!("{EFFECTIVE}totem.{key}"), value)).collect()
}

/// The longest that a link of a running daemon counts as connected after the last answer, in milliseconds.
#[must_use]
pub fn ping_timeout_millis(config: &Config) -> u32 {
    let token = config.token_in_force_millis();
    let timeout = |link| {
        let options = config.link_options(link);
        let pongs = options.pong_count.filter(|count| *count > 0).unwrap_or(PONG_COUNT);
        options.ping_timeout_millis.unwrap_or(pings_millis(token, pongs).1)
    };
    config.links().into_iter().map(timeout).max().unwrap_or(0)
}

fn pings(
    link: LinkNumber,
    (interval, timeout): (Option<u32>, Option<u32>),
) -> impl Iterator<Item = (String, String)> {
    let all = [("knet_ping_interval", interval), ("knet_ping_timeout", timeout)];
    let key = move |(key, value): (&str, Option<u32>)| {
        Some((format!("interface.{link}.{key}"), value?.to_string()))
    };
    all.into_iter().filter_map(key)
}

/// The keys that a reload from the old text to the new one changes. The token timeout in force is one
/// of them as soon as any part of it is another one, also where the parts make up for each other.
#[must_use]
pub fn changed_values(old: &Config, new: &Config) -> ChangedValues {
    let parts = |config: &Config| (config.totem.token_millis, config.token_growth_millis());
    let in_force = (format!("{EFFECTIVE}totem.token"), new.token_in_force_millis().to_string());
    let token = (parts(old) != parts(new)).then_some(in_force);
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (values(old).collect(), values(new).collect());
    // An effective number falls back to a default and never goes, not even with its link.
    let is_effective = |name: &Name| match name {
        Name::Node(..) => false,
        Name::Other(name) => name.starts_with(EFFECTIVE),
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name) && !is_effective(name));
    let set = new.iter().filter(|(name, value)| old.get(*name) != Some(*value));
    let set = set.map(|(name, value)| (name.to_string(), value.to_string()));
    ChangedValues { set: set.chain(token).collect(), gone: gone.map(Name::to_string).collect() }
}
