//! Reads the lines of a text into marks: where keys stand, and where sections begin and end.
//!
//! Owns what a line means among the lines around it; the line by itself is [`scan`]'s. Never fails: what
//! corosync would stop at becomes a [`Problem`], and the text is read to its end.

use std::ops::Range;

use super::scan::{Line, Problem, ProblemKind, is_storable, scan};
use crate::text::lines;

/// The shortest and longest name that cmap stores (measured with corosync 3.1.7).
const SHORTEST_PATH: usize = 3;
const LONGEST_PATH: usize = 254;

/// Where a line stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte.
    pub(super) start: usize,
    /// Its number, from 1.
    pub(super) line: usize,
}

impl Place {
    /// The first line of a text.
    pub(super) const FIRST: Self = Self { start: 0, line: 1 };

    /// The line behind this one, which has so many bytes.
    pub(super) fn next(self, length: usize) -> Self {
        Self { start: self.start + length, line: self.line + 1 }
    }

    /// The line behind these, of which this is the first.
    pub(super) fn behind(self, text: &[u8]) -> Self {
        lines(text).fold(self, |place, line| place.next(line.len()))
    }
}

/// Where a text goes on that another one has as well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// The line there.
    pub(super) from: Place,
    /// The line here.
    pub(super) to: Place,
}

impl Moved {
    /// The place here of a line there.
    pub(super) fn place(self, there: Place) -> Place {
        let Self { from, to } = self;
        Place { start: there.start - from.start + to.start, line: there.line - from.line + to.line }
    }
}

/// A line that holds a key, or that opens or closes a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The root is opened in line 0, before the first one, and closed behind the last one.
    place: Place,
    length: u16,
    /// Counted from the start of the line, as the value is.
    name: Range<u16>,
    value: Range<u16>,
    /// The place of its partner among the marks: for the line that opens a section the one that closes
    /// it, and the other way round; a key is its own.
    partner: usize,
}

impl Mark {
    /// The line behind it.
    pub(super) fn next(&self) -> Place {
        self.place.next(usize::from(self.length))
    }

    /// The whole line with its terminator.
    pub(super) fn span(&self) -> Range<usize> {
        self.place.start..self.place.start + usize::from(self.length)
    }

    /// The name of the key or, where one is opened, of the section.
    pub(super) fn name(&self) -> Range<usize> {
        self.within(&self.name)
    }

    /// Whether this is its name, in the text that it marks. Most names differ in length already.
    pub(super) fn is_named(&self, name: &[u8], text: &[u8]) -> bool {
        self.name.len() == name.len() && &text[self.name()] == name
    }

    /// The value of the key.
    pub(super) fn value(&self) -> Range<usize> {
        self.within(&self.value)
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Where its partner is among the marks.
    pub(super) fn partner(&self) -> usize {
        self.partner
    }

    fn within(&self, range: &Range<u16>) -> Range<usize> {
        let start = self.place.start;
        start + usize::from(range.start)..start + usize::from(range.end)
    }
}

/// A place in a line that corosync takes.
fn in_line(at: usize) -> u16 {
    u16::try_from(at).expect("the lines that corosync takes have at most 511 bytes")
}

/// An open section with what its cmap name means for the keys inside.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its place among the marks.
    at: usize,
    path_length: usize,
    storable: bool,
}

impl Open {
    const ROOT: Self = Self { at: 0, path_length: 0, storable: true };

    /// A section inside.
    fn inner(self, at: usize, name: &[u8]) -> Self {
        let storable = self.storable && is_storable(name);
        Self { at, path_length: self.path_length(name.len()), storable }
    }

    /// The length of the cmap name of something inside with a name of so many bytes.
    fn path_length(self, name: usize) -> usize {
        if self.at == Self::ROOT.at { name } else { self.path_length + 1 + name }
    }

    /// Whether corosync cannot store so long a name. It adds 1 for the dot at the top as well.
    fn is_too_long(self, length: usize) -> bool {
        length + usize::from(self.at == Self::ROOT.at) > LONGEST_PATH
    }
}

/// What stands in a text.
#[derive(Debug)]
pub(super) struct Read {
    /// The file itself is the first mark and the last.
    pub(super) marks: Vec<Mark>,
    pub(super) problems: Vec<Problem>,
}

