//! An agent that was killed goes on from what its ledger holds.

use super::bench::{Bench, ids, keys, recovered, setup, undo, view};
use crate::change::Course;
use crate::protocol::{Effect, Event, InForce, Key, Outcome, Phase, Record, Setup};

#[test]
fn an_agent_with_nothing_persisted_runs_the_checks() {
    assert!(Bench::start(setup(1, 3)).did(&Effect::RunChecks));
}

#[test]
fn a_prepared_host_follows_those_that_went_without_it() {
    let mut bench = Bench::start(recovered(2, 3, Phase::Prepared { writable: true }));
    assert!(!bench.did(&Effect::RunChecks));
    bench.hear(1, Phase::Going);
    assert_eq!(bench.phase(), Phase::Going);
    assert!(bench.did(&Effect::StartProbing));
}

#[test]
fn a_prepared_host_that_finds_the_new_text_in_force_goes_by_itself() {
    let before = recovered(2, 3, Phase::Prepared { writable: true });
    let bench = Bench::start(Setup { in_force: InForce::New, ..before });
    assert_eq!(bench.phase(), Phase::Going);
}

#[test]
fn a_host_that_gave_up_still_learns_that_the_stage_never_began() {
    let gave_up = Phase::GaveUp { sentence: "late".to_owned() };
    let mut bench = Bench::start(recovered(2, 3, gave_up.clone()));
    bench.hear_itself();
    bench.hear(3, gave_up);
    assert_eq!(bench.outcome(), Some(Outcome::Refused("late".to_owned())));
}

#[test]
fn a_writer_that_went_writes_again_and_undoes_over_the_parent() {
    let mut bench = Bench::start(recovered(1, 3, Phase::Going));
    bench.hear_itself();
    bench.hear(2, Phase::Going);
    assert!(bench.did(&Effect::Write));
    bench.on(Event::Written(Err("refused".to_owned())));
    bench.hear_itself();
    bench.hear(2, undo());
    assert!(bench.did(&Effect::WriteBack { over_parent: true }));
}

#[test]
fn the_deadline_goes_on_where_it_stood() {
    let mut bench = Bench::start(recovered(1, 1, Phase::Holds));
    bench.forget();
    bench.tick_at(19_999);
    assert!(!bench.done.iter().any(|effect| matches!(effect, Effect::Persist(_))));
    bench.tick_at(20_000);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
}

#[test]
fn an_agent_that_restarts_in_the_middle_of_a_group_of_three_confirms_all_the_same() {
    for me in 1..=3 {
        let before = recovered(me, 3, Phase::Going);
        let mut bench = Bench::start(Setup { in_force: InForce::New, ..before });
        bench.on(Event::Probes(Ok(())));
        assert_eq!(bench.phase(), Phase::Holds);
        (1..=3).for_each(|from| bench.hear(from, Phase::Holds));
        (1..=3).for_each(|from| bench.hear(from, Phase::Sealed));
        assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
    }
}

#[test]
fn a_host_that_held_need_not_hold_again() {
    let mut bench = Bench::start(recovered(2, 3, Phase::Holds));
    (1..=3).for_each(|from| bench.hear(from, Phase::Holds));
    assert_eq!(bench.phase(), Phase::Sealed);
}

#[test]
fn a_host_that_sealed_says_so_again_and_changes_it_for_nobody() {
    let mut bench = Bench::start(recovered(2, 3, Phase::Sealed));
    bench.hear_itself();
    bench.hear(3, undo());
    bench.tick_at(100_000);
    assert_eq!(bench.outcome(), None);
    bench.hear(1, Phase::Sealed);
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
}

#[test]
fn a_host_that_restored_or_was_about_to_restores_again() {
    let mut before = recovered(2, 3, undo());
    before.recovered.as_mut().unwrap().restored = true;
    assert!(Bench::start(before).did(&Effect::RestoreOwnDisk));
}

#[test]
fn a_leader_that_was_undoing_writes_back_once_the_vote_is_won() {
    let before = recovered(1, 3, undo());
    let mut bench = Bench::start(Setup { in_force: InForce::New, ..before });
    assert!(!bench.did(&Effect::WriteBack { over_parent: true }));
    bench.hear_itself();
    bench.hear(2, undo());
    assert!(bench.did(&Effect::WriteBack { over_parent: true }));
}

