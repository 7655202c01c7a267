//! `kubectl-pvecm`: what people type. Every write is made as field manager `pvecm`.

mod cli;
mod conf;
mod host;

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    cli::Args::parse().run()
}
