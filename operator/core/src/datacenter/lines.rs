//! The two lines that a spec manages: what is wanted of them, what a host tells of them, and how a file with
//! other ones is made.
//!
//! A file that is missing is an empty one here, as it is to Proxmox VE.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::edit::{EditError, remove, set_network, set_type};
use super::transfer::{Traffic, Transfer, TransferType};
use crate::ids::Digest;

/// What a spec wants of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferWish {
    /// No line: what Proxmox VE does by itself.
    NoLine,
    /// This type, and the network that is there.
    Type(TransferType),
    /// Exactly this.
    Line(Transfer),
}

impl TransferWish {
    /// The line that comes of the one that is there.
    #[must_use]
    pub fn line(self, now: Option<Transfer>) -> Option<Transfer> {
        match self {
            Self::NoLine => None,
            Self::Type(kind) => Some(Transfer { kind, network: now.and_then(|now| now.network) }),
            Self::Line(line) => Some(line),
        }
    }

    /// Whether a line is as it is wanted.
    #[must_use]
    pub fn is_met_by(self, line: Option<Transfer>) -> bool {
        self.line(line) == line
    }
}

/// Lines, by what they are about; `None`: there is none.
pub type Lines = BTreeMap<Traffic, Option<Transfer>>;

/// What a host tells of its datacenter.cfg: nothing but the two lines and what tells the file from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatacenterView {
    /// Of the bytes.
    pub digest: Digest,
    /// The lines that are there; an error says why Proxmox VE takes one for none.
    pub lines: BTreeMap<Traffic, Result<Transfer, String>>,
}

impl DatacenterView {
    /// What these bytes tell.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let document = Document::parse(bytes);
        let line = |traffic: Traffic| match document.transfer(traffic) {
            Ok(line) => Some((traffic, Ok(line?))),
            Err(why) => Some((traffic, Err(why.to_string()))),
        };
        Self {
            digest: Digest::of(bytes),
            lines: Traffic::ALL.into_iter().filter_map(line).collect(),
        }
    }

    /// A line, if it is understood; one that counts for nothing is not.
    pub fn line(&self, traffic: Traffic) -> Result<Option<Transfer>, &str> {
        self.lines
            .get(&traffic)
            .map(Result::as_ref)
            .transpose()
            .map(Option::<&_>::copied)
            .map_err(String::as_str)
    }
}

/// A change of a datacenter.cfg: no text, since the rest of the file is nobody's to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatacenterWrite {
    /// Of the file that it starts from.
    pub parent: Digest,
    /// The lines that it sets, or takes out.
    pub lines: Lines,
}

/// Why no file comes of a [`DatacenterWrite`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It was made for another file.
    #[error("datacenter.cfg is another file than the one that the plan starts from")]
    OtherParent,
    /// A line cannot be changed.
    #[error("datacenter.cfg cannot be changed as wanted: {0}")]
    Edit(#[from] EditError),
}

impl DatacenterWrite {
    /// The file that comes of its parent: the same on every host, every other line byte for byte as it was.
    pub fn apply(&self, parent: &[u8]) -> Result<Vec<u8>, WriteError> {
        if Digest::of(parent) != self.parent {
            return Err(WriteError::OtherParent);
        }
        let mut document = Document::parse(parent);
        for (traffic, line) in &self.lines {
            document = match line {
                Some(Transfer { kind, network }) => {
                    set_network(&set_type(&document, *traffic, *kind)?, *traffic, *network)?
                }
                None => remove(&document, traffic.key())?,
            };
        }
        Ok(document.to_bytes())
    }
}

impl fmt::Display for DatacenterWrite {
    /// What it does, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |(traffic, line): (&Traffic, &Option<Transfer>)| match line {
            Some(line) => format!("set `{}: {line}`", traffic.key()),
            None => format!("take `{}` out", traffic.key()),
        };
        f.write_str(&self.lines.iter().map(word).collect::<Vec<_>>().join(", "))
    }
}
