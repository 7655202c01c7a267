//! corosync 3: one file for everything at which it stops, and for everything that it misreads.

use super::{Case, SOUND, all, case};
use crate::conf::lint::Effect::{Advice, Breaks, Misreads, Refuses};
use crate::conf::lint::Reader;

pub(super) const CASES: &[Case] = &[
    // Syntax.
    case("  secauth: on\n", "  secauth: on\n#\0\n", ("line-too-long", Refuses), 6),
    case("quorum {", "{", ("section-without-name", Refuses), 33),
    case("quorum {", "quorum { # votes", ("text-behind-brace", Refuses), 33),
    case(
        "logging {\n  to_syslog: yes\n}",
        "logging {\n} # end",
        ("text-beside-brace", Refuses),
        37,
    ),
    case("", "}\n", ("closing-without-opening", Refuses), 39),
    case("", "system {\n", ("section-not-closed", Refuses), 39),
    case("to_syslog: yes", "to syslog: yes", ("name-not-storable", Refuses), 37),
    case(
        "",
        "a \
         {\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb {\n}\n}\n",
        ("path-too-long", Refuses),
        40,
    ),
    case("to_syslog: yes", "to_syslog yes", ("not-a-statement", Refuses), 37),
    // Values.
    case("  secauth: on", "  token: 5s", ("not-a-number", Refuses), 5),
    case("nodeid: 2", "nodeid: 2 # two", ("not-a-number", Refuses), 22),
    case("linknumber: 1", "linknumber: 256", ("not-a-number", Refuses), 10),
    case("config_version: 7", "config_version: 4a", ("number-aborts-corosync", Refuses), 4),
    case("config_version: 7", "config_version: 4a", ("number-aborts-corosync", Breaks), 4),
    case("config_version: 7", "config_version: 1.5", ("number-aborts-corosync", Breaks), 4),
    case("config_version: 7", "config_version: 0x5", ("number-aborts-corosync", Breaks), 4),
    case("config_version: 7", "config_version:", ("number-aborts-corosync", Breaks), 4),
    case(
        "config_version: 7",
        "config_version: 18446744073709551616",
        ("number-aborts-corosync", Breaks),
        4,
    ),
    case(
        "",
        "resources {\nprocess {\npoll_period: soon\n}\n}\n",
        ("number-aborts-corosync", Breaks),
        41,
    ),
    case("secauth: on", "transport: iba", ("word-refused", Refuses), 5),
    case("secauth: on", "crypto_cipher: 3des", ("word-refused", Refuses), 5),
    case("secauth: on", "crypto_hash: none # x", ("word-refused", Refuses), 5),
    case("secauth: on", "ip_version: 4", ("word-refused", Refuses), 5),
    case("secauth: on", "link_mode: bogus", ("word-refused", Refuses), 5),
    case("linknumber: 0", "knet_transport: tcp", ("word-refused", Refuses), 7),
    case("", "system {\n sched_rr: 1\n}\n", ("word-refused", Refuses), 40),
    case("to_syslog: yes", "debug: yes", ("word-refused", Refuses), 37),
    case(
        "to_syslog: yes",
        "logger_subsys {\nsubsys: TOTEM\ndebug: 1\n}",
        ("word-refused", Refuses),
        39,
    ),
    case("to_syslog: yes", "to_stderr: true", ("word-refused", Refuses), 37),
    case("  version: 2\n", "", ("not-version-2", Refuses), 0),
    case("  version: 2\n", "  version: 3\n", ("not-version-2", Refuses), 2),
    case("secauth: on", "token: 20", ("out-of-range", Refuses), 5),
    case("secauth: on", "token_warning: 101", ("out-of-range", Refuses), 5),
    case("secauth: on", "max_network_delay: 29", ("out-of-range", Refuses), 5),
    case("secauth: on", "merge: 29", ("out-of-range", Refuses), 5),
    case("secauth: on", "token: 0", ("zero-is-default", Misreads), 5),
    case("secauth: on", "secauth: yes", ("word-ignored", Misreads), 5),
    case("secauth: on", "block_unlisted_ips: false", ("word-ignored", Misreads), 5),
    case("linknumber: 0", "knet_ping_timeout: 2147483648", ("number-dropped", Misreads), 7),
    // On the way to cmap.
    case("", "uidgid {\n user: root\n}\n", ("foreign-key", Refuses), 40),
    case("linknumber: 0", "member {\naddr: 10.0.0.1\n}", ("foreign-key", Refuses), 8),
    case("to_syslog: yes", "logger_subsys {\ndebug: on\n}", ("logger-without-name", Refuses), 37),
    case("to_syslog: yes", "logging_daemon {\nsubsys: x\n}", ("logger-without-name", Refuses), 37),
    case("to_syslog: yes", "logger_subsys {\nsubsys: A B\n}", ("logger-name", Refuses), 38),
    case("name: n2", "name: n2\n extra {\n }", ("nested-section", Misreads), 22),
    case(
        "linknumber: 0\n  }",
        "knet_transport: udp\n",
        ("nested-section-aborts-corosync", Breaks),
        9,
    ),
    case(
        "to_syslog: yes",
        "logger_subsys {\nsubsys: A\nx {\n}\n}",
        ("nested-section-aborts-corosync", Refuses),
        39,
    ),
    // Nodes.
    case(
        "name: n1\n    nodeid: 1\n    ring0_addr: 10.0.0.1\n    ring1_addr: 10.1.0.1",
        "nodeid: 1\nring1_addr: 10.1.0.1",
        ("first-node-nameless", Breaks),
        14,
    ),
    case(
        "    name: n1\n    nodeid: 1\n    ring0_addr",
        "    nodeid: 1\n    ring2_addr",
        ("node-unfindable", Breaks),
        14,
    ),
    case("    nodeid: 2\n", "", ("nodeid-missing", Refuses), 20),
    case("nodeid: 2", "nodeid: 0", ("nodeid-missing", Refuses), 22),
    case(
        "    nodeid: 2\n    ring0_addr: 10.0.0.2\n    ring1_addr: 10.1.0.2\n",
        "",
        ("nodeid-missing", Breaks),
        20,
    ),
    case("nodeid: 2", "nodeid: 65536", ("nodeid-too-large", Refuses), 22),
    case("nodeid: 2", "nodeid: 1", ("nodeid-twice", Refuses), 22),
    case("    name: n2\n", "", ("names-needed", Refuses), 20),
    case("name: n2", "name: n1", ("name-twice", Breaks), 21),
    case("    ring1_addr: 10.1.0.2\n", "", ("links-uneven", Refuses), 20),
    case("linknumber: 1", "linknumber: 2\nmcastport: 5499", ("links-uneven", Refuses), 9),
    case(
        "    ring0_addr: 10.0.0.2\n    ring1_addr: 10.1.0.2\n",
        "",
        ("node-without-address", Breaks),
        20,
    ),
    case("ring1_addr: 10.1.0.2", "ring8_addr: 10.1.0.2", ("link-too-high", Refuses), 24),
    case("linknumber: 1", "linknumber: 9\nttl: 1", ("link-too-high", Refuses), 9),
    case("10.0.0.2", "10.0.0.2 # n2", ("address-unusable", Refuses), 23),
    case("10.0.0.2", "", ("address-unusable", Refuses), 23),
    case("10.1.0.2", "fd00::2", ("families-mixed", Refuses), 24),
    case("10.0.0.2", "10.0.0.1", ("address-twice", Breaks), 23),
    case("10.1.0.2", "10.0.0.2", ("links-share-address", Advice), 24),
    case("10.1.0.2", "n2.example", ("address-is-name", Advice), 24),
    case("ring0_addr", "link0_addr", ("link-addr-ignored", Misreads), 17),
    // Links and transports.
    case("secauth: on", "transport: udpu", ("one-link-only", Refuses), 5),
    case(
        "secauth: on\n  interface {\n    linknumber: 0",
        "transport: udpu\n  interface {\n    knet_link_priority: 5",
        ("knet-only-option", Refuses),
        7,
    ),
    case("linknumber: 0", "ttl: 3", ("multicast-only-option", Refuses), 7),
    case("linknumber: 1", "linknumber: 5\nmcastport: 0", ("port-missing", Refuses), 11),
    case("linknumber: 0", "mcastaddr: 300.1.2.3 x", ("multicast-address", Refuses), 7),
    case(
        "secauth: on\n  interface {\n    linknumber: 0",
        "transport: udp\n  interface {\n    mcastaddr: 10.0.0.9",
        ("multicast-address", Refuses),
        7,
    ),
    case(
        "  cluster_name: lab\n  config_version: 7\n  secauth: on",
        "  transport: udp",
        ("multicast-address", Refuses),
        3,
    ),
    case(
        "linknumber: 1",
        "linknumber: 4\nbindnetaddr: the lan",
        ("bindnetaddr-unusable", Refuses),
        11,
    ),
    case("linknumber: 1", "linknumber: 1\nknet_link_priority: 0", ("zero-priority", Misreads), 11),
    // Encryption.
    case("secauth: on", "crypto_cipher: aes256", ("cipher-without-hash", Refuses), 5),
    case("secauth: on", "transport: udpu\nsecauth: on", ("crypto-needs-knet", Refuses), 6),
    case("secauth: on", "secauth: on\nkey: secret", ("key-too-short", Refuses), 6),
    case("secauth: on", "secauth: off", ("unencrypted", Advice), 5),
    case("  secauth: on\n", "", ("unencrypted", Advice), 0),
    // Timers.
    case("secauth: on", "token: 100\ntoken_coefficient: 0", ("timer-too-short", Refuses), 5),
    case("secauth: on", "hold: 13", ("timer-too-short", Refuses), 5),
    case("secauth: on", "join: 5000", ("consensus-below-join", Refuses), 5),
    case("secauth: on", "token: 300\ntoken_coefficient: 0", ("token-short", Advice), 5),
    // Text.
    case("secauth: on", "secauth: on # x", ("comment-in-value", Misreads), 5),
    case("secauth: on", "secauth: off\nsecauth: on", ("key-twice", Misreads), 6),
    case("", "totem {\n token: 5000\n}\n", ("section-twice", Misreads), 39),
    case("", "nodelist {\n node {\n name: n9\n }\n}\n", ("nodelist-twice", Breaks), 39),
    case("linknumber: 1", "ringnumber: 1", ("interface-twice", Misreads), 9),
    case("    linknumber: 0\n", "", ("interface-without-link", Advice), 6),
    case("linknumber: 1", "ringnumber: 1", ("ringnumber-ignored", Misreads), 10),
    case("secauth: on", "tokn: 10000", ("unknown-key", Misreads), 5),
    case("", "qourum {\n}\n", ("unknown-section", Misreads), 39),
    case("", "token: 10000\n", ("stray-key", Misreads), 39),
    case("secauth: on", "rrp_mode: passive", ("leftover", Advice), 5),
    case("linknumber: 0", "bindnetaddr: 10.0.0.0", ("leftover", Advice), 7),
    case("config_version: 7", "config_version: 0", ("version-unchecked", Advice), 4),
    case("  cluster_name: lab\n", "", ("cluster-nameless", Advice), 0),
];

