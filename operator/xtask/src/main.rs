//! `cargo xtask`: the one entry point for people.
//!
//! Builds with two light dependencies, because everything heavier needs packages that it installs
//! first ([`packages`]); whatever else is to be done, it starts through cargo.

mod cargo;
mod check;
mod packages;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Everything that people do with this tree.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Three hosts, one `kubectl apply`, and a cluster forms before your eyes.
    Demo,
    /// Format, lints, unit tests, generated files, then the end-to-end scenarios.
    Test {
        /// Also the scenarios that take long.
        #[arg(long)]
        all: bool,
    },
    /// A control plane and hosts to play with: up, status, exec, kubectl, crash, cut, down ...
    Lab {
        /// See `cargo xtask lab -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Write the generated resource definitions.
    Crds,
    /// Format the tree.
    Fmt,
    /// Format check and lints only.
    Check,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Demo => {
            packages::ensure_for_lab()?;
            cargo::build_for_lab()?;
            return cargo::run_lab(&["demo".to_owned()]);
        }
        Task::Test { all } => return check::test(all),
        Task::Lab { arguments } => {
            packages::ensure_for_lab()?;
            cargo::build_for_lab()?;
            return cargo::run_lab(&arguments);
        }
        Task::Crds => cargo::run(&["run", "--quiet", "-p", "pvecm-crds", "--bin", "crdgen"])?,
        Task::Fmt => cargo::run(&["fmt", "--all"])?,
        Task::Check => check::lint()?,
    }
    Ok(ExitCode::SUCCESS)
}
