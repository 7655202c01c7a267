//! Conversions of the corpus, line by line, and what is refused.

use super::super::tests::{as_text, changed_lines};
use super::super::{Config, Dialect, Document};
use super::{ConvertError, Converted, convert};

macro_rules! corpus {
    ($name:literal) => {
        Document::parse(include_bytes!(concat!("../../../tests/corpus/", $name, ".conf")))
    };
}

fn converted(document: &Document) -> Converted {
    convert(document).unwrap()
}

/// The document with one text in the place of another, which must be there.
fn with(document: &Document, old: &str, new: &str) -> Document {
    let text = as_text(document);
    assert!(text.contains(old), "{old}");
    Document::parse(text.replace(old, new).as_bytes())
}

#[test]
fn two_rings_of_corosync_2_become_two_links_and_every_other_line_stays() {
    let old = corpus!("pve5-two-rings");
    assert_eq!(Dialect::of(&old), Dialect::Corosync2);
    let Converted { document, steps, .. } = converted(&old);
    assert_eq!(
        changed_lines(&old, &document),
        "-40:\"  rrp_mode: passive\\n\"\n\
         -44:\"    bindnetaddr: 10.10.10.1\\n\"\n\
         -45:\"    ringnumber: 0\\n\"\n\
         -49:\"    bindnetaddr: 10.10.20.1\\n\"\n\
         -50:\"    ringnumber: 1\\n\"\n\
         +43:\"    linknumber: 0\\n\"\n\
         +47:\"    linknumber: 1\\n\"\n"
    );
    let lines: Vec<usize> = steps.iter().filter_map(|step| step.line).collect();
    assert_eq!(lines, [41, 45, 46, 50, 51]);
    assert_eq!(Dialect::of(&document), Dialect::Knet);
    assert_eq!(Config::read(&document).unwrap().interfaces.len(), 2);
}

#[test]
fn what_corosync_2_did_by_default_is_written_out() {
    let old = corpus!("pve5-four-nodes-two-rings");
    let Converted { document, remarks, .. } = converted(&old);
    let text = as_text(&document);
    assert!(text.contains("\ttransport: knet\n"), "{text}");
    assert!(text.contains("\tsecauth: on\n"), "{text}");
    assert!(text.contains("\t\track: a\n"), "unknown keys stay: {text}");
    assert!(text.contains("# the storage switch"), "{text}");
    for gone in ["rrp_", "bindnetaddr", "mcastport", "ttl", "ringnumber"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert!(Config::read(&document).is_ok());
    let remarks = remarks.join("\n");
    assert!(remarks.contains("encryption goes from aes256/sha1 to aes256/sha256"), "{remarks}");
    assert!(remarks.contains("must be stopped on all nodes"), "{remarks}");
}

#[test]
fn encryption_is_never_lost_and_never_forced_on_a_file_that_went_without() {
    let own = corpus!("pve5-own-network");
    let cases = [
        ("  secauth: on\n", "secauth: on\n"),
        ("", "secauth: on\n"),
        ("  secauth: yes\n", "secauth: on\n"),
        ("  secauth: off\n", "secauth: off\n"),
        ("  secauth: off\n  secauth: whatever\n", "secauth: on\n"),
    ];
    for (old, new) in cases {
        let document = converted(&with(&own, "  secauth: on\n", old)).document;
        assert!(as_text(&document).contains(new), "{old:?}: {}", as_text(&document));
    }
    let weak = with(&own, "secauth: on", "crypto_cipher: 3des");
    let document = converted(&weak).document;
    assert!(as_text(&document).contains("crypto_cipher: aes256\n"), "{}", as_text(&document));
}

#[test]
fn host_names_give_the_nodes_their_names_and_keep_being_resolved_to_ipv4() {
    let old = corpus!("pve5-host-names");
    let Converted { document, .. } = converted(&old);
    let config = Config::read(&document).unwrap();
    let names: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["due", "tre", "uno"]);
    let silent = with(&old, "  ip_version: ipv4\n", "");
    assert!(as_text(&converted(&silent).document).contains("ip_version: ipv4\n"));
    let addresses = with(&corpus!("pve5-own-network"), "  ip_version: ipv4\n", "");
    assert!(!as_text(&converted(&addresses).document).contains("ip_version"));
}

