//! `pvecm-agent`: see the library.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    pvecm_agent::cli::Cli::parse().run()
}
