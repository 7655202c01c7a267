//! `conf edit`: changes of a file, judged as a whole before anything is written.

mod flags;
mod steps;
mod write;

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use pvecm_core::conf::Document;
use pvecm_core::conf::edit::bump;
use pvecm_core::conf::lint::{Finding, Reader, lint};
use pvecm_core::ids::ConfigVersion;
use serde::Serialize;
use similar::TextDiff;

use super::Verdict;
use super::input::Input;
use super::lint::{is_harm, line};
use super::output::{self, Format};
use flags::Steps;

/// Change a file, and nothing in it but the lines that must change.
///
/// The changes are made in the order in which they are typed; together they raise `config_version` by
/// one. Prints the new text, or with `--diff` what changes in it, or with `--write` replaces the file.
/// A result that `conf lint` finds fault with for corosync3, pve or pmxcfs is refused with the
/// findings, and so is a change that is not possible; both end with exit code 1 and write nothing.
#[derive(Debug, ClapArgs)]
pub struct Edit {
    /// The file, or `-` for standard input.
    file: Input,
    /// Replace the file instead of printing it, in one step and with its owner and mode.
    ///
    /// In /etc/pve that is a change of the running cluster: pmxcfs hands the file to all nodes, and
    /// each corosync reloads it.
    #[arg(short, long)]
    write: bool,
    /// Print what changes, as a unified diff.
    #[arg(long)]
    diff: bool,
    /// The form of what is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    steps: Steps,
}

/// What an edit came to, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether the text differs from that of the file. False as well when the edit is refused.
    changed: bool,
    /// The version of the text below.
    config_version: Option<ConfigVersion>,
    /// Why the edit is refused, unless findings say so.
    refused: Option<String>,
    /// What keeps the new text from being written, with its lines.
    findings: Vec<Finding>,
    /// What was filled in that the command line does not say.
    notes: Vec<String>,
    /// What changes, as a unified diff.
    diff: String,
    /// The text: the new one, or the old one when the edit is refused.
    text: String,
}

/// An edit that has been made, and what speaks against it.
struct Edited {
    old: Document,
    new: Document,
    refused: Option<String>,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl Edit {
    pub(super) fn run(self) -> Result<Verdict> {
        if self.write && self.file.path().is_none() {
            bail!("`--write` needs a file to replace; standard input is none");
        }
        let edited = self.edited(Document::parse(&self.file.read()?));
        let taken = edited.is_taken();
        self.tell(&edited);
        if let Some(path) = self.file.path().filter(|_| self.write && taken && edited.changed()) {
            write::replace(path, edited.new.as_bytes())
                .with_context(|| format!("cannot write {}, which is as it was", path.display()))?;
        }
        self.print(&edited)?;
        Ok(Verdict::when(taken))
    }

    fn edited(&self, old: Document) -> Edited {
        let mut notes = Vec::new();
        let (new, refused) =
            match self.steps.make(&old, &mut notes).and_then(|new| raised(&old, new)) {
                Ok(new) => (new, None),
                Err(error) => (old.clone(), Some(format!("{error:#}"))),
            };
        let findings = if refused.is_some() { Vec::new() } else { lint(&new, &Reader::TODAY) };
        let findings = findings.into_iter().filter(is_harm).collect();
        Edited { old, new, refused, findings, notes }
    }

    /// What people want to know and programs read in the report.
    fn tell(&self, edited: &Edited) {
        if self.output != Format::Text {
            return;
        }
        for note in &edited.notes {
            eprintln!("note: {note}");
        }
        if let Some(refused) = &edited.refused {
            eprintln!("refused, nothing is changed: {}: {refused}", self.file);
        }
        if !edited.findings.is_empty() {
            eprintln!("refused, nothing is changed; the new text would have:");
        }
        for finding in &edited.findings {
            let before = if edited.had(finding) { "the file has it already: " } else { "" };
            eprint!("{before}{}", line(&self.file, finding, false));
        }
        if edited.is_taken() && !edited.changed() {
            eprintln!("note: {} says so already; config_version stays", self.file);
        }
    }

    fn print(&self, edited: &Edited) -> Result<()> {
        let diff = || unified(&edited.old, &edited.new, &self.file);
        if self.output != Format::Text {
            let report = Report {
                changed: edited.is_taken() && edited.changed(),
                config_version: edited.result().version(),
                refused: edited.refused.clone(),
                findings: edited.findings.clone(),
                notes: edited.notes.clone(),
                diff: String::from_utf8_lossy(&diff()).into_owned(),
                text: String::from_utf8_lossy(edited.result().as_bytes()).into_owned(),
            };
            return output::print(self.output, &report, Vec::new);
        }
        match (self.diff, edited.is_taken(), self.write) {
            (true, _, _) => output::print_bytes(&diff()),
            (false, true, false) => output::print_bytes(edited.new.as_bytes()),
            (false, false, _) | (false, true, true) => Ok(()),
        }
    }
}

impl Edited {
    fn is_taken(&self) -> bool {
        self.refused.is_none() && self.findings.is_empty()
    }

    fn changed(&self) -> bool {
        self.old != self.new
    }

    fn result(&self) -> &Document {
        if self.is_taken() { &self.new } else { &self.old }
    }

    /// Whether the file had the finding before the edit.
    fn had(&self, finding: &Finding) -> bool {
        let mut before = lint(&self.old, &[finding.reader]).into_iter();
        before.any(|other| other.code == finding.code && other.effect == finding.effect)
    }
}

/// The next version, unless nothing changed: a version never names two texts, and no text needs two.
fn raised(old: &Document, new: Document) -> Result<Document> {
    Ok(if *old == new { new } else { bump(&new)? })
}

/// The change as `diff -u` has it, byte for byte.
fn unified(old: &Document, new: &Document, file: &Input) -> Vec<u8> {
    let diff = TextDiff::from_lines(old.as_bytes(), new.as_bytes());
    let mut text = Vec::new();
    let name = file.to_string();
    diff.unified_diff()
        .header(&name, &name)
        .to_writer(&mut text)
        .expect("writing to memory never fails");
    text
}
