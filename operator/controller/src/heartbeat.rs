//! Which agents are heard, and how far their clocks are apart. Owns the last heartbeat of every host as it
//! was seen *here*: whether one is heard never depends on another machine's clock.
//!
//! A host is heard while its Lease's `renewTime` was seen to change within the lease's duration. The
//! first look at a Lease says nothing (it may be days old), so a host is `Unknown` until its Lease
//! changes or its duration has passed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::keys::HostKey;

/// For a Lease that names no duration: the agents' default heartbeat of 30 s, missed three times.
const USUAL_DURATION: Duration = Duration::from_secs(90);

/// Whether an agent is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Its heartbeat moved within the last duration.
    Fresh,
    /// It did not.
    Silent,
    /// Too early to tell.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    renewed: Timestamp,
    since: Instant,
    moved: bool,
    /// It came as it was written: its time is the host's own, of this moment.
    prompt: bool,
    duration: Duration,
}

impl Beat {
    fn heard(&self, now: Instant) -> Heard {
        if now.duration_since(self.since) > self.duration {
            Heard::Silent
        } else if self.moved {
            Heard::Fresh
        } else {
            Heard::Unknown
        }
    }
}

#[derive(Debug, Default)]
struct Hosts {
    beats: HashMap<HostKey, Beat>,
    announced: HashMap<HostKey, Heard>,
}

/// The last heartbeat of every host.
#[derive(Debug, Default)]
pub struct Heartbeats(Mutex<Hosts>);

impl Heartbeats {
    /// Takes in a Lease as the watch brought it. `listed`: it comes from a list, so that its age is
    /// not known; else the host has just created or renewed it.
    pub fn saw(&self, key: &HostKey, lease: &Lease, listed: bool) {
        let LeaseSpec { renew_time, lease_duration_seconds, .. } =
            lease.spec.clone().unwrap_or_default();
        // Enrolment made it, and no host has renewed it yet.
        let Some(MicroTime(renewed)) = renew_time else { return };
        let duration = lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(USUAL_DURATION, Duration::from_secs);
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.beats.get_mut(key) {
            Some(beat) if beat.renewed == renewed => beat.duration = duration,
            known => {
                let moved = known.is_some() || !listed;
                let prompt = !listed;
                let beat = Beat { renewed, since: Instant::now(), moved, prompt, duration };
                hosts.beats.insert(key.clone(), beat);
            }
        }
    }

    /// Forgets a host whose Lease is gone.
    pub fn forget(&self, key: &HostKey) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.beats.remove(key);
    }

    /// Whether a host is heard now. A host without a Lease is silent.
    pub fn heard(&self, key: &HostKey) -> Heard {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.beats.get(key).map_or(Heard::Silent, |beat| beat.heard(Instant::now()))
    }

    /// By how many whole seconds the clock of each of these hosts is ahead of what most of them have; of a
    /// host whose last heartbeat was not seen as it was written nothing is known.
    pub fn clocks_ahead(&self, keys: &[HostKey]) -> Vec<Option<i64>> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let clock = |key: &HostKey| {
            let beat = hosts.beats.get(key).filter(|beat| beat.prompt)?;
            let age = i64::try_from(now.duration_since(beat.since).as_millis()).ok()?;
            beat.renewed.as_millisecond().checked_add(age)
        };
        let clocks: Vec<_> = keys.iter().map(clock).collect();
        let mut known: Vec<_> = clocks.iter().flatten().copied().collect();
        known.sort_unstable();
        let usual = known.get(known.len().saturating_sub(1) / 2).copied();
        let ahead = |clock: Option<i64>| Some((clock? - usual?) / 1000);
        clocks.into_iter().map(ahead).collect()
    }

    /// When a heard host will count as silent unless it is heard again.
    pub fn expires(&self, key: &HostKey) -> Option<Instant> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let beat = hosts.beats.get(key)?;
        let end = beat.since + beat.duration + Duration::from_millis(1);
        (end > Instant::now()).then_some(end)
    }

    /// Whether the answer for this host differs from the last time this was asked.
    pub fn flipped(&self, key: &HostKey) -> bool {
        let heard = self.heard(key);
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.announced.insert(key.clone(), heard) != Some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(second: i64) -> Lease {
        let spec = LeaseSpec {
            renew_time: Some(MicroTime(Timestamp::from_second(second).unwrap())),
            lease_duration_seconds: Some(6),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn n1() -> HostKey {
        HostKey::new("pve", "n1")
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_heard_only_after_its_lease_was_seen_to_change() {
        let beats = Heartbeats::default();
        assert_eq!(beats.heard(&n1()), Heard::Silent);
        beats.saw(&n1(), &lease(1), true);
        assert_eq!(beats.heard(&n1()), Heard::Unknown);
        beats.saw(&n1(), &lease(3), false);
        assert_eq!(beats.heard(&n1()), Heard::Fresh);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(beats.heard(&n1()), Heard::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_enrolment_made_is_no_heartbeat() {
        let beats = Heartbeats::default();
        beats.saw(&n1(), &Lease::default(), false);
        assert_eq!(beats.heard(&n1()), Heard::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_relist_that_brings_the_same_time_is_no_heartbeat() {
        let beats = Heartbeats::default();
        beats.saw(&n1(), &lease(1), false);
        tokio::time::advance(Duration::from_secs(4)).await;
        beats.saw(&n1(), &lease(1), true);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(beats.heard(&n1()), Heard::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_are_held_against_what_most_hosts_have() {
        let beats = Heartbeats::default();
        let keys = ["n1", "n2", "n3", "n4"].map(|name| HostKey::new("pve", name));
        for (key, second) in keys.iter().zip([100, 102, 141]) {
            beats.saw(key, &lease(second), false);
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        // What a list brings may be old.
        beats.saw(&keys[3], &lease(7), true);
        assert_eq!(beats.clocks_ahead(&keys), [Some(0), Some(0), Some(37), None]);
        let two = [keys[2].clone(), keys[0].clone()];
        assert_eq!(beats.clocks_ahead(&two), [Some(37), Some(0)]);
        assert_eq!(beats.clocks_ahead(&keys[3..]), [None]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_flip_is_told_once() {
        let beats = Heartbeats::default();
        beats.saw(&n1(), &lease(1), false);
        assert!(beats.flipped(&n1()));
        assert!(!beats.flipped(&n1()));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(beats.flipped(&n1()));
    }
}
