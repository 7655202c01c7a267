//! How good a link in use is, in one word that does not move with every packet.
//!
//! knet pings every link all the time and counts the answers. Owns what its counters say of a while, and how often
//! they have to say so before anybody is told. Never reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Limits;

/// How good a way between two hosts is, the best first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum LinkClass {
    /// As corosync wants it.
    #[default]
    Good,
    /// Round trips take longer than half of what a new way may take.
    Slow,
    /// It loses more than a new way may lose, or cuts what is large.
    Lossy,
    /// Nothing comes through.
    Broken,
}

impl fmt::Display for LinkClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What knet has counted of a link to one node since the daemon began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pings {
    /// Pings that were sent.
    pub sent: u64,
    /// Answers that came.
    pub answered: u64,
    /// The moving average of the round trips, in microseconds.
    pub average_us: u32,
    /// Over how many of them, up to `knet_ping_precision`.
    pub samples: u32,
}

/// So many pings are enough to tell a link that loses five of a hundred.
const WINDOW: u64 = 100;
/// So many windows in a row have to be worse, or better, than what is told.
const WORSE_AFTER: u32 = 2;
const BETTER_AFTER: u32 = 5;

/// What is told of a link, and since when it is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkWatch {
    told: LinkClass,
    since: Option<Pings>,
    /// What the last windows said that was not what is told, and how many of them.
    differs: Option<(LinkClass, u32)>,
}

impl LinkWatch {
    /// Goes on with what was told before.
    #[must_use]
    pub fn of(told: LinkClass) -> Self {
        Self { told, ..Self::default() }
    }

    /// What is told of the link.
    #[must_use]
    pub fn told(&self) -> LinkClass {
        self.told
    }

    /// The link is not connected: what is lost meanwhile says nothing of it later.
    pub fn interrupted(&mut self) {
        (self.since, self.differs) = (None, None);
    }

    /// Takes in what is counted by now.
    pub fn look(&mut self, now: Pings, limits: Limits) {
        let since = *self.since.get_or_insert(now);
        if now.sent < since.sent || now.answered < since.answered {
            // Another daemon, or the link was taken out and put back.
            self.since = Some(now);
            return;
        }
        if now.sent - since.sent < WINDOW {
            return;
        }
        self.since = Some(now);
        let while_told = |class| class <= self.told && class != LinkClass::Good;
        let judged = since.until(now).class(limits, while_told);
        self.hear(judged);
    }

    fn hear(&mut self, judged: LinkClass) {
        if judged == self.told {
            self.differs = None;
            return;
        }
        let is_worse = judged > self.told;
        // Of several that differ in the same direction the mildest is sure.
        let (class, times) = match self.differs {
            Some((class, times)) if (class > self.told) == is_worse => {
                let mildest = if is_worse { class.min(judged) } else { class.max(judged) };
                (mildest, times + 1)
            }
            Some(_) | None => (judged, 1),
        };
        let enough = if is_worse { WORSE_AFTER } else { BETTER_AFTER };
        if times >= enough {
            (self.told, self.differs) = (class, None);
        } else {
            self.differs = Some((class, times));
        }
    }
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    sent: u64,
    lost: u64,
    round_trip_us: u64,
}

impl Pings {
    fn until(self, now: Self) -> Window {
        let (sent, answered) = (now.sent - self.sent, now.answered - self.answered);
        Window { sent, lost: sent.saturating_sub(answered), round_trip_us: self.recent(now) }
    }

    /// The mean of the round trips since: the moving average hides them among thousands of older ones. knet adds to it
    /// the difference of each to the average, divided by the number of samples.
    fn recent(self, now: Self) -> u64 {
        let answered = i64::try_from(now.answered - self.answered).unwrap_or(i64::MAX).max(1);
        let moved = i64::from(now.average_us) - i64::from(self.average_us);
        let mean = i64::from(self.average_us) + moved * i64::from(now.samples) / answered;
        u64::try_from(mean).unwrap_or(0)
    }
}

