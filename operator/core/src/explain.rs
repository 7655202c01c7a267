//! Pages: what a reason means, which outage stopping for it prevents, and what a person does about it.
//!
//! Owns their form. The texts stand beside the enums ([`crate::plan::Blocker`],
//! [`crate::guard::Refusal`]): a variant without a page does not compile. A condition has the sentence
//! about the very host or link; a page is what is always so.

use serde::Serialize;

use crate::guard::Refusal;
use crate::plan::Blocker;

/// What is to be known about one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The word that stands in the condition.
    pub reason: &'static str,
    /// What is the matter.
    pub means: &'static str,
    /// The outage that could follow if the operator went on; empty where it does not stop.
    pub prevents: &'static str,
    /// What a person does about it.
    pub act: &'static str,
}

impl Page {
    /// The page of a blocker, or of a guard where the sentence says that a plan is refused: a few
    /// reasons are those of both.
    #[must_use]
    pub fn of(reason: &str, sentence: &str) -> Option<&'static Self> {
        let (blockers, guards) = (Blocker::PAGES, Refusal::PAGES);
        let (first, then) = if sentence.starts_with(Refusal::BEGINS) {
            (guards, blockers)
        } else {
            (blockers, guards)
        };
        first.iter().chain(then).find(|page| page.reason == reason)
    }
}

/// Gives each variant of an enum its page. The generated match is exhaustive, and the list is made
/// from the same table.
macro_rules! pages {
    ($of:ty: $($variant:ident { means: $means:literal, prevents: $prevents:literal, act: $act:literal })+) => {
        impl $of {
            /// The page of every variant.
            pub const PAGES: &'static [$crate::explain::Page] = &[$($crate::explain::Page {
                reason: stringify!($variant),
                means: $means,
                prevents: $prevents,
                act: $act,
            }),+];

            /// The variant's name: the reason in the condition and the label of the metric.
            #[must_use]
            pub const fn reason(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                }
            }
        }
    };
}
pub(crate) use pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_says_what_is_the_matter_which_outage_it_prevents_and_what_to_do() {
        for page in Blocker::PAGES.iter().chain(Refusal::PAGES) {
            for text in [page.means, page.prevents, page.act] {
                assert!(text.ends_with('.') && text.len() > 20, "{}: `{text}`", page.reason);
            }
        }
    }

    /// A reason that nothing stops for in any test is one that nobody has proved.
    #[test]
    fn every_blocker_and_every_guard_has_a_test_that_it_stops() {
        let guards = [
            include_str!("guard/tests/mod.rs"),
            include_str!("guard/tests/reloads.rs"),
            include_str!("guard/tests/ha.rs"),
            include_str!("guard/tests/keys.rs"),
            include_str!("guard/tests/recovery.rs"),
            include_str!("guard/tests/removal.rs"),
            include_str!("guard/tests/separation.rs"),
            include_str!("guard/tests/transport.rs"),
            include_str!("guard/tests/away.rs"),
            include_str!("guard/tests/datacenter.rs"),
            include_str!("guard/tests/device.rs"),
        ]
        .concat();
        let blockers = [
            include_str!("plan/tests/blockers.rs"),
            include_str!("plan/tests/ha.rs"),
            include_str!("plan/tests/recovery.rs"),
            include_str!("plan/tests/removal.rs"),
            include_str!("plan/tests/separation.rs"),
            include_str!("plan/tests/transport.rs"),
            include_str!("plan/tests/away.rs"),
            include_str!("plan/tests/datacenter.rs"),
            include_str!("plan/tests/device.rs"),
        ]
        .concat();
        let tests = [
            ("Blocker", Blocker::PAGES, blockers.as_str()),
            ("Refusal", Refusal::PAGES, guards.as_str()),
        ];
        for (kind, pages, text) in tests {
            for Page { reason, .. } in pages {
                let named = text.match_indices(&format!("{kind}::{reason}")).any(|(at, word)| {
                    !text[at + word.len()..].starts_with(|next: char| next.is_alphanumeric())
                });
                assert!(named, "{kind}::{reason} stops nothing in any test");
            }
        }
    }

    #[test]
    fn a_reason_of_both_finds_the_page_that_the_sentence_is_about() {
        let found = |sentence| Page::of("NotQuorate", sentence).unwrap();
        assert!(Blocker::PAGES.contains(found("n2 is not quorate")));
        let refusal = Refusal::NotQuorate { stage: 1, present: 1, expected: 2 };
        assert!(Refusal::PAGES.contains(found(&refusal.sentence())));
        assert_eq!(Page::of("Nonsense", ""), None);
    }
}
