//! Who leads after a change of the membership, and when all members hold the same tree.
//!
//! Owns the decision; every member computes it from the same messages in the same order. Never touches a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::tree::Tree;

/// One process in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    pub node: u32,
    pub pid: u32,
}

/// What a member says about its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub version: u64,
    /// Unix seconds.
    pub mtime: u64,
    /// Equal for equal trees.
    pub digest: u64,
}

impl Standing {
    /// The standing of a tree.
    pub fn of(tree: &Tree) -> Result<Self, postcard::Error> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&postcard::to_stdvec(tree)?);
        Ok(Self { version: tree.version, mtime: tree.mtime, digest: hasher.finish() })
    }
}

/// What follows from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More messages have to come first.
    Wait,
    /// All trees are the same.
    Synced,
    /// Everybody has spoken: this member sends its tree.
    SendTree(Member),
}

/// The merge of the current membership.
#[derive(Debug, Default)]
pub struct Merge {
    view: BTreeSet<Member>,
    standings: BTreeMap<Member, Standing>,
    synced: bool,
}

impl Merge {
    /// Begins again with a new membership.
    pub fn start(&mut self, view: &[Member]) {
        *self = Self { view: view.iter().copied().collect(), ..Self::default() };
    }

    /// Whether all members hold the same tree, so that changes may be applied.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// The members, in order.
    #[must_use]
    pub fn view(&self) -> Vec<Member> {
        self.view.iter().copied().collect()
    }

    /// Takes a member's standing. One that was meant for another membership is ignored. A second one of the same member opens
    /// the merge again: corosync may deliver what was queued for an earlier membership of the same members.
    pub fn standing(&mut self, from: Member, (view, standing): (&[Member], Standing)) -> Next {
        if !self.view.contains(&from) || self.view != view.iter().copied().collect() {
            return Next::Wait;
        }
        self.standings.insert(from, standing);
        let Some(leader) = self.leader() else { return Next::Wait };
        let digest = self.standings[&leader].digest;
        self.synced = self.standings.values().all(|other| other.digest == digest);
        if self.synced { Next::Synced } else { Next::SendTree(leader) }
    }

    /// Takes a tree; whether it is the leader's and to be adopted.
    pub fn tree(&mut self, from: Member, digest: u64) -> bool {
        let leads = self.leader() == Some(from);
        let wanted = leads && !self.synced && self.standings[&from].digest == digest;
        self.synced |= wanted;
        wanted
    }

    /// The highest version, then the newest time, then the lowest member; nobody before all have spoken.
    fn leader(&self) -> Option<Member> {
        if self.standings.len() < self.view.len() {
            return None;
        }
        let best = self.standings.iter().max_by(|(m1, s1), (m2, s2)| {
            (s1.version, s1.mtime).cmp(&(s2.version, s2.mtime)).then(m2.cmp(m1))
        });
        best.map(|(member, _)| *member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N1: Member = Member { node: 1, pid: 10 };
    const N2: Member = Member { node: 2, pid: 20 };

    fn standing(version: u64, mtime: u64) -> Standing {
        Standing { version, mtime, digest: version * 1000 + mtime }
    }

    fn pair() -> Merge {
        let mut merge = Merge::default();
        merge.start(&[N1, N2]);
        merge
    }

    #[test]
    fn the_highest_version_leads_and_then_the_newest_time() {
        let mut merge = pair();
        assert_eq!(merge.standing(N1, (&[N1, N2], standing(5, 9))), Next::Wait);
        assert_eq!(merge.standing(N2, (&[N1, N2], standing(6, 1))), Next::SendTree(N2));
        let mut merge = pair();
        merge.standing(N1, (&[N1, N2], standing(5, 9)));
        assert_eq!(merge.standing(N2, (&[N1, N2], standing(5, 8))), Next::SendTree(N1));
    }

    #[test]
    fn equal_trees_need_no_transfer() {
        let mut merge = pair();
        merge.standing(N1, (&[N1, N2], standing(5, 9)));
        assert_eq!(merge.standing(N2, (&[N2, N1], standing(5, 9))), Next::Synced);
        assert!(merge.synced());
    }

    #[test]
    fn only_the_leaders_announced_tree_is_adopted() {
        let mut merge = pair();
        merge.standing(N1, (&[N1, N2], standing(5, 9)));
        merge.standing(N2, (&[N1, N2], standing(6, 1)));
        assert!(!merge.tree(N1, standing(5, 9).digest));
        assert!(!merge.tree(N2, 1));
        assert!(!merge.synced());
        assert!(merge.tree(N2, standing(6, 1).digest));
        assert!(merge.synced());
    }

    #[test]
    fn a_standing_for_another_membership_is_ignored() {
        let mut merge = pair();
        merge.standing(N1, (&[N1, N2], standing(5, 9)));
        assert_eq!(merge.standing(N2, (&[N2], standing(5, 9))), Next::Wait);
        assert!(!merge.synced());
    }

    #[test]
    fn a_later_standing_of_the_same_member_opens_the_merge_again() {
        let mut merge = pair();
        merge.standing(N1, (&[N1, N2], standing(5, 9)));
        merge.standing(N2, (&[N1, N2], standing(5, 9)));
        assert_eq!(merge.standing(N2, (&[N1, N2], standing(7, 1))), Next::SendTree(N2));
        assert!(!merge.synced());
    }
}
