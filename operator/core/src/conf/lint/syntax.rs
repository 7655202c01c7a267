//! The lines at which corosync's parser stops, in words that say what to do.
//!
//! Owns the words. What a line is decides [`Document::problems`].

use super::Code;
use super::report::{Report, quoted};
use crate::conf::{Document, Problem, ProblemKind};
use crate::text::lines;

const MEASURED: &str = "measured on corosync 3.1.7; exec/coroparse.c:parse_section";

static LINE_TOO_LONG: Code = Code {
    name: "line-too-long",
    title: "A line is longer than corosync's buffer, or holds a NUL byte",
    explanation: "corosync reads lines of at most 510 bytes, comments included, and says `Line too \
                  long`. No node that reads such a file starts; a running one keeps its old \
                  configuration. Break the comment into several lines, or take the NUL byte out.",
    source: MEASURED,
};
static SECTION_WITHOUT_NAME: Code = Code {
    name: "section-without-name",
    title: "A brace opens a section that has no name",
    explanation: "corosync says `Missing section name before opening bracket '{'`. It wants name \
                  and brace on one line, as in `totem {`.",
    source: MEASURED,
};
static TEXT_BEHIND_BRACE: Code = Code {
    name: "text-behind-brace",
    title: "There is text behind an opening brace",
    explanation: "corosync says `Extra characters after opening bracket '{'`. It takes one \
                  statement per line, and a `#` behind a statement opens no comment. A brace \
                  inside a value or a key also counts as an opening one.",
    source: MEASURED,
};
static TEXT_BESIDE_BRACE: Code = Code {
    name: "text-beside-brace",
    title: "There is text beside a closing brace",
    explanation: "corosync says `Extra characters before or after closing bracket '}'`. The \
                  closing brace stands alone on its line, without a comment behind it.",
    source: MEASURED,
};
static CLOSING_WITHOUT_OPENING: Code = Code {
    name: "closing-without-opening",
    title: "A brace closes a section that was never opened",
    explanation: "corosync says `Unexpected closing brace`. One brace too many, or the line that \
                  should open the section is a comment.",
    source: MEASURED,
};
static SECTION_NOT_CLOSED: Code = Code {
    name: "section-not-closed",
    title: "The file ends inside a section",
    explanation: "corosync says `Missing closing brace` and names the last line. Proxmox VE's \
                  parser does not notice, it nests all that follows into the open section.",
    source: MEASURED,
};
static NAME_NOT_STORABLE: Code = Code {
    name: "name-not-storable",
    title: "A key's name cannot be stored",
    explanation: "corosync keeps every key under its sections' names joined by dots, 3 to 253 \
                  characters of letters, digits and `._/:-`. For any other it says `Can't store \
                  key`.",
    source: MEASURED,
};
static PATH_TOO_LONG: Code = Code {
    name: "path-too-long",
    title: "Section names together are longer than corosync's 254 bytes",
    explanation: "corosync says `Start of section makes total cmap path too long`.",
    source: MEASURED,
};
static NOT_A_STATEMENT: Code = Code {
    name: "not-a-statement",
    title: "A line is neither section, key nor comment",
    explanation: "corosync says `Line is not opening or closing section or key value`. Keys are \
                  written `key: value`; a comment has its `#` as the first character that is not \
                  blank.",
    source: MEASURED,
};

pub(super) static CODES: &[&Code] = &[
    &LINE_TOO_LONG,
    &SECTION_WITHOUT_NAME,
    &TEXT_BEHIND_BRACE,
    &TEXT_BESIDE_BRACE,
    &CLOSING_WITHOUT_OPENING,
    &SECTION_NOT_CLOSED,
    &NAME_NOT_STORABLE,
    &PATH_TOO_LONG,
    &NOT_A_STATEMENT,
];

/// Everything at which corosync's parser stops. It stops at the first, a person wants them all.
pub(super) fn judge(document: &Document, report: &mut Report) {
    judge_some(document, report, |_| true);
}

/// The same for a parser that stops at some of it.
pub(super) fn judge_some(
    document: &Document,
    report: &mut Report,
    stops: impl Fn(&Problem) -> bool,
) {
    let all: Vec<_> = lines(document.as_bytes()).map(|span| &document.as_bytes()[span]).collect();
    for problem in document.problems().iter().filter(|problem| stops(problem)) {
        let text =
            all.get(problem.line.wrapping_sub(1)).map_or(b"".as_slice(), |line| line.trim_ascii());
        let (code, message) = words(problem, text);
        report.refuses(code, Some(problem.line), message);
    }
}

fn words(problem: &Problem, text: &[u8]) -> (&'static Code, String) {
    let text = quoted(text);
    let told =
        |what: &str, todo: &str| format!("{what}: {text}; corosync refuses the file; {todo}");
    match problem.kind {
        ProblemKind::TooLong => (
            &LINE_TOO_LONG,
            told("more than 510 bytes or a NUL byte in one line", "break it into shorter lines"),
        ),
        ProblemKind::NoSectionName => (
            &SECTION_WITHOUT_NAME,
            told("a section without a name", "write the name before the brace, on the same line"),
        ),
        ProblemKind::TextAfterOpening => {
            (&TEXT_BEHIND_BRACE, told("text behind `{`", "put it on a line of its own"))
        }
        ProblemKind::TextBesideClosing => {
            (&TEXT_BESIDE_BRACE, told("text beside `}`", "leave the brace alone on its line"))
        }
        ProblemKind::UnexpectedClosing => (
            &CLOSING_WITHOUT_OPENING,
            told(
                "no section is open here",
                "take the brace out, or open the section that it closes",
            ),
        ),
        ProblemKind::MissingClosing { opened_at } => (
            &SECTION_NOT_CLOSED,
            format!(
                "the file ends, but the section opened in line {opened_at} is not closed; corosync \
                 refuses the file; add the missing `}}`"
            ),
        ),
        ProblemKind::BadKey => (
            &NAME_NOT_STORABLE,
            told(
                "the key with its sections is no name of 3 to 253 letters, digits and `._/:-`",
                "write a key that corosync knows",
            ),
        ),
        ProblemKind::PathTooLong => (
            &PATH_TOO_LONG,
            told("the section names together pass 254 bytes", "no key needs such a depth"),
        ),
        ProblemKind::Neither => (
            &NOT_A_STATEMENT,
            told("no section, key or comment", "write `key: value`, or begin the line with `#`"),
        ),
    }
}
