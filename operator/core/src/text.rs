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
#[derive(Debug, Default)]
pub(crate) struct Splices(Vec<(Range<usize>, Vec<u8>)>);

impl Splices {
    /// Puts bytes in the place of others.
    pub(crate) fn replace(&mut self, span: Range<usize>, with: impl Into<Vec<u8>>) {
        self.0.push((span, with.into()));
    }

    /// Takes bytes out.
    pub(crate) fn remove(&mut self, span: Range<usize>) {
        self.replace(span, Vec::new());
    }

    /// Puts bytes before those at a place; several at one place stand in the order of the calls.
    pub(crate) fn insert(&mut self, at: usize, text: impl Into<Vec<u8>>) {
        self.replace(at..at, text);
    }

    /// The bytes with all replacements made. These must not overlap.
    pub(crate) fn apply(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(bytes.len() + 256);
        let mut done = 0;
        for (span, text) in &self.0 {
            out.extend_from_slice(&bytes[done..span.start]);
            out.extend_from_slice(text);
            done = span.end;
        }
        out.extend_from_slice(&bytes[done..]);
        out
    }
}
