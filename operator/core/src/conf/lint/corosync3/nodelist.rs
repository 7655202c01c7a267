//! The rules for `nodelist`: ids, names, addresses, links that all nodes share.
//!
//! Owns what corosync 3 refuses there, and what it takes although the cluster then falls apart.

use std::collections::BTreeMap;

use super::nodes::{Host, LINKS, Node};
use super::{Facts, Transport, quoted};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

static NODELIST_EMPTY: Code = Code {
    name: "nodelist-empty",
    title: "The file lists no node",
    explanation: "At start corosync says `No interfaces defined` or `No valid name found for local \
                  host`. A reload takes such a file with success: it removes every link, 7 s later \
                  all nodes are alone and no reload can repair that. `bindnetaddr` without a \
                  nodelist worked in corosync 2 alone.",
    source: "measured on corosync 3.1.7",
};
static NO_LINKS: Code = Code {
    name: "no-links",
    title: "No node has an address that corosync reads",
    explanation: "corosync says `No interfaces defined`. It reads `ring0_addr` to `ring7_addr`; \
                  `link0_addr` is Proxmox VE's alone.",
    source: "measured on corosync 3.1.7; exec/totemconfig.c:totem_config_validate",
};
static FIRST_NODE_NAMELESS: Code = Code {
    name: "first-node-nameless",
    title: "The first node has neither `name` nor `ring0_addr`",
    explanation: "corosync looks at the nodelist only when its first node has one of them. \
                  Without, a node that starts has links without any peer.",
    source: "exec/totemconfig.c:totem_config_read of 3.1.7; measured with `corosync -t`",
};
static NODE_UNFINDABLE: Code = Code {
    name: "node-unfindable",
    title: "A node cannot find itself in the list",
    explanation: "corosync finds its own entry by `name` (the host name) or by `ring0_addr`. A \
                  node with neither says `No valid name found for local host` and does not start.",
    source: "measured on corosync 3.1.7; exec/totemconfig.c:find_local_node",
};
static NODEID_MISSING: Code = Code {
    name: "nodeid-missing",
    title: "A node has no `nodeid`, or 0",
    explanation: "corosync says `Knet requires an explicit nodeid to be specified for address \
                  'A'`, or `... for the local node`. With udp and udpu an id is made of an IPv4 \
                  address; for IPv6 it says `An IPV6 network requires that a node ID be \
                  specified`.",
    source: "measured on corosync 3.1.7",
};
static NODEID_TOO_LARGE: Code = Code {
    name: "nodeid-too-large",
    title: "A `nodeid` is above 65535",
    explanation: "corosync says `Knet requires nodeid to be less than 65536 for address 'A'`. Only \
                  udp and udpu, and corosync 2, take 32 bits.",
    source: "measured on corosync 3.1.7",
};
static NODEID_TWICE: Code = Code {
    name: "nodeid-twice",
    title: "Two nodes have the same `nodeid`",
    explanation: "corosync says `Nodeid N appears twice in corosync.conf` and does not start. A \
                  reload does not look. With more than ten nodes the check at start stops early, \
                  because it walks the places as text (0, 1, 10, 2, ...): some pairs pass, and the \
                  second node's packets are rejected.",
    source: "measured on corosync 3.1.7; \
             exec/totemconfig.c:check_for_duplicate_nodeids",
};
static NAMES_NEEDED: Code = Code {
    name: "names-needed",
    title: "A node has no `name`, and there is more than one link",
    explanation: "corosync says `for a multi-link configuration, all nodes must have a 'name' \
                  attribute`.",
    source: "measured on corosync 3.1.7",
};
static NAME_TWICE: Code = Code {
    name: "name-twice",
    title: "Two nodes have the same name",
    explanation: "corosync takes the file; a host of that name takes the first entry for its own, \
                  so the second machine runs under the first one's id and is rejected. Proxmox VE \
                  keeps only the last of them.",
    source: "measured on corosync 3.1.7; src/PVE/Corosync.pm of pve-cluster 9.1.6",
};
static LINKS_UNEVEN: Code = Code {
    name: "links-uneven",
    title: "A node lacks an address on a link that others have",
    explanation: "corosync says `Not all nodes have the same number of links` at start and at \
                  reload. An `interface` section of a link without addresses counts as a link as \
                  well.",
    source: "measured on corosync 3.1.7",
};
static NODE_WITHOUT_ADDRESS: Code = Code {
    name: "node-without-address",
    title: "A node has no address at all",
    explanation: "With one link corosync takes such a list. The others count the node's vote but \
                  never reach it, and the node itself does not start.",
    source: "measured on corosync 3.1.7",
};
static LINK_TOO_HIGH: Code = Code {
    name: "link-too-high",
    title: "A link's number is above 7",
    explanation: "corosync says `interface ring number N is bigger than allowed maximum 7`. It has \
                  links 0 to 7.",
    source: "measured on corosync 3.1.7",
};
static ADDRESS_UNUSABLE: Code = Code {
    name: "address-unusable",
    title: "An address is neither an address nor a host name",
    explanation: "corosync says `failed to parse node address 'A'` (or `bindnet address`) and \
                  refuses the file. That holds for an address of the family that `ip_version` \
                  excludes, and for a value with a comment behind it.",
    source: "measured on corosync 3.1.7",
};
static FAMILIES_MIXED: Code = Code {
    name: "families-mixed",
    title: "A link has IPv4 and IPv6 addresses",
    explanation: "corosync says `Nodes for link N have different IP families (compared A with B)`. \
                  Every link is of one family; another link may be of the other.",
    source: "exec/totemconfig.c:totem_volatile_config_validate; measured with `corosync -t`",
};
static ADDRESS_TWICE: Code = Code {
    name: "address-twice",
    title: "Two nodes have the same address",
    explanation: "corosync takes the file; one of the two is isolated without an error. `corosync \
                  -t` does not notice, and pvecm compares the texts alone.",
    source: "measured on corosync 3.1.7",
};
static LINKS_SHARE_ADDRESS: Code = Code {
    name: "links-share-address",
    title: "A node has the same address on two links",
    explanation: "It works, on two ports, but one broken network takes both links: there is no \
                  redundancy. While a cluster moves to other addresses that is intended.",
    source: "measured on corosync 3.1.7",
};
static ADDRESS_IS_NAME: Code = Code {
    name: "address-is-name",
    title: "An address is a host name",
    explanation: "corosync resolves it at start and at reload: a name that does not resolve on one \
                  host refuses the file there, and one that resolves elsewhere than before is an \
                  address change, which every node refuses. Write addresses.",
    source: "measured on corosync 3.1.7; pve8to9 of pve-manager",
};

