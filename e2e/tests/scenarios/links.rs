//! Links are added, preferred and removed while everybody stays quorate.

use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::support::{
    HOSTS, apply, apply_sample, assert_undisturbed, file_in_force, formed, get, knet, now_ms,
    wait_connected, wait_ready, wait_stalled, with_links,
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_link_is_added_preferred_and_removed_without_a_membership_change() -> Result<()> {
    let lab = formed("links")?;
    let began = now_ms();

    apply_sample(&lab, "three-nodes-two-links.yaml")?;
    let took = wait_connected(&lab, 1, SOON)?;
    println!("link 1 added: connected on every pair {:.1} s after the apply", took.as_secs_f64());
    wait_ready(&lab, SOON)?;
    wait_preferred(&lab, 1, 0)?;

    apply(
        &lab,
        &with_links(&json!([
            {"number": 0, "network": "10.50.0.0/24", "priority": 30},
            {"number": 1, "network": "10.51.0.0/24", "priority": 20},
        ])),
    )?;
    wait_ready(&lab, SOON)?;
    wait_preferred(&lab, 0, 1)?;

    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24", "priority": 30}])))?;
    wait_ready(&lab, SOON)?;
    let conf = file_in_force(&lab)?;
    ensure!(!conf.contains("ring1_addr"), "link 1 is still in the file:\n{conf}");
    assert_undisturbed(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn the_last_link_that_works_everywhere_is_not_removed() -> Result<()> {
    let lab = formed("lastlink")?;
    apply_sample(&lab, "three-nodes-two-links.yaml")?;
    wait_connected(&lab, 1, SOON)?;
    wait_ready(&lab, SOON)?;
    let before = file_in_force(&lab)?;
    let began = now_ms();

    lab.host("n3")?.cut(pvecm_e2e::network::Network::Net0)?;
    // Not what corosync of n1 knows: the planner is to refuse it, before there is a change for the guards to refuse.
    wait_until(SOON, "the operator to know of a fault of link 0 to n3", || {
        let status = get(&lab, &["pvecluster", "three-nodes"]).map_err(|e| format!("{e:#}"))?;
        let faults = status["status"]["links"].as_array().cloned().unwrap_or_default();
        let told = faults.iter().any(|fault| fault["number"] == 0 && fault["to"] == "n3");
        if told { Ok(()) } else { Err(format!("{faults:?}")) }
    })?;
    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24", "priority": 10}])))?;
    let sentence = wait_stalled(&lab, "LastLink")?;
    ensure!(sentence.contains("n3"), "the sentence does not name the host: {sentence}");
    ensure!(file_in_force(&lab)? == before, "something was written");
    assert_undisturbed(&lab, began)
}

/// Waits until every host sends its corosync traffic to every other over one link and none of it over
/// another: knet's own counters say which link it prefers.
fn wait_preferred(lab: &Lab, preferred: u8, other: u8) -> Result<()> {
    for host in HOSTS {
        wait_until(SOON, &format!("{host} to prefer link {preferred}"), || {
            let seen = sent_over(lab, host, preferred, other).map_err(|e| format!("{e:#}"))?;
            let used = seen.iter().all(|(_, preferred, other)| *preferred > 0 && *other == 0);
            if used { Ok(()) } else { Err(format!("peer, packets, packets: {seen:?}")) }
        })?;
    }
    Ok(())
}

/// The packets that a host sends to each peer over two links while it writes to /etc/pve, which
/// corosync carries to all of them.
fn sent_over(lab: &Lab, host: &str, preferred: u8, other: u8) -> Result<Vec<(u32, u64, u64)>> {
    let sent = |link| knet(lab, host, link, "tx_data_packets");
    let before = (sent(preferred)?, sent(other)?);
    lab.host(host)?.sh("for i in 1 2 3 4 5; do echo $i > /etc/pve/traffic; done")?;
    let after = (sent(preferred)?, sent(other)?);
    let moved = |link: &[(u32, u64)], peer: usize, then: &[(u32, u64)]| then[peer].1 - link[peer].1;
    ensure!(
        after.0.len() == HOSTS.len() - 1 && after.1.len() == after.0.len(),
        "peers are missing"
    );
    Ok((0..after.0.len())
        .map(|peer| {
            let figures = (moved(&before.0, peer, &after.0), moved(&before.1, peer, &after.1));
            (after.0[peer].0, figures.0, figures.1)
        })
        .collect())
}
