//! corosync 2: rings, multicast, encryption by default.

use super::{Case, all, case};
use crate::conf::lint::Effect::{Advice, Breaks, Misreads, Refuses};
use crate::conf::lint::Reader;

/// Two nodes on two rings, as Proxmox VE 5 had them (pve.md 10.10 G56).
pub(super) const SOUND: &str = "\
totem {
  version: 2
  cluster_name: lab
  config_version: 9
  ip_version: ipv4
  rrp_mode: passive
  secauth: on
  interface {
    ringnumber: 0
    bindnetaddr: 10.10.10.1
  }
  interface {
    ringnumber: 1
    bindnetaddr: 10.10.20.1
  }
}
nodelist {
  node {
    name: one
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.10.10.1
    ring1_addr: 10.10.20.1
  }
  node {
    name: two
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.10.10.2
    ring1_addr: 10.10.20.2
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: yes
}
";

pub(super) const CASES: &[Case] = &[
    case("quorum {", "quorum { # votes", ("line-passed-over", Misreads), 33),
    case("to_syslog: yes", "to_syslog yes", ("line-passed-over", Misreads), 37),
    case("", "}\n", ("closing-without-opening", Refuses), 39),
    case("secauth: on", "transport: knet", ("transport-is-udp", Misreads), 7),
    case(
        "    name: two\n    nodeid: 2\n    quorum_votes: 1\n    ring0_addr",
        " name: two\n nodeid: 2\n link0_addr",
        ("ring0-missing", Refuses),
        25,
    ),
    case("ring1_addr: 10.10.20.2", "ring2_addr: 10.10.20.2", ("ring-too-high", Refuses), 30),
    case("ringnumber: 1", "ringnumber: 5", ("ring-too-high", Refuses), 12),
    case(" rrp_mode: passive\n", "", ("rrp-mode-needed", Refuses), 11),
    case("rrp_mode: passive", "rrp_mode: none", ("rrp-mode-needed", Refuses), 6),
    case("rrp_mode: passive", "rrp_mode: bogus", ("rrp-mode-unknown", Refuses), 6),
    case("rrp_mode: passive", "rrp_mode: active", ("rrp-active", Advice), 6),
    case(
        "secauth: on\n  interface {",
        "transport: udpu\n interface {\n ttl: 3",
        ("ring-option", Refuses),
        9,
    ),
    case("ringnumber: 1", "ringnumber: 1\n mcastport: 0", ("ring-option", Refuses), 14),
    case("ringnumber: 1", "ringnumber: 1\n mcastaddr: 10.0.0.1", ("ring-option", Refuses), 14),
    case(" cluster_name: lab\n", "", ("ring-option", Refuses), 7),
    case("10.10.20.2", "fd00::2", ("ring-address-dropped", Breaks), 30),
    case("secauth: on", "crypto_hash: none", ("hash-none", Refuses), 7),
    case("secauth: on", "secauth: off", ("secauth-off", Advice), 7),
    case("ip_version: ipv4", "ip_version: ipv4-6", ("word-refused", Refuses), 5),
    case("secauth: on", "link_mode: passive", ("not-in-corosync-2", Misreads), 7),
    case("ringnumber: 1", "linknumber: 1", ("not-in-corosync-2", Misreads), 13),
    case("ringnumber: 1", "ringnumber: one", ("not-a-number", Refuses), 13),
    case("", "system {\n}\n", ("unknown-section", Misreads), 39),
    case("nodeid: 2", "nodeid: 1", ("nodeid-twice", Refuses), 27),
    case("config_version: 9", "config_version: 9b", ("number-aborts-corosync", Breaks), 4),
    case("version: 2", "version: 1", ("not-version-2", Refuses), 2),
    case("secauth: on", "secauth: on\n token: 20", ("timer-too-short", Refuses), 8),
    case("", "nodelist {\n}\n", ("nodelist-twice", Breaks), 39),
];

/// One ring without a nodelist, as old as corosync 2 itself.
const WITHOUT_NODELIST: &str = "\
totem {
  version: 2
  cluster_name: lab
  config_version: 1
  interface {
    ringnumber: 0
    bindnetaddr: 10.0.0.0
  }
}
quorum {
  provider: corosync_votequorum
  expected_votes: 3
}
";

/// Files that are more than a change of the sound one.
pub(super) fn more() -> Vec<String> {
    vec![WITHOUT_NODELIST.replace("    bindnetaddr: 10.0.0.0\n", "")]
}

#[test]
fn a_sound_file_of_two_rings_has_no_finding() {
    assert_eq!(all(SOUND, Reader::Corosync2), Vec::<String>::new());
}

#[test]
fn every_trap_of_corosync_2_is_found_in_its_line_with_its_effect() {
    for case in CASES {
        case.holds(SOUND, Reader::Corosync2);
    }
}

#[test]
fn a_nodelist_is_optional_and_one_ring_needs_no_rrp_mode() {
    let found = all(WITHOUT_NODELIST, Reader::Corosync2);
    assert!(
        !found.iter().any(|told| told.contains("refuses") || told.contains("breaks")),
        "{found:#?}"
    );
    let none = &more()[0];
    assert!(all(none, Reader::Corosync2).iter().any(|told| told.contains("refuses no-rings")));
}

#[test]
fn rings_on_one_multicast_address_need_ports_two_apart() {
    let with = |port: &str| {
        let first =
            SOUND.replace("ringnumber: 0", "ringnumber: 0\nmcastaddr: 239.1.1.1\nmcastport: 5405");
        first.replace(
            "ringnumber: 1",
            &format!("ringnumber: 1\nmcastaddr: 239.1.1.1\nmcastport: {port}"),
        )
    };
    assert!(
        all(&with("5406"), Reader::Corosync2)
            .iter()
            .any(|told| told.contains("refuses ring-option"))
    );
    assert_eq!(all(&with("5407"), Reader::Corosync2), Vec::<String>::new());
}

#[test]
fn the_same_file_is_refused_by_corosync_3_or_read_otherwise() {
    let found = all(SOUND, Reader::Corosync3).join("\n");
    for code in ["ringnumber-ignored", "interface-twice", "leftover"] {
        assert!(found.contains(code), "{code}: {found}");
    }
}
