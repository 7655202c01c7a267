//! The typed view: what is understood, and the words for what is not.

use super::{as_text, by_hand, formed, link, three_nodes};
use crate::conf::{Cipher, Config, Crypto, Document, Hash, first_version_for_pmxcfs};
use crate::ids::ConfigVersion;

#[track_caller]
fn assert_refusals(cases: &[(&str, &str, &str)]) {
    for (from, to, words) in cases {
        assert_eq!(refusal(from, to), *words);
    }
}

/// The words of the refusal after one replacement in the text of three nodes.
fn refusal(from: &str, to: &str) -> String {
    let text = as_text(&formed(&three_nodes()));
    assert!(text.contains(from), "{from:?} is not in the text");
    let document = Document::parse(text.replacen(from, to, 1).as_bytes());
    Config::read(&document).unwrap_err().to_string()
}

#[test]
fn a_file_written_by_hand_is_understood() {
    let config = Config::read(&by_hand()).unwrap();
    assert_eq!(config.cluster_name.as_str(), "prod");
    assert_eq!(config.version, ConfigVersion(41));
    assert_eq!(config.nodes[0].quorum_votes, None);
    assert_eq!((config.nodes[0].votes(), config.nodes[1].votes()), (1, 2));
    assert_eq!(config.nodes[1].addresses[&link(0)], "10.50.0.2");
    assert_eq!((config.nodes[1].line, config.totem.token_millis), (14, None));
}

#[test]
fn device_and_quorum_options_are_read() {
    let text = as_text(&formed(&three_nodes())).replace(
        "provider: corosync_votequorum\n",
        "provider: corosync_votequorum\n two_node: 1\n expected_votes: 4\n \
         device {\n model: net\n votes: 1\n }\n",
    );
    let quorum = Config::read(&Document::parse(text.as_bytes())).unwrap().quorum;
    assert_eq!((quorum.two_node, quorum.expected_votes), (true, Some(4)));
    assert_eq!(quorum.device.unwrap().votes, Some(1));
}

#[test]
fn a_version_that_would_abort_corosync_is_refused() {
    for bad in ["4a", "1.5", "0x5", "", "18446744073709551616", "-1", "+1", "01"] {
        assert_eq!(
            refusal("config_version: 1", &format!("config_version: {bad}")),
            format!(
                "line 33: `config_version` is `{bad}`, but takes a plain unsigned number of 64 bits"
            ),
        );
    }
}

#[test]
fn what_is_not_understood_in_totem_is_named_with_its_line() {
    assert_refusals(&[
        (
            "  version: 2",
            "  version: 2\n  transport: iba",
            "line 42: `transport` is `iba`, but takes one of knet, udpu, udp",
        ),
        (
            "    linknumber: 0",
            "    ringnumber: 0",
            "line 35: `ringnumber` is not understood: corosync 3 puts every such section on link 0",
        ),
        (
            "    linknumber: 0",
            "    mcastport: 5405",
            "line 34: section `interface` has no key `linknumber`",
        ),
        (
            "    linknumber: 0",
            "    linknumber: 8",
            "line 35: `linknumber` is `8`, but takes a link, 0 to 7",
        ),
        (
            "    linknumber: 0",
            "    linknumber: 0\n    knet_link_priority: 256",
            "line 36: `knet_link_priority` is `256`, but takes a plain unsigned number of 8 bits",
        ),
        (
            "    linknumber: 0",
            "    linknumber: 0\n  }\n  interface {\n    linknumber: 0",
            "line 37: linknumber 0 is there a second time",
        ),
    ]);
}

#[test]
fn encryption_is_what_corosync_makes_of_three_keys() {
    let with = |keys: &str| {
        let text = as_text(&formed(&three_nodes())).replace("  secauth: on\n", keys);
        Config::read(&Document::parse(text.as_bytes())).unwrap().crypto()
    };
    let crypto = |cipher, hash| Crypto { cipher, hash };
    assert_eq!(with("  secauth: on\n"), crypto(Cipher::Aes256, Hash::Sha256));
    assert_eq!(with(""), crypto(Cipher::None, Hash::None));
    assert_eq!(with("  secauth: on # for now\n"), crypto(Cipher::None, Hash::None));
    assert_eq!(with("  secauth: on\n  crypto_cipher: none\n"), crypto(Cipher::None, Hash::Sha256));
    let both = "  crypto_hash: sha1\n  crypto_cipher: aes128\n";
    assert_eq!(with(both), crypto(Cipher::Aes128, Hash::Sha1));
    assert_eq!(
        refusal("  secauth: on", "  crypto_cipher: 3des"),
        "line 39: `crypto_cipher` is `3des`, but takes one of none, aes128, aes192, aes256"
    );
}

