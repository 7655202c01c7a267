//! Tests of the readers: every code by a file that it is about.

mod corosync2;
mod corosync3;
mod corosync3_votes;

use super::{Effect, Finding, Reader, codes, lint};
use crate::conf::Document;

/// Three nodes on two links, encrypted, nothing to find for corosync 3.
pub(super) const SOUND: &str = "\
totem {
  version: 2
  cluster_name: lab
  config_version: 7
  secauth: on
  interface {
    linknumber: 0
  }
  interface {
    linknumber: 1
  }
}
nodelist {
  node {
    name: n1
    nodeid: 1
    ring0_addr: 10.0.0.1
    ring1_addr: 10.1.0.1
  }
  node {
    name: n2
    nodeid: 2
    ring0_addr: 10.0.0.2
    ring1_addr: 10.1.0.2
  }
  node {
    name: n3
    nodeid: 3
    ring0_addr: 10.0.0.3
    ring1_addr: 10.1.0.3
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: yes
}
";

/// A file and what one finding about it is.
pub(super) struct Case {
    /// What is replaced in the sound file, once; an empty text: the new text goes to the end.
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    pub(super) code: &'static str,
    pub(super) effect: Effect,
    /// The line of the finding, from 1; 0: none.
    pub(super) line: usize,
}

pub(super) const fn case(
    old: &'static str,
    new: &'static str,
    (code, effect): (&'static str, Effect),
    line: usize,
) -> Case {
    Case { old, new, code, effect, line }
}

impl Case {
    pub(super) fn file(&self, sound: &str) -> String {
        if self.old.is_empty() {
            return format!("{sound}{}", self.new);
        }
        assert!(sound.contains(self.old), "{:?} is not in the sound file", self.old);
        sound.replacen(self.old, self.new, 1)
    }

    /// Asserts that the reader finds it, there and with that effect.
    #[track_caller]
    pub(super) fn holds(&self, sound: &str, reader: Reader) {
        let file = self.file(sound);
        let findings = lint(&Document::parse(file.as_bytes()), &[reader]);
        let is_it = |found: &&Finding| found.code.name == self.code && found.effect == self.effect;
        let found =
            findings.iter().find(|found| is_it(found) && found.line.unwrap_or(0) == self.line);
        let all: Vec<_> = findings.iter().map(told).collect();
        let Some(found) = found else {
            panic!(
                "{} {} in line {} is not among {all:#?}\n{file}",
                self.effect, self.code, self.line
            )
        };
        assert_eq!(found.reader, reader);
        assert!(found.message.len() > 30 && !found.message.contains('\n'), "{:?}", found.message);
    }
}

pub(super) fn told(found: &Finding) -> String {
    format!("{:?} {} {}: {}", found.line, found.effect, found.code, found.message)
}

/// The findings of one reader, told.
pub(super) fn all(file: &str, reader: Reader) -> Vec<String> {
    lint(&Document::parse(file.as_bytes()), &[reader]).iter().map(told).collect()
}

#[test]
fn every_code_has_a_file_that_it_is_about_and_no_file_has_an_unlisted_code() {
    let listed: Vec<_> = codes().map(|code| code.name).collect();
    let mut emitted = std::collections::BTreeSet::new();
    let three = corosync3::CASES.iter().chain(corosync3_votes::CASES);
    let three = three.map(|case| case.file(SOUND)).chain(corosync3::more());
    let two = corosync2::CASES.iter().map(|case| case.file(corosync2::SOUND));
    let two = two.chain(corosync2::more()).map(|file| (file, Reader::Corosync2));
    for (file, reader) in three.map(|file| (file, Reader::Corosync3)).chain(two) {
        let document = Document::parse(file.as_bytes());
        emitted.extend(lint(&document, &[reader]).iter().map(|found| found.code.name));
    }
    // The other two readers' tests name what they expect, so a code without a case shows there.
    let told = [include_str!("../pve/tests.rs"), include_str!("../pmxcfs/tests.rs")].concat();
    let missing = |name: &&&str| !emitted.contains(**name) && !told.contains(&format!(" {name}: "));
    assert_eq!(listed.iter().filter(missing).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(emitted.iter().all(|name| listed.contains(name)), "{emitted:?}");
}

#[test]
fn codes_are_listed_by_name_each_once_and_explained() {
    let all: Vec<_> = codes().collect();
    assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
    for code in all {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(code.name.bytes().all(plain), "{}", code.name);
        assert!(code.title.len() > 15 && code.explanation.len() > 60, "{}", code.name);
        assert!(!code.title.ends_with('.') && code.explanation.ends_with('.'), "{}", code.name);
        // What a person can look up: a measurement, a manual page, a file of a project.
        let known = ["measured", "exec/", "(5)", "(8)", "src/PVE/", "pmxcfs"];
        assert!(known.iter().any(|word| code.source.contains(word)), "{}", code.name);
        assert!(!code.source.contains(".md"), "{}: {}", code.name, code.source);
    }
}

#[test]
fn findings_are_told_by_line_then_reader_then_code() {
    let file = SOUND.replace("secauth: on", "secauth: on # x").replace("version: 7", "version: 4a");
    let readers = [Reader::Corosync2, Reader::Corosync3];
    let findings = lint(&Document::parse(file.as_bytes()), &readers);
    let order: Vec<_> = findings.iter().map(|found| (found.line, found.reader)).collect();
    assert!(order.is_sorted() && order.len() > 4, "{order:?}");
    assert_eq!(lint(&Document::parse(file.as_bytes()), &[]), []);
}

#[test]
fn any_depth_of_sections_is_survived() {
    let deep = "totem {\ninterface {\n".to_owned() + &"x {\n".repeat(100_000) + "}\n";
    let empty = "{\n".repeat(100_000);
    for file in [deep, empty] {
        assert!(!all(&file, Reader::Corosync3).is_empty());
        assert!(!all(&file, Reader::Corosync2).is_empty());
    }
}
