//! One test per rule, on one machine.

use std::collections::BTreeSet;

use super::bench::{Bench, id, ids, recovered, setup, undo, view};
use crate::change::Course;
use crate::protocol::{Effect, Event, InForce, Outcome, Phase, Setup};

const OVER_BOTH: Effect = Effect::WriteBack { over_parent: true };
const OVER_NEW: Effect = Effect::WriteBack { over_parent: false };

fn written(hosts: u32) -> Bench {
    let mut bench = Bench::gone(1, hosts);
    bench.on(Event::Written(Ok(())));
    bench.forget();
    bench
}

#[test]
fn a_host_gives_up_when_another_is_not_prepared_in_ten_seconds() {
    let mut bench = Bench::start(setup(1, 3));
    bench.on(Event::Checks(Ok(())));
    bench.hear(1, Phase::Prepared { writable: true });
    bench.hear(2, Phase::Prepared { writable: true });
    bench.tick_at(9_999);
    assert_eq!(bench.phase(), Phase::Prepared { writable: true });
    bench.tick_at(10_000);
    let sentence = "host 3 was not prepared in time".to_owned();
    assert_eq!(bench.phase(), Phase::GaveUp { sentence: sentence.clone() });
    bench.hear_itself();
    assert_eq!(bench.outcome(), None, "one vote of three decides nothing");
    bench.hear(2, Phase::GaveUp { sentence: sentence.clone() });
    assert_eq!(bench.outcome(), Some(Outcome::Refused(sentence)));
}

#[test]
fn a_host_that_gave_up_goes_when_the_others_have_won_the_vote() {
    let mut bench = Bench::start(setup(3, 3));
    bench.on(Event::Checks(Ok(())));
    bench.tick_at(10_000);
    assert!(matches!(bench.phase(), Phase::GaveUp { .. }));
    bench.hear(1, Phase::Going);
    assert!(matches!(bench.phase(), Phase::GaveUp { .. }), "its vote stands");
    bench.hear(2, Phase::Going);
    assert_eq!(bench.phase(), Phase::Going);
}

#[test]
fn failed_checks_on_one_host_end_the_stage_for_all() {
    let mut bench = Bench::start(setup(2, 3));
    bench.on(Event::Checks(Err("no such address".to_owned())));
    let refused = Outcome::Refused("host 2: no such address".to_owned());
    assert_eq!(bench.outcome(), Some(refused));

    let mut other = Bench::start(setup(1, 3));
    other.on(Event::Checks(Ok(())));
    other.hear(2, Phase::Unwritten { sentence: "host 2: no such address".to_owned() });
    assert!(matches!(other.outcome(), Some(Outcome::Refused(_))));
    assert!(!other.did(&Effect::Write));
}

#[test]
fn only_the_lowest_writable_host_writes_and_only_when_the_vote_is_won() {
    let mut bench = Bench::start(setup(1, 3));
    bench.on(Event::Checks(Ok(())));
    (1..=3).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    bench.hear(1, Phase::Going);
    assert!(!bench.did(&Effect::Write));
    bench.hear(2, Phase::Going);
    assert!(bench.did(&Effect::Write));
    assert!(!Bench::gone(2, 3).did(&Effect::Write));
}

#[test]
fn a_failed_write_is_undone_over_the_parent_too() {
    let mut bench = Bench::gone(1, 3);
    bench.on(Event::Written(Err("io".to_owned())));
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    bench.hear_itself();
    assert!(!bench.did(&OVER_BOTH), "one vote of three decides nothing");
    bench.hear(2, undo());
    assert!(bench.did(&OVER_BOTH));
    assert_eq!(bench.outcome(), None, "an error says nothing of the rename");
    bench.on(Event::WrittenBack(Ok(InForce::Back)));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
}

#[test]
fn the_writer_votes_to_undo_only_with_no_write_in_flight() {
    let mut bench = Bench::gone(1, 3);
    bench.on(Event::View(view([1, 2], true)));
    assert_eq!(bench.phase(), Phase::Going);
    bench.on(Event::Written(Ok(())));
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
}

#[test]
fn the_leader_undoes_at_once_when_a_member_is_lost() {
    let mut bench = written(3);
    bench.on(Event::View(view([1, 2], true)));
    let sentence = "host 3 left the membership".to_owned();
    assert_eq!(bench.phase(), Phase::RollingBack { sentence });
}

