//! Whether the way from one host to another is fit for corosync, by the echo requests that went over it
//! (facts/pve.md G10, G11).
//!
//! Owns the figures, the limits and the words. Never sends anything.

use serde::{Deserialize, Serialize};

use super::LinkClass;

/// What came back of the requests from one card to one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Small requests that were sent.
    pub sent: u32,
    /// How long each answer took, in microseconds, in the order in which they came.
    pub round_trips_us: Vec<u32>,
    /// Requests of the size that the card says it can send, never cut in pieces; `None`: not sent.
    pub large: Option<Large>,
}

/// What became of packets that fill the card's MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Large {
    /// The card's MTU in bytes.
    pub mtu: u32,
    /// The largest packets, in bytes, of which one was answered; `None`: none of those that were tried.
    pub passes: Option<u32>,
}

/// What a way may be like at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Milliseconds that half of the round trips may take.
    pub round_trip_millis: u32,
    /// Packets of a hundred that may be lost.
    pub loss_percent: u32,
}

impl Default for Limits {
    /// Proxmox VE's documentation: below 5 ms, and above 10 ms a cluster of more than three nodes is hardly
    /// stable. Corosync sends what is lost again, and each time the token waits for it.
    fn default() -> Self {
        Self { round_trip_millis: 10, loss_percent: 1 }
    }
}

impl Limits {
    /// What is told as slow, in microseconds, long before it is refused.
    #[must_use]
    pub fn slow_us(self) -> u64 {
        u64::from(self.round_trip_millis) * 1000 / 2
    }
}

/// How long answers took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrips {
    /// Half of them took no longer.
    pub median_us: u32,
    /// Ninety-nine of a hundred took no longer.
    pub p99_us: u32,
    /// The longest one.
    pub worst_us: u32,
}

impl Measured {
    /// Nobody is there.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.round_trips_us.is_empty()
    }

    /// How long the answers took; `None`: there is none.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        let mut sorted = self.round_trips_us.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get(sorted.len().saturating_sub(1) * percent / 100);
        Some(RoundTrips { median_us: *at(50)?, p99_us: *at(99)?, worst_us: *sorted.last()? })
    }

    /// Small requests without an answer.
    #[must_use]
    pub fn lost(&self) -> u32 {
        let answered = u32::try_from(self.round_trips_us.len()).unwrap_or(u32::MAX);
        self.sent.saturating_sub(answered)
    }

    /// The same of a thousand.
    #[must_use]
    pub fn lost_per_mille(&self) -> u32 {
        let lost = u64::from(self.lost()) * 1000 / u64::from(self.sent.max(1));
        u32::try_from(lost).unwrap_or(u32::MAX)
    }

    /// The way in one word.
    #[must_use]
    pub fn class(&self, limits: Limits) -> LinkClass {
        let Some(RoundTrips { median_us, .. }) = self.round_trips() else {
            return LinkClass::Broken;
        };
        if self.loses(limits).is_some() || self.cuts().is_some() {
            LinkClass::Lossy
        } else if u64::from(median_us) > limits.slow_us() {
            LinkClass::Slow
        } else {
            LinkClass::Good
        }
    }

    /// What makes the way unfit, with the figures; `None`: it is fit. Every fault is told at once.
    #[must_use]
    pub fn unfit(&self, limits: Limits) -> Option<String> {
        let faults = [self.loses(limits), self.is_slow(limits), self.cuts()];
        let told: Vec<String> = faults.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn loses(&self, limits: Limits) -> Option<String> {
        let lost = u64::from(self.lost());
        let allowed = u64::from(self.sent) * u64::from(limits.loss_percent);
        (lost * 100 > allowed).then(|| {
            let Limits { loss_percent, .. } = limits;
            format!("{lost} of {} packets are lost, and {loss_percent} % may be", self.sent)
        })
    }

    fn is_slow(&self, limits: Limits) -> Option<String> {
        let RoundTrips { median_us, p99_us, worst_us } = self.round_trips()?;
        (u64::from(median_us) > u64::from(limits.round_trip_millis) * 1000).then(|| {
            format!(
                "half of the round trips take more than {}, and {} ms is the limit (p99 {}, worst {})",
                millis(median_us),
                limits.round_trip_millis,
                millis(p99_us),
                millis(worst_us)
            )
        })
    }

    /// A network that loses what its cards may send stalls what is larger than it lets through, and looks well
    /// to everything else.
    fn cuts(&self) -> Option<String> {
        let Large { mtu, passes } = self.large?;
        let passing = match passes {
            Some(passes) if passes >= mtu => return None,
            Some(passes) => format!("{passes} bytes get through"),
            None => "only small ones get through".to_owned(),
        };
        Some(format!("packets of {mtu} bytes, the MTU of the card here, are lost, and {passing}"))
    }
}

