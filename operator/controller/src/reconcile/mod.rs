//! One pass over one cluster: observe -> validate -> plan -> guard -> dispatch -> report.
//!
//! A pass looks at the warm copies first, which is free. Only when something is to be done does it
//! read the objects again from the server, decide again, and carry out what *that* says: the watch
//! may have broken in the very change that is at hand. It keeps nothing between passes.

mod certificates;
mod decide;
mod dispatch;
mod dissolution;
mod drive;
mod elsewhere;
mod events;
mod namesakes;
mod observe;
mod passed;
mod report;
mod reservation;
mod secret;
mod witnesses;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use pvecm_crds::condition::reason;

use crate::access::AccessError;
use crate::backoff::spread;
use crate::context::Context;
use crate::keys::ClusterKey;
use crate::metrics::Pass;
use decide::{Stand, Verdict, decide};
use dispatch::{DispatchError, Sent, dispatch};
use observe::{Observation, ObserveError, Sight, observe};
use report::report;

pub use report::quorum::{Foretold, Question};

/// On a change from its first released stage to its outcome.
pub const IN_FLIGHT: &str = "pvecm.io/in-flight";

/// On a cluster whose deletion separates its hosts.
pub const DISSOLVES: &str = "pvecm.io/dissolve";

/// A cluster at rest is looked at so often without being asked: watches do the work.
const AT_REST: Duration = Duration::from_mins(10);
/// A cluster that waits for a report, or for a person.
const WAITING: Duration = Duration::from_secs(30);
/// From so many failures in a row on, a user is told.
const TOLD_FROM: u32 = 3;

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing could be observed.
    #[error("cannot observe")]
    Observe(#[from] ObserveError),
    /// The effect could not be carried out.
    #[error("cannot dispatch")]
    Dispatch(#[from] DispatchError),
    /// The status could not be written.
    #[error("cannot report")]
    Report(#[source] AccessError),
    /// A defect of ours.
    #[error("a pass panicked")]
    Panicked,
}

/// Moves one cluster one step closer to its spec; says when to look again without being asked.
pub async fn reconcile(key: ClusterKey, context: Arc<Context>) -> Option<Duration> {
    if !context.access.leads() {
        return None;
    }
    let outcome = AssertUnwindSafe(step(&key, &context)).catch_unwind().await;
    let outcome = outcome.unwrap_or(Err(Error::Panicked));
    let (verdict, failed) = match outcome {
        Ok(Done { seen, verdict, sent }) => {
            events::tell(&seen, &sent, &context).await;
            // Let go, the object is no longer there to report in.
            let reported = match sent {
                Sent::LetEnd => Ok(()),
                _ => report(&seen, &verdict, &context).await.map_err(Error::Report),
            };
            (Some((verdict, sent)), reported.err())
        }
        Err(error) => (None, Some(error)),
    };
    match (failed, verdict) {
        // Whoever writes now sees for himself.
        (Some(_), _) if !context.access.leads() => None,
        (Some(error), _) => stumble(&key, &error, &context).await,
        (None, Some((verdict, sent))) => {
            context.cluster_backoff.reset(&key);
            Some(next_look(&verdict, &sent, &context))
        }
        (None, None) => None,
    }
}

/// What a pass did.
struct Done {
    seen: Observation,
    verdict: Verdict,
    sent: Sent,
}

/// Observe, decide, and carry out at most one effect.
async fn step(key: &ClusterKey, context: &Context) -> Result<Done, Error> {
    let seen = observe(key, Sight::Stored, context).await?;
    let verdict = decide(&seen);
    if verdict.effect.is_none() {
        return Ok(Done { seen, verdict, sent: Sent::Nothing });
    }
    let seen = observe(key, Sight::Live, context).await?;
    let mut verdict = decide(&seen);
    let sent = match verdict.effect.take() {
        Some(effect) => dispatch(effect, &seen, &context.access).await?,
        None => Sent::Nothing,
    };
    Ok(Done { seen, verdict, sent })
}

/// When to look again without being asked. What was just written comes back through the watch.
fn next_look(verdict: &Verdict, sent: &Sent, context: &Context) -> Duration {
    let (outcome, period) = match (sent, verdict.stand) {
        (Sent::Nothing, Stand::Settled | Stand::Paused) => (Pass::Idle, AT_REST),
        (Sent::Nothing, Stand::Working | Stand::Waiting) => (Pass::Waiting, WAITING),
        (Sent::Nothing, Stand::Stalled) => (Pass::Stalled, WAITING * 4),
        (
            Sent::Created(_)
            | Sent::Released(..)
            | Sent::Finished(..)
            | Sent::Quietly
            | Sent::LetEnd,
            _,
        ) => (Pass::Acted, WAITING),
    };
    context.metrics.passed(outcome);
    verdict.again.map_or_else(|| spread(period), |again| again.min(period))
}

/// Counts a failed pass, logs it once with its causes, and tells the user from the third one on.
async fn stumble(key: &ClusterKey, error: &Error, context: &Context) -> Option<Duration> {
    let panicked = matches!(error, Error::Panicked);
    context.metrics.passed(if panicked { Pass::Panic } else { Pass::Error });
    let (count, wait) = context.cluster_backoff.failed(key.clone());
    let said = crate::chain(error);
    tracing::warn!(cluster = %key, error = %said, count, "pass failed");
    if panicked || count >= TOLD_FROM {
        confess(key, panicked, said, context).await;
    }
    Some(wait)
}

/// Puts a failure into the status, as far as the API server takes it; the next pass tries again.
async fn confess(key: &ClusterKey, panicked: bool, said: String, context: &Context) {
    let verdict = if panicked {
        Verdict::new(Stand::Stalled, reason::INTERNAL_ERROR, said)
    } else {
        Verdict::new(Stand::Waiting, reason::API_ERROR, said)
    };
    let Ok(seen) = observe(key, Sight::Stored, context).await else { return };
    let reported = report(&seen, &verdict, context).await;
    tracing::debug!(cluster = %key, ok = reported.is_ok(), "failure reported");
}

/// A sentence within the 1024 characters that the schema allows.
fn limited(sentence: &str) -> String {
    sentence.chars().take(1024).collect()
}

#[cfg(test)]
mod tests;
