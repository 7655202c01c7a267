//! What a running corosync shows in cmap when a text is in force.
//!
//! Owns the key names and the form of the values; reading cmap is the agent's business. An equal
//! `config_version` alone proves nothing: it is recorded even when other keys of the same file
//! were refused (corosync.md 4).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::config::{Config, Node, QuorumDevice};
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

impl ChangedValues {
    /// Notes what differs between the values before and after.
    fn note<K: PartialEq, V: PartialEq + ToString>(
        &mut self,
        old: &[(K, V)],
        new: &[(K, V)],
        name: impl Fn(&K) -> String,
    ) {
        let set = new.iter().filter(|pair| !old.contains(pair));
        self.set.extend(set.map(|(key, value)| (name(key), value.to_string())));
        let is_gone = |key: &K| new.iter().all(|(other, _)| other != key);
        self.gone.extend(old.iter().filter(|(key, _)| is_gone(key)).map(|(key, _)| name(key)));
    }
}

/// The cmap keys that the operator's stages change, with the values that the daemon shows when
/// this text is in force, numbers in decimal. Keys that the file does not write are not in cmap
/// and not here.
#[must_use]
pub fn running_values(config: &Config) -> Vec<(String, String)> {
    let nodes = config.nodes.iter().enumerate().flat_map(|(at, node)| {
        let named = move |(key, value): (NodeKey, Value<'_>)| (key.of(at), value.to_string());
        node_values(node).into_iter().map(named)
    });
    nodes.chain(other_values(config)).collect()
}

/// A key of one node in the nodelist. It is put into words only where that is asked for: a large cluster
/// has hundreds, of which few change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeKey {
    Name,
    Id,
    Votes,
    Address(LinkNumber),
}

impl NodeKey {
    /// The name in cmap, of the node at a place in the list.
    fn of(self, at: usize) -> String {
        match self {
            Self::Name => format!("nodelist.node.{at}.name"),
            Self::Id => format!("nodelist.node.{at}.nodeid"),
            Self::Votes => format!("nodelist.node.{at}.quorum_votes"),
            Self::Address(link) => format!("nodelist.node.{at}.{}", address_key(link)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u32),
    Text(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn node_values(node: &Node) -> Vec<(NodeKey, Value<'_>)> {
    let mut values = Vec::with_capacity(3 + node.addresses.len());
    values.push((NodeKey::Name, Value::Text(node.name.as_str())));
    values.push((NodeKey::Id, Value::Number(node.id.get())));
    values.extend(node.quorum_votes.map(|votes| (NodeKey::Votes, Value::Number(votes))));
    let addresses = node.addresses.iter();
    values.extend(addresses.map(|(link, text)| (NodeKey::Address(*link), Value::Text(text))));
    values
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
    let logging = config.logging.pairs().into_iter();
    values.extend(logging.map(|(key, value)| (format!("logging.{key}"), value)));
    let device = config.quorum.device.iter().flat_map(QuorumDevice::pairs);
    values.extend(device.map(|(key, value)| (format!("quorum.device.{key}"), value)));
    values.extend(effective_values(config));
    values
}

/// The keys that the daemon takes when it starts and at no reload, with the values that this text gives
/// them. cmap shows a new value at once and the daemon goes on with the old one (corosync.md 5.3): what
/// proves them is a start after the text was written.
#[must_use]
pub fn values_at_start(config: &Config) -> BTreeMap<String, String> {
    BTreeMap::from([
        (LINK_MODE.to_owned(), config.link_mode().to_string()),
        (IP_VERSION.to_owned(), config.ip_version().to_string()),
        (TRANSPORT.to_owned(), config.transport().to_string()),
    ])
}

/// The key of the link mode in cmap and in [`values_at_start`].
pub const LINK_MODE: &str = "totem.link_mode";
/// The same for the IP version.
pub const IP_VERSION: &str = "totem.ip_version";
/// The same for the transport, of which cmap goes on to show the one that the daemon was started with; none
/// where its file had none.
pub const TRANSPORT: &str = "totem.transport";

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
    let derived = config.links().into_iter().flat_map(|link| {
        let options = config.link_options(link);
        let unset = |set: Option<u32>, derived| set.is_none().then_some(derived);
        let (interval, timeout) = config.pings_millis(link);
        let interval = unset(options.ping_interval_millis, interval);
        pings(link, (interval, unset(options.ping_timeout_millis, timeout)))
    });
    derived.map(|(key, value)| (format!("{EFFECTIVE}totem.{key}"), value)).collect()
}

/// The longest that a link of a running daemon counts as connected after the last answer, in milliseconds.
#[must_use]
pub fn ping_timeout_millis(config: &Config) -> u32 {
    config.links().into_iter().map(|link| config.pings_millis(link).1).max().unwrap_or(0)
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
    let mut changed = ChangedValues::default();
    let before = other_values(old);
    changed.note(&before, &other_values(new), String::clone);
    // Ping times that the text no longer sets follow from the token timeout at this very reload, unless
    // that is the one which moves the token timeout (corosync.md 5.4).
    if old.token_in_force_millis() == new.token_in_force_millis() {
        let mut derived = derived_pings(new);
        derived.retain(|(key, _)| before.iter().any(|(written, _)| written == key));
        changed.set.extend(derived);
    }
    // An effective number falls back to a default and never goes, not even with its link.
    changed.gone.retain(|name| !name.starts_with(EFFECTIVE));
    for at in 0..old.nodes.len().max(new.nodes.len()) {
        let [before, after] =
            [old, new].map(|config| config.nodes.get(at).map(node_values).unwrap_or_default());
        changed.note(&before, &after, |key| key.of(at));
    }
    changed.set.extend(token);
    changed
}
