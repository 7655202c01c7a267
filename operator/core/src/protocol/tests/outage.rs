//! One test per rule of a stage for which everybody stops, on one machine of three.

use super::bench::{Bench, recovered, setup, undo, view};
use crate::change::Course;
use crate::protocol::{Effect, Event, InForce, Outcome, Phase, Record, Setup};

const READY: Phase = Phase::Prepared { writable: true };
const NEW: Effect = Effect::StartWith(InForce::New);
const BACK: Effect = Effect::StartWith(InForce::Back);
const WRITE_BACK: Effect = Effect::WriteBack { over_parent: true };
/// The deadline, and the time that the leader has after it.
const LATE: u64 = 30_000 + 2_000;
/// How long host 2 tries one text.
const TURN: u64 = 60_000 + 2 * 5_000;

fn outage(me: u32) -> Setup {
    Setup { course: Course::Outage, ..setup(me, 3) }
}

/// All are prepared, and these have voted to begin.
fn gone(me: u32, voted: &[u32]) -> Bench {
    let mut bench = Bench::start(outage(me));
    bench.on(Event::Checks(Ok(())));
    (1..=3).for_each(|from| bench.hear(from, READY));
    for from in voted {
        bench.hear(*from, Phase::Going);
    }
    bench
}

/// This host has stopped, nobody is heard.
fn stopped(me: u32) -> Bench {
    let mut bench = gone(me, &[1, 2, 3]);
    bench.on(Event::View(view([], false)));
    bench.on(Event::Runs(InForce::Other));
    bench
}

/// All are back with the new text, which is not in /etc/pve yet.
fn back_again(me: u32) -> Bench {
    let mut bench = stopped(me);
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::New));
    bench.on(Event::View(view([1, 2, 3], true)));
    bench.forget();
    bench
}

fn after_a_restart(me: u32, phase: Phase, runs: InForce) -> Setup {
    let Setup { recovered, .. } = recovered(me, 3, phase);
    let recovered = recovered.map(|record| Record { stopped: true, ..record });
    Setup { runs, recovered, ..outage(me) }
}

#[test]
fn nobody_stops_before_everybody_has_voted_to_begin() {
    let mut bench = gone(2, &[1, 2]);
    assert!(!bench.did(&NEW));
    bench.hear(3, Phase::Going);
    let persisted = |e: &Effect| matches!(e, Effect::Persist(record) if record.stopped);
    let at = bench.done.iter().position(persisted).expect("the ledger knows of it");
    assert!(bench.done[at..].contains(&NEW), "only then");
}

#[test]
fn nobody_stops_for_what_a_person_changed_meanwhile() {
    let mut bench = gone(2, &[1, 2]);
    bench.on(Event::InForce(InForce::Other));
    bench.hear(3, Phase::Going);
    assert!(!bench.did(&NEW) && matches!(bench.phase(), Phase::RollingBack { .. }));
}

#[test]
fn nobody_stops_when_it_is_too_late() {
    let mut bench = gone(2, &[1, 2]);
    bench.now = LATE - 1_000;
    bench.hear(3, Phase::Going);
    assert!(!bench.did(&NEW));
}

#[test]
fn that_the_others_leave_is_no_loss() {
    let mut bench = gone(1, &[1, 2, 3]);
    bench.on(Event::View(view([1, 2], true)));
    bench.on(Event::View(view([1], false)));
    bench.tick_at(LATE - 1);
    assert_eq!(bench.phase(), Phase::Going);
}

#[test]
fn the_text_goes_to_etc_pve_when_everybody_runs_it_and_only_then_it_holds() {
    let mut bench = back_again(1);
    assert!(!bench.did(&Effect::Write), "nobody has looked yet");
    bench.on(Event::Probes(Err("node 3 has not joined yet".to_owned())));
    assert!(!bench.did(&Effect::Write));
    bench.on(Event::Probes(Ok(())));
    assert!(bench.did(&Effect::Write));
    assert!(!bench.done.iter().any(|e| matches!(e, Effect::Persist(_))), "not in /etc/pve yet");
    bench.on(Event::Written(Ok(())));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Holds);
}

#[test]
fn a_host_without_quorum_by_its_deadline_goes_back_by_its_own_clock() {
    let mut bench = stopped(2);
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::New));
    bench.tick_at(LATE - 1);
    assert!(!bench.did(&BACK));
    bench.tick_at(LATE);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    let restored = |e: &Effect| matches!(e, Effect::Persist(record) if record.restored);
    let at = bench.done.iter().position(restored).expect("the ledger knows of it");
    assert!(bench.done[at..].contains(&BACK), "only then");
}

#[test]
fn a_host_that_never_stopped_leaves_its_daemon_alone() {
    let mut bench = gone(2, &[1, 2]);
    bench.on(Event::View(view([2], false)));
    bench.tick_at(LATE);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    assert!(!bench.did(&BACK));
    bench.on(Event::Runs(InForce::Other));
    assert!(bench.did(&BACK), "unless it does not run");
}

