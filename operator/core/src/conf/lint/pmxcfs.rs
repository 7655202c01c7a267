//! pmxcfs, which compares versions and hands corosync.conf out to every node.
//!
//! Owns what pmxcfs does with a text before corosync or Proxmox VE see it. It never parses the file: it
//! searches for one number (pve.md 3.3, pmxcfs.md 2).

use std::ops::Range;

use super::{Code, Effect, Finding, Reader};
use crate::conf::Document;
use crate::conf::values::{text, version_digits};

#[cfg(test)]
mod tests;

/// The largest file that pmxcfs takes, in bytes: since Proxmox VE 7, and before.
const LARGEST: usize = 1024 * 1024;
const LARGEST_BEFORE_7: usize = 512 * 1024;

static EMPTY: Code = Code {
    name: "pmxcfs-empty",
    title: "the file is empty",
    explanation: "pmxcfs stores an empty corosync.conf and hands it to nobody, without a word in any log. \
        /etc/pve/corosync.conf is empty then, the nodes keep running with the file on their disks, and \
        every tool of Proxmox VE finds no cluster. Put the last good text back with a higher \
        config_version.",
    source: "pmxcfs of pve-cluster 9.1.6, measured; src/pmxcfs/dcdb.c",
};

static TOO_LARGE: Code = Code {
    name: "pmxcfs-too-large",
    title: "the file is larger than pmxcfs stores",
    explanation: "pmxcfs takes files of up to 1 MiB (1 048 576 bytes) and answers a write beyond that with \
        `File too large`; before Proxmox VE 7 the limit was 512 KiB. Shorten the file: corosync needs a \
        few hundred bytes per node.",
    source: "pmxcfs of pve-cluster 9.1.6, measured; the older limit from its history",
};

static NOT_UTF8: Code = Code {
    name: "pmxcfs-not-utf8",
    title: "a byte that is not UTF-8 hides the version from pmxcfs",
    explanation: "pmxcfs searches config_version with a regular expression that takes the whole file as \
        UTF-8. One byte that is not, such as an umlaut in Latin-1 in a comment, and nothing matches: \
        pmxcfs logs `unable to parse cluster config_version` and hands the file to no node. corosync and \
        Proxmox VE do not mind such bytes. Save the file as UTF-8.",
    source: "GRegex of GLib 2.74.6 with pmxcfs's expression, measured; src/pmxcfs/cfs-utils.c of pve-cluster 9.1.6",
};

static NO_VERSION: Code = Code {
    name: "pmxcfs-no-version",
    title: "pmxcfs finds no version, or 0",
    explanation: "Without a match of `config_version: N`, or with N = 0, pmxcfs logs `unable to parse \
        cluster config_version` and hands the file to no node, though the write itself succeeds. Put \
        `config_version: N` into totem, one higher than the version that runs.",
    source: "pmxcfs of pve-cluster 9.1.6, measured; src/pmxcfs/dcdb.c",
};

static OTHER_VERSION: Code = Code {
    name: "pmxcfs-other-version",
    title: "pmxcfs compares another number than corosync",
    explanation: "pmxcfs takes the first `config_version: N` of the text, wherever it stands: in a comment, \
        in another section, at the end of a longer name. corosync takes the last one inside totem. When \
        the number that pmxcfs sees is the higher one, every later file counts as older than the one on \
        the disks and is not handed out (`local corosync.conf is newer`); when it is the lower one, this \
        file itself is held back. Leave the name config_version out of comments.",
    source: "pmxcfs of pve-cluster 9.1.6, measured",
};

static PREFIX: Code = Code {
    name: "pmxcfs-version-prefix",
    title: "pmxcfs takes the digits of a version that corosync cannot take",
    explanation: "pmxcfs reads `4a`, `4.5` or `4 # new` as 4, hands the file to every node and has it \
        reloaded. For corosync a config_version that is not a plain number is no error but an assertion: \
        every corosync that reloads the file aborts, the whole cluster at once. Write digits alone.",
    source: "corosync 3.1.7 and pmxcfs of pve-cluster 9.1.6, measured",
};

static VERSION_TOO_LARGE: Code = Code {
    name: "pmxcfs-version-too-large",
    title: "the version leaves no room for a higher one",
    explanation: "A number of 2^64 or more counts as 18446744073709551615 for pmxcfs. It writes the file to \
        every disk, and from then on every file is older than that one and is not handed out. corosync \
        aborts when it reloads such a number. Use the version that runs, plus one.",
    source: "GLib 2.74.6 with pmxcfs's expression, measured; src/pmxcfs/cfs-utils.c of pve-cluster 9.1.6; corosync 3.1.7, measured",
};

