//! The operator: watches, plans, releases stages, reports.
//!
//! Owns the way between the Kubernetes API and `pvecm_core`, which decides. Never reaches a host: the
//! agents read what is released and act by themselves. Where to read next: `reconcile` (one pass over
//! a cluster), `run` (how the parts are put together).

mod access;
mod backoff;
mod context;
mod flags;
mod heartbeat;
mod hosts;
mod http;
mod keys;
mod leader;
mod metrics;
mod queue;
mod reconcile;
mod run;
mod stores;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // With two providers in the tree the first TLS connection would panic: choose before anything.
    let provider = rustls::crypto::ring::default_provider().install_default();
    anyhow::ensure!(provider.is_ok(), "a TLS provider is installed already");
    let flags = flags::Flags::parse();
    flags.start_log();
    run::run(flags).await
}

/// An error with all its causes, for one log line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
