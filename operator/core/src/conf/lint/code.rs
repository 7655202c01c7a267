//! A kind of finding, with the page that explains it.

use std::fmt;

use serde::{Serialize, Serializer};

/// A kind of finding. Codes are stable: people write them into scripts.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Words with dashes, such as `comment-in-value`.
    pub name: &'static str,
    /// What it is, in one line.
    pub title: &'static str,
    /// What the reader does, what follows for the cluster, and what to do, in a few sentences.
    pub explanation: &'static str,
    /// Where this is known from: measured on corosync 3.1.7, or a source file of a named version.
    pub source: &'static str,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl Serialize for Code {
    /// The name alone.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}
