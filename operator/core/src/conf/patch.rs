//! Splices for a document: what an edit replaces, inserts and takes out.
//!
//! Owns the style of new lines: indentation and line end are those of the neighbours.

use std::borrow::Cow;
use std::ops::Range;

use super::document::{Document, Key, SectionView};
use crate::text::{Splices, line_end};

/// Byte splices, collected first and applied in one pass.
#[derive(Debug, Default)]
pub(super) struct Patch {
    splices: Splices,
}

/// A `key: value` pair to be written.
pub(super) type Pair = (String, String);

impl Patch {
    /// Puts a value in the place of a key's value; spacing around it stays.
    pub(super) fn replace_value(&mut self, key: &Key, value: &str) {
        // PVE needs a space behind the colon; a key without value may have none to keep.
        let space = if key.value().is_empty() { " " } else { "" };
        self.splices.replace(key.value(), &[space.as_bytes(), value.as_bytes()]);
    }

    /// Takes bytes out.
    pub(super) fn remove(&mut self, span: Range<usize>) {
        self.splices.remove(span);
    }

    /// Adds keys behind a key of the section, in the style of that key's line.
    pub(super) fn insert_behind<S: AsRef<str>>(
        &mut self,
        document: &Document,
        key: &Key,
        pairs: &[(S, S)],
    ) {
        let style = Style::of_line(&document.as_bytes()[key.span()]);
        self.insert_pairs(key.span().end, &style, pairs);
    }

    /// Adds keys behind the last key of a section, or at its beginning when it has none.
    pub(super) fn insert_keys<S: AsRef<str>>(&mut self, view: &SectionView<'_>, pairs: &[(S, S)]) {
        if let Some(last) = view.places().last() {
            return self.insert_behind(view.document(), last, pairs);
        }
        self.insert_pairs(view.section().open.end, &Style::inside(view), pairs);
    }

    /// Adds sections of one name at the end of a section: behind the last one of that name and in
    /// its style, or before the closing line.
    pub(super) fn append_sections(
        &mut self,
        parent: &SectionView<'_>,
        name: &str,
        sections: &[Vec<Pair>],
    ) {
        let (document, bytes) = (parent.document(), parent.document().as_bytes());
        let (at, style, inner) = if let Some(sibling) = parent.sections(name).next_back() {
            let section = sibling.section();
            let style = Style::of_line(&bytes[section.open.clone()]);
            (section.close.end, style, Style::inside(&sibling))
        } else {
            let style = Style::inside(parent);
            (parent.section().close.start, style.clone(), style.deeper(unit(document)))
        };
        for pairs in sections {
            self.insert_line(at, &style, [name, " {", ""]);
            self.insert_pairs(at, &inner, pairs);
            self.insert_line(at, &style, ["}", "", ""]);
        }
    }

    fn insert_pairs<S: AsRef<str>>(&mut self, at: usize, style: &Style<'_>, pairs: &[(S, S)]) {
        for (key, value) in pairs {
            self.insert_line(at, style, [key.as_ref(), ": ", value.as_ref()]);
        }
    }

    fn insert_line(&mut self, at: usize, style: &Style<'_>, [one, two, three]: [&str; 3]) {
        let words = [one.as_bytes(), two.as_bytes(), three.as_bytes()];
        let parts = [&style.indentation, words[0], words[1], words[2], style.line_end];
        self.splices.insert(at, &parts);
    }

    /// The document with all splices made. They must not overlap.
    pub(super) fn apply(self, document: &Document) -> Document {
        Document::parse(&self.splices.apply(document.as_bytes()))
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
        let line = |span: &Range<usize>| Self::of_line(&document.as_bytes()[span.clone()]);
        match view.places().last() {
            Some(key) => line(&key.span()),
            None => line(&view.section().open).deeper(unit(document)),
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
    let first = document.root().all_sections().find_map(|view| view.places().first());
    let blank = |line: &[u8]| line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match first.map(|key| &bytes[key.span()][..blank(&bytes[key.span()])]) {
        Some(indentation) if !indentation.is_empty() => indentation,
        _ => b"  ",
    }
}
