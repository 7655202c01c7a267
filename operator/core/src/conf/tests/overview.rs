//! What the overview shows of files of every dialect.

use super::super::{Dialect, Document, Overview};
use super::{by_hand, formed, three_nodes};

macro_rules! overview {
    ($name:literal) => {
        Overview::of(&Document::parse(include_bytes!(concat!(
            "../../../tests/corpus/",
            $name,
            ".conf"
        ))))
    };
}

#[test]
fn every_file_of_the_corpus_is_of_the_dialect_that_its_keys_are_of() {
    let dialects = [
        (overview!("pve5-host-names"), Dialect::Corosync2),
        (overview!("pve5-two-rings"), Dialect::Corosync2),
        (overview!("corosync2-multicast"), Dialect::Corosync2),
        (overview!("corosync2-members"), Dialect::Corosync2),
        (overview!("corosync3-udpu"), Dialect::Corosync2),
        (overview!("corosync3-udp"), Dialect::Udp),
        (overview!("corosync3-ring-numbers"), Dialect::Knet),
        (overview!("pve6-two-links"), Dialect::Knet),
        (overview!("pve9-created"), Dialect::Knet),
        (Overview::of(&by_hand()), Dialect::Knet),
        (Overview::of(&Document::parse(b"")), Dialect::Knet),
    ];
    for (overview, dialect) in dialects {
        assert_eq!(overview.dialect, dialect, "{:?} {overview:?}", overview.cluster_name);
    }
    let plain = b"totem {\n transport: udpu\n}\nnodelist {\n node {\n ring0_addr: a\n }\n}\n";
    assert_eq!(Overview::of(&Document::parse(plain)).dialect, Dialect::Udpu);
}

#[test]
fn timers_are_those_that_corosync_works_out() {
    let timers = overview!("pve6-two-links").totem.timers;
    assert_eq!((timers.token_millis.value, timers.token_millis.is_default), (3000, true));
    assert_eq!(timers.token_effective_millis, 3650);
    assert_eq!((timers.consensus_millis.value, timers.consensus_millis.is_default), (4380, true));
    let timers = Overview::of(&formed(&three_nodes())).totem.timers;
    assert!(!timers.token_coefficient_millis.is_default);
    assert_eq!((timers.token_effective_millis, timers.consensus_millis.value), (3125, 3750));
    assert_eq!(overview!("pve5-two-rings").totem.timers.token_effective_millis, 1650);
    let four = overview!("pve5-four-nodes-two-rings").totem.timers;
    assert_eq!((four.token_effective_millis, four.token_millis.is_default), (5300, false));
}

#[test]
fn the_token_counts_only_nodes_with_an_address_on_link_0() {
    let text = super::as_text(&formed(&three_nodes())).replace("ring0_addr", "ring1_addr");
    let timers = Overview::of(&Document::parse(text.as_bytes())).totem.timers;
    assert_eq!(timers.token_effective_millis, 3000);
}

#[test]
fn encryption_is_shown_as_each_corosync_takes_the_same_word() {
    let crypto = |overview: Overview| overview.totem.crypto.to_string();
    assert_eq!(crypto(overview!("pve5-four-nodes-two-rings")), "aes256/sha1");
    assert_eq!(crypto(overview!("pve6-one-link")), "aes256/sha256");
    assert_eq!(crypto(overview!("corosync3-udpu")), "none");
    assert_eq!(crypto(Overview::of(&by_hand())), "none");
    let trap = b"totem {\n transport: knet\n secauth: on # encrypt\n}\n";
    assert_eq!(crypto(Overview::of(&Document::parse(trap))), "none");
}

#[test]
fn links_show_what_is_written_and_what_knet_makes_of_the_rest() {
    let links = overview!("pve9-created").links;
    let shown: Vec<_> =
        links.iter().map(|l| (l.number, l.port.value, l.knet.unwrap().priority.value)).collect();
    assert_eq!(shown, [(0, 5405, 20), (1, 5406, 15)]);
    let knet = overview!("pve6-two-links").links[0].knet.unwrap();
    assert_eq!((knet.ping_interval_millis.value, knet.ping_timeout_millis.value), (912, 1825));
    let collapsed = overview!("corosync3-ring-numbers").links;
    let priorities: Vec<u64> = collapsed.iter().map(|l| l.knet.unwrap().priority.value).collect();
    assert_eq!(priorities, [9, 1], "the last section won on link 0");
    let rings = overview!("pve5-two-rings").links;
    assert!(rings.iter().all(|ring| ring.knet.is_none() && ring.port.value == 5405));
}

