//! One test per rule of the exchange of the authkey, on one machine of three.

use super::bench::{Bench, keys, recovered, setup, undo, view};
use crate::ids::Fingerprint;
use crate::protocol::{Effect, Event, InForce, Key, KeyWord, Keys, Outcome, Phase, Setup};

const READY: Phase = Phase::Prepared { writable: true };
const WRITE_BACK: Effect = Effect::WriteBack { over_parent: true };

fn word(lies: Key, asks: Option<Key>) -> KeyWord {
    let Keys { old, new, lies } = keys(lies);
    KeyWord { old, new, lies, asks }
}

fn exchange(me: u32) -> Setup {
    Setup { keys: Some(keys(Key::Old)), ..setup(me, 3) }
}

/// All are prepared.
fn prepared(me: u32) -> Bench {
    let mut bench = Bench::start(exchange(me));
    bench.on(Event::Checks(Ok(())));
    (1..=3).for_each(|from| bench.hear_key(from, READY, word(Key::Old, None)));
    bench
}

/// All went, and the writer, which is host 1, asks for the new key.
fn gone(me: u32) -> Bench {
    let mut bench = prepared(me);
    if me == 1 {
        bench.on(Event::Locked(Ok(())));
    }
    bench.hear_key(1, Phase::Going, word(Key::Old, Some(Key::New)));
    (2..=3).for_each(|from| bench.hear_key(from, Phase::Going, word(Key::Old, None)));
    bench
}

/// The new key lies everywhere, and the text is being written.
fn writing() -> Bench {
    let mut bench = gone(1);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.hear_itself();
    (2..=3).for_each(|from| bench.hear_key(from, Phase::Going, word(Key::New, None)));
    assert!(bench.did(&Effect::Write));
    bench.forget();
    bench
}

/// The text was written and is to be undone; who has voted for it so far says which key lies there.
fn undoing(others: &[(u32, Key)]) -> Bench {
    let mut bench = writing();
    bench.on(Event::Written(Ok(())));
    bench.on(Event::View(view([1, 2], true)));
    bench.on(Event::View(view([1, 2, 3], true)));
    bench.hear_itself();
    for (from, lies) in others {
        bench.hear_key(*from, undo(), word(*lies, None));
    }
    bench
}

#[test]
fn the_writer_begins_only_with_the_lock() {
    let mut bench = prepared(1);
    assert!(bench.did(&Effect::Lock));
    assert_eq!(bench.phase(), READY);
    bench.on(Event::Locked(Ok(())));
    assert_eq!(bench.phase(), Phase::Going);
    assert!(!prepared(2).did(&Effect::Lock), "host 1 writes");
}

#[test]
fn a_lock_that_somebody_keeps_ends_the_stage_with_no_key_laid() {
    let mut bench = prepared(1);
    bench.on(Event::Locked(Err("held".to_owned())));
    let sentence = "host 1 could not take the lock: held".to_owned();
    assert_eq!(bench.phase(), Phase::GaveUp { sentence });
    assert!(!bench.did(&Effect::Lay(Key::New)));
}

#[test]
fn hosts_that_do_not_have_the_same_two_keys_do_not_begin() {
    let other = Fingerprint::of(b"other");
    let plain = word(Key::Old, None);
    let pairs = [
        (KeyWord { old: other, ..plain }, "another authkey"),
        (KeyWord { new: other, ..plain }, "another new authkey"),
    ];
    for (strange, what) in pairs {
        for me in 1..=3 {
            let mut bench = Bench::start(exchange(me));
            bench.on(Event::Checks(Ok(())));
            bench.hear_key(3, READY, strange);
            (1..=2).for_each(|from| bench.hear_key(from, READY, word(Key::Old, None)));
            let sentence = format!("host 3 has {what} than host 1");
            assert_eq!(bench.phase(), Phase::GaveUp { sentence });
            assert!(!bench.did(&Effect::Lock));
        }
    }
}

