//! The book's commands are ones that this program takes: what cannot be run without a cluster is parsed.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Args;

/// How the program is called: in a shell, in a sentence, and in a lab.
const CALLS: [&str; 3] = ["kubectl pvecm ", "kubectl-pvecm ", "-- pvecm "];

#[test]
fn every_command_in_the_blocks_of_the_book_is_one() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (page, text) in pages() {
        for command in text.split("```").skip(1).step_by(2).flat_map(commands) {
            seen += 1;
            faults
                .extend(parse(&command).map(|(_, error)| format!("{page}: `{command}`: {error}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 40, "the book has only {seen} commands");
}

/// A sentence may leave out what everybody puts in, and may not name a verb or a flag that there is not.
#[test]
fn every_command_in_a_sentence_of_the_book_begins_like_one() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (page, text) in pages() {
        let prose: String = text.split("```").step_by(2).collect();
        for command in prose.split('`').skip(1).step_by(2).filter_map(call) {
            seen += 1;
            let wrong = parse(&command).filter(|(kind, _)| !is_only_short(*kind));
            faults.extend(wrong.map(|(_, error)| format!("{page}: `{command}`: {error}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 40, "the book names only {seen} commands");
}

#[test]
fn a_command_is_found_in_its_line_and_a_wrong_one_is_told() {
    let block =
        "console\n$ kubectl pvecm conf lint a | grep 'x y'\na kubectl pvecm status\n$ cat a\n";
    assert_eq!(commands(block), ["kubectl pvecm conf lint a"]);
    let block = "console\n$ cargo xtask lab kubectl -- pvecm status three-nodes\n";
    assert_eq!(commands(block), ["-- pvecm status three-nodes"]);
    assert!(parse("-- pvecm status three-nodes").is_none());
    let block = "sh\nsudo true  # x\nkubectl pvecm host dead n1 --because \"a b\"   # said\n";
    assert_eq!(commands(block), ["kubectl pvecm host dead n1 --because \"a b\""]);
    assert_eq!(commands("yaml\nkubectl pvecm status\n"), [""; 0]);
    assert!(parse("kubectl pvecm host dead n1 --because \"a b\"").is_none());
    let kind = |command| parse(command).map(|(kind, _)| kind);
    assert_eq!(kind("kubectl pvecm stat x"), Some(ErrorKind::InvalidSubcommand));
    assert_eq!(kind("kubectl pvecm status x --all"), Some(ErrorKind::UnknownArgument));
    assert_eq!(kind("kubectl pvecm status"), Some(ErrorKind::MissingRequiredArgument));
}

/// Every page, and the repository's own.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("README.md"), root.join("operator/docs")];
    let mut pages = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    pages
}

/// The calls of this program in a block: lines behind a prompt in a session, each line of a script.
fn commands(block: &str) -> Vec<String> {
    let (language, lines) = block.split_once('\n').unwrap_or_default();
    let prompt = match language {
        "console" => "$ ",
        "sh" => "",
        _ => return Vec::new(),
    };
    lines.lines().filter_map(|line| line.strip_prefix(prompt)).filter_map(call).collect()
}

/// The call in a line, up to what a shell makes of the rest.
fn call(line: &str) -> Option<String> {
    let at = CALLS.iter().filter_map(|call| line.find(call)).min()?;
    let ends = [" | ", " > ", " #", " && ", "; "];
    let end = ends.iter().filter_map(|end| line[at..].find(end)).min();
    Some(line[at..end.map_or(line.len(), |end| at + end)].trim().to_owned())
}

/// What the program has against a command.
fn parse(command: &str) -> Option<(ErrorKind, String)> {
    let words = shlex::split(command).unwrap_or_default();
    let words = words.iter().skip_while(|word| !word.ends_with("pvecm"));
    let error = Args::try_parse_from(words).err()?;
    Some((error.kind(), error.to_string()))
}

/// Whether nothing is wrong but that something is missing, or that a word stands for a value.
const fn is_only_short(kind: ErrorKind) -> bool {
    use ErrorKind::{
        DisplayHelpOnMissingArgumentOrSubcommand, InvalidValue, MissingRequiredArgument,
        MissingSubcommand, ValueValidation,
    };
    matches!(
        kind,
        DisplayHelpOnMissingArgumentOrSubcommand
            | InvalidValue
            | MissingRequiredArgument
            | MissingSubcommand
            | ValueValidation
    )
}
