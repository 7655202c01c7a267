//! Proxmox VE's parser in Perl, behind `pvecm`, the API and the web interface.
//!
//! Owns what Proxmox VE refuses, what it reads differently from corosync, what its own check says when a
//! node is added, and what its next write does to the file. The facts are pve.md 2.1 to 2.3; the verdicts
//! were compared with the original parser of pve-cluster 9.1.6.

mod codes;
mod differs;
mod parser;
mod refused;
mod rewrite;
mod verify;

#[cfg(test)]
mod tests;

pub(super) use codes::CODES;

use super::{Code, Effect, Finding, Reader};
use crate::conf::Document;
use parser::Tree;

/// What Proxmox VE makes of a file, in the order of its lines.
pub(super) fn findings(document: &Document) -> Vec<Finding> {
    let tree = Tree::parse(document.as_bytes());
    let mut found = refused::findings(&tree);
    if found.is_empty() {
        found.extend(differs::findings(document, &tree));
        found.extend(verify::findings(&tree));
        found.extend(rewrite::findings(document, &tree));
    }
    found.sort_by_key(|finding| finding.line);
    found
}

fn finding(
    code: &'static Code,
    effect: Effect,
    line: impl Into<Option<usize>>,
    message: String,
) -> Finding {
    Finding { code, reader: Reader::Pve, effect, line: line.into(), message }
}

/// Bytes of the file as they are shown in a message, cut where nobody would read on.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
