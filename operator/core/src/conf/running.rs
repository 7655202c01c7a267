//! What a running corosync shows in cmap when a text is in force.
//!
//! Owns the key names and the form of the values; reading cmap is the agent's business. An equal
//! `config_version` alone proves nothing: it is recorded even when other keys of the same file
//! were refused (corosync.md 4).

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::form::address_key;

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
    let mut values = vec![("totem.config_version".to_owned(), config.version.to_string())];
    for (at, node) in config.nodes.iter().enumerate() {
        let mut push = |key: &str, value: String| {
            values.push((format!("nodelist.node.{at}.{key}"), value));
        };
        push("name", node.name.to_string());
        push("nodeid", node.id.to_string());
        if let Some(votes) = node.quorum_votes {
            push("quorum_votes", votes.to_string());
        }
        for (link, address) in &node.addresses {
            push(&address_key(*link), address.clone());
        }
    }
    for (link, interface) in &config.interfaces {
        let pairs = interface.options.pairs().into_iter();
        values.extend(pairs.map(|(key, value)| (format!("totem.interface.{link}.{key}"), value)));
    }
    values
}

/// The keys that a reload from the old text to the new one changes.
#[must_use]
pub fn changed_values(old: &Config, new: &Config) -> ChangedValues {
    let old: BTreeMap<String, String> = running_values(old).into_iter().collect();
    let new: BTreeMap<String, String> = running_values(new).into_iter().collect();
    let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
    let set = new.into_iter().filter(|(key, value)| old.get(key) != Some(value)).collect();
    ChangedValues { set, gone }
}
