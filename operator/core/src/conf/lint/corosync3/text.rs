//! What stands in the text and does not reach corosync 3 as a person reads it.
//!
//! Owns the walk over the document itself: comments in values, repeated keys and sections, names
//! that nobody reads, leftovers of corosync 2.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::{Facts, Transport, quoted};
use crate::conf::document::{Document, SectionView, Value};
use crate::conf::keys::{self, Kind, Standing};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

const PARSER: &str = "measured on corosync 3.1.7";

static COMMENT_IN_VALUE: Code = Code {
    name: "comment-in-value",
    title: "A comment behind a value is part of it",
    explanation: "For corosync only a line that begins with `#` is a comment. `secauth: on # x` is \
                  the value `on # x`, which is not `on`: the cluster runs unencrypted, while \
                  Proxmox VE, which strips the comment, shows it encrypted. Put comments on lines \
                  of their own.",
    source: "measured on corosync 3.1.7",
};
static KEY_TWICE: Code = Code {
    name: "key-twice",
    title: "A key stands twice in a section",
    explanation: "The last one counts, for corosync and for Proxmox VE. pmxcfs compares the first \
                  `config_version`.",
    source: PARSER,
};
static SECTION_TWICE: Code = Code {
    name: "section-twice",
    title: "A section stands twice",
    explanation: "corosync merges sections of one name, later keys win. Proxmox VE refuses every \
                  file in which another section than `node` and `interface` is repeated.",
    source: PARSER,
};
static NODELIST_TWICE: Code = Code {
    name: "nodelist-twice",
    title: "A second nodelist overwrites the first",
    explanation: "corosync numbers the nodes of a second `nodelist` from 0 again: its first node \
                  takes the place, and the keys, of the first list's first node. Nodes are lost or \
                  mixed without a message.",
    source: "measured on corosync 3.1.7",
};
static INTERFACE_TWICE: Code = Code {
    name: "interface-twice",
    title: "Two interface sections speak of one link",
    explanation: "Their keys are merged, the last wins. Sections with a `ringnumber`, or without \
                  `linknumber`, all speak of link 0.",
    source: "measured on corosync 3.1.7",
};
static INTERFACE_WITHOUT_LINK: Code = Code {
    name: "interface-without-link",
    title: "An interface section does not say for which link it is",
    explanation: "corosync 3 takes it for link 0. Proxmox VE keeps it under an empty name.",
    source: "measured on corosync 3.1.7; src/PVE/Corosync.pm (parse_conf)",
};
static RINGNUMBER_IGNORED: Code = Code {
    name: "ringnumber-ignored",
    title: "`ringnumber` is not read as `linknumber`",
    explanation: "corosync 3 does not know `ringnumber`: every such interface section is one of \
                  link 0, and what was meant for ring 1 lands there. Proxmox VE shows it under \
                  ring 1.",
    source: "measured on corosync 3.1.7",
};
static LINK_ADDR_IGNORED: Code = Code {
    name: "link-addr-ignored",
    title: "`linkN_addr` is no address to corosync",
    explanation: "Proxmox VE takes `linkN_addr` for `ringN_addr`; corosync stores it and does not \
                  look at it.",
    source: "src/PVE/Corosync.pm of pve-cluster 9.1.6; exec/totemconfig.c of 3.1.7",
};
static UNKNOWN_KEY: Code = Code {
    name: "unknown-key",
    title: "A key that corosync does not know",
    explanation: "corosync stores any key and says nothing. A misspelt one leaves the default in \
                  force: `tokn: 10000` changes nothing.",
    source: "measured on corosync 3.1.7",
};
static UNKNOWN_SECTION: Code = Code {
    name: "unknown-section",
    title: "A section that corosync does not know",
    explanation: "corosync stores what is in it, looks at none of it and says nothing. A misspelt \
                  name leaves the defaults in force.",
    source: "measured on corosync 3.1.7",
};
static STRAY_KEY: Code = Code {
    name: "stray-key",
    title: "A key outside of every section",
    explanation: "corosync stores it under its bare name, where nobody looks. Perhaps a brace \
                  closed the section too early.",
    source: "measured on corosync 3.1.7",
};
static LEFTOVER: Code = Code {
    name: "leftover",
    title: "A key of corosync 2, or of another transport",
    explanation: "corosync 3 ignores `rrp_mode` and its group, `vsftype` and `totem.nodeid`; with \
                  knet it takes the nodelist's address in place of `bindnetaddr` and ignores \
                  `mcastaddr` and `broadcast`. It logs `Please migrate config file to nodelist.` \
                  for some of them.",
    source: "measured on corosync 3.1.7",
};
static NOT_IN_COROSYNC_2: Code = Code {
    name: "not-in-corosync-2",
    title: "A key that corosync 2 does not know",
    explanation: "corosync 2 stores it and nobody reads it: `linknumber` leaves a section on ring \
                  0, the knet keys have no effect.",
    source: "exec/coroparse.c of 2.4.6, read, not measured",
};
static VERSION_UNCHECKED: Code = Code {
    name: "version-unchecked",
    title: "No `config_version`, or 0",
    explanation: "0 turns off the check that keeps a node with a stale file out of the cluster, \
                  and pmxcfs spreads no file without a version.",
    source: "measured on corosync 3.1.7; pmxcfs (dcdb.c) of pve-cluster 9.1.6",
};
static CLUSTER_NAMELESS: Code = Code {
    name: "cluster-nameless",
    title: "No `cluster_name`",
    explanation: "corosync 3 with knet takes that. Proxmox VE, corosync-qdevice and multicast need \
                  the name.",
    source: "measured on corosync 3.1.7",
};

