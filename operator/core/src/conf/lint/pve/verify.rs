//! What Proxmox VE makes of nodes, links and totem once it has read a file: its own check before a node is
//! added (pve.md 2.3), and what its lists by name silently drop.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::parser::{Tree, View, Word};
use super::{Finding, codes, finding, shown};
use crate::conf::lint::{Code, Effect};
use crate::ids::{ClusterName, LinkNumber, NodeName};

/// A node or interface section under the name that Proxmox VE keeps it by.
type Named<'t, 'a> = (&'a [u8], View<'t, 'a>);

pub(super) fn findings(tree: &Tree<'_>) -> Vec<Finding> {
    let root = tree.root();
    let (nodelist, totem) = (root.child("nodelist"), root.child("totem"));
    let (Some(nodelist), Some(totem)) = (nodelist, totem) else {
        let missing = |code, name| {
            let message =
                format!("there is no section `{name}` at the top: Proxmox VE adds no node");
            finding(code, Effect::Breaks, None, message)
        };
        let nodelist = nodelist.is_none().then(|| missing(&codes::NO_NODELIST, "nodelist"));
        let totem = totem.is_none().then(|| missing(&codes::NO_TOTEM, "totem"));
        return nodelist.into_iter().chain(totem).collect();
    };
    let nodes = named(&nodelist.list("node"), "name", "ring0_addr");
    let interfaces = named(&totem.list("interface"), "linknumber", "ringnumber");
    let mut found: Vec<Finding> = nodes.iter().flat_map(node).collect();
    found.extend(same(&nodes, &codes::SAME_NODE, "node"));
    found.extend(same(&interfaces, &codes::SAME_INTERFACE, "interface"));
    found.extend(interfaces.iter().filter_map(interface));
    found.extend(links(&nodes, &interfaces));
    found.extend(totem_keys(&totem));
    found
}

fn named<'t, 'a>(sections: &[View<'t, 'a>], key: &str, or: &str) -> Vec<Named<'t, 'a>> {
    let name = |view: &View<'_, 'a>| view.value(key).or_else(|| view.value(or));
    sections.iter().map(|view| (name(view).map_or(&b""[..], |name| name.text), *view)).collect()
}

/// Sections that a later one of the same name hides.
fn same(sections: &[Named<'_, '_>], code: &'static Code, what: &str) -> Vec<Finding> {
    let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, view) in sections {
        let Some(hidden) = last.insert(name, view.line()) else { continue };
        let message = format!(
            "there is a second {what} `{}`, after line {hidden}: Proxmox VE sees this one alone, and its \
             next write takes the other one out of the file",
            shown(name)
        );
        found.push(finding(code, Effect::Breaks, view.line(), message));
    }
    found
}

/// What a node says, taken by itself.
fn node((name, view): &Named<'_, '_>) -> Vec<Finding> {
    let shown_name = shown(name);
    let mut found = Vec::new();
    match view.value("name") {
        None => {
            let message = if name.is_empty() {
                "this node has neither name nor ring0_addr: Proxmox VE keeps it without a name"
                    .to_owned()
            } else {
                format!("this node has no name: Proxmox VE calls it `{shown_name}`, its ring0_addr")
            };
            found.push(finding(&codes::NODE_WITHOUT_NAME, Effect::Misreads, view.line(), message));
        }
        Some(word) if shown_name.parse::<NodeName>().is_err() => {
            let message = format!(
                "`{shown_name}` is no node name for Proxmox VE, which takes letters, digits and inner \
                 dashes: no command can name this node"
            );
            found.push(finding(&codes::NODE_NAME, Effect::Breaks, word.line, message));
        }
        Some(_) => {}
    }
    if let Some(votes) = view.value("quorum_votes").filter(|votes| votes.text == b"0") {
        let message = format!("node `{shown_name}` has no vote and does not help to keep quorum");
        found.push(finding(&codes::NO_VOTES, Effect::Advice, votes.line, message));
    }
    found.extend(view.values().filter_map(|(key, value)| address(&shown_name, key, value)));
    found
}

fn address(node: &str, key: &[u8], value: Word<'_>) -> Option<Finding> {
    let (kind, number) = address_key(key)?;
    let (key, value_shown) = (shown(key), shown(value.text));
    if kind == Kind::Link {
        let message = format!(
            "Proxmox VE takes `{key}` for the address of node `{node}` on link {number}, corosync does not \
             know the key"
        );
        return Some(finding(&codes::LINK_ADDR, Effect::Misreads, value.line, message));
    }
    if value_shown.parse::<IpAddr>().is_ok() {
        return None;
    }
    let message = format!(
        "`{key}` of node `{node}` is the host name `{value_shown}`: Proxmox VE warns, and corosync does not \
         start where it cannot be resolved"
    );
    Some(finding(&codes::HOST_NAME_ADDRESS, Effect::Advice, value.line, message))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ring,
    Link,
}

