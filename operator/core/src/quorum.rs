//! Votequorum's arithmetic: how many votes a part of the cluster needs, and which changes of the
//! vote list can never give two parts the majority.
//!
//! Owns numbers only. Never knows a host, a text or a device: the planner and its guards refuse a cluster whose
//! `quorum` section says more than the provider and a device; what its options do is [`crate::whatif`]'s business.

use std::collections::BTreeMap;

use crate::ids::NodeId;

/// Votes per node, as a nodelist gives them.
pub type Votes = BTreeMap<NodeId, u32>;

/// All votes of a list: corosync's `expected_votes` where only a nodelist gives them.
#[must_use]
pub fn expected(votes: &Votes) -> u64 {
    votes.values().copied().map(u64::from).sum()
}

/// The fewest votes that make a part quorate.
#[must_use]
pub const fn needed(expected: u64) -> u64 {
    expected / 2 + 1
}

/// The votes that are expected once everybody has been there: a number below the votes that corosync sees is
/// raised to them, a device's included, cast or not (pve.md 5.3).
#[must_use]
pub fn expected_in_force(configured: u64, there: u64) -> u64 {
    configured.max(there)
}

/// The fewest votes that make a part of so many nodes quorate. With `two_node` one vote is enough for a
/// part of at most two nodes, in a cluster of any size.
#[must_use]
pub const fn needed_by(nodes: usize, expected: u64, two_node: bool) -> u64 {
    if two_node && nodes <= 2 { 1 } else { needed(expected) }
}

/// Whether `present` of `expected` votes are quorate.
#[must_use]
pub const fn is_quorate(present: u64, expected: u64) -> bool {
    present >= needed(expected)
}

/// Whether the nodes that both lists name are quorate under the new list without anybody else: a
/// node that was just listed does not run yet, one that was taken out runs no more.
#[must_use]
pub fn staying_are_quorate(old: &Votes, new: &Votes) -> bool {
    let staying = new.iter().filter(|(id, _)| old.contains_key(id));
    let present = staying.map(|(_, votes)| u64::from(*votes)).sum();
    is_quorate(present, expected(new))
}

/// How many single votes two lists are apart. A node that is not in a list has none there.
#[must_use]
pub fn distance(old: &Votes, new: &Votes) -> u64 {
    let of = |list: &Votes, id: &NodeId| u64::from(list.get(id).copied().unwrap_or(0));
    let gone = old.keys().filter(|id| !new.contains_key(id));
    new.keys().chain(gone).map(|id| of(old, id).abs_diff(of(new, id))).sum()
}

/// Whether every majority of the old list shares a node with every majority of the new one.
///
/// While a text spreads, some hosts count by the old list and some by the new one. Lists that are
/// at most one vote apart are safe: a majority of the old one and a disjoint majority of the new
/// one would together hold more votes than there are (shown exhaustively by the tests).
#[must_use]
pub fn majorities_meet(old: &Votes, new: &Votes) -> bool {
    distance(old, new) <= 1
}

