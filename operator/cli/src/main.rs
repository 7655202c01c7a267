//! `kubectl-pvecm`: what people type. Every write is made as field manager `pvecm`.

mod cli;
mod cluster;
mod host;
mod output;
mod unified;

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    // The provider is named here because a second one in the dependency tree would make the choice
    // ambiguous, and rustls then panics at the first connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = cli::Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(args.run())
}
