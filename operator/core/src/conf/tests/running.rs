//! The cmap keys that prove a text. The names were read off corosync 3.1.7.

use std::collections::{BTreeMap, BTreeSet};

use super::{by_hand, formed, link, node_id, three_nodes};
use crate::conf::edit::{
    add_link, hold_token, remove_link, remove_node, set_link_options, set_priority, set_totem,
    set_version, set_votes,
};
use crate::conf::{
    Cipher, Compression, Config, Document, Hash, LinkOptions, TotemOptions, changed_values,
    derived_pings, running_values,
};
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
        ("runtime.config.totem.knet_compression_model", "none"),
        ("runtime.config.totem.token", "3000"),
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

#[test]
fn ping_times_that_are_written_no_more_are_proven_by_those_that_follow_from_the_token() {
    let quick = LinkOptions { ping_interval_millis: Some(200), ..LinkOptions::default() };
    let new = formed(&three_nodes());
    let old = Config::read(&set_link_options(&new, link(0), &quick).unwrap()).unwrap();
    let set = |new: &Document| changed_values(&old, &Config::read(new).unwrap()).set;
    let interval = "runtime.config.totem.interface.0.knet_ping_interval";
    let derived = old.token_in_force_millis() / 4;
    assert_eq!(set(&new), BTreeMap::from([(interval.to_owned(), derived.to_string())]));
    // With another token timeout they come one reload later.
    let totem = TotemOptions { token_millis: Some(5000), ..TotemOptions::default() };
    assert!(!set(&set_totem(&new, &totem).unwrap()).contains_key(interval));
}

/// The numbers are those that corosync 3.1.7 showed for these texts.
#[test]
fn the_token_timeout_in_force_counts_nodes_by_link_0_and_the_pings_follow() {
    let totem = TotemOptions { token_coefficient_millis: Some(650), ..TotemOptions::default() };
    let with =
        |token| set_totem(&formed(&three_nodes()), &TotemOptions { token_millis: token, ..totem });
    let read = |document: &_| Config::read(document).unwrap();
    let pings = |config: &_| {
        let pings = derived_pings(config).into_iter();
        pings.map(|(key, value)| (key.replace("runtime.config.totem.interface", "link"), value))
    };
    let named = |interval: &str, timeout: &str| {
        let set =
            set(&[("link.0.knet_ping_interval", interval), ("link.0.knet_ping_timeout", timeout)]);
        set.into_iter().collect::<Vec<_>>()
    };
    let document = with(None).unwrap();
    assert_eq!(read(&document).token_in_force_millis(), 3650);
    assert_eq!(pings(&read(&document)).collect::<Vec<_>>(), named("912", "1825"));
    let document = with(Some(5000)).unwrap();
    assert_eq!(read(&document).token_in_force_millis(), 5650);
    assert_eq!(pings(&read(&document)).collect::<Vec<_>>(), named("1412", "2825"));

    let addresses = (1..=3).map(|id| (node_id(id), format!("10.51.0.{id}"))).collect();
    let both = add_link(&document, link(1), &addresses, &LinkOptions::default()).unwrap();
    let without = remove_link(&both, link(0)).unwrap();
    assert_eq!(read(&without).token_in_force_millis(), 5000);
    let held = hold_token(&without, 5650).unwrap();
    assert_eq!(read(&held).totem.token_millis, Some(5650));
    let changed = changed_values(&read(&both), &read(&held));
    assert_eq!(changed.set["runtime.config.totem.token"], "5650", "proven although it stays");
}

#[test]
fn keys_of_totem_are_proven_by_what_the_daemon_works_with() {
    let old = formed(&three_nodes());
    let options = TotemOptions {
        consensus_millis: Some(9001),
        mtu_bytes: Some(1000),
        compression: Some(Compression::Zlib),
        compression_level: Some(-3),
        cipher: Some(Cipher::Aes128),
        hash: Some(Hash::Sha512),
        ..TotemOptions::default()
    };
    let new = set_totem(&old, &options).unwrap();
    let pings = LinkOptions { ping_interval_millis: Some(200), ..LinkOptions::default() };
    let document = set_link_options(&new, link(0), &pings).unwrap();
    let (old, new) = (Config::read(&old).unwrap(), Config::read(&document).unwrap());
    let expected = set(&[
        ("runtime.config.totem.consensus", "9001"),
        ("runtime.config.totem.interface.0.knet_ping_interval", "200"),
        ("runtime.config.totem.knet_compression_level", "-3"),
        ("runtime.config.totem.knet_compression_model", "zlib"),
        ("runtime.config.totem.knet_mtu", "1000"),
        ("totem.consensus", "9001"),
        ("totem.crypto_cipher", "aes128"),
        ("totem.crypto_hash", "sha512"),
        ("totem.interface.0.knet_ping_interval", "200"),
        ("totem.knet_compression_level", "-3"),
        ("totem.knet_compression_model", "zlib"),
        ("totem.knet_mtu", "1000"),
    ]);
    assert_eq!(changed_values(&old, &new).set, expected);
    // Without the key there is no compression; the word itself would make corosync refuse the file.
    let none = TotemOptions { compression: Some(Compression::None), ..TotemOptions::default() };
    let plain = set_totem(&set_totem(&document, &none).unwrap(), &none).unwrap();
    let plain = changed_values(&new, &Config::read(&plain).unwrap());
    let model = "runtime.config.totem.knet_compression_model";
    assert_eq!(plain.set, set(&[(model, "none")]));
    assert_eq!(plain.gone.into_iter().collect::<Vec<_>>(), ["totem.knet_compression_model"]);
    // A daemon keeps the effective number of a key that is gone, under the default's value.
    let gone = changed_values(&new, &old).gone;
    assert!(gone.iter().all(|key| key.starts_with("totem.")) && gone.len() == 7, "{gone:?}");
}