/// Whether every part that is quorate by the old list and a device's votes shares a node with every part that is
/// quorate by the new list alone, when so many nodes run. For lists in which every node has one vote.
#[must_use]
pub const fn parts_meet((old, of_device): (u64, u64), new: u64, running: u64) -> bool {
    let fewest = needed(old + of_device).saturating_sub(of_device);
    fewest + needed(new) > running
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(votes: &[u32]) -> Votes {
        (1..).zip(votes).map(|(id, votes)| (NodeId::try_from(id).unwrap(), *votes)).collect()
    }

    /// Every list of up to four nodes with zero to three votes each.
    fn lists() -> Vec<Vec<u32>> {
        let longer = |lists: Vec<Vec<u32>>| -> Vec<Vec<u32>> {
            let with = |l: &Vec<u32>, v| [l.clone(), vec![v]].concat();
            lists.iter().flat_map(|l| (0..=3).map(move |v| with(l, v))).collect()
        };
        let mut all = vec![vec![]];
        let mut last = all.clone();
        for _ in 0..4 {
            last = longer(last);
            all.extend(last.clone());
        }
        all
    }

    fn disjoint_majorities(old: &[u32], new: &[u32]) -> bool {
        let nodes = old.len().max(new.len());
        let held = |votes: &[u32], part: usize| -> u64 {
            let inside = votes.iter().enumerate().filter(|(at, _)| part >> at & 1 == 1);
            inside.map(|(_, v)| u64::from(*v)).sum()
        };
        let everybody = (1 << nodes) - 1;
        (0..=everybody).any(|part| {
            is_quorate(held(old, part), held(old, everybody))
                && is_quorate(held(new, everybody & !part), held(new, everybody))
        })
    }

    #[test]
    fn the_needed_votes_are_more_than_half() {
        let needs = [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (64, 33)];
        for (expected, votes) in needs {
            assert_eq!(needed(expected), votes, "of {expected}");
            assert!(is_quorate(votes, expected) && !is_quorate(votes - 1, expected));
        }
    }

    #[test]
    fn two_node_asks_for_one_vote_of_a_part_of_two_nodes_whatever_the_cluster_has() {
        assert_eq!([1, 2, 3].map(|nodes| needed_by(nodes, 4, true)), [1, 1, 3]);
        assert_eq!([1, 2, 3].map(|nodes| needed_by(nodes, 4, false)), [3, 3, 3]);
    }

    #[test]
    fn exactly_half_the_votes_are_not_quorate_for_any_even_number() {
        assert!((1..=1000).all(|half| !is_quorate(half, 2 * half)));
    }

    #[test]
    fn a_second_node_with_one_vote_leaves_a_first_one_quorate_only_with_two() {
        assert!(!staying_are_quorate(&list(&[1]), &list(&[1, 1])));
        assert!(staying_are_quorate(&list(&[2]), &list(&[2, 1])));
        assert!(staying_are_quorate(&list(&[1, 1]), &list(&[1, 1, 1])));
    }

    #[test]
    fn a_node_that_left_counts_for_nothing() {
        assert!(!staying_are_quorate(&list(&[0, 1]), &list(&[0])));
        assert!(staying_are_quorate(&list(&[1, 1]), &list(&[1])));
    }

    #[test]
    fn the_distance_counts_single_votes_also_of_nodes_that_come_and_go() {
        assert_eq!(distance(&list(&[1, 1]), &list(&[1, 1])), 0);
        assert_eq!(distance(&list(&[1, 1]), &list(&[2, 1])), 1);
        assert_eq!(distance(&list(&[1, 2]), &list(&[2, 1])), 2);
        assert_eq!(distance(&list(&[1]), &list(&[1, 1])), 1);
        assert_eq!(distance(&list(&[1, 3]), &list(&[1])), 3);
    }

    #[test]
    fn lists_at_most_one_vote_apart_never_have_disjoint_majorities() {
        let mut seen = 0;
        for old in lists() {
            for new in lists() {
                if majorities_meet(&list(&old), &list(&new)) {
                    seen += 1;
                    assert!(!disjoint_majorities(&old, &new), "{old:?} -> {new:?}");
                }
            }
        }
        assert!(seen > 1000, "{seen}");
    }

    #[test]
    fn two_votes_at_once_can_give_both_halves_the_majority() {
        assert!(disjoint_majorities(&[1, 1, 1], &[1, 1, 3]));
        assert!(!majorities_meet(&list(&[1, 1, 1]), &list(&[1, 1, 3])));
    }

    /// The outage: while a text spreads that takes a dead node and the device off, one part counts by the old text
    /// with the device's votes, and another one by the new text.
    #[test]
    fn parts_meet_exactly_where_no_two_of_them_without_a_common_node_are_quorate() {
        let devices: [fn(u64) -> u64; 2] = [|_| 1, |nodes| nodes - 1];
        for (nodes, of_device) in (2..=9).flat_map(|n| devices.map(|device| (n, device(n)))) {
            for running in 1..nodes {
                let splits = |left: u64| {
                    let by_the_old = is_quorate(left + of_device, nodes + of_device);
                    by_the_old && is_quorate(running - left, nodes - 1)
                };
                let meet = parts_meet((nodes, of_device), nodes - 1, running);
                assert_eq!(meet, !(1..=running).any(splits), "{running} of {nodes}, {of_device}");
            }
        }
    }
}
