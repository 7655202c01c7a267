//! Runs seeds, several at once, and says what they showed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use pvecm_sim::absence::Tale;
use pvecm_sim::agreement::simulate;
use pvecm_sim::faults::Rates;
use pvecm_sim::story::{Options, Report, run};

/// A seed is millions of small allocations, all by one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The simulation: production operator and agents on simulated hosts.
#[derive(Debug, Parser)]
struct Args {
    /// Run this seed alone, and print every step.
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// So many hosts in each; without it each seed has its own number, 3 to 16.
    #[arg(long)]
    hosts: Option<usize>,
    /// What goes wrong: none, api, agents, operators, hosts, persons, all; else the seed decides.
    #[arg(long, value_parser = Rates::named)]
    faults: Option<Rates>,
    /// What is told besides; else the seed decides.
    #[arg(long, value_enum)]
    tale: Option<Tale>,
    /// End at the first seed that breaks a rule.
    #[arg(long)]
    first: bool,
    /// Run the agreement of the hosts on a stage alone: quicker, and more hostile.
    #[arg(long)]
    agreement: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.agreement {
        return agreement(&args);
    }
    if let Some(seed) = args.seed {
        let options = options(&args, true);
        let report = run(seed, options);
        report.words.iter().for_each(|line| println!("{line}"));
        println!("{}", summary(seed, &report));
        return if report.broken.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    many(&args)
}

/// Seeds of the agreement alone, one after the other: they take a millisecond each.
fn agreement(args: &Args) -> ExitCode {
    let seeds = match args.seed {
        Some(seed) => seed..seed + 1,
        None => args.from..args.from + args.seeds,
    };
    let mut broken = 0;
    for seed in seeds.clone() {
        let report = simulate(seed, args.seed.is_some());
        report.trace.iter().for_each(|line| println!("{line}"));
        if let Some(why) = report.broken {
            println!("seed {seed} of the agreement: {why}");
            broken += 1;
            if args.first {
                break;
            }
        }
    }
    println!("{} seeds of the agreement, {broken} broken", seeds.end - seeds.start);
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(args: &Args, words: bool) -> Options {
    Options { hosts: args.hosts, rates: args.faults, tale: args.tale, words }
}

fn summary(seed: u64, report: &Report) -> String {
    let Report { broken, hash, steps, words: _, hosts, changes, end, millis } = report;
    let verdict = broken.as_deref().unwrap_or("ok");
    format!(
        "seed {seed}: {hosts} hosts, {changes:?}, {steps} steps, {} s, {hash:016x}: {verdict} ({end})",
        millis / 1000
    )
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn many(args: &Args) -> ExitCode {
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let broken: Mutex<Vec<(u64, Report)>> = Mutex::default();
    let steps = AtomicU64::new(0);
    let changes: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let options = options(args, false);
                    let report = run(seed, options);
                    steps.fetch_add(report.steps, Ordering::Relaxed);
                    for (outcome, count) in &report.changes {
                        *held(&changes).entry(outcome.clone()).or_default() += count;
                    }
                    if report.broken.is_some() {
                        if args.first {
                            next.store(end, Ordering::Relaxed);
                        }
                        held(&broken).push((seed, report));
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    broken.sort_by_key(|(seed, _)| *seed);
    for (seed, report) in broken.iter().take(20) {
        println!("{}", summary(*seed, report));
    }
    if let Some((seed, _)) = broken.first() {
        let hosts = args.hosts.map(|hosts| format!(" --hosts {hosts}")).unwrap_or_default();
        let again = run(*seed, options(args, true));
        again.words.iter().rev().take(200).rev().for_each(|line| println!("{line}"));
        println!("again, with every step: cargo xtask sim --seed {seed}{hosts}");
    }
    println!("changes: {:?}", held(&changes));
    let (count, steps) = (args.seeds, steps.into_inner());
    println!(
        "{count} seeds, {steps} steps, {} broken, {:.1} s",
        broken.len(),
        begun.elapsed().as_secs_f64()
    );
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