/// Proxmox VE takes `ringN_addr` and `linkN_addr` for addresses.
fn address_key(key: &[u8]) -> Option<(Kind, &str)> {
    let number = |prefix: &[u8]| key.strip_prefix(prefix)?.strip_suffix(b"_addr");
    let (kind, number) = match (number(b"ring"), number(b"link")) {
        (Some(number), _) => (Kind::Ring, number),
        (None, Some(number)) => (Kind::Link, number),
        (None, None) => return None,
    };
    let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    Some((kind, std::str::from_utf8(number).ok().filter(|_| digits)?))
}

fn interface((name, view): &Named<'_, '_>) -> Option<Finding> {
    let shown_name = shown(name);
    match (view.value("linknumber"), view.value("ringnumber")) {
        (None, Some(ring)) if ring.text != b"0" => {
            let message = format!(
                "Proxmox VE takes `ringnumber: {shown_name}` for link {shown_name}, corosync 3 puts the \
                 section on link 0"
            );
            Some(finding(&codes::RINGNUMBER, Effect::Misreads, ring.line, message))
        }
        (None, None) => {
            let message =
                "this interface section is link 0 for corosync and no link for Proxmox VE";
            let code = &codes::INTERFACE_WITHOUT_NUMBER;
            Some(finding(code, Effect::Misreads, view.line(), message.to_owned()))
        }
        (Some(_), _) | (None, Some(_)) => None,
    }
}

/// With interface sections every link needs one and every section a link; without, nodes must be alike.
fn links(nodes: &[Named<'_, '_>], interfaces: &[Named<'_, '_>]) -> Vec<Finding> {
    let seen: BTreeMap<&[u8], View<'_, '_>> = nodes.iter().copied().collect();
    let links = LinkNumber::all().map(|link| link.to_string());
    links.filter_map(|link| one_link(&link, &seen, interfaces)).collect()
}

fn one_link(
    number: &str,
    nodes: &BTreeMap<&[u8], View<'_, '_>>,
    interfaces: &[Named<'_, '_>],
) -> Option<Finding> {
    let has = |view: &View<'_, '_>| {
        view.values().any(|(key, _)| address_key(key).is_some_and(|(_, other)| other == number))
    };
    let (with, without): (Vec<_>, Vec<_>) = nodes.iter().partition(|(_, view)| has(view));
    let names = |some: &[(&&[u8], &View<'_, '_>)]| {
        some.iter().map(|(name, _)| shown(name)).collect::<Vec<_>>().join(", ")
    };
    let interface = interfaces.iter().rfind(|(name, _)| *name == number.as_bytes());
    let (code, line, message) = match interface {
        None if with.is_empty() => return None,
        None if !interfaces.is_empty() => (
            &codes::LINK_WITHOUT_INTERFACE,
            with.first().map(|(_, view)| view.line()),
            format!(
                "link {number} has addresses ({}) but no interface section, while totem has such sections",
                names(&with)
            ),
        ),
        Some((_, view)) if !without.is_empty() => (
            &codes::INTERFACE_WITHOUT_ADDRESS,
            Some(view.line()),
            format!(
                "this section names link {number}, on which there is no address for {}",
                names(&without)
            ),
        ),
        None if !without.is_empty() => (
            &codes::UNEVEN_LINKS,
            without.first().map(|(_, view)| view.line()),
            format!("link {number} is there for {}, but not for {}", names(&with), names(&without)),
        ),
        Some(_) | None => return None,
    };
    Some(finding(code, Effect::Breaks, line, format!("{message}: Proxmox VE adds no node")))
}

fn totem_keys(totem: &View<'_, '_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if totem.value("config_version").is_none() {
        let message = "totem has no config_version: Proxmox VE cannot change this file".to_owned();
        found.push(finding(&codes::NO_VERSION, Effect::Breaks, totem.line(), message));
    }
    if let Some(name) = totem.value("cluster_name") {
        let text = shown(name.text);
        if text.parse::<ClusterName>().is_err() {
            let message = format!(
                "`{text}` is no cluster name that Proxmox VE would give: 1 to 15 letters, digits and inner \
                 dashes"
            );
            found.push(finding(&codes::CLUSTER_NAME, Effect::Advice, name.line, message));
        }
    }
    found.extend(encryption(totem));
    found
}

fn encryption(totem: &View<'_, '_>) -> Option<Finding> {
    let on = totem.value("secauth").is_some_and(|value| value.text == b"on");
    let cipher = totem.value("crypto_cipher");
    match (on, cipher.map(|cipher| (cipher.text, cipher.line))) {
        (true, Some((b"none", line))) => {
            let message = "nothing is encrypted, since crypto_cipher is none; Proxmox VE looks at `secauth: \
                           on` and does not warn";
            let code = &codes::CRYPTO_OVERRIDDEN;
            Some(finding(code, Effect::Misreads, line, message.to_owned()))
        }
        (false, None | Some((b"none", _))) => {
            let message = "Proxmox VE sees no encryption here and warns whenever it adds a node";
            let code = &codes::NOT_ENCRYPTED;
            Some(finding(code, Effect::Advice, totem.line(), message.to_owned()))
        }
        (true | false, _) => None,
    }
}