/// Files that are more than one change of the sound one: addresses under a name that is none, links
/// without 0, no nodelist.
pub(super) fn more() -> [String; 3] {
    let unlinked = SOUND.replace("ring0_addr", "link0_addr").replace("ring1_addr", "link1_addr");
    let without_0 =
        SOUND.replace("ring0_addr", "ring2_addr").replace("linknumber: 0", "linknumber: 2");
    [unlinked, without_0, SOUND.replace("nodelist", "nodes")]
}

#[test]
fn a_sound_file_has_no_finding() {
    assert_eq!(all(SOUND, Reader::Corosync3), Vec::<String>::new());
}

#[test]
fn every_trap_is_found_in_its_line_with_its_effect() {
    for case in CASES {
        case.holds(SOUND, Reader::Corosync3);
    }
}

#[test]
fn a_file_without_nodes_does_not_start_and_its_reload_breaks_the_cluster() {
    let (head, _) = SOUND.split_once("nodelist {").unwrap();
    let (_, tail) = SOUND.split_once("quorum {").unwrap();
    for nodelist in ["", "nodelist {\n}\n"] {
        let file = format!("{head}{nodelist}quorum {{{tail}");
        let found = all(&file, Reader::Corosync3).join("\n");
        assert!(
            found.contains("refuses nodelist-empty") && found.contains("breaks nodelist-empty"),
            "{found}"
        );
    }
}