#[test]
fn no_host_lays_the_new_key_before_all_have_voted_to_begin() {
    let mut bench = prepared(2);
    bench.hear_key(1, Phase::Going, word(Key::Old, Some(Key::New)));
    bench.hear_itself();
    assert!(!bench.did(&Effect::Lay(Key::New)));
    bench.hear_key(3, Phase::Going, word(Key::Old, None));
    assert!(bench.did(&Effect::Lay(Key::New)));
}

#[test]
fn no_host_lays_the_new_key_before_the_one_with_the_lock_asks() {
    let mut bench = prepared(2);
    (1..=3).for_each(|from| bench.hear_key(from, Phase::Going, word(Key::Old, None)));
    assert!(!bench.did(&Effect::Lay(Key::New)));
    bench.hear_key(1, Phase::Going, word(Key::New, Some(Key::New)));
    assert!(bench.did(&Effect::Lay(Key::New)));
}

#[test]
fn the_text_is_written_only_when_the_new_key_lies_on_every_host() {
    let mut bench = gone(1);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.hear_itself();
    bench.hear_key(2, Phase::Going, word(Key::New, None));
    assert!(!bench.did(&Effect::Write));
    bench.hear_key(3, Phase::Going, word(Key::New, None));
    assert!(bench.did(&Effect::Write));
    assert!(!bench.did(&Effect::Unlock));
    bench.on(Event::Written(Ok(())));
    assert!(bench.did(&Effect::Unlock));
}

#[test]
fn a_host_that_lays_no_key_in_three_seconds_ends_the_stage_and_is_named() {
    let mut bench = gone(1);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.hear_itself();
    bench.hear_key(2, Phase::Going, word(Key::New, None));
    bench.tick_at(2_999);
    assert_eq!(bench.phase(), Phase::Going);
    bench.tick_at(3_000);
    let sentence = "host 3 did not lay the new authkey in time".to_owned();
    assert_eq!(bench.phase(), Phase::RollingBack { sentence });
}

#[test]
fn a_host_whose_disk_takes_no_key_ends_the_stage() {
    let mut bench = gone(2);
    bench.on(Event::Laid(Err("disk full".to_owned())));
    let sentence = "host 2 could not lay the authkey: disk full".to_owned();
    assert_eq!(bench.phase(), Phase::RollingBack { sentence });
}

#[test]
fn nobody_says_which_key_lies_while_one_is_laid_or_after_that_failed() {
    let says = |bench: &Bench| {
        bench.done.iter().rev().find_map(|effect| match effect {
            Effect::Send(message) => message.key,
            _other => None,
        })
    };
    let mut bench = gone(2);
    assert_eq!(says(&bench).unwrap().lies, None);
    bench.on(Event::Laid(Err("disk full".to_owned())));
    assert_eq!(says(&bench).unwrap().lies, None);
    bench.hear_itself();
    bench.hear_key(1, undo(), word(Key::Old, None));
    assert!(!bench.did(&Effect::Lay(Key::Old)), "not again at once");
    bench.tick_at(2_000);
    assert!(bench.did(&Effect::Lay(Key::Old)));
    bench.on(Event::Laid(Ok(Key::Old)));
    assert_eq!(says(&bench).unwrap().lies, Some(Key::Old));
}

#[test]
fn where_nothing_was_written_the_old_key_is_laid_at_once_and_no_text_follows() {
    let mut bench = gone(1);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.tick_at(3_000);
    bench.hear_itself();
    assert!(!bench.did(&Effect::Lay(Key::Old)), "one vote of three decides nothing");
    bench.hear_key(2, undo(), word(Key::New, None));
    assert!(bench.did(&Effect::Lay(Key::Old)));
    assert_eq!(bench.outcome(), None);
    bench.on(Event::Laid(Ok(Key::Old)));
    bench.hear_key(2, undo(), word(Key::Old, None));
    assert!(!bench.did(&Effect::Unlock), "host 3 has the new key yet");
    bench.hear_key(3, undo(), word(Key::Old, None));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
    assert!(bench.did(&Effect::KeepKey(Key::Old)) && bench.did(&Effect::Unlock));
    assert!(!bench.did(&WRITE_BACK));
}

