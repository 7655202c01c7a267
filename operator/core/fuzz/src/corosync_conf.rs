//! corosync.conf: document, readers, edits, comparison and conversion.

use std::collections::BTreeMap;

use pvecm_core::conf::edit::{
    add_link, add_node, bump, remove_link, remove_node, set, set_priority, unset,
};
use pvecm_core::conf::lint::{Reader, lint};
use pvecm_core::conf::{
    Config, Document, EditError, LinkOptions, NodeEntry, Overview, SectionPath, convert, diff,
};
use pvecm_core::ids::{ConfigVersion, LinkNumber, NodeId};

use crate::{is_within, lines_changed};

/// A name and an address that no seed has.
const NEW_NODE: &str = "zz-new";
const NEW_ADDRESS: &str = "192.0.2.";

/// The bytes come back; no reader, view, comparison or conversion panics; a file does not differ from
/// itself; every edit keeps the lines that it is not about.
pub fn corosync_conf(bytes: &[u8]) {
    let document = Document::parse(bytes);
    assert_eq!(document.to_bytes(), bytes, "the bytes come back");
    for finding in lint(&document, &Reader::ALL) {
        assert!(!finding.message.is_empty(), "a finding says something");
    }
    let overview = Overview::of(&document);
    assert!(serde_json::to_string(&overview).is_ok(), "an overview can be written");
    assert!(diff(&document, &document).changes.is_empty(), "a file differs from itself");
    if let Ok(converted) = convert(&document) {
        let again = convert(&converted.document).expect("what was converted can be converted");
        assert!(again.steps.is_empty(), "a second conversion finds something: {:?}", again.steps);
    }
    edits_of_keys(&document);
    if let Ok(config) = Config::read(&document) {
        edits_of_parts(&document, &config);
    }
}

fn edits_of_keys(document: &Document) {
    let totem = SectionPath::top("totem");
    if let Ok(raised) = bump(document) {
        assert_eq!(lines_changed(document.as_bytes(), raised.as_bytes()), Some(1), "bump");
        assert_eq!(raised.version(), document.version().map(ConfigVersion::next), "bump");
        assert_eq!(raised, Document::parse(raised.as_bytes()), "bump in place is bump by parsing");
    }
    let had = document.value(&totem, "token").is_some();
    let Ok(edited) = set(document, &totem, "token", "4321") else { return };
    assert_eq!(edited, Document::parse(edited.as_bytes()), "set in place is set by parsing");
    let token = edited.value(&totem, "token").map(|value| value.bytes);
    assert_eq!(token, Some(b"4321".as_slice()), "the value that was set is read");
    if had {
        assert!(lines_changed(document.as_bytes(), edited.as_bytes()) <= Some(1), "set");
    } else {
        added(document, &edited, "set");
        let back = unset(&edited, &totem, "token").expect("a key that was set can be unset");
        assert_eq!(&back, document, "unset undoes set");
    }
}

fn edits_of_parts(document: &Document, config: &Config) {
    let free = LinkNumber::all().find(|link| !config.links().contains(link));
    if let Some(link) = free {
        let ids = config.nodes.iter().map(|node| node.id).zip(1..);
        let addresses: BTreeMap<NodeId, String> =
            ids.map(|(id, host)| (id, format!("{NEW_ADDRESS}{host}"))).collect();
        let edited = add_link(document, link, &addresses, &LinkOptions::default());
        if let Some(edited) = taken(edited) {
            added(document, &edited, "add_link");
            let back = remove_link(&edited, link).expect("a link that was added can be removed");
            gone(&edited, &back, "remove_link");
        }
    }
    for link in config.links() {
        if let Some(edited) = taken(set_priority(document, link, Some(7))) {
            let config = Config::read(&edited).expect("a priority keeps the file understood");
            assert_eq!(config.interfaces[&link].options.priority, Some(7), "set_priority");
        }
    }
    let id = (1..=65_535).filter_map(|id| NodeId::try_from(id).ok());
    let id = id.into_iter().find(|id| config.node(*id).is_none());
    let (Some(id), Ok(name)) = (id, NEW_NODE.parse()) else { return };
    let address = |link: LinkNumber| (link, format!("{NEW_ADDRESS}{link}"));
    let addresses = config.links().into_iter().map(address).collect();
    if let Some(edited) = taken(add_node(document, &NodeEntry { name, id, votes: 1, addresses })) {
        added(document, &edited, "add_node");
        let back = remove_node(&edited, id).expect("a node that was added can be removed");
        assert_eq!(&back, document, "remove_node undoes add_node");
    }
}

/// What an edit made, unless the file has what was to be added or a line would get too long.
fn taken(edited: Result<Document, EditError>) -> Option<Document> {
    let edited = edited.ok()?;
    assert!(edited.problems().is_empty(), "an edit made a file that corosync refuses");
    Some(edited)
}

fn added(old: &Document, new: &Document, edit: &str) {
    assert!(is_within(old.as_bytes(), new.as_bytes()), "{edit} touched a line that was there");
}

fn gone(old: &Document, new: &Document, edit: &str) {
    assert!(is_within(new.as_bytes(), old.as_bytes()), "{edit} touched a line that stays");
}
