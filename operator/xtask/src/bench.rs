//! `cargo xtask bench conf`: our model of corosync.conf beside the libraries of pcs and crmsh, on the
//! same files in the same run, and the cold start of `kubectl-pvecm conf lint`. `cargo xtask bench plan`:
//! the planner and the guards, by the size of the cluster and what changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::step;
use crate::{cargo, packages};

/// Nodes and links of the files, as both programs name them.
const SIZES: [&str; 5] = ["3x2", "16x2", "32x2", "64x2", "64x8"];
/// Starts of `conf lint`, of which the median is told.
const STARTS: usize = 100;
/// How much faster than the fastest peer is wanted.
const WANTED: f64 = 10.0;

/// How long a plan may take, the slowest of a hundred included: in a cluster of so many nodes, so many
/// microseconds.
const PLAN_LIMITS: [(u32, f64); 2] = [(16, 300.0), (64, 2_000.0)];

/// Microseconds by size.
type Times = BTreeMap<String, f64>;

/// Measures and prints. Installs pcs and crmsh from Debian when they are missing.
pub fn conf() -> Result<()> {
    packages::install(&["pcs", "crmsh", "time"])?;
    let folder = cargo::target().join("bench");
    fs::create_dir_all(&folder)?;
    let ours = step("parse, add a link, bump and render: ours", || ours(&folder))?;
    let peers = step("the same: pcs and crmsh", || peers(&folder))?;
    table(&ours, &peers)?;
    step("building kubectl-pvecm", || {
        cargo::run(&["build", "--quiet", "--locked", "--release", "--package", "kubectl-pvecm"])
    })?;
    cold_start(&folder.join("16x2.conf"))
}

/// Measures and prints.
pub fn plan() -> Result<()> {
    let text = step("planning and proving", || output(&mut core("plan")))?;
    println!("{:>42} {:>21}", "planning, us", "proving, us");
    println!(
        "{:>6} {:>12} {:>7} {:>7} {:>7} {:>13} {:>7}",
        "nodes", "change", "stages", "p50", "p99", "p50", "p99"
    );
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [nodes, change, stages, p50, p99, proved_p50, proved_p99] = words[..] else {
            bail!("the benchmark prints something else: {line}");
        };
        let (size, slowest): (u32, f64) = (nodes.parse()?, p99.parse()?);
        let limit = PLAN_LIMITS.iter().find(|(limited, _)| *limited == size);
        let late = limit.filter(|(_, limit)| slowest > *limit);
        let late = late.map(|(_, limit)| format!("  ({limit} are wanted)")).unwrap_or_default();
        println!(
            "{nodes:>6} {change:>12} {stages:>7} {p50:>7} {p99:>7} {proved_p50:>13} {proved_p99:>7}{late}"
        );
    }
    Ok(())
}

/// A benchmark of `operator/core`, built and started.
fn core(bench: &str) -> Command {
    cargo::command(&[
        "bench",
        "--quiet",
        "--locked",
        "--package",
        "pvecm-core",
        "--bench",
        bench,
        "--",
    ])
}

fn ours(folder: &Path) -> Result<Times> {
    let text = output(core("conf").arg(folder))?;
    text.lines().map(|line| entry(line).context("the benchmark prints something else")).collect()
}

/// By the name of the peer.
fn peers(folder: &Path) -> Result<BTreeMap<String, Times>> {
    let script = cargo::root().join("operator/core/benches/peers.py");
    // Debian's own interpreter: the libraries are installed for no other.
    let text = output(Command::new("/usr/bin/python3").arg(script).arg(folder))?;
    let mut peers: BTreeMap<String, Times> = BTreeMap::new();
    for line in text.lines() {
        let (peer, rest) = line.split_once(' ').context("peers.py prints something else")?;
        let (size, time) = entry(rest).context("peers.py prints something else")?;
        peers.entry(peer.to_owned()).or_default().insert(size, time);
    }
    Ok(peers)
}

/// `SIZE MICROSECONDS`
fn entry(line: &str) -> Option<(String, f64)> {
    let (size, time) = line.split_once(' ')?;
    Some((size.to_owned(), time.parse().ok()?))
}

fn table(ours: &Times, peers: &BTreeMap<String, Times>) -> Result<()> {
    print!("{:>8} {:>10}", "us", "ours");
    for name in peers.keys() {
        print!(" {name:>10}");
    }
    println!(" {:>16}", "fastest / ours");
    for size in SIZES {
        let missing = || format!("nobody measured {size}");
        let own = ours.get(size).with_context(missing)?;
        let times: Vec<f64> = peers.values().filter_map(|times| times.get(size).copied()).collect();
        ensure!(times.len() == peers.len() && !times.is_empty(), missing());
        let ratio = times.iter().copied().fold(f64::INFINITY, f64::min) / own;
        let short = if ratio < WANTED { " (10 are wanted)" } else { "" };
        print!("{size:>8} {own:>10.1}");
        for time in &times {
            print!(" {time:>10.1}");
        }
        println!(" {ratio:>16.1}{short}");
    }
    Ok(())
}

/// How long `conf lint` takes from start to end, and how much memory.
fn cold_start(file: &Path) -> Result<()> {
    let program = cargo::target().join("release/kubectl-pvecm");
    let mut lint = Command::new(&program);
    lint.args(["conf", "lint"]).arg(file).stdout(Stdio::null());
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        ensure!(lint.status().context("kubectl-pvecm does not start")?.success(), "lint failed");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let measured = Command::new("/usr/bin/time")
        .args(["--format", "%M"])
        .arg(&program)
        .args(["conf", "lint"])
        .arg(file)
        .stdout(Stdio::null())
        .output()
        .context("/usr/bin/time does not start")?;
    let kib: f64 = String::from_utf8_lossy(&measured.stderr).trim().parse()?;
    let (median, worst) = (times[STARTS / 2], times[STARTS - 1]);
    println!("conf lint 16x2, cold: median {median:.1} ms, worst of {STARTS} {worst:.1} ms");
    println!("conf lint 16x2, memory: {:.1} MiB at most", kib / 1024.0);
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.stderr(Stdio::inherit()).output().context("it does not start")?;
    ensure!(done.status.success(), "{command:?} failed");
    String::from_utf8(done.stdout).context("it does not speak UTF-8")
}
