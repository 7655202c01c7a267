//! The book shows what the commands print.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::desk::Desk;

/// What a command has that needs no cluster.
const OFFLINE: [&str; 4] = ["kubectl pvecm conf ", " --conf ", " --file ", " --reason "];

/// The page with the output of every command in its console blocks made anew, and how many were run.
fn made_anew(page: &str) -> (String, usize) {
    let desk = Desk::new();
    let (mut text, mut in_console, mut runs, mut count) = (String::new(), false, false, 0);
    for line in page.lines() {
        let is_fence = line.starts_with("```");
        in_console = if is_fence { line == "```console" } else { in_console };
        let command = line.strip_prefix("$ ").filter(|_| in_console);
        runs = command
            .map_or(runs && !is_fence, |command| OFFLINE.iter().any(|word| command.contains(word)));
        match command.filter(|_| runs) {
            Some(command) => {
                write!(text, "{line}\n{}", desk.shell(command).stdout).unwrap();
                count += 1;
            }
            None if runs => {}
            None => writeln!(text, "{line}").unwrap(),
        }
    }
    (text, count)
}

#[test]
fn every_offline_command_of_the_book_prints_what_its_page_says() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")];
    let mut ran = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let page = fs::read_to_string(&path).unwrap();
            let (anew, count) = made_anew(&page);
            ran += count;
            if count > 0 && std::env::var_os("UPDATE_GUIDE").is_some() {
                fs::write(&path, &anew).unwrap();
            } else if count > 0 {
                let page_of = path.display();
                assert_eq!(
                    page, anew,
                    "{page_of}: with UPDATE_GUIDE set, this test writes it anew"
                );
            }
        }
    }
    assert!(ran > 20, "the book has only {ran} commands that run without a cluster");
}
