//! Single values: numbers, words, and what corosync makes of others.
//!
//! Owns the judgement of one value by itself, by the table in [`keys`]. Never compares two keys.

use super::stored::Stored;
use crate::conf::document::Value;
use crate::conf::keys::{self, Bounds, Key, Kind, Number, Width};
use crate::conf::lint::Code;
use crate::conf::lint::report::{Report, quoted};

static NOT_A_NUMBER: Code = Code {
    name: "not-a-number",
    title: "A key that takes a number holds something else",
    explanation: "corosync says `Value of key \"K\" is expected to be integer in range (A..B), but \
                  \"V\" was given`. It takes decimal digits with an optional sign and nothing \
                  behind them: no unit, no `0x`, no comment. No node starts with such a file; a \
                  running one keeps its old configuration, and only its own log says so.",
    source: "measured on corosync 3.1.7; exec/coroparse.c",
};
static NUMBER_ABORTS: Code = Code {
    name: "number-aborts-corosync",
    title: "A 64-bit number that ends every running corosync",
    explanation: "Where corosync 3.1.7 wants an unsigned number of 64 bits (`config_version`, \
                  `poll_period`), any other text hits an assertion: every running corosync that \
                  reloads the file dies with SIGABRT, and none starts. pmxcfs reads \
                  `config_version: 4a` as 4 and hands the file to all nodes, so one typo ends the \
                  whole cluster. corosync 3.1.10 refuses the file instead. Write plain digits.",
    source: "measured on corosync 3.1.7; exec/coroparse.c of 3.1.10",
};
static WORD_REFUSED: Code = Code {
    name: "word-refused",
    title: "A key that takes one of a few words holds another",
    explanation: "corosync refuses the file: `Invalid transport type`, `Invalid cipher type`, \
                  `Invalid hash type`, `Invalid ip_version type`, `The Knet link mode ... is \
                  invalid`, `Unrecognised knet_transport`, `Invalid system.sched_rr value`, \
                  `unknown value for debug` and so on. The words are compared letter by letter, a \
                  comment behind one is part of it. A reload takes a wrong `link_mode` without a \
                  word; the next start does not.",
    source: "measured on corosync 3.1.7; exec/coroparse.c, totemconfig.c, \
             logconfig.c",
};
static OUT_OF_RANGE: Code = Code {
    name: "out-of-range",
    title: "A number is outside of what corosync takes",
    explanation: "corosync says `The token timeout parameter (N ms) may not be less than (30 ms)` \
                  and the like for `join`, `consensus`, `merge`, `downcheck`, `token_retransmit`, \
                  `hold` and `max_network_delay`, and `must be between 0 (disabled) and 100` for \
                  `token_warning`. 0 stands for the default where a time must not be 0.",
    source: "measured on corosync 3.1.7; exec/totemconfig.c:totem_volatile_config_validate",
};
static NOT_VERSION_2: Code = Code {
    name: "not-version-2",
    title: "`totem.version` is not 2",
    explanation: "corosync says `This totem parser can only parse version 2 configurations.` and \
                  does not start. The key names the format of the file, not the version of the \
                  content, which is `config_version`.",
    source: "measured on corosync 3.1.7",
};
static WORD_IGNORED: Code = Code {
    name: "word-ignored",
    title: "corosync takes another meaning than the word that stands there",
    explanation: "Some keys know a few words and take every other for a default, without a \
                  message: `secauth: yes` leaves a cluster unencrypted, because only `on` turns \
                  encryption on.",
    source: "exec/totemconfig.c of 3.1.7",
};
static NUMBER_DROPPED: Code = Code {
    name: "number-dropped",
    title: "A number passes corosync's check and is dropped",
    explanation: "The ping keys of an interface are checked as 32 bits unsigned and kept signed: \
                  from 2147483648 on they are silently left out and the default holds.",
    source: "exec/coroparse.c of 3.1.7, not measured",
};
static ZERO_IS_DEFAULT: Code = Code {
    name: "zero-is-default",
    title: "0 does not mean 0",
    explanation: "corosync takes 0 for `not set` and uses the default. `token: 0` is 3000 ms, not \
                  no timeout.",
    source: "exec/totemconfig.c:totem_volatile_config_read of 3.1.7",
};

pub(super) static CODES: &[&Code] = &[
    &NOT_A_NUMBER,
    &NUMBER_ABORTS,
    &WORD_REFUSED,
    &OUT_OF_RANGE,
    &NOT_VERSION_2,
    &WORD_IGNORED,
    &NUMBER_DROPPED,
    &ZERO_IS_DEFAULT,
];

/// Whether it is the number that aborts the parser.
pub(super) fn is_abort(code: &Code) -> bool {
    code == &NUMBER_ABORTS
}

/// Whether corosync's parser looks at the word, wherever the key is repeated. Other words are
/// looked at later, when only the last of them is left.
pub(super) fn is_word_checked_at_once(section: &str, name: &str) -> bool {
    section == "system" || (section == "totem" && !matches!(name, "transport" | "link_mode"))
}

/// A number that does not parse.
pub(super) fn refuse(name: &str, width: Width, value: Value<'_>, report: &mut Report) {
    let given = quoted(value.bytes);
    if width == Width::U64 {
        let what = format!("`{name}` is {given}, which is no plain number of 64 bits");
        let start = format!("{what}; corosync 3.1.7 does not start but aborts; write digits alone");
        report.refuses(&NUMBER_ABORTS, Some(value.line), start);
        let reload = format!(
            "{what}; every running corosync 3.1.7 that reloads this file aborts; write digits alone"
        );
        return report.breaks(&NUMBER_ABORTS, Some(value.line), reload);
    }
    let Bounds { least, most } = width.bounds();
    let comment =
        if value.bytes.contains(&b'#') { "; a `#` behind a value opens no comment" } else { "" };
    let message = format!(
        "`{name}` is {given}, but corosync takes a number from {least} to {most} and refuses the \
         file{comment}; write digits alone"
    );
    report.refuses(&NOT_A_NUMBER, Some(value.line), message);
}

