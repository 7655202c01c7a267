//! The cmap keys that prove a text. The names were read off corosync 3.1.7.

use std::collections::{BTreeMap, BTreeSet};

use super::{by_hand, formed, link, node_id, three_nodes};
use crate::conf::edit::{add_link, remove_link, remove_node, set_priority, set_version, set_votes};
use crate::conf::{Config, LinkOptions, changed_values, running_values};
use crate::ids::ConfigVersion;

fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn only_what_the_file_writes_is_expected_in_cmap() {
    let values = running_values(&Config::read(&by_hand()).unwrap());
    let expected = set(&[
        ("nodelist.node.0.name", "n1"),
        ("nodelist.node.0.nodeid", "1"),
        ("nodelist.node.0.ring0_addr", "10.50.0.1"),
        ("nodelist.node.1.name", "n2"),
        ("nodelist.node.1.nodeid", "2"),
        ("nodelist.node.1.quorum_votes", "2"),
        ("nodelist.node.1.ring0_addr", "10.50.0.2"),
        ("totem.config_version", "41"),
    ]);
    assert_eq!(values.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn a_stage_is_proven_by_the_keys_that_it_changed_and_those_that_went() {
    let old = formed(&three_nodes());
    let addresses = (1..=3).map(|id| (node_id(id), format!("10.51.0.{id}"))).collect();
    let options = LinkOptions { priority: Some(20), ..LinkOptions::default() };
    let new = add_link(&old, link(1), &addresses, &options).unwrap();
    let new = set_votes(&set_version(&new, ConfigVersion(2)).unwrap(), node_id(3), 2).unwrap();
    let (old, mut new) = (Config::read(&old).unwrap(), new);
    let changed = changed_values(&old, &Config::read(&new).unwrap());
    let expected = set(&[
        ("nodelist.node.0.ring1_addr", "10.51.0.1"),
        ("nodelist.node.1.ring1_addr", "10.51.0.2"),
        ("nodelist.node.2.quorum_votes", "2"),
        ("nodelist.node.2.ring1_addr", "10.51.0.3"),
        ("totem.config_version", "2"),
        ("totem.interface.1.knet_link_priority", "20"),
    ]);
    assert_eq!(changed.set, expected);
    assert_eq!(changed.gone, BTreeSet::new());

    new = set_priority(&new, link(1), None).unwrap();
    new = remove_node(&remove_link(&new, link(0)).unwrap(), node_id(1)).unwrap();
    let changed = changed_values(&old, &Config::read(&new).unwrap());
    let gone: Vec<&str> = changed.gone.iter().map(String::as_str).collect();
    assert_eq!(
        gone,
        [
            "nodelist.node.0.ring0_addr",
            "nodelist.node.1.ring0_addr",
            "nodelist.node.2.name",
            "nodelist.node.2.nodeid",
            "nodelist.node.2.quorum_votes",
            "nodelist.node.2.ring0_addr",
        ]
    );
    assert_eq!(changed.set["nodelist.node.0.name"], "n2", "the numbering follows the file");
}
