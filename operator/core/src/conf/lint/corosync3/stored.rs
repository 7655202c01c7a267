//! What corosync 3 keeps of a file: names joined by dots, each with a text or a number.
//!
//! Owns the way from sections to cmap as 3.1.7 goes it, with its quirks (`exec/coroparse.c`):
//! interface sections are stored under their link, nodes under their place, log subsystems under
//! their name. Reports what stops corosync on that way. Never judges what the values mean.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::{freed, values};
use crate::conf::document::{Document, SectionView, Value};
use crate::conf::keys::{Kind, Width};
use crate::conf::lint::Code;
use crate::conf::lint::report::{Report, quoted};

const PARSER: &str = "exec/coroparse.c:main_config_parser_cb of 3.1.7; measured with `corosync -t`";

static FOREIGN_KEY: Code = Code {
    name: "foreign-key",
    title: "A section holds a key that it must not hold",
    explanation: "In `uidgid` corosync takes only `uid` and `gid`, in `interface { member }` only \
                  `memberaddr`; anything else there and it refuses the file.",
    source: PARSER,
};
static LOGGER_WITHOUT_NAME: Code = Code {
    name: "logger-without-name",
    title: "A logger section does not say for whom it is",
    explanation: "`logger_subsys` needs a `subsys`, `logging_daemon` a `name`. Without it corosync \
                  says `No subsys key in logger_subsys directive` (or `No name key ...`) and \
                  refuses the file.",
    source: PARSER,
};
static LOGGER_NAME: Code = Code {
    name: "logger-name",
    title: "A logger's name cannot be stored",
    explanation: "The name becomes part of a cmap name: letters, digits and `._/:-`. For any \
                  other, such as one with a comment behind it, corosync says `Can't store key` and \
                  refuses the file.",
    source: PARSER,
};
static NESTED_SECTION: Code = Code {
    name: "nested-section",
    title: "A section stands inside a node",
    explanation: "corosync 3.1.7 takes the end of the inner section for the end of the node: what \
                  follows belongs to the next node. 3.1.10 keeps the node open. No section belongs \
                  there; a brace may be missing above.",
    source: "exec/coroparse.c of 3.1.7 and 3.1.10; measured with `corosync -t` of 3.1.7",
};
pub(in super::super) static CODES: &[&Code] =
    &[&FOREIGN_KEY, &LOGGER_WITHOUT_NAME, &LOGGER_NAME, &NESTED_SECTION];

/// More sections inside each other than corosync's names have room for: a hostile file cannot nest
/// us to death.
pub(super) const DEEPEST: usize = 128;

/// A value in cmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Entry<'a> {
    /// As written.
    pub(in super::super) text: &'a [u8],
    /// The number, where corosync reads one.
    pub(in super::super) number: Option<i128>,
    /// The line, counted from 1.
    pub(in super::super) line: usize,
    /// Whether a finding stands against it already.
    pub(in super::super) faulty: bool,
}

/// Whether the parser itself dies of this, so that what follows in the file does not matter.
pub(in super::super) fn is_abort(code: &Code) -> bool {
    freed::is_abort(code) || values::is_abort(code)
}

/// All that corosync keeps.
#[derive(Debug, Default)]
pub(in super::super) struct Stored<'a> {
    entries: BTreeMap<String, Entry<'a>>,
    /// The lines that open the nodes, by place.
    node_lines: BTreeMap<u32, usize>,
}

impl<'a> Stored<'a> {
    /// Walks a document. Of one with problems of syntax only what aborts before the first of them
    /// is worth anything.
    pub(in super::super) fn read(
        document: &'a Document,
        dialect: Dialect,
        report: &mut Report,
    ) -> Self {
        let mut walk = Walk { stored: Self::default(), dialect, report, node: 0, depth: 0 };
        walk.section(&document.root(), "", Place::Plain);
        walk.stored
    }

    pub(in super::super) fn get(&self, name: &str) -> Option<&Entry<'a>> {
        self.entries.get(name)
    }

    /// A value that corosync stored as text.
    pub(in super::super) fn text(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name).filter(|entry| entry.number.is_none()).map(|entry| entry.text)
    }

    /// A value that corosync stored as a number.
    pub(in super::super) fn number(&self, name: &str) -> Option<i128> {
        self.get(name)?.number
    }

    pub(in super::super) fn line(&self, name: &str) -> Option<usize> {
        self.get(name).map(|entry| entry.line)
    }

    /// The entries whose name begins so, with the rest of the name.
    pub(in super::super) fn below<'s>(
        &'s self,
        start: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s Entry<'a>)> {
        let from = self.entries.range(start.to_owned()..);
        from.map_while(move |(name, entry)| Some((name.strip_prefix(start)?, entry)))
    }

    pub(in super::super) fn node_line(&self, place: u32) -> Option<usize> {
        self.node_lines.get(&place).copied()
    }
}

/// What the section around means for its keys, sections inside it included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    Interface,
    Member,
    Node,
    Logger,
    Uidgid,
    Resources,
    Polled,
}

