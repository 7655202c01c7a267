//! All hosts were off, and the cluster comes back as it was, whoever comes first.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::support::{
    HOSTS, apply, changes, condition, file_in_force, formed, now_ms, record, wait_ready, with_links,
};

const LONG: Duration = Duration::from_secs(90);

#[test]
fn after_a_power_cut_nothing_is_changed_before_the_last_host_is_back() -> Result<()> {
    let lab = formed("cold")?;
    let (file, known) = (file_in_force(&lab)?, changes(&lab)?.len());
    HOSTS.iter().try_for_each(|name| lab.host(name)?.crash())?;
    says(&lab, "HostsConnected", "False", "not heard: n1, n2, n3")?;
    let prefers = json!([{"number": 0, "network": "10.50.0.0/24", "priority": 20}]);
    apply(&lab, &with_links(&prefers))?;

    let first = now_ms();
    lab.host("n3")?.boot()?;
    says(&lab, "HostsConnected", "False", "not heard: n1, n2")?;
    says(&lab, "Quorate", "False", "no host that is heard is quorate")?;
    let second = now_ms();
    lab.host("n1")?.boot()?;
    says(&lab, "Quorate", "True", "")?;
    says(&lab, "HostsConnected", "False", "not heard: n2")?;
    says(&lab, "Ready", "False", "the agent on n2 is not heard")?;
    let quorate = record(&lab, "n3")?.first_quorate_after(first).context("n3 has no quorum")?;
    ensure!(quorate >= second, "n3 was quorate {} ms before another one", second - quorate);
    for host in ["n3", "n1"] {
        let now = lab.host(host)?.run(&["cat", "/etc/pve/corosync.conf"])?;
        ensure!(now == file, "changed on {host} with n2 off:\n{now}");
    }
    ensure!(changes(&lab)?.len() == known, "a change was made with n2 off");

    lab.host("n2")?.boot()?;
    let took = wait_ready(&lab, LONG)?;
    println!("ready {:.1} s after the last host had booted", took.as_secs_f64());
    ensure!(file_in_force(&lab)?.contains("knet_link_priority: 20"), "the wish was forgotten");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn in_any_order_and_with_nobody_to_ask_they_are_one_cluster_again() -> Result<()> {
    let lab = formed("coldorder")?;
    let (file, known) = (file_in_force(&lab)?, changes(&lab)?.len());
    lab.operator()?.kill()?;
    lab.control_plane()?.stop_api_server()?;
    for order in [["n1", "n2", "n3"], ["n2", "n3", "n1"], ["n3", "n1", "n2"]] {
        for host in order {
            lab.host(host)?.power_off()?;
        }
        let began = now_ms();
        for (host, up) in order.iter().zip(1..) {
            lab.host(host)?.boot()?;
            if up >= 2 {
                all_work(&lab, &order[..up], began)?;
            }
        }
        ensure!(file_in_force(&lab)? == file, "another file after {order:?}");
    }
    lab.control_plane()?.start_api_server()?;
    lab.operator()?.start()?;
    wait_ready(&lab, LONG)?;
    ensure!(changes(&lab)?.len() == known, "a change was made of a cluster that came back");
    Ok(())
}

/// These hosts are quorate and take writes since they were booted, in one membership of just them.
fn all_work(lab: &Lab, hosts: &[&str], booted: u64) -> Result<()> {
    wait_until(LONG, &format!("{hosts:?} to be one cluster"), || {
        let mut rings = Vec::new();
        for host in hosts {
            let seen = record(lab, host).map_err(|error| format!("{error:#}"))?;
            let now = now_ms();
            let works = seen.quorum_gaps(now - 1, now).is_empty()
                && seen.read_only_gaps(now - 1, now).is_empty();
            let last = seen.membership_changes(booted, now).pop();
            match last.filter(|last| works && last.members.len() == hosts.len()) {
                Some(last) => rings.push(last.ring_id),
                None => return Err(format!("{host} does not work yet")),
            }
        }
        rings.dedup();
        if rings.len() == 1 { Ok(()) } else { Err(format!("rings {rings:?}")) }
    })
}

fn says(lab: &Lab, kind: &str, status: &str, words: &str) -> Result<()> {
    wait_until(LONG, &format!("{kind} {status}: {words}"), || {
        let seen = condition(lab, kind).map_err(|error| format!("{error:#}"))?;
        if seen.0 == status && seen.2.contains(words) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
}