pub(super) static CODES: &[&Code] = &[
    &NODELIST_EMPTY,
    &NO_LINKS,
    &FIRST_NODE_NAMELESS,
    &NODE_UNFINDABLE,
    &NODEID_MISSING,
    &NODEID_TOO_LARGE,
    &NODEID_TWICE,
    &NAMES_NEEDED,
    &NAME_TWICE,
    &LINKS_UNEVEN,
    &NODE_WITHOUT_ADDRESS,
    &LINK_TOO_HIGH,
    &ADDRESS_UNUSABLE,
    &FAMILIES_MIXED,
    &ADDRESS_TWICE,
    &LINKS_SHARE_ADDRESS,
    &ADDRESS_IS_NAME,
];

pub(super) fn judge(facts: &Facts<'_, '_>, report: &mut Report) {
    let nodes = &facts.nodes;
    if nodes.all.is_empty() {
        return judge_empty(facts, report);
    }
    judge_findable(facts, report);
    if !nodes.is_looked_at {
        return judge_ids(facts, report);
    }
    if nodes.links().is_empty() {
        let message =
            "no node has a `ringN_addr`; corosync finds no link and does not start; give \
                       every node an address on link 0"
                .to_owned();
        report.refuses(&NO_LINKS, facts.stored.node_line(0), message);
    }
    for node in &nodes.all {
        judge_id(node, facts, report);
        judge_addresses(node, facts, report);
    }
    judge_ids(facts, report);
    judge_names(facts, report);
    judge_links(facts, report);
    judge_families(facts, report);
    judge_repeated_addresses(facts, report);
}

