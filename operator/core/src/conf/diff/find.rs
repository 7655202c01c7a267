//! The changes, found by matching the two files.

use std::collections::{BTreeMap, BTreeSet};

use super::super::dialect::Dialect;
use super::super::effective::Encryption;
use super::super::settings::{Keys, NodeSettings, Place, Settings};
use super::effect::{self, Context};
use super::{Change, Sides, What};

/// What has its own kind of change.
const NUMBERS: [&str; 2] = ["linknumber", "ringnumber"];
const CRYPTO: [&str; 3] = ["secauth", "crypto_cipher", "crypto_hash"];

/// All changes but those of the text alone.
pub(super) fn changes(sides: &Sides<'_>) -> Vec<Change> {
    let context = Context::of(sides);
    let pairs = matched(sides);
    let mut found = Found { context: &context, changes: Vec::new() };
    found.nodes(sides, &pairs);
    found.links(sides, &pairs);
    found.interfaces(sides);
    found.transport(sides);
    found.encryption(sides);
    found.others(sides);
    found.changes
}

/// A node of the old file with its counterpart: by id, else by name.
fn matched<'a>(sides: &Sides<'a>) -> Vec<(&'a NodeSettings, &'a NodeSettings)> {
    let by_id = |nodes: &'a [NodeSettings]| -> BTreeMap<u32, &'a NodeSettings> {
        nodes.iter().filter_map(|node| Some((node.id()?, node))).collect()
    };
    let (old_ids, new_ids) = (by_id(&sides.old.nodes), by_id(&sides.new.nodes));
    // An id that is also on the other side belongs to another node there.
    let free = |node: &NodeSettings, others: &BTreeMap<u32, &NodeSettings>| {
        node.id().is_none_or(|id| !others.contains_key(&id))
    };
    let unmatched = sides.new.nodes.iter().filter(|node| free(node, &old_ids));
    let by_label: BTreeMap<String, &NodeSettings> =
        unmatched.map(|node| (node.label(), node)).collect();
    let counterpart = |node: &NodeSettings| match node.id().and_then(|id| new_ids.get(&id)) {
        Some(same) => Some(*same),
        None => by_label.get(&node.label()).copied(),
    };
    sides.old.nodes.iter().filter_map(|node| Some((node, counterpart(node)?))).collect()
}

struct Found<'a> {
    context: &'a Context,
    changes: Vec<Change>,
}

type Pairs<'a> = [(&'a NodeSettings, &'a NodeSettings)];

