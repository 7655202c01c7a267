//! Whether the hosts are the cluster that the file describes, all of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind, files};
use crate::change::ConfText;
use crate::conf::{Config, Node};
use crate::ids::{HostName, NodeId};
use crate::observed::{Claim, FileView, HostView};

/// A node of the file with the host that it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub node: &'a Node,
    pub host: &'a HostName,
    pub view: &'a HostView,
}

/// The nodes whose hosts are known, in the order of the file. Whatever keeps them from being one sound
/// cluster is found.
pub(super) fn look<'a>(
    hosts: &'a BTreeMap<HostName, HostView>,
    config: &'a Config,
    conf: &ConfText,
    found: &mut Findings,
) -> Vec<Member<'a>> {
    let is = |node: &Node, view: &HostView| view.hostname == node.name.as_str();
    let member = |node: &'a Node| {
        let (host, view) = hosts.iter().find(|(_, view)| is(node, view))?;
        Some(Member { node, host, view })
    };
    let members: Vec<_> = config.nodes.iter().filter_map(member).collect();
    let known = |node: &&Node| members.iter().any(|member| member.node.id == node.id);
    let missing: Vec<_> = config.nodes.iter().filter(|node| !known(node)).collect();
    let strange = hosts.iter().filter(|(_, view)| !config.nodes.iter().any(|node| is(node, view)));
    let renamed: Vec<_> = strange.filter_map(|host| not_listed(host, &missing, found)).collect();
    for node in missing.iter().filter(|node| !renamed.contains(&node.id)) {
        let name = &node.name;
        let sentence = format!(
            "node {name} has no PveHost that calls itself so: enrol it with `kubectl pvecm host enrol \
             {}` and start its agent",
            name.as_str().to_lowercase()
        );
        found.add(Kind::Refusal, sentence);
    }
    let all: BTreeSet<NodeId> = config.nodes.iter().map(|node| node.id).collect();
    for member in &members {
        may_obey(member, found);
        agrees(member, conf, found);
        is_healthy(member, &all, found);
    }
    together(&members, config, found);
    members
}

/// A host that the list has not under its name. Says which missing node it may be under another one:
/// what Proxmox VE keeps of a node goes by the host's name, so a member that was renamed has lost it.
fn not_listed(
    (host, view): (&HostName, &HostView),
    missing: &[&Node],
    found: &mut Findings,
) -> Option<NodeId> {
    let now = &view.hostname;
    if now.is_empty() {
        found.add(Kind::Refusal, format!("the agent on {host} has not reported anything yet"));
        return None;
    }
    let same = |node: &&&Node| {
        let address = |text: &String| text.parse().is_ok_and(|ip| has(view, ip));
        host.as_str() == node.name.as_str().to_lowercase() || node.addresses.values().any(address)
    };
    if let Some(node) = missing.iter().find(same) {
        let name = &node.name;
        let sentence = format!(
            "{host} calls itself `{now}`, but is node {name} of the cluster: a member must not be \
             renamed, because Proxmox VE finds its entry and its guests by the host name. Give the \
             machine its name back (`hostnamectl set-hostname {name}`, and /etc/hosts), or remove node \
             {name} and join `{now}` as a new one"
        );
        found.add(Kind::Refusal, sentence);
        return Some(node.id);
    }
    let sentence = format!("{host} (`{now}`) is not in the nodelist of the cluster: leave it out");
    found.add(Kind::Refusal, sentence);
    None
}

fn has(view: &HostView, ip: std::net::IpAddr) -> bool {
    view.addresses.iter().any(|net| net.addr() == ip)
}

/// Nobody else rules here, and the agent is there to be asked.
fn may_obey(Member { host, view, .. }: &Member<'_>, found: &mut Findings) {
    if let Claim::Other(owner) = &view.claim {
        let sentence = format!("{host} obeys the PveCluster {owner} already");
        found.add(Kind::Refusal, sentence);
    }
    if view.witness {
        let sentence = format!("{host} is enrolled as a witness: its PveHost needs `role: Member`");
        found.add(Kind::Refusal, sentence);
    }
    if !view.connected {
        found.add(Kind::Refusal, format!("the agent on {host} is not heard"));
    }
    if view.paused {
        found.add(Kind::Risk, format!("{host} is paused and takes part in no change"));
    }
}

