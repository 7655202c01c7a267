//! The operator: watches, plans, releases stages, reports.
//!
//! Owns the way between the Kubernetes API and `pvecm_core`, which decides. Never reaches a host: the
//! agents read what is released and act by themselves. Where to read next: [`reconcile`] (one pass over
//! a cluster), [`run`] (how the parts are put together). A library beside the program, so that the
//! simulation can put the same parts together in its own way.

pub mod access;
pub mod backoff;
pub mod context;
pub mod flags;
pub mod heartbeat;
pub mod hosts;
mod http;
pub mod keys;
pub mod leader;
pub mod metrics;
pub mod queue;
pub mod reconcile;
pub mod run;
pub mod stores;

/// An error with all its causes, for one log line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
