//! Drift: what somebody changed beside the operator, host by host, in four views: what the spec wants,
//! /etc/pve, the host's disk, the running daemon.
//!
//! Owns the comparison, never what is done about it: that is [`plan`](mod@crate::plan)'s. A difference
//! from the spec counts only where the text that the last change left was as the spec wants it; else the
//! spec has moved on, and an ordinary change is due. What the spec does not name is nobody's to compare
//! with it, but the three places of a host are always held against each other.
//!
//! Where to read next: `host` (the agent's part), `datacenter` (the file that is in one place alone), [`Difference`] (what a status shows).

mod datacenter;
mod host;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use datacenter::is_only_edited;
pub use host::{HostDrift, Places, WHOLE_FILE, of_host};

use crate::change::ConfText;
use crate::conf::{Document, Flat, flat};
use crate::desired::DesiredCluster;
use crate::ids::HostName;
use crate::observed::{HostView, ObservedCluster};
use crate::plan::{is_managed, wishes};

/// One key that is not as it should be, with the hosts on which it looks the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The hosts.
    pub hosts: Vec<HostName>,
    /// The key, such as `totem.interface[1].knet_link_priority`.
    pub key: String,
    /// What the spec wants; `None`: it does not speak of this key.
    pub spec: Option<String>,
    /// In /etc/pve/corosync.conf; `None`: the key is not there.
    pub pmxcfs: Option<String>,
    /// In /etc/corosync/corosync.conf.
    pub disk: Option<String>,
    /// In the running daemon's cmap.
    pub running: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, key, spec, pmxcfs, disk, running } = self;
        let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{key} on {}: ", hosts.join(", "))?;
        if let Some(spec) = spec {
            write!(f, "the spec wants {spec}, ")?;
        }
        write!(f, "/etc/pve has {}", value(pmxcfs))?;
        if key.starts_with(datacenter::PREFIX) {
            return Ok(());
        }
        write!(f, ", the disk {}, the daemon {}", value(disk), value(running))
    }
}

/// Everything that differs and is nobody's wish, by key; equal rows of several hosts are one.
#[must_use]
pub fn differences(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<Difference> {
    let edited = text_in_force(observed).map(|text| edited(desired, observed, &text));
    let edited = edited.unwrap_or_default();
    let mut rows: BTreeMap<Row, Vec<HostName>> = BTreeMap::new();
    for node in &desired.nodes {
        let Some(view) = observed.hosts.get(&node.host).filter(|view| view.connected) else {
            continue;
        };
        let lines = datacenter::of_view(desired, observed, view);
        let lines = lines.map(|(drift, spec)| Row { drift, spec: Some(spec) });
        for row in of_view(desired, view, &edited).into_iter().chain(lines) {
            rows.entry(row).or_default().push(node.host.clone());
        }
    }
    let difference = |(row, hosts): (Row, Vec<HostName>)| {
        let Row { drift: HostDrift { key, pmxcfs, disk, running }, spec } = row;
        Difference { hosts, key, spec, pmxcfs, disk, running }
    };
    rows.into_iter().map(difference).collect()
}

/// Whether everything that the spec would change in a text was changed there by a person since the last
/// change: then a plan would only put back. False where the spec wants nothing of it.
#[must_use]
pub fn only_edited(desired: &DesiredCluster, observed: &ObservedCluster, text: &ConfText) -> bool {
    let wanted = wishes(desired, observed, text);
    !wanted.is_empty() && edited(desired, observed, text).wanted.len() == wanted.len()
}

/// A text in which a person changed something that the spec manages.
#[derive(Debug, Default)]
struct Edited {
    text: Flat,
    /// What the spec wants of the keys that were changed.
    wanted: BTreeMap<String, Option<String>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    drift: HostDrift,
    spec: Option<String>,
}

fn edited(desired: &DesiredCluster, observed: &ObservedCluster, text: &ConfText) -> Edited {
    // Nobody edited what is as it was left; most of the time it is.
    let left = observed.left.as_ref().filter(|left| left.digest != text.digest);
    let Some(left) = left else { return Edited::default() };
    let before = wishes(desired, observed, left);
    let mut wanted = wishes(desired, observed, text);
    wanted.retain(|key, value| before.get(key) != Some(value));
    Edited { text: flat(&Document::parse(text.text.as_bytes())), wanted }
}

/// The rows of one host: what its own places differ in, and what differs from the spec everywhere.
fn of_view(desired: &DesiredCluster, view: &HostView, edited: &Edited) -> Vec<Row> {
    let own = view.drift.iter().map(|drift| {
        let spec = match edited.wanted.get(&drift.key) {
            Some(wanted) => Some(wanted.clone().unwrap_or_else(|| "nothing".to_owned())),
            None if is_managed(desired, &drift.key) => drift.pmxcfs.clone(),
            None => None,
        };
        Row { drift: drift.clone(), spec }
    });
    let everywhere = edited.wanted.iter().map(|(key, wanted)| {
        let here = edited.text.get(key).cloned();
        let drift = HostDrift {
            key: key.clone(),
            pmxcfs: here.clone(),
            disk: here.clone(),
            running: here.filter(|_| view.running_version.is_some()),
        };
        Row { drift, spec: Some(wanted.clone().unwrap_or_else(|| "nothing".to_owned())) }
    });
    let named = |row: &Row| view.drift.iter().any(|drift| drift.key == row.drift.key);
    own.chain(everywhere.filter(|row| !named(row))).collect()
}

/// The text that a quorate host has in /etc/pve.
fn text_in_force(observed: &ObservedCluster) -> Option<ConfText> {
    let quorate = observed.hosts.values().filter(|view| view.connected && view.quorate);
    let texts = quorate.filter_map(|view| {
        let file = view.pmxcfs_file.as_ref()?;
        Some(ConfText::new(file.version?, file.text.clone()?))
    });
    texts.into_iter().next()
}
