//! The operator as a program: see the library.

use clap::Parser;
use pvecm_operator::flags::Flags;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // With two providers in the tree the first TLS connection would panic: choose before anything.
    let provider = rustls::crypto::ring::default_provider().install_default();
    anyhow::ensure!(provider.is_ok(), "a TLS provider is installed already");
    let flags = Flags::parse();
    flags.start_log();
    pvecm_operator::run::run(flags).await
}
