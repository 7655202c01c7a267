//! corosync 2.4 as a reader: the cluster engine of Proxmox VE 4 and 5.
//!
//! Owns what differs from corosync 3: rings of `interface` sections, multicast, encryption by
//! default, lines that are passed over instead of refused. What both do alike is judged by the same
//! rules as for corosync 3. All of it was read in the source of 2.4.6 and in the guides (pve.md 2.4,
//! 9, 10.10); none was measured: Debian 12 has no corosync 2.

use std::collections::BTreeSet;

use super::corosync3::dialect::Dialect;
use super::corosync3::nodes::{Host, IpVersion, Node, interface_links};
use super::corosync3::stored::Stored;
use super::corosync3::{Facts, Transport, nodelist, quorum, text, timers, values};
use super::report::{Report, quoted};
use super::{Code, Finding, Reader, syntax};
use crate::conf::{Document, Problem, ProblemKind};

const CONFIG: &str = "exec/totemconfig.c of 2.4.6, read, not measured";

static LINE_PASSED_OVER: Code = Code {
    name: "line-passed-over",
    title: "corosync 2 passes over what corosync 3 refuses",
    explanation: "corosync 2.4 cuts a line after 511 bytes and reads the rest as the next one, \
                  drops text behind `{` and beside `}`, ignores lines that are no statement and \
                  keys that it cannot store. corosync 3 refuses all of that, so such a file ends \
                  an upgrade.",
    source: "exec/coroparse.c of 2.4.6, read, not measured",
};
static TRANSPORT_IS_UDP: Code = Code {
    name: "transport-is-udp",
    title: "An unknown transport is multicast to corosync 2",
    explanation: "corosync 2 knows `udpu` and `iba`; every other word, `knet` too, is udp with \
                  multicast, without a message.",
    source: CONFIG,
};
static NO_RINGS: Code = Code {
    name: "no-rings",
    title: "There is neither a nodelist nor a `bindnetaddr`",
    explanation: "corosync says `No interfaces defined`. It takes its rings from the `bindnetaddr` \
                  of the interface sections, or, from 2.4.4 on, from the nodelist entry with an \
                  address of this host.",
    source: CONFIG,
};
static RING_TOO_HIGH: Code = Code {
    name: "ring-too-high",
    title: "A ring's number is above 1",
    explanation: "corosync 2 says `interface ring number N is bigger than allowed maximum 1`: it \
                  has rings 0 and 1.",
    source: CONFIG,
};
static RING0_MISSING: Code = Code {
    name: "ring0-missing",
    title: "A node has no `ring0_addr`",
    explanation: "corosync 2 says `No ring0_addr specified for node` and refuses the file.",
    source: "exec/coroparse.c of 2.4.6, read, not measured",
};
static RRP_MODE_NEEDED: Code = Code {
    name: "rrp-mode-needed",
    title: "Two rings without `rrp_mode`",
    explanation: "corosync 2 says `2 is too many configured interfaces for the rrp_mode setting \
                  none.` Two rings need `rrp_mode: passive`; `active` is experimental.",
    source: "exec/totemconfig.c of 2.4.6, read, not measured",
};
static RRP_MODE_UNKNOWN: Code = Code {
    name: "rrp-mode-unknown",
    title: "`rrp_mode` is none of none, passive and active",
    explanation: "corosync 2 says `The RRP mode \"X\" specified is invalid.` and does not start.",
    source: CONFIG,
};
static RRP_ACTIVE: Code = Code {
    name: "rrp-active",
    title: "`rrp_mode: active` is experimental",
    explanation: "The guides call it highly experimental and unsupported; passive is preferred.",
    source: "corosync.conf(5) of 2.4.6",
};
static RING_OPTION: Code = Code {
    name: "ring-option",
    title: "An option of a ring does not fit",
    explanation: "corosync 2 says `Can only set ttl on multicast transport types`, `No multicast \
                  port specified`, `No multicast address specified`, `mcastaddr is not a correct \
                  multicast address.`, `Not all bind address belong to the same IP family` or \
                  `Interfaces multicast address/port pair must differ`: ring N uses the port and \
                  the one below it.",
    source: CONFIG,
};
static RING_ADDRESS_DROPPED: Code = Code {
    name: "ring-address-dropped",
    title: "A node's address is passed over",
    explanation: "corosync 2 leaves out an address that it cannot parse or that is not of the \
                  family of `ip_version` (ipv4 unless written): the node is then never reached, \
                  without a message.",
    source: CONFIG,
};
static HASH_MISSING_2: Code = Code {
    name: "hash-none",
    title: "`crypto_hash: none` with a cipher",
    explanation: "corosync says `crypto_cipher requires crypto_hash with value other than none`. \
                  In corosync 2 the cipher is aes256 unless `secauth: off` or `crypto_cipher: \
                  none` says otherwise.",
    source: CONFIG,
};
static SECAUTH_OFF: Code = Code {
    name: "secauth-off",
    title: "The cluster's traffic is in the clear",
    explanation: "corosync 2 encrypts with aes256 and sha1 unless the file says `secauth: off` or \
                  `crypto_cipher: none`.",
    source: "exec/totemconfig.c of 2.4.6, read, not measured",
};