#[test]
fn an_outcome_is_reported_again_and_said_to_who_comes_late() {
    let rolled_back = Phase::RolledBack { sentence: "late".to_owned() };
    let outcomes = [
        (Phase::Unwritten { sentence: "late".to_owned() }, Outcome::Refused("late".to_owned())),
        (Phase::Confirmed, Outcome::Confirmed),
        (rolled_back, Outcome::RolledBack("late".to_owned())),
        (Phase::Failed { sentence: "late".to_owned() }, Outcome::Failed("late".to_owned())),
    ];
    for (phase, outcome) in outcomes {
        let mut bench = Bench::start(recovered(1, 3, phase.clone()));
        assert_eq!(bench.outcome(), Some(outcome));
        bench.forget();
        bench.on(Event::View(view([1, 2], true)));
        let says = |e: &Effect| matches!(e, Effect::Send(message) if message.phase == phase);
        assert!(bench.done.iter().any(says));
    }
}

#[test]
fn a_host_without_outcome_asks_every_two_seconds_and_one_with_an_outcome_answers() {
    let says = |bench: &Bench| bench.done.iter().filter(|e| matches!(e, Effect::Send(_))).count();
    let mut waiting = Bench::start(recovered(2, 3, Phase::Holds));
    waiting.forget();
    waiting.tick_at(1_999);
    assert_eq!(says(&waiting), 0);
    waiting.tick_at(2_000);
    assert_eq!(says(&waiting), 1);

    let mut ended = Bench::start(recovered(1, 3, Phase::Confirmed));
    ended.forget();
    ended.tick_at(60_000);
    ended.hear(3, Phase::Confirmed);
    assert_eq!(says(&ended), 0);
    ended.hear(2, Phase::Holds);
    assert_eq!(says(&ended), 1);
}

#[test]
fn who_restored_alone_takes_the_cluster_file_also_after_a_crash() {
    let record = Record {
        phase: Phase::Confirmed,
        remaining_ms: Some(0),
        writer: None,
        restored: true,
        stopped: false,
    };
    let setup = Setup { in_force: InForce::New, recovered: Some(record), ..setup(3, 3) };
    assert!(Bench::start(setup).did(&Effect::TakeClusterFile));
}

/// The others may all have been started anew since the outcome, and whoever was away still waits for it.
#[test]
fn an_agent_that_restarts_after_the_outcome_tells_it_to_who_is_late_and_does_nothing_else() {
    let outcomes = [
        Phase::Confirmed,
        Phase::RolledBack { sentence: String::new() },
        Phase::Failed { sentence: String::new() },
        Phase::Unwritten { sentence: String::new() },
    ];
    for (outcome, course) in outcomes.iter().flat_map(|o| [(o, Course::Write), (o, Course::Outage)])
    {
        let before = recovered(2, 3, outcome.clone());
        let record = before.recovered.map(|r| Record { restored: true, stopped: true, ..r });
        let keys = (course == Course::Write).then(|| keys(Key::New));
        let (in_force, recovered) = (InForce::Other, record);
        let mut bench = Bench::over(Setup {
            course,
            keys,
            in_force,
            recovered,
            runs: InForce::Other,
            ..setup(2, 3)
        });
        let only_speaks = bench.done.iter().all(|effect| matches!(effect, Effect::Send(_)));
        assert!(only_speaks, "{:?}", bench.done);
        bench.forget();
        bench.hear(3, undo());
        let [Effect::Send(said)] = bench.done.as_slice() else { panic!("{:?}", bench.done) };
        assert_eq!((&said.phase, said.over_parent), (outcome, true));
        bench.forget();
        bench.tick_at(100_000);
        assert!(bench.done.is_empty(), "{:?}", bench.done);
    }
}

#[test]
fn a_joiner_that_comes_back_when_its_time_is_over_undoes_its_join_and_does_nothing_of_it_again() {
    let joins = |remaining_ms| {
        let before = recovered(3, 2, Phase::Going);
        let record = before.recovered.map(|record| Record { remaining_ms, ..record });
        let (course, joining) = (Course::Start, ids([3]));
        Bench::start(Setup { course, joining, recovered: record, ..setup(3, 2) })
    };
    assert!(joins(Some(5_000)).did(&Effect::Act));
    let late = joins(Some(0));
    assert!(!late.did(&Effect::Act) && late.did(&Effect::Undo));
}
