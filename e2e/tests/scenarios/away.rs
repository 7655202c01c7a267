//! A machine that a person declares away: the others go on with what goes without it, and it follows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::outage::ask;
use crate::removal::{undisturbed_but_for, votes};
use crate::support::{
    CLUSTER, apply, changes, cmap, condition, formed, get, now_ms, record, wait_ready,
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

    // With its old file it would find nobody: the links are others.
    let back = now_ms();
    lab.host("n3")?.boot()?;
    returns(&lab, back)?;
    ask(&lab, &["host", "back", "n3"])?;
    let object = get(&lab, &["pvehost", "n3"])?;
    ensure!(object["spec"]["absence"].is_null(), "{}", object["spec"]);
    wait_ready(&lab, LONG).map(|_| ())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_token_changes_without_a_machine_in_repair_and_it_follows_with_nobody_but_the_others_to_ask()
-> Result<()> {
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
    lab.control_plane()?.stop_api_server()?;
    let back = now_ms();
    lab.host("n3")?.boot()?;
    wait_until(LONG, "n3 to be a member", || {
        let seen = votes(&lab.host("n3").map_err(|error| format!("{error:#}"))?);
        if seen == Some((3, 3)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })?;
    ensure!(cmap(&lab, "n3", "totem.token")? == "5000", "n3 has another token");
    lab.control_plane()?.start_api_server()?;
    returns(&lab, back)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_machine_that_comes_back_in_the_middle_of_a_move_breaks_nothing() -> Result<()> {
    let lab = formed("awaymid")?;
    send_away(&lab)?;
    for stage in 1..=3_i64 {
        lab.host("n3")?.crash()?;
        is_away(&lab)?;
        let (from, known) = (now_ms(), changes(&lab)?.len());
        let network = ["10.52.0.0/24", "10.50.0.0/24"][usize::from(stage % 2 == 0)];
        apply(&lab, &with_links(&json!([{"number": 0, "network": network}])))?;
        wait_until(LONG, &format!("stage {stage} to begin"), || {
            let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
            let released = all.get(known).and_then(|c| c["status"]["releasedStage"].as_i64());
            if released >= Some(stage) { Ok(()) } else { Err(format!("{released:?}")) }
        })?;
        lab.host("n3")?.boot()?;
        wait_until(2 * LONG, "no change to be open", || {
            let open = changes(&lab).map_err(|error| format!("{error:#}"))?.len();
            let over = ended(&lab).map_err(|error| format!("{error:#}"))?;
            if open > known && open == over { Ok(()) } else { Err(format!("{over} of {open}")) }
        })?;
        let all = changes(&lab)?;
        let outcomes: Vec<_> = all[known..].iter().map(|c| &c["status"]["outcome"]).collect();
        println!("booted in stage {stage}: {outcomes:?}");
        for host in REST {
            quorate_and_writable(&lab, host, from)?;
        }
        let took = wait_ready(&lab, 2 * LONG)?;
        println!("ready {:.1} s later", took.as_secs_f64());
    }
    Ok(())
}

fn send_away(lab: &Lab) -> Result<()> {
    let said = ask(lab, &["host", "away", "n3", "--because", "new board"])?;
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

/// Nobody does anything: it has the file of the others before its corosync starts, and nothing is reloaded for it.
fn returns(lab: &Lab, back: u64) -> Result<()> {
    let took = wait_ready(lab, LONG)?;
    println!("ready {:.1} s after n3 had booted", took.as_secs_f64());
    let file = lab.host("n1")?.run(&["cat", FILE])?;
    ensure!(lab.host("n3")?.run(&["cat", FILE])? == file, "n3 has another file");
    for host in REST {
        undisturbed_but_for(lab, host, back, &[&[1, 2, 3]])?;
        let mut versions = record(lab, host)?.config_versions(back, now_ms());
        // It tells them its own when it comes.
        versions.retain(|change| change.node != Some(3));
        ensure!(versions.is_empty(), "{host} reloaded: {versions:?}");
    }
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
