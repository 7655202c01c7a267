//! The bytes of a datacenter.cfg and the keys that Proxmox VE sees in them (pve.md 6.1).
//!
//! Owns the bytes. Never changes them: an edit makes a new document from spliced bytes, so that whatever it
//! does not touch (the description in comments, order, unknown keys, CRLF) stays as it is.

use std::ops::Range;

use crate::text::{is_perl_space, lines};

/// A datacenter.cfg, kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// A line's place in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// With its terminator.
    pub(super) span: Range<usize>,
    pub(super) what: What,
}

/// What Proxmox VE takes a line for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// White space alone.
    Blank,
    /// `#` at the very beginning: a line of the datacenter's description.
    Description,
    /// `#` behind white space: a comment that Proxmox VE does not keep.
    Indented,
    /// `key: value`; the value may be empty.
    Key { name: Range<usize>, value: Range<usize> },
    /// Anything else, which Proxmox VE ignores with a warning.
    Ignored,
}

/// A key with its value, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value, without white space around it. It may be empty.
    pub value: &'a [u8],
    /// The line, counted from 1.
    pub line: usize,
}

impl Document {
    /// Takes any bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let line = |span: Range<usize>| Line { what: scan(bytes, span.clone()), span };
        Self { bytes: bytes.to_vec(), lines: lines(bytes).map(line).collect() }
    }

    /// The bytes, exactly those that were parsed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The bytes, borrowed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All keys with their values, in file order, repeated ones included.
    #[must_use]
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        self.lines.iter().enumerate().filter_map(|(at, line)| match &line.what {
            What::Key { name, value } => Some(Entry {
                key: &self.bytes[name.clone()],
                value: &self.bytes[value.clone()],
                line: at + 1,
            }),
            What::Blank | What::Description | What::Indented | What::Ignored => None,
        })
    }

    /// A key as it is in force: of repeated ones the last.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().rfind(|entry| entry.key == key.as_bytes())
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// Takes one line as Proxmox VE takes it: a key ends at the first colon behind its first byte, and has no
/// white space in it.
fn scan(bytes: &[u8], span: Range<usize>) -> What {
    let Some(start) = span.clone().find(|at| !is_perl_space(bytes[*at])) else {
        return What::Blank;
    };
    let end = span.clone().rfind(|at| !is_perl_space(bytes[*at])).map_or(start, |last| last + 1);
    if bytes[start] == b'#' {
        return if start == span.start { What::Description } else { What::Indented };
    }
    let word = (start..end).find(|at| is_perl_space(bytes[*at])).unwrap_or(end);
    let Some(colon) = (start + 1..word).find(|at| bytes[*at] == b':') else { return What::Ignored };
    let value = (colon + 1..end).find(|at| !is_perl_space(bytes[*at])).unwrap_or(end);
    What::Key { name: start..colon, value: value..end }
}
