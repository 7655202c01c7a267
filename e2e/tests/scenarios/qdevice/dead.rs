//! Nodes that are dead for good, of a cluster that has quorum by the votes of its device.

use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use super::{LONG, all_vote, in_force, kept_quorum, lab_of, quorumtool, with_device};
use crate::support::{changes, kubectl, now_ms, record};

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_dead_node_of_two_is_taken_off_with_the_device_by_which_the_other_one_has_quorum() -> Result<()>
{
    let lab = lab_of("widow", 2, 1)?;
    let (nodes, n1) = (["n1", "n2"], lab.host("n1")?);
    let mut spec = with_device(&lab, &nodes, "w1", "Auto")?;
    spec["spec"]["rollout"]["maxRisk"] = json!("Outage");
    in_force(&lab, &spec, "formed, with a device")?;
    all_vote(&lab, &nodes, 3)?;
    let began = now_ms();
    lab.host("n2")?.crash()?;
    let absence = json!({"spec": {"absence": {"kind": "Dead", "because": "PDU port 7 off"}}});
    kubectl(&lab, &["patch", "pvehost", "n2", "--type=merge", "-p", &absence.to_string()])?;
    wait_until(LONG, "n1 alone", || {
        let conf = n1.run(&["cat", "/etc/corosync/corosync.conf"]);
        let conf = conf.map_err(|error| format!("{error:#}"))?;
        let is_alone = conf.matches("nodeid:").count() == 1 && !conf.contains("device");
        if is_alone { Ok(()) } else { Err(explain_changes(&lab)) }
    })?;
    println!(
        "alone {:.1} s after the power went",
        Duration::from_millis(now_ms() - began).as_secs_f64()
    );
    // Stopped after its device left the text, the daemon stays registered, with no votes, until corosync is restarted.
    wait_until(LONG, "corosync-qdevice to be off", || {
        let unit = n1.exec(&["systemctl", "is-active", "corosync-qdevice"]);
        let runs = unit.map_err(|error| format!("{error:#}"))?.success();
        let said = quorumtool(&n1).map_err(|error| format!("{error:#}"))?;
        let counts = said.contains("Expected votes:   1") && said.contains("Total votes:      1");
        if counts && !runs { Ok(()) } else { Err(said) }
    })?;
    // What the plan says: an instant, in which corosync has taken the device's vote and expects it yet.
    let gaps = record(&lab, "n1")?.quorum_gaps(began, now_ms());
    println!("without quorum: {gaps:?}");
    let long = gaps.iter().any(|gap| gap.to_ms - gap.from_ms > 50);
    ensure!(gaps.len() <= 1 && !long, "n1 lost quorum: {gaps:?}");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_dead_node_of_three_goes_with_the_votes_of_lms_and_those_come_back() -> Result<()> {
    outlived("lastman", (&["n1", "n2"], &["n3"]), ("LMS", 5, 3))
}

/// Those who are left have quorum by the votes of the device, and take the dead off the list. `before` and `after` are
/// all votes that there are.
fn outlived(
    name: &str,
    (left, dead): (&[&str], &[&str]),
    (algorithm, before, after): (&str, usize, usize),
) -> Result<()> {
    let all = [left, dead].concat();
    let lab = lab_of(name, u8::try_from(all.len())?, 1)?;
    let mut spec = with_device(&lab, &all, "w1", algorithm)?;
    spec["spec"]["rollout"]["maxRisk"] = json!("Outage");
    in_force(&lab, &spec, "formed, with a device")?;
    all_vote(&lab, &all, before)?;
    let lost = now_ms();
    dead.iter().try_for_each(|node| lab.host(node)?.crash())?;
    let first = lab.host(left[0])?;
    wait_until(LONG, "those who are left by themselves", || {
        let said = quorumtool(&first).map_err(|error| format!("{error:#}"))?;
        let alone = format!("Nodes:            {}", left.len());
        if said.contains(&alone) && said.contains("Quorate:          Yes") {
            Ok(())
        } else {
            Err(said)
        }
    })?;
    kept_quorum(&lab, left, lost)?;
    let began = now_ms();
    let absence = json!({"spec": {"absence": {"kind": "Dead", "because": "PDU port 7 off"}}});
    for node in dead {
        kubectl(&lab, &["patch", "pvehost", node, "--type=merge", "-p", &absence.to_string()])?;
    }
    wait_until(LONG, "the dead to be off the list and the device to be back", || {
        let conf = first.run(&["cat", "/etc/corosync/corosync.conf"]);
        let conf = conf.map_err(|error| format!("{error:#}"))?;
        let is_so = conf.matches("nodeid:").count() == left.len() && conf.contains("device");
        if is_so { Ok(()) } else { Err(explain_changes(&lab)) }
    })?;
    all_vote(&lab, left, after)?;
    println!(
        "{:.1} s after they were declared dead",
        Duration::from_millis(now_ms() - began).as_secs_f64()
    );
    for node in left {
        let gaps = record(&lab, node)?.quorum_gaps(began, now_ms());
        println!("{node} without quorum: {gaps:?}");
        let long = gaps.iter().any(|gap| gap.to_ms - gap.from_ms > 50);
        ensure!(gaps.len() <= 1 && !long, "{node} lost quorum: {gaps:?}");
    }
    Ok(())
}

/// What became of the changes so far.
fn explain_changes(lab: &Lab) -> String {
    let all = changes(lab).unwrap_or_default();
    let ends = all.iter().map(|change| {
        format!("{}: {}", change["spec"]["plan"]["summary"], change["status"]["outcome"])
    });
    ends.collect::<Vec<_>>().join("; ")
}