#[test]
fn the_lock_is_not_kept_for_ever_for_a_host_that_lays_no_key() {
    let mut bench = gone(1);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.tick_at(3_000);
    bench.hear_itself();
    bench.hear_key(2, undo(), word(Key::New, None));
    bench.on(Event::Laid(Ok(Key::Old)));
    bench.tick_at(12_999);
    assert_eq!(bench.outcome(), None);
    bench.tick_at(13_000);
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
}

#[test]
fn after_a_write_the_old_key_is_laid_only_when_every_member_is_for_it_and_the_lock_is_held() {
    let mut bench = undoing(&[(2, Key::New)]);
    assert!(!bench.did(&Effect::Lock), "host 3 is there and may yet write or lay");
    bench.hear_key(3, undo(), word(Key::New, None));
    assert!(bench.did(&Effect::Lock) && !bench.did(&Effect::Lay(Key::Old)));
    bench.on(Event::Locked(Ok(())));
    bench.hear_itself();
    assert!(bench.did(&Effect::Lay(Key::Old)));
}

#[test]
fn a_member_that_is_gone_is_not_waited_for() {
    let mut bench = undoing(&[(2, Key::New)]);
    bench.on(Event::View(view([1, 2], true)));
    assert!(bench.did(&Effect::Lock));
}

#[test]
fn the_text_that_undoes_is_written_only_when_the_old_key_lies_on_every_member() {
    let mut bench = undoing(&[(2, Key::New), (3, Key::New)]);
    bench.on(Event::Locked(Ok(())));
    bench.hear_itself();
    bench.on(Event::Laid(Ok(Key::Old)));
    bench.hear_itself();
    bench.hear_key(2, undo(), word(Key::Old, None));
    assert!(!bench.did(&WRITE_BACK));
    bench.hear_key(3, undo(), word(Key::Old, None));
    assert!(bench.did(&WRITE_BACK));
    bench.on(Event::WrittenBack(Ok(InForce::Back)));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));
    assert!(bench.did(&Effect::KeepKey(Key::Old)) && bench.did(&Effect::Unlock));
}

#[test]
fn a_host_that_does_not_lead_lays_the_old_key_when_the_leader_asks_or_others_have_it() {
    for word_of_leader in [word(Key::New, Some(Key::Old)), word(Key::Old, None)] {
        let mut bench = gone(2);
        bench.on(Event::Laid(Ok(Key::New)));
        bench.on(Event::InForce(InForce::New));
        bench.hear_key(1, undo(), word(Key::New, None));
        bench.hear_key(3, undo(), word(Key::New, None));
        bench.hear_itself();
        assert!(!bench.did(&Effect::Lay(Key::Old)) && !bench.did(&Effect::Lock));
        bench.hear_key(1, undo(), word_of_leader);
        assert!(bench.did(&Effect::Lay(Key::Old)));
    }
}

#[test]
fn a_host_that_was_away_lays_the_key_that_the_others_ended_with() {
    let back = Phase::RolledBack { sentence: "late".to_owned() };
    let before = Setup { keys: Some(keys(Key::New)), ..recovered(3, 3, Phase::Going) };
    let mut bench = Bench::start(Setup { in_force: InForce::Back, ..before });
    bench.hear_key(1, back, word(Key::Old, None));
    assert!(bench.did(&Effect::Lay(Key::Old)));
    bench.on(Event::Laid(Ok(Key::Old)));
    assert!(matches!(bench.outcome(), Some(Outcome::RolledBack(_))));

    assert!(!bench.did(&Effect::TakeClusterFile), "host 2 is there, and its key is not known");
    bench.hear_key(2, undo(), word(Key::Old, None));
    assert!(bench.did(&Effect::TakeClusterFile), "its daemon has yet to read the key");

    let mut bench = Bench::start(Setup { in_force: InForce::New, ..exchange(3) });
    bench.hear_key(1, Phase::Confirmed, word(Key::New, None));
    assert!(bench.did(&Effect::KeepKey(Key::New)));
}

