//! `kubectl pvecm conf ...`: corosync.conf as files, without any cluster.
//!
//! Owns how files come in and results go out. What is found, changed or converted is decided in
//! `pvecm-core`. Nothing here starts a runtime, opens a socket or knows of Kubernetes: the commands
//! run in an editor's save hook and on a host without network.

mod convert;
mod diff;
mod edit;
mod input;
mod lint;
mod output;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Work on corosync.conf files, without a cluster.
///
/// FILE is a path, or `-` for standard input. The exit code is 0 when all is well, 1 when there is
/// something to say (findings, differences, a refused edit), 2 when the command line is wrong or a
/// file cannot be read or written.
#[derive(Debug, Subcommand)]
pub enum Conf {
    Lint(lint::Lint),
    Show(show::Show),
    Diff(diff::Diff),
    Edit(edit::Edit),
    Convert(convert::Convert),
}

/// How a command ended; whatever kept it from ending is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing to say.
    Fine,
    /// Findings, differences or a refusal.
    Findings,
}

impl Verdict {
    const fn when(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Findings }
    }
}

impl Conf {
    /// Does what the command line says. What keeps it from that is told on standard error.
    pub fn run(self) -> ExitCode {
        match self.verdict() {
            Ok(Verdict::Fine) => ExitCode::SUCCESS,
            Ok(Verdict::Findings) => ExitCode::from(1),
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    fn verdict(self) -> Result<Verdict> {
        match self {
            Self::Lint(lint) => lint.run(),
            Self::Show(show) => show.run(),
            Self::Diff(diff) => diff.run(),
            Self::Edit(edit) => edit.run(),
            Self::Convert(convert) => convert.run(),
        }
    }
}
