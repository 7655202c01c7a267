//! What differs on this host, told only once it has differed for a while: an edit through /etc/pve passes
//! through the disk and the daemon within two seconds, and a missed reload is made up for within five.

use std::time::Duration;

use pvecm_core::drift::HostDrift;
use tokio::time::Instant;

/// How long a difference lasts before it is told.
const SETTLED: Duration = Duration::from_secs(5);

/// The differences, over time.
#[derive(Debug, Default)]
pub struct Drifting {
    since: Option<Instant>,
    shown: Vec<HostDrift>,
    /// The last look found nothing.
    level: bool,
}

impl Drifting {
    /// Takes in what a look found.
    pub fn look(&mut self, found: Vec<HostDrift>) {
        if found.is_empty() {
            *self = Self { level: true, ..Self::default() };
            return;
        }
        self.level = false;
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= SETTLED {
            self.shown = found;
        }
    }

    /// A stage runs. What was told stays until a look after it; what was not yet begins anew.
    pub fn pause(&mut self) {
        self.level = false;
        if self.shown.is_empty() {
            self.since = None;
        }
    }

    /// Whether the places were equal at the last look, so that a further one at the same finds nothing.
    #[must_use]
    pub const fn is_level(&self) -> bool {
        self.level
    }

    /// Whether a further look may change something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.since.is_some()
    }

    /// What has differed for a while.
    #[must_use]
    pub fn shown(&self) -> &[HostDrift] {
        &self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(running: &str) -> Vec<HostDrift> {
        let value = |text: &str| Some(text.to_owned());
        let (pmxcfs, disk) = (value("5000"), value("5000"));
        vec![HostDrift { key: "totem.token".to_owned(), pmxcfs, disk, running: value(running) }]
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_not_told_and_what_stays_is() {
        let mut drifting = Drifting::default();
        drifting.look(token("8000"));
        tokio::time::advance(Duration::from_secs(4)).await;
        drifting.look(token("8000"));
        assert!(drifting.is_open() && drifting.shown().is_empty());
        drifting.look(Vec::new());
        assert!(!drifting.is_open() && drifting.is_level());
        drifting.look(token("8000"));
        tokio::time::advance(Duration::from_secs(4)).await;
        drifting.look(token("8000"));
        assert!(!drifting.is_level());
        assert!(drifting.shown().is_empty(), "the earlier difference is over");
        tokio::time::advance(Duration::from_secs(1)).await;
        drifting.look(token("9000"));
        assert_eq!(drifting.shown(), token("9000"));
        drifting.pause();
        assert_eq!(drifting.shown(), token("9000"), "a stage does not hide it");
        drifting.look(Vec::new());
        assert!(drifting.shown().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_stage_makes_differ_is_not_counted_from_before_it() {
        let mut drifting = Drifting::default();
        drifting.look(token("8000"));
        tokio::time::advance(Duration::from_secs(4)).await;
        drifting.look(Vec::new());
        drifting.pause();
        assert!(!drifting.is_level(), "what a stage left behind is looked at");
        drifting.look(token("8000"));
        tokio::time::advance(Duration::from_secs(4)).await;
        drifting.pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        drifting.look(token("8000"));
        assert!(drifting.shown().is_empty());
    }
}
