//! Which links the figures speak for. Advice: priorities are a person's, who knows what else goes over a network.

use std::cmp::Reverse;

use super::LinkClass;
use crate::ids::LinkNumber;

/// One link, as the worst way of it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFigures {
    /// The link.
    pub link: LinkNumber,
    /// `knet_link_priority` in force: the highest carries, of equal ones the lowest number.
    pub priority: u8,
    /// The worst class of its ways.
    pub class: LinkClass,
    /// The longest median of its ways, in microseconds.
    pub round_trip_us: u32,
}

/// What is between two links has to be more than what differs from one measurement to the next.
const AT_LEAST_US: u32 = 500;

impl LinkFigures {
    fn is_clearly_better_than(self, other: Self) -> bool {
        let is_faster = u64::from(self.round_trip_us) * 2 < u64::from(other.round_trip_us)
            && other.round_trip_us - self.round_trip_us >= AT_LEAST_US;
        self.class < other.class || self.class == other.class && is_faster
    }

    fn said(self) -> String {
        let Self { link, class, round_trip_us, priority: _ } = self;
        let (millis, tenths) = (round_trip_us / 1000, round_trip_us % 1000 / 100);
        format!("link {link} ({class}, {millis}.{tenths} ms)")
    }
}

/// The links by preference as they were measured, with the priorities that would have them so, when that is another
/// order than the one in force.
#[must_use]
pub fn priorities(links: &[LinkFigures]) -> Option<Vec<(LinkNumber, u8)>> {
    let by_figures = by_figures(links)?;
    let ranks = (1..=u8::MAX / 10).rev().skip(usize::from(u8::MAX / 10) - by_figures.len());
    Some(by_figures.iter().zip(ranks).map(|(figures, rank)| (figures.link, rank * 10)).collect())
}

/// The same as one sentence.
#[must_use]
pub fn sentence(links: &[LinkFigures]) -> Option<String> {
    let said: Vec<String> = by_figures(links)?.into_iter().map(LinkFigures::said).collect();
    let wanted = priorities(links)?.into_iter();
    let wanted: Vec<String> =
        wanted.map(|(link, priority)| format!("link {link} {priority}")).collect();
    Some(format!(
        "as measured the links are best in the order {}, and corosync prefers another one: to follow it, set \
         `links[].priority` of the spec to {}",
        said.join(", "),
        wanted.join(", ")
    ))
}

fn by_figures(links: &[LinkFigures]) -> Option<Vec<LinkFigures>> {
    let mut in_force = links.to_vec();
    in_force.sort_by_key(|figures| (Reverse(figures.priority.max(1)), figures.link));
    let mut sorted: Vec<LinkFigures> = Vec::new();
    for figures in &in_force {
        let worse = sorted.iter().rev().take_while(|other| figures.is_clearly_better_than(**other));
        sorted.insert(sorted.len() - worse.count(), *figures);
    }
    (sorted != in_force).then_some(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u32, priority: u8, class: LinkClass, round_trip_us: u32) -> LinkFigures {
        let link = LinkNumber::try_from(number).unwrap();
        LinkFigures { link, priority, class, round_trip_us }
    }

    fn ordered(links: &[LinkFigures]) -> Option<Vec<(u8, u8)>> {
        let wanted = priorities(links)?.into_iter();
        Some(wanted.map(|(link, priority)| (link.get(), priority)).collect())
    }

    #[test]
    fn a_link_that_is_clearly_better_than_one_that_is_preferred_is_advised() {
        use LinkClass::{Good, Lossy, Slow};
        let far = link(0, 20, Slow, 12_100);
        assert_eq!(ordered(&[far, link(1, 10, Good, 200)]), Some(vec![(1, 20), (0, 10)]));
        let three = [link(0, 0, Lossy, 100), link(1, 0, Good, 900), link(2, 0, Good, 200)];
        assert_eq!(ordered(&three), Some(vec![(2, 30), (1, 20), (0, 10)]));
        let told = "as measured the links are best in the order link 1 (Good, 0.2 ms), link 0 (Slow, 12.1 ms), and \
                    corosync prefers another one: to follow it, set `links[].priority` of the spec to link 1 20, \
                    link 0 10";
        assert_eq!(sentence(&[far, link(1, 10, Good, 200)]).unwrap(), told);
    }

    #[test]
    fn what_differs_by_little_or_is_preferred_already_is_left_alone() {
        use LinkClass::{Broken, Good};
        assert_eq!(priorities(&[]), None);
        assert_eq!(priorities(&[link(0, 20, Good, 900), link(1, 10, Good, 450)]), None, "half");
        assert_eq!(priorities(&[link(0, 20, Good, 600), link(1, 10, Good, 120)]), None, "0.5 ms");
        assert_eq!(priorities(&[link(0, 10, Broken, 0), link(1, 20, Good, 120)]), None);
        assert_eq!(priorities(&[link(0, 0, Good, 120), link(1, 1, Good, 5_000)]), None, "0 is 1");
    }
}