/// The codes that only this reader has.
pub(super) static CODES: &[&Code] = &[
    &LINE_PASSED_OVER,
    &TRANSPORT_IS_UDP,
    &NO_RINGS,
    &RING_TOO_HIGH,
    &RING0_MISSING,
    &RRP_MODE_NEEDED,
    &RRP_MODE_UNKNOWN,
    &RRP_ACTIVE,
    &RING_OPTION,
    &RING_ADDRESS_DROPPED,
    &HASH_MISSING_2,
    &SECAUTH_OFF,
];

/// The number of rings that corosync 2 has room for.
const RINGS: u32 = 2;

/// What corosync 2 makes of a file.
pub(super) fn findings(document: &Document) -> Vec<Finding> {
    let mut report = Report::new(Reader::Corosync2);
    syntax::judge_some(document, &mut report, stops);
    if report.is_refused() {
        return report.into_findings();
    }
    for problem in document.problems() {
        let message = format!(
            "{}; corosync 2 passes over it, corosync 3 refuses the file; correct the line",
            problem.kind
        );
        report.misreads(&LINE_PASSED_OVER, Some(problem.line), message);
    }
    let stored = Stored::read(document, Dialect::Two, &mut report);
    let facts = Facts::read(document, Dialect::Two, &stored);
    values::judge_version(&stored, &mut report);
    judge_transport(&facts, &mut report);
    judge_nodes(&facts, &mut report);
    judge_rings(&facts, &mut report);
    judge_crypto(&facts, &mut report);
    timers::judge(&facts, &mut report);
    quorum::judge(&facts, &mut report);
    text::judge(document, &facts, &mut report);
    report.into_findings()
}

/// What stops corosync 2 as well.
fn stops(problem: &Problem) -> bool {
    match problem.kind {
        ProblemKind::UnexpectedClosing
        | ProblemKind::MissingClosing { .. }
        | ProblemKind::PathTooLong => true,
        ProblemKind::TooLong
        | ProblemKind::NoSectionName
        | ProblemKind::TextAfterOpening
        | ProblemKind::TextBesideClosing
        | ProblemKind::BadKey
        | ProblemKind::Neither => false,
    }
}

fn judge_transport(facts: &Facts<'_, '_>, report: &mut Report) {
    let Some(word) = facts.stored.get("totem.transport") else { return };
    if !matches!(word.text, b"udp" | b"udpu" | b"iba") {
        let message = format!(
            "`transport` is {}, which corosync 2 takes for udp with multicast; write udpu, or run \
             corosync 3 for knet",
            quoted(word.text)
        );
        report.misreads(&TRANSPORT_IS_UDP, Some(word.line), message);
    }
}

fn judge_nodes(facts: &Facts<'_, '_>, report: &mut Report) {
    for node in &facts.nodes.all {
        if node.addresses.iter().all(|(ring, _)| *ring != 0) {
            let message = format!(
                "{} has no `ring0_addr`; corosync 2 refuses the file; write its address on ring 0",
                node.called()
            );
            report.refuses(&RING0_MISSING, node.line, message);
        }
        judge_addresses(node, facts.ip_version, report);
    }
    nodelist::judge_ids(facts, report);
    nodelist::judge_repeated_addresses(facts, report);
}

fn judge_addresses(node: &Node<'_>, version: IpVersion, report: &mut Report) {
    for (ring, address) in &node.addresses {
        if *ring >= RINGS {
            let message = format!(
                "ring {ring} of {} is above 1, the highest that corosync 2 has; it does not start; \
                 use ring 0 and 1",
                node.called()
            );
            report.refuses(&RING_TOO_HIGH, Some(address.line), message);
        } else if Host::read(address.text).under(version).is_none() {
            let message = format!(
                "{} of {} is no address that corosync 2 can use here; it leaves it out and never \
                 reaches the node; write an address of the family of `ip_version`",
                quoted(address.text),
                node.called()
            );
            report.breaks(&RING_ADDRESS_DROPPED, Some(address.line), message);
        }
    }
}

fn judge_rings(facts: &Facts<'_, '_>, report: &mut Report) {
    let rings = rings(facts);
    if rings.is_empty() {
        let message = "neither a node's `ring0_addr` nor an interface's `bindnetaddr`; corosync 2 \
                       does not start; write one of them"
            .to_owned();
        report.refuses(&NO_RINGS, facts.nodelist_line, message);
    }
    judge_rrp_mode(rings.len(), facts, report);
    for ring in &rings {
        if *ring >= RINGS && !facts.nodes.links().contains_key(ring) {
            let message = format!(
                "an `interface` section of ring {ring}, above 1, the highest that corosync 2 has; \
                 it does not start; use ring 0 and 1"
            );
            report.refuses(&RING_TOO_HIGH, facts.interface_line(*ring), message);
        }
        judge_options(*ring, facts, report);
    }
    judge_pair(facts, report);
}

