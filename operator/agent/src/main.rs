//! `pvecm-agent`: see the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    pvecm_agent::cli::Cli::parse().run()
}
