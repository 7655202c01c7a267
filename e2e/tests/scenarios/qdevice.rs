//! A witness votes from outside: with real corosync-qnetd there and real corosync-qdevice on every node.

mod dead;
mod external;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::removal::of;
use crate::support::{
    CLUSTER, apply, changes, condition, get, kubectl, now_ms, record, wait_ready,
};

const LONG: Duration = Duration::from_secs(120);

fn lab_of(name: &str, hosts: u8, witnesses: u8) -> Result<Lab> {
    Lab::up(Options { hosts, witnesses, ..Options::scenario(name) }, &mut |_| ())
}

/// The cluster of these nodes with the vote of a witness.
fn with_device(lab: &Lab, nodes: &[&str], witness: &str, algorithm: &str) -> Result<Value> {
    let mut spec = of(nodes);
    let address = lab.host(witness)?.address(Network::Mgmt);
    spec["spec"]["quorum"] = json!({"device": {"type": "Managed", "hostRef": {"name": witness},
        "address": address, "algorithm": algorithm}});
    Ok(spec)
}

/// Waits until a spec is in force, and says how long that took.
fn in_force(lab: &Lab, spec: &Value, what: &str) -> Result<Duration> {
    let began = Instant::now();
    apply(lab, spec)?;
    wait_ready(lab, LONG)?;
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    Ok(began.elapsed())
}

/// What a node's corosync-quorumtool says, by the words before the colons.
fn quorumtool(host: &Host<'_>) -> Result<String> {
    host.exec(&["corosync-quorumtool", "-s"]).map(|said| said.stdout)
}

/// Every node counts the device's vote: `A,V,NMW` in each row, and so many votes in all.
fn all_vote(lab: &Lab, nodes: &[&str], votes: usize) -> Result<()> {
    for node in nodes {
        let host = lab.host(node)?;
        wait_until(Duration::from_secs(10), &format!("the device's vote on {node}"), || {
            let said = quorumtool(&host).map_err(|error| format!("{error:#}"))?;
            let rows = said.matches("A,V,NMW").count();
            let total = format!("Total votes:      {votes}");
            let counts = said.contains(&total) && said.contains("Quorate Qdevice");
            if rows == nodes.len() && counts { Ok(()) } else { Err(said) }
        })?;
    }
    Ok(())
}

/// No node has anything of a device: no flag, no daemon, nothing that starts with the machine, and no key where
/// none is wanted at all.
fn none_votes(lab: &Lab, nodes: &[&str], forgotten: bool) -> Result<()> {
    for node in nodes {
        let host = lab.host(node)?;
        let said = quorumtool(&host)?;
        let total = format!("Total votes:      {}", nodes.len());
        ensure!(!said.contains("Qdevice") && said.contains(&total), "{node}: {said}");
        let unit = host.exec(&["systemctl", "is-active", "corosync-qdevice"])?;
        ensure!(!unit.success(), "corosync-qdevice runs on {node}");
        let unit = host.exec(&["systemctl", "is-enabled", "corosync-qdevice"])?;
        ensure!(!unit.success(), "corosync-qdevice starts with {node}");
        let there = host.exec(&["test", "-e", "/etc/corosync/qdevice/net/nssdb"])?.success();
        ensure!(!(there && forgotten), "{node} has certificates");
        let conf = host.run(&["cat", "/etc/pve/corosync.conf"])?;
        ensure!(!conf.contains("device"), "{conf}");
    }
    Ok(())
}

/// What QNetd says of a cluster: its nodes that are connected.
fn known_to(witness: &Host<'_>, cluster: &str) -> Result<usize> {
    let said = witness.run(&["corosync-qnetd-tool", "-l", "-c", cluster])?;
    Ok(said.matches("Node ID ").count())
}

/// The device is taken away: nobody votes by it, the witness knows nobody any more, and quorum was never lost.
fn goes_off(lab: &Lab, nodes: &[&str], witness: &Host<'_>) -> Result<()> {
    let began = now_ms();
    let mut none = of(nodes);
    none["spec"]["quorum"] = json!({"device": {"type": "None"}});
    in_force(lab, &none, "the device is off")?;
    none_votes(lab, nodes, true)?;
    ensure!(known_to(witness, CLUSTER)? == 0);
    kept_quorum(lab, nodes, began)
}

