//! Single rules by name, and what holds for all configurations. The scenario `whatif` holds the same rules
//! against real daemons.

mod margin;
mod properties;
mod questions;
mod reading;

use std::collections::BTreeMap;

use super::{Asked, Electorate, Event, Outcome, SplitBrain, Unclear};
use crate::conf::Document;

const FFSPLIT: &str = "device { model: net; votes: 1; net { host: w; } }";
const LMS: &str = "device { model: net; net { host: w; algorithm: lms; } }";

/// A file of nodes n1, n2, ... on two links with these votes and lines of `quorum`, which semicolons end.
fn conf(votes: &[u64], quorum: &str) -> String {
    let node = |(id, votes): (usize, &u64)| {
        format!(
            "node {{\nname: n{id}\nnodeid: {id}\nquorum_votes: {votes}\nring0_addr: \
             10.0.0.{id}\nring1_addr: 10.0.1.{id}\n}}\n"
        )
    };
    let nodes: String = (1..).zip(votes).map(node).collect();
    let quorum =
        quorum.replace(';', "\n").replace("{ ", "{\n").replace("} ", "}\n").replace(" }", "\n}");
    format!(
        "totem {{\nversion: 2\ncluster_name: t\nconfig_version: 1\nsecauth: on\n}}\nnodelist \
         {{\n{nodes}}}\nquorum {{\nprovider: corosync_votequorum\n{quorum}\n}}\n"
    )
}

fn read(votes: &[u64], quorum: &str) -> Result<Electorate, Unclear> {
    Electorate::of(&Document::parse(conf(votes, quorum).as_bytes()))
}

fn electorate(votes: &[u64], quorum: &str) -> Electorate {
    read(votes, quorum).unwrap_or_else(|why| panic!("{why}\n{}", conf(votes, quorum)))
}

fn lose(names: &str) -> Asked {
    Asked { lose: names.split(',').map(str::to_owned).collect(), ..Asked::default() }
}

fn apart(parts: &str) -> Asked {
    Asked { partition: Some(parts.to_owned()), ..Asked::default() }
}

fn outcome(electorate: &Electorate, asked: &Asked) -> Outcome {
    Outcome::of(electorate, &Event::read(electorate, asked).unwrap()).unwrap()
}

/// Who is quorate then, parts with slashes between them.
fn quorate(votes: &[u64], quorum: &str, asked: &Asked) -> String {
    let outcome = outcome(&electorate(votes, quorum), asked);
    let names = |part: &super::Part| {
        let quorate = part.members.iter().filter(|member| member.quorate);
        quorate.map(|member| member.name.as_str()).collect::<Vec<_>>().join(",")
    };
    outcome.quorate().map(names).collect::<Vec<_>>().join("/")
}

const ONES: [u64; 6] = [1; 6];

#[test]
fn a_majority_goes_on_and_half_does_not() {
    assert_eq!(quorate(&ONES[..3], "", &lose("n1")), "n2,n3");
    assert_eq!(quorate(&ONES[..3], "", &apart("n1/n2,n3")), "n2,n3");
    assert_eq!(quorate(&ONES[..2], "", &apart("n1/n2")), "");
    assert_eq!(quorate(&ONES[..4], "", &apart("n1,n2/n3,n4")), "");
    assert_eq!(quorate(&[3, 1, 1], "", &lose("n2,n3")), "n1");
}

#[test]
fn a_link_is_missed_only_when_it_was_the_last() {
    let cut = |links: &[&str]| Asked {
        cut: links.iter().map(|link| (*link).to_owned()).collect(),
        ..Asked::default()
    };
    assert_eq!(quorate(&ONES[..3], "", &cut(&["link:0"])), "n1,n2,n3");
    assert_eq!(quorate(&ONES[..3], "", &cut(&["link:0", "link:1"])), "");
}

#[test]
fn a_written_number_of_votes_counts_only_above_those_that_are_there() {
    assert_eq!(quorate(&ONES[..4], "expected_votes: 2;", &apart("n1,n2/n3,n4")), "");
    assert_eq!(quorate(&ONES[..4], "expected_votes: 6;", &lose("n1")), "");
    assert_eq!(quorate(&ONES[..4], "expected_votes: 5;", &lose("n1")), "n2,n3,n4");
}

