//! One page per list of reasons, with a heading for each: what `kubectl pvecm explain` says of it.

use pvecm_core::explain::Page;
use pvecm_core::guard::Refusal;
use pvecm_core::plan::Blocker;
use pvecm_crds::condition::reason;

use crate::hold;

const BLOCKERS: &str = "# Reasons: what stops a plan

The planner goes no further, and says so in the condition `Stalled` of the PveCluster, with one of these reasons and a sentence
that names host, link or file. Nothing was written.";

const GUARDS: &str = "# Reasons: what refuses a plan

Before a change is made and before each stage begins, guards prove it against what the hosts report. A plan that is refused is
not carried out: `Stalled` with one of these reasons, and a sentence that begins with *the plan is refused*. Nothing was written.";

const OTHERS: &str = "# Reasons of conditions

The reasons in the conditions of PveCluster and PveHost that are no blocker's and no guard's.";

#[test]
fn every_reason_has_its_heading_with_what_explain_says() {
    hold("reference/blockers.md", &made(BLOCKERS, Blocker::PAGES));
    hold("reference/guards.md", &made(GUARDS, Refusal::PAGES));
    hold("reference/reasons.md", &made(OTHERS, reason::PAGES));
}

/// In the order of the alphabet: people come with the word in their hands.
fn made(head: &str, pages: &[Page]) -> String {
    let mut pages: Vec<&Page> = pages.iter().collect();
    pages.sort_by_key(|page| page.reason);
    let mut text = format!(
        "{head}\n\n`kubectl pvecm explain CLUSTER` shows what holds right now, `kubectl pvecm explain --reason REASON` one \
         page. This text is made of the same pages.\n"
    );
    for Page { reason, means, prevents, act } in pages {
        text.push_str(&format!("\n## {reason}\n\n{means}\n"));
        if !prevents.is_empty() {
            text.push_str(&format!("\n**What stopping prevents.** {prevents}\n"));
        }
        text.push_str(&format!("\n**What to do.** {act}\n"));
    }
    text
}

#[test]
fn the_sentence_that_the_page_of_guards_quotes_is_theirs() {
    assert!(GUARDS.contains(&format!("*{}*", Refusal::BEGINS.trim_end_matches([':', ' ']))));
}
