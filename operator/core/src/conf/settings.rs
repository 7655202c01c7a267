//! A file of any dialect as corosync stores it: nodes in their order, interfaces by link, repeated
//! sections merged.
//!
//! Owns the shape alone, for those that must not refuse a file: the diff, the conversion and the
//! overview. Never decides whether a value is good; [`super::Config`] is the view that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::dialect::Dialect;
use super::document::{Document, SectionView};
use super::keys::{Kind, Width, address_link, find};
use super::values::text;

/// The keys of one section.
pub(super) type Keys = BTreeMap<String, Written>;

/// A value as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) value: String,
    /// Counted from 1.
    pub(super) line: usize,
}

/// A section by its names from the top, and what tells it from others of the same names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// As [`find`] takes it.
    pub(super) section: String,
    /// Empty where such sections are merged.
    pub(super) label: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label.as_str() {
            "" => f.write_str(&self.section),
            label => write!(f, "{}[{label}]", self.section),
        }
    }
}

/// A `nodelist.node`.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeSettings {
    /// The line that opens it, counted from 1.
    pub(super) line: usize,
    pub(super) keys: Keys,
}

/// All of a file.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) dialect: Dialect,
    pub(super) nodes: Vec<NodeSettings>,
    /// By the number of the link, or of the ring in a file for corosync 2.
    pub(super) interfaces: BTreeMap<u32, Keys>,
    /// Everything else.
    pub(super) others: BTreeMap<Place, Keys>,
}

impl Settings {
    pub(super) fn of(document: &Document) -> Self {
        let dialect = Dialect::of(document);
        let (nodes, interfaces, others) = <(Vec<_>, BTreeMap<_, _>, BTreeMap<_, _>)>::default();
        let mut settings = Self { dialect, nodes, interfaces, others };
        settings.take(document);
        settings
    }

    /// All sections, without recursion: a hostile file cannot nest us to death.
    fn take(&mut self, document: &Document) {
        let mut unnamed = 0;
        let mut waiting = vec![(document.root(), String::new())];
        while let Some((view, path)) = waiting.pop() {
            let keys = keys_of(&view);
            match path.as_str() {
                "nodelist.node" => self.nodes.push(NodeSettings { line: view.line(), keys }),
                "totem.interface" => {
                    let link = self.link_of(&keys);
                    self.interfaces.entry(link).or_default().extend(keys);
                }
                _ => {
                    let label = label(&path, &keys, &mut unnamed);
                    let place = Place { section: path.clone(), label };
                    self.others.entry(place).or_default().extend(keys);
                }
            }
            // The last one comes off first. corosync stops at longer paths (`PathTooLong`).
            for inner in view.all_sections().rev().filter(|_| path.len() < 255) {
                let name = text(inner.name());
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                waiting.push((inner, path));
            }
        }
    }

    fn link_of(&self, keys: &Keys) -> u32 {
        let older = if self.dialect == Dialect::Corosync2 { "ringnumber" } else { "linknumber" };
        let number = |key: &str| {
            let number = Width::U8.read(keys.get(key)?.value.as_bytes())?;
            u32::try_from(number).ok()
        };
        number("linknumber").or_else(|| number(older)).unwrap_or(0)
    }

    /// A key outside nodes and interfaces.
    pub(super) fn written(&self, section: &str, key: &str) -> Option<&Written> {
        let place = Place { section: section.to_owned(), label: String::new() };
        self.others.get(&place)?.get(key)
    }

    /// Its value.
    pub(super) fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.written(section, key).map(|written| written.value.as_str())
    }

    /// The same as a number, as corosync reads it. `None`: not written, or not a number.
    pub(super) fn number(&self, section: &str, key: &str) -> Option<u64> {
        read_number(section, key, self.value(section, key)?)
    }

    /// The keys of `totem`.
    pub(super) fn totem(&self, key: &str) -> Option<&str> {
        self.value("totem", key)
    }

    /// The links that some node has an address on.
    pub(super) fn links(&self) -> BTreeSet<u32> {
        self.nodes.iter().flat_map(|node| node.addresses().into_keys()).collect()
    }

    /// Whether a number of 64 bits is none, which corosync ends at (corosync.md 1 item 10).
    pub(super) fn aborts(&self) -> bool {
        let is_bad = |(place, name, written): (&Place, &String, &Written)| {
            let kind = find(&place.section, name).map(|key| key.kind);
            let is_wide = matches!(kind, Some(Kind::Number(number)) if number.width == Width::U64);
            is_wide && Width::U64.read(written.value.as_bytes()).is_none()
        };
        let others = self.others.iter();
        let mut all = others.flat_map(|(place, keys)| keys.iter().map(move |(n, w)| (place, n, w)));
        all.any(is_bad)
    }

    /// Whether there is a device.
    pub(super) fn has_device(&self) -> bool {
        self.value("quorum.device", "model").is_some()
    }
}

/// What tells sections of this path from each other.
fn label(path: &str, keys: &Keys, unnamed: &mut usize) -> String {
    match path {
        "logging.logger_subsys" => {
            keys.get("subsys").map(|subsys| subsys.value.clone()).unwrap_or_default()
        }
        // Each stands for itself; nothing names them.
        "uidgid" => {
            *unnamed += 1;
            (*unnamed - 1).to_string()
        }
        _ => String::new(),
    }
}

/// A number as corosync reads it for this key.
pub(super) fn read_number(section: &str, key: &str, value: &str) -> Option<u64> {
    let Kind::Number(number) = find(section, key)?.kind else { return None };
    u64::try_from(number.width.read(value.as_bytes())?).ok()
}

impl NodeSettings {
    fn value(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|written| written.value.as_str()).filter(|value| !value.is_empty())
    }

    fn number(&self, key: &str) -> Option<u64> {
        read_number("nodelist.node", key, self.value(key)?)
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.number("nodeid").and_then(|id| u32::try_from(id).ok())
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.value("name")
    }

    /// 1 where the file says nothing.
    pub(super) fn votes(&self) -> u64 {
        self.number("quorum_votes").unwrap_or(1)
    }

    /// Its addresses by link. An empty one is none.
    pub(super) fn addresses(&self) -> BTreeMap<u32, &str> {
        let address = |key: &String| Some((address_link(key)?, self.value(key)?));
        self.keys.keys().filter_map(address).collect()
    }

    /// What people call it: its name, its address, or at least its place in the file.
    pub(super) fn label(&self) -> String {
        let address = || self.addresses().into_values().next().map(ToOwned::to_owned);
        let named = self.name().map(ToOwned::to_owned).or_else(address);
        named.unwrap_or_else(|| format!("in line {}", self.line))
    }
}

/// The keys of a section; of a repeated one the last counts.
fn keys_of(view: &SectionView<'_>) -> Keys {
    let written = |value: super::Value<'_>| Written { value: text(value.bytes), line: value.line };
    view.keys().map(|(name, value)| (text(name), written(value))).collect()
}
