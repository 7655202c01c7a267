//! Where the three places of one host differ: /etc/pve, its own disk, the running daemon.
//!
//! Owns which keys are compared. A key that a reload does not apply is not looked for in the daemon:
//! cmap repeats some of those without applying them and keeps the old value of others (corosync.md
//! 5.3, 5.6, 5.7), so neither an equal nor another value says anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::conf::keys::{TakesEffect, find};
use crate::conf::{Document, Flat, flat, flat_cmap, section_and_name};
use crate::ids::Digest;

/// The most keys that a host names: they stand in its status.
const MOST: usize = 16;
/// The most characters of a value that it names.
const LONGEST: usize = 128;

/// The key that stands for a file as a whole.
pub const WHOLE_FILE: &str = "corosync.conf";

/// A key in which the places of one host differ. `None`: the key is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostDrift {
    /// The key, such as `totem.interface[1].knet_link_priority`, or [`WHOLE_FILE`].
    pub key: String,
    /// In /etc/pve/corosync.conf.
    pub pmxcfs: Option<String>,
    /// In /etc/corosync/corosync.conf.
    pub disk: Option<String>,
    /// In the daemon's cmap.
    pub running: Option<String>,
}

impl fmt::Display for HostDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let Self { key, pmxcfs, disk, running } = self;
        let (pmxcfs, disk, running) = (value(pmxcfs), value(disk), value(running));
        write!(f, "{key}: /etc/pve has {pmxcfs}, the disk {disk}, the daemon {running}")
    }
}

impl HostDrift {
    /// Whether the daemon has to read its file again for this key to be right.
    #[must_use]
    pub fn is_running(&self) -> bool {
        is_applied(&self.key) && !same(self.pmxcfs.as_ref(), self.running.as_ref())
    }
}

/// The places of one host.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// /etc/pve/corosync.conf.
    pub pmxcfs: &'a [u8],
    /// /etc/corosync/corosync.conf.
    pub disk: Option<&'a [u8]>,
    /// The daemon's cmap; `None`: it does not run.
    pub cmap: Option<&'a BTreeMap<String, String>>,
}

/// The keys in which the places differ, as far as they are worth naming; empty when nothing does.
#[must_use]
pub fn of_host(places: &Places<'_>) -> Vec<HostDrift> {
    let Places { pmxcfs, disk, cmap } = *places;
    let Some(disk) = disk else {
        return vec![whole(Some(pmxcfs), None)];
    };
    let running = cmap.map(flat_cmap);
    let one = flat(&Document::parse(pmxcfs));
    let other = if disk == pmxcfs { one.clone() } else { flat(&Document::parse(disk)) };
    let keys: BTreeSet<&String> =
        one.keys().chain(other.keys()).chain(running.iter().flat_map(Flat::keys)).collect();
    let differs = |key: &&&String| {
        let (pmxcfs, disk) = (one.get(**key), other.get(**key));
        let runs = running.as_ref().map(|running| running.get(**key));
        // The question that costs comes last: almost all keys are the same everywhere.
        pmxcfs != disk || runs.is_some_and(|runs| !same(disk, runs) && is_applied(key))
    };
    let drift = |key: &String| HostDrift {
        key: key.clone(),
        pmxcfs: clipped(one.get(key)),
        disk: clipped(other.get(key)),
        running: clipped(running.as_ref().and_then(|running| running.get(key))),
    };
    let found: Vec<_> = keys.iter().filter(differs).take(MOST).map(|key| drift(key)).collect();
    // Comments, order or spacing: the next reader may take them for more than that.
    if found.is_empty() && disk != pmxcfs {
        return vec![whole(Some(pmxcfs), Some(disk))];
    }
    found
}

/// Whether cmap shows what is in force for this key.
fn is_applied(key: &str) -> bool {
    let Some((section, name)) = section_and_name(key) else { return false };
    let compared = ["totem", "totem.interface", "nodelist.node", "quorum", "logging"];
    if !compared.contains(&section.as_str()) {
        return false;
    }
    match find(&section, name).map(|key| key.change.takes_effect) {
        Some(TakesEffect::Live | TakesEffect::LiveAfterSecondReload | TakesEffect::RefusesFile) => {
            true
        }
        Some(
            TakesEffect::Never
            | TakesEffect::QdeviceRestart
            | TakesEffect::RestartLogged
            | TakesEffect::RestartSilent
            | TakesEffect::FullStop,
        )
        | None => false,
    }
}

/// corosync stores a number, a file may spell it in another way.
fn same(written: Option<&String>, running: Option<&String>) -> bool {
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<i128>().ok());
    written == running || number(written).is_some_and(|n| number(running) == Some(n))
}

fn whole(pmxcfs: Option<&[u8]>, disk: Option<&[u8]>) -> HostDrift {
    let named = |bytes: &[u8]| format!("sha256 {:.12}", Digest::of(bytes).to_string());
    HostDrift {
        key: WHOLE_FILE.to_owned(),
        pmxcfs: pmxcfs.map(named),
        disk: disk.map(named),
        running: None,
    }
}

fn clipped(value: Option<&String>) -> Option<String> {
    value.map(|value| value.chars().take(LONGEST).collect())
}
