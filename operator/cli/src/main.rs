//! `kubectl-pvecm`: what people type. Every write is made as field manager `pvecm`.

mod cli;
mod cluster;
mod conf;
mod exit;
mod host;
mod output;
mod owner;
mod unified;

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    cli::Args::parse().run()
}
