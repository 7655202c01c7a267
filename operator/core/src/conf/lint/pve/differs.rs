//! What Proxmox VE takes a file for that corosync takes for something else.

use std::collections::BTreeMap;

use super::parser::{Entry, Tree, Word};
use super::{Finding, codes, finding, shown};
use crate::conf::lint::Effect;
use crate::conf::{Document, SectionView, Value};

/// Keys whose value says whether traffic is encrypted.
const CRYPTO: [&[u8]; 3] = [b"secauth", b"crypto_cipher", b"crypto_hash"];

/// A key as corosync takes it.
type Key<'a> = (&'a [u8], Value<'a>);

pub(super) fn findings(document: &Document, tree: &Tree<'_>) -> Vec<Finding> {
    let corosync = keys_by_line(document);
    let mut first_of_line: BTreeMap<usize, Entry<'_>> = BTreeMap::new();
    for entry in &tree.entries {
        first_of_line.entry(entry.key.line).or_insert(*entry);
    }
    let values = first_of_line
        .values()
        .filter_map(|entry| value(entry, corosync.get(&entry.key.line).copied()));
    let unclosed = unclosed(&tree.unclosed);
    values.chain(unclosed).chain(tree.names_with_colon.iter().map(name_with_colon)).collect()
}

/// Every section of corosync's view, the file itself first.
fn sections(root: SectionView<'_>) -> Vec<SectionView<'_>> {
    let mut all = vec![root];
    let mut done = 0;
    while let Some(section) = all.get(done).copied() {
        all.extend(section.all_sections());
        done += 1;
    }
    all
}

fn keys_by_line(document: &Document) -> BTreeMap<usize, Key<'_>> {
    let all = sections(document.root()).into_iter();
    all.flat_map(|section| section.keys())
        .map(|(name, value)| (value.line, (name, value)))
        .collect()
}

fn value(entry: &Entry<'_>, corosync: Option<Key<'_>>) -> Option<Finding> {
    let Entry { key, value } = entry;
    let (name, taken) = (shown(key.text), shown(value.text));
    let Some((other_key, other)) = corosync else {
        let message = format!(
            "Proxmox VE reads `{name}` with the value `{taken}`, corosync sees no key in this line"
        );
        return Some(finding(&codes::OTHER_VALUE, Effect::Misreads, key.line, message));
    };
    if value.line != key.line {
        let message = format!(
            "`{name}` is `{}` for corosync, but Proxmox VE sees no value and takes the next word, `{taken}` \
             of line {}",
            shown(other.bytes),
            value.line
        );
        return Some(finding(&codes::EMPTY_VALUE, Effect::Misreads, key.line, message));
    }
    if other_key == key.text && other.bytes == value.text {
        return None;
    }
    let cut = other.bytes.iter().position(|byte| *byte == b'#').map(|at| &other.bytes[..at]);
    if other_key == key.text && cut.is_some_and(|cut| cut.trim_ascii_end() == value.text) {
        let crypto = CRYPTO.contains(&key.text);
        let tail =
            if crypto { "; Proxmox VE does not see that encryption depends on it" } else { "" };
        let message = format!(
            "`{name}` is `{taken}` for Proxmox VE, which cuts the comment off, but `{}` for corosync, \
             which does not{tail}",
            shown(other.bytes)
        );
        return Some(finding(&codes::COMMENT_CUT, Effect::Misreads, key.line, message));
    }
    let message = format!(
        "Proxmox VE reads `{name}` with the value `{taken}`, corosync `{}` with the value `{}`",
        shown(other_key),
        shown(other.bytes)
    );
    Some(finding(&codes::OTHER_VALUE, Effect::Misreads, key.line, message))
}

/// One finding for the outermost section, whatever is open inside: everything behind it is misplaced.
fn unclosed(open: &[Word<'_>]) -> Option<Finding> {
    let name = open.first()?;
    let count = match open.len() {
        1 => String::new(),
        more => format!(" ({more} closing braces are missing)"),
    };
    let message = format!(
        "the section `{}` is never closed{count}: Proxmox VE takes everything behind it for a part of it \
         and says nothing",
        shown(name.text)
    );
    Some(finding(&codes::UNCLOSED, Effect::Misreads, name.line, message))
}

/// `totem: {` opens `totem` for corosync and `totem:` for Proxmox VE.
fn name_with_colon(name: &Word<'_>) -> Finding {
    let taken = shown(name.text);
    let message = format!(
        "`{taken} {{` opens `{}` for corosync, but Proxmox VE takes the colon into the name",
        taken.trim_end_matches(':')
    );
    finding(&codes::NAME_WITH_COLON, Effect::Misreads, name.line, message)
}