#[test]
fn the_comment_behind_secauth_is_told_with_what_follows() {
    let file = SOUND.replace("secauth: on", "secauth: on # x");
    let found = all(&file, Reader::Corosync3).join("\n");
    assert!(
        found.contains("`on # x`") && found.contains("unencrypted") && found.contains("Proxmox VE"),
        "{found}"
    );
}

#[test]
fn a_number_that_aborts_is_told_even_where_the_file_does_not_parse_but_only_before_that_line() {
    let broken =
        SOUND.replace("quorum {", "quorum").replace("config_version: 7", "config_version: 4a");
    assert!(
        all(&broken, Reader::Corosync3).iter().any(|told| told.contains("breaks number-aborts"))
    );
    let early = SOUND
        .replace("totem {", "word\ntotem {")
        .replace("config_version: 7", "config_version: 4a");
    assert!(!all(&early, Reader::Corosync3).iter().any(|told| told.contains("number-aborts")));
}

#[test]
fn a_forgotten_brace_behind_knet_transport_aborts_every_corosync() {
    let forgotten = SOUND.replace("linknumber: 0\n  }", "linknumber: 0\nknet_transport: udp\n");
    assert!(
        all(&forgotten, Reader::Corosync3)
            .iter()
            .any(|told| told.contains("breaks nested-section-aborts"))
    );
    // Without the key nothing is freed twice.
    let plain = SOUND.replace("linknumber: 0\n  }", "linknumber: 0\n");
    assert!(!all(&plain, Reader::Corosync3).iter().any(|told| told.contains("aborts")));
}

