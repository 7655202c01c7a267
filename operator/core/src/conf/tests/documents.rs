//! The document itself: what corosync's parser sees in it and stops at.

use super::{BY_HAND, by_hand};
use crate::conf::{Document, ProblemKind, SectionPath};

#[track_caller]
fn assert_problems(text: &[u8], expected: &[(usize, ProblemKind)]) {
    let document = Document::parse(text);
    let problems: Vec<_> = document.problems().iter().map(|p| (p.line, p.kind)).collect();
    assert_eq!(problems, expected, "{}", String::from_utf8_lossy(text));
    assert_eq!(document.to_bytes(), text);
}

#[test]
fn every_line_that_corosync_stops_at_is_reported_with_its_number() {
    use ProblemKind as P;
    assert_problems(b"a {x\n}\n", &[(1, P::TextAfterOpening)]);
    assert_problems(b"\n{\n}\n", &[(2, P::NoSectionName)]);
    assert_problems(b"a {\n } #x\n", &[(2, P::TextBesideClosing)]);
    assert_problems(b"abc {\n}\n}\n", &[(3, P::UnexpectedClosing)]);
    assert_problems(b"# c\nabc {\nx: 1\n", &[(3, P::MissingClosing { opened_at: 2 })]);
    assert_problems(b"word\n", &[(1, P::Neither)]);
    assert_problems(b"\xa0# c\n", &[(1, P::Neither)]);
    assert_problems(b"abc\0d: e\n", &[(1, P::TooLong)]);
    assert_problems(b":v\n", &[(1, P::BadKey)]);
    assert_problems(b"ab: v\n", &[(1, P::BadKey)]);
    assert_problems(b"totem {\na b: v\n}\n", &[(2, P::BadKey)]);
    assert_problems(b"a b {\nkey: v\n}\n", &[(2, P::BadKey)]);
    let long = |start: &str, byte: &str, n: usize, end: &str| {
        format!("{start}{}{end}", byte.repeat(n)).into_bytes()
    };
    assert_problems(&long("#", "x", 510, "\n"), &[(1, P::TooLong)]);
    assert_problems(&long("#", "x", 510, ""), &[(1, P::TooLong)]);
    assert_problems(&long("", "x", 254, " {\n}\n"), &[(1, P::PathTooLong)]);
    assert_problems(&long("", "x", 254, ": v\n"), &[(1, P::BadKey)]);
}

#[test]
fn every_line_that_corosync_takes_is_taken() {
    for text in [
        &b""[..],
        b"a{\n}\n",
        b"a: {\n}\n",
        b": {\n}\n",
        b"a {\r\n}\r\n",
        b"\t # c {\n \r\n",
        b"abc:d\r\r\n",
        b"abc: d}",
        b"\0anything\n",
        b"a b {\n}\n",
        b"totem {\nx:\n}\n",
        format!("#{}\n", "x".repeat(509)).as_bytes(),
        format!("#{}", "x".repeat(509)).as_bytes(),
        format!("{} {{\n}}\n", "x".repeat(253)).as_bytes(),
        format!("{}: v\n", "x".repeat(253)).as_bytes(),
    ] {
        assert_problems(text, &[]);
    }
}

#[test]
fn a_file_written_by_hand_is_found_by_path_with_spacing_removed() {
    let document = by_hand();
    assert_eq!(document.to_bytes(), BY_HAND.as_bytes());
    assert_eq!(document.problems(), &[]);
    let nodelist = SectionPath::top("nodelist");
    let second = document.value(&nodelist.clone().child("node", 1), "quorum_votes").unwrap();
    assert_eq!((second.bytes, second.line), (&b"2"[..], 17));
    let name = document.value(&nodelist.clone().child("node", 0), "name").unwrap();
    assert_eq!(name.bytes, b"n1", "the carriage return is no part of the value");
    assert!(document.section(&nodelist.child("node", 2)).is_none());
    assert_eq!(document.root().all_sections().count(), 5 - 1);
}

#[test]
fn of_a_repeated_key_the_last_one_counts() {
    let document = Document::parse(b"totem {\ntoken: 1\ntoken: 2 # x\n}\n");
    let value = document.value(&SectionPath::top("totem"), "token").unwrap();
    assert_eq!((value.bytes, value.line), (&b"2 # x"[..], 3));
}

#[test]
fn a_path_says_which_of_several_sections_is_meant() {
    let path = SectionPath::top("nodelist").child("node", 2);
    assert_eq!(path.to_string(), "nodelist.node[2]");
}

#[test]
fn a_million_open_braces_are_only_problems() {
    let document = Document::parse(&b"a {\n".repeat(1_000_000));
    assert_eq!(document.root().all_sections().count(), 1);
    drop(document);
}
