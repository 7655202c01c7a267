//! Changes in the words of people who run clusters.

use std::fmt;

use super::super::keys::find;
use super::What;

/// The section as the inventory knows it, and the name: `totem.interface[1].ttl` is `ttl` in
/// `totem.interface`. What stands in brackets is a name or number.
pub(super) fn parts(key: &str) -> (String, &str, Option<&str>) {
    let (path, name) = match (key.rfind(']'), key.rfind('.')) {
        (Some(bracket), _) if key[bracket..].starts_with("].") => {
            (&key[..=bracket], &key[bracket + 2..])
        }
        (_, Some(dot)) => (&key[..dot], &key[dot + 1..]),
        (_, None) => ("", key),
    };
    match path.split_once('[') {
        Some((section, label)) => (section.to_owned(), name, label.strip_suffix(']')),
        None => (path.to_owned(), name, None),
    }
}

/// How people call a key.
fn subject(key: &str) -> String {
    let (section, name, label) = parts(key);
    let label = label.unwrap_or_default();
    match (section.as_str(), name) {
        ("nodelist.node", "quorum_votes") => format!("votes of {label}"),
        ("nodelist.node", _) => format!("{name} of {label}"),
        ("totem.interface", "knet_link_priority") => format!("priority of link {label}"),
        ("totem.interface", "mcastport") => format!("port of link {label}"),
        ("totem.interface", _) => format!("{name} of link {label}"),
        ("totem", _) => name.to_owned(),
        (_, _) => key.to_owned(),
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeAdded { node, addresses } => {
                let addresses: Vec<&str> = addresses.values().map(String::as_str).collect();
                write!(f, "node {node} added at {}", addresses.join(", "))
            }
            Self::NodeRemoved { node } => write!(f, "node {node} removed"),
            Self::NodeIdChanged { node, from, to } => {
                write!(f, "id of {node}: {} -> {}", id(*from), id(*to))
            }
            Self::LinkAdded { link, addresses, .. } => {
                let address = |(node, address): (&String, &String)| format!("{node} at {address}");
                let addresses: Vec<String> = addresses.iter().map(address).collect();
                write!(f, "link {link} added: {}", addresses.join(", "))
            }
            Self::LinkRemoved { link } => write!(f, "link {link} removed"),
            Self::AddressChanged { node, link, from, to } => {
                let show = |address: &Option<String>| address.clone().unwrap_or("none".to_owned());
                write!(f, "address of {node} on link {link}: {} -> {}", show(from), show(to))
            }
            Self::TransportChanged { from, to } => write!(f, "transport: {from} -> {to}"),
            Self::EncryptionChanged { from, to } => write!(f, "encryption: {from} -> {to}"),
            Self::Key { key, from, to } => {
                let show = |value: &Option<String>| match value.as_deref() {
                    None => unwritten(key),
                    Some("") => "nothing".to_owned(),
                    Some(value) => value.to_owned(),
                };
                write!(f, "{}: {} -> {}", subject(key), show(from), show(to))
            }
            Self::TextOnly => f.write_str("comments, order or spacing"),
        }
    }
}

fn id(id: Option<u32>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

fn unwritten(key: &str) -> String {
    let (section, name, _) = parts(key);
    match find(&section, name) {
        Some(known) => format!("not written ({})", known.default),
        None => "not written".to_owned(),
    }
}