pub(in super::super) static CODES: &[&Code] = &[
    &COMMENT_IN_VALUE,
    &KEY_TWICE,
    &SECTION_TWICE,
    &NODELIST_TWICE,
    &INTERFACE_TWICE,
    &INTERFACE_WITHOUT_LINK,
    &RINGNUMBER_IGNORED,
    &LINK_ADDR_IGNORED,
    &UNKNOWN_KEY,
    &UNKNOWN_SECTION,
    &STRAY_KEY,
    &LEFTOVER,
    &NOT_IN_COROSYNC_2,
    &VERSION_UNCHECKED,
    &CLUSTER_NAMELESS,
];

pub(in super::super) fn judge(document: &Document, facts: &Facts<'_, '_>, report: &mut Report) {
    for (_, value) in document.root().keys() {
        let message = "a key outside of every section; nobody reads it; move it into its section, \
                       or take it out"
            .to_owned();
        report.misreads(&STRAY_KEY, Some(value.line), message);
    }
    let mut walk = Walk { facts, report };
    walk.sections(&document.root(), "");
    judge_missing(facts, report);
}

fn judge_missing(facts: &Facts<'_, '_>, report: &mut Report) {
    let version = facts.stored.get("totem.config_version");
    if !version.is_some_and(|entry| entry.faulty || entry.number.is_some_and(|number| number != 0))
    {
        let message = "without a `config_version` above 0 corosync does not notice a node that \
                       comes with a stale file; write one, and raise it with every \
                       change"
            .to_owned();
        report.advises(&VERSION_UNCHECKED, version.map(|entry| entry.line), message);
    }
    if facts.stored.text("totem.cluster_name").is_none_or(<[u8]>::is_empty) {
        let message = "no `cluster_name`; corosync takes that, Proxmox VE and corosync-qdevice do \
                       not; write one"
            .to_owned();
        report.advises(&CLUSTER_NAMELESS, facts.stored.line("totem.cluster_name"), message);
    }
}

/// `logging_daemon` is not in the table of keys: no manual page has it any more.
fn is_known(path: &str, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Two => path == "qb" || (path != "system" && keys::is_section(path)),
        Dialect::Three => path == "logging.logging_daemon" || keys::is_section(path),
    }
}

struct Walk<'f, 'a, 's, 'r> {
    facts: &'f Facts<'a, 's>,
    report: &'r mut Report,
}

impl Walk<'_, '_, '_, '_> {
    /// The sections directly inside, each with all that is in it.
    fn sections(&mut self, parent: &SectionView<'_>, path: &str) {
        self.repeated(parent, path);
        for section in parent.all_sections() {
            let name = String::from_utf8_lossy(section.name());
            let path = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
            if !is_known(&path, self.facts.dialect) {
                let message = format!(
                    "section {} is unknown; nobody reads what is in it; correct its name, or take \
                     it out",
                    quoted(section.name())
                );
                self.report.misreads(&UNKNOWN_SECTION, Some(section.line()), message);
                continue;
            }
            self.keys(&section, &path);
            if path == "totem" {
                self.interfaces(&section);
            }
            self.sections(&section, &path);
        }
    }

    fn repeated(&mut self, parent: &SectionView<'_>, path: &str) {
        const MANY: [&str; 5] = ["node", "interface", "logger_subsys", "logging_daemon", "member"];
        let mut first: BTreeMap<&[u8], usize> = BTreeMap::new();
        for section in parent.all_sections() {
            let name = section.name();
            let several = MANY.iter().any(|many| many.as_bytes() == name) || name == b"uidgid";
            let Some(line) = first.insert(name, section.line()).filter(|_| !several) else {
                continue;
            };
            if path.is_empty() && name == b"nodelist" {
                let message = format!(
                    "a second `nodelist` beside that of line {line}: corosync numbers its nodes \
                     from 0 again, over those of the first; keep one list"
                );
                self.report.breaks(&NODELIST_TWICE, Some(section.line()), message);
            } else {
                let message = format!(
                    "section {} stands in line {line} already; corosync merges the two, later keys \
                     win; keep one",
                    quoted(name)
                );
                self.report.misreads(&SECTION_TWICE, Some(section.line()), message);
            }
        }
    }

