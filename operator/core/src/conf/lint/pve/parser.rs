//! The tree that Proxmox VE's own parser makes of a corosync.conf (pve.md 2.1).
//!
//! Owns its grammar: words, not lines. A `#` ends its line wherever it stands, all white space is alike, a
//! section needs `{` as a word of its own, a key is a word that ends in `:` and takes the very next word.
//! Goes on behind whatever Proxmox VE stops at, so that a person hears of everything at once; the tree is
//! Proxmox VE's only when nothing was refused.

use std::collections::BTreeMap;

use crate::text::is_perl_space;

/// Nobody reads more complaints than this about one file, and a hostile one must not fill the memory.
const MOST_REFUSALS: usize = 50;

/// The sections that may be there more than once.
const LISTS: [&[u8]; 2] = [b"node", b"interface"];

/// A word of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a [u8],
    /// Counted from 1.
    pub(super) line: usize,
}

/// What a name stands for inside a section. Keys and sections share their names.
#[derive(Debug)]
enum Slot<'a> {
    Value(Word<'a>),
    Section(usize),
    List(Vec<usize>),
}

/// A key with its value, in the order of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Without the colon.
    pub(super) key: Word<'a>,
    pub(super) value: Word<'a>,
}

/// A section.
#[derive(Debug)]
struct Section<'a> {
    name: Word<'a>,
    slots: BTreeMap<&'a [u8], Slot<'a>>,
}

/// What Proxmox VE stops at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal<'a> {
    /// A word that should be a key has no colon at its end.
    NoColon { word: Word<'a>, because: NoColon<'a> },
    /// The file ends behind a key.
    NoValue { key: Word<'a> },
    /// A section, other than `node` and `interface`, whose name is taken, since `first`.
    Repeated { name: Word<'a>, first: usize },
    /// `}` with nothing open.
    UnexpectedClosing { line: usize },
    /// A key stands where a section has to.
    NotASection { name: &'a [u8], value: Word<'a> },
}

/// How a word without a colon came to stand where a key has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoColon<'a> {
    /// `totem{`.
    BraceAtName,
    /// `key:value`.
    NoSpaceBehind,
    /// `key : value`.
    SpaceBefore,
    /// `key: one two`.
    SecondWord { key: Word<'a> },
    /// The key before it had no value and took the word before this one.
    BehindEmptyValue { key: Word<'a> },
    /// Just a word.
    Stray,
}

/// What Proxmox VE makes of a file.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    /// The file itself at 0.
    sections: Vec<Section<'a>>,
    /// Every key with its value, in the order of the file.
    pub(super) entries: Vec<Entry<'a>>,
    /// What it stops at; it stops at the first.
    pub(super) refusals: Vec<Refusal<'a>>,
    /// The names of sections that end in a colon.
    pub(super) names_with_colon: Vec<Word<'a>>,
    /// The names of the sections that are still open at the end of the file, outermost first.
    pub(super) unclosed: Vec<Word<'a>>,
    /// What a later key of the same name takes the place of.
    pub(super) replaced: Vec<Replaced<'a>>,
}

/// A value or section whose place a later key takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced<'a> {
    pub(super) name: &'a [u8],
    pub(super) line: usize,
    /// The line of the later key.
    pub(super) by: usize,
    pub(super) is_section: bool,
}

/// A section of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'t, 'a> {
    tree: &'t Tree<'a>,
    at: usize,
}

impl<'a> Tree<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let mut parser = Parser::new(words(bytes));
        // Perl takes the text "0" for no text.
        while bytes != b"0" && parser.tree.refusals.len() < MOST_REFUSALS && parser.step() {}
        parser.finish()
    }

    pub(super) fn root(&self) -> View<'_, 'a> {
        View { tree: self, at: 0 }
    }
}

impl<'t, 'a> View<'t, 'a> {
    fn section(&self) -> &'t Section<'a> {
        &self.tree.sections[self.at]
    }

    /// The line of its name; 0 for the file itself.
    pub(super) fn line(&self) -> usize {
        self.section().name.line
    }