pub(super) static CODES: &[&Code] =
    &[&EMPTY, &TOO_LARGE, &NOT_UTF8, &NO_VERSION, &OTHER_VERSION, &PREFIX, &VERSION_TOO_LARGE];

/// What pmxcfs makes of a file.
pub(super) fn findings(document: &Document) -> Vec<Finding> {
    let bytes = document.as_bytes();
    if bytes.is_empty() {
        let message = "the file is empty: pmxcfs hands it to no node and says nothing";
        return vec![finding(&EMPTY, Effect::Refuses, None, message.to_owned())];
    }
    size(bytes.len()).into_iter().chain(version(document)).collect()
}

fn finding(code: &'static Code, effect: Effect, line: Option<usize>, message: String) -> Finding {
    Finding { code, reader: Reader::Pmxcfs, effect, line, message }
}

fn size(bytes: usize) -> Option<Finding> {
    let (effect, limit) = if bytes > LARGEST {
        (Effect::Refuses, "pmxcfs takes 1048576 at most and answers `File too large`")
    } else if bytes > LARGEST_BEFORE_7 {
        (Effect::Advice, "before Proxmox VE 7 pmxcfs took 524288 at most")
    } else {
        return None;
    };
    Some(finding(&TOO_LARGE, effect, None, format!("the file has {bytes} bytes: {limit}")))
}

fn version(document: &Document) -> Option<Finding> {
    let bytes = document.as_bytes();
    let whole = match std::str::from_utf8(bytes) {
        Ok(whole) => whole,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!(
                "the byte {:#04x} is not UTF-8, so pmxcfs finds no config_version and hands the file to no node",
                bytes[at]
            );
            return Some(finding(&NOT_UTF8, Effect::Refuses, Some(line_of(bytes, at)), message));
        }
    };
    let Some(digits) = version_digits(whole) else {
        let message = "there is no `config_version: N`, so pmxcfs hands the file to no node";
        return Some(finding(&NO_VERSION, Effect::Refuses, None, message.to_owned()));
    };
    let line = Some(line_of(bytes, digits.start));
    let Ok(number) = whole[digits.clone()].parse::<u64>() else {
        let message = format!(
            "pmxcfs takes `{}` as 18446744073709551615, and no later file can have a higher version",
            &whole[digits]
        );
        return Some(finding(&VERSION_TOO_LARGE, Effect::Breaks, line, message));
    };
    if number == 0 {
        let message = "pmxcfs takes version 0 for none and hands the file to no node";
        return Some(finding(&NO_VERSION, Effect::Refuses, line, message.to_owned()));
    }
    disagreement(document, &digits, number)
}

/// Whether the number that pmxcfs takes is the one that corosync takes.
fn disagreement(document: &Document, digits: &Range<usize>, number: u64) -> Option<Finding> {
    let bytes = document.as_bytes();
    let line = line_of(bytes, digits.start);
    let value = document.top("totem").and_then(|totem| totem.value("config_version"));
    let corosync = value.map(|value| (text(value.bytes), value.line));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    let message = match corosync {
        Some((value, _)) if plain(&value) == Some(number) => return None,
        Some((value, at)) if at == line && plain(&value).is_none() => {
            let message = format!(
                "pmxcfs reads config_version `{value}` as {number} and hands the file out; every corosync \
                 that reloads it aborts"
            );
            return Some(finding(&PREFIX, Effect::Breaks, Some(line), message));
        }
        Some((value, at)) => format!(
            "pmxcfs compares version {number}, the first one in the text{}, but corosync takes \
             `{value}` of line {at}",
            if in_comment(bytes, digits.start) { ", though it stands in a comment" } else { "" },
        ),
        None => format!(
            "pmxcfs compares version {number} of this line, but it is not in totem and corosync does \
             not take it"
        ),
    };
    Some(finding(&OTHER_VERSION, Effect::Misreads, Some(line), message))
}

/// Whether corosync takes the line of this byte for a comment.
fn in_comment(bytes: &[u8], at: usize) -> bool {
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes[start..at].trim_ascii_start().starts_with(b"#")
}

/// The line of a byte, counted from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|byte| *byte == b'\n').count()
}
