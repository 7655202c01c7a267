//! Splices for a document: what an edit replaces, inserts and takes out.
//!
//! Owns the style of new lines: indentation and line end are those of the neighbours. All that it puts
//! in or takes out are whole lines, so that the others need no second look.

use std::borrow::Cow;

use memchr::memrchr;

use super::document::{Document, SectionView};
use super::reader::{Mark, Moved, Place, Reader};
use crate::text::{Spliced, Splices, line_end};

/// Changes of a document, collected first and made in one pass.
#[derive(Debug)]
pub(super) struct Patch<'d> {
    document: &'d Document,
    splices: Splices,
}

impl<'d> Patch<'d> {
    pub(super) fn of(document: &'d Document) -> Self {
        Self { document, splices: Splices::default() }
    }

    /// Puts a value in the place of a key's value; spacing around it stays.
    pub(super) fn replace_value(&mut self, key: &Mark, value: &str) {
        let (bytes, line, old) = (self.document.as_bytes(), key.span(), key.value());
        // PVE needs a space behind the colon; a key without value may have none to keep.
        let space = if old.is_empty() { " " } else { "" };
        let (before, after) = (&bytes[line.start..old.start], &bytes[old.end..line.end]);
        self.splices.replace(line, &[before, space.as_bytes(), value.as_bytes(), after]);
    }

    /// Takes a line out.
    pub(super) fn remove(&mut self, line: &Mark) {
        self.splices.remove(line.span());
    }

    /// Takes a section out, with everything inside.
    pub(super) fn remove_section(&mut self, view: &SectionView<'_>) {
        self.splices.remove(view.open().span().start..view.close().span().end);
    }

    /// Adds keys behind a key of the section, in the style of that key's line.
    pub(super) fn insert_behind<S: AsRef<str>>(&mut self, key: &Mark, pairs: &[(&str, S)]) {
        let style = Style::of_line(&self.document.as_bytes()[key.span()]);
        self.insert_pairs(key.span().end, &style, pairs);
    }

    /// Adds keys behind the last key of a section, or at its beginning when it has none.
    pub(super) fn insert_keys<S: AsRef<str>>(
        &mut self,
        view: &SectionView<'_>,
        pairs: &[(&str, S)],
    ) {
        if let Some(last) = view.places().next_back() {
            return self.insert_behind(last, pairs);
        }
        self.insert_pairs(view.open().span().end, &Style::inside(view), pairs);
    }

    /// Adds sections of one name at the end of a section: behind the last one of that name and in
    /// its style, or before the closing line.
    pub(super) fn append_sections<S: AsRef<str>>(
        &mut self,
        parent: &SectionView<'d>,
        name: &str,
        sections: &[Vec<(&str, S)>],
    ) {
        let (document, bytes) = (self.document, self.document.as_bytes());
        let (at, style, inner) = if let Some(sibling) = parent.sections(name).next_back() {
            let style = Style::of_line(&bytes[sibling.open().span()]);
            (sibling.close().span().end, style, Style::inside(&sibling))
        } else {
            let style = Style::inside(parent);
            (parent.close().span().start, style.clone(), style.deeper(unit(document)))
        };
        self.begin_line(at);
        for pairs in sections {
            self.insert_line(at, &style, [name, " {", ""]);
            self.insert_lines(at, &inner, pairs);
            self.insert_line(at, &style, ["}", "", ""]);
        }
    }

    fn insert_pairs<S: AsRef<str>>(&mut self, at: usize, style: &Style<'_>, pairs: &[(&str, S)]) {
        self.begin_line(at);
        self.insert_lines(at, style, pairs);
    }

    /// Ends the line before: the last one of a file may lack its end.
    fn begin_line(&mut self, at: usize) {
        let bytes = self.document.as_bytes();
        if at > 0 && bytes[at - 1] != b'\n' {
            let start = memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
            self.splices.replace(start..at, &[&bytes[start..at], b"\n"]);
        }
    }

    fn insert_lines<S: AsRef<str>>(&mut self, at: usize, style: &Style<'_>, pairs: &[(&str, S)]) {
        for (key, value) in pairs {
            self.insert_line(at, style, [key, ": ", value.as_ref()]);
        }
    }

    fn insert_line(&mut self, at: usize, style: &Style<'_>, [one, two, three]: [&str; 3]) {
        let words = [one.as_bytes(), two.as_bytes(), three.as_bytes()];
        let parts = [&style.indentation, words[0], words[1], words[2], style.line_end];
        self.splices.insert(at, &parts);
    }

    /// The document with all changes made: the same as parsing its bytes, for a fraction of the time,
    /// because lines that stay are not looked at again. No two changes are of the same line.
    pub(super) fn apply(self) -> Document {
        let Self { document, splices } = self;
        let Spliced { bytes, changes } = splices.apply(document.as_bytes());
        // Without the file itself, which is the first and the last.
        let (old, end) = (document.marks(), document.marks().len() - 1);
        let mut reader = Reader::new(&bytes, old.len() + changes.len());
        let (mut at, mut moved) = (1, Moved { from: Place::FIRST, to: Place::FIRST });
        for (gone, come) in changes {
            let up_to = |place: usize, at: usize| {
                at + old[at..end].partition_point(|mark| mark.place().start < place)
            };
            let kept = at..up_to(gone.start, at);
            at = up_to(gone.end, kept.end);
            let known = old[kept.clone()].last().map_or(moved.from, Mark::next);
            reader.keep(old, kept, moved);

            let from = known.behind(&document.as_bytes()[known.start..gone.start]);
            let mut to = moved.place(from);
            // What comes is one line, or nothing.
            if !come.is_empty() {
                reader.take(to, come.len(), true);
                to = to.next(come.len());
            }
            moved = Moved { from: from.behind(&document.as_bytes()[gone]), to };
        }
        reader.keep(old, at..end, moved);
        let read = reader.finish(moved.place(document.end()));
        Document::of(bytes, read)
    }
}

/// How a new line looks.
#[derive(Debug, Clone)]
struct Style<'d> {
    indentation: Cow<'d, [u8]>,
    line_end: &'static [u8],
}

impl<'d> Style<'d> {
    /// The style of an existing line.
    fn of_line(line: &'d [u8]) -> Self {
        let blank = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        Self { indentation: Cow::Borrowed(&line[..blank]), line_end: line_end(line) }
    }

    /// The style of the lines directly inside a section.
    fn inside(view: &SectionView<'d>) -> Self {
        let document = view.document();
        let line = |mark: &Mark| Self::of_line(&document.as_bytes()[mark.span()]);
        match view.places().next_back() {
            Some(key) => line(key),
            None if view.line() == 0 => line(view.open()),
            None => line(view.open()).deeper(unit(document)),
        }
    }

    fn deeper(&self, unit: &[u8]) -> Self {
        let indentation = Cow::Owned([&self.indentation, unit].concat());
        Self { indentation, line_end: self.line_end }
    }
}

/// One step of indentation: that of the first key in a top-level section, else two spaces, as
/// Proxmox VE writes.
fn unit(document: &Document) -> &[u8] {
    let bytes = document.as_bytes();
    let first = document.root().all_sections().find_map(|view| view.places().next());
    let blank = |line: &[u8]| line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match first.map(|key| &bytes[key.span()][..blank(&bytes[key.span()])]) {
        Some(indentation) if !indentation.is_empty() => indentation,
        _ => b"  ",
    }
}
