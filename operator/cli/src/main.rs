//! `kubectl-pvecm`: what people type. Every write is made as field manager `pvecm`.

mod cli;
mod host;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    // The provider is named here because a second one in the dependency tree would make the choice
    // ambiguous, and rustls then panics at the first connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = cli::Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(args.run())
}