fn millis(micros: u32) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hundred requests, of which so many are lost, and a card of 1500 bytes.
    fn measured(lost: usize, round_trip_us: u32) -> Measured {
        Measured {
            sent: 200,
            round_trips_us: vec![round_trip_us; 200 - lost],
            large: Some(Large { mtu: 1500, passes: Some(1500) }),
        }
    }

    #[test]
    fn one_packet_in_a_hundred_may_be_lost() {
        assert_eq!(measured(2, 100).unfit(Limits::default()), None);
        let told = measured(3, 100).unfit(Limits::default()).unwrap();
        assert_eq!(told, "3 of 200 packets are lost, and 1 % may be");
        let generous = Limits { loss_percent: 2, ..Limits::default() };
        assert_eq!(measured(3, 100).unfit(generous), None);
        assert!(measured(200, 0).is_silent() && !measured(199, 0).is_silent());
    }

    #[test]
    fn half_of_the_answers_have_to_be_there_in_time() {
        assert_eq!(measured(0, 10_000).unfit(Limits::default()), None);
        let mut slow = measured(0, 10_001);
        slow.round_trips_us[0] = 55_555;
        let told = "half of the round trips take more than 10.0 ms, and 10 ms is the limit (p99 10.0 ms, worst \
                    55.5 ms)";
        assert_eq!(slow.unfit(Limits::default()).unwrap(), told);
        let far = Limits { round_trip_millis: 11, ..Limits::default() };
        assert_eq!(slow.unfit(far), None);
        let mut single = measured(0, 100);
        single.round_trips_us[7] = 900_000;
        assert_eq!(single.unfit(Limits::default()), None, "one that was late says nothing");
    }

    #[test]
    fn a_way_has_one_class_and_the_worst_counts() {
        let class = |measured: Measured| measured.class(Limits::default());
        assert_eq!(class(measured(2, 5_000)), LinkClass::Good);
        assert_eq!(class(measured(2, 5_001)), LinkClass::Slow);
        assert_eq!(class(measured(3, 9_000)), LinkClass::Lossy);
        let large = Some(Large { mtu: 1500, passes: Some(1400) });
        assert_eq!(class(Measured { large, ..measured(0, 100) }), LinkClass::Lossy);
        assert_eq!(class(measured(200, 0)), LinkClass::Broken);
    }

    #[test]
    fn what_the_card_may_send_has_to_arrive_and_every_fault_is_told() {
        let with =
            |passes| Measured { large: Some(Large { mtu: 9000, passes }), ..measured(9, 100) };
        let told = |passes| with(passes).unfit(Limits::default()).unwrap();
        assert!(!told(Some(9000)).contains("MTU"));
        let loss = "9 of 200 packets are lost, and 1 % may be; packets of 9000 bytes, the MTU of the card here, are \
                    lost, and";
        assert_eq!(told(Some(1500)), format!("{loss} 1500 bytes get through"));
        assert_eq!(told(None), format!("{loss} only small ones get through"));
    }
}
