//! Seeds of the simulated cluster.

use std::collections::BTreeMap;

use crate::protocol::Outcome;
use crate::protocol::simulation::simulate;

/// The seeds to run: `PVECM_SEEDS=FROM..TO` for more, or for the one that failed.
fn seeds() -> std::ops::Range<u64> {
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

#[test]
fn no_seed_breaks_a_rule_and_every_seed_ends() {
    let mut endings: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    let mut broken: BTreeMap<String, (u64, Vec<u64>)> = BTreeMap::new();
    for seed in seeds() {
        let report = simulate(seed, false);
        if let Some(rule) = report.broken {
            let short: String = rule.chars().take(40).collect();
            let entry = broken.entry(short).or_default();
            entry.0 += 1;
            entry.1.truncate(4);
            entry.1.push(seed);
        }
        let mut words: Vec<&str> = report.outcomes.values().map(word).collect();
        words.sort_unstable();
        words.dedup();
        *endings.entry(words).or_default() += 1;
    }
    println!("{endings:?}");
    if let Some(seed) = broken.values().filter_map(|(_, seeds)| seeds.first()).min() {
        let report = simulate(*seed, true);
        println!("{}", report.trace.join("\n"));
        panic!("{broken:#?}\nseed {seed}: {}", report.broken.unwrap_or_default());
    }
}
