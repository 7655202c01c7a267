//! The guide shows what the commands print.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::desk::Desk;

/// The page with the output of every command in its console blocks made anew.
fn made_anew(page: &str) -> String {
    let desk = Desk::new();
    let (mut text, mut in_console) = (String::new(), false);
    for line in page.lines() {
        let is_fence = line.starts_with("```");
        in_console = if is_fence { line == "```console" } else { in_console };
        match line.strip_prefix("$ ").filter(|_| in_console) {
            Some(command) => write!(text, "{line}\n{}", desk.shell(command).stdout).unwrap(),
            None if in_console && !is_fence => {}
            None => writeln!(text, "{line}").unwrap(),
        }
    }
    text
}

/// Holds a page of the guides against what its commands print; `command` is one that it must have.
fn prints_what_it_says(page: &str, command: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(page);
    let page = fs::read_to_string(&path).unwrap();
    let anew = made_anew(&page);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(&path, &anew).unwrap();
        return;
    }
    assert!(page.contains(command), "the guide has no commands");
    assert_eq!(page, anew, "with UPDATE_GUIDE set, this test writes the page anew");
}

#[test]
fn every_command_of_the_guide_prints_what_the_guide_says() {
    prints_what_it_says("offline.md", "$ kubectl pvecm conf");
}

#[test]
fn every_command_of_the_page_on_adoption_prints_what_the_page_says() {
    prints_what_it_says("adopt.md", "$ kubectl pvecm import");
}

#[test]
fn every_command_of_the_page_on_failures_prints_what_the_page_says() {
    prints_what_it_says("whatif.md", "$ kubectl pvecm whatif");
}