#[test]
fn a_host_that_is_alone_tries_the_other_text_in_turn() {
    for (phase, own, other) in [(undo(), BACK, NEW), (Phase::Sealed, NEW, BACK)] {
        let mut bench = Bench::start(after_a_restart(2, phase, InForce::Other));
        bench.on(Event::View(view([2], false)));
        let deadline = 20_000 + 2_000;
        for (turn, wanted) in [(0, &own), (1, &own), (2, &other), (3, &own)] {
            bench.forget();
            bench.on(Event::Started(Err("still alone".to_owned())));
            bench.tick_at(deadline + turn * TURN + 10_000);
            assert!(bench.did(wanted), "turn {turn}: {:?}", bench.done);
        }
    }
}

#[test]
fn what_undoes_the_stage_goes_to_etc_pve_when_the_leader_runs_it() {
    let mut bench = back_again(1);
    bench.hear(1, undo());
    bench.hear(2, undo());
    assert!(bench.did(&BACK) && !bench.did(&WRITE_BACK), "pmxcfs would have it read live");
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::Back));
    assert!(bench.did(&WRITE_BACK));
    bench.on(Event::WrittenBack(Ok(InForce::Back)));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
}

#[test]
fn a_host_that_stopped_is_not_left_with_a_higher_number_than_the_others() {
    let mut bench = Bench::start(after_a_restart(2, undo(), InForce::Back));
    bench.hear(2, undo());
    bench.hear(1, Phase::RolledBack { sentence: String::new() });
    assert_eq!(bench.outcome(), None);
    bench.hear(3, Phase::RolledBack { sentence: String::new() });
    assert!(bench.did(&WRITE_BACK), "the others are done, and it leads");
}

#[test]
fn an_outcome_is_told_when_the_daemon_runs_what_belongs_to_it() {
    let mut bench = Bench::start(after_a_restart(2, undo(), InForce::Back));
    bench.on(Event::InForce(InForce::New));
    bench.hear(1, Phase::Confirmed);
    assert!(bench.did(&NEW) && bench.outcome().is_none());
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::New));
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
}

#[test]
fn after_the_outcome_the_daemon_is_left_to_whoever_stops_it() {
    for (phase, runs) in [(Phase::Confirmed, InForce::New), (undo(), InForce::Back)] {
        let mut bench = Bench::start(after_a_restart(2, phase, runs));
        bench.on(Event::InForce(runs));
        bench.hear(1, undo());
        bench.hear(2, undo());
        assert!(bench.outcome().is_some(), "{runs:?}");
        bench.forget();
        bench.on(Event::Runs(InForce::Other));
        bench.tick_at(600_000);
        let acts = |e: &Effect| matches!(e, Effect::StartWith(_) | Effect::Persist(_));
        assert!(!bench.done.iter().any(acts), "{:?}", bench.done);
    }
}

/// What ran before a start says nothing of what runs after it.
#[test]
fn an_outcome_that_comes_while_the_daemon_starts_with_another_text_waits() {
    let mut bench = Bench::start(after_a_restart(2, undo(), InForce::Back));
    bench.on(Event::View(view([2], false)));
    bench.tick_at(20_000 + 2_000 + 2 * TURN);
    assert!(bench.did(&NEW), "its turn");
    bench.on(Event::InForce(InForce::Back));
    bench.hear(1, Phase::RolledBack { sentence: String::new() });
    assert_eq!(bench.outcome(), None);
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::New));
    assert!(bench.did(&BACK) && bench.outcome().is_none());
    bench.on(Event::Started(Ok(())));
    assert_eq!(bench.outcome(), None, "nobody has looked");
    bench.on(Event::Runs(InForce::Back));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
}

#[test]
fn who_began_alone_goes_on_with_the_text_before_the_stage() {
    let mut setup = after_a_restart(2, undo(), InForce::Back);
    setup.recovered = setup.recovered.map(|record| Record { restored: true, ..record });
    let mut bench = Bench::start(setup);
    bench.hear(1, Phase::Unwritten { sentence: "no".to_owned() });
    assert!(bench.did(&Effect::StartWith(InForce::Parent)) && bench.outcome().is_none());
    bench.on(Event::Started(Ok(())));
    bench.on(Event::Runs(InForce::Parent));
    assert_eq!(bench.outcome(), Some(Outcome::Refused("no".to_owned())));
}

#[test]
fn an_agent_that_was_killed_goes_on_where_it_was() {
    let dead = Bench::start(after_a_restart(2, Phase::Going, InForce::Other));
    assert!(dead.did(&NEW));
    let up = Bench::start(after_a_restart(2, Phase::Going, InForce::New));
    assert!(!up.did(&NEW) && up.did(&Effect::StartProbing));
}

#[test]
fn after_a_reboot_there_is_no_time_left() {
    let mut setup = after_a_restart(2, Phase::Going, InForce::New);
    setup.recovered = setup.recovered.map(|record| Record { remaining_ms: Some(0), ..record });
    let mut bench = Bench::start(setup);
    bench.on(Event::View(view([2], false)));
    bench.tick_at(2_000);
    assert!(bench.did(&BACK));
}

#[test]
fn a_daemon_that_does_not_start_is_started_again_but_not_at_once() {
    let mut bench = stopped(2);
    bench.forget();
    bench.on(Event::Started(Err("the port is taken".to_owned())));
    bench.tick_at(4_999);
    assert!(!bench.did(&NEW));
    bench.tick_at(5_000);
    assert!(bench.did(&NEW));
}