fn judge_empty(facts: &Facts<'_, '_>, report: &mut Report) {
    let line = facts.nodelist_line;
    let start =
        "no node is listed; corosync does not start; list every node with name, nodeid and \
                 ring0_addr"
            .to_owned();
    report.refuses(&NODELIST_EMPTY, line, start);
    let reload = "no node is listed; a reload succeeds, removes every link and leaves all nodes \
                  alone for good; list every node with name, nodeid and ring0_addr"
        .to_owned();
    report.breaks(&NODELIST_EMPTY, line, reload);
}

/// Whether the nodes can find themselves, and the first one all of them.
fn judge_findable(facts: &Facts<'_, '_>, report: &mut Report) {
    let findable =
        |node: &&Node<'_>| node.name.is_some() || node.addresses.iter().any(|(link, _)| *link == 0);
    if !facts.nodes.all.iter().any(|node| findable(&node)) {
        let message = "no node has a `name` or a `ring0_addr`; none finds itself in the list, \
                       corosync does not start; give every node its host name"
            .to_owned();
        return report.refuses(&NODE_UNFINDABLE, facts.stored.node_line(0), message);
    }
    for node in facts.nodes.all.iter().filter(|node| !findable(node)) {
        let message = format!(
            "{} has neither `name` nor `ring0_addr`; it does not find itself in the list and does \
             not start; write its host name",
            node.called()
        );
        report.breaks(&NODE_UNFINDABLE, node.line, message);
    }
    if !facts.nodes.is_looked_at {
        let message = "the first node has neither `name` nor `ring0_addr`, so corosync looks at \
                       none of the list and every node starts alone; write its host name"
            .to_owned();
        report.breaks(&FIRST_NODE_NAMELESS, facts.stored.node_line(0), message);
    }
}

fn judge_id(node: &Node<'_>, facts: &Facts<'_, '_>, report: &mut Report) {
    let id = node.id.and_then(|id| id.number).unwrap_or(0);
    let line = node.id.map_or(node.line, |id| Some(id.line));
    if node.id.is_some_and(|id| id.faulty) {
        return;
    }
    let is_knet = facts.transport == Transport::Knet;
    if id == 0 && is_knet {
        let what = format!("{} has no `nodeid` other than 0", node.called());
        let todo = "give it a number from 1 to 65535 that no other node has";
        if node.addresses.is_empty() {
            report.breaks(&NODEID_MISSING, line, format!("{what}; it does not start; {todo}"));
        } else {
            report.refuses(
                &NODEID_MISSING,
                line,
                format!("{what}; corosync does not start; {todo}"),
            );
        }
    }
    if id > 65535 && is_knet && !node.addresses.is_empty() {
        let message = format!(
            "`nodeid: {id}` is above 65535, which knet does not take; corosync does not start; \
             choose a smaller one"
        );
        report.refuses(&NODEID_TOO_LARGE, line, message);
    }
    let ring0 = node.addresses.iter().find(|(link, _)| *link == 0);
    let is_v6 = ring0.is_some_and(|(_, address)| Host::read(address.text).is_v6());
    if id == 0 && !is_knet && is_v6 {
        let message = format!(
            "{} has an IPv6 address and no `nodeid`; corosync makes one of IPv4 alone and does not \
             start; write one",
            node.called()
        );
        report.refuses(&NODEID_MISSING, line, message);
    }
}

/// The id that corosync compares: written, or made of the address with udp and udpu.
fn compared_id(node: &Node<'_>, transport: Transport) -> Option<i128> {
    if let Some(id) = node.id.and_then(|id| id.number) {
        return Some(id);
    }
    let (_, address) = node.addresses.iter().find(|(link, _)| *link == 0)?;
    match Host::read(address.text) {
        Host::V4(address) if transport != Transport::Knet => Some(i128::from(address.to_bits())),
        Host::V4(_) | Host::V6(_) | Host::Name | Host::Impossible => None,
    }
}