#[test]
fn a_host_that_is_alone_tries_both_keys_in_turn() {
    let sealed = {
        let mut bench = gone(2);
        bench.on(Event::Laid(Ok(Key::New)));
        bench.on(Event::Probes(Ok(())));
        (1..=3).for_each(|from| bench.hear_key(from, Phase::Holds, word(Key::New, None)));
        assert_eq!(bench.phase(), Phase::Sealed);
        bench
    };
    let held = {
        let mut bench = gone(2);
        bench.on(Event::Laid(Ok(Key::New)));
        bench.on(Event::Probes(Ok(())));
        bench
    };
    for mut bench in [sealed, held] {
        bench.on(Event::View(view([2], false)));
        for (now, key) in [(40_000, Key::Old), (70_000, Key::New), (100_000, Key::Old)] {
            bench.forget();
            bench.tick_at(now - 1);
            assert!(!bench.did(&Effect::TryKey(key)), "{now}");
            bench.tick_at(now);
            assert!(bench.did(&Effect::TryKey(key)), "{now}");
            bench.on(Event::Laid(Ok(key)));
        }
        bench.forget();
        bench.on(Event::View(view([1, 2, 3], true)));
        bench.tick_at(130_000);
        assert!(!bench.did(&Effect::TryKey(Key::New)), "it hears the others");
    }
}

#[test]
fn a_writer_that_was_killed_takes_the_lock_again_before_anybody_lays_a_key() {
    let before = Setup { keys: Some(keys(Key::Old)), ..recovered(1, 3, Phase::Going) };
    let mut bench = Bench::start(before);
    bench.hear_itself();
    (2..=3).for_each(|from| bench.hear_key(from, Phase::Going, word(Key::New, None)));
    assert!(bench.did(&Effect::Lock) && !bench.did(&Effect::Lay(Key::New)));
    bench.on(Event::Locked(Ok(())));
    bench.hear_itself();
    assert!(bench.did(&Effect::Lay(Key::New)));
    bench.on(Event::Laid(Ok(Key::New)));
    bench.hear_itself();
    assert!(bench.did(&Effect::Write));
}

#[test]
fn a_daemon_that_tried_the_old_key_reads_the_new_one_when_the_stage_stays_after_all() {
    let mut bench = gone(2);
    bench.on(Event::Laid(Ok(Key::New)));
    bench.on(Event::InForce(InForce::New));
    bench.on(Event::Probes(Ok(())));
    (1..=3).for_each(|from| bench.hear_key(from, Phase::Holds, word(Key::New, None)));
    bench.on(Event::View(view([2], false)));
    bench.tick_at(40_000);
    bench.on(Event::Laid(Ok(Key::Old)));
    bench.on(Event::View(view([1, 2, 3], true)));
    bench.hear_key(3, Phase::Sealed, word(Key::Old, None));
    bench.hear_key(1, Phase::Confirmed, word(Key::Old, None));
    bench.hear_itself();
    assert_eq!(bench.outcome(), Some(Outcome::Confirmed));
    assert!(bench.did(&Effect::KeepKey(Key::New)));
    bench.hear_key(1, Phase::Confirmed, word(Key::New, None));
    bench.on(Event::Laid(Ok(Key::New)));
    assert!(!bench.did(&Effect::TakeClusterFile), "host 3 would read the old key");
    bench.hear_key(3, Phase::Confirmed, word(Key::New, None));
    assert!(bench.did(&Effect::TakeClusterFile));
}

#[test]
fn a_key_that_is_none_of_the_two_is_laid_over_before_the_text_that_undoes_is_written() {
    let strange = Keys { lies: None, ..keys(Key::Old) };
    let before = Setup { keys: Some(strange), ..recovered(1, 3, undo()) };
    let mut bench = Bench::start(Setup { in_force: InForce::New, ..before });
    bench.hear_itself();
    (2..=3).for_each(|from| bench.hear_key(from, undo(), word(Key::Old, None)));
    assert!(bench.did(&Effect::Lay(Key::Old)) && !bench.did(&WRITE_BACK));
}
