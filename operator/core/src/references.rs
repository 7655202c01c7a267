//! What in the cluster's own files still names a node: replication jobs, rules of high availability,
//! storages, backup jobs. Removing a node leaves all of that behind (pve.md 4.1).
//!
//! Owns the reading of those files. Their form is one for all (`type: id`, then indented lines of a key
//! and its value); whatever is not understood in one is passed over, since Proxmox VE does so too.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What names nodes, each in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReferenceKind {
    /// A replication job. Without its node it can neither run nor be removed (pve.md 4.1).
    ReplicationJob,
    /// A rule of high availability.
    HaRule,
    /// A group of high availability, as before Proxmox VE 9.
    HaGroup,
    /// A storage that only some nodes have.
    Storage,
    /// A backup job of one node.
    BackupJob,
}

/// A part of a file that names a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Its name among those of its kind.
    pub name: String,
}

impl ReferenceKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ReplicationJob, Self::HaRule, Self::HaGroup, Self::Storage, Self::BackupJob];

    /// Its file, below /etc/pve.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::ReplicationJob => "replication.cfg",
            Self::HaRule => "ha/rules.cfg",
            Self::HaGroup => "ha/groups.cfg",
            Self::Storage => "storage.cfg",
            Self::BackupJob => "jobs.cfg",
        }
    }

    /// The keys whose values are nodes.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ReplicationJob => &["target", "source"],
            Self::HaRule | Self::HaGroup | Self::Storage => &["nodes"],
            Self::BackupJob => &["node"],
        }
    }

    /// What several of them are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::ReplicationJob => "replication jobs",
            Self::HaRule => "HA rules",
            Self::HaGroup => "HA groups",
            Self::Storage => "storages",
            Self::BackupJob => "backup jobs",
        }
    }
}

/// The parts of a file that name a node.
#[must_use]
pub fn references(kind: ReferenceKind, text: &str, node: &str) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    let mut section = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if !line.starts_with(char::is_whitespace) {
            section = line.split_once(':').map(|(_, name)| name.trim());
            continue;
        }
        let Some((name, (key, value))) = section.zip(line.trim().split_once(char::is_whitespace))
        else {
            continue;
        };
        if kind.keys().contains(&key) && names(value).any(|named| named == node) {
            found.insert(Reference { kind, name: name.to_owned() });
        }
    }
    found
}

/// The nodes in a list. One of high availability may have a priority behind a colon.
fn names(value: &str) -> impl Iterator<Item = &str> {
    let entries = value.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    entries.map(|entry| entry.split_once(':').map_or(entry, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: ReferenceKind, text: &str) -> Vec<String> {
        let found = references(kind, text, "n4");
        assert!(found.iter().all(|reference| reference.kind == kind));
        found.into_iter().map(|reference| reference.name).collect()
    }

    #[test]
    fn a_replication_job_names_where_it_goes_and_where_it_comes_from() {
        let jobs = "local: 100-0\n\ttarget n4\n\tschedule */15\n\tsource n1\n\n\
                    local: 101-0\n\ttarget n2\n\tsource n4\n\nlocal: 102-0\n\ttarget n40\n";
        assert_eq!(named(ReferenceKind::ReplicationJob, jobs), ["100-0", "101-0"]);
    }

    #[test]
    fn a_rule_and_a_group_name_nodes_with_and_without_priority() {
        let rules = "node-affinity: near\n\tnodes n1:2,n4:1\n\tresources vm:100\n\n\
                     resource-affinity: apart\n\taffinity negative\n\tresources vm:100,vm:104\n\n\
                     node-affinity: strict\n\tnodes n4\n\tresources ct:101\n";
        assert_eq!(named(ReferenceKind::HaRule, rules), ["near", "strict"]);
        let groups =
            "group: first\n\tnodes n2,n4:10\n\trestricted 1\n\ngroup: second\n\tnodes n1\n";
        assert_eq!(named(ReferenceKind::HaGroup, groups), ["first"]);
    }

    #[test]
    fn a_storage_names_its_nodes_in_any_list_that_is_read() {
        let storages = "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n\
                        zfspool: fast\n\tpool n4\n\tnodes n1,n2;n4 n3\n\n\
                        # lvm: old\n#\tnodes n4\nlvm: thick\n\tnodes n1\n  # nodes n4\n";
        assert_eq!(named(ReferenceKind::Storage, storages), ["fast"]);
    }

    #[test]
    fn a_backup_job_names_the_one_node_that_it_is_for() {
        let jobs = "vzdump: nightly\n\tschedule 21:00\n\tnode n4\n\tall 1\n\n\
                    vzdump: weekly\n\tschedule sun 03:00\n\tall 1\n\nrealm-sync: n4\n\trealm n4\n";
        assert_eq!(named(ReferenceKind::BackupJob, jobs), ["nightly"]);
    }

    #[test]
    fn what_is_not_understood_names_nobody() {
        for text in [
            "",
            "\tnodes n4\n",
            "dir local\n\tnodes n4\n",
            "dir: a\nnodes n4\n",
            "dir: a\n\tnodes\n",
        ] {
            assert_eq!(named(ReferenceKind::Storage, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_kind_has_a_file_and_a_name_of_its_own() {
        let files: BTreeSet<_> = ReferenceKind::ALL.map(ReferenceKind::file).into();
        let plurals: BTreeSet<_> = ReferenceKind::ALL.map(ReferenceKind::plural).into();
        assert_eq!((files.len(), plurals.len()), (5, 5));
    }
}
