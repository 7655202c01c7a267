//! corosync 3 as a reader: everything at which 3.1.7 refuses a file, and what it takes but reads
//! otherwise or is harmed by.
//!
//! Owns the judgement of the text. What `corosync -t` asks the host (its addresses and names, the
//! key file, log files, users) is not in the text and not judged; that it agrees on all else is
//! measured (`operator/core/tests/verdicts.rs`). Where 3.1.10 differs, the code's page says so.

mod crypto;
pub(super) mod dialect;
mod freed;
mod links;
pub(super) mod nodelist;
pub(super) mod nodes;
pub(super) mod quorum;
pub(super) mod stored;
pub(super) mod text;
pub(super) mod timers;
pub(super) mod values;

use std::collections::BTreeSet;

use self::dialect::Dialect;
use self::nodes::{Host, IpVersion, Nodes};
use self::stored::Stored;
use super::report::{Report, quoted};
use super::{Code, Finding, Reader, syntax};
use crate::conf::{Document, SectionPath};

/// Every code of this reader.
pub(super) fn codes() -> impl Iterator<Item = &'static Code> {
    let all =
        [stored::CODES, freed::CODES, values::CODES, nodelist::CODES, links::CODES, crypto::CODES];
    let more = [timers::CODES, quorum::CODES, text::CODES];
    all.into_iter().chain(more).flatten().copied()
}

/// What corosync 3 makes of a file. A file that it cannot parse is judged no further: with a brace
/// missing every other finding would be noise.
pub(super) fn findings(document: &Document) -> Vec<Finding> {
    let mut report = Report::new(Reader::Corosync3);
    syntax::judge(document, &mut report);
    if let Some(first) = document.problems().first() {
        let mut walked = Report::new(Reader::Corosync3);
        Stored::read(document, Dialect::Three, &mut walked);
        let before = |found: &Finding| found.line.is_some_and(|line| line < first.line);
        let aborts = walked.into_findings().into_iter();
        let aborts = aborts.filter(|found| stored::is_abort(found.code) && before(found));
        return report.into_findings().into_iter().chain(aborts).collect();
    }
    let stored = Stored::read(document, Dialect::Three, &mut report);
    let facts = Facts::read(document, Dialect::Three, &stored);
    values::judge(&stored, &mut report);
    nodelist::judge(&facts, &mut report);
    links::judge(&facts, &mut report);
    crypto::judge(&facts, &mut report);
    timers::judge(&facts, &mut report);
    quorum::judge(&facts, &mut report);
    text::judge(document, &facts, &mut report);
    report.into_findings()
}

/// How nodes talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Knet,
    Udp,
    Udpu,
}

impl Transport {
    /// corosync 2 takes every other word for udp; of one that corosync 3 refuses, knet is judged.
    const fn read(word: Option<&[u8]>, dialect: Dialect) -> Self {
        match (word, dialect) {
            (Some(b"udpu"), _) => Self::Udpu,
            (Some(b"udp"), _) | (_, Dialect::Two) => Self::Udp,
            (_, Dialect::Three) => Self::Knet,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Knet => "knet",
            Self::Udp => "udp",
            Self::Udpu => "udpu",
        }
    }
}

/// What several rules ask of the file.
pub(super) struct Facts<'a, 's> {
    pub(super) dialect: Dialect,
    pub(super) stored: &'s Stored<'a>,
    pub(super) nodes: Nodes<'a>,
    pub(super) transport: Transport,
    pub(super) ip_version: IpVersion,
    pub(super) nodelist_line: Option<usize>,
    pub(super) device_line: Option<usize>,
    /// The lines of the `interface` sections with the links that they name.
    interface_lines: Vec<(u32, usize)>,
}

impl<'a, 's> Facts<'a, 's> {
    pub(super) fn read(document: &Document, dialect: Dialect, stored: &'s Stored<'a>) -> Self {
        let transport = Transport::read(stored.text("totem.transport"), dialect);
        let line = |path: &SectionPath| document.section(path).map(|section| section.line());
        Self {
            dialect,
            stored,
            nodes: Nodes::read(stored),
            transport,
            ip_version: links::ip_version(stored.text("totem.ip_version"), transport),
            nodelist_line: line(&SectionPath::top("nodelist")),
            device_line: line(&SectionPath::top("quorum").child("device", 0)),
            interface_lines: interface_lines(document, dialect.link_key()),
        }
    }

    /// The links that corosync configures: those with addresses and those of interface sections.
    pub(super) fn links(&self) -> BTreeSet<u32> {
        let of_nodes = self.nodes.links().into_keys();
        let of_interfaces = nodes::interface_links(self.stored, self.transport == Transport::Udp);
        of_nodes.chain(of_interfaces).collect()
    }

    pub(super) fn members_of_link_0(&self) -> u32 {
        let members = self.nodes.links().get(&0).copied().unwrap_or(0);
        u32::try_from(members).unwrap_or(u32::MAX)
    }

    pub(super) fn interface_line(&self, link: u32) -> Option<usize> {
        self.interface_lines.iter().find(|(of, _)| *of == link).map(|(_, line)| *line)
    }

    /// Whether the addresses of a link are IPv6; `None`: they are names, or there are none.
    pub(super) fn is_link_v6(&self, link: u32) -> Option<bool> {
        let all = self.nodes.all.iter().flat_map(|node| &node.addresses);
        let mut hosts = all.filter(|(of, _)| *of == link).map(|(_, entry)| Host::read(entry.text));
        hosts.find(|host| matches!(host, Host::V4(_) | Host::V6(_))).map(Host::is_v6)
    }
}

fn interface_lines(document: &Document, key: &str) -> Vec<(u32, usize)> {
    let totems: Vec<_> = document.root().sections("totem").collect();
    let sections = totems.iter().flat_map(|totem| totem.sections("interface"));
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    sections
        .map(|section| {
            let link = section.value(key).and_then(|value| number(value.bytes));
            (link.unwrap_or(0), section.line())
        })
        .collect()
}