/// A quorum section and votes of the nodes -> expected, needed, failures survived.
fn votes(quorum: &str, nodes: &[u32]) -> (u64, u64, usize) {
    let node = |(at, votes): (usize, &u32)| {
        format!(" node {{\n nodeid: {}\n quorum_votes: {votes}\n ring0_addr: a{at}\n }}\n", at + 1)
    };
    let nodes: String = nodes.iter().enumerate().map(node).collect();
    let text = format!("totem {{\n}}\nnodelist {{\n{nodes}}}\nquorum {{\n{quorum}}}\n");
    let votes = Overview::of(&Document::parse(text.as_bytes())).quorum.votes;
    (votes.expected.value, votes.needed, votes.failures_survived)
}

#[test]
fn votes_are_counted_as_votequorum_counts_them() {
    let device = " device {\n model: net\n votes: 1\n }\n";
    let unset = " device {\n model: net\n }\n";
    let cases = [
        ("", &[1, 1, 1][..], (3, 2, 1)),
        ("", &[1, 1, 1, 1], (4, 3, 1)),
        ("", &[3, 1, 1], (5, 3, 0)),
        ("", &[1], (1, 1, 0)),
        ("", &[], (0, 1, 0)),
        (" two_node: 1\n", &[1, 1], (2, 1, 1)),
        (" two_node: 1\n", &[1, 1, 1, 1], (4, 3, 3)),
        (" two_node: 1\n", &[1, 1, 1, 1, 1, 1], (6, 4, 2)),
        (" expected_votes: 2\n", &[1, 1, 1, 1], (2, 3, 1)),
        (" expected_votes: 9\n", &[1, 1, 1, 1], (9, 5, 0)),
        (device, &[1, 1], (3, 2, 1)),
        (device, &[1, 1, 1, 1], (5, 3, 2)),
        (unset, &[1, 1, 1], (5, 3, 2)),
    ];
    for (quorum, nodes, wanted) in cases {
        assert_eq!(votes(quorum, nodes), wanted, "{quorum:?} {nodes:?}");
    }
}

#[test]
fn whatever_has_no_place_of_its_own_is_in_the_rest_and_known_or_not() {
    let overview = overview!("pve5-four-nodes-two-rings");
    let rest: Vec<(&str, bool)> =
        overview.rest.iter().map(|row| (row.key.as_str(), row.is_known)).collect();
    assert_eq!(
        rest,
        [
            ("nodelist.node[uno].rack", false),
            ("nodelist.node[due].rack", false),
            ("nodelist.node[tre].rack", false),
            ("nodelist.node[quattro].rack", false),
            ("totem.interface[0].bindnetaddr", true),
            ("totem.interface[0].ttl", true),
            ("totem.interface[1].bindnetaddr", true),
            ("totem.interface[1].ttl", true),
            ("totem.rrp_mode", true),
            ("totem.rrp_problem_count_threshold", true),
        ]
    );
}

#[test]
fn a_value_that_is_no_number_is_listed_and_the_default_is_shown() {
    let overview = Overview::of(&Document::parse(b"totem {\n token: 5s\n}\n"));
    assert_eq!(overview.totem.timers.token_millis.value, 3000);
    let unreadable: Vec<_> = overview.unreadable.iter().map(|r| (&*r.key, r.line)).collect();
    assert_eq!(unreadable, [("totem.token", Some(2))]);
}

#[test]
fn the_overview_of_a_new_cluster_in_json() {
    let overview = Overview::of(&formed(&three_nodes()));
    insta::assert_snapshot!(serde_json::to_string_pretty(&overview).unwrap());
}

#[test]
fn an_old_name_of_a_key_is_shown_only_where_it_is_written() {
    let told = |text: &str| {
        let rows = Overview::of(&Document::parse(text.as_bytes())).logging.into_iter();
        rows.filter(|row| row.key == "logging.to_file").map(|row| row.value).collect::<Vec<_>>()
    };
    assert!(told("logging {\n debug: off\n}\n").is_empty());
    assert_eq!(told("logging {\n to_file: yes\n}\n"), ["yes"]);
}
