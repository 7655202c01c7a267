//! The bytes of a corosync.conf and the sections and keys that corosync sees in them.
//!
//! Owns the bytes. Never changes them: an edit makes a new document from spliced bytes, so that
//! whatever it does not touch (comments, order, white space, CRLF, unknown keys, text that is not
//! UTF-8) stays as it is.

use std::fmt;
use std::ops::Range;

use super::reader::{Mark, Place, Read, Reader};
use super::scan::{Problem, Rare};
use crate::text::lines;

/// A corosync.conf, kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Vec<u8>,
    /// In file order, sections inside each other or not: a hostile file cannot nest us to death. The file
    /// itself is the first and the last.
    marks: Vec<Mark>,
    problems: Vec<Problem>,
}

impl Document {
    /// Takes any bytes. What corosync would refuse in them is in [`Document::problems`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        // A line of fewer bytes than this is rare, and most lines are keys.
        let mut reader = Reader::new(bytes, bytes.len() / 20);
        let (mut rare, mut place) = (Rare::new(bytes), Place::FIRST);
        for line in lines(bytes) {
            reader.take(place, line.len(), rare.is_before(line.end));
            place = place.next(line.len());
        }
        Self::of(bytes.to_vec(), reader.finish(place))
    }

    /// The document of bytes that somebody has read.
    pub(super) fn of(bytes: Vec<u8>, Read { marks, problems }: Read) -> Self {
        Self { bytes, marks, problems }
    }

    /// The lines of keys, and those that open or close a section.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn value_in(&self, mark: &Mark) -> Value<'_> {
        Value { bytes: &self.bytes[mark.value()], line: mark.place().line }
    }

    /// The end of the text, behind its last line.
    pub(super) fn end(&self) -> Place {
        self.root().close().place()
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

    /// What corosync's parser would stop at, in file order. It stops at the first; an editor
    /// wants them all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file itself as a section: its sections are the top-level ones.
    #[must_use]
    pub fn root(&self) -> SectionView<'_> {
        SectionView { document: self, at: 0 }
    }

    /// The first top-level section of this name, if there is one.
    #[must_use]
    pub fn top(&self, name: &str) -> Option<SectionView<'_>> {
        self.root().sections(name).next()
    }

    /// The section at a path, if it is there.
    #[must_use]
    pub fn section(&self, path: &SectionPath) -> Option<SectionView<'_>> {
        path.steps
            .iter()
            .try_fold(self.root(), |view, step| view.sections(&step.name).nth(step.nth))
    }

    /// The value of a key in the section at a path. Of a repeated key the last one counts, for
    /// corosync and for Proxmox VE alike (pve.md 2.1, 2.2).
    #[must_use]
    pub fn value(&self, path: &SectionPath, key: &str) -> Option<Value<'_>> {
        self.section(path)?.value(key)
    }
}

/// Where a section stands: names from the top, each with its place among those of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: String,
    nth: usize,
}

impl SectionPath {
    /// The file itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The first top-level section of this name.
    #[must_use]
    pub fn top(name: &str) -> Self {
        Self::root().child(name, 0)
    }

    /// The `nth` section of this name inside, counted from 0.
    #[must_use]
    pub fn child(mut self, name: &str, nth: usize) -> Self {
        self.steps.push(Step { name: name.to_owned(), nth });
        self
    }
}

impl fmt::Display for SectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{}", step.name)?;
            if step.nth > 0 {
                write!(f, "[{}]", step.nth)?;
            }
        }
        Ok(())
    }
}

/// A value as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The bytes as corosync takes them: surrounding white space gone, a trailing `# comment` not.
    pub bytes: &'a [u8],
    /// The line, counted from 1.
    pub line: usize,
}

/// A section of a document, for reading.
#[derive(Debug, Clone, Copy)]
pub struct SectionView<'a> {
    document: &'a Document,
    at: usize,
}

impl<'a> SectionView<'a> {
    pub(super) fn document(&self) -> &'a Document {
        self.document
    }

    /// The line that opens it; nothing before the first line for the file itself.
    pub(super) fn open(&self) -> &'a Mark {
        &self.document.marks[self.at]
    }

    /// The line that closes it; nothing behind the last line for the file itself, and where none was found.
    pub(super) fn close(&self) -> &'a Mark {
        &self.document.marks[self.open().partner()]
    }

    /// The lines of its keys, in file order.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = &'a Mark> + use<'a> {
        let marks = &self.document.marks;
        self.inside().filter(|at| marks[*at].partner() == *at).map(|at| &marks[at])
    }

    fn inside(&self) -> Inside<'a> {
        Inside { marks: &self.document.marks, left: self.at + 1..self.open().partner() }
    }

    /// The name as written; empty for the file itself.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        &self.document.bytes[self.open().name()]
    }

    /// The line that opens it, counted from 1; 0 for the file itself.
    #[must_use]
    pub fn line(&self) -> usize {
        self.open().place().line
    }

    /// Whether the line that closes it was found; the file itself has none.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.close().span().is_empty()
    }

    /// The sections directly inside, in file order.
    #[must_use]
    pub fn all_sections(&self) -> impl DoubleEndedIterator<Item = SectionView<'a>> + use<'a> {
        let document = self.document;
        let is_section = |at: &usize| document.marks[*at].partner() != *at;
        self.inside().filter(is_section).map(|at| SectionView { document, at })
    }

    /// The sections of this name directly inside, in file order.
    #[must_use]
    pub fn sections<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = SectionView<'a>> + use<'a, 'n> {
        let is_it = move |section: &SectionView<'a>| {
            section.open().is_named(name.as_bytes(), &section.document.bytes)
        };
        self.all_sections().filter(is_it)
    }

    /// The value of a key; of a repeated key the last one, which is the one in force.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.place(key).map(|mark| self.document.value_in(mark))
    }

    /// The line that has such a value.
    pub(super) fn place(&self, key: &str) -> Option<&'a Mark> {
        let bytes = &self.document.bytes;
        self.places().rfind(|mark| mark.is_named(key.as_bytes(), bytes))
    }

    /// All keys with their values, in file order, repeated ones included.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        let document = self.document;
        self.places().map(|mark| (&document.bytes[mark.name()], document.value_in(mark)))
    }
}

/// The marks directly inside a section: its keys, and the lines that open its sections.
#[derive(Debug)]
struct Inside<'a> {
    marks: &'a [Mark],
    left: Range<usize>,
}

impl Iterator for Inside<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.left.start;
        (at < self.left.end).then(|| {
            self.left.start = self.marks[at].partner() + 1;
            at
        })
    }
}

impl DoubleEndedIterator for Inside<'_> {
    fn next_back(&mut self) -> Option<usize> {
        (self.left.start < self.left.end).then(|| {
            self.left.end = self.marks[self.left.end - 1].partner();
            self.left.end
        })
    }
}
