//! What Proxmox VE ignores in a datacenter.cfg, and what its next write would drop.
//!
//! Owns the findings. Proxmox VE reads the file, forgets what its schema does not take, and writes what is
//! left: one click on any datacenter option deletes every line told here as dropped (pve.md 6.1).

use std::collections::BTreeMap;

use super::document::{Document, Entry, What};
use super::schema::{self, NEXT_ID};
use super::transfer::{Traffic, TransferType};
use super::value::whole;
use crate::conf::lint::{Code, Effect, Finding, Reader};

/// Where the behaviour is known from.
const SOURCE: &str = "src/PVE/DataCenterConfig.pm of pve-cluster 9.1.6 and src/PVE/JSONSchema.pm of pve-common 9.2.1";

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)+) => {
        $(static $name: Code =
            Code { name: $code, title: $title, explanation: $explanation, source: SOURCE };)+
        static CODES: &[&Code] = &[$(&$name),+];
    };
}

codes! {
    IGNORED_LINE = "datacenter-ignored-line", "a line that is no `key: value`",
        "Proxmox VE warns `ignore config line` and drops the line with its next write. A key has no white \
         space in it and ends in a colon.";
    UNKNOWN_KEY = "datacenter-unknown-key", "a key that Proxmox VE does not know",
        "The schema allows no other keys. Proxmox VE warns `parse error` whenever it reads the file, goes on \
         without the key, and drops the line with its next write. The keys are those of pve-cluster 9.1.6; a \
         key of a later version is dropped by every node that is older.";
    BAD_VALUE = "datacenter-bad-value", "a value that Proxmox VE does not take",
        "Proxmox VE warns `parse error` whenever it reads the file, goes on as if the key were not there, and \
         drops the line with its next write. For `migration` that means: the default, secure over the \
         cluster network. The type must be given (`migration: secure,network=10.1.2.0/24`), no white space \
         may follow a comma, no key may be given twice, and the word is `insecure`, not `unsafe`.";
    REPEATED_KEY = "datacenter-repeated-key", "a key is there twice",
        "Proxmox VE takes the last value of a repeated key and drops the other lines with its next write. \
         Keep the one that you mean.";
    DESCRIPTION_KEY = "datacenter-description-key", "the description is a key",
        "The datacenter's description are the lines that begin with `#`. They take the place of a key \
         `description`, even when there are none, and the next write drops the key. Write the text as \
         comments.";
    INDENTED_COMMENT = "datacenter-indented-comment", "a comment behind white space",
        "Only a `#` at the very beginning of a line makes it part of the description, which Proxmox VE keeps. \
         A comment behind white space is gone with the next write.";
    COMMENT_MOVES = "datacenter-comment-moves", "a comment that does not stand at the top",
        "Proxmox VE takes all comments for the datacenter's description, shows them in its notes, and writes \
         them at the top of the file, with special characters as `%XX`. A comment that belongs to a key loses \
         its place with the next write.";
    UNSECURE = "datacenter-migration-unsecure", "migration_unsecure is out of use",
        "`migration_unsecure` was replaced by the type in `migration` with Proxmox VE 4.3. It counts only \
         where `migration` gives no type; where both are there Proxmox VE warns and ignores it.";
    INSECURE = "datacenter-insecure", "guests travel in the clear",
        "`insecure` sends the memory of guests over the network as it is, with passwords and keys in it, and \
         replicated data as well where replication says so or says nothing. Use it only on a network where \
         nobody can listen. Storage content of a migration goes through SSH in any case.";
    NEXT_ID_ORDER = "datacenter-next-id-order", "the lower bound is above the upper one",
        "Proxmox VE reads `next-id` without comparing its bounds (100 and 1000000 where one is not given), \
         but refuses to write the file (`boundary rule broken`): no datacenter option can be changed until \
         the line is put right.";
}

/// Every code, in the order of its name.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    let all = CODES.iter().map(|code| (code.name, *code));
    all.collect::<BTreeMap<_, _>>().into_values()
}

/// What Proxmox VE makes of a file, by line.
#[must_use]
pub fn lint(document: &Document) -> Vec<Finding> {
    let mut found: Vec<Finding> = document.entries().filter_map(|entry| dropped(&entry)).collect();
    found.extend(repeated(document));
    found.extend(other_lines(document));
    found.extend(insecure(document));
    found.extend(unsecure(document));
    found.extend(document.entry("next-id").and_then(|entry| next_id(&entry)));
    found.sort_by_key(|finding| (finding.line, finding.code.name));
    found
}