impl Found<'_> {
    fn push(&mut self, what: What) {
        self.changes.push(effect::change(what, self.context));
    }

    fn nodes(&mut self, sides: &Sides<'_>, pairs: &Pairs<'_>) {
        let lines: BTreeSet<usize> = pairs.iter().map(|(_, new)| new.line).collect();
        for node in sides.new.nodes.iter().filter(|node| !lines.contains(&node.line)) {
            let owned = |(link, address): (u32, &str)| (link, address.to_owned());
            let addresses = node.addresses().into_iter().map(owned).collect();
            self.push(What::NodeAdded { node: node.label(), addresses });
        }
        let lines: BTreeSet<usize> = pairs.iter().map(|(old, _)| old.line).collect();
        for node in sides.old.nodes.iter().filter(|node| !lines.contains(&node.line)) {
            self.push(What::NodeRemoved { node: node.label() });
        }
        for (old, new) in pairs {
            if old.id() != new.id() {
                let (from, to) = (old.id(), new.id());
                self.push(What::NodeIdChanged { node: new.label(), from, to });
            }
            let path = format!("nodelist.node[{}]", old.label());
            let is_own =
                |key: &str| key == "nodeid" || super::super::keys::address_link(key).is_some();
            self.keys(&path, (&old.keys, &new.keys), is_own);
        }
    }

    fn links(&mut self, sides: &Sides<'_>, pairs: &Pairs<'_>) {
        let (old_links, new_links) = (sides.old.links(), sides.new.links());
        for link in new_links.difference(&old_links) {
            let address = |node: &NodeSettings| {
                Some((node.label(), (*node.addresses().get(link)?).to_owned()))
            };
            let addresses = sides.new.nodes.iter().filter_map(address).collect();
            let options = sides.new.interfaces.get(link).map(options).unwrap_or_default();
            self.push(What::LinkAdded { link: *link, addresses, options });
        }
        for link in old_links.difference(&new_links) {
            self.push(What::LinkRemoved { link: *link });
        }
        for link in old_links.intersection(&new_links) {
            for (old, new) in pairs {
                let of = |node: &NodeSettings| node.addresses().get(link).map(|a| (*a).to_owned());
                let (from, to) = (of(old), of(new));
                if from != to {
                    self.push(What::AddressChanged { node: new.label(), link: *link, from, to });
                }
            }
        }
    }

    /// Options of links that stay, and of sections that no link belongs to.
    fn interfaces(&mut self, sides: &Sides<'_>) {
        let (old, new) = (&sides.old.interfaces, &sides.new.interfaces);
        let (old_links, new_links) = (sides.old.links(), sides.new.links());
        let none = Keys::new();
        let numbers: BTreeSet<u32> = old.keys().chain(new.keys()).copied().collect();
        for link in numbers {
            if old_links.contains(&link) != new_links.contains(&link) {
                continue;
            }
            let path = format!("totem.interface[{link}]");
            let keys = (old.get(&link).unwrap_or(&none), new.get(&link).unwrap_or(&none));
            self.keys(&path, keys, |key| NUMBERS.contains(&key));
        }
    }

    fn transport(&mut self, sides: &Sides<'_>) {
        let (from, to) = (transport(sides.old), transport(sides.new));
        if from != to {
            self.push(What::TransportChanged { from, to });
        }
    }

    /// With what the running transport would make of the new keys: a transport does not change
    /// at a reload, they do.
    fn encryption(&mut self, sides: &Sides<'_>) {
        let from = Encryption::of(sides.old);
        let to = match (sides.old.dialect, sides.new.dialect) {
            (Dialect::Knet, Dialect::Udp | Dialect::Udpu) => {
                Encryption::of(&Settings { dialect: Dialect::Knet, ..sides.new.clone() })
            }
            (_, _) => Encryption::of(sides.new),
        };
        if from != to {
            self.push(What::EncryptionChanged { from, to });
        }
    }

    fn others(&mut self, sides: &Sides<'_>) {
        let (old, new) = (&sides.old.others, &sides.new.others);
        let none = Keys::new();
        let places: BTreeSet<&Place> = old.keys().chain(new.keys()).collect();
        let encryption = Encryption::of(sides.old) != Encryption::of(sides.new);
        let own = |place: &Place, key: &str| {
            place.section == "totem" && (key == "transport" || encryption && CRYPTO.contains(&key))
        };
        for place in places {
            let keys = (old.get(place).unwrap_or(&none), new.get(place).unwrap_or(&none));
            self.keys(&place.to_string(), keys, |key| own(place, key));
        }
    }

    /// The keys of one section, but for those that have their own kind of change.
    fn keys(&mut self, path: &str, (old, new): (&Keys, &Keys), is_own: impl Fn(&str) -> bool) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| !is_own(name)) {
            let value = |keys: &Keys| keys.get(name).map(|written| written.value.clone());
            let (from, to) = (value(old), value(new));
            if from != to {
                let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.push(What::Key { key, from, to });
            }
        }
    }
}

fn options(keys: &Keys) -> BTreeMap<String, String> {
    let written = keys.iter().filter(|(key, _)| !NUMBERS.contains(&key.as_str()));
    written.map(|(key, written)| (key.clone(), written.value.clone())).collect()
}

fn transport(settings: &Settings) -> String {
    let written = settings.totem("transport");
    match (settings.dialect, written) {
        (Dialect::Corosync2, written) => format!("{} of corosync 2", written.unwrap_or("udp")),
        (_, written) => written.unwrap_or("knet").to_owned(),
    }
}
