//! The bytes of a corosync.conf and the sections and keys that corosync sees in them.
//!
//! Owns the bytes. Never changes them: an edit makes a new document from spliced bytes, so that
//! whatever it does not touch (comments, order, white space, CRLF, unknown keys, text that is not
//! UTF-8) stays as it is.

use std::fmt;
use std::ops::Range;

use super::scan::{Line, Problem, ProblemKind, Rare, is_storable, scan};
use super::values::is_plain;
use crate::text::lines;

/// The shortest and longest name that cmap stores (measured with corosync 3.1.7).
const SHORTEST_PATH: usize = 3;
const LONGEST_PATH: usize = 254;

/// A line of this many bytes, terminator included, is taken by corosync whatever is in it.
const SAFE_LINE: usize = 500;

/// A corosync.conf, kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Vec<u8>,
    /// Flat, parents before children, the root at 0: a hostile file cannot nest us to death.
    sections: Vec<Section>,
    /// Those of one section stand together, in file order.
    keys: Vec<Key>,
    problems: Vec<Problem>,
}

/// A section's place in the bytes. The root has no lines of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Section {
    name: Range<usize>,
    /// Line number of the opening line, from 1; 0 for the root.
    line: usize,
    /// The opening line with its terminator.
    pub(super) open: Range<usize>,
    /// The closing line with its terminator; empty while none was found.
    pub(super) close: Range<usize>,
    /// Where its keys stand among the document's.
    keys: Range<usize>,
    children: Vec<usize>,
}

/// A key's place in the bytes. Most of a document is keys, and a line of one is short: what is in it is
/// counted from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    start: usize,
    length: u16,
    name: Range<u16>,
    value: Range<u16>,
    line: usize,
    section: usize,
}

impl Key {
    /// The whole line with its terminator.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.start + usize::from(self.length)
    }

    pub(super) fn name(&self) -> Range<usize> {
        self.place(&self.name)
    }

    pub(super) fn value(&self) -> Range<usize> {
        self.place(&self.value)
    }

    fn place(&self, within: &Range<u16>) -> Range<usize> {
        self.start + usize::from(within.start)..self.start + usize::from(within.end)
    }
}

/// A place in a line that corosync takes.
fn in_line(at: usize) -> u16 {
    u16::try_from(at).expect("the lines that corosync takes have at most 511 bytes")
}

impl Document {
    /// Takes any bytes. What corosync would refuse in them is in [`Document::problems`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        for (at, span) in lines(bytes).enumerate() {
            reader.take(at + 1, &span);
        }
        reader.finish()
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

    /// The document with another value in the place of a key's: the same as parsing the changed bytes,
    /// for a fraction of the time. `None` where more than that value would change: it was empty, the
    /// line gets too long, or the document has problems.
    pub(super) fn with_value(&self, key: &Key, value: &str) -> Option<Self> {
        let (old, new) = (key.value(), value.len());
        let length = usize::from(key.length) - old.len() + new;
        if old.is_empty()
            || length > SAFE_LINE
            || !is_plain(value.as_bytes())
            || !self.problems.is_empty()
        {
            return None;
        }
        let mut edited = self.clone();
        edited.bytes.splice(old.clone(), value.bytes());
        if new == old.len() {
            return Some(edited);
        }
        // Bounds up to the value's first byte stay; those behind it move along.
        let moved =
            |at: &mut usize| *at = if *at > old.start { *at - old.len() + new } else { *at };
        for section in &mut edited.sections {
            for range in [&mut section.name, &mut section.open, &mut section.close] {
                moved(&mut range.start);
                moved(&mut range.end);
            }
        }
        for other in &mut edited.keys {
            if other.start == key.start {
                other.value.end = other.value.start + in_line(new);
                other.length = in_line(length);
            }
            moved(&mut other.start);
        }
        Some(edited)
    }

    /// The file itself as a section: its sections are the top-level ones.
    #[must_use]
    pub fn root(&self) -> SectionView<'_> {
        SectionView { document: self, at: 0 }
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

/// Builds the sections line by line.
struct Reader<'a> {
    bytes: &'a [u8],
    rare: Rare<'a>,
    sections: Vec<Section>,
    keys: Vec<Key>,
    problems: Vec<Problem>,
    /// The sections that are open, outermost first.
    open: Vec<Open>,
    lines: usize,
}

/// An open section with what its cmap name means for the keys inside.
#[derive(Clone, Copy)]
struct Open {
    at: usize,
    path_length: usize,
    storable: bool,
}

