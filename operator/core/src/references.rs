//! What in the cluster's own files still names a node: replication jobs, rules of high availability,
//! storages, backup jobs. Removing a node leaves all of that behind (pve.md 4.1).
//!
//! Owns the reading of those files, and the taking out of a node where others are named beside it. Their form
//! is one for all (`type: id`, then indented lines of a key and its value); whatever is not understood in one
//! is passed over, since Proxmox VE does so too.

use std::collections::{BTreeMap, BTreeSet};

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
    /// A guest of the node under high availability.
    HaResource,
}

/// A part of a file that names a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Its name among those of its kind.
    pub name: String,
    /// It names other nodes as well, in the same list: this one can be taken out of it.
    pub names_others: bool,
}

impl ReferenceKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ReplicationJob,
        Self::HaRule,
        Self::HaGroup,
        Self::Storage,
        Self::BackupJob,
        Self::HaResource,
    ];

    /// Its file, below /etc/pve.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::ReplicationJob => "replication.cfg",
            Self::HaRule => "ha/rules.cfg",
            Self::HaGroup => "ha/groups.cfg",
            Self::Storage => "storage.cfg",
            Self::BackupJob => "jobs.cfg",
            Self::HaResource => "ha/resources.cfg",
        }
    }

    /// The keys whose values are nodes.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ReplicationJob => &["target", "source"],
            Self::HaRule | Self::HaGroup | Self::Storage => &["nodes"],
            Self::BackupJob => &["node"],
            // It names the guest alone: see `crate::separation`.
            Self::HaResource => &[],
        }
    }

    /// Whether the value of a key is a list of nodes. A job is of one node.
    const fn is_list(self) -> bool {
        match self {
            Self::HaRule | Self::HaGroup | Self::Storage => true,
            Self::ReplicationJob | Self::BackupJob | Self::HaResource => false,
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
            Self::HaResource => "HA resources",
        }
    }
}

/// The parts of a file that name a node.
#[must_use]
pub fn references(kind: ReferenceKind, text: &str, node: &str) -> BTreeSet<Reference> {
    let mut found: BTreeMap<&str, bool> = BTreeMap::new();
    for (section, line) in values(kind, text).filter(|(_, line)| line.names(node)) {
        let names_others = kind.is_list() && line.tokens().any(|token| name_of(token) != node);
        found.entry(section).and_modify(|all| *all &= names_others).or_insert(names_others);
    }
    let reference =
        |(name, names_others): (&str, _)| Reference { kind, name: name.to_owned(), names_others };
    found.into_iter().map(reference).collect()
}

/// The text with a node taken out of these lists, and every other byte as it was. An error names the list
/// that would be left without a node, which would mean all of them.
pub fn without(
    kind: ReferenceKind,
    text: &str,
    (node, names): (&str, &BTreeSet<&str>),
) -> Result<String, String> {
    let (mut edited, mut rest) = (String::with_capacity(text.len()), 0);
    let found = values(kind, text);
    for (section, line) in found.filter(|(name, line)| names.contains(name) && line.names(node)) {
        if !kind.is_list() || line.tokens().all(|token| name_of(token) == node) {
            return Err(format!("{section} in {} names nobody but {node}", kind.file()));
        }
        edited.push_str(&text[rest..line.at]);
        edited.push_str(&line.without(node));
        rest = line.at + line.value.len();
    }
    edited.push_str(&text[rest..]);
    Ok(edited)
}

/// The value of a key that names nodes, and where in the text it begins.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    value: &'a str,
    at: usize,
}

impl<'a> Value<'a> {
    fn tokens(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.split(is_separator).filter(|token| !token.is_empty())
    }

    fn names(&self, node: &str) -> bool {
        self.tokens().any(|token| name_of(token) == node)
    }

    /// What stood before a node goes with it; of the first one, what stood behind it.
    fn without(&self, node: &str) -> String {
        let (mut kept, mut rest) = (String::new(), self.value);
        while !rest.is_empty() {
            let gap = rest.len() - rest.trim_start_matches(is_separator).len();
            let (separators, behind) = rest.split_at(gap);
            let (token, behind) =
                behind.split_at(behind.find(is_separator).unwrap_or(behind.len()));
            // What ends the line stays.
            if token.is_empty() || name_of(token) != node {
                kept.push_str(if kept.is_empty() { "" } else { separators });
                kept.push_str(token);
            }
            rest = behind;
        }
        kept
    }
}