fn finding(code: &'static Code, effect: Effect, line: usize, message: String) -> Finding {
    Finding { code, reader: Reader::Pve, effect, line: Some(line), message }
}

fn dropped(entry: &Entry<'_>) -> Option<Finding> {
    let (key, value) = (text(entry.key), text(entry.value));
    let Some(kind) = schema::kind(&key) else {
        let message =
            format!("Proxmox VE does not know `{key}` and drops this line with its next write");
        return Some(finding(&UNKNOWN_KEY, Effect::Misreads, entry.line, message));
    };
    if key == "description" {
        let message = "the comments take the place of this key, and the next write drops it";
        return Some(finding(&DESCRIPTION_KEY, Effect::Misreads, entry.line, message.to_owned()));
    }
    let wrong = kind.check(&value).err()?;
    let message = format!(
        "`{key}` counts for nothing and is dropped with the next write of Proxmox VE: {wrong}"
    );
    Some(finding(&BAD_VALUE, Effect::Misreads, entry.line, message))
}

fn repeated(document: &Document) -> Vec<Finding> {
    let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in document.entries().rev() {
        let Some(by) = last.get(entry.key) else {
            last.insert(entry.key, entry.line);
            continue;
        };
        let message = format!("`{}` is set again in line {by}, which counts", text(entry.key));
        found.push(finding(&REPEATED_KEY, Effect::Advice, entry.line, message));
    }
    found
}

fn other_lines(document: &Document) -> Vec<Finding> {
    let mut behind_key = false;
    let mut found = Vec::new();
    for (at, line) in document.lines().iter().enumerate() {
        let told = match line.what {
            What::Blank => None,
            What::Key { .. } => {
                behind_key = true;
                None
            }
            What::Ignored => Some((
                &IGNORED_LINE,
                Effect::Misreads,
                "Proxmox VE ignores this line, which is no `key: value`, and drops it with its next write",
            )),
            What::Indented => Some((
                &INDENTED_COMMENT,
                Effect::Advice,
                "the next write of Proxmox VE drops this comment: `#` must be the first character",
            )),
            What::Description => behind_key.then_some((
                &COMMENT_MOVES,
                Effect::Advice,
                "the next write of Proxmox VE moves this comment to the top of the file",
            )),
        };
        found.extend(
            told.map(|(code, effect, message)| finding(code, effect, at + 1, message.to_owned())),
        );
    }
    found
}

fn insecure(document: &Document) -> Vec<Finding> {
    let told = [Traffic::Migration, Traffic::Replication].into_iter().filter_map(|traffic| {
        let transfer = document.transfer(traffic).ok()??;
        let line = document.entry(traffic.key())?.line;
        let message = format!("`{}` sends guests and their secrets in the clear", traffic.key());
        let insecure = transfer.kind == TransferType::Insecure;
        insecure.then(|| finding(&INSECURE, Effect::Advice, line, message))
    });
    told.collect()
}

fn unsecure(document: &Document) -> Option<Finding> {
    let unsecure = document.migration_unsecure()?;
    let line = document.entry("migration_unsecure")?.line;
    let kind = if unsecure { TransferType::Insecure } else { TransferType::Secure };
    let (effect, message) = match document.transfer(Traffic::Migration) {
        Ok(Some(transfer)) if transfer.kind != kind => (
            Effect::Misreads,
            format!(
                "`migration_unsecure` is ignored, since `migration` says {}",
                transfer.kind.word()
            ),
        ),
        Ok(Some(_)) => (Effect::Advice, "`migration` says the same; take this line out".to_owned()),
        Ok(None) | Err(_) => {
            (Effect::Advice, format!("write `migration: {}` in its place", kind.word()))
        }
    };
    Some(finding(&UNSECURE, effect, line, message))
}

fn next_id(entry: &Entry<'_>) -> Option<Finding> {
    let value = text(entry.value);
    let bounds = NEXT_ID.read(&value).ok()?;
    let bound = |key, default| bounds.get(key).map_or(Some(default), |value| whole(value));
    let (lower, upper) = (bound("lower", 100)?, bound("upper", 1_000_000)?);
    let message = format!(
        "the lower bound {lower} is above the upper bound {upper}: Proxmox VE cannot write this file"
    );
    (lower > upper).then(|| finding(&NEXT_ID_ORDER, Effect::Breaks, entry.line, message))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
