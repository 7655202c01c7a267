//! Text files that are kept byte for byte: lines with their terminators, and splices that touch nothing
//! else.
//!
//! Owns what corosync.conf and datacenter.cfg have in common; knows the grammar of neither.

use std::ops::Range;

use memchr::memchr_iter;

/// Splits bytes into lines, each with its terminator. Every byte belongs to exactly one line.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    let ends = memchr_iter(b'\n', bytes).map(|at| at + 1);
    let rest = (!bytes.is_empty() && !bytes.ends_with(b"\n")).then_some(bytes.len());
    ends.chain(rest).map(move |end| {
        let span = start..end;
        start = end;
        span
    })
}

/// The terminator to end a new line with: that of an existing one.
pub(crate) fn line_end(line: &[u8]) -> &'static [u8] {
    if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

/// White space as Perl's `\s` takes it in bytes, and so Proxmox VE.
pub(crate) const fn is_perl_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Replacements of bytes, collected first and applied in one pass.
#[derive(Debug)]
pub(crate) struct Splices {
    /// All that is to be written, one piece behind the other: an edit of every node has hundreds of
    /// pieces, and a buffer for each would cost more than the rest of it.
    pieces: Vec<u8>,
    /// Which bytes go, and which part of the pieces comes in their place.
    splices: Vec<(Range<usize>, Range<usize>)>,
}

impl Default for Splices {
    /// With room for the edit of a small cluster.
    fn default() -> Self {
        Self { pieces: Vec::with_capacity(256), splices: Vec::with_capacity(8) }
    }
}

impl Splices {
    /// Puts bytes, given in parts, in the place of others.
    pub(crate) fn replace(&mut self, span: Range<usize>, parts: &[&[u8]]) {
        let start = self.pieces.len();
        for part in parts {
            self.pieces.extend_from_slice(part);
        }
        self.splices.push((span, start..self.pieces.len()));
    }

    /// Takes bytes out.
    pub(crate) fn remove(&mut self, span: Range<usize>) {
        self.replace(span, &[]);
    }

    /// Puts bytes, given in parts, before those at a place; several at one place stand in the order
    /// of the calls.
    pub(crate) fn insert(&mut self, at: usize, parts: &[&[u8]]) {
        self.replace(at..at, parts);
    }

    /// Makes all replacements. These must not overlap; what is put in before a place stands before what
    /// comes in the place of bytes from there on.
    pub(crate) fn apply(self, bytes: &[u8]) -> Spliced {
        let Self { pieces, splices: mut changes } = self;
        changes.sort_by_key(|(gone, _)| (gone.start, gone.end));
        let mut out = Vec::with_capacity(bytes.len() + pieces.len());
        let mut done = 0;
        for (gone, come) in &mut changes {
            out.extend_from_slice(&bytes[done..gone.start]);
            let start = out.len();
            out.extend_from_slice(&pieces[come.clone()]);
            *come = start..out.len();
            done = gone.end;
        }
        out.extend_from_slice(&bytes[done..]);
        Spliced { bytes: out, changes }
    }
}

/// Bytes with replacements made.
#[derive(Debug)]
pub(crate) struct Spliced {
    pub(crate) bytes: Vec<u8>,
    /// What is gone from the old bytes and what came in its place among the new ones, in their order.
    pub(crate) changes: Vec<(Range<usize>, Range<usize>)>,
}
