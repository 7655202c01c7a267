//! When something that did not help is tried again: after pauses that double, up to a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::host_ports::Host;

const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

/// The tries so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    last: Option<(Instant, Duration)>,
    goes_on: Arc<AtomicBool>,
}

impl Tries {
    /// All is well: the next try comes at once.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Whether a try goes on.
    #[cfg(test)]
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on.load(Ordering::Acquire)
    }

    /// Works on it beside the loop, unless it is too early, or the last try still goes on.
    pub(super) fn again(
        &mut self,
        host: &Host,
        what: &'static str,
        job: impl FnOnce(Host) -> BoxFuture<'static, Result<(), String>>,
    ) {
        let pause = match self.last {
            Some((at, pause)) if at.elapsed() < pause => return,
            Some((_, pause)) => LONGEST.min(pause * 2),
            None => SHORTEST,
        };
        if self.goes_on.swap(true, Ordering::AcqRel) {
            return;
        }
        self.last = Some((Instant::now(), pause));
        let (job, goes_on) = (job(host.clone()), self.goes_on.clone());
        let tried = async move {
            let done = job.await;
            tracing::warn!(what, ?done, "a daemon that was missing is begun anew");
            goes_on.store(false, Ordering::Release);
        };
        host.workers.spawn(tried.boxed());
    }
}