    pub(super) fn value(&self, key: &str) -> Option<Word<'a>> {
        match self.section().slots.get(key.as_bytes())? {
            Slot::Value(value) => Some(*value),
            Slot::Section(_) | Slot::List(_) => None,
        }
    }

    /// All keys that have a value, by name.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'a [u8], Word<'a>)> + use<'t, 'a> {
        self.section().slots.iter().filter_map(|(name, slot)| match slot {
            Slot::Value(value) => Some((*name, *value)),
            Slot::Section(_) | Slot::List(_) => None,
        })
    }

    pub(super) fn child(&self, name: &str) -> Option<Self> {
        match self.section().slots.get(name.as_bytes())? {
            Slot::Section(at) => Some(Self { tree: self.tree, at: *at }),
            Slot::Value(_) | Slot::List(_) => None,
        }
    }

    /// Everything inside that is a section.
    #[cfg(test)]
    pub(super) fn sections(&self) -> Vec<Self> {
        let inner = self.section().slots.values().flat_map(|slot| match slot {
            Slot::Section(at) => vec![*at],
            Slot::List(all) => all.clone(),
            Slot::Value(_) => Vec::new(),
        });
        inner.map(|at| Self { tree: self.tree, at }).collect()
    }

    #[cfg(test)]
    pub(super) fn name(&self) -> &'a [u8] {
        self.section().name.text
    }

    /// The `node` or `interface` sections, in the order of the file.
    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        match self.section().slots.get(name.as_bytes()) {
            Some(Slot::List(all)) => {
                all.iter().map(|at| Self { tree: self.tree, at: *at }).collect()
            }
            Some(Slot::Value(_) | Slot::Section(_)) | None => Vec::new(),
        }
    }
}

/// The words of a file. No word is longer than a line.
fn words(bytes: &[u8]) -> Vec<Word<'_>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let words = lines.flat_map(|(at, line)| {
        let text = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words = text.split(|byte| is_perl_space(*byte)).filter(|word| !word.is_empty());
        words.map(move |text| Word { text, line: at + 1 })
    });
    words.collect()
}

struct Parser<'a> {
    words: Vec<Word<'a>>,
    next: usize,
    /// The sections that are open, outermost first, without the file itself.
    open: Vec<usize>,
    tree: Tree<'a>,
}

impl<'a> Parser<'a> {
    fn new(words: Vec<Word<'a>>) -> Self {
        let file = Section { name: Word { text: b"", line: 0 }, slots: BTreeMap::new() };
        let tree = Tree {
            sections: vec![file],
            entries: Vec::new(),
            refusals: Vec::new(),
            names_with_colon: Vec::new(),
            unclosed: Vec::new(),
            replaced: Vec::new(),
        };
        Self { words, next: 0, open: Vec::new(), tree }
    }