#[test]
fn another_host_leaves_a_lost_member_to_the_leader_until_the_leader_is_silent() {
    let mut bench = Bench::gone(2, 3);
    bench.on(Event::View(view([1, 2], true)));
    bench.tick_at(31_999);
    assert_eq!(bench.phase(), Phase::Going);
    bench.tick_at(32_000);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
}

#[test]
fn a_host_without_quorum_restores_its_own_disk_ten_seconds_after_the_deadline() {
    let mut bench = Bench::gone(2, 3);
    bench.on(Event::InForce(InForce::New));
    bench.on(Event::View(view([2], false)));
    bench.tick_at(39_999);
    assert_eq!(bench.phase(), Phase::Going);
    assert!(!bench.did(&Effect::RestoreOwnDisk));
    bench.tick_at(40_000);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    assert!(bench.did(&Effect::RestoreOwnDisk));
    assert!(!bench.did(&OVER_NEW) && !bench.did(&OVER_BOTH));
}

#[test]
fn a_host_that_sealed_never_restores_its_own_disk() {
    let mut bench = Bench::gone(2, 3);
    bench.on(Event::Probes(Ok(())));
    (1..=3).for_each(|from| bench.hear(from, Phase::Holds));
    assert_eq!(bench.phase(), Phase::Sealed);
    bench.on(Event::View(view([2], false)));
    bench.tick_at(100_000);
    assert!(!bench.did(&Effect::RestoreOwnDisk));
    assert_eq!(bench.phase(), Phase::Sealed);
}

#[test]
fn a_host_that_restored_alone_takes_the_cluster_file_when_the_others_kept_the_stage() {
    let mut bench = Bench::gone(3, 3);
    bench.on(Event::InForce(InForce::New));
    bench.on(Event::View(view([3], false)));
    bench.tick_at(40_000);
    bench.hear(1, Phase::Sealed);
    bench.hear(2, Phase::Sealed);
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
    assert!(bench.did(&Effect::TakeClusterFile));
}

#[test]
fn the_attempt_failed_when_a_person_was_faster_than_the_back_text() {
    let mut bench = written(3);
    bench.on(Event::View(view([1, 2], true)));
    bench.hear_itself();
    bench.hear(2, undo());
    assert!(bench.did(&OVER_BOTH));
    bench.on(Event::WrittenBack(Ok(InForce::Other)));
    assert!(matches!(bench.outcome(), Some(Outcome::Failed(_))));

    let mut other = Bench::gone(2, 3);
    other.hear(1, bench.phase());
    assert!(matches!(other.outcome(), Some(Outcome::Failed(_))));
}

#[test]
fn a_back_text_that_could_not_be_written_is_written_again_after_two_seconds() {
    let mut bench = written(1);
    bench.tick_at(30_000);
    bench.hear_itself();
    assert!(bench.did(&OVER_BOTH));
    bench.on(Event::WrittenBack(Err("locked".to_owned())));
    bench.forget();
    bench.tick_at(31_999);
    assert!(!bench.did(&OVER_BOTH));
    bench.tick_at(32_000);
    assert!(bench.did(&OVER_BOTH));
}

fn start_stage(me: u32) -> Setup {
    let joining = ids([3]);
    let in_force = InForce::New;
    Setup { course: Course::Start, joining, in_force, ..setup(me, 2) }
}

#[test]
fn a_stage_with_a_joiner_that_never_comes_is_undone() {
    let mut bench = Bench::start(start_stage(1));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    (1..=2).for_each(|from| bench.hear(from, Phase::Holds));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Holds);
    bench.tick_at(30_000);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    bench.hear_itself();
    assert!(bench.did(&OVER_NEW) || bench.did(&OVER_BOTH));
}

#[test]
fn a_stage_with_a_joiner_that_comes_is_confirmed() {
    let mut bench = Bench::start(start_stage(1));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    (1..=3).for_each(|from| bench.hear(from, Phase::Holds));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Sealed);
    bench.hear_itself();
    assert_eq!(bench.outcome(), None);
    bench.hear(2, Phase::Sealed);
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
}

