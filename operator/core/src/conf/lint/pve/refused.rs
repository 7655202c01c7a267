//! What Proxmox VE refuses a whole file for. Every request that needs the file fails then: `pvecm`, the
//! cluster pages of the web interface, joining and removing.

use super::codes;
use super::parser::{NoColon, Refusal, Tree, Word};
use super::{Finding, finding, shown};
use crate::conf::lint::{Code, Effect};

pub(super) fn findings(tree: &Tree<'_>) -> Vec<Finding> {
    let told = tree.refusals.iter().map(|refusal| {
        let (code, line, message) = tell(refusal);
        finding(code, Effect::Refuses, line, message)
    });
    told.collect()
}

fn tell(refusal: &Refusal<'_>) -> (&'static Code, usize, String) {
    match refusal {
        Refusal::NoColon { word, because } => no_colon(*word, because),
        Refusal::NoValue { key } => (
            &codes::NO_VALUE,
            key.line,
            format!("the file ends behind `{}:`, which has no value", shown(key.text)),
        ),
        Refusal::Repeated { name, first } => (
            &codes::REPEATED_SECTION,
            name.line,
            format!(
                "`{}` is there a second time, after line {first}: corosync merges the two, Proxmox VE \
                 takes only node and interface more than once",
                shown(name.text)
            ),
        ),
        Refusal::UnexpectedClosing { line } => (
            &codes::UNEXPECTED_CLOSING,
            *line,
            "`}` closes a section that was never opened".to_owned(),
        ),
        Refusal::NotASection { name, value } => (
            &codes::NOT_A_SECTION,
            value.line,
            format!(
                "`{}` is a key with the value `{}` here, but Proxmox VE needs a section of that name",
                shown(name),
                shown(value.text)
            ),
        ),
    }
}

fn no_colon(word: Word<'_>, because: &NoColon<'_>) -> (&'static Code, usize, String) {
    let text = shown(word.text);
    let (code, message) = match because {
        NoColon::BraceAtName => (
            &codes::BRACE_AT_NAME,
            format!("`{text}` needs white space before `{{`, which must be a word of its own"),
        ),
        NoColon::NoSpaceBehind => {
            (&codes::NO_SPACE, format!("`{text}` needs a space behind the colon that ends the key"))
        }
        NoColon::SpaceBefore => (
            &codes::SPACE_BEFORE_COLON,
            format!("`{text} :` needs its colon right behind the key, without a space"),
        ),
        NoColon::SecondWord { key } => (
            &codes::VALUE_WITH_SPACES,
            format!(
                "the value of `{}` has more than one word: Proxmox VE takes the first and expects a key \
                 in `{text}`",
                shown(key.text)
            ),
        ),
        NoColon::BehindEmptyValue { key } => (
            &codes::EMPTY_VALUE,
            format!(
                "`{}` of line {} has no value, so Proxmox VE takes the next word for it, and then \
                 expects a key in `{text}`",
                shown(key.text),
                key.line
            ),
        ),
        NoColon::Stray => (
            &codes::NO_COLON,
            format!("`{text}` opens no section, closes none, and is no key, which ends in a colon"),
        ),
    };
    (code, word.line, message)
}