    fn take(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.next).copied()
    }

    /// Takes one section's name, closing brace or key; whether there was one.
    fn step(&mut self) -> bool {
        let Some(word) = self.take() else { return false };
        let behind = self.peek();
        if behind.is_some_and(|behind| behind.text == b"{") {
            self.next += 1;
            self.open(word);
        } else if word.text == b"}" {
            if self.open.pop().is_none() {
                self.tree.refusals.push(Refusal::UnexpectedClosing { line: word.line });
            }
        } else if let Some(text) = word.text.strip_suffix(b":") {
            let key = Word { text, ..word };
            match self.take() {
                Some(value) => self.key(Entry { key, value }),
                None => self.tree.refusals.push(Refusal::NoValue { key }),
            }
        } else {
            self.no_colon(word);
        }
        true
    }

    fn current(&self) -> usize {
        self.open.last().copied().unwrap_or(0)
    }

    fn open(&mut self, name: Word<'a>) {
        let (parent, at) = (self.current(), self.tree.sections.len());
        if let Some(refusal) = self.name_taken(parent, name) {
            self.tree.refusals.push(refusal);
        } else {
            let list = LISTS.contains(&name.text);
            let new = if list { Slot::List(Vec::new()) } else { Slot::Section(at) };
            let slots = &mut self.tree.sections[parent].slots;
            if let Slot::List(all) = slots.entry(name.text).or_insert(new) {
                all.push(at);
            }
        }
        self.tree.names_with_colon.extend(name.text.ends_with(b":").then_some(name));
        self.tree.sections.push(Section { name, slots: BTreeMap::new() });
        self.open.push(at);
    }

    fn name_taken(&self, parent: usize, name: Word<'a>) -> Option<Refusal<'a>> {
        match self.tree.sections[parent].slots.get(name.text)? {
            Slot::List(_) => None,
            Slot::Value(value) if LISTS.contains(&name.text) => {
                Some(Refusal::NotASection { name: name.text, value: *value })
            }
            Slot::Value(Word { line: first, .. }) => {
                Some(Refusal::Repeated { name, first: *first })
            }
            Slot::Section(at) => {
                Some(Refusal::Repeated { name, first: self.tree.sections[*at].name.line })
            }
        }
    }

    fn key(&mut self, entry: Entry<'a>) {
        let (current, Entry { key, value }) = (self.current(), entry);
        let slots = &mut self.tree.sections[current].slots;
        let gone = slots.insert(key.text, Slot::Value(value));
        let line = gone.as_ref().map(|slot| match slot {
            Slot::Value(value) => value.line,
            Slot::Section(at) => self.tree.sections[*at].name.line,
            Slot::List(all) => self.tree.sections[all[0]].name.line,
        });
        if let Some(line) = line {
            let is_section = !matches!(gone, Some(Slot::Value(_)));
            let replaced = Replaced { name: key.text, line, by: key.line, is_section };
            self.tree.replaced.push(replaced);
        }
        self.tree.entries.push(entry);
    }

    /// Notes a word without a colon, and skips what belongs to it, as a person sees it.
    fn no_colon(&mut self, word: Word<'a>) {
        let because = self.why_no_colon(word);
        self.tree.refusals.push(Refusal::NoColon { word, because });
        match because {
            NoColon::BraceAtName => {
                if let Some(text) = word.text.strip_suffix(b"{") {
                    self.open(Word { text, ..word });
                }
            }
            NoColon::SpaceBefore | NoColon::SecondWord { .. } | NoColon::Stray => {
                let rest = self.words[self.next..].iter();
                let same_line = |next: &&Word<'_>| next.line == word.line && next.text != b"}";
                self.next += rest.take_while(same_line).count();
            }
            NoColon::NoSpaceBehind | NoColon::BehindEmptyValue { .. } => {}
        }
    }

    fn why_no_colon(&self, word: Word<'a>) -> NoColon<'a> {
        if word.text.contains(&b'{') {
            return NoColon::BraceAtName;
        }
        if word.text.contains(&b':') {
            return NoColon::NoSpaceBehind;
        }
        let colon = |next: Word<'_>| next.line == word.line && next.text.starts_with(b":");
        if self.peek().is_some_and(colon) {
            return NoColon::SpaceBefore;
        }
        match self.tree.entries.last() {
            Some(Entry { key, value }) if value.line == word.line && key.line == word.line => {
                NoColon::SecondWord { key: *key }
            }
            Some(Entry { key, value }) if value.line == word.line => {
                NoColon::BehindEmptyValue { key: *key }
            }
            Some(_) | None => NoColon::Stray,
        }
    }

    fn finish(mut self) -> Tree<'a> {
        let name = |at: &usize| self.tree.sections[*at].name;
        self.tree.unclosed = self.open.iter().map(name).collect();
        if self.tree.refusals.is_empty() {
            let misplaced = self.misplaced();
            self.tree.refusals.extend(misplaced);
        }
        self.tree
    }

    /// Proxmox VE looks into `nodelist` and `totem` of every file that it could parse.
    fn misplaced(&self) -> Option<Refusal<'a>> {
        let root = self.tree.root();
        [("nodelist", "node"), ("totem", "interface")].into_iter().find_map(|(section, list)| {
            let inner = root.child(section).and_then(|inner| inner.value(list));
            let refusal = |name: &'static str| {
                move |value| Refusal::NotASection { name: name.as_bytes(), value }
            };
            root.value(section).map(refusal(section)).or(inner.map(refusal(list)))
        })
    }
}