    fn keys(&mut self, section: &SectionView<'_>, path: &str) {
        let mut seen: BTreeMap<&[u8], Value<'_>> = BTreeMap::new();
        for (name, value) in section.keys() {
            self.key(path, &String::from_utf8_lossy(name), value);
            let Some(first) =
                seen.insert(name, value).filter(|_| path != "uidgid" && name != b"memberaddr")
            else {
                continue;
            };
            if first.bytes == value.bytes {
                continue;
            }
            let message = format!(
                "{} stands in line {} already with another value; this one counts; keep one",
                quoted(name),
                first.line
            );
            self.report.misreads(&KEY_TWICE, Some(value.line), message);
        }
    }

    fn key(&mut self, path: &str, name: &str, value: Value<'_>) {
        let Some(key) = keys::find(path, name) else { return self.unknown_key(path, name, value) };
        if self.facts.dialect.key(path, name).is_none() {
            let message = format!(
                "`{path}.{name}` came with corosync {}, corosync 2 does not look at it; take it \
                 out, or run corosync 3",
                key.since.unwrap_or("3.0")
            );
            return self.report.misreads(&NOT_IN_COROSYNC_2, Some(value.line), message);
        }
        if name == "ringnumber" && self.facts.dialect == Dialect::Three {
            let message = "`ringnumber` means nothing to corosync 3: this section speaks of link \
                           0; write `linknumber`"
                .to_owned();
            return self.report.misreads(&RINGNUMBER_IGNORED, Some(value.line), message);
        }
        self.comment(path, name, (key, value));
        let is_left = match key.standing {
            Standing::InUse | Standing::OldName => false,
            Standing::Deprecated => true,
            Standing::Corosync2Only => self.facts.dialect == Dialect::Three,
            Standing::UdpOnly => self.facts.transport == Transport::Knet,
        };
        if is_left {
            let message = format!("`{path}.{name}` has no effect on corosync 3 here; take it out");
            self.report.advises(&LEFTOVER, Some(value.line), message);
        }
    }

    fn comment(&mut self, path: &str, name: &str, (key, value): (&keys::Key, Value<'_>)) {
        // Where corosync refuses the value anyway, that finding says so.
        let refused = matches!(key.kind, Kind::Number(_) | Kind::OneOf(_) | Kind::Address);
        if refused || !value.bytes.contains(&b'#') {
            return;
        }
        let consequence = if (path, name) == ("totem", "secauth") {
            ", which is not `on`: the cluster runs unencrypted while Proxmox VE shows it encrypted"
        } else {
            ""
        };
        let message = format!(
            "`{name}` is {} with all that stands behind `#`{consequence}; put the comment on a \
             line of its own",
            quoted(value.bytes)
        );
        self.report.misreads(&COMMENT_IN_VALUE, Some(value.line), message);
    }

    fn unknown_key(&mut self, path: &str, name: &str, value: Value<'_>) {
        let is_link = name.strip_prefix("link").and_then(|rest| rest.strip_suffix("_addr"));
        if let Some(link) = is_link.filter(|_| path == "nodelist.node") {
            let message = format!(
                "`{name}` is no address to corosync, only to Proxmox VE; write `ring{link}_addr`"
            );
            return self.report.misreads(&LINK_ADDR_IGNORED, Some(value.line), message);
        }
        // corosync refuses a foreign key there; loggers and the IPC have keys outside of the table.
        let elsewhere = ["uidgid", "totem.interface.member", "logging.logging_daemon", "qb"];
        if elsewhere.contains(&path) {
            return;
        }
        let message = format!(
            "{} is unknown in `{path}`; corosync stores it and nobody reads it; correct its name, \
             or take it out",
            quoted(name.as_bytes())
        );
        self.report.misreads(&UNKNOWN_KEY, Some(value.line), message);
    }

    fn interfaces(&mut self, totem: &SectionView<'_>) {
        let mut first: BTreeMap<i128, usize> = BTreeMap::new();
        for section in totem.sections("interface") {
            let key = self.facts.dialect.link_key();
            let link = section.value(key);
            if link.is_none() && section.value("ringnumber").is_none() {
                let message = format!(
                    "an `interface` section without `{key}` speaks of link 0; write which link is \
                     meant"
                );
                self.report.advises(&INTERFACE_WITHOUT_LINK, Some(section.line()), message);
            }
            let number = link.and_then(|link| keys::Width::U8.read(link.bytes)).unwrap_or(0);
            if let Some(line) = first.insert(number, section.line()) {
                let message = format!(
                    "a second `interface` section for link {number} beside that of line {line}; \
                     corosync merges them, the last value wins; write `{key}` into each, or keep \
                     one"
                );
                self.report.misreads(&INTERFACE_TWICE, Some(section.line()), message);
            }
        }
    }
}
