//! Whether the loop still turns, watched from the thread that talks to the API server.
//!
//! A file system that never answers holds whoever asks it in the kernel, where nothing can end it:
//! not systemd, not we. So the loop has a thread of its own, and this one goes on with heartbeat and
//! status, says what is wrong, and keeps systemd from a restart that could not help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pvecm_crds::condition::kind;
use pvecm_crds::host::PveHostStatus;
use tokio::sync::watch;

use crate::systemd;

/// How often it looks. systemd waits for 45 s (`WatchdogSec` in the unit).
const EVERY: Duration = Duration::from_secs(5);
/// A loop that did not turn for so long hangs; its longest pause is two seconds.
const HANGS: Duration = Duration::from_secs(10);

/// When the loop turned last.
#[derive(Debug, Clone)]
pub struct Beat {
    since: Instant,
    millis: Arc<AtomicU64>,
}

impl Default for Beat {
    fn default() -> Self {
        Self { since: Instant::now(), millis: Arc::default() }
    }
}

impl Beat {
    /// The loop turned.
    pub fn beat(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(now, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let last = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }
}

/// Never returns.
pub async fn watch_over(beat: Beat, status: watch::Sender<Option<PveHostStatus>>) {
    let mut hangs = false;
    loop {
        systemd::notify("WATCHDOG=1");
        tokio::time::sleep(EVERY).await;
        let hung = std::mem::replace(&mut hangs, beat.age() > HANGS);
        if hangs && !hung {
            tracing::warn!("the host does not answer: /etc/pve or corosync hangs");
            status.send_if_modified(|status| status.as_mut().is_some_and(not_ready));
        }
    }
}

/// What was seen last is as old as the last turn: the host is not ready, whatever it said.
fn not_ready(status: &mut PveHostStatus) -> bool {
    let ready = status.conditions.iter_mut().find(|condition| condition.type_ == kind::READY);
    let Some(ready) = ready.filter(|ready| ready.status == "True") else { return false };
    "False".clone_into(&mut ready.status);
    "DoesNotAnswer".clone_into(&mut ready.reason);
    "/etc/pve or corosync does not answer".clone_into(&mut ready.message);
    ready.last_transition_time = Time(jiff::Timestamp::now());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Conditions, Observation, facts};

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_published_as_a_host_that_is_not_ready() {
        let mut facts = facts(&Observation::default(), &[], &[]);
        facts[0].1 = true;
        let now = Time(jiff::Timestamp::now());
        let conditions = Conditions::default().update(facts, None, &now);
        let known = PveHostStatus { conditions, ..PveHostStatus::default() };
        let (status, mut published) = watch::channel(Some(known));
        let beat =
            Beat { since: Instant::now().checked_sub(2 * HANGS).unwrap(), millis: Arc::default() };
        tokio::spawn(watch_over(beat, status));
        published.changed().await.unwrap();
        let published = published.borrow().clone().unwrap();
        assert_eq!(published.conditions[0].status, "False");
        assert_eq!(published.conditions[0].reason, "DoesNotAnswer");
    }
}
