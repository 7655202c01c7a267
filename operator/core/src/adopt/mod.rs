//! A cluster that exists already: the spec that describes it as it runs, and what a person should know
//! before it is put under the operator.
//!
//! Owns the promise that such a spec changes nothing: it is held against the planner before it is
//! handed out, and whatever would make the planner act, or stop, is a reason to refuse. What the file
//! says and a spec has no word for stays in the file, untouched (design rule 6). Where to read next:
//! `choose` (which hosts are looked at), `hosts` (what they differ in), `spec` (the file as a wish),
//! `risks`.

mod choose;
mod hosts;
mod risks;
mod spec;

#[cfg(test)]
mod tests;

pub use choose::choose;
pub use hosts::places;

use std::collections::BTreeMap;
use std::fmt;

use crate::change::ConfText;
use crate::conf::lint::{Reader, lint};
use crate::conf::{Config, Dialect, Document, objections};
use crate::desired::DesiredCluster;
use crate::ids::{Digest, HostName};
use crate::observed::{FileView, HostView, ObservedCluster};
use crate::plan::{State, plan};

/// What was found on some hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The spec that describes what runs. It may stand beside reasons to refuse, for a look alone.
    pub desired: Option<DesiredCluster>,
    /// Everything that a person should know, by kind.
    pub findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What follows from it.
    pub kind: Kind,
    /// What it is, in one sentence without a full stop.
    pub sentence: String,
}

/// What follows from something that was found. The order is that of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The cluster cannot be adopted before this is mended.
    Refusal,
    /// The hosts, or the places of one host, are not the same; nor can it be adopted before they are.
    Difference,
    /// What one of its readers makes of a line: refused, read otherwise, or worth knowing.
    Trap,
    /// It works, and it fails sooner than it has to.
    Risk,
    /// It is in the file, and stays there unmanaged.
    Unmanaged,
}

impl Kind {
    /// All kinds, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::Refusal, Self::Difference, Self::Trap, Self::Risk, Self::Unmanaged];

    /// Whether it keeps a cluster from being adopted.
    #[must_use]
    pub const fn refuses(self) -> bool {
        match self {
            Self::Refusal | Self::Difference => true,
            Self::Trap | Self::Risk | Self::Unmanaged => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refusal => "reasons why it cannot be adopted",
            Self::Difference => "differences, to be mended first",
            Self::Trap => "what corosync and Proxmox VE make of it",
            Self::Risk => "risks",
            Self::Unmanaged => "in the file, and not managed",
        })
    }
}

impl Adoption {
    /// Whether applying the spec is safe: nothing was found that refuses.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.desired.is_some() && !self.findings.iter().any(|finding| finding.kind.refuses())
    }
}

/// Where findings come together.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, kind: Kind, sentence: impl Into<String>) {
        let finding = Finding { kind, sentence: sentence.into() };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn refuses(&self) -> bool {
        self.0.iter().any(|finding| finding.kind.refuses())
    }

    /// By kind; within one as they were found.
    fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.kind);
        self.0
    }
}

/// Looks at the hosts of one cluster.
#[must_use]
pub fn adopt(hosts: &BTreeMap<HostName, HostView>) -> Adoption {
    let Some(text) = reference(hosts) else {
        let mut found = Findings::default();
        found.add(Kind::Refusal, unknown(hosts));
        return Adoption { desired: None, findings: found.sorted() };
    };
    let (document, mut found) = judged(text);
    let Ok(config) = Config::read(&document) else {
        return Adoption { desired: None, findings: found.sorted() };
    };
    let conf = ConfText::new(config.version, text.to_owned());
    let members = hosts::look(hosts, &config, &conf, &mut found);
    risks::look(&config, &members, &mut found);
    let desired = spec::describe(&config, &members, &mut found);
    if let Some(desired) = desired.as_ref().filter(|_| !found.refuses()) {
        prove(desired, hosts, &mut found);
    }
    Adoption { desired, findings: found.sorted() }
}

/// What a text alone tells, for a file of which nobody can say on which hosts it is in force.
#[must_use]
pub fn read_alone(text: &str) -> Vec<Finding> {
    judged(text).1.sorted()
}

/// The text with what its readers make of it, and why it is not understood.
fn judged(text: &str) -> (Document, Findings) {
    let document = Document::parse(text.as_bytes());
    let mut found = Findings::default();
    for why in objections(&document) {
        found.add(Kind::Refusal, format!("corosync.conf is not understood: {why}"));
    }
    let dialect = Dialect::of(&document);
    if dialect != Dialect::Knet && found.refuses() {
        found.add(Kind::Refusal, way_out(dialect));
    }
    for finding in lint(&document, &Reader::TODAY) {
        let line = finding.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let (reader, effect, code) = (finding.reader, finding.effect, finding.code);
        let sentence = format!("{line}{reader} {effect}: {} [{code}]", finding.message);
        found.add(Kind::Trap, sentence);
    }
    (document, found)
}

fn way_out(dialect: Dialect) -> String {
    format!(
        "the file is of the dialect {dialect}; `kubectl pvecm conf convert FILE --to knet` writes one \
         for knet, which all nodes have to take while corosync is stopped on all of them; import again \
         after that"
    )
}

/// The text that the hosts are held against, as the planner chooses it: that of a quorate host where
/// there is one.
fn reference(hosts: &BTreeMap<HostName, HostView>) -> Option<&str> {
    let all = || hosts.values().flat_map(files);
    let texts: BTreeMap<Digest, &str> =
        all().filter_map(|file| Some((file.digest, file.text.as_deref()?))).collect();
    let quorate = hosts.values().filter(|view| view.quorate);
    let rest = hosts.values().filter(|view| !view.quorate);
    quorate.chain(rest).flat_map(files).find_map(|file| texts.get(&file.digest).copied())
}

fn files(view: &HostView) -> impl Iterator<Item = &FileView> {
    view.pmxcfs_file.iter().chain(&view.disk_file)
}

fn unknown(hosts: &BTreeMap<HostName, HostView>) -> String {
    if hosts.values().all(HostView::is_empty) {
        return "no host has anything of a cluster: enrol the members with `kubectl pvecm host enrol` \
                and start their agents"
            .to_owned();
    }
    let names: Vec<_> =
        hosts.iter().filter(|(_, view)| !view.is_empty()).map(|(name, _)| name.as_str()).collect();
    format!("{} have not reported the text of their corosync.conf", names.join(", "))
}

/// The promise itself. Only asked where nothing else was found, so that what the planner says is news.
fn prove(desired: &DesiredCluster, hosts: &BTreeMap<HostName, HostView>, found: &mut Findings) {
    let observed = ObservedCluster { hosts: hosts.clone(), ..ObservedCluster::default() };
    let report = plan(desired, &observed).report;
    if report.state != State::Settled {
        let sentence = format!("the operator would not leave it as it is: {}", report.sentence);
        found.add(Kind::Refusal, sentence);
    }
}
