//! Planted bugs: production code with one deliberate mistake, which the simulation has to notice.
//!
//! The mistakes are never in the production sources. They are put into a copy of the workspace below
//! the target directory, all at once and all asleep; an environment variable, which only that copy
//! reads, wakes one. So one build serves for all, and nothing that is shipped knows of them.

mod list;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{command, root, target};
use crate::step::step;
use list::{BUGS, Bug};

/// So many seeds of the whole have to notice a bug; they end at the first one that breaks a rule.
const WHOLE: &[&str] = &["--first", "--seeds", "3000"];
/// The hosts' agreement alone has a thousand seeds in the time that the whole takes for ten.
const AGREEMENT: &[&str] = &["--first", "--seeds", "20000", "--agreement"];
/// The workspace's manifest.
const MANIFEST: &str = "Cargo.toml";
/// What wakes one, by its number.
const AWAKE: &str = "PVECM_PLANTED";
/// What the copy has at the end of `operator/core/src/lib.rs`.
const SWITCH: &str = r#"
/// Whether this planted bug is awake.
#[must_use]
pub fn planted(number: u32) -> bool {
    static AWAKE: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
    let read = || std::env::var("PVECM_PLANTED").ok().and_then(|text| text.parse().ok());
    *AWAKE.get_or_init(read) == Some(number)
}
"#;

/// Runs the simulation once with each bug awake; fails when one is not noticed.
pub fn run() -> Result<ExitCode> {
    let program = step("building the simulation with planted bugs", build)?;
    let mut unnoticed = Vec::new();
    for (number, bug) in numbered() {
        let agrees = bug.edits.iter().any(|(path, ..)| path.contains("/protocol/"));
        let alone = if agrees { noticed(&program, number, AGREEMENT)? } else { None };
        let first = match alone {
            Some(first) => Some(first),
            None => noticed(&program, number, WHOLE)?,
        };
        println!("{number:>3} {}: {}", bug.name, first.as_deref().unwrap_or("not noticed"));
        if first.is_none() {
            unnoticed.push(bug.name);
        }
    }
    println!("{} of {} planted bugs noticed", BUGS.len() - unnoticed.len(), BUGS.len());
    ensure!(unnoticed.is_empty(), "not noticed: {}", unnoticed.join("; "));
    Ok(ExitCode::SUCCESS)
}

/// Runs seeds with a bug awake; the line of the first one that broke a rule.
fn noticed(program: &Path, number: usize, arguments: &[&str]) -> Result<Option<String>> {
    let done = Command::new(program)
        .args(arguments)
        .env(AWAKE, number.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .context("the simulation does not start")?;
    if done.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let first = said.lines().find(|line| line.starts_with("seed "));
    let first = first.context("the simulation failed, and no seed broke a rule")?;
    Ok(Some(first.chars().take(160).collect()))
}

fn numbered() -> impl Iterator<Item = (usize, &'static Bug)> {
    BUGS.iter().enumerate().map(|(index, bug)| (index + 1, bug))
}

fn build() -> Result<PathBuf> {
    let copy = target().join("planted");
    let sources = copy.join("sources");
    copy_tree(&root(), &sources)?;
    for (path, text) in planted(&root())? {
        write_if_different(&sources.join(path), &text)?;
    }
    let manifest = sources.join(MANIFEST);
    fs::write(&manifest, told_apart(&fs::read_to_string(root().join(MANIFEST))?)?)?;
    let built = command(&["build", "--quiet", "--profile", "sim", "--package", "pvecm-sim"])
        .current_dir(&sources)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .context("cargo does not start")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the planted bugs do not compile:\n{said}");
    // The program of the true sources has the same place.
    let program = copy.join("pvecm-sim");
    fs::copy(target().join("sim/pvecm-sim"), &program)?;
    Ok(program)
}

/// The workspace's manifest under a version of its own. Cargo knows a crate by its name, its version and its
/// path in the workspace: without that it takes the true crates for those with bugs, and these for the true ones,
/// whichever were built last.
fn told_apart(manifest: &str) -> Result<String> {
    let version = |line: &&str| line.starts_with("version = ");
    let count = manifest.lines().filter(version).count();
    ensure!(count == 1, "{MANIFEST} has {count} versions");
    let line = |line| if version(&line) { "version = \"0.0.0\"" } else { line };
    Ok(manifest.lines().map(line).collect::<Vec<_>>().join("\n") + "\n")
}

/// The sources with all bugs in them, by path.
fn planted(root: &Path) -> Result<BTreeMap<&'static str, String>> {
    const CORE: &str = "operator/core/src/lib.rs";
    let mut texts: BTreeMap<&'static str, String> = BTreeMap::new();
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    texts.insert(CORE, read(CORE)? + SWITCH);
    for (number, bug) in numbered() {
        for (path, before, after) in bug.edits {
            let text = match texts.get(path) {
                Some(text) => text.clone(),
                None => read(path)?,
            };
            let found = before.replace(['«', '»'], "");
            let count = text.matches(&found).count();
            ensure!(count == 1, "{path} has {count} places for the bug `{}`: {found}", bug.name);
            texts.insert(path, text.replacen(&found, &choice((path, number), before, after), 1));
        }
    }
    Ok(texts)
}

/// The expression with its wrong twin. What stands around « and » stays.
fn choice((path, number): (&str, usize), before: &str, after: &str) -> String {
    let (head, rest) = before.split_once('«').unwrap_or(("", before));
    let (right, tail) = rest.split_once('»').unwrap_or((rest, ""));
    let at = if path.starts_with("operator/core/") { "crate" } else { "pvecm_core" };
    format!("{head}(if {at}::planted({number}) {{ {after} }} else {{ {right} }}){tail}")
}

/// Copies sources; what is equal already is left alone, so that cargo builds only what changed.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" || entry.file_type()?.is_symlink() {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy_tree(&from, &to)?;
        } else {
            let planted =
                numbered().flat_map(|(_, bug)| bug.edits).any(|(path, _, _)| from.ends_with(path));
            if !planted && !from.ends_with("operator/core/src/lib.rs") {
                write_if_different(&to, &fs::read(&from)?)?;
            }
        }
    }
    Ok(())
}

fn write_if_different(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    if fs::read(path).is_ok_and(|known| known == bytes.as_ref()) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_has_its_place_in_the_sources() {
        assert!(BUGS.len() >= 30);
        planted(&root()).unwrap();
    }

    #[test]
    fn crates_with_bugs_are_no_crates_of_ours() {
        let manifest = fs::read_to_string(root().join(MANIFEST)).unwrap();
        let apart = told_apart(&manifest).unwrap();
        assert_ne!(apart, manifest);
        assert_eq!(apart.lines().count(), manifest.lines().count());
        assert!(told_apart("[workspace]\n").is_err());
    }
}
