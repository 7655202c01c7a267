//! The rules for transports and `interface` sections.
//!
//! Owns what corosync 3 refuses of them: what only knet or only multicast can do, ports, multicast
//! addresses, more links than the transport has.

use super::nodes::{Host, IpVersion, LINKS};
use super::{Facts, Transport, quoted};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

const VALIDATE: &str =
    "exec/totemconfig.c:totem_config_validate of 3.1.7; measured with `corosync -t`";

static ONE_LINK_ONLY: Code = Code {
    name: "one-link-only",
    title: "udp and udpu have one link",
    explanation: "corosync says `N is too many configured interfaces for non-Knet transport.` The \
                  redundant rings of corosync 2 are gone: several links need knet.",
    source: "measured on corosync 3.1.7",
};
static KNET_ONLY_OPTION: Code = Code {
    name: "knet-only-option",
    title: "A link priority without knet",
    explanation: "corosync says `Can only set link priority on knet transport type for interface \
                  N`.",
    source: VALIDATE,
};
static MULTICAST_ONLY_OPTION: Code = Code {
    name: "multicast-only-option",
    title: "A `ttl` without multicast",
    explanation: "corosync says `Can only set ttl on multicast transport types for interface N`. \
                  Only udp sends multicast; knet and udpu take no `ttl` other than 1.",
    source: VALIDATE,
};
static PORT_MISSING: Code = Code {
    name: "port-missing",
    title: "A link's port is 0",
    explanation: "corosync says `No multicast port specified for interface N` when the node has no \
                  address on that link. Where it has, 0 stands for the default, 5405 plus the \
                  link's number.",
    source: VALIDATE,
};
static MULTICAST_ADDRESS: Code = Code {
    name: "multicast-address",
    title: "The multicast address is missing or is none",
    explanation: "With udp corosync says `No multicast address specified for interface N` (no \
                  `mcastaddr` and no `cluster_name` to make one of), `mcastaddr is not a correct \
                  multicast address`, or `Multicast address family does not match bind address \
                  family`. With every transport it says `failed to parse mcast address` for a text \
                  that is no address.",
    source: VALIDATE,
};
static BINDNETADDR_UNUSABLE: Code = Code {
    name: "bindnetaddr-unusable",
    title: "A `bindnetaddr` is no address",
    explanation: "corosync says `failed to parse bindnet address 'A'` and does not start, although \
                  it takes the node's own address of the nodelist wherever there is one.",
    source: VALIDATE,
};
static ZERO_PRIORITY: Code = Code {
    name: "zero-priority",
    title: "Priority 0 is priority 1",
    explanation: "The link with the higher number is preferred; corosync makes 1 of 0, so 0 does \
                  not put a link behind one of priority 1, nor behind one without. Proxmox VE \
                  drops it.",
    source: "measured on corosync 3.1.7; src/PVE/Corosync.pm of pve-cluster 9.1.6",
};

pub(super) static CODES: &[&Code] = &[
    &ONE_LINK_ONLY,
    &KNET_ONLY_OPTION,
    &MULTICAST_ONLY_OPTION,
    &PORT_MISSING,
    &MULTICAST_ADDRESS,
    &BINDNETADDR_UNUSABLE,
    &ZERO_PRIORITY,
];

pub(super) fn judge(facts: &Facts<'_, '_>, report: &mut Report) {
    let links = facts.links();
    if facts.transport != Transport::Knet && links.len() > 1 {
        let message = format!(
            "{} links, but transport {} has one; corosync does not start; use knet, or one link",
            links.len(),
            facts.transport.name()
        );
        report.refuses(&ONE_LINK_ONLY, facts.stored.line("totem.transport"), message);
    }
    for link in links {
        if link >= LINKS {
            if !facts.nodes.links().contains_key(&link) {
                super::nodelist::link_too_high(link, facts.interface_line(link), report);
            }
            continue;
        }
        judge_options(link, facts, report);
        judge_addresses(link, facts, report);
        if facts.transport == Transport::Udp && !uses_broadcast(facts) {
            judge_multicast(link, facts, report);
        }
    }
}

fn option(link: u32, name: &str) -> String {
    format!("totem.interface.{link}.{name}")
}

