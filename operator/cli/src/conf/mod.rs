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
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::{Verdict, code};
use crate::output;

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

impl Conf {
    /// Does what the command line says. What keeps it from that is told on standard error.
    pub fn run(self) -> ExitCode {
        code(self.verdict())
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
