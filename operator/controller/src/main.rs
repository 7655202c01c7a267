//! The operator: watches, plans, releases stages, reports.
mod backoff;
mod flags;
mod heartbeat;
mod keys;
mod leader;
mod queue;
mod reconcile;
fn main() {}