/// The rings with a `bindnetaddr`, written or from the nodelist.
fn rings(facts: &Facts<'_, '_>) -> BTreeSet<u32> {
    interface_links(facts.stored, true).into_iter().chain(facts.nodes.links().into_keys()).collect()
}

fn judge_rrp_mode(rings: usize, facts: &Facts<'_, '_>, report: &mut Report) {
    let mode = facts.stored.get("totem.rrp_mode");
    let line = mode.map(|mode| mode.line);
    match mode.map_or(b"none".as_slice(), |mode| mode.text) {
        b"none" if rings > 1 => {
            let message = format!(
                "{rings} rings, but `rrp_mode` is none; corosync 2 does not start; write \
                 `rrp_mode: passive`"
            );
            report.refuses(&RRP_MODE_NEEDED, line.or(facts.interface_line(1)), message);
        }
        b"active" => {
            let message = "`rrp_mode: active` is experimental; write passive".to_owned();
            report.advises(&RRP_ACTIVE, line, message);
        }
        b"none" | b"passive" => {}
        other => {
            let message = format!(
                "`rrp_mode` is {}; corosync 2 does not start; write none, passive or active",
                quoted(other)
            );
            report.refuses(&RRP_MODE_UNKNOWN, line, message);
        }
    }
}

fn option(ring: u32, name: &str) -> String {
    format!("totem.interface.{ring}.{name}")
}

fn judge_options(ring: u32, facts: &Facts<'_, '_>, report: &mut Report) {
    let is_udp =
        facts.transport == Transport::Udp && facts.stored.text("totem.transport") != Some(b"iba");
    let mut refuse = |name: &str, what: String| {
        let line = facts.stored.line(&option(ring, name)).or(facts.interface_line(ring));
        report.refuses(
            &RING_OPTION,
            line,
            format!("{what} on ring {ring}; corosync 2 does not start; take it out or correct it"),
        );
    };
    let number = |name: &str| facts.stored.number(&option(ring, name));
    if let Some(ttl) = number("ttl").filter(|ttl| *ttl != 1 && !is_udp) {
        refuse("ttl", format!("`ttl: {ttl}` without multicast"));
    }
    if number("mcastport") == Some(0) {
        refuse("mcastport", "port 0".to_owned());
    }
    let address = facts.stored.text(&option(ring, "mcastaddr"));
    match address.and_then(|address| Host::read(address).under(facts.ip_version)) {
        _ if !is_udp => {}
        Some(Host::V4(host)) if !host.is_multicast() => {
            refuse("mcastaddr", format!("{host}, no multicast address,"));
        }
        Some(Host::V6(host)) if !host.is_multicast() => {
            refuse("mcastaddr", format!("{host}, no multicast address,"));
        }
        None if address.is_none() && facts.stored.text("totem.cluster_name").is_none() => {
            refuse("mcastaddr", "no `mcastaddr`, and no `cluster_name` to make one of,".to_owned());
        }
        Some(_) | None => {}
    }
}

/// Two rings of one multicast address need ports that are 2 apart.
fn judge_pair(facts: &Facts<'_, '_>, report: &mut Report) {
    let address = |ring: u32| facts.stored.text(&option(ring, "mcastaddr"));
    let port = |ring: u32| facts.stored.number(&option(ring, "mcastport")).unwrap_or(5405);
    let is_pair = rings(facts).len() == 2 && facts.transport == Transport::Udp;
    if is_pair && address(0).is_some() && address(0) == address(1) && (port(0) - port(1)).abs() <= 1
    {
        let message = format!(
            "both rings use {} and ports {} and {}; corosync 2 does not start; give each its own \
             address, or ports 2 apart",
            quoted(address(0).unwrap_or_default()),
            port(0),
            port(1)
        );
        report.refuses(&RING_OPTION, facts.stored.line(&option(1, "mcastaddr")), message);
    }
}

fn judge_crypto(facts: &Facts<'_, '_>, report: &mut Report) {
    let stored = facts.stored;
    let is_on = stored.text("totem.secauth") != Some(b"off");
    let effective = |name: &str| stored.get(name).map_or(is_on, |entry| entry.text != b"none");
    let (cipher, hash) = (effective("totem.crypto_cipher"), effective("totem.crypto_hash"));
    if cipher && !hash {
        let line = stored.line("totem.crypto_hash").or(stored.line("totem.crypto_cipher"));
        let message = "a cipher without a hash; corosync 2 does not start; write `crypto_hash: \
                       sha1` or stronger"
            .to_owned();
        report.refuses(&HASH_MISSING_2, line, message);
    }
    if !cipher {
        let line = stored.line("totem.crypto_cipher").or(stored.line("totem.secauth"));
        let message =
            "traffic is not encrypted; anybody in the network can take part; write `secauth: on`"
                .to_owned();
        report.advises(&SECAUTH_OFF, line, message);
    }
}
