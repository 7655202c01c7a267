//! How long an object waits after an error. Owns the counts of failures in a row, and nothing else.
//!
//! kube's `error_policy` has no memory, so the counts are kept here: full jitter between 1 s and a
//! ceiling that doubles with every failure up to 5 minutes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// Failures in a row, per object.
#[derive(Debug)]
pub struct Backoff<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq> Backoff<K> {
    /// Counts a failure: how many there were in a row, and how long to wait now.
    pub fn failed(&self, key: K) -> (u32, Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
        (*count, jittered(ceiling(*count)))
    }

    /// Forgets an object's failures: a pass succeeded, or the object is gone.
    pub fn reset(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The longest wait after this many failures in a row.
fn ceiling(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST)
}

/// Some time between the shortest wait and this ceiling.
fn jittered(ceiling: Duration) -> Duration {
    FIRST + ceiling.saturating_sub(FIRST).mul_f64(fastrand::f64())
}

/// A period spread over half of itself, so that many objects do not come back in one moment.
#[must_use]
pub fn spread(period: Duration) -> Duration {
    period.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_five_minutes_and_starts_anew_after_a_success() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.failed("a")).collect();
        assert!(waits.iter().all(|(_, wait)| (FIRST..=LONGEST).contains(wait)));
        assert!(waits[0].1 <= Duration::from_secs(2));
        assert_eq!(ceiling(40), LONGEST);
        backoff.reset(&"a");
        assert_eq!(backoff.failed("a").0, 1);
    }
}
