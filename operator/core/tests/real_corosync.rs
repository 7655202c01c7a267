//! Formed and edited files, and refused lines, put before the real `corosync -t` where it is
//! installed. It starts nothing, opens no socket and needs no root.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod desk;

use std::collections::BTreeMap;

use pvecm_core::conf::edit::{
    add_link, add_node, append_section, hold_token, remove_link, remove_node, set_addresses,
    set_logging, set_priority, set_totem, set_transport, set_version, set_votes,
};
use pvecm_core::conf::{
    Cipher, Compression, Debugging, Document, Formation, Hash, IpVersion, LinkMode, LinkOptions,
    LoggingOptions, NodeEntry, Priority, SectionPath, Switch, TotemOptions, Transport, form,
};
use pvecm_core::ids::{ConfigVersion, LinkNumber, NodeId};

use desk::Desk;

fn link(number: u32) -> LinkNumber {
    LinkNumber::try_from(number).unwrap()
}

fn node_id(id: u32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

/// Node 1 is found by its address, 127.0.0.1, so this machine's host name does not matter.
fn node(id: u32) -> NodeEntry {
    NodeEntry {
        name: format!("pvecm-test-{id}").parse().unwrap(),
        id: node_id(id),
        votes: 1,
        addresses: BTreeMap::from([(link(0), format!("127.0.0.{id}"))]),
    }
}

fn cluster() -> Document {
    let formation = Formation {
        cluster_name: "prod".parse().unwrap(),
        version: ConfigVersion(1),
        nodes: (1..=3).map(node).collect(),
        links: BTreeMap::from([(link(0), LinkOptions::default())]),
        totem: TotemOptions::default(),
        logging: LoggingOptions::default(),
    };
    Document::parse(&form(&formation).unwrap())
}

#[test]
fn corosync_takes_what_is_formed_and_what_every_edit_makes_of_it() {
    let Some(desk) = Desk::new("formed") else { return };
    let document = cluster();
    desk.accepts(&document);

    let addresses = (1..=3).map(|id| (node_id(id), format!("127.0.1.{id}"))).collect();
    let options = LinkOptions {
        priority: Some(20),
        ping_interval_millis: Some(300),
        ping_timeout_millis: Some(900),
        ping_precision: Some(1024),
        pong_count: Some(3),
        port: Some(5500),
    };
    let document = add_link(&document, link(7), &addresses, &options).unwrap();
    desk.accepts(&document);
    let document = set_priority(&document, link(0), Some(255)).unwrap();
    let document = set_votes(&document, node_id(2), 0).unwrap();
    let document = set_version(&document, ConfigVersion(u64::MAX)).unwrap();
    desk.accepts(&document);
    let mut fourth = node(4);
    fourth.addresses.insert(link(7), "127.0.1.4".to_owned());
    let document = add_node(&document, &fourth).unwrap();
    desk.accepts(&document);
    let document = remove_node(&document, node_id(2)).unwrap();
    desk.accepts(&document);
    let document = remove_link(&document, link(7)).unwrap();
    desk.accepts(&document);
    let totem = TotemOptions {
        token_millis: Some(126),
        token_coefficient_millis: Some(0),
        consensus_millis: Some(60),
        ip_version: Some(IpVersion::Ipv4),
        link_mode: Some(LinkMode::RoundRobin),
        mtu_bytes: Some(1400),
        cipher: Some(Cipher::Aes192),
        hash: Some(Hash::Sha384),
        compression: Some(Compression::Zlib),
        compression_threshold_bytes: Some(200),
        compression_level: Some(-1),
        transport: Some(Transport::Knet),
    };
    let whole = set_totem(&document, &totem).unwrap();
    desk.accepts(&whole);
    let none = TotemOptions { compression: Some(Compression::None), ..totem };
    desk.accepts(&set_totem(&whole, &none).unwrap());
    for transport in [Transport::Udpu, Transport::Udp] {
        let there = set_transport(&whole, transport).unwrap();
        desk.accepts(&there);
        desk.accepts(&set_transport(&there, Transport::Knet).unwrap());
    }
    let logging = LoggingOptions {
        debug: Some(Debugging::Trace),
        syslog_priority: Some(Priority::Err),
        to_syslog: Some(Switch::No),
    };
    desk.accepts(&set_logging(&whole, &logging).unwrap());
    let others = [3, 4].map(|id| (node_id(id), format!("127.0.0.{}", 255 - id)));
    let own = [(node_id(1), "127.0.0.1".to_owned())];
    let addresses = own.into_iter().chain(others).collect();
    let moved = set_addresses(&document, link(0), &addresses).unwrap();
    desk.accepts(&hold_token(&moved, 9000).unwrap());
    let device = [("model", "net"), ("votes", "1")];
    let quorum = SectionPath::top("quorum");
    desk.accepts(&append_section(&document, &quorum, "device", &device).unwrap());
}

#[test]
fn corosync_stops_at_the_same_line_as_the_document_says() {
    let Some(desk) = Desk::new("refused") else { return };
    let long = |count: usize, end: &str| format!("#{}{end}", "x".repeat(count)).into_bytes();
    let cases: [(Vec<u8>, &str); 14] = [
        (b"abc {x\n}\n".to_vec(), "Extra characters after opening bracket"),
        (b"\n{\n}\n".to_vec(), "Missing section name before opening bracket"),
        (b"abc {\n } #x\n".to_vec(), "Extra characters before or after closing bracket"),
        (b"abc {\n}\n}\n".to_vec(), "Unexpected closing brace"),
        (b"# c\nabc {\nx: 1\n".to_vec(), "Missing closing brace"),
        (b"abc {\n".to_vec(), "Missing closing brace"),
        (b"word\n".to_vec(), "Line is not opening or closing section or key value"),
        (b"\xa0# c\n".to_vec(), "Line is not opening or closing section or key value"),
        (b"\r\r\n".to_vec(), "Line is not opening or closing section or key value"),
        (b"abc\0d: e\n".to_vec(), "Line too long"),
        (long(510, "\n"), "Line too long"),
        (long(510, ""), "Line too long"),
        (b"\nab: c\n".to_vec(), "Can't store key"),
        (b"a b {\nkey: v\n}\n".to_vec(), "Can't store key"),
    ];
    for (bytes, message) in cases {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (code, messages) = desk.verdict(&bytes);
        assert_eq!(code, Some(8), "{text:?}: {messages}");
        let document = Document::parse(&bytes);
        let line = document.problems()[0].line;
        let expected = format!("corosync.conf:{line}: {message}");
        assert!(messages.contains(&expected), "{text:?}: {messages} has no {expected:?}");
    }
}
