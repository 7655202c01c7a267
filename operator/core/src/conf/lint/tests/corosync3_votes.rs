//! corosync 3: votes, the quorum device, and what only a real start refuses.

use super::{Case, SOUND, all, case};
use crate::conf::lint::Effect::{Advice, Breaks, Misreads, Refuses};
use crate::conf::lint::Reader;

const PROVIDER: &str = "  provider: corosync_votequorum\n";

pub(super) const CASES: &[Case] = &[
    case(PROVIDER, "", ("no-quorum-provider", Breaks), 0),
    case("corosync_votequorum", "votequorum", ("provider-unknown", Refuses), 34),
    case("", "system {\n priority: high\n}\n", ("system-priority", Refuses), 40),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n two_node: 1\n device {\n model: net\n votes: 1\n net \
         {\n host: q\n }\n }\n",
        ("quorum-conflict", Refuses),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n last_man_standing: 1\n device {\n model: net\n votes: \
         1\n net {\n host: q\n }\n }\n",
        ("quorum-conflict", Refuses),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n expected_votes: 5\n device {\n model: net\n net {\n \
         algorithm: lms\n host: q\n }\n }\n",
        ("quorum-conflict", Refuses),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n expected_votes: 2\n device {\n model: net\n votes: 1\n \
         net {\n host: q\n }\n }\n",
        ("quorum-conflict", Refuses),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n auto_tie_breaker: 1\n last_man_standing: 1\n",
        ("quorum-conflict", Refuses),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n two_node: 1\n",
        ("two-node-splits", Breaks),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n two_node: 1\n auto_tie_breaker: 1\n",
        ("two-node-ignored", Misreads),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n auto_tie_breaker: 1\n",
        ("tie-breaker-off", Misreads),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n expected_votes: 7\n",
        ("expected-votes-too-high", Breaks),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n expected_votes: 3\n",
        ("expected-votes-written", Advice),
        35,
    ),
    case("nodeid: 2", "nodeid: 2\n quorum_votes: 0", ("votes-zero", Advice), 23),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n device {\n model: net\n net {\n host: q\n algorithm: \
         ffsplit\n }\n }\n",
        ("ffsplit-votes", Breaks),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n device {\n model: net\n votes: 2\n net {\n host: q\n \
         }\n }\n",
        ("ffsplit-votes", Breaks),
        37,
    ),
    case(
        "quorum {\n  provider: corosync_votequorum\n",
        "nodelist.node.1 {\n quorum_votes: 2\n}\nquorum {\n  provider: corosync_votequorum\n \
         device {\n votes: 1\n}\n",
        ("device-without-model", Misreads),
        38,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n device {\n model: net\n votes: 1\n }\n",
        ("device-without-host", Breaks),
        35,
    ),
    case(
        PROVIDER,
        "  provider: corosync_votequorum\n device {\n model: net\n votes: 1\n net {\n host: q\n \
         }\n }\n",
        ("device-on-odd", Advice),
        35,
    ),
    case(
        "  }\n}\nquorum {\n  provider: corosync_votequorum\n",
        "    quorum_votes: 2\n  }\n}\nquorum {\n  provider: corosync_votequorum\n device {\n \
         model: net\n votes: 1\n net {\n host: q\n }\n }\n",
        ("ffsplit-node-votes", Breaks),
        31,
    ),
];

#[test]
fn every_trap_about_votes_is_found_in_its_line_with_its_effect() {
    for case in CASES {
        case.holds(SOUND, Reader::Corosync3);
    }
}

#[test]
fn two_nodes_with_two_node_and_four_with_a_device_are_sound() {
    let (head, tail) = SOUND.split_once("  node {\n    name: n3").unwrap();
    let (_, tail) = tail.split_once("  }\n").unwrap();
    let two = format!("{head}{tail}");
    let two = two.replace(PROVIDER, "provider: corosync_votequorum\ntwo_node: 1\n");
    assert_eq!(all(&two, Reader::Corosync3), Vec::<String>::new());
    let device = "provider: corosync_votequorum\ndevice {\nmodel: net\nvotes: 1\nnet {\nhost: \
                  10.0.0.9\nalgorithm: ffsplit\ntls: on\n}\n}\n";
    let fourth = "quorum {\n".to_owned();
    let four = SOUND.replace(
        "}\nquorum {\n",
        &("node {\nname: n4\nnodeid: 4\nring0_addr: 10.0.0.4\nring1_addr: 10.1.0.4\n}\n}\n"
            .to_owned()
            + &fourth),
    );
    assert_eq!(all(&four.replace(PROVIDER, device), Reader::Corosync3), Vec::<String>::new());
}

/// Measured: of votes 1, 1 and 3 apart, the two and the one are both quorate.
#[test]
fn two_node_keeps_a_tie_breaker_on_that_it_is_turned_off_by() {
    let found = |options: &str| {
        let quorum = format!("{PROVIDER}auto_tie_breaker: 1\n{options}");
        all(&SOUND.replace(PROVIDER, &quorum), Reader::Corosync3).join("\n")
    };
    assert!(found("").contains("tie-breaker-off"), "{}", found(""));
    assert!(!found("two_node: 1\n").contains("tie-breaker-off"), "{}", found("two_node: 1\n"));
    assert!(found("two_node: 1\nwait_for_all: 0\n").contains("tie-breaker-off"));
}

#[test]
fn what_excludes_a_device_is_refused_one_by_one() {
    let device = "device {\nmodel: net\nvotes: 1\nnet {\nhost: q\n}\n}\n";
    for option in
        ["two_node", "last_man_standing", "allow_downscale", "wait_for_all: 1\nauto_tie_breaker"]
    {
        let quorum = format!("{PROVIDER}{option}: 1\n{device}");
        let found = all(&SOUND.replace(PROVIDER, &quorum), Reader::Corosync3);
        assert!(
            found.iter().any(|told| told.contains("refuses quorum-conflict")),
            "{option}: {found:#?}"
        );
    }
    let lms = "device {\nmodel: net\nnet {\nhost: q\nalgorithm: lms\n}\n}\n";
    let uneven = SOUND
        .replace(PROVIDER, &format!("{PROVIDER}{lms}"))
        .replace("nodeid: 2", "nodeid: 2\nquorum_votes: 2");
    assert!(
        all(&uneven, Reader::Corosync3).iter().any(|told| told.contains("refuses quorum-conflict"))
    );
}