pub(in super::super) fn judge_ids(facts: &Facts<'_, '_>, report: &mut Report) {
    let mut seen: BTreeMap<i128, &Node<'_>> = BTreeMap::new();
    for node in &facts.nodes.all {
        let Some(id) = compared_id(node, facts.transport).filter(|id| *id != 0) else { continue };
        let Some(first) = seen.get(&id) else {
            seen.insert(id, node);
            continue;
        };
        let line = node.id.map_or(node.line, |id| Some(id.line));
        let what =
            format!("nodeid {id} of {} is that of {} as well", node.called(), first.called());
        if is_pair_compared(&facts.nodes.all, first.place, node.place) {
            let message = format!(
                "{what}; corosync does not start; a reload does not notice; give it one of its own"
            );
            report.refuses(&NODEID_TWICE, line, message);
        } else {
            let message = format!(
                "{what}; corosync 3 overlooks that in a list of more than ten nodes and rejects \
                 the second one's packets; give it one of its own"
            );
            report.breaks(&NODEID_TWICE, line, message);
        }
    }
}

/// corosync compares a node with those before it, in the order of their places as text, up to the
/// first that comes after it by number.
fn is_pair_compared(nodes: &[Node<'_>], first: u32, second: u32) -> bool {
    let mut places: Vec<_> =
        nodes.iter().map(|node| (node.place.to_string(), node.place)).collect();
    places.sort();
    let before: Vec<_> =
        places.iter().map(|(_, place)| *place).take_while(|place| *place < second).collect();
    before.contains(&first)
}

fn judge_names(facts: &Facts<'_, '_>, report: &mut Report) {
    let links = facts.links().len();
    // corosync looks at as many places as the first link has addresses.
    let looked_at =
        facts.links().first().map_or(0, |link| facts.nodes.links().get(link).copied().unwrap_or(0));
    for place in (0..looked_at).filter(|_| links > 1) {
        let node = facts.nodes.all.iter().find(|node| usize::try_from(node.place) == Ok(place));
        if node.is_none_or(|node| node.name.is_none()) {
            let called = node.map_or_else(|| format!("the {}. node", place + 1), Node::called);
            let message = format!(
                "{called} has no `name`, which corosync wants with {links} links; it does not \
                 start; write its host name"
            );
            report.refuses(&NAMES_NEEDED, node.and_then(|node| node.line), message);
        }
    }
    let mut seen: BTreeMap<&[u8], &Node<'_>> = BTreeMap::new();
    for node in &facts.nodes.all {
        let Some(name) = node.name else { continue };
        if let Some(first) = seen.insert(name.text, node) {
            let message = format!(
                "{} has the name of the {}. node; the host of that name takes the first entry for \
                 its own and the other id is never there; give every node its host name",
                node.called(),
                first.place + 1
            );
            report.breaks(&NAME_TWICE, Some(name.line), message);
        }
    }
}

fn judge_addresses(node: &Node<'_>, facts: &Facts<'_, '_>, report: &mut Report) {
    for (link, address) in &node.addresses {
        let line = Some(address.line);
        if *link >= LINKS {
            let message = format!(
                "link {link} of {} is above 7, the highest that corosync has; it does not start; \
                 use 0 to 7",
                node.called()
            );
            report.refuses(&LINK_TOO_HIGH, line, message);
            continue;
        }
        let host = Host::read(address.text);
        match host.under(facts.ip_version) {
            None => report.refuses(&ADDRESS_UNUSABLE, line, unusable(address.text, host)),
            Some(Host::Name) => {
                let message = format!(
                    "{} is a name, which every host has to resolve, and alike; corosync does not \
                     start, or refuses the reload, where it does not; write the address",
                    quoted(address.text)
                );
                report.advises(&ADDRESS_IS_NAME, line, message);
            }
            Some(Host::V4(_) | Host::V6(_) | Host::Impossible) => {}
        }
    }
}

fn unusable(address: &[u8], host: Host) -> String {
    let why = match host {
        Host::V4(_) | Host::V6(_) => "of the family that `ip_version` or the transport excludes",
        Host::Name | Host::Impossible if address.contains(&b'#') => {
            "no address: a `#` behind a value opens no comment"
        }
        Host::Name | Host::Impossible => "neither an address nor a host name",
    };
    format!("{} is {why}; corosync refuses the file; write an address", quoted(address))
}

fn judge_links(facts: &Facts<'_, '_>, report: &mut Report) {
    let members = facts.nodes.links();
    let links = facts.links();
    for node in facts.nodes.all.iter().filter(|node| node.addresses.is_empty()) {
        let message = format!(
            "{} has no `ringN_addr`; the others count its vote and never reach it, and it does not \
             start; give it an address on every link",
            node.called()
        );
        report.breaks(&NODE_WITHOUT_ADDRESS, node.line, message);
    }
    let counts: Vec<_> = links.iter().map(|link| members.get(link).copied().unwrap_or(0)).collect();
    if counts.windows(2).all(|pair| pair[0] == pair[1]) {
        return;
    }
    for link in links.iter().filter(|link| **link < LINKS) {
        if !members.contains_key(link) {
            let message = format!(
                "an `interface` section speaks of link {link}, on which no node has an address; \
                 corosync counts it as a link that all nodes lack and does not start; take the \
                 section out or give every node a `ring{link}_addr`"
            );
            report.refuses(&LINKS_UNEVEN, facts.interface_line(*link), message);
            continue;
        }
        let lacks = |node: &&Node<'_>| node.addresses.iter().all(|(other, _)| other != link);
        for node in facts.nodes.all.iter().filter(lacks) {
            let message = format!(
                "{} has no `ring{link}_addr`, which others have; corosync refuses the file; give \
                 every node an address on every link",
                node.called()
            );
            report.refuses(&LINKS_UNEVEN, node.line, message);
        }
    }
    if !report.is_refused() {
        let message = "not every node has the same number of addresses on every link; corosync \
                       refuses the file; write each `ringN_addr` once"
            .to_owned();
        report.refuses(&LINKS_UNEVEN, facts.nodelist_line, message);
    }
}

fn judge_families(facts: &Facts<'_, '_>, report: &mut Report) {
    let mut first: BTreeMap<u32, (bool, &[u8])> = BTreeMap::new();
    let addresses = facts.nodes.all.iter().flat_map(|node| &node.addresses);
    for (link, address) in addresses {
        let host = Host::read(address.text).under(facts.ip_version);
        let Some(host @ (Host::V4(_) | Host::V6(_))) = host else { continue };
        let (is_v6, other) = *first.entry(*link).or_insert((host.is_v6(), address.text));
        if is_v6 != host.is_v6() {
            let message = format!(
                "{} and {} on link {link} are of different IP families; corosync refuses the file; \
                 use one family on a link",
                quoted(address.text),
                quoted(other)
            );
            report.refuses(&FAMILIES_MIXED, Some(address.line), message);
        }
    }
}

pub(in super::super) fn judge_repeated_addresses(facts: &Facts<'_, '_>, report: &mut Report) {
    let mut seen: BTreeMap<&[u8], (u32, u32)> = BTreeMap::new();
    for node in &facts.nodes.all {
        for (link, address) in &node.addresses {
            let Some((place, other)) = seen.insert(address.text, (node.place, *link)) else {
                continue;
            };
            let what = format!("{} of {} on link {link}", quoted(address.text), node.called());
            if place == node.place {
                let message = format!(
                    "{what} is its address on link {other} as well: one broken network takes both; \
                     give each link its own network"
                );
                report.advises(&LINKS_SHARE_ADDRESS, Some(address.line), message);
            } else {
                let message = format!(
                    "{what} is an address of the {}. node as well; corosync takes that and one of \
                     the two is never reached; give every node its own",
                    place + 1
                );
                report.breaks(&ADDRESS_TWICE, Some(address.line), message);
            }
        }
    }
}

/// An `interface` section of a link that corosync has no room for.
pub(super) fn link_too_high(link: u32, opened_at: Option<usize>, report: &mut Report) {
    let message = format!(
        "an `interface` section of link {link}, above 7, the highest that corosync has; it does \
         not start; use 0 to 7"
    );
    report.refuses(&LINK_TOO_HIGH, opened_at, message);
}
