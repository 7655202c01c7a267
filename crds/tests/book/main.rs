//! The book's reference is what the definitions and the pages of reasons say, and its examples are objects.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that goes wrong"
)]

mod examples;
mod kinds;
mod reasons;

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/docs")
}

/// Holds a page against what it is made of; with `UPDATE_GUIDE` set, writes it anew.
fn hold(page: &str, made: &str) {
    let path = folder().join(page);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{page} is old: with UPDATE_GUIDE set, this test writes it anew");
}

/// What a cell of a table takes: one line, without the mark between cells.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
