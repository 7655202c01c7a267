//! A host that goes on alone, with its guests, once it has left.
//!
//! Owns the questions that only arise then: who does so, which storages both sides would go on using (no lock
//! reaches over, facts/pve.md G31), and which of its guests the cluster's high availability would start a second
//! time. Where to read next: [`crate::plan`](mod@crate::plan) (`remove`), [`crate::guard`](mod@crate::guard)
//! (`separation`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::change::Tombstone;
use crate::conf::{Config, Document};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::ids::NodeId;
use crate::observed::{HostView, ObservedCluster};
use crate::references::{Reference, ReferenceKind};

/// The kinds of storage that are a host's own unless they say that they are shared. Any other, a plugin's as
/// well, may be reached from both sides.
const OWN: [&str; 6] = ["dir", "lvm", "lvmthin", "zfspool", "btrfs", "esxi"];

/// The storages that a host may go on sharing with the cluster that it leaves, where it goes on alone: because a
/// person says so, or it left so before that was taken back, or the cluster ends. `None`: it puts away what it
/// has. So does one that is dead, and one that has nothing.
#[must_use]
pub fn separates(
    desired: &DesiredCluster,
    node: &DesiredNode,
    observed: &ObservedCluster,
) -> Option<BTreeSet<String>> {
    let view = observed.hosts.get(&node.host)?;
    if view.is_empty() || view.declared_dead().is_some() {
        return None;
    }
    let goes = desired.dissolves || view.lives_alone || has_left_so(node, view, observed);
    goes.then(|| view.may_share.clone())
}

fn has_left_so(node: &DesiredNode, view: &HostView, observed: &ObservedCluster) -> bool {
    let own = own_ids(view);
    let is_own = |gone: &Tombstone| gone.name == node.name && own.contains(&gone.node_id);
    observed.tombstones().any(|gone| gone.lives_alone && is_own(gone))
}

/// The numbers that a host has in its own files: no other machine ever had them.
fn own_ids(view: &HostView) -> BTreeSet<NodeId> {
    let files = view.pmxcfs_file.iter().chain(&view.disk_file);
    let texts = files.filter_map(|file| file.text.as_deref());
    let configs = texts.filter_map(|text| Config::read(&Document::parse(text.as_bytes())).ok());
    let nodes = configs.flat_map(|config| config.nodes);
    nodes.filter(|node| node.name.as_str() == view.hostname).map(|node| node.id).collect()
}

/// Whether what names a node goes along with it: a storage that is for this node alone.
#[must_use]
pub fn goes_along(reference: &Reference) -> bool {
    reference.kind == ReferenceKind::Storage && !reference.names_others
}

/// The storages of a storage.cfg that a node and some other one use.
#[must_use]
pub fn shared_storages(text: &str, node: &str) -> BTreeSet<String> {
    let shared = sections(text).filter(|storage| storage.is_shared() && storage.is_used(node));
    shared.map(|storage| storage.name.to_owned()).collect()
}

/// The storages of a storage.cfg that a node reaches at an address, by that address.
#[must_use]
pub fn storage_servers(text: &str, node: &str) -> BTreeMap<IpAddr, String> {
    let used = sections(text).filter(|storage| storage.is_of(node));
    let server = |storage: Section<'_>| {
        let server = storage.value("server")?.parse().ok()?;
        Some((server, storage.name.to_owned()))
    };
    used.filter_map(server).collect()
}

/// These guests, as far as high availability (`ha/resources.cfg`) looks after them.
#[must_use]
pub fn ha_resources(text: &str, guests: &BTreeSet<u32>) -> BTreeSet<Reference> {
    let managed = sections(text).filter(|resource| {
        let id = resource.name.split_once(':').map_or(resource.name, |(_, id)| id);
        id.parse().is_ok_and(|id| guests.contains(&id))
    });
    let reference = |resource: Section<'_>| Reference {
        kind: ReferenceKind::HaResource,
        name: format!("{}:{}", resource.kind, resource.name),
        names_others: false,
    };
    managed.map(reference).collect()
}