#[test]
fn a_compression_of_none_is_refused_as_corosync_does() {
    let refused = refusal("  secauth: on", "  knet_compression_model: none");
    assert!(
        refused.ends_with("takes one of zlib, lz4, lz4hc, lzo2, lzma, bzip2, zstd"),
        "{refused}"
    );
}

#[test]
fn what_is_not_understood_in_a_node_is_named_with_its_line() {
    assert_refusals(&[
        ("    nodeid: 2\n", "", "line 13: section `node` has no key `nodeid`"),
        ("nodeid: 2", "nodeid: 1", "line 13: nodeid 1 is there a second time"),
        (
            "nodeid: 2",
            "nodeid: 65536",
            "line 15: `nodeid` is `65536`, but takes a number from 1 to 65535",
        ),
        ("name: n2", "name: n1", "line 13: node n1 is there a second time"),
        (
            "name: n2",
            "name: n_2",
            "line 14: `name` is `n_2`, but takes a node name as Proxmox VE takes it",
        ),
        (
            "ring0_addr: 10.50.0.2",
            "ring0_addr: 10.50.0.2 # b",
            "line 17: `ring0_addr` is `10.50.0.2 # b`, but takes an address or a host name",
        ),
        (
            "ring0_addr: 10.50.0.2",
            "ring8_addr: 10.50.0.2",
            "line 17: `ring8_addr` is not understood: corosync has links 0 to 7",
        ),
        (
            "ring0_addr: 10.50.0.2",
            "link0_addr: 10.50.0.2",
            "line 17: `link0_addr` is not understood: corosync ignores it, Proxmox VE takes it for an address",
        ),
        (
            "ring0_addr: 10.50.0.2",
            "ring1_addr: 10.50.0.2",
            "line 7: node 1 has no address on link 1, which other nodes have",
        ),
    ]);
}

#[test]
fn what_is_not_understood_elsewhere_is_named_with_its_line() {
    assert_refusals(&[
        ("quorum {", "quorums {", "there is no section `quorum`"),
        (
            "quorum {",
            "quorum {\n}\nquorum {",
            "line 29: section `quorum` is there a second time; corosync and Proxmox VE disagree on what that means",
        ),
        (
            "provider: corosync_votequorum",
            "provider: x",
            "line 28: `provider` is `x`, but takes corosync_votequorum, the only one that exists",
        ),
        (
            "logging {",
            "# config_version: 9\nlogging {",
            "corosync takes config_version 1, but pmxcfs compares 9, the first in the text",
        ),
        (
            "cluster_name: prod",
            "cluster_name: a-name-too-long-for-it",
            "line 32: `cluster_name` is `a-name-too-long-for-it`, but takes a name of 1 to 15 letters, digits and inner dashes",
        ),
        (
            "logging {",
            "logging",
            "corosync refuses this file: line 1: the line neither opens nor closes a section and is no `key: value`",
        ),
    ]);
}

#[test]
fn pmxcfs_takes_the_first_number_in_the_text() {
    let seen = |text: &str| first_version_for_pmxcfs(text.as_bytes()).map(|version| version.0);
    assert_eq!(seen("totem { config_version : 4a"), Some(4));
    assert_eq!(seen("config_version: x config_version\n:\t7"), Some(7));
    assert_eq!(seen("# my_config_version:3\nconfig_version: 8"), Some(3));
    assert_eq!(seen("config_version"), None);
    assert_eq!(seen(""), None);
    assert_eq!(seen("config_version: 18446744073709551616"), Some(u64::MAX));
    assert_eq!(first_version_for_pmxcfs(b"# Z\xfcrich\nconfig_version: 7\n"), None);
}

#[test]
fn the_version_alone_is_read_only_where_both_readers_agree() {
    let version = |text: &str| Document::parse(text.as_bytes()).version();
    assert_eq!(version("totem {\nconfig_version: 3\n}"), Some(ConfigVersion(3)));
    assert_eq!(version("totem {\nconfig_version: 3a\n}"), None);
    assert_eq!(version("#config_version: 2\ntotem {\nconfig_version: 3\n}"), None);
    assert_eq!(version(""), None);
}
