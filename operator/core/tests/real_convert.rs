//! The corpus converted and put before the real `corosync -t`, with addresses of the loopback
//! interface in the place of the corpus's own: corosync looks for the node that it runs on.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod desk;

use std::fs;
use std::path::Path;

use pvecm_core::conf::{ConvertError, Document, Overview, convert};

use desk::Desk;

/// Every file of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    };
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "conf")).map(read).collect();
    files.sort();
    files
}

/// The same cluster on this machine: node `uno` is at 127.0.0.1, and is found by that.
fn on_loopback(bytes: &[u8]) -> Document {
    let mut text = String::from_utf8(bytes.to_vec()).unwrap();
    let moves = [
        ("10.10.10.", "127.0.0."),
        ("10.10.20.", "127.0.1."),
        ("10.20.20.", "127.0.1."),
        ("ring0_addr: uno", "ring0_addr: localhost"),
        ("ring0_addr: due", "ring0_addr: 127.0.0.2"),
        ("ring0_addr: tre", "ring0_addr: 127.0.0.3"),
    ];
    for (from, to) in moves {
        text = text.replace(from, to);
    }
    Document::parse(text.as_bytes())
}

#[test]
fn corosync_takes_every_file_of_the_corpus_that_can_become_a_knet_file() {
    let Some(desk) = Desk::new("converted") else { return };
    let mut taken = Vec::new();
    for (name, bytes) in corpus() {
        match convert(&on_loopback(&bytes)) {
            Ok(converted) => {
                desk.accepts(&converted.document);
                taken.push(name);
            }
            Err(ConvertError::NoNodelist) => assert!(name.starts_with("corosync2-"), "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert!(taken.iter().any(|name| name == "pve5-four-nodes-two-rings"), "{taken:?}");
    assert!(taken.len() >= 10, "{taken:?}");
}

#[test]
fn every_file_of_the_corpus_comes_back_byte_for_byte_and_has_an_overview() {
    for (name, bytes) in corpus() {
        let document = Document::parse(&bytes);
        assert_eq!(document.to_bytes(), bytes, "{name}");
        assert_eq!(document.problems(), [], "{name}");
        assert!(Overview::of(&document).cluster_name.is_some(), "{name}");
    }
}
