//! Seeds of the whole: production operator and agents on simulated hosts.

use std::collections::BTreeMap;

use pvecm_sim::absence::Tale;
use pvecm_sim::faults::Rates;
use pvecm_sim::story::{Options, Report, run};

/// The seeds that every run of the tests goes through. Thousands more: `cargo xtask sim`.
const SEEDS: u64 = 60;

#[test]
fn a_seed_repeats_exactly() {
    for seed in 0..4 {
        let (one, other) = (run(seed, Options::default()), run(seed, Options::default()));
        assert!(one.steps > 50, "a seed in which nothing happens proves nothing");
        assert_eq!((one.hash, one.steps, one.end), (other.hash, other.steps, other.end));
    }
}

#[test]
fn without_faults_every_wish_comes_true_on_three_hosts() {
    let options = Options { hosts: Some(3), rates: Some(Rates::default()), ..Options::default() };
    for seed in 1_000..1_010 {
        let report = run(seed, options);
        assert_eq!(report.broken, None, "seed {seed}");
        let failed =
            report.changes.keys().any(|outcome| outcome == "RolledBack" || outcome == "Failed");
        assert!(!failed, "seed {seed}: {:?}", report.changes);
    }
}

#[test]
fn no_seed_breaks_a_rule() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let reports: Vec<(u64, Report)> = std::thread::scope(|scope| {
        let share = |first: u64| (first..SEEDS).step_by(usize::try_from(threads).unwrap_or(1));
        let started: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    share(first).map(|s| (s, run(s, Options::default()))).collect::<Vec<_>>()
                })
            })
            .collect();
        started.into_iter().flat_map(|thread| thread.join().expect("a seed panicked")).collect()
    });
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (seed, report) in &reports {
        assert_eq!(report.broken, None, "cargo xtask sim --seed {seed}");
        for (outcome, count) in &report.changes {
            *outcomes.entry(outcome.clone()).or_default() += count;
        }
    }
    for outcome in ["Succeeded", "RolledBack", "Superseded"] {
        assert!(outcomes.contains_key(outcome), "no change ended so: {outcome} {outcomes:?}");
    }
}

/// A tale in which nothing happens proves nothing.
#[test]
fn the_dead_are_held_who_was_away_follows_and_quorum_is_recovered() {
    let told = [
        (Tale::Dead, "gate corosync is held"),
        (Tale::Away, "gate corosync.conf is refreshed"),
        (Tale::Recovery, "gate corosync is held"),
        (Tale::Separation, "goes on alone"),
        (Tale::Dissolution, "goes on alone"),
    ];
    for (tale, words) in told {
        let options =
            Options { rates: Some(Rates::default()), tale: Some(tale), hosts: None, words: true };
        let mut happened = 0;
        for seed in 2_000..2_006 {
            let report = run(seed, options);
            assert_eq!(report.broken, None, "{tale:?}, seed {seed}");
            happened += usize::from(report.words.iter().any(|line| line.contains(words)));
        }
        assert!(happened > 0, "{tale:?}: `{words}` in none of the seeds");
    }
}
