//! The book in `operator/docs`: built by mdBook, and held to what its pages promise.

mod links;
mod tables;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo;
use crate::step::step;

/// The watching server and the rest of what mdBook does by default are not needed to build.
const MDBOOK: [&str; 4] = ["mdbook", "--no-default-features", "--features", "search"];

/// One page, as Markdown.
#[derive(Debug)]
struct Page {
    /// Its path below the book's folder, with slashes.
    name: String,
    text: String,
}

/// Checks the pages, builds the book below cargo's target directory and prints where it begins.
pub fn build() -> Result<()> {
    step("links and tables of the book", check)?;
    cargo::ensure_installed("mdbook", &MDBOOK)?;
    let out = cargo::target().join("book");
    step("the book", || {
        let mut mdbook = Command::new("mdbook");
        mdbook.arg("build").arg(folder()).arg("--dest-dir").arg(&out);
        let done = mdbook.status().context("mdbook does not start")?;
        ensure!(done.success(), "mdbook could not build {}", folder());
        Ok(())
    })?;
    println!("{}", out.join("index.html").display());
    Ok(())
}

fn check() -> Result<()> {
    let faults = faults(&pages()?);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Everything that the pages promise of each other and of the tests, and that is not so.
fn faults(pages: &[Page]) -> Vec<String> {
    [links::faults(pages), tables::faults(pages)].concat()
}

/// The book's folder.
fn folder() -> String {
    cargo::root().join("operator/docs").to_string_lossy().into_owned()
}

/// Every page of the book, and its table of contents.
fn pages() -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    collect(Path::new(&folder()), "", &mut pages).context("cannot read the book's pages")?;
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pages)
}

fn collect(folder: &Path, prefix: &str, pages: &mut Vec<Page>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), pages)?;
        } else if name.ends_with(".md") {
            pages.push(Page { name: format!("{prefix}{name}"), text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

impl Page {
    /// The lines outside of fenced blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.starts_with("```");
            fenced ^= is_fence;
            !fenced && !is_fence
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::Args;

    #[test]
    fn every_link_leads_somewhere_and_every_table_names_tests_that_are_there() {
        let faults = faults(&pages().unwrap());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn every_command_of_xtask_in_the_book_is_one() {
        let mut seen = 0;
        for page in pages().unwrap() {
            for line in page.text.lines() {
                let Some(command) = line.strip_prefix("$ cargo xtask ") else { continue };
                let words = command.split(" #").next().unwrap_or_default().split_whitespace();
                let parsed = Args::try_parse_from(["cargo xtask"].into_iter().chain(words));
                assert!(parsed.is_ok(), "{}: `{line}`: {}", page.name, parsed.unwrap_err());
                seen += 1;
            }
        }
        assert!(seen > 0, "the book has no command of xtask");
    }

    #[test]
    fn what_stands_in_a_fenced_block_is_no_prose() {
        let text = "a\n```sh\n[x](nowhere)\n```\nb\n".to_owned();
        let page = Page { name: "x.md".to_owned(), text };
        assert_eq!(page.prose().collect::<Vec<_>>(), [(1, "a"), (5, "b")]);
    }
}
