//! What works today and fails sooner than it has to. What a line of the file does by itself is
//! `lint`'s to say; here is what follows from the cluster as a whole.

use std::net::IpAddr;

use super::hosts::Member;
use super::{Findings, Kind};
use crate::conf::Config;

pub(super) fn look(config: &Config, members: &[Member<'_>], found: &mut Findings) {
    transport(config, found);
    links(config, found);
    votes(config, found);
    addresses(members, found);
}

/// What goes wrong there goes wrong in the clear, on the one link that there can be.
fn transport(config: &Config, found: &mut Findings) {
    let transport = config.transport();
    if !transport.is_knet() {
        let sentence = format!(
            "`transport: {transport}`: one link and no encryption, and corosync is about to drop it; it is \
             adopted as it is, and moved to knet by `totem.transport: Knet`, for which all stop at once \
             (it waits for your approval)"
        );
        found.add(Kind::Risk, sentence);
    }
}

fn links(config: &Config, found: &mut Findings) {
    let links = config.links();
    if let (Some(only), 1) = (links.first(), links.len())
        && config.nodes.len() > 1
        && config.transport().is_knet()
    {
        let sentence = format!(
            "link {only} is the only one: when its network fails, every node is alone; add a second \
             one to `links`"
        );
        found.add(Kind::Risk, sentence);
    }
}

fn votes(config: &Config, found: &mut Findings) {
    let quorum = &config.quorum;
    let sum: u32 = config.nodes.iter().map(crate::conf::Node::votes).sum();
    if quorum.two_node {
        found.add(
            Kind::Risk,
            "`two_node: 1`: one node alone stays quorate, and when both lose sight of each other \
             both do and guests may run twice; members and votes cannot be changed while it is there",
        );
    }
    if let Some(device) = &quorum.device {
        let sentence = format!(
            "a QDevice (`model: {}`) votes: it stays as it is, and members and votes cannot be changed \
             while it is there",
            device.model
        );
        found.add(Kind::Unmanaged, sentence);
    } else if sum.is_multiple_of(2) && !quorum.two_node {
        let sentence = format!(
            "{sum} votes and no QDevice: a split into halves leaves nobody quorate{}",
            if sum == 2 { ", and so does the loss of one node" } else { "" }
        );
        found.add(Kind::Risk, sentence);
    }
    if let Some(expected) = quorum.expected_votes {
        let sentence = format!(
            "`expected_votes: {expected}` counts in place of the nodelist, which has {sum}; members and \
             votes cannot be changed while it is there"
        );
        found.add(Kind::Risk, sentence);
    }
}

/// corosync logs no error for an address that is on no card: the node runs on alone after its next start.
fn addresses(members: &[Member<'_>], found: &mut Findings) {
    for Member { node, host, view } in members.iter().filter(|m| !m.view.addresses.is_empty()) {
        for (link, address) in &node.addresses {
            let Ok(ip) = address.parse::<IpAddr>() else { continue };
            if !view.addresses.iter().any(|net| net.addr() == ip) {
                let sentence = format!(
                    "{address}, the address of link {link}, is on no network card of {host}"
                );
                found.add(Kind::Risk, sentence);
            }
        }
    }
}
