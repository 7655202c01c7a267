//! One pass at a time per object, so many objects at once, each with its time to come back.
//!
//! Built on kube's scheduler instead of its `Controller`: passes are started by names, so a vanished
//! object gets one too, a relist never runs a pass with an old object, and a panic ends one pass and
//! not the stream.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long an object rests after a pass that panicked: a bug will still be there at once.
const AFTER_PANIC: Duration = Duration::from_mins(1);

/// Where passes are asked for.
#[derive(Debug)]
pub struct Triggers<K>(UnboundedSender<ScheduleRequest<K>>);

impl<K> Clone for Triggers<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Triggers<K> {
    /// Asks for a pass now. A queue that has ended takes no more, which is right at the end.
    pub fn now(&self, key: K) {
        self.at(key, Instant::now());
    }

    /// Asks for a pass at a moment, or earlier if somebody else does.
    pub fn at(&self, message: K, run_at: Instant) {
        let _ = self.0.send(ScheduleRequest { message, run_at });
    }
}

/// What waits for its pass.
#[derive(Debug)]
pub struct Queue<K> {
    triggers: Triggers<K>,
    requests: UnboundedReceiver<ScheduleRequest<K>>,
}

impl<K: Hash + Eq + Clone + Display + Send + Unpin + 'static> Queue<K> {
    /// An empty queue, and where passes are asked for.
    #[must_use]
    pub fn new() -> (Self, Triggers<K>) {
        let (sender, requests) = unbounded_channel();
        let triggers = Triggers(sender);
        (Self { triggers: triggers.clone(), requests }, triggers)
    }

    /// The next pass that was asked for, and its moment: for whoever runs passes in an order of its
    /// own.
    pub async fn asked(&mut self) -> Option<(K, Instant)> {
        self.requests.recv().await.map(|request| (request.message, request.run_at))
    }

    /// Runs passes, `concurrency` of them at once, until `stop` resolves; waits for those begun.
    /// A pass says when its object comes back without being asked for.
    pub async fn run<W, F>(self, concurrency: usize, stop: impl Future<Output = ()>, work: W)
    where
        W: Fn(K) -> F,
        F: Future<Output = Option<Duration>> + Send + 'static,
    {
        let Self { triggers, requests } = self;
        let mut stop = pin!(stop);
        let mut waiting = pin!(scheduler(stream::unfold(requests, async |mut requests| {
            requests.recv().await.map(|request| (request, requests))
        })));
        let mut busy = HashSet::new();
        let mut passes = JoinSet::new();
        loop {
            let full = busy.len() >= concurrency;
            let mut next = waiting.as_mut().hold_unless(|key| !full && !busy.contains(key));
            tokio::select! {
                () = &mut stop => break,
                Some(key) = next.next() => {
                    busy.insert(key.clone());
                    passes.spawn(contained(key.clone(), work(key)));
                }
                Some(done) = passes.join_next() => {
                    // Cannot fail: the pass catches its panics, and nobody aborts one.
                    if let Ok((key, back)) = done {
                        busy.remove(&key);
                        if let Some(wait) = back {
                            triggers.at(key, Instant::now() + wait);
                        }
                    }
                }
            }
        }
        while passes.join_next().await.is_some() {}
    }
}

/// Runs one pass; a panic becomes a long wait.
async fn contained<K: Display>(
    key: K,
    pass: impl Future<Output = Option<Duration>>,
) -> (K, Option<Duration>) {
    let back = AssertUnwindSafe(pass).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(object = %key, "pass panicked");
        Some(AFTER_PANIC)
    });
    (key, back)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_one_pass_and_the_object_comes_back() {
        let (queue, triggers) = Queue::new();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        triggers.now("a".to_owned());
        let stop = tokio::time::sleep(AFTER_PANIC * 3);
        queue
            .run(2, stop, move |_| {
                let counted = counted.clone();
                async move {
                    assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first pass panics");
                    None
                }
            })
            .await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_object_never_has_two_passes_at_once_and_no_trigger_is_lost() {
        let (queue, triggers) = Queue::new();
        let running = Arc::new(AtomicUsize::new(0));
        let count = Arc::new(AtomicUsize::new(0));
        let (again, inside, total) = (triggers.clone(), running.clone(), count.clone());
        triggers.now("a".to_owned());
        queue
            .run(8, tokio::time::sleep(Duration::from_mins(1)), move |key| {
                let (again, inside, total) = (again.clone(), inside.clone(), total.clone());
                async move {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    if total.fetch_add(1, Ordering::SeqCst) == 0 {
                        again.now(key);
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    None
                }
            })
            .await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}