#[test]
fn a_knet_file_comes_back_byte_for_byte_but_for_leftovers() {
    for old in [corpus!("pve6-one-link"), corpus!("pve6-two-links"), corpus!("pve9-created")] {
        let Converted { document, steps, .. } = converted(&old);
        assert_eq!(document, old);
        assert!(steps.is_empty(), "{steps:?}");
    }
    let document = converted(&corpus!("corosync3-ring-numbers")).document;
    let config = Config::read(&document).unwrap();
    let priorities: Vec<_> = config.interfaces.values().map(|i| i.options.priority).collect();
    assert_eq!(priorities, [Some(3), Some(9)], "each priority is back on its own link");
}

#[test]
fn converting_twice_changes_nothing_more() {
    for old in [
        corpus!("pve5-host-names"),
        corpus!("pve5-own-network"),
        corpus!("pve5-two-rings"),
        corpus!("pve5-four-nodes-two-rings"),
        corpus!("corosync3-udpu"),
        corpus!("corosync3-udp"),
        corpus!("corosync3-ring-numbers"),
    ] {
        let once = converted(&old).document;
        let twice = converted(&once);
        assert_eq!(twice.document, once);
        assert!(twice.steps.is_empty(), "{:?}", twice.steps);
    }
}

#[test]
fn udp_of_corosync_3_keeps_its_own_port_and_is_said_to_stay_unencrypted() {
    let Converted { document, remarks, .. } = converted(&corpus!("corosync3-udp"));
    let text = as_text(&document);
    assert!(text.contains("mcastport: 5407"), "{text}");
    assert!(!text.contains("mcastaddr"), "{text}");
    assert!(text.contains("secauth: off"), "{text}");
    assert!(remarks.iter().any(|remark| remark.contains("unencrypted")), "{remarks:?}");
}

#[test]
fn a_link_without_interface_section_gets_one_where_others_have_one() {
    let section = "  interface {\n    bindnetaddr: 10.10.20.1\n    ringnumber: 1\n  }\n";
    let old = with(&corpus!("pve5-two-rings"), section, "");
    let document = converted(&old).document;
    assert_eq!(Config::read(&document).unwrap().interfaces.len(), 2);
}

#[test]
fn what_knet_cannot_know_is_refused_with_its_line() {
    let rings = corpus!("pve5-two-rings");
    let refused = |document: &Document| convert(document).unwrap_err();
    assert_eq!(refused(&corpus!("corosync2-multicast")), ConvertError::NoNodelist);
    assert_eq!(refused(&corpus!("corosync2-members")), ConvertError::NoNodelist);
    let node = || "due".to_owned();
    let cases = [
        (with(&rings, "    nodeid: 2\n", ""), ConvertError::NoNodeId { line: 7, node: node() }),
        (
            with(&rings, "nodeid: 2\n", "nodeid: 168430082\n"),
            ConvertError::NodeIdTooLarge { line: 7, node: node(), id: 168_430_082 },
        ),
        (with(&rings, "nodeid: 2\n", "nodeid: 3\n"), ConvertError::NodeIdTwice { line: 15, id: 3 }),
        (
            with(&rings, "    name: due\n", ""),
            ConvertError::NoName { line: 7, node: "10.10.10.2".to_owned() },
        ),
        (
            with(&rings, "    ring1_addr: 10.10.20.2\n", ""),
            ConvertError::UnevenLinks { line: 7, node: node(), link: 1 },
        ),
        (
            with(&corpus!("pve5-own-network"), "ringnumber: 0", "ringnumber: 1"),
            ConvertError::RingWithoutAddresses { line: 40, ring: 1 },
        ),
        (
            with(&rings, "ringnumber: 1", "ringnumber: 0"),
            ConvertError::RingTwice { line: 49, ring: 0 },
        ),
        (
            with(&corpus!("corosync3-udpu"), "transport: udpu", "transport: iba"),
            ConvertError::Transport { line: 7, transport: "iba".to_owned() },
        ),
    ];
    for (document, wanted) in cases {
        assert_eq!(refused(&document), wanted);
    }
    let broken = Document::parse(b"totem {\n");
    assert!(matches!(refused(&broken), ConvertError::Refused(_)));
}
