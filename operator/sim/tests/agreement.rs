//! Seeds of the protocol alone.

use std::collections::BTreeMap;
use std::ops::Range;

use pvecm_core::protocol::Outcome;
use pvecm_sim::agreement::simulate;

/// What a run of many seeds showed.
#[derive(Default)]
struct Tally {
    /// How often which outcomes were seen side by side.
    endings: BTreeMap<Vec<&'static str>, u64>,
    /// Seeds that broke a rule.
    broken: Vec<(u64, String)>,
}

/// The seeds to run: `PVECM_SEEDS=FROM..TO` for more, or for the one that failed.
fn seeds() -> Range<u64> {
    let given = std::env::var("PVECM_SEEDS").ok();
    let parse = |text: &str| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    given.map_or(0..3_000, |text| parse(&text).expect("PVECM_SEEDS=FROM..TO"))
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed => "confirmed",
        Outcome::RolledBack(_) => "rolled back",
        Outcome::Refused(_) => "refused",
        Outcome::Failed(_) => "failed",
    }
}

fn run(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let report = simulate(seed, false);
        tally.broken.extend(report.broken.map(|rule| (seed, rule)));
        let mut words: Vec<&str> = report.outcomes.values().map(word).collect();
        words.sort_unstable();
        words.dedup();
        *tally.endings.entry(words).or_default() += 1;
    }
    tally
}

/// Seeds do not know of each other, so they are shared out over the processors.
fn run_all(seeds: &Range<u64>) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let share = |first: usize| seeds.clone().skip(first).step_by(threads);
        let started: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || run(share(first)))).collect();
        for thread in started {
            let Tally { endings, broken } = thread.join().expect("a seed panicked");
            all.broken.extend(broken);
            for (words, count) in endings {
                *all.endings.entry(words).or_default() += count;
            }
        }
    });
    all.broken.sort();
    all
}

#[test]
fn no_seed_breaks_a_rule_and_every_seed_ends() {
    let seeds = seeds();
    let Tally { endings, broken } = run_all(&seeds);
    println!("{endings:?}");
    if let Some((seed, rule)) = broken.first() {
        println!("{}", simulate(*seed, true).trace.join("\n"));
        let more: Vec<_> = broken.iter().take(20).collect();
        panic!("{} of {seeds:?} broke a rule; seed {seed}: {rule}\n{more:#?}", broken.len());
    }
    // A simulation in which nothing ever succeeds, or nothing ever fails, would prove nothing.
    if seeds.end - seeds.start >= 1_000 {
        for words in [vec!["confirmed"], vec!["failed"], vec!["refused"], vec!["rolled back"]] {
            assert!(endings.contains_key(&words), "no seed ended with {words:?}: {endings:?}");
        }
    }
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in 0..20 {
        let (one, other) = (simulate(seed, true), simulate(seed, true));
        assert!(one.trace.len() > 20);
        assert_eq!(one.trace, other.trace);
    }
}
