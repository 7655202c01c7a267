//! What holds for all small clusters, in whatever way they fall apart.

use std::collections::BTreeSet;

use super::super::{Event, Side};
use super::*;
use crate::ids::NodeId;

/// Every list of one to four nodes with zero to two votes each, and longer ones with one vote each.
fn lists() -> Vec<Vec<u64>> {
    let mut all: Vec<Vec<u64>> = Vec::new();
    let mut last = vec![Vec::new()];
    for _ in 0..4 {
        last = last
            .iter()
            .flat_map(|list: &Vec<u64>| (0..=2).map(|v| [&list[..], &[v]].concat()))
            .collect();
        all.extend(last.clone());
    }
    all.extend([ONES[..5].to_vec(), ONES.to_vec()]);
    all
}

/// The rules that let no two parts be quorate, and the others.
const SAFE: [&str; 8] = [
    "",
    "expected_votes: 3;",
    "wait_for_all: 1;",
    "last_man_standing: 1;",
    "auto_tie_breaker: 1; last_man_standing: 1;",
    "auto_tie_breaker: 1; auto_tie_breaker_node: 2 1;",
    FFSPLIT,
    LMS,
];

/// Every way in which so many nodes fall apart.
fn partitions(nodes: u32) -> Vec<Vec<BTreeSet<NodeId>>> {
    let mut all: Vec<Vec<BTreeSet<NodeId>>> = vec![Vec::new()];
    for id in (1..=nodes).map(|id| NodeId::try_from(id).unwrap()) {
        let with = |parts: &Vec<BTreeSet<NodeId>>| {
            let alone = [&parts[..], &[BTreeSet::from([id])]].concat();
            let joined = (0..parts.len()).map(|at| {
                let mut parts = parts.clone();
                parts[at].insert(id);
                parts
            });
            joined.chain([alone]).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// Every outcome of every partition, with each part once as the only one that reaches the witness.
fn outcomes(electorate: &Electorate) -> Vec<Outcome> {
    let nodes = u32::try_from(electorate.nodes().len()).unwrap();
    let events = partitions(nodes).into_iter().flat_map(|parts| {
        let reach = (0..=parts.len()).map(move |only| {
            let side = |(at, members): (usize, &BTreeSet<NodeId>)| Side {
                members: members.clone(),
                reaches_witness: only == at || only == parts.len(),
            };
            parts.iter().enumerate().map(side).collect::<Vec<_>>()
        });
        reach.map(|parts| Event { parts, ..Event::default() }).collect::<Vec<_>>()
    });
    events.map(|event| Outcome::of(electorate, &event).unwrap()).collect()
}

#[test]
fn no_two_parts_are_quorate_under_rules_that_do_not_allow_it() {
    let mut seen = 0;
    for votes in lists() {
        for quorum in SAFE {
            let Ok(electorate) = read(&votes, quorum) else { continue };
            for outcome in outcomes(&electorate) {
                seen += 1;
                assert!(!outcome.is_split_brain(), "{votes:?} {quorum}: {outcome:#?}");
            }
        }
    }
    assert!(seen > 10_000, "{seen}");
}

#[test]
fn rules_that_allow_two_quorate_parts_are_found_out() {
    let splits = |votes: &[u64], quorum: &str| {
        outcomes(&electorate(votes, quorum)).iter().any(Outcome::is_split_brain)
    };
    assert!(splits(&[1, 1], "two_node: 1;"));
    assert!(splits(&[1, 1, 1], "two_node: 1;"));
    assert!(splits(&[1, 1, 3], "wait_for_all: 1; auto_tie_breaker: 1;"));
    assert!(!splits(&[1, 1, 1], "wait_for_all: 1; auto_tie_breaker: 1;"));
}

/// Every set of nodes with somebody left.
fn losses(nodes: usize) -> impl Iterator<Item = BTreeSet<NodeId>> {
    let id = |at: usize| NodeId::try_from(u32::try_from(at + 1).unwrap()).unwrap();
    let of = move |set: usize| (0..nodes).filter(move |at| set >> at & 1 == 1).map(id);
    (0..(1_usize << nodes) - 1).map(move |set| of(set).collect())
}

/// `last_man_standing` may gain (a node without votes more, and what is expected falls), a tie breaker
/// may (exactly half), and `two_node` (two nodes left need one vote).
#[test]
fn who_loses_more_nodes_never_gains_quorum_by_it() {
    let mut seen = 0;
    for votes in lists() {
        for quorum in ["", "expected_votes: 3;", "wait_for_all: 1;", FFSPLIT, LMS] {
            let Ok(electorate) = read(&votes, quorum) else { continue };
            let goes_on = |lost: &BTreeSet<NodeId>| {
                let event = Event { lost: lost.clone(), ..Event::default() };
                Outcome::of(&electorate, &event).unwrap().is_survived()
            };
            let all: Vec<_> = losses(votes.len()).map(|lost| (goes_on(&lost), lost)).collect();
            for (fewer, few) in all.iter().filter(|(goes_on, _)| !goes_on) {
                for (more, many) in all.iter().filter(|(_, many)| many.is_superset(few)) {
                    seen += 1;
                    assert!(fewer == more, "{votes:?} {quorum}: {few:?} {many:?}");
                }
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}