impl Open {
    /// The length of the cmap name of something inside.
    fn path_length(self, name: &Range<usize>) -> usize {
        if self.at == 0 { name.len() } else { self.path_length + 1 + name.len() }
    }
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let sections = vec![Section::default()];
        // A line of fewer bytes than this is rare, and most lines are keys.
        let keys = Vec::with_capacity(bytes.len() / 20);
        let rare = Rare::new(bytes);
        Self { bytes, rare, sections, keys, problems: Vec::new(), open: Vec::new(), lines: 0 }
    }

    fn take(&mut self, number: usize, span: &Range<usize>) {
        self.lines = number;
        let shifted = |range: Range<usize>| span.start + range.start..span.start + range.end;
        let problem = match scan(&self.bytes[span.clone()], self.rare.is_before(span.end)) {
            Line::Ignored => None,
            Line::Open { name, problem } => {
                let too_long = self.open(number, span, shifted(name));
                problem.or(too_long)
            }
            Line::Close { problem } => problem.or(self.close(span)),
            Line::Key { name, value } => {
                let current = self.current();
                let within = |range: Range<usize>| in_line(range.start)..in_line(range.end);
                let key = Key {
                    start: span.start,
                    length: in_line(span.len()),
                    name: within(name),
                    value: within(value),
                    line: number,
                    section: current.at,
                };
                self.key(key, current)
            }
            Line::Bad(kind) => Some(kind),
        };
        self.problems.extend(problem.map(|kind| Problem { line: number, kind }));
    }

    fn current(&self) -> Open {
        let root = Open { at: 0, path_length: 0, storable: true };
        self.open.last().copied().unwrap_or(root)
    }

    fn open(
        &mut self,
        line: usize,
        span: &Range<usize>,
        name: Range<usize>,
    ) -> Option<ProblemKind> {
        let (parent, at) = (self.current(), self.sections.len());
        let storable = parent.storable && is_storable(&self.bytes[name.clone()]);
        let path_length = parent.path_length(&name);
        self.open.push(Open { at, path_length, storable });
        self.sections[parent.at].children.push(at);
        self.sections.push(Section { name, line, open: span.clone(), ..Section::default() });
        // corosync adds 1 for the dot at the top as well.
        let counted = path_length + usize::from(parent.at == 0);
        (counted > LONGEST_PATH).then_some(ProblemKind::PathTooLong)
    }

    fn close(&mut self, span: &Range<usize>) -> Option<ProblemKind> {
        let Some(Open { at, .. }) = self.open.pop() else {
            return Some(ProblemKind::UnexpectedClosing);
        };
        self.sections[at].close = span.clone();
        None
    }

    fn key(&mut self, key: Key, current: Open) -> Option<ProblemKind> {
        let name = key.name();
        let length = current.path_length(&name);
        let fits = length >= SHORTEST_PATH && length + usize::from(current.at == 0) <= LONGEST_PATH;
        let storable = current.storable && is_storable(&self.bytes[name]);
        self.keys.push(key);
        (!fits || !storable).then_some(ProblemKind::BadKey)
    }

    fn finish(mut self) -> Document {
        while let Some(Open { at, .. }) = self.open.pop() {
            let kind = ProblemKind::MissingClosing { opened_at: self.sections[at].line };
            self.problems.push(Problem { line: self.lines, kind });
        }
        let Self { bytes, mut sections, mut keys, problems, .. } = self;
        keys.sort_by_key(|key| key.section);
        let mut start = 0;
        for keys in keys.chunk_by(|one, other| one.section == other.section) {
            sections[keys[0].section].keys = start..start + keys.len();
            start += keys.len();
        }
        Document { bytes: bytes.to_vec(), sections, keys, problems }
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
    pub(super) fn section(&self) -> &'a Section {
        &self.document.sections[self.at]
    }

    pub(super) fn document(&self) -> &'a Document {
        self.document
    }

    /// Where its keys stand in the bytes, in file order.
    pub(super) fn places(&self) -> &'a [Key] {
        &self.document.keys[self.section().keys.clone()]
    }

    /// The name as written; empty for the file itself.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        &self.document.bytes[self.section().name.clone()]
    }

    /// The line that opens it, counted from 1; 0 for the file itself.
    #[must_use]
    pub fn line(&self) -> usize {
        self.section().line
    }

    /// Whether the line that closes it was found; the file itself has none.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.section().close.is_empty()
    }

    /// The sections directly inside, in file order.
    #[must_use]
    pub fn all_sections(&self) -> impl DoubleEndedIterator<Item = SectionView<'a>> + use<'a> {
        let document = self.document;
        self.section().children.iter().map(move |at| SectionView { document, at: *at })
    }

    /// The sections of this name directly inside, in file order.
    #[must_use]
    pub fn sections<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = SectionView<'a>> + use<'a, 'n> {
        self.all_sections().filter(move |section| section.name() == name.as_bytes())
    }

    /// The value of a key; of a repeated key the last one, which is the one in force.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.keys().rfind(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// All keys with their values, in file order, repeated ones included.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        let bytes = &self.document.bytes;
        self.places().iter().map(move |key| {
            let value = Value { bytes: &bytes[key.value()], line: key.line };
            (&bytes[key.name()], value)
        })
    }
}