/// Every value that may name nodes, with the name of its section.
fn values(kind: ReferenceKind, text: &str) -> impl Iterator<Item = (&str, Value<'_>)> {
    let mut section = None;
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let begins = at;
        at += line.len();
        if line.trim_start().starts_with('#') {
            return None;
        }
        if !line.starts_with(char::is_whitespace) {
            section = line.split_once(':').map(|(_, name)| name.trim());
            return None;
        }
        let (key, behind) = line.trim().split_once(char::is_whitespace)?;
        let value = behind.trim_start();
        let at = begins + line.trim_end().len() - value.len();
        kind.keys().contains(&key).then_some((section?, Value { value, at }))
    })
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ',' || c == ';'
}

/// One of high availability may have a priority behind a colon.
fn name_of(token: &str) -> &str {
    token.split_once(':').map_or(token, |(name, _)| name)
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
    fn a_node_can_be_taken_out_where_another_one_is_named_in_every_list_of_that_name() {
        let can = |kind, text| {
            let found = references(kind, text, "n4");
            found.into_iter().map(|one| one.names_others).collect::<Vec<_>>()
        };
        let storages = "dir: a\n\tnodes n1,n4\n\ndir: b\n\tnodes n4\n\ndir: c\n\tnodes n4 , n4;\n";
        assert_eq!(can(ReferenceKind::Storage, storages), [true, false, false]);
        let twice = "dir: a\n\tnodes n1,n4\n\ndir: a\n\tnodes n4\n";
        assert_eq!(can(ReferenceKind::Storage, twice), [false]);
        let job = "vzdump: nightly\n\tnode n4\n";
        assert_eq!(can(ReferenceKind::BackupJob, job), [false]);
        let job = "local: 100-0\n\ttarget n4\n\tsource n1\n";
        assert_eq!(can(ReferenceKind::ReplicationJob, job), [false]);
    }

    /// Whatever else is in these files, with the line ends and the blanks of different writers.
    #[test]
    fn only_the_name_of_the_node_leaves_its_line() {
        let before = "dir: local\n\tpath /var/lib/n4\n\tcontent iso\n\n\
                      # nodes n4 of old\nzfspool: fast\r\n\tpool n4\r\n\tnodes  n4,n1;n40  n2 \r\n\n\
                      nfs: far\n    nodes n1 ,n4; n2,\n\tserver n4\n\nlvm: last\n\tnodes n1,n4";
        let after = before
            .replace("nodes  n4,n1", "nodes  n1")
            .replace("n1 ,n4; n2", "n1; n2")
            .replace("last\n\tnodes n1,n4", "last\n\tnodes n1");
        let names = BTreeSet::from(["fast", "far", "last"]);
        assert_eq!(without(ReferenceKind::Storage, before, ("n4", &names)).unwrap(), after);
        let none = BTreeSet::from(["local", "gone"]);
        assert_eq!(without(ReferenceKind::Storage, before, ("n4", &none)).unwrap(), before);
        assert_eq!(without(ReferenceKind::Storage, before, ("n7", &names)).unwrap(), before);
    }

    #[test]
    fn a_priority_goes_with_its_node() {
        let rules = "node-affinity: near\n\tnodes n1:2,n4:1,n2\n\tresources vm:100\n\tstrict 1\n";
        let names = BTreeSet::from(["near"]);
        let cleaned = without(ReferenceKind::HaRule, rules, ("n4", &names)).unwrap();
        assert_eq!(cleaned, rules.replace(",n4:1", ""));
        let again = without(ReferenceKind::HaRule, &cleaned, ("n4", &names)).unwrap();
        assert_eq!(again, cleaned);
    }

    #[test]
    fn a_list_that_would_be_left_without_a_node_is_named() {
        let names = BTreeSet::from(["near", "nightly", "100-0"]);
        let said = |kind, text| without(kind, text, ("n4", &names)).unwrap_err();
        let rules = "node-affinity: near\n\tnodes n4:1\n";
        let sentence = said(ReferenceKind::HaRule, rules);
        assert_eq!(sentence, "near in ha/rules.cfg names nobody but n4");
        let sentence = said(ReferenceKind::BackupJob, "vzdump: nightly\n\tnode n4\n");
        assert!(sentence.contains("nightly in jobs.cfg"), "{sentence}");
        let job = "local: 100-0\n\ttarget n4\n";
        assert!(said(ReferenceKind::ReplicationJob, job).contains("100-0"));
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
        assert_eq!((files.len(), plurals.len()), (6, 6));
    }
}
