//! A machine that a person declares away: the others go on with what goes without it, and it follows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::outage::ask;
use crate::removal::undisturbed_but_for;
use crate::support::{
    CLUSTER, apply, changes, cmap, condition, formed, get, kubectl, now_ms, record, wait_ready,
    wait_stalled, with_links,
};

const LONG: Duration = Duration::from_secs(60);
const REST: [&str; 2] = ["n1", "n2"];
const FILE: &str = "/etc/corosync/corosync.conf";

#[test]
fn a_link_moves_without_a_machine_in_repair_and_what_needs_it_waits() -> Result<()> {
    let lab = formed("away")?;
    send_away(&lab)?;
    wait_ready(&lab, LONG)?;
    // One that is heard is a member like any other, and so is one of which only the agent is silent.
    told(&lab, "n3 is declared away (new board), but is a member that is there")?;
    lab.host("n3")?.run(&["systemctl", "stop", "pvecm-agent"])?;
    silent(&lab)?;
    let moved = with_links(&json!([{"number": 0, "network": "10.52.0.0/24"}]));
    apply(&lab, &moved)?;
    let sentence = wait_stalled(&lab, "HostNotConnected")?;
    ensure!(sentence.contains("has it in the membership"), "{sentence}");
    ensure!(
        changes(&lab)?.len() == ended(&lab)?,
        "a change was made of a member that was not asked"
    );

    lab.host("n3")?.crash()?;
    let (off, clock) = (now_ms(), Instant::now());
    in_force_without(&lab, "10.52.0.0/24")?;
    println!("moved without n3 {:.1} s after its power went", clock.elapsed().as_secs_f64());
    for host in REST {
        undisturbed_but_for(&lab, host, off, &[&[1, 2]])?;
        let file = lab.host(host)?.run(&["cat", FILE])?;
        for address in ["10.52.0.1", "10.52.0.2", "10.52.0.3"] {
            ensure!(file.contains(&format!("ring0_addr: {address}\n")), "{host}: {file}");
        }
    }
    told(&lab, "n3 is declared away (new board)")?;

    let mut votes = moved.clone();
    votes["spec"]["nodes"][0]["votes"] = json!(2);
    apply(&lab, &votes)?;
    let sentence = wait_stalled(&lab, "HostAway")?;
    println!("{sentence}");
    ensure!(sentence.contains("n3 (new board)"), "{sentence}");
    votes["spec"]["nodes"][0]["votes"] = json!(1);
    apply(&lab, &votes)?;

    // It comes back with its old file, which nobody answers any more.
    let back = now_ms();
    lab.host("n3")?.boot()?;
    println!("with its old file: {}", blocked(&lab)?);
    for host in REST {
        undisturbed_but_for(&lab, host, back, &[])?;
    }
    returns(&lab)?;
    kubectl(&lab, &["pvecm", "host", "back", "n3"])?;
    wait_ready(&lab, LONG).map(|_| ())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_token_changes_without_a_machine_in_repair_and_its_old_file_keeps_it_out() -> Result<()> {
    let lab = formed("awaytoken")?;
    send_away(&lab)?;
    lab.host("n3")?.crash()?;
    is_away(&lab)?;
    let off = now_ms();
    let mut slower = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    slower["spec"]["totem"] = json!({"tokenMillis": 5000});
    let known = changes(&lab)?.len();
    apply(&lab, &slower)?;
    succeeded(&lab, known)?;
    for host in REST {
        undisturbed_but_for(&lab, host, off, &[])?;
        ensure!(cmap(&lab, host, "runtime.config.totem.token")? == "5125", "{host}");
    }
    let back = now_ms();
    lab.host("n3")?.boot()?;
    println!("with its old file: {}", blocked(&lab)?);
    // The others may have it for a moment: corosync compares the versions after it has let it in.
    for host in REST {
        quorate_and_writable(&lab, host, back)?;
        let seen = record(&lab, host)?.membership_changes(back, now_ms());
        println!("{host} saw the memberships {seen:?}");
    }
    let journal = ["journalctl", "-u", "corosync", "-n", "20", "-o", "cat"];
    println!("{}", lab.host("n3")?.run(&journal)?);
    returns(&lab)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_machine_that_comes_back_in_the_middle_of_a_move_breaks_nothing() -> Result<()> {
    let lab = formed("awaymid")?;
    send_away(&lab)?;
    for round in 0..4_u32 {
        lab.host("n3")?.crash()?;
        is_away(&lab)?;
        let (from, known) = (now_ms(), changes(&lab)?.len());
        let network = ["10.52.0.0/24", "10.50.0.0/24"][usize::from(round % 2 == 1)];
        apply(&lab, &with_links(&json!([{"number": 0, "network": network}])))?;
        wait_until(LONG, "a change to begin", || {
            let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
            let begun = all.get(known).is_some_and(|c| c["status"]["releasedStage"] != json!(null));
            if begun { Ok(()) } else { Err("none".to_owned()) }
        })?;
        std::thread::sleep(Duration::from_millis(700) * round);
        lab.host("n3")?.boot()?;
        wait_until(2 * LONG, "no change to be open", || {
            let open = changes(&lab).map_err(|error| format!("{error:#}"))?.len();
            let over = ended(&lab).map_err(|error| format!("{error:#}"))?;
            if open > known && open == over { Ok(()) } else { Err(format!("{over} of {open}")) }
        })?;
        let all = changes(&lab)?;
        let outcomes: Vec<_> = all[known..].iter().map(|c| &c["status"]["outcome"]).collect();
        println!("round {round}: {outcomes:?}");
        for host in REST {
            quorate_and_writable(&lab, host, from)?;
        }
        returns(&lab)?;
    }
    Ok(())
}

fn send_away(lab: &Lab) -> Result<()> {
    let said = kubectl(lab, &["pvecm", "host", "away", "n3", "--because", "new board"])?;
    println!("{said}");
    Ok(())
}

/// Waits until the operator knows that n3 is silent.
fn silent(lab: &Lab) -> Result<()> {
    wait_until(LONG, "n3 not to be heard", || {
        let (status, _, said) =
            condition(lab, "HostsConnected").map_err(|error| format!("{error:#}"))?;
        if status == "False" { Ok(()) } else { Err(said) }
    })
}

/// Waits until all is as wanted but for the machine that is away.
fn is_away(lab: &Lab) -> Result<()> {
    wait_until(LONG, "not Ready because n3 is away", || {
        let (_, reason, said) = condition(lab, "Ready").map_err(|error| format!("{error:#}"))?;
        if reason == "HostAway" && said.contains("as the spec wants it on n1, n2") {
            Ok(())
        } else {
            Err(format!("{reason}: {said}"))
        }
    })
}

/// The same, with all members that are there on this network.
fn in_force_without(lab: &Lab, network: &str) -> Result<()> {
    is_away(lab)?;
    let status = get(lab, &["pvecluster", CLUSTER])?["status"].clone();
    let prefix = network.trim_end_matches("0/24");
    let is_there = |node: &Value| {
        node["addresses"][0]["address"].as_str().is_some_and(|a| a.starts_with(prefix))
    };
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    ensure!(nodes.len() == 3 && nodes.iter().all(is_there), "{status}");
    let absence = &nodes[2]["absence"];
    ensure!(*absence == json!({"kind": "Away", "because": "new board"}), "{absence}");
    Ok(())
}

/// What people are told of it by both verbs.
fn told(lab: &Lab, words: &str) -> Result<()> {
    for verb in ["status", "explain"] {
        let said = ask(lab, &[verb, CLUSTER])?;
        ensure!(said.contains(words), "{verb}:\n{said}");
    }
    Ok(())
}

/// Waits until n3 is heard and its corosync is missed like that of any other member.
fn blocked(lab: &Lab) -> Result<String> {
    wait_until(LONG, "n3 to be heard", || {
        let (status, ..) =
            condition(lab, "HostsConnected").map_err(|error| format!("{error:#}"))?;
        let (_, reason, said) = condition(lab, "Stalled").map_err(|error| format!("{error:#}"))?;
        let missed = ["HostsDisagree", "NotQuorate"].contains(&reason.as_str());
        if status == "True" && missed && said.contains("n3") {
            Ok(format!("{reason}: {said}"))
        } else {
            Err(format!("{status} {reason}: {said}"))
        }
    })
}

/// A person brings it the file of the others, and all is well by itself.
fn returns(lab: &Lab) -> Result<()> {
    let n3 = lab.host("n3")?;
    let file = lab.host("n1")?.run(&["cat", FILE])?;
    n3.run(&["systemctl", "stop", "corosync"])?;
    n3.write_file(FILE, file.as_bytes(), 0o640)?;
    n3.run(&["systemctl", "start", "corosync"])?;
    let took = wait_ready(lab, LONG)?;
    println!("ready {:.1} s after n3 had the new file", took.as_secs_f64());
    Ok(())
}

fn succeeded(lab: &Lab, known: usize) -> Result<()> {
    wait_until(LONG, "the change to succeed", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let outcome = all.get(known).map(|change| change["status"]["outcome"].clone());
        if outcome == Some(json!("Succeeded")) { Ok(()) } else { Err(format!("{outcome:?}")) }
    })
}

/// How many changes have their outcome.
fn ended(lab: &Lab) -> Result<usize> {
    Ok(changes(lab)?.iter().filter(|change| change["status"]["outcome"].is_string()).count())
}

fn quorate_and_writable(lab: &Lab, host: &str, from: u64) -> Result<()> {
    let (record, until) = (record(lab, host)?, now_ms());
    let lost = record.quorum_gaps(from, until);
    ensure!(lost.is_empty(), "{host} lost quorum: {lost:?}");
    let read_only = record.read_only_gaps(from, until);
    ensure!(read_only.is_empty(), "{host}: /etc/pve did not take writes: {read_only:?}");
    Ok(())
}