/// Both halves then start the other's guests.
#[test]
fn two_node_lets_both_halves_go_on() {
    assert_eq!(quorate(&ONES[..2], "two_node: 1;", &lose("n1")), "n2");
    assert_eq!(quorate(&ONES[..2], "two_node: 1;", &apart("n1/n2")), "n1/n2");
    assert_eq!(quorate(&ONES[..4], "two_node: 1;", &apart("n1,n2/n3,n4")), "n1,n2/n3,n4");
    assert_eq!(quorate(&ONES[..4], "two_node: 1;", &apart("n1/n2,n3,n4")), "n1/n2,n3,n4");
}

#[test]
fn last_man_standing_lowers_what_is_expected_where_a_majority_stays() {
    let last_man = "last_man_standing: 1;";
    let part = |votes: &[u64], quorum: &str, asked: &Asked| {
        let part = outcome(&electorate(votes, quorum), asked).parts[0].clone();
        (part.expected, part.needed, part.is_quorate())
    };
    assert_eq!(part(&ONES[..5], last_man, &lose("n1,n2")), (3, 2, true));
    assert_eq!(part(&ONES[..4], last_man, &lose("n1,n2")), (4, 3, false));
    assert_eq!(
        part(&[2, 1, 1], last_man, &lose("n2")),
        (4, 3, true),
        "off with more than one vote"
    );
    assert_eq!(part(&[1, 1, 1, 0, 0], last_man, &lose("n1")), (4, 3, false), "it counts nodes");
    let both = "last_man_standing: 1; auto_tie_breaker: 1;";
    assert_eq!(part(&ONES[..4], both, &lose("n3,n4")), (2, 2, true));
    assert_eq!(part(&ONES[..4], both, &lose("n1,n2")), (4, 3, false));
}

#[test]
fn a_tie_breaker_gives_quorum_to_one_half() {
    let half = |quorum: &str, asked: &Asked| quorate(&ONES[..4], quorum, asked);
    let (lowest, halves) = ("auto_tie_breaker: 1;", apart("n1,n2/n3,n4"));
    assert_eq!(half(lowest, &halves), "n1,n2");
    assert_eq!(half(lowest, &lose("n1,n2")), "", "they may be up on the other side");
    assert_eq!(half(&format!("{lowest} auto_tie_breaker_node: highest;"), &halves), "n3,n4");
    assert_eq!(half(&format!("{lowest} auto_tie_breaker_node: 3 1;"), &halves), "n3,n4");
    assert_eq!(half(&format!("{lowest} auto_tie_breaker_node: 9 2;"), &halves), "n1,n2");
    assert_eq!(half(&format!("{lowest} auto_tie_breaker_node: none;"), &halves), "");
    let five = apart("n1,n2/n3,n4,n5");
    assert_eq!(quorate(&ONES[..5], lowest, &five), "n3,n4,n5", "off with an odd number");
    assert_eq!(quorate(&ONES[..5], "wait_for_all: 1; auto_tie_breaker: 1;", &five), "n3,n4,n5");
}

/// The half is rounded down, and the look at the other side counts nodes, not votes.
#[test]
fn a_tie_breaker_beside_a_node_with_many_votes_can_give_quorum_to_both_parts() {
    let rules = "wait_for_all: 1; auto_tie_breaker: 1;";
    let with_two_node = "two_node: 1; auto_tie_breaker: 1;";
    assert_eq!(quorate(&[1, 1, 3], rules, &apart("n1,n2/n3")), "n1,n2/n3");
    assert_eq!(quorate(&[1, 1, 3], with_two_node, &apart("n1,n2/n3")), "n1,n2/n3");
}

