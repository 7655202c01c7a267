//! One line of corosync.conf as corosync's own parser takes it (`coroparse.c:parse_section`).
//!
//! Owns the rules for a single line; knows nothing of sections around it.

use std::ops::Range;

use memchr::{Memchr2, memchr, memchr2_iter};

/// corosync reads lines with `fgets` into 512 bytes; a line that does not fit stops it, comments
/// included.
const LONGEST_WITH_NEWLINE: usize = 511;

/// Something that makes corosync refuse the whole file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Problem {
    /// The line that corosync would name, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What corosync's parser stops at. The words in quotes are its own message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// `Line too long`: more than 510 bytes, or a NUL byte inside.
    #[error("the line is longer than corosync's 510 bytes, or holds a NUL byte")]
    TooLong,
    /// `Missing section name before opening bracket '{'`.
    #[error("a section is opened without a name before `{{`")]
    NoSectionName,
    /// `Extra characters after opening bracket '{'`.
    #[error("there is text behind `{{`")]
    TextAfterOpening,
    /// `Extra characters before or after closing bracket '}'`.
    #[error("there is text beside `}}`")]
    TextBesideClosing,
    /// `Unexpected closing brace`.
    #[error("`}}` closes a section that was never opened")]
    UnexpectedClosing,
    /// `Missing closing brace`, found by corosync at the end of the file.
    #[error("the file ends, but the section opened in line {opened_at} is not closed")]
    MissingClosing {
        /// The line that opened the section, counted from 1.
        opened_at: usize,
    },
    /// `Can't store key "K" into icmap`: with its sections the key makes a cmap name of fewer than
    /// 3 or more than 253 bytes, or of others than letters, digits and `._/:-`.
    #[error("corosync cannot store a key of this name")]
    BadKey,
    /// `Start of section makes total cmap path too long`.
    #[error("the section's name, with those around it, is longer than corosync's 254 bytes")]
    PathTooLong,
    /// `Line is not opening or closing section or key value`.
    #[error("the line neither opens nor closes a section and is no `key: value`")]
    Neither,
}

/// Finds the lines with a `{` or a NUL byte, line after line: most have neither, and to look through
/// each for them would be a fifth of the work.
pub(super) struct Rare<'a> {
    places: Memchr2<'a>,
    next: Option<usize>,
}

impl<'a> Rare<'a> {
    /// Begins with the first line of a file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut places = memchr2_iter(0, b'{', bytes);
        Self { next: places.next(), places }
    }

    /// Whether there is one in the next line, which ends here.
    pub(super) fn is_before(&mut self, end: usize) -> bool {
        let found = self.next.is_some_and(|at| at < end);
        while self.next.is_some_and(|at| at < end) {
            self.next = self.places.next();
        }
        found
    }
}

/// What a line is. Ranges count bytes from the start of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Blank, or a comment.
    Ignored,
    /// Opens a section.
    Open { name: Range<usize>, problem: Option<ProblemKind> },
    /// Closes a section.
    Close { problem: Option<ProblemKind> },
    /// A key with its value, which may be empty; `storable`: whether corosync can store one under the name.
    Key { name: Range<usize>, value: Range<usize>, storable: bool },
    /// corosync stops here.
    Bad(ProblemKind),
}

/// Takes one line, with its terminator, as corosync 3.1 takes it. `rare`: whether there is a [`Rare`]
/// byte in it.
pub(super) fn scan(line: &[u8], rare: bool) -> Line {
    let nul = if rare { memchr(0, line) } else { None };
    let Some(end) = c_text_end(line, nul) else {
        return Line::Bad(ProblemKind::TooLong);
    };
    let start = blanks(&line[..end]);
    let end = end - blanks_behind(&line[start..end]);
    let text = &line[start..end];
    match text {
        b"" | [b'#', ..] => return Line::Ignored,
        b"}" => return Line::Close { problem: None },
        _ => {}
    }
    if rare && let Some(brace) = memchr(b'{', text) {
        return scan_open(line, start, start + brace, end);
    }
    // What else a name takes stands right before the colon, as a rule.
    let in_name = |byte: &u8| *byte != b':' && is_stored(*byte);
    let stored = text.iter().position(|byte| !in_name(byte)).unwrap_or(text.len());
    let colon = if text.get(stored) == Some(&b':') { Some(stored) } else { memchr(b':', text) };
    if let Some(colon) = colon {
        let length = colon - blanks_behind(&text[..colon]);
        let value = start + colon + 1 + blanks(&text[colon + 1..])..end;
        return Line::Key { name: start..start + length, value, storable: stored == length };
    }
    let is_closing = memchr(b'}', text).is_some();
    if is_closing {
        return Line::Close { problem: Some(ProblemKind::TextBesideClosing) };
    }
    Line::Bad(ProblemKind::Neither)
}

fn scan_open(line: &[u8], start: usize, brace: usize, end: usize) -> Line {
    // The name loses trailing colons as well, so `totem: {` opens `totem`; its first byte stays.
    let is_lost = |byte: &&u8| is_blank(**byte) || **byte == b':';
    let lost = line[start..brace].iter().rev().take_while(is_lost).count();
    let name = start..(brace - lost).max((start + 1).min(brace));
    let problem = if name.is_empty() {
        Some(ProblemKind::NoSectionName)
    } else if brace + 1 + blanks(&line[brace + 1..end]) < end {
        Some(ProblemKind::TextAfterOpening)
    } else {
        None
    };
    Line::Open { name, problem }
}

/// Where the C string that corosync sees ends, without line end; `None` when the line does not
/// fit its buffer. A NUL byte ends the C string before the newline that corosync looks for.
fn c_text_end(line: &[u8], nul: Option<usize>) -> Option<usize> {
    let terminated = line.last() == Some(&b'\n');
    if line.len() > LONGEST_WITH_NEWLINE || (!terminated && line.len() == LONGEST_WITH_NEWLINE) {
        return None;
    }
    let end = match nul {
        Some(0) => return Some(0),
        Some(_) if terminated => return None,
        Some(at) => at,
        None if terminated => line.len() - 1,
        None => line.len(),
    };
    Some(if line[..end].last() == Some(&b'\r') { end - 1 } else { end })
}

/// Looked up, because a file is mostly names.
const STORABLE: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        let stored =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b':' | b'-');
        table[byte as usize] = stored;
        byte += 1;
    }
    table
};

fn is_stored(byte: u8) -> bool {
    STORABLE[usize::from(byte)]
}

/// Whether corosync can store a value under this part of a cmap name.
pub(super) fn is_storable(name: &[u8]) -> bool {
    name.iter().all(|byte| is_stored(*byte))
}

/// corosync's white space. Its source also names 0xA0, but compares it with a signed char: on
/// amd64 3.1.7 takes that byte for text (measured).
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// How much white space a text begins with.
fn blanks(text: &[u8]) -> usize {
    text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len())
}

/// How much white space a text ends with.
fn blanks_behind(text: &[u8]) -> usize {
    text.len() - text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1)
}
