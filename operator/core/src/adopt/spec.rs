//! The file as a wish: everything that it says and a spec has a word for, and no default.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::hosts::Member;
use super::{Findings, Kind};
use crate::conf::{
    Cipher, Config, Hash, IP_VERSION, LINK_MODE, LinkOptions, TRANSPORT, TotemOptions,
    token_growth_millis,
};
use crate::datacenter::{Traffic, TransferType, TransferWish};
use crate::desired::{
    Approval, DesiredCluster, DesiredLink, DesiredNode, Drift, HighAvailability, MaxRisk, Removal,
    Rollout,
};
use crate::ids::LinkNumber;

/// `None` where no node's host is known.
pub(super) fn describe(
    config: &Config,
    members: &[Member<'_>],
    found: &mut Findings,
) -> Option<DesiredCluster> {
    let networks = networks(config, members);
    let nodes: Vec<_> = members.iter().map(|member| node(member, &networks)).collect();
    let link = |number: LinkNumber| DesiredLink {
        number,
        network: networks.get(&number).copied(),
        options: options(config, number),
        limits: None,
    };
    let links = config.links().into_iter().map(link).collect();
    (!nodes.is_empty()).then(|| DesiredCluster {
        name: config.cluster_name.clone(),
        nodes,
        links,
        totem: totem(config, members, found),
        logging: config.logging,
        datacenter: datacenter(members, found),
        device: None,
        key_generation: 0,
        dissolves: false,
        rollout: rollout(),
        generation: 0,
    })
}

/// A spec has no priority beside a transport that has one link.
fn options(config: &Config, link: LinkNumber) -> LinkOptions {
    let options = config.link_options(link);
    let priority = options.priority.filter(|_| config.transport().is_knet());
    LinkOptions { priority, ..options }
}

fn node(member: &Member<'_>, networks: &BTreeMap<LinkNumber, IpNet>) -> DesiredNode {
    let Member { node, host, view: _ } = member;
    let stated = node.addresses.iter().filter(|(link, _)| !networks.contains_key(link));
    DesiredNode {
        name: node.name.clone(),
        host: (*host).clone(),
        node_id: Some(node.id),
        votes: node.quorum_votes,
        addresses: stated.map(|(link, address)| (*link, address.clone())).collect(),
    }
}

/// The links that a network describes: every node's address is its one address inside. Networks of two
/// links never overlap: an address could be of either.
fn networks(config: &Config, members: &[Member<'_>]) -> BTreeMap<LinkNumber, IpNet> {
    let mut networks: BTreeMap<LinkNumber, IpNet> = BTreeMap::new();
    for link in config.links() {
        let mut found = members.iter().map(|member| network(member, link));
        let Some(Some(first)) = found.next() else { continue };
        let apart = |other: &IpNet| !other.contains(&first) && !first.contains(other);
        if members.len() == config.nodes.len()
            && found.all(|other| other == Some(first))
            && networks.values().all(apart)
        {
            networks.insert(link, first);
        }
    }
    networks
}

/// The network of a node's address, if the host has no other address inside.
fn network(Member { node, view, .. }: &Member<'_>, link: LinkNumber) -> Option<IpNet> {
    let ip: IpAddr = node.addresses.get(&link)?.parse().ok()?;
    let network = view.addresses.iter().find(|net| net.addr() == ip)?.trunc();
    let is_one = view.addresses_in(&network).count() == 1;
    (is_one && network.prefix_len() < network.max_prefix_len()).then_some(network)
}

fn totem(config: &Config, members: &[Member<'_>], found: &mut Findings) -> TotemOptions {
    let mut totem = config.totem;
    token(config, &mut totem, found);
    crypto(config, &mut totem, found);
    compression(&mut totem, found);
    let mode = totem.link_mode.map(|mode| mode.to_string());
    if starts_otherwise(LINK_MODE, mode.as_deref(), members, found) {
        totem.link_mode = None;
    }
    let version = totem.ip_version.map(|version| version.to_string());
    if starts_otherwise(IP_VERSION, version.as_deref(), members, found) {
        totem.ip_version = None;
    }
    let transport = totem.transport.map(|transport| transport.to_string());
    if starts_otherwise(TRANSPORT, transport.as_deref(), members, found) {
        totem.transport = None;
    }
    totem
}

/// A spec's token timeout is meant for two nodes. Without link 0 corosync adds nothing for more, and the
/// file says the whole (corosync.md 6.2).
fn token(config: &Config, totem: &mut TotemOptions, found: &mut Findings) {
    let Some(written) = totem.token_millis.filter(|_| !config.has_link(LinkNumber::ZERO)) else {
        return;
    };
    let growth = token_growth_millis(totem.token_coefficient_millis, config.nodes.len());
    totem.token_millis = written.checked_sub(growth).filter(|base| *base > 0);
    if totem.token_millis.is_none() {
        let sentence = format!(
            "`token: {written}`: without link 0 a spec's token timeout grows by {growth} with the \
             nodes, and this one is not longer than that"
        );
        found.add(Kind::Unmanaged, sentence);
    }
}

/// A spec states both or none. `secauth: on` says the same as two keys.
fn crypto(config: &Config, totem: &mut TotemOptions, found: &mut Findings) {
    let (now, written) = (config.crypto(), totem.cipher.is_some() || totem.hash.is_some());
    let pair = (now.cipher == Cipher::None) == (now.hash == Hash::None);
    (totem.cipher, totem.hash) = (None, None);
    if pair && (written || config.secauth) {
        (totem.cipher, totem.hash) = (Some(now.cipher), Some(now.hash));
    } else if written {
        let sentence = format!(
            "`crypto_cipher` {} with `crypto_hash` {}: a spec states both or neither",
            now.cipher, now.hash
        );
        found.add(Kind::Unmanaged, sentence);
    }
}

/// A spec has no threshold and no level without a method.
fn compression(totem: &mut TotemOptions, found: &mut Findings) {
    let detail = totem.compression_threshold_bytes.is_some() || totem.compression_level.is_some();
    if totem.compression.is_none() && detail {
        (totem.compression_threshold_bytes, totem.compression_level) = (None, None);
        found.add(Kind::Unmanaged, "knet's compression has details in the file and no method");
    }
}

/// The lines of datacenter.cfg that count. One without a network says nothing of it in the spec either.
fn datacenter(members: &[Member<'_>], found: &mut Findings) -> BTreeMap<Traffic, TransferWish> {
    let mut wishes = BTreeMap::new();
    let Some(file) = members.iter().find_map(|member| member.view.datacenter.as_ref()) else {
        return wishes;
    };
    for (traffic, line) in &file.lines {
        let key = traffic.key();
        match line {
            Ok(line) => {
                let wish = match line.network {
                    Some(_) => TransferWish::Line(*line),
                    None => TransferWish::Type(line.kind),
                };
                wishes.insert(*traffic, wish);
                if line.kind == TransferType::Insecure {
                    let sentence = format!(
                        "`{key}: {line}` in datacenter.cfg: the memory of guests travels in the clear, with the \
                         passwords and keys in it; the spec accepts that as it is found"
                    );
                    found.add(Kind::Risk, sentence);
                }
            }
            Err(why) => {
                let sentence = format!(
                    "`{key}` in datacenter.cfg counts for nothing to Proxmox VE ({why}), so the spec leaves it out"
                );
                found.add(Kind::Unmanaged, sentence);
            }
        }
    }
    wishes
}

/// Whether a daemon was started with another value than the file has now: to state it would be to ask
/// for a restart.
fn starts_otherwise(
    key: &str,
    written: Option<&str>,
    members: &[Member<'_>],
    found: &mut Findings,
) -> bool {
    let Some(written) = written else { return false };
    let started = |member: &Member<'_>| member.view.started_with.get(key).cloned();
    let others = members.iter().filter_map(|member| Some((member.host, started(member)?)));
    let mut others = others.filter(|(_, started)| started != written);
    let Some((host, started)) = others.next() else { return false };
    let sentence = format!(
        "`{key}` is {written} in the file, and corosync on {host} was started with {started}: state it \
         in the spec to have the daemons started anew"
    );
    found.add(Kind::Unmanaged, sentence);
    true
}

/// As the API has it where a spec says nothing.
const fn rollout() -> Rollout {
    Rollout {
        approval: Approval::Automatic,
        max_risk: MaxRisk::Live,
        high_availability: HighAvailability::RequireIdle,
        confirm_timeout_secs: 30,
        drift: Drift::Correct,
        removal: Removal::RefuseIfReferenced,
        paused: false,
    }
}