impl Place {
    /// Only these names change the place; any other section is read like the one around it.
    fn inside(self, path: &str) -> Self {
        match path {
            "totem.interface" => Self::Interface,
            "totem.interface.member" => Self::Member,
            "nodelist.node" => Self::Node,
            "logging.logger_subsys" | "logging.logging_daemon" => Self::Logger,
            "uidgid" => Self::Uidgid,
            "resources" => Self::Resources,
            "resources.system"
            | "resources.system.memory_used"
            | "resources.process"
            | "resources.process.memory_used" => Self::Polled,
            "totem" | "system" | "quorum" | "quorum.device" | "nodelist" => Self::Plain,
            _ => self,
        }
    }
}

struct Walk<'a, 'r> {
    stored: Stored<'a>,
    dialect: Dialect,
    report: &'r mut Report,
    /// The place of the node that is read or comes next.
    node: u32,
    /// How many sections are around.
    depth: usize,
}

impl<'a> Walk<'a, '_> {
    fn section(&mut self, section: &SectionView<'a>, path: &str, place: Place) {
        if self.depth > DEEPEST {
            return;
        }
        self.depth += 1;
        if path == "nodelist" {
            self.node = 0;
        }
        match place {
            Place::Interface => self.interface(section, path),
            Place::Logger => self.logger(section, path),
            Place::Node => self.node(section, path),
            Place::Plain | Place::Member | Place::Uidgid | Place::Resources | Place::Polled => {
                self.statements(section, path, place);
            }
        }
        self.depth -= 1;
    }

    /// Keys and sections in file order.
    fn statements(&mut self, section: &SectionView<'a>, path: &str, place: Place) {
        let mut inner = section.all_sections().peekable();
        let mut keys = section.keys().peekable();
        loop {
            let section_line = inner.peek().map_or(usize::MAX, SectionView::line);
            let key_line = keys.peek().map_or(usize::MAX, |(_, value)| value.line);
            if key_line < section_line {
                if let Some((name, value)) = keys.next() {
                    self.key((path, &String::from_utf8_lossy(name)), value, place);
                }
            } else if let Some(section) = inner.next() {
                let path = joined(path, &String::from_utf8_lossy(section.name()));
                self.section(&section, &path, place.inside(&path));
            } else {
                return;
            }
        }
    }

    fn key(&mut self, (path, name): (&str, &str), value: Value<'a>, place: Place) {
        match place {
            Place::Node => {
                let stored = format!("nodelist.node.{}.{name}", self.node);
                let entry = self.entry("nodelist.node", name, value);
                self.store(stored, entry);
            }
            Place::Uidgid => self.uidgid(name, value),
            Place::Member if name != "memberaddr" => {
                let message = format!(
                    "{} in a `member` section, which takes `memberaddr` alone; corosync does not \
                     start; list the nodes in `nodelist` instead",
                    quoted(name.as_bytes())
                );
                self.report.refuses(&FOREIGN_KEY, Some(value.line), message);
            }
            Place::Member => {}
            Place::Resources => self.typed("resources", (path, name), value),
            Place::Polled => self.typed("resources.system.memory_used", (path, name), value),
            Place::Plain | Place::Interface | Place::Logger => {
                self.typed(path, (path, name), value);
            }
        }
    }

    /// Stores a key with the type that it has in the section `typed`.
    fn typed(&mut self, typed: &str, (path, name): (&str, &str), value: Value<'a>) {
        let entry = self.entry(typed, name, value);
        self.store(joined(path, name), entry);
    }

    fn store(&mut self, name: String, entry: Entry<'a>) {
        self.stored.entries.insert(name, entry);
    }

    /// Reads the value as the key wants it, and reports where that stops corosync.
    fn entry(&mut self, path: &str, name: &str, value: Value<'a>) -> Entry<'a> {
        let entry = Entry { text: value.bytes, number: None, line: value.line, faulty: false };
        if name == "ringnumber" && self.dialect == Dialect::Two {
            return self.number((path, name), Width::U8, entry);
        }
        let Some(key) = self.dialect.key(path, name) else { return entry };
        match key.kind {
            Kind::Number(number) if number.width != Width::Text => {
                self.number((path, name), number.width, entry)
            }
            Kind::OneOf(words) if values::is_word_checked_at_once(path, name) => {
                let words = self.dialect.words(name, words);
                let taken = words.iter().any(|word| word.as_bytes() == value.bytes);
                if !taken {
                    values::refuse_word(&joined(path, name), words, value, self.report);
                }
                Entry { faulty: !taken, ..entry }
            }
            Kind::Number(_)
            | Kind::OneOf(_)
            | Kind::Words { .. }
            | Kind::Address
            | Kind::Text(_) => entry,
        }
    }

    fn number(&mut self, (path, name): (&str, &str), width: Width, entry: Entry<'a>) -> Entry<'a> {
        let number = width.read(entry.text);
        if number.is_none() {
            let value = Value { bytes: entry.text, line: entry.line };
            values::refuse(&joined(path, name), width, value, self.report);
        }
        Entry { number, faulty: number.is_none(), ..entry }
    }

    fn uidgid(&mut self, name: &str, value: Value<'a>) {
        if matches!(name, "uid" | "gid") {
            return;
        }
        let message = format!(
            "{} in a `uidgid` section, which takes `uid` and `gid` alone; corosync does not start; \
             take it out",
            quoted(name.as_bytes())
        );
        self.report.refuses(&FOREIGN_KEY, Some(value.line), message);
    }

    fn node(&mut self, section: &SectionView<'a>, path: &str) {
        self.stored.node_lines.entry(self.node).or_insert(section.line());
        self.statements(section, path, Place::Node);
        if let Some(inner) = section.all_sections().next() {
            let message = format!(
                "section {} inside a node: corosync 3.1.7 takes its end for the end of the node, \
                 and what follows for the next one; take it out",
                quoted(inner.name())
            );
            self.report.misreads(&NESTED_SECTION, Some(inner.line()), message);
        }
        self.node += 1;
    }

    /// The known keys go under the link that `linknumber` names last, wherever it stands.
    fn interface(&mut self, section: &SectionView<'a>, path: &str) {
        let mut link = 0;
        let mut options = BTreeMap::new();
        for (name, value) in section.keys() {
            let name = String::from_utf8_lossy(name).into_owned();
            let entry = self.entry(path, &name, value);
            if path != "totem.interface" {
                self.store(joined(path, &name), entry);
            } else if name == self.dialect.link_key() {
                link = entry.number.unwrap_or(link);
            } else if is_link_option(&name) {
                options.insert(name, entry);
            } else {
                self.store(joined(path, &name), entry);
            }
        }
        for (name, entry) in options {
            let dropped = name.starts_with("knet_p")
                && entry.number.is_some_and(|number| number > i128::from(i32::MAX));
            if dropped {
                values::dropped(&name, entry.line, self.report);
            } else {
                self.store(format!("totem.interface.{link}.{name}"), entry);
            }
        }
        for inner in section.all_sections() {
            let path = joined(path, &String::from_utf8_lossy(inner.name()));
            self.section(&inner, &path, Place::Interface.inside(&path));
            self.members(&inner, link);
        }
        if path == "totem.interface" && self.dialect == Dialect::Three {
            freed::judge_interface(section, self.report);
        }
    }

    /// The `memberaddr` of a `member` section; an interface of corosync 2 has several.
    fn members(&mut self, section: &SectionView<'a>, link: i128) {
        if section.name() != b"member" {
            return;
        }
        for (_, value) in section.keys().filter(|(name, _)| *name == b"memberaddr") {
            let count = self.stored.below(&format!("totem.interface.{link}.member.")).count();
            let entry = Entry { text: value.bytes, number: None, line: value.line, faulty: false };
            self.store(format!("totem.interface.{link}.member.{count}"), entry);
        }
    }

    fn logger(&mut self, section: &SectionView<'a>, path: &str) {
        let key = if path == "logging.logging_daemon" { "name" } else { "subsys" };
        let Some(name) = section.value(key) else {
            let message = format!(
                "a {} section without `{key}`; corosync does not start; say for whom it is",
                quoted(section.name())
            );
            return self.report.refuses(&LOGGER_WITHOUT_NAME, Some(section.line()), message);
        };
        let mut parts = vec![name];
        parts.extend(section.value("subsys").filter(|_| key == "name"));
        if let Some(bad) = parts.iter().find(|part| !crate::conf::scan::is_storable(part.bytes)) {
            let message = format!(
                "{} cannot be part of a name; corosync does not start; letters, digits and `._/:-` \
                 can",
                quoted(bad.bytes)
            );
            return self.report.refuses(&LOGGER_NAME, Some(bad.line), message);
        }
        let parts: Vec<_> = parts.iter().map(|part| String::from_utf8_lossy(part.bytes)).collect();
        let base = logger_base(key, &parts);
        for (name, value) in section.keys() {
            let name = String::from_utf8_lossy(name);
            let entry = Entry { text: value.bytes, number: None, line: value.line, faulty: false };
            self.store(joined(&base, &name), entry);
        }
        freed::judge_logger(section, self.report);
    }
}

/// Where a logger's keys go. corosync itself is the daemon without a name of its own.
fn logger_base(key: &str, parts: &[std::borrow::Cow<'_, str>]) -> String {
    match (key, parts) {
        ("name", [daemon]) if daemon == "corosync" => "logging".to_owned(),
        ("name", [daemon]) => format!("logging.logging_daemon.{daemon}"),
        ("name", [daemon, subsys]) if daemon == "corosync" => {
            format!("logging.logger_subsys.{subsys}")
        }
        ("name", [daemon, subsys]) => format!("logging.logging_daemon.{daemon}.{subsys}"),
        (_, parts) => format!("logging.logger_subsys.{}", parts.join(".")),
    }
}

/// The keys of an interface section that belong to its link.
fn is_link_option(name: &str) -> bool {
    let options =
        ["bindnetaddr", "mcastaddr", "broadcast", "mcastport", "ttl", "knet_link_priority"];
    let knet = ["knet_ping_interval", "knet_ping_timeout", "knet_ping_precision"];
    let more = ["knet_pong_count", "knet_transport"];
    options.contains(&name) || knet.contains(&name) || more.contains(&name)
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