/// Waits until a witness has told of two nodes that are connected: its agent looks from time to time.
fn tells_who_votes(lab: &Lab, witness: &str) -> Result<()> {
    wait_until(LONG, "the witness to tell who is connected", || {
        let host = get(lab, &["pvehost", witness]).map_err(|error| format!("{error:#}"))?;
        let nodes = &host["status"]["witness"]["voters"][0]["addresses"];
        let are_two = nodes.as_array().is_some_and(|nodes| nodes.len() == 2);
        if are_two { Ok(()) } else { Err(nodes.to_string()) }
    })
}

/// The certificate of a node, as its own store has it.
fn certificate(host: &Host<'_>) -> Result<String> {
    let store = "/etc/corosync/qdevice/net/nssdb";
    host.run(&["certutil", "-L", "-d", store, "-n", "Cluster Cert", "-a"])
}

fn kept_quorum(lab: &Lab, nodes: &[&str], from: u64) -> Result<()> {
    for node in nodes {
        let gaps = record(lab, node)?.quorum_gaps(from, now_ms());
        ensure!(gaps.is_empty(), "{node} lost quorum: {gaps:?}");
    }
    Ok(())
}

#[test]
fn two_nodes_with_a_witness_outlive_one_of_the_three() -> Result<()> {
    let lab = lab_of("witness", 2, 1)?;
    let nodes = ["n1", "n2"];
    apply(&lab, &of(&nodes))?;
    wait_ready(&lab, LONG)?;
    let (n1, n2, w1, began) = (lab.host("n1")?, lab.host("n2")?, lab.host("w1")?, now_ms());
    in_force(&lab, &with_device(&lab, &nodes, "w1", "Auto")?, "the device is on")?;
    all_vote(&lab, &nodes, 3)?;
    ensure!(known_to(&w1, "three-nodes")? == 2);
    tells_who_votes(&lab, "w1")?;
    ensure!(certificate(&n1)? != certificate(&n2)?, "the nodes share a certificate");
    kept_quorum(&lab, &nodes, began)?;

    // The one node goes on by the vote of the witness, and the other one finds it when it is back.
    let lost = now_ms();
    n2.crash()?;
    wait_until(LONG, "n1 alone with the witness", || {
        let said = quorumtool(&n1).map_err(|error| format!("{error:#}"))?;
        if said.contains("Total votes:      2") { Ok(()) } else { Err(said) }
    })?;
    ensure!(quorumtool(&n1)?.contains("Quorate:          Yes"));
    kept_quorum(&lab, &["n1"], lost)?;
    n2.boot()?;
    wait_ready(&lab, LONG)?;
    all_vote(&lab, &nodes, 3)?;
    let back = now_ms();

    // A daemon that somebody stops is missed, and its agent starts it again.
    n1.run(&["systemctl", "stop", "corosync-qdevice"])?;
    all_vote(&lab, &nodes, 3)?;

    // Without the witness the two are what two nodes are.
    w1.run(&["systemctl", "kill", "--signal=KILL", "corosync-qnetd"])?;
    w1.run(&["systemctl", "stop", "corosync-qnetd", "pvecm-agent"])?;
    let said = wait_until(LONG, "the missing vote to be told", || {
        let ready = condition(&lab, "Ready").map_err(|error| format!("{error:#}"))?;
        if ready.1 == "DeviceNotVoting" { Ok(ready.2) } else { Err(format!("{ready:?}")) }
    })?;
    println!("the witness is gone: {said}");
    kept_quorum(&lab, &nodes, back)?;
    w1.run(&["systemctl", "start", "corosync-qnetd", "pvecm-agent"])?;
    wait_ready(&lab, LONG)?;
    all_vote(&lab, &nodes, 3)?;

    goes_off(&lab, &nodes, &w1)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_device_comes_and_goes_with_the_parity_of_the_cluster() -> Result<()> {
    let lab = lab_of("parity", 4, 1)?;
    let all = ["n1", "n2", "n3", "n4"];
    apply(&lab, &of(&all[..2]))?;
    wait_ready(&lab, LONG)?;
    let began = now_ms();
    for count in [2, 3, 4, 3, 2] {
        let nodes = &all[..count];
        let mut spec = with_device(&lab, nodes, "w1", "Auto")?;
        spec["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
        in_force(&lab, &spec, &format!("{count} nodes"))?;
        if count % 2 == 0 {
            all_vote(&lab, nodes, count + 1)?;
            ensure!(known_to(&lab.host("w1")?, "three-nodes")? == count);
        } else {
            none_votes(&lab, nodes, false)?;
        }
        kept_quorum(&lab, &["n1", "n2"], began)?;
    }
    let undone: Vec<_> = changes(&lab)?
        .into_iter()
        .filter(|change| change["status"]["outcome"] != "Succeeded")
        .collect();
    ensure!(undone.is_empty(), "{undone:?}");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn algorithm_witness_and_certificates_change_and_two_clusters_share_a_witness() -> Result<()> {
    let lab = lab_of("wmove", 4, 2)?;
    let nodes = ["n1", "n2"];
    apply(&lab, &of(&nodes))?;
    wait_ready(&lab, LONG)?;
    let (n1, began) = (lab.host("n1")?, now_ms());
    in_force(&lab, &with_device(&lab, &nodes, "w1", "FFSplit")?, "ffsplit")?;
    in_force(&lab, &with_device(&lab, &nodes, "w1", "LMS")?, "ffsplit -> lms")?;
    all_vote(&lab, &nodes, 3)?;
    ensure!(n1.run(&["corosync-qdevice-tool", "-s"])?.contains("LMS"));

    let before = certificate(&n1)?;
    let mut again = with_device(&lab, &nodes, "w1", "LMS")?;
    again["spec"]["quorum"]["device"]["certificateGeneration"] = json!(1);
    in_force(&lab, &again, "other certificates")?;
    all_vote(&lab, &nodes, 3)?;
    ensure!(certificate(&n1)? != before, "n1 has the same certificate");

    in_force(&lab, &with_device(&lab, &nodes, "w2", "FFSplit")?, "another witness")?;
    all_vote(&lab, &nodes, 3)?;
    ensure!(known_to(&lab.host("w1")?, "three-nodes")? == 0);
    ensure!(known_to(&lab.host("w2")?, "three-nodes")? == 2);
    tells_who_votes(&lab, "w2")?;

    // Another cluster at the same witness, which under the same name is refused.
    let mut second = with_device(&lab, &["n3", "n4"], "w2", "Auto")?;
    second["metadata"]["name"] = json!("second");
    second["spec"]["clusterName"] = json!("three-nodes");
    apply(&lab, &second)?;
    println!("the same name: {}", comes_to(&lab, "second", ("Stalled", "NameTaken"))?);
    // Deleted, the first one goes on voting, and its name at the witness is not the next one's.
    second["spec"]["rollout"]["approval"] = json!("Manual");
    kubectl(&lab, &["delete", "pvecluster", "three-nodes"])?;
    apply(&lab, &second)?;
    comes_to(&lab, "second", ("Reconciling", "WaitingForApproval"))?;
    let holder = |lab: &Lab| {
        let w2 = get(lab, &["pvehost", "w2"])?;
        println!("w2 says: {}", w2["status"]["witness"]["voters"]);
        Ok::<_, anyhow::Error>(w2["status"]["clusters"][0]["name"].clone())
    };
    ensure!(holder(&lab)? == "three-nodes", "the name is another cluster's");
    kubectl(&lab, &["delete", "pvecluster", "second"])?;
    in_force(&lab, &with_device(&lab, &nodes, "w2", "FFSplit")?, "adopted again")?;
    all_vote(&lab, &nodes, 3)?;
    second["spec"]["rollout"]["approval"] = json!("Automatic");
    second["spec"]["clusterName"] = json!("second");
    apply(&lab, &second)?;
    comes_to(&lab, "second", ("Ready", ""))?;
    all_vote(&lab, &["n3", "n4"], 3)?;
    let w2 = lab.host("w2")?;
    ensure!(known_to(&w2, "three-nodes")? == 2 && known_to(&w2, "second")? == 2);
    kept_quorum(&lab, &nodes, began)
}

/// Waits until a condition of a cluster is true, for this reason if one is named, and returns its sentence.
fn comes_to(lab: &Lab, cluster: &str, (kind, reason): (&str, &str)) -> Result<String> {
    wait_until(LONG, &format!("{cluster}: {kind} {reason}"), || {
        let found = get(lab, &["pvecluster", cluster]).map_err(|error| format!("{error:#}"))?;
        let all = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is = |c: &&Value| {
            let is_so = c["type"] == kind && c["status"] == "True";
            is_so && (reason.is_empty() || c["reason"] == reason)
        };
        let message = all.iter().find(is).map(|c| c["message"].to_string());
        message.ok_or_else(|| format!("{all:?}"))
    })
}