/// Takes the lines one by one, from the first to the last.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    read: Read,
    current: Open,
    /// Those around the current one, outermost first.
    around: Vec<Open>,
}

impl<'a> Reader<'a> {
    /// Begins with a text that will have about so many marks.
    pub(super) fn new(bytes: &'a [u8], marks: usize) -> Self {
        let mut read = Read { marks: Vec::with_capacity(marks + 2), problems: Vec::new() };
        read.marks.push(Mark::default());
        Self { bytes, read, current: Open::ROOT, around: Vec::new() }
    }

    /// Takes the next line, of so many bytes; `rare` as [`scan`] has it.
    pub(super) fn take(&mut self, place: Place, length: usize, rare: bool) {
        let partner = self.read.marks.len();
        let mark = |name: Range<usize>, value: Range<usize>| Mark {
            place,
            length: in_line(length),
            name: in_line(name.start)..in_line(name.end),
            value: in_line(value.start)..in_line(value.end),
            partner,
        };
        let line = &self.bytes[place.start..place.start + length];
        let problem = match scan(line, rare) {
            Line::Ignored => None,
            Line::Open { name, problem } => problem.or(self.open(mark(name, 0..0))),
            Line::Close { problem } => problem.or(self.close(mark(0..0, 0..0))),
            Line::Key { name, value, storable } => self.key(mark(name, value), storable),
            Line::Bad(kind) => Some(kind),
        };
        self.note(place.line, problem);
    }

    /// Takes those of another text's marks, without a look into their lines, which are the next ones here.
    pub(super) fn keep(&mut self, all: &[Mark], those: Range<usize>, moved: Moved) {
        let first = self.read.marks.len();
        for mark in &all[those.clone()] {
            let place = moved.place(mark.place);
            // Two partners among them stay as far from each other as they are.
            if those.contains(&mark.partner) {
                let partner = mark.partner - those.start + first;
                self.read.marks.push(Mark { place, partner, ..mark.clone() });
                continue;
            }
            let is_closing = mark.partner < those.start;
            let mark = Mark { place, ..mark.clone() };
            let problem = if is_closing { self.close(mark) } else { self.open(mark) };
            self.note(place.line, problem);
        }
    }

    fn note(&mut self, line: usize, problem: Option<ProblemKind>) {
        self.read.problems.extend(problem.map(|kind| Problem { line, kind }));
    }

    fn open(&mut self, mark: Mark) -> Option<ProblemKind> {
        let inner = self.current.inner(self.read.marks.len(), &self.bytes[mark.name()]);
        let too_long = self.current.is_too_long(inner.path_length);
        self.around.push(std::mem::replace(&mut self.current, inner));
        self.read.marks.push(mark);
        too_long.then_some(ProblemKind::PathTooLong)
    }

    fn close(&mut self, mark: Mark) -> Option<ProblemKind> {
        let Some(outer) = self.around.pop() else {
            return Some(ProblemKind::UnexpectedClosing);
        };
        self.end(mark);
        self.current = outer;
        None
    }

    /// The end of the current section.
    fn end(&mut self, mark: Mark) {
        let partner = self.current.at;
        self.read.marks[partner].partner = self.read.marks.len();
        self.read.marks.push(Mark { partner, ..mark });
    }

    fn key(&mut self, mark: Mark, storable: bool) -> Option<ProblemKind> {
        let length = self.current.path_length(mark.name.len());
        let fits = length >= SHORTEST_PATH && !self.current.is_too_long(length);
        self.read.marks.push(mark);
        (!fits || !storable || !self.current.storable).then_some(ProblemKind::BadKey)
    }

    /// Ends the text, behind the last line.
    pub(super) fn finish(mut self, end: Place) -> Read {
        let mark = Mark { place: end, ..Mark::default() };
        while let Some(outer) = self.around.pop() {
            let opened_at = self.read.marks[self.current.at].place.line;
            self.note(end.line - 1, Some(ProblemKind::MissingClosing { opened_at }));
            self.end(mark.clone());
            self.current = outer;
        }
        self.end(mark);
        self.read
    }
}
