//! A file as one list of keys, for comparing places that may hold anything.
//!
//! Owns the names: sections with dots, and in brackets what tells one from its namesakes, as
//! [`What::Key`](super::What) has them: `nodelist.node[n1].quorum_votes`, `totem.interface[0].mcastport`.
//! A running daemon's cmap counts nodes by their place in the file; here both have the node's name.

use std::collections::BTreeMap;

use super::document::Document;
use super::settings::{Keys, Settings};

/// Keys and values under the names of this module.
pub type Flat = BTreeMap<String, String>;

/// Every key of a text of any dialect.
#[must_use]
pub fn flat(document: &Document) -> Flat {
    let settings = Settings::of(document);
    let mut all = Flat::new();
    let mut take = |place: &str, keys: &Keys| {
        all.extend(keys.iter().map(|(key, w)| (format!("{place}.{key}"), w.value.clone())));
    };
    for node in &settings.nodes {
        take(&format!("nodelist.node[{}]", node.label()), &node.keys);
    }
    for (link, keys) in &settings.interfaces {
        take(&format!("totem.interface[{link}]"), keys);
    }
    for (place, keys) in &settings.others {
        take(&place.to_string(), keys);
    }
    // It is in the name already, and cmap has it nowhere else.
    all.retain(|key, _| !key.ends_with("].linknumber"));
    all
}

/// What a running daemon shows in cmap, under the same names. Keys of the other trees stay as they are.
#[must_use]
pub fn flat_cmap(values: &BTreeMap<String, String>) -> Flat {
    let name = |place: &str| {
        let of = |key: &str| values.get(&format!("nodelist.node.{place}.{key}")).cloned();
        of("name").or_else(|| of("ring0_addr")).unwrap_or_else(|| place.to_owned())
    };
    let renamed = |key: &str| {
        if let Some((place, rest)) = split(key, "nodelist.node.") {
            return format!("nodelist.node[{}].{rest}", name(place));
        }
        match split(key, "totem.interface.") {
            Some((link, rest)) => format!("totem.interface[{link}].{rest}"),
            None => key.to_owned(),
        }
    };
    values.iter().map(|(key, value)| (renamed(key), value.clone())).collect()
}

fn split<'k>(key: &'k str, tree: &str) -> Option<(&'k str, &'k str)> {
    key.strip_prefix(tree)?.split_once('.')
}

/// Section path and name of such a key, as [`find`](super::keys::find) takes them.
#[must_use]
pub fn section_and_name(key: &str) -> Option<(String, &str)> {
    let (place, name) = key.rsplit_once('.')?;
    let open = place.find('[').unwrap_or(place.len());
    Some((place[..open].to_owned(), name))
}
