//! What the next write of Proxmox VE takes out of a file: it writes the whole text anew (pve.md 2.1).

use super::parser::{Replaced, Tree};
use super::{Finding, codes, finding, shown};
use crate::conf::Document;
use crate::conf::lint::Effect;

pub(super) fn findings(document: &Document, tree: &Tree<'_>) -> Vec<Finding> {
    comments(document).into_iter().chain(tree.replaced.iter().map(replaced)).collect()
}

fn comments(document: &Document) -> Option<Finding> {
    let lines = document.as_bytes().split(|byte| *byte == b'\n').enumerate();
    let mut lines = lines.filter(|(_, line)| line.contains(&b'#')).map(|(at, _)| at + 1);
    let first = lines.next()?;
    let message = match lines.count() {
        0 => "the next write of Proxmox VE drops this comment and sorts the file".to_owned(),
        more => format!(
            "the next write of Proxmox VE drops this comment and {more} more, and sorts the file"
        ),
    };
    Some(finding(&codes::REWRITE, Effect::Advice, first, message))
}

fn replaced(replaced: &Replaced<'_>) -> Finding {
    let Replaced { name, line, by, is_section } = replaced;
    let name = shown(name);
    if *is_section {
        let message = format!(
            "the section `{name}` is gone for Proxmox VE: the key of the same name in line {by} takes its \
             place"
        );
        return finding(&codes::SECTION_REPLACED, Effect::Misreads, *line, message);
    }
    let message = format!("`{name}` is set again in line {by}, which counts");
    finding(&codes::REPEATED_KEY, Effect::Advice, *line, message)
}
