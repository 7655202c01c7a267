//! Keys that corosync takes only when it starts: asked first, then one host after the other, and nobody
//! else loses quorum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use serde_json::json;

use crate::approval::{plugin, wait_for_question};
use crate::support::{
    CLUSTER, HOSTS, apply, changes, cmap, file_in_force, formed, now_ms, record, wait_ready,
    with_links,
};

/// What a restart may take on one host.
const EACH: Duration = Duration::from_secs(15);

#[test]
fn a_link_mode_is_taken_by_restarts_that_a_person_approved() -> Result<()> {
    let lab = formed("restarts")?;
    let before = daemons(&lab)?;
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["totem"] = json!({"linkMode": "RoundRobin"});
    spec["spec"]["rollout"]["confirmTimeoutSeconds"] = json!(20);
    apply(&lab, &spec)?;

    let sentence = wait_for_question(&lab)?;
    println!("{sentence}");
    ensure!(sentence.contains("corosync restarts on n1, n2, n3, one host at a time"), "{sentence}");
    let admin = lab.control_plane()?.kubeconfig();
    let ask = |words: &[&str]| plugin(&lab, &admin, &[words, &["--namespace", "pve"]].concat());
    let plan = ask(&["plan", CLUSTER, "--diff"])?;
    println!("{}", plan.stdout);
    ensure!(
        plan.stdout.contains("Restart corosync on n2") && plan.stdout.contains("rr"),
        "{plan:?}"
    );
    ensure!(file_in_force(&lab)?.contains("link_mode: passive"), "written before it was approved");
    ensure!(daemons(&lab)? == before, "restarted before it was approved");

    let (began, clock) = (now_ms(), Instant::now());
    let approved = ask(&["approve", CLUSTER])?;
    ensure!(approved.success(), "not approved: {approved:?}");
    wait_ready(&lab, 3 * EACH)?;
    println!("all three restarted within {:?}", clock.elapsed());

    ensure!(file_in_force(&lab)?.contains("link_mode: rr"), "the file is the old one");
    let after = daemons(&lab)?;
    for host in HOSTS {
        ensure!(after[host] != before[host], "corosync on {host} is the old one");
        ensure!(cmap(&lab, host, "totem.link_mode")? == "rr", "{host} shows the old mode");
    }
    ensure!(changes(&lab)?.last().is_some_and(|c| c["status"]["outcome"] == "Succeeded"));
    one_at_a_time(&lab, began)
}

/// When a host was without quorum for the first time and until when for the last, which is 15 s at most.
pub fn away(lab: &Lab, host: &'static str, (from, until): (u64, u64)) -> Result<(u64, u64)> {
    let gaps = record(lab, host)?.quorum_gaps(from, until);
    println!("{host}: {gaps:?}");
    let first = gaps.first().with_context(|| format!("{host} did not stop"))?;
    let last = gaps.last().unwrap_or(first);
    let length = last.to_ms - first.from_ms;
    println!("{host} was without quorum for {length} ms");
    ensure!(length <= 15_000, "{host} was away too long: {gaps:?}");
    Ok((first.from_ms, last.to_ms))
}

/// Every host was without quorum once, for its own restart, and never while another one was.
pub fn one_at_a_time(lab: &Lab, from: u64) -> Result<()> {
    let until = now_ms();
    let mut gaps = Vec::new();
    for host in HOSTS {
        let (left, back) = away(lab, host, (from, until))?;
        gaps.push((left, back, host));
    }
    gaps.sort_unstable();
    for pair in gaps.windows(2) {
        ensure!(pair[0].1 <= pair[1].0, "without quorum at the same time: {pair:?}");
    }
    Ok(())
}

/// When each host's corosync was started, in the kernel's ticks.
pub fn daemons(lab: &Lab) -> Result<BTreeMap<&'static str, String>> {
    let started = |host: &'static str| {
        let script = "cut -d' ' -f22 /proc/$(cat /run/corosync.pid)/stat";
        Ok((host, lab.host(host)?.run(&["sh", "-c", script])?.trim().to_owned()))
    };
    HOSTS.into_iter().map(started).collect()
}