/// A part of such a file: `kind: name`, then indented lines of a key and its value.
#[derive(Debug)]
struct Section<'a> {
    kind: &'a str,
    name: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// What stands behind a key; of a flag that is nothing.
    fn value(&self, key: &str) -> Option<&'a str> {
        let mut lines = self.lines.iter().map(|line| line.trim());
        lines.find_map(|line| {
            let (found, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (found == key).then(|| value.trim())
        })
    }

    fn flag(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value != "0")
    }

    fn is_shared(&self) -> bool {
        !OWN.contains(&self.kind) || self.flag("shared")
    }

    /// The nodes that it is for; none: for all.
    fn nodes(&self) -> BTreeSet<&'a str> {
        let nodes = self.value("nodes").unwrap_or_default();
        let is_separator = |c: char| c.is_whitespace() || c == ',' || c == ';';
        nodes.split(is_separator).filter(|name| !name.is_empty()).collect()
    }

    /// Used by a node and some other one.
    fn is_used(&self, node: &str) -> bool {
        let nodes = self.nodes();
        self.is_of(node) && nodes.len() != 1
    }

    fn is_of(&self, node: &str) -> bool {
        let nodes = self.nodes();
        (nodes.is_empty() || nodes.contains(node)) && !self.flag("disable")
    }
}

fn sections(text: &str) -> impl Iterator<Item = Section<'_>> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut found: Vec<Section<'_>> = Vec::new();
    for line in lines {
        if line.starts_with(char::is_whitespace) {
            if let Some(section) = found.last_mut() {
                section.lines.push(line);
            }
        } else if let Some((kind, name)) = line.split_once(':') {
            let (kind, name) = (kind.trim(), name.trim());
            found.push(Section { kind, name, lines: Vec::new() });
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGES: &str = "dir: local\n\tpath /var/lib/vz\n\n\
        # nfs: old\n#\tserver n1\n\
        nfs: backup\n\tserver 10.0.0.9\n\texport /b\n\n\
        lvm: san\n\tvgname san\n\tshared 1\n\n\
        lvm: disk\n\tvgname disk\n\tshared 0\n\n\
        rbd: mine\n\tpool mine\n\tnodes n3\n\n\
        rbd: theirs\n\tpool theirs\n\tnodes n1,n2\n\n\
        cifs: both\n\tshare s\n\tnodes n3; n1\n\n\
        pbs: off\n\tserver p\n\tdisable\n\n\
        dir: mount\n\tpath /mnt\n\tshared\n\n\
        acme: plugin\n\tpool a\n";

    #[test]
    fn the_storages_that_a_node_reaches_by_an_address_are_known_by_it() {
        let text = "nfs: all\n\tserver 10.0.0.9\n\npbs: own\n\tserver 10.0.0.8\n\tnodes n1\n\n\
                    pbs: named\n\tserver pbs.example\n\nnfs: off\n\tserver 10.0.0.7\n\tdisable\n";
        let names = |node| storage_servers(text, node).into_values().collect::<Vec<_>>();
        assert_eq!(
            (names("n1"), names("n2")),
            (vec!["own".into(), "all".into()], vec!["all".into()])
        );
    }

    /// Two clusters that write to one storage lose the disks of guests.
    #[test]
    fn a_storage_that_a_node_and_another_one_reach_is_shared() {
        let of = |node| shared_storages(STORAGES, node).into_iter().collect::<Vec<_>>();
        assert_eq!(of("n3"), ["backup", "both", "mount", "plugin", "san"]);
        assert_eq!(of("n2"), ["backup", "mount", "plugin", "san", "theirs"]);
        assert_eq!(shared_storages("", "n3"), BTreeSet::new());
    }

    /// The cluster would start the guest a second time when its host is gone.
    #[test]
    fn a_guest_under_high_availability_is_named() {
        let resources = "vm: 100\n\tstate started\n\nct: 101\n\tstate stopped\n\nvm: 200\n";
        let found = ha_resources(resources, &BTreeSet::from([100, 101, 102]));
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["ct:101", "vm:100"]);
        assert!(found.iter().all(|one| one.kind == ReferenceKind::HaResource && !one.names_others));
    }

    #[test]
    fn only_a_storage_for_the_node_alone_goes_along() {
        let of = |kind, names_others| {
            goes_along(&Reference { kind, name: "one".to_owned(), names_others })
        };
        assert!(of(ReferenceKind::Storage, false));
        assert!(!of(ReferenceKind::Storage, true));
        assert!(!of(ReferenceKind::BackupJob, false) && !of(ReferenceKind::HaRule, false));
    }
}
