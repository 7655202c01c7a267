use std::collections::BTreeSet;

use super::super::{Margin, Standing};
use super::{FFSPLIT, LMS, ONES, electorate};

/// A cluster with these votes and lines of which the first nodes are there, as its daemons would count.
fn standing(votes: &[u64], quorum: &str, there: usize, has_device: bool) -> Standing {
    let all = electorate(votes, quorum);
    let members: BTreeSet<_> = all.nodes().iter().take(there).map(|node| node.id).collect();
    let device = all.device().map_or(0, |device| device.votes);
    let present = votes[..there].iter().sum::<u64>() + if has_device { device } else { 0 };
    let expected = votes.iter().sum::<u64>() + device;
    Standing { members, has_device, present, expected, needed: expected / 2 + 1 }
}

/// With the device and without it.
fn margin(votes: &[u64], quorum: &str, there: usize, has_device: bool) -> (usize, Option<usize>) {
    let now = standing(votes, quorum, there, has_device);
    let margin = Margin::of(&electorate(votes, quorum), &now).unwrap();
    (margin.nodes, margin.without_device)
}

#[test]
fn a_device_adds_failures_that_are_survived_and_its_loss_takes_them_away() {
    let all = |nodes: usize, quorum| margin(&ONES[..nodes], quorum, nodes, !quorum.is_empty());
    assert_eq!([1, 2, 3, 4, 5].map(|nodes| all(nodes, "").0), [0, 0, 1, 1, 2]);
    assert_eq!(all(3, "").1, None);
    assert_eq!(
        [2, 4, 6].map(|nodes| all(nodes, FFSPLIT)),
        [(1, Some(0)), (2, Some(1)), (3, Some(2))]
    );
    assert_eq!([2, 3, 5].map(|nodes| all(nodes, LMS)), [(1, Some(0)), (2, Some(0)), (4, Some(0))]);
}

#[test]
fn who_is_away_already_counts_as_failed_and_a_device_that_does_not_vote_as_lost() {
    assert_eq!(margin(&ONES[..4], FFSPLIT, 3, true), (1, Some(0)));
    assert_eq!(margin(&ONES[..4], FFSPLIT, 4, false), (1, Some(1)));
    assert_eq!(margin(&ONES[..5], "", 3, false), (0, None));
}

/// The outage: a person counts on two failures, and it is the other two.
#[test]
fn every_choice_is_gone_through_where_one_half_is_worth_more_than_the_other() {
    assert_eq!(margin(&ONES[..4], "auto_tie_breaker: 1;", 4, false), (1, None));
    assert_eq!(margin(&[3, 1, 1], "", 3, false), (0, None));
}

#[test]
fn of_many_nodes_those_with_the_most_votes_fail_first() {
    assert_eq!(margin(&[1; 17], "", 17, false), (8, None));
    assert_eq!(margin(&[&[5; 1][..], &[1; 16]].concat(), "", 17, false), (6, None));
    assert_eq!(margin(&[1; 16], FFSPLIT, 16, true), (8, Some(7)));
}

/// `pvecm expected` gives daemons a number that no file has.
#[test]
fn daemons_that_count_otherwise_than_their_file_says_are_not_foretold() {
    let told = |edit: fn(&mut Standing)| {
        let mut now = standing(&ONES[..3], "", 3, false);
        edit(&mut now);
        Margin::of(&electorate(&ONES[..3], ""), &now)
    };
    assert!(told(|_| {}).is_some());
    assert_eq!(told(|now| now.expected = 1), None);
    assert_eq!(told(|now| now.present = 2), None);
    assert_eq!(told(|now| now.needed = 1), None);
}