impl Window {
    /// A class that is told already is left only for something clearly better.
    fn class(self, limits: Limits, is_told: impl Fn(LinkClass) -> bool) -> LinkClass {
        let Self { sent, lost, round_trip_us } = self;
        let above = |class, value: u64, limit: u64| {
            let eased = if is_told(class) { limit * 3 / 4 } else { limit };
            value > eased
        };
        let may_lose = sent * u64::from(limits.loss_percent);
        if above(LinkClass::Lossy, lost * 100, may_lose) {
            LinkClass::Lossy
        } else if above(LinkClass::Slow, round_trip_us, limits.slow_us()) {
            LinkClass::Slow
        } else {
            LinkClass::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link whose pings take so long, seen a hundred pings later each time.
    struct Knet {
        watch: LinkWatch,
        now: Pings,
    }

    impl Knet {
        fn new() -> Self {
            let now = Pings { sent: 7, answered: 7, average_us: 100, samples: 7 };
            let mut watch = LinkWatch::default();
            watch.look(now, Limits::default());
            Self { watch, now }
        }

        /// The daemon's own sums, cut to whole microseconds as it does.
        fn answers(&mut self, round_trip_us: u32) {
            self.now.answered += 1;
            self.now.samples = (self.now.samples + 1).min(2048);
            let Pings { samples, average_us, .. } = self.now;
            let sum = u64::from(average_us) * u64::from(samples - 1) + u64::from(round_trip_us);
            self.now.average_us = u32::try_from(sum / u64::from(samples)).unwrap();
        }

        fn window(&mut self, lost: u64, round_trip_us: u32) -> LinkClass {
            self.now.sent += WINDOW;
            (lost..WINDOW).for_each(|_| self.answers(round_trip_us));
            self.watch.look(self.now, Limits::default());
            self.watch.told()
        }

        fn windows(&mut self, times: u32, lost: u64, round_trip_us: u32) {
            (0..times).for_each(|_| _ = self.window(lost, round_trip_us));
        }
    }

    #[test]
    fn one_bad_while_is_not_told_and_two_are() {
        let mut knet = Knet::new();
        assert_eq!(knet.window(5, 100), LinkClass::Good);
        assert_eq!(knet.window(0, 100), LinkClass::Good);
        assert_eq!(knet.window(2, 100), LinkClass::Good);
        assert_eq!(knet.window(1, 100), LinkClass::Good, "one of a hundred may be lost");
        assert_eq!(knet.window(5, 100), LinkClass::Good);
        assert_eq!(knet.window(2, 100), LinkClass::Lossy);
    }

    #[test]
    fn what_was_told_holds_until_five_whiles_are_clearly_better() {
        let mut knet = Knet::new();
        knet.windows(2, 5, 100);
        (0..4).for_each(|_| assert_eq!(knet.window(0, 100), LinkClass::Lossy));
        assert_eq!(knet.window(1, 100), LinkClass::Lossy, "what may be is not clearly better");
        (0..4).for_each(|_| assert_eq!(knet.window(0, 100), LinkClass::Lossy));
        assert_eq!(knet.window(0, 100), LinkClass::Good);
    }

    #[test]
    fn slow_is_more_than_half_of_what_a_new_way_may_take_however_old_the_average_is() {
        let mut knet = Knet::new();
        (0..50).for_each(|_| assert_eq!(knet.window(0, 200), LinkClass::Good));
        knet.windows(2, 0, 9_000);
        assert!(knet.now.average_us < 1_000, "{:?}", knet.now);
        assert_eq!(knet.watch.told(), LinkClass::Slow);
        knet.windows(5, 0, 200);
        assert_eq!(knet.watch.told(), LinkClass::Good);
    }

    #[test]
    fn between_two_that_are_worse_the_milder_is_told() {
        let mut knet = Knet::new();
        knet.windows(1, 5, 100);
        assert_eq!(knet.window(0, 30_000), LinkClass::Slow);
        knet.windows(1, 5, 100);
        assert_eq!(knet.window(5, 100), LinkClass::Lossy);
    }

    #[test]
    fn what_is_lost_while_the_link_is_down_or_another_daemon_counts_says_nothing() {
        let mut knet = Knet::new();
        (0..3).for_each(|_| {
            knet.now.sent += 50;
            knet.watch.interrupted();
            knet.now.sent += 50;
            assert_eq!(knet.window(0, 100), LinkClass::Good);
        });
        knet.now = Pings { sent: 90, answered: 2, average_us: 100, samples: 2 };
        knet.watch.look(knet.now, Limits::default());
        assert_eq!(knet.window(0, 100), LinkClass::Good);
        assert_eq!(knet.watch, LinkWatch { since: Some(knet.now), ..LinkWatch::default() });
    }

    #[test]
    fn fewer_pings_than_a_window_are_not_judged_and_what_was_told_goes_on() {
        let mut watch = LinkWatch::of(LinkClass::Lossy);
        let pings = |sent| Pings { sent, answered: 0, average_us: 0, samples: 0 };
        watch.look(pings(0), Limits::default());
        watch.look(pings(WINDOW - 1), Limits::default());
        assert_eq!(watch, LinkWatch { since: Some(pings(0)), ..LinkWatch::of(LinkClass::Lossy) });
    }
}