#[test]
fn a_joiner_acts_at_once_and_undoes_that_when_it_is_no_member_in_time() {
    let mut bench = Bench::start(start_stage(3));
    bench.on(Event::View(view([], false)));
    bench.on(Event::Checks(Ok(())));
    assert!(bench.did(&Effect::Act));
    bench.tick_at(30_000);
    assert!(bench.did(&Effect::Undo));
    bench.on(Event::Undone(Ok(())));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
}

#[test]
fn a_joiner_whose_start_fails_undoes_it_at_once_and_says_why() {
    let mut bench = Bench::start(start_stage(3));
    bench.on(Event::View(view([], false)));
    bench.on(Event::Checks(Ok(())));
    bench.on(Event::Acted(Err("corosync: failed".to_owned())));
    assert!(bench.did(&Effect::Undo));
    bench.on(Event::Undone(Ok(())));
    let why = "host 3: corosync: failed".to_owned();
    assert_eq!(bench.outcome(), Some(Outcome::RolledBack(why)));
}

#[test]
fn a_joiner_that_holds_is_not_moved_by_a_start_that_ends_late_with_an_error() {
    let mut bench = Bench::start(start_stage(3));
    bench.on(Event::Checks(Ok(())));
    bench.on(Event::View(view(1..=3, true)));
    bench.on(Event::Probes(Ok(())));
    bench.on(Event::Acted(Err("too slow".to_owned())));
    assert_eq!(bench.phase(), Phase::Holds);
    assert!(!bench.did(&Effect::Undo));
}

#[test]
fn the_group_does_not_wait_for_a_joiner_that_gave_up() {
    let mut bench = Bench::start(start_stage(1));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    let sentence = "host 3: pmxcfs: failed".to_owned();
    bench.hear(3, Phase::RollingBack { sentence: sentence.clone() });
    assert_eq!(bench.phase(), Phase::RollingBack { sentence });
}

#[test]
fn a_joiner_that_holds_is_confirmed_by_the_votes_of_the_group() {
    let mut bench = Bench::start(start_stage(3));
    bench.on(Event::Checks(Ok(())));
    bench.on(Event::View(view(1..=3, true)));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Holds);
    bench.hear(1, Phase::Sealed);
    bench.hear(2, Phase::Sealed);
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
    assert!(!bench.did(&Effect::Undo));
}

fn restart_stage(me: u32) -> Setup {
    Setup { course: Course::Restart, ..start_stage(me) }
}

#[test]
fn a_member_restarts_only_when_the_group_has_voted_to_be_without_it() {
    let mut bench = Bench::start(restart_stage(3));
    bench.on(Event::View(view(1..=3, true)));
    bench.on(Event::Checks(Ok(())));
    assert_eq!(bench.phase(), Phase::Prepared { writable: true });
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    bench.hear(1, Phase::Going);
    assert!(!bench.did(&Effect::Act), "one vote of two decides nothing");
    bench.hear(2, Phase::Going);
    assert!(bench.did(&Effect::Act));
    assert_eq!(bench.phase(), Phase::Going);
}

#[test]
fn the_group_does_not_begin_before_the_member_that_restarts_is_prepared() {
    let mut bench = Bench::start(restart_stage(1));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    assert_eq!(bench.phase(), Phase::Prepared { writable: true });
    bench.hear(3, Phase::Prepared { writable: true });
    assert_eq!(bench.phase(), Phase::Going);
}

#[test]
fn a_member_that_cannot_restart_ends_the_stage_before_anybody_begins() {
    let mut bench = Bench::start(restart_stage(1));
    bench.on(Event::Checks(Ok(())));
    (1..=2).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    let sentence = "host 3: another file".to_owned();
    bench.hear(3, Phase::Unwritten { sentence: sentence.clone() });
    assert_eq!(bench.outcome(), Some(Outcome::Refused(sentence)));
}

#[test]
fn a_member_that_restarts_is_no_loss_and_another_one_that_goes_is() {
    let mut bench = Bench::start(restart_stage(1));
    bench.on(Event::View(view(1..=3, true)));
    bench.on(Event::Checks(Ok(())));
    (1..=3).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    bench.on(Event::View(view(1..=2, true)));
    assert_eq!(bench.phase(), Phase::Going);
    bench.on(Event::View(view([1, 3], true)));
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
}

