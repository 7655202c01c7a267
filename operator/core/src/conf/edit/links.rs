//! Edits of links: their addresses and their interface sections.

use std::collections::BTreeMap;

use super::{EditError, applied, check_free, node_views, remove_key, top};
use crate::conf::config::Config;
use crate::conf::document::{Document, SectionView};
use crate::conf::form::{address_key, interface_pairs};
use crate::conf::options::LinkOptions;
use crate::conf::patch::Patch;
use crate::conf::reader::Mark;
use crate::conf::values::{check_writable, plain_number};
use crate::ids::{LinkNumber, NodeId};

/// Adds a link: an address for every node, behind its last one, and an interface section where
/// options are given or the file has such sections. When these are the first ones, the other
/// links get theirs as well: Proxmox VE refuses `addnode` when only some links have one
/// (pve.md 2.3).
pub fn add_link(
    document: &Document,
    link: LinkNumber,
    addresses: &BTreeMap<NodeId, String>,
    options: &LinkOptions,
) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    if config.has_link(link) || config.interfaces.contains_key(&link) {
        return Err(EditError::LinkExists(link));
    }
    check_addresses(&config, link, addresses)?;
    // Every node has one: the others are nobody's.
    let stranger = || addresses.keys().find(|id| config.node(**id).is_none());
    if addresses.len() > config.nodes.len()
        && let Some(id) = stranger()
    {
        return Err(EditError::NoNode(*id));
    }
    let mut splices = Patch::of(document);
    let key = address_key(link);
    for (node, view) in node_views(document, &config)? {
        let Some(address) = addresses.get(&node.id) else { continue };
        match last_address(&view) {
            Some(last) => splices.insert_behind(last, &[(key, address)]),
            None => splices.insert_keys(&view, &[(key, address)]),
        }
    }
    if *options != LinkOptions::default() || !config.interfaces.is_empty() {
        append_interfaces(&mut splices, document, &config, (link, options))?;
    }
    applied(splices)
}

/// Takes a link out: its address of every node and its interface section. The last one stays.
pub fn remove_link(document: &Document, link: LinkNumber) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    if !config.has_link(link) {
        return Err(EditError::NoLink(link));
    }
    if config.links().len() == 1 {
        return Err(EditError::LastLink(link));
    }
    let mut splices = Patch::of(document);
    for (_, view) in node_views(document, &config)? {
        remove_key(&mut splices, &view, address_key(link));
    }
    if let Some(view) = interface_view(document, link)? {
        splices.remove_section(&view);
    }
    applied(splices)
}

/// Sets the options of a link that are given; the others stay.
pub fn set_link_options(
    document: &Document,
    link: LinkNumber,
    options: &LinkOptions,
) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    if !config.has_link(link) {
        return Err(EditError::NoLink(link));
    }
    let mut splices = Patch::of(document);
    match interface_view(document, link)? {
        Some(view) => {
            let pairs = options.pairs();
            let (old, new): (Vec<_>, Vec<_>) =
                pairs.into_iter().partition(|(key, _)| view.place(key).is_some());
            for (key, value) in &old {
                if let Some(place) = view.place(key) {
                    splices.replace_value(place, value);
                }
            }
            splices.insert_keys(&view, &new);
        }
        None => append_interfaces(&mut splices, document, &config, (link, options))?,
    }
    applied(splices)
}

/// Sets or takes away a link's `knet_link_priority`; higher is preferred. Taking away needs the
/// key to be there.
pub fn set_priority(
    document: &Document,
    link: LinkNumber,
    priority: Option<u8>,
) -> Result<Document, EditError> {
    const KEY: &str = "knet_link_priority";
    if priority.is_some() {
        let options = LinkOptions { priority, ..LinkOptions::default() };
        return set_link_options(document, link, &options);
    }
    let mut splices = Patch::of(document);
    match interface_view(document, link)? {
        Some(view) if remove_key(&mut splices, &view, KEY) => applied(splices),
        Some(_) | None => Err(EditError::NoPriority(link)),
    }
}

/// Gives every node another address on a link that is there.
///
/// No running corosync takes such a text over one with the old addresses: it refuses the whole reload
/// (corosync.md 5.2). It is for a text that follows one without the link.
pub fn set_addresses(
    document: &Document,
    link: LinkNumber,
    addresses: &BTreeMap<NodeId, String>,
) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    if !config.has_link(link) {
        return Err(EditError::NoLink(link));
    }
    check_addresses(&config, link, addresses)?;
    let mut splices = Patch::of(document);
    let key = address_key(link);
    for (node, view) in node_views(document, &config)? {
        if let (Some(place), Some(address)) = (view.place(key), addresses.get(&node.id)) {
            splices.replace_value(place, address);
        }
    }
    applied(splices)
}

/// Every node is given one address that nobody else has.
fn check_addresses(
    config: &Config<&str>,
    link: LinkNumber,
    addresses: &BTreeMap<NodeId, String>,
) -> Result<(), EditError> {
    let key = address_key(link);
    for node in &config.nodes {
        let missing = EditError::AddressMissing { node: node.id, link };
        let address = addresses.get(&node.id).ok_or(missing)?;
        check_writable(key, address).map_err(EditError::from)?;
    }
    check_free(config, addresses.iter().map(|(id, address)| (address.as_str(), *id)))
}

/// Adds the interface section of a link and, where these are the first ones, of all other links.
fn append_interfaces<'d>(
    splices: &mut Patch<'d>,
    document: &'d Document,
    config: &Config<&str>,
    (link, options): (LinkNumber, &LinkOptions),
) -> Result<(), EditError> {
    let mut wanted = BTreeMap::from([(link, interface_pairs(link, options))]);
    if config.interfaces.is_empty() {
        for other in config.links() {
            wanted.entry(other).or_insert_with(|| interface_pairs(other, &LinkOptions::default()));
        }
    }
    let totem = top(document, "totem")?;
    let sections: Vec<_> = wanted.into_values().collect();
    splices.append_sections(&totem, "interface", &sections);
    Ok(())
}

fn interface_view(
    document: &Document,
    link: LinkNumber,
) -> Result<Option<SectionView<'_>>, EditError> {
    let totem = top(document, "totem")?;
    let number =
        |view: &SectionView<'_>| view.value("linknumber").and_then(|v| plain_number(v.bytes));
    Ok(totem.sections("interface").find(|view| number(view) == Some(u64::from(link.get()))))
}

fn last_address<'a>(view: &SectionView<'a>) -> Option<&'a Mark> {
    let bytes = view.document().as_bytes();
    let is_address = |key: &&Mark| {
        let name = &bytes[key.name()];
        name.starts_with(b"ring") && name.ends_with(b"_addr")
    };
    view.places().rfind(is_address)
}