#[test]
fn no_links_at_all_and_nobody_to_be_found_are_refused() {
    let [unlinked, ..] = more();
    assert!(all(&unlinked, Reader::Corosync3).iter().any(|told| told.contains("refuses no-links")));
    let nameless = SOUND.replace("ring0_addr", "ring2_addr").replace("    name", "    nome");
    let found = all(&nameless, Reader::Corosync3);
    assert!(found.iter().any(|told| told.contains("refuses node-unfindable")), "{found:#?}");
}

#[test]
fn among_more_than_ten_nodes_a_repeated_nodeid_is_overlooked_by_corosync_but_not_here() {
    let list = |ids: &[u32]| -> String {
        let node = |(at, id): (usize, &u32)| {
            format!("node {{\nname: m{at}\nnodeid: {id}\nring0_addr: 10.0.0.{at}\n}}\n")
        };
        let nodes: String = ids.iter().enumerate().map(node).collect();
        format!("totem {{\nversion: 2\nsecauth: on\n}}\nnodelist {{\n{nodes}}}\n")
    };
    let ids: Vec<u32> = (1..=12).collect();
    let seen = [&ids[..11], &[1]].concat();
    assert!(
        all(&list(&seen), Reader::Corosync3)
            .iter()
            .any(|told| told.contains("refuses nodeid-twice"))
    );
    let overlooked = [&ids[..11], &[6]].concat();
    assert!(
        all(&list(&overlooked), Reader::Corosync3)
            .iter()
            .any(|told| told.contains("breaks nodeid-twice"))
    );
}

#[test]
fn without_link_0_the_token_does_not_grow() {
    let [_, file, _] = more();
    let found = all(&file, Reader::Corosync3);
    assert!(found.iter().any(|told| told.contains("misreads token-without-link-0")), "{found:#?}");
}

#[test]
fn repeated_sections_that_may_repeat_are_no_finding() {
    let more = "uidgid {\nuid: 0\n}\nuidgid {\ngid: 0\nuid: 33\nuid: 34\n}\n";
    let loggers =
        "logging {\nlogger_subsys {\nsubsys: A\n}\nlogger_subsys {\nsubsys: B\ndebug: on\n}\n";
    let file = SOUND.replace("logging {\n", loggers) + more;
    assert_eq!(all(&file, Reader::Corosync3), Vec::<String>::new());
}