#[test]
fn ffsplit_votes_for_the_larger_part_or_the_better_half() {
    let four = |net: &str, asked: &Asked| {
        let device = FFSPLIT.replace("host: w;", &format!("host: w; {net}"));
        quorate(&ONES[..4], &device, asked)
    };
    let halves = apart("n1,n2/n3,n4");
    assert_eq!(four("", &halves), "n1,n2");
    assert_eq!(four("tie_breaker: highest;", &halves), "n3,n4");
    assert_eq!(four("tie_breaker: 4;", &halves), "n3,n4");
    assert_eq!(four("", &lose("n1,n2")), "n3,n4");
    assert_eq!(four("", &apart("n1,n2/n3,n4,witness")), "n3,n4");
    assert_eq!(four("", &apart("n1/n2,n3/n4")), "n2,n3");
    assert_eq!(four("", &lose("n1,n2,n3")), "");
    assert_eq!(quorate(&ONES[..3], FFSPLIT, &apart("n1/n2,n3")), "n2,n3");
    let witness = Asked { lose: vec!["witness".to_owned()], ..halves };
    assert_eq!(four("", &witness), "");
    assert_eq!(four("", &lose("witness")), "n1,n2,n3,n4");
}

#[test]
fn lms_votes_for_those_of_whom_most_reach_it() {
    let four = |net: &str, asked: &Asked| {
        quorate(&ONES[..4], &LMS.replace("algorithm", &format!("{net} algorithm")), asked)
    };
    assert_eq!(four("", &lose("n1,n2,n3")), "n4");
    assert_eq!(four("", &apart("n1/n2,n3,n4")), "n2,n3,n4");
    assert_eq!(four("", &apart("n1,n2,n3/n4,witness")), "n4");
    assert_eq!(four("", &apart("n1,n2/n3,n4")), "n1,n2");
    assert_eq!(four("tie_breaker: highest;", &apart("n1,n2/n3,n4")), "n3,n4");
    assert_eq!(
        four("tie_breaker: 3;", &apart("n1,n2/n3,n4")),
        "n3",
        "QNetd answers that node alone"
    );
    assert_eq!(four("", &lose("witness")), "n1,n2,n3,n4");
    assert_eq!(four("", &lose("witness,n1")), "");
    let smallest = apart("n1/n2,n3/n4,n5");
    assert_eq!(quorate(&ONES[..5], LMS, &smallest), "n1");
}

#[test]
fn a_device_that_never_votes_is_missed_in_every_count_and_said() {
    let mute = FFSPLIT.replace("votes: 1;", "");
    let two = electorate(&ONES[..2], &mute);
    assert!(!outcome(&two, &lose("n1")).is_survived());
    assert!(two.notes()[0].contains("never cast"), "{:?}", two.notes());
}

#[test]
fn two_quorate_parts_are_told_loudly() {
    let said = outcome(&electorate(&ONES[..2], "two_node: 1;"), &apart("n1/n2"));
    assert!(said.is_split_brain() && !said.is_survived());
    assert!(said.verdict(&BTreeMap::new()).starts_with("SPLIT BRAIN: [n1] and [n2] keep quorum"));
}

/// Nobody has to ask about the partition: it is the file that is dangerous.
#[test]
fn rules_that_allow_two_quorate_parts_are_found_by_going_through_all_of_them() {
    let found = |votes: &[u64], quorum: &str| {
        let electorate = electorate(votes, quorum);
        match SplitBrain::of(&electorate) {
            SplitBrain::Possible(event) => event.called(&electorate).to_string(),
            SplitBrain::Impossible => "never".to_owned(),
            SplitBrain::Unknown => "unknown".to_owned(),
        }
    };
    assert_eq!(found(&ONES[..2], "two_node: 1;"), "n1 / n2 apart");
    assert_eq!(found(&[1, 1, 3], "wait_for_all: 1; auto_tie_breaker: 1;"), "n1,n2 / n3 apart");
    for quorum in ["", "auto_tie_breaker: 1;", "last_man_standing: 1;", FFSPLIT, LMS] {
        assert_eq!(found(&ONES[..4], quorum), "never", "{quorum}");
    }
    assert_eq!(found(&ONES[..1], ""), "never");
    assert_eq!(found(&[1; 17], ""), "unknown");
}
