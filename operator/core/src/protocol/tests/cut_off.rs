//! A joiner that held, was cut off, and cannot hear any more what became of the stage.

use super::bench::{Bench, ids, recovered, setup, undo, view};
use crate::change::Course;
use crate::protocol::{Effect, Event, InForce, Outcome, Phase, Setup};

const WHY: &str = "host 3 left the membership";

/// Host 3 of a stage that starts it, which held and has lost the others since.
fn cut_off(course: Course) -> Bench {
    let setup = Setup { course, joining: ids([3]), in_force: InForce::New, ..setup(3, 2) };
    let mut bench = Bench::start(setup);
    bench.on(Event::View(view(1..=3, true)));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    (1..=2).for_each(|from| bench.hear(from, Phase::Going));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Holds);
    bench.on(Event::View(view([3], false)));
    bench
}

fn told() -> Event {
    Event::Told(WHY.to_owned())
}

/// Listed by nobody, it would be waited for without end.
#[test]
fn a_joiner_that_the_members_took_off_their_list_gives_up_when_it_is_told() {
    let mut bench = cut_off(Course::Start);
    bench.tick_at(100_000);
    assert!(!bench.did(&Effect::Undo), "they may have kept it");
    bench.on(told());
    assert_eq!(bench.phase(), Phase::RollingBack { sentence: WHY.to_owned() });
    assert!(bench.did(&Effect::Undo));
    bench.on(Event::Undone(Ok(())));
    assert_eq!(bench.outcome(), Some(Outcome::RolledBack(WHY.to_owned())));
}

#[test]
fn it_gives_up_ten_seconds_after_the_deadline_if_it_is_told_before() {
    let mut bench = cut_off(Course::Start);
    bench.on(told());
    bench.tick_at(39_999);
    assert_eq!(bench.phase(), Phase::Holds);
    bench.tick_at(40_000);
    assert!(bench.did(&Effect::Undo));
}

/// A member that left at somebody's word would take its guests out of the cluster.
#[test]
fn a_joiner_with_quorum_leaves_at_no_word_but_the_members_own() {
    let mut bench = cut_off(Course::Start);
    bench.on(Event::View(view(1..=3, true)));
    bench.on(told());
    bench.tick_at(100_000);
    assert!(!bench.did(&Effect::Undo));
    (1..=2).for_each(|from| bench.hear(from, Phase::Sealed));
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
}

#[test]
fn what_it_is_told_after_the_outcome_moves_nothing() {
    let mut bench = cut_off(Course::Start);
    (1..=2).for_each(|from| bench.hear(from, Phase::Sealed));
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
    bench.on(told());
    bench.tick_at(100_000);
    assert!(!bench.did(&Effect::Undo));
}

/// They list it, whatever became of the stage, and tell it themselves: with one file everywhere.
#[test]
fn a_member_that_restarted_and_one_of_the_group_wait_for_the_group() {
    let mut restarted = cut_off(Course::Restart);
    let mut member = Bench::start(recovered(2, 3, Phase::Sealed));
    member.on(Event::View(view([2], false)));
    for bench in [&mut restarted, &mut member] {
        bench.forget();
        bench.on(told());
        bench.tick_at(100_000);
        assert!(!bench.did(&Effect::Undo) && bench.outcome().is_none());
    }
    restarted.hear(1, undo());
    assert!(restarted.did(&Effect::Undo));
}
