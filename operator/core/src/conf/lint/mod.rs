//! What each reader of a corosync.conf makes of it: refuses it, reads it differently, or takes it and
//! harms the cluster.
//!
//! Owns the words of a finding: its code, whom it concerns, what follows. Judges the text alone: never a
//! host's addresses, names or keys, which `corosync -t` looks at as well.

mod code;
mod corosync2;
mod corosync3;
mod pmxcfs;
mod pve;
mod report;
mod syntax;

#[cfg(test)]
mod tests;

pub use code::Code;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::Document;

/// Somebody who reads corosync.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// corosync 3, Proxmox VE 6 and later. Measured with 3.1.7, the rest read in 3.1.10's source.
    Corosync3,
    /// corosync 2, Proxmox VE 4 and 5.
    Corosync2,
    /// Proxmox VE's own parser in Perl: `pvecm`, the API, the web interface.
    Pve,
    /// pmxcfs, which compares versions before it spreads the file.
    Pmxcfs,
}

impl Reader {
    /// All readers, in the order in which findings are told.
    pub const ALL: [Self; 4] = [Self::Corosync3, Self::Corosync2, Self::Pve, Self::Pmxcfs];

    /// The readers of a Proxmox VE host of today.
    pub const TODAY: [Self; 3] = [Self::Corosync3, Self::Pve, Self::Pmxcfs];

    /// The name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Corosync3 => "corosync3",
            Self::Corosync2 => "corosync2",
            Self::Pve => "pve",
            Self::Pmxcfs => "pmxcfs",
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not a reader's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reader: corosync3, corosync2, pve or pmxcfs")]
pub struct UnknownReader(String);

impl FromStr for Reader {
    type Err = UnknownReader;
    fn from_str(name: &str) -> Result<Self, UnknownReader> {
        let found = Self::ALL.into_iter().find(|reader| reader.name() == name);
        found.ok_or_else(|| UnknownReader(name.to_owned()))
    }
}

/// What a finding means for its reader. The order is that of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The reader takes nothing of the file.
    Refuses,
    /// The reader takes it and the cluster is harmed.
    Breaks,
    /// The reader takes another meaning than the one that stands there.
    Misreads,
    /// Nothing is wrong, but a person would want to know.
    Advice,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refuses => "refuses",
            Self::Breaks => "breaks",
            Self::Misreads => "misreads",
            Self::Advice => "advice",
        })
    }
}

/// One thing that one reader makes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, for `--explain`.
    pub code: &'static Code,
    /// Whom it concerns.
    pub reader: Reader,
    /// What follows.
    pub effect: Effect,
    /// The line, counted from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// What, where, why and what to do, in one sentence of this file's own names and values.
    pub message: String,
}

/// What these readers make of a file, by line, then reader, then code.
#[must_use]
pub fn lint(document: &Document, readers: &[Reader]) -> Vec<Finding> {
    let chosen = Reader::ALL.into_iter().filter(|reader| readers.contains(reader));
    let mut findings: Vec<_> = chosen.flat_map(|reader| read(reader, document)).collect();
    findings.sort_by_key(|found| (found.line, found.reader, found.code.name, found.effect));
    findings
}

fn read(reader: Reader, document: &Document) -> Vec<Finding> {
    match reader {
        Reader::Corosync3 => corosync3::findings(document),
        Reader::Corosync2 => corosync2::findings(document),
        Reader::Pve => pve::findings(document),
        Reader::Pmxcfs => pmxcfs::findings(document),
    }
}

/// Every code that some reader has, by name, each once.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    let all = syntax::CODES.iter().chain(corosync2::CODES).copied().chain(corosync3::codes());
    let all = all.chain(pve::CODES.iter().chain(pmxcfs::CODES).copied());
    all.map(|code| (code.name, code)).collect::<BTreeMap<_, _>>().into_values()
}