/// The same text in /etc/pve, on the disk and in the daemon.
fn agrees(Member { host, view, .. }: &Member<'_>, conf: &ConfText, found: &mut Findings) {
    let places = [("/etc/pve", &view.pmxcfs_file), ("/etc/corosync", &view.disk_file)];
    for (place, file) in places {
        let sentence = match file {
            None => format!("{host} has no corosync.conf in {place}"),
            Some(file) if file.digest != conf.digest => format!(
                "{host} has another corosync.conf in {place} ({}) than the one in force ({})",
                named(file),
                named(&FileView::from(conf))
            ),
            Some(_) => continue,
        };
        found.add(Kind::Difference, sentence);
    }
    match view.running_version {
        None => found.add(Kind::Refusal, format!("corosync does not run on {host}")),
        Some(running) if running != conf.version => {
            let version = conf.version;
            let sentence = format!("{host} runs version {running}, the file has version {version}");
            found.add(Kind::Difference, sentence);
        }
        Some(_) => {}
    }
    for drift in &view.drift {
        found.add(Kind::Difference, format!("{host}: {drift}"));
    }
}

/// What a host has in its three places, in words.
#[must_use]
pub fn places(view: &HostView) -> String {
    let file = |file: &Option<FileView>| file.as_ref().map_or("none".to_owned(), named);
    let running = view.running_version.map_or("nothing".to_owned(), |v| format!("version {v}"));
    let (pmxcfs, disk) = (file(&view.pmxcfs_file), file(&view.disk_file));
    format!("/etc/pve {pmxcfs}; /etc/corosync {disk}; running {running}")
}

/// A file by its version and the first digits of its digest.
fn named(file: &FileView) -> String {
    let version = file.version.map_or("no version".to_owned(), |v| format!("version {v}"));
    let digest: String = file.digest.to_string().chars().take(12).collect();
    format!("{version}, {digest}")
}

fn is_healthy(member: &Member<'_>, all: &BTreeSet<NodeId>, found: &mut Findings) {
    let Member { host, view, .. } = member;
    if view.running_version.is_none() {
        return;
    }
    if !view.quorate {
        found.add(Kind::Refusal, format!("{host} is not quorate"));
    }
    if view.members != *all {
        let ids = |ids: &BTreeSet<NodeId>| {
            ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
        };
        let (sees, lists) = (ids(&view.members), ids(all));
        let sentence = format!("{host} sees the nodes {sees}, corosync.conf lists {lists}");
        found.add(Kind::Refusal, sentence);
    }
    if !view.pmxcfs_writable {
        found.add(Kind::Refusal, format!("/etc/pve takes no writes on {host}"));
    }
}

/// What only shows when hosts are held against each other.
fn together(members: &[Member<'_>], config: &Config, found: &mut Findings) {
    let Some(first) = members.first() else { return };
    for member in &members[1..] {
        if member.view.running_version.is_some() && member.view.ring != first.view.ring {
            let sentence =
                format!("{} and {} are in different memberships", first.host, member.host);
            found.add(Kind::Refusal, sentence);
        }
        let keys = (first.view.authkey, member.view.authkey);
        if let (Some(one), Some(other)) = keys
            && one.fingerprint != other.fingerprint
            && !config.key_elsewhere
        {
            let sentence = format!(
                "{} has another authkey than {}: with encryption the next reload would throw one of \
                 them out; copy /etc/corosync/authkey of the host that others agree with",
                member.host, first.host
            );
            found.add(Kind::Difference, sentence);
        }
    }
    for member in members.iter().filter(|member| files(member.view).next().is_some()) {
        for (link, to) in &member.view.link_faults {
            let name =
                config.node(*to).map_or_else(|| to.to_string(), |node| node.name.to_string());
            let sentence = format!("link {link} from {} to {name} is not connected", member.host);
            found.add(Kind::Risk, sentence);
        }
    }
}
