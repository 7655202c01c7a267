//! The device of the `quorum` section, put in, changed and taken out.

use crate::conf::Document;
use crate::conf::edit::{remove_device, set_device};
use crate::conf::{Config, QuorumDevice};

const TEXT: &str = "\
# ours
totem {
  version: 2
  cluster_name: prod
  config_version: 7
}
nodelist {
  node {
    name: n1
    nodeid: 1
    ring0_addr: 10.0.0.1
  }
}
quorum {
  provider: corosync_votequorum
  # counts
}
";

fn device(algorithm: &str, votes: Option<u32>) -> QuorumDevice {
    QuorumDevice {
        model: "net".to_owned(),
        votes,
        host: Some("10.9.0.9".to_owned()),
        algorithm: Some(algorithm.to_owned()),
        tls: Some("on".to_owned()),
    }
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

#[test]
fn a_device_comes_and_goes_without_a_trace() {
    let before = Document::parse(TEXT.as_bytes());
    let with = set_device(&before, &device("ffsplit", Some(1))).unwrap();
    let read = Config::read(&with).unwrap().quorum.device.unwrap();
    assert_eq!(read, device("ffsplit", Some(1)));
    assert_eq!(text(&remove_device(&with).unwrap()), TEXT);
}

#[test]
fn another_algorithm_leaves_what_it_does_not_speak_of() {
    let with = TEXT.replace(
        "  # counts\n",
        "  # counts\n  device {\n    model: net\n    votes: 1\n    timeout: 9000\n    net {\n      # w1\n      \
         host: 10.9.0.9\n      algorithm: ffsplit\n      tls: on\n      port: 5403\n    }\n  }\n",
    );
    let changed = set_device(&Document::parse(with.as_bytes()), &device("lms", None)).unwrap();
    let wanted = with.replace("    votes: 1\n", "").replace("ffsplit", "lms");
    assert_eq!(text(&changed), wanted);
}

#[test]
fn what_is_no_number_of_votes_or_stands_there_twice_is_not_edited() {
    let bad = TEXT
        .replace("  # counts\n", "  # counts\n  device {\n    model: net\n    votes: one\n  }\n");
    let bad = Document::parse(bad.as_bytes());
    assert!(set_device(&bad, &device("lms", None)).is_err());
    let twice = "  device {\n    model: net\n  }\n".repeat(2);
    let twice = TEXT.replace("  # counts\n", &format!("  # counts\n{twice}"));
    assert!(remove_device(&Document::parse(twice.as_bytes())).is_err());
    assert!(remove_device(&Document::parse(TEXT.as_bytes())).is_err());
}
