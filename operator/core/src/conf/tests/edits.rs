//! Each edit and each refusal.

use std::collections::BTreeMap;

use super::{as_text, entry, formed, link, node_id, three_nodes};
use crate::conf::edit::{
    add_link, add_node, remove_link, remove_node, set_priority, set_version, set_votes,
};
use crate::conf::{Config, LinkOptions};
use crate::ids::ConfigVersion;

#[test]
fn smoke() {
    let document = formed(&three_nodes());
    let addresses = (1..=3).map(|id| (node_id(id), format!("10.51.0.{id}"))).collect();
    let d = set_version(&document, ConfigVersion(2)).unwrap();
    let d = add_link(&d, link(1), &addresses, &LinkOptions::default()).unwrap();
    let d = set_priority(&d, link(1), Some(20)).unwrap();
    let d = set_votes(&d, node_id(2), 3).unwrap();
    let d = add_node(&d, &entry("n4", 4, &[0, 1])).unwrap();
    let d = remove_node(&d, node_id(1)).unwrap();
    println!("{}", as_text(&d));
    let d = remove_link(&d, link(0)).unwrap();
    println!("{}", as_text(&d));
    println!("{:#?}", Config::read(&d).unwrap());
}