/// A word that corosync does not take.
pub(super) fn refuse_word(name: &str, words: &[&str], value: Value<'_>, report: &mut Report) {
    let comment =
        if value.bytes.contains(&b'#') { "; a `#` behind a value opens no comment" } else { "" };
    let message = format!(
        "`{name}` is {}, but corosync takes {} and refuses the file{comment}; write one of these",
        quoted(value.bytes),
        words.join(", ")
    );
    report.refuses(&WORD_REFUSED, Some(value.line), message);
}

/// Everything stored, value by value.
pub(super) fn judge(stored: &Stored<'_>, report: &mut Report) {
    judge_version(stored, report);
    for (name, entry) in stored.below("").filter(|(_, entry)| !entry.faulty) {
        let Some((section, key)) = known(name) else { continue };
        let value = Value { bytes: entry.text, line: entry.line };
        match key.kind {
            Kind::Number(number) if section == "totem" => {
                if let Some(read) = entry.number {
                    judge_number(name, number, (read, entry.line), report);
                }
            }
            Kind::OneOf(words) if !is_word_checked_at_once(section, key.name) => {
                if !is_taken(key.name, words, entry.text) {
                    refuse_word(name, words, value, report);
                }
            }
            Kind::Words { known, otherwise } => judge_word(name, (known, otherwise), value, report),
            Kind::Number(_) | Kind::OneOf(_) | Kind::Address | Kind::Text(_) => {}
        }
    }
}

/// The key behind a stored name, with its section. Links, places and subsystems are taken out.
fn known(name: &str) -> Option<(&'static str, &'static Key)> {
    const NUMBERED: [&str; 3] = ["totem.interface", "nodelist.node", "logging.logger_subsys"];
    const PLAIN: [&str; 6] = [
        "totem",
        "quorum",
        "quorum.device",
        "quorum.device.net",
        "quorum.device.heuristics",
        "logging",
    ];
    let (section, key) = name.rsplit_once('.')?;
    let plain = PLAIN.into_iter().find(|plain| *plain == section);
    let numbered = || {
        let (outer, inner) = section.rsplit_once('.')?;
        NUMBERED.into_iter().find(|numbered| *numbered == outer && !inner.is_empty())
    };
    let section = plain.or_else(numbered)?;
    Some((section, keys::find(section, key)?))
}

/// Priorities and facilities are compared without regard to case, all else exactly.
fn is_taken(key: &str, words: &[&str], value: &[u8]) -> bool {
    let any_case = key.ends_with("_priority");
    words
        .iter()
        .map(|word| word.as_bytes())
        .any(|word| if any_case { word.eq_ignore_ascii_case(value) } else { word == value })
}

pub(in super::super) fn judge_version(stored: &Stored<'_>, report: &mut Report) {
    let version = stored.get("totem.version");
    let faulty = version.is_some_and(|entry| entry.faulty);
    if faulty || version.and_then(|entry| entry.number) == Some(2) {
        return;
    }
    let what = version.map_or_else(
        || "`totem.version` is missing".to_owned(),
        |entry| format!("`totem.version` is {}", quoted(entry.text)),
    );
    let message = format!(
        "{what}, but corosync reads files of version 2 alone and does not start; write `version: \
         2` into `totem`, the version of the content is `config_version`"
    );
    report.refuses(&NOT_VERSION_2, version.map(|entry| entry.line), message);
}

fn judge_number(name: &str, number: Number, (read, line): (i128, usize), report: &mut Report) {
    if name == "totem.version" {
        return;
    }
    if !number.accepts_value(read) {
        let message = format!(
            "`{name}` is {read}, but corosync takes {number} and does not start; a running one \
             refuses the reload"
        );
        report.refuses(&OUT_OF_RANGE, Some(line), message);
    } else if read == 0 && (number.zero_is_default || name == "totem.hold") {
        let message = format!(
            "`{name}: 0` is not 0 to corosync, it takes the default; take the key out, or write \
             what is meant"
        );
        report.misreads(&ZERO_IS_DEFAULT, Some(line), message);
    }
}

fn judge_word(
    name: &str,
    (known, otherwise): (&[&str], &str),
    value: Value<'_>,
    report: &mut Report,
) {
    // Another rule has the say over a wrong provider and a leftover of corosync 2.
    let elsewhere = ["quorum.provider", "totem.rrp_mode", "totem.vsftype"].contains(&name);
    if elsewhere || known.iter().any(|word| word.as_bytes() == value.bytes) {
        return;
    }
    let consequence =
        if name == "totem.secauth" { ": the cluster's traffic is not encrypted" } else { "" };
    let message = format!(
        "`{name}` is {}, which corosync does not know ({otherwise}){consequence}; write {}",
        quoted(value.bytes),
        known.join(" or ")
    );
    report.misreads(&WORD_IGNORED, Some(value.line), message);
}

/// Ping keys that pass the check and are left out.
pub(super) fn dropped(name: &str, line: usize, report: &mut Report) {
    let message = format!(
        "`{name}` is above 2147483647: corosync checks it and then leaves it out, the default \
         holds; write a smaller number"
    );
    report.misreads(&NUMBER_DROPPED, Some(line), message);
}
