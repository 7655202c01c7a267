//! A cluster forms from one apply.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::support::{
    HOSTS, apply_sample, changes, file_in_force, get, kubectl, lab, now_ms, record, wait_ready,
};

#[test]
fn one_apply_makes_three_hosts_a_quorate_cluster() -> Result<()> {
    let lab = lab("forms")?;
    apply_sample(&lab, "three-nodes.yaml")?;
    let took = wait_ready(&lab, Duration::from_secs(60))?;
    println!("apply to Ready, three hosts: {:.1} s", took.as_secs_f64());
    print!("{}", kubectl(&lab, &["get", "pve"])?);

    let conf = file_in_force(&lab)?;
    for host in HOSTS {
        ensure!(conf.contains(&format!("name: {host}")), "{host} is not listed in\n{conf}");
        let votes = lab.host(host)?.run(&["corosync-quorumtool", "-s"])?;
        ensure!(votes.contains("Expected votes:   3"), "{host}: {votes}");
        ensure!(votes.contains("Total votes:      3"), "{host}: {votes}");
    }
    assert_founder_never_waited(&lab)?;
    assert_second_apply_changes_nothing(&lab)
}

/// The founder is formed with a lent vote, so listing a joiner that is not up yet takes nothing
/// from it: quorate and writable from its own start on.
fn assert_founder_never_waited(lab: &pvecm_e2e::lab::Lab) -> Result<()> {
    let founder = record(lab, "n1")?;
    let until = now_ms();
    let Some(quorate) = founder.first_quorate_after(0) else {
        anyhow::bail!("n1's recorder never saw it quorate");
    };
    let lost = founder.quorum_gaps(quorate, until);
    ensure!(lost.is_empty(), "n1 lost quorum after its start: {lost:?}");
    // pmxcfs is restarted once, to change from local to cluster mode; from then on it takes writes.
    let Some(writable) = founder.first_writable_after(quorate) else {
        anyhow::bail!("n1's /etc/pve never took writes after its start");
    };
    let settled = founder.read_only_gaps(quorate, until).into_iter().map(|gap| gap.to_ms).max();
    let writable = settled.unwrap_or(writable).max(writable);
    let second = record(lab, "n2")?.first_quorate_after(0).unwrap_or(until);
    ensure!(writable < second, "n1's /etc/pve was read-only while n2 joined");
    Ok(())
}

fn assert_second_apply_changes_nothing(lab: &pvecm_e2e::lab::Lab) -> Result<()> {
    let before = get(lab, &["pvecluster", "three-nodes"])?["metadata"]["resourceVersion"].take();
    let count = changes(lab)?.len();
    let said = apply_sample(lab, "three-nodes.yaml")?;
    ensure!(said.contains("unchanged"), "the second apply was not quiet: {said}");
    let after = get(lab, &["pvecluster", "three-nodes"])?["metadata"]["resourceVersion"].take();
    ensure!(before == after, "the cluster's object was written: {before} is now {after}");
    ensure!(changes(lab)?.len() == count, "a change was made for nothing");
    Ok(())
}