#[test]
fn a_member_whose_group_gave_up_or_went_back_does_not_restart() {
    for no in [Phase::GaveUp { sentence: "late".to_owned() }, undo()] {
        let mut bench = Bench::start(restart_stage(3));
        bench.on(Event::View(view(1..=3, true)));
        bench.on(Event::Checks(Ok(())));
        bench.hear(1, no.clone());
        bench.hear(2, no);
        assert!(bench.outcome().is_some());
        assert!(!bench.did(&Effect::Act) && !bench.did(&Effect::Undo));
    }
}

#[test]
fn words_of_a_stranger_and_of_another_attempt_count_for_nothing() {
    let mut bench = Bench::start(Setup { group: BTreeSet::from([id(1), id(2)]), ..setup(1, 2) });
    bench.on(Event::Checks(Ok(())));
    bench.hear(9, Phase::Confirmed);
    assert_eq!(bench.outcome(), None);
    let mut later = recovered(1, 2, Phase::Holds);
    later.attempt.attempt = 2;
    let mut later = Bench::start(later);
    later.hear(2, Phase::Confirmed);
    assert_eq!(later.outcome(), None);
}

/// A host that is about to change datacenter.cfg, or another one of three, when all have voted to begin.
fn datacenter(me: u32) -> Bench {
    let mut bench = Bench::start(Setup { course: Course::Datacenter, ..setup(me, 3) });
    bench.on(Event::Checks(Ok(())));
    (1..=3).for_each(|from| bench.hear(from, Phase::Prepared { writable: true }));
    (1..=3).for_each(|from| bench.hear(from, Phase::Going));
    bench
}

#[test]
fn datacenter_cfg_is_written_by_the_lowest_host_and_confirmed_by_all() {
    let mut bench = datacenter(1);
    assert!(bench.did(&Effect::Write) && !datacenter(2).did(&Effect::Write));
    bench.on(Event::Written(Ok(())));
    bench.on(Event::Probes(Ok(())));
    assert_eq!(bench.phase(), Phase::Holds);
    (1..=3).for_each(|from| bench.hear(from, Phase::Holds));
    assert_eq!(bench.phase(), Phase::Sealed);
    (1..=2).for_each(|from| bench.hear(from, Phase::Sealed));
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
}

/// What undoes it are the bytes from before: the others see them under the name of the parent.
#[test]
fn datacenter_cfg_that_is_not_confirmed_is_written_back_by_the_leader_and_seen_by_the_others() {
    let mut leader = datacenter(1);
    leader.on(Event::Written(Ok(())));
    leader.tick_at(30_000);
    assert!(matches!(leader.phase(), Phase::RollingBack { .. }));
    leader.hear_itself();
    leader.hear(2, undo());
    assert!(leader.did(&OVER_BOTH));
    leader.on(Event::InForce(InForce::Parent));
    leader.on(Event::WrittenBack(Ok(InForce::Back)));
    assert!(matches!(leader.outcome(), Some(Outcome::RolledBack(_))));

    let mut other = datacenter(2);
    other.on(Event::InForce(InForce::New));
    other.hear(1, undo());
    other.hear_itself();
    assert_eq!(other.outcome(), None);
    other.on(Event::InForce(InForce::Parent));
    assert!(matches!(other.outcome(), Some(Outcome::RolledBack(_))));
}

/// The file is on no disk, and no daemon reads it: a host that is alone has nothing to put right by itself, and
/// would put an older corosync.conf over the cluster's.
#[test]
fn a_host_without_quorum_restores_no_disk_for_datacenter_cfg() {
    let mut bench = datacenter(2);
    bench.on(Event::InForce(InForce::New));
    bench.on(Event::View(view([2], false)));
    bench.tick_at(60_000);
    assert!(matches!(bench.phase(), Phase::RollingBack { .. }));
    assert!(!bench.did(&Effect::RestoreOwnDisk) && !bench.did(&Effect::TakeClusterFile));
}

#[test]
fn a_person_who_was_faster_in_datacenter_cfg_is_not_written_over() {
    let mut bench = datacenter(1);
    bench.on(Event::Written(Err("changed by somebody else".to_owned())));
    bench.hear_itself();
    bench.hear(2, undo());
    bench.on(Event::WrittenBack(Ok(InForce::Other)));
    assert!(matches!(bench.outcome(), Some(Outcome::Failed(_))));
}