fn judge_options(link: u32, facts: &Facts<'_, '_>, report: &mut Report) {
    let number = |name: &str| {
        let name = option(link, name);
        Some((facts.stored.number(&name)?, facts.stored.line(&name)))
    };
    let ttl = number("ttl").filter(|(ttl, _)| *ttl != 1);
    if let Some((ttl, at)) = ttl.filter(|_| facts.transport != Transport::Udp) {
        let message = format!(
            "`ttl: {ttl}` on link {link}, but only transport udp has a ttl; corosync does not \
             start; take it out"
        );
        report.refuses(&MULTICAST_ONLY_OPTION, at, message);
    }
    match number("knet_link_priority") {
        Some((0, at)) => {
            let message = format!(
                "priority 0 of link {link} is 1 to corosync; to put the link behind others, raise \
                 theirs"
            );
            report.misreads(&ZERO_PRIORITY, at, message);
        }
        Some((priority, at)) if priority != 1 && facts.transport != Transport::Knet => {
            let message = format!(
                "priority {priority} of link {link}, but transport {} has no priorities; corosync \
                 does not start; take it out",
                facts.transport.name()
            );
            report.refuses(&KNET_ONLY_OPTION, at, message);
        }
        Some(_) | None => {}
    }
    if let Some((0, at)) = number("mcastport").filter(|_| !facts.nodes.links().contains_key(&link))
    {
        let message = format!(
            "port 0 on link {link}, on which no node has an address; corosync does not start; take \
             the section out"
        );
        report.refuses(&PORT_MISSING, at, message);
    }
}

fn judge_addresses(link: u32, facts: &Facts<'_, '_>, report: &mut Report) {
    // The node's own address replaces it wherever the nodelist has the link.
    if !facts.nodes.links().contains_key(&link) {
        unusable(link, "bindnetaddr", &BINDNETADDR_UNUSABLE, (facts, report));
    }
    unusable(link, "mcastaddr", &MULTICAST_ADDRESS, (facts, report));
}

fn unusable(
    link: u32,
    name: &str,
    code: &'static Code,
    (facts, report): (&Facts<'_, '_>, &mut Report),
) {
    let Some(entry) = facts.stored.get(&option(link, name)) else { return };
    if Host::read(entry.text).under(facts.ip_version).is_none() {
        let message = format!(
            "`{name}` of link {link} is {}, no address that corosync can use; it does not start; \
             write an address or take the key out",
            quoted(entry.text)
        );
        report.refuses(code, Some(entry.line), message);
    }
}

fn uses_broadcast(facts: &Facts<'_, '_>) -> bool {
    (0..LINKS).any(|link| facts.stored.text(&option(link, "broadcast")) == Some(b"yes"))
}

fn judge_multicast(link: u32, facts: &Facts<'_, '_>, report: &mut Report) {
    let Some(entry) = facts.stored.get(&option(link, "mcastaddr")) else {
        if facts.stored.text("totem.cluster_name").is_none() {
            let message = format!(
                "transport udp without `mcastaddr` for link {link} and without `cluster_name` to \
                 make one of; corosync does not start; write the cluster's name"
            );
            report.refuses(&MULTICAST_ADDRESS, facts.stored.line("totem.transport"), message);
        }
        return;
    };
    let host = Host::read(entry.text).under(facts.ip_version);
    let wrong = match host {
        Some(Host::V4(address)) if !address.is_multicast() => "no multicast address",
        Some(Host::V6(address)) if !address.is_multicast() => "no multicast address",
        Some(Host::V4(_)) if facts.is_link_v6(link) == Some(true) => {
            "of another family than the nodes"
        }
        Some(Host::V6(_)) if facts.is_link_v6(link) == Some(false) => {
            "of another family than the nodes"
        }
        Some(Host::V4(_) | Host::V6(_) | Host::Name | Host::Impossible) | None => return,
    };
    let message = format!(
        "`mcastaddr` of link {link} is {}, {wrong}; corosync does not start; take it out, corosync \
         makes one of the cluster's name",
        quoted(entry.text)
    );
    report.refuses(&MULTICAST_ADDRESS, Some(entry.line), message);
}

/// What `totem.ip_version` and the transport allow.
pub(super) fn ip_version(written: Option<&[u8]>, transport: Transport) -> IpVersion {
    match written {
        Some(b"ipv4") => IpVersion::Only4,
        Some(b"ipv6") => IpVersion::Only6,
        Some(b"ipv4-6" | b"ipv6-4") => IpVersion::Both,
        Some(_) | None if transport == Transport::Udp => IpVersion::Only4,
        Some(_) | None => IpVersion::Both,
    }
}
