//! Splices for a document: what an edit replaces, inserts and takes out.
//!
//! Owns the style of new lines: indentation and line end are those of the neighbours.

use std::borrow::Cow;
use std::ops::Range;

use super::document::{Document, Key, SectionView};

/// Byte splices, collected first and applied in one pass.
#[derive(Debug, Default)]
pub(super) struct Patch {
    splices: Vec<(Range<usize>, Vec<u8>)>,
}

/// A `key: value` pair to be written.
pub(super) type Pair = (String, String);

impl Patch {
    /// Puts a value in the place of a key's value; spacing around it stays.
    pub(super) fn replace_value(&mut self, key: &Key, value: &str) {
        // PVE needs a space behind the colon; a key without value may have none to keep.
        let space = if key.value.is_empty() { " " } else { "" };
        self.splices.push((key.value.clone(), format!("{space}{value}").into_bytes()));
    }

    /// Takes bytes out.
    pub(super) fn remove(&mut self, span: Range<usize>) {
        self.splices.push((span, Vec::new()));
    }

    /// Adds a key behind a key of the section, in the style of that key's line.
    pub(super) fn insert_behind(&mut self, document: &Document, key: &Key, pair: (&str, &str)) {
        let style = Style::of_line(&document.as_bytes()[key.span.clone()]);
        self.insert(key.span.end, style.pairs(&[pair]));
    }

    /// Adds a key behind the last key of a section, or at its beginning when it has none.
    pub(super) fn insert_key(&mut self, view: &SectionView<'_>, pair: (&str, &str)) {
        if let Some(last) = view.places().last() {
            return self.insert_behind(view.document(), last, pair);
        }
        self.insert(view.section().open.end, Style::inside(view).pairs(&[pair]));
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
            let mut text = style.line(&[name, " {"]);
            text.extend(inner.pairs(pairs));
            text.extend(style.line(&["}"]));
            self.insert(at, text);
        }
    }

    fn insert(&mut self, at: usize, text: Vec<u8>) {
        self.splices.push((at..at, text));
    }

    /// The document with all splices made. They must not overlap.
    pub(super) fn apply(mut self, document: &Document) -> Document {
        let bytes = document.as_bytes();
        self.splices.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(bytes.len() + 256);
        let mut done = 0;
        for (span, text) in &self.splices {
            out.extend_from_slice(&bytes[done..span.start]);
            out.extend_from_slice(text);
            done = span.end;
        }
        out.extend_from_slice(&bytes[done..]);
        Document::parse(&out)
    }
}

/// How a new line looks.
#[derive(Debug, Clone)]
struct Style<'d> {
    indentation: Cow<'d, [u8]>,
    line_end: &'static str,
}

impl<'d> Style<'d> {
    /// The style of an existing line.
    fn of_line(line: &'d [u8]) -> Self {
        let blank = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_end = if line.ends_with(b"\r\n") { "\r\n" } else { "\n" };
        Self { indentation: Cow::Borrowed(&line[..blank]), line_end }
    }

    /// The style of the lines directly inside a section.
    fn inside(view: &SectionView<'d>) -> Self {
        let document = view.document();
        let line = |span: &Range<usize>| Self::of_line(&document.as_bytes()[span.clone()]);
        match view.places().last() {
            Some(key) => line(&key.span),
            None => line(&view.section().open).deeper(unit(document)),
        }
    }

    fn deeper(&self, unit: &[u8]) -> Self {
        let indentation = Cow::Owned([&self.indentation, unit].concat());
        Self { indentation, line_end: self.line_end }
    }

    fn line(&self, words: &[&str]) -> Vec<u8> {
        let mut line = self.indentation.to_vec();
        for word in words.iter().chain(&[self.line_end]) {
            line.extend_from_slice(word.as_bytes());
        }
        line
    }

    fn pairs<S: AsRef<str>>(&self, pairs: &[(S, S)]) -> Vec<u8> {
        pairs
            .iter()
            .flat_map(|(key, value)| self.line(&[key.as_ref(), ": ", value.as_ref()]))
            .collect()
    }
}

/// One step of indentation: that of the first key in a top-level section, else two spaces, as
/// Proxmox VE writes.
fn unit(document: &Document) -> &[u8] {
    let bytes = document.as_bytes();
    let first = document.root().all_sections().find_map(|view| view.places().first());
    let blank = |line: &[u8]| line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match first.map(|key| &bytes[key.span.start..key.span.start + blank(&bytes[key.span.clone()])])
    {
        Some(indentation) if !indentation.is_empty() => indentation,
        _ => b"  ",
    }
}
