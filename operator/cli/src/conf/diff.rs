//! `conf diff`: what a new file changes, and whom that interrupts.

use anyhow::{Result, ensure};
use clap::Args as ClapArgs;
use pvecm_core::conf::{Document, Reload, diff};

use super::Verdict;
use super::input::Input;
use super::output::{self, Format};

/// Say what a new file changes, how each change takes effect, and what a reload makes of them.
///
/// Compares what the files mean: nodes by their ids, links by their numbers, everything else key by
/// key. Ends with exit code 1 when there is a difference, like diff(1), be it in comments alone.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The file that is in force, or `-` for standard input.
    old: Input,
    /// The file that would replace it, or `-` for standard input.
    new: Input,
    /// The form of the changes.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Diff {
    pub(super) fn run(self) -> Result<Verdict> {
        let both = self.old == Input::Stdin && self.new == Input::Stdin;
        ensure!(!both, "standard input holds one file; name the other one");
        let (old, new) = (Document::parse(&self.old.read()?), Document::parse(&self.new.read()?));
        let diff = diff(&old, &new);
        output::print(self.output, &diff, || text(&diff).into_bytes())?;
        Ok(Verdict::when(diff.changes.is_empty()))
    }
}

fn text(diff: &pvecm_core::conf::Diff) -> String {
    let mut text = String::new();
    for change in &diff.changes {
        let (effect, consequence) = (change.takes_effect, &change.consequence);
        text += &format!("{}\n    {effect}: {consequence}\n", change.summary);
    }
    for warning in &diff.warnings {
        text += &format!("warning: {warning}\n");
    }
    if !diff.changes.is_empty() {
        text += &format!("reload: {}\n", of_reload(diff.reload));
    }
    text
}

const fn of_reload(reload: Reload) -> &'static str {
    match reload {
        Reload::Nothing => "has nothing to do",
        Reload::Applied => "all of it takes effect",
        Reload::InPart => {
            "what can be changed at run time takes effect, the rest waits for restarts"
        }
        Reload::Refused => "every node refuses the file, and nothing of it takes effect",
        Reload::Aborts => "every running corosync that reads the file ends at once",
    }
}
