//! Quorum is lost for good, and given back to the survivor on a person's word.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::trust;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::approval::plugin;
use crate::gate::trust_each_other;
use crate::outage::ask;
use crate::removal::{Votes, stands_alone, undisturbed_but_for, votes};
use crate::support::{
    CLUSTER, apply_sample, changes, condition, get, lab, now_ms, record, wait_ready,
};

const LONG: Duration = Duration::from_secs(60);
const WHY: [&str; 2] = ["--because", "room 2 burnt down"];

#[test]
fn the_survivor_of_three_recovers_and_who_was_dead_is_refused_held_and_admitted_again() -> Result<()>
{
    let lab = lab("recovery")?;
    trust::as_installed(&lab.hosts())?;
    apply_sample(&lab, "three-nodes.yaml")?;
    wait_ready(&lab, LONG)?;
    trust_each_other(&lab)?;
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| lab.host(name));
    let (n1, n2, n3) = (n1?, n2?, n3?);
    n2.crash()?;
    n3.crash()?;
    wait_votes(&n1, (3, 1))?;
    wait_silent(&lab)?;
    ensure!(!writes(&n1)?, "/etc/pve takes writes without quorum");

    switched_on_in_the_middle(&lab, &n1, &n2)?;
    recovers(&lab, &n1)?;
    are_held(&lab, &[&n2, &n3])?;

    let back = now_ms();
    for name in ["n2", "n3"] {
        stands_alone(&lab, name)?;
    }
    undisturbed_but_for(&lab, "n1", back, &[])?;
    for name in ["n2", "n3"] {
        ask(&lab, &["host", "back", name])?;
    }
    wait_until(2 * LONG, "all three to be members again", || match votes(&n1) {
        Some((3, 3)) => Ok(()),
        other => Err(format!("{other:?}, {:?}", condition(&lab, "Ready"))),
    })?;
    wait_ready(&lab, LONG)?;
    let nodes = get(&lab, &["pvecluster", CLUSTER])?["status"]["nodes"].clone();
    println!("{nodes}");
    let ids = nodes.as_array().context("no nodes")?.iter().map(|node| &node["nodeId"]);
    ensure!(ids.eq([&json!(1), &json!(4), &json!(5)]), "{nodes}");
    let lost = record(&lab, "n1")?.quorum_gaps(back, now_ms());
    ensure!(lost.is_empty(), "n1 lost quorum again: {lost:?}");
    Ok(())
}

/// n2 comes while its plan waits for the word: it is a member again, and the plan is worth nothing.
fn switched_on_in_the_middle(lab: &Lab, n1: &Host<'_>, n2: &Host<'_>) -> Result<()> {
    let admin = lab.control_plane()?.kubeconfig();
    let line = ["--survivors", "n1", "--dead", "n2,n3"];
    let words = [&["recover", CLUSTER][..], &line, &WHY, &["--namespace", "pve"]].concat();
    let piped = plugin(lab, &admin, &words)?;
    println!("{}{}", piped.stdout, piped.stderr);
    ensure!(piped.code == 1 && piped.stderr.contains("--yes-they-are-off n2,n3"), "{piped:?}");
    ensure!(piped.stdout.starts_with("n2, n3 hold 2 of 3 votes: if they run"), "{piped:?}");

    let known = changes(lab)?.len();
    for name in ["n2", "n3"] {
        ask(lab, &[&["host", "dead", name][..], &WHY].concat())?;
    }
    wait_until(LONG, "the plan of the recovery", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let plan = all.get(known).map(|change| change["spec"]["plan"].clone());
        let risk = plan.as_ref().map(|plan| &plan["risk"]);
        if risk == Some(&json!("Recovery")) { Ok(()) } else { Err(format!("{plan:?}")) }
    })?;
    n2.boot()?;
    wait_votes(n1, (3, 2))?;
    // Approved or not: it may have ended already.
    let late = plugin(lab, &admin, &["approve", CLUSTER, "--namespace", "pve"])?;
    println!("{}{}", late.stdout, late.stderr);
    wait_until(LONG, "the plan to end unbegun", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let status = all.get(known).map(|change| change["status"].clone()).unwrap_or_default();
        let is_over = status["outcome"].is_string() && status["outcome"] != "Succeeded";
        if is_over { Ok(()) } else { Err(status.to_string()) }
    })?;
    wait_until(LONG, "it to be said who is seen", || {
        let (_, found, said) = condition(lab, "Ready").map_err(|error| format!("{error:#}"))?;
        if found == "DeadIsSeen" { Ok(()) } else { Err(format!("{found}: {said}")) }
    })?;
    let refused = plugin(lab, &admin, &[&words[..], &["--yes-they-are-off", "n2,n3"]].concat())?;
    println!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.code == 1 && refused.stderr.contains("n2 is not dead"), "{refused:?}");
    ensure!(votes(n1) == Some((3, 2)), "votes were taken: {:?}", votes(n1));
    ensure!(writes(n1)?, "/etc/pve takes no writes with n2 back");
    let text = n1.run(&["cat", "/etc/pve/corosync.conf"])?;
    ensure!(text.contains("name: n2") && text.contains("name: n3"), "{text}");
    n2.crash()?;
    wait_votes(n1, (3, 1))?;
    wait_silent(lab)
}

fn recovers(lab: &Lab, n1: &Host<'_>) -> Result<()> {
    let clock = Instant::now();
    let line = ["--survivors", "n1", "--dead", "n2,n3", "--yes-they-are-off", "n2,n3"];
    println!("{}", ask(lab, &[&["recover", CLUSTER][..], &line, &WHY].concat())?);
    wait_votes(n1, (1, 1))?;
    println!("quorate alone: {:.1} s", clock.elapsed().as_secs_f64());
    // The risk of that one is an ordinary one, and the rollout lets nothing above `Live` begin by itself.
    wait_until(LONG, "the exchange of the key to be asked for", || {
        let (.., said) = condition(lab, "Reconciling").map_err(|error| format!("{error:#}"))?;
        let is_it = said.contains("exchange the authkey") && said.contains("approve");
        if is_it { Ok(()) } else { Err(said) }
    })?;
    ask(lab, &["approve", CLUSTER])?;
    wait_until(LONG, "every change to have ended", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let outcomes: Vec<_> = all.iter().map(|change| &change["status"]["outcome"]).collect();
        let is_done = outcomes.iter().all(|outcome| outcome.is_string())
            && outcomes.ends_with(&[&json!("Succeeded"), &json!("Succeeded")]);
        if is_done { Ok(()) } else { Err(format!("{outcomes:?}")) }
    })?;
    println!("recovered, and another key: {:.1} s", clock.elapsed().as_secs_f64());
    ensure!(writes(n1)?, "/etc/pve takes no writes");
    for path in ["/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"] {
        let text = n1.run(&["cat", path])?;
        ensure!(!text.contains("name: n2") && !text.contains("name: n3"), "{path}: {text}");
    }
    Ok(())
}

/// Both are booted at once with nobody but n1 to ask, and would be the majority of their list.
fn are_held(lab: &Lab, dead: &[&Host<'_>]) -> Result<()> {
    let began = now_ms();
    lab.control_plane()?.stop_api_server()?;
    dead.iter().try_for_each(|host| host.power_on())?;
    for host in dead {
        host.wait_until_booted()?;
        host.run(&["systemctl", "start", "corosync"])?;
        let state = host.exec(&["systemctl", "is-active", "corosync"])?.stdout;
        ensure!(state.trim() == "inactive", "corosync on {} is {state}", host.name());
    }
    undisturbed_but_for(lab, "n1", began, &[])?;
    lab.control_plane()?.start_api_server()
}

fn writes(host: &Host<'_>) -> Result<bool> {
    let wrote = host.exec(&["sh", "-c", "touch /etc/pve/try && rm /etc/pve/try"])?;
    Ok(wrote.success())
}

fn wait_votes(host: &Host<'_>, wanted: Votes) -> Result<()> {
    wait_until(LONG, &format!("votes {wanted:?} on {}", host.name()), || match votes(host) {
        Some(seen) if seen == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// The operator has noticed that both are gone.
fn wait_silent(lab: &Lab) -> Result<()> {
    wait_until(2 * LONG, "n2 and n3 not to be heard", || {
        for name in ["n2", "n3"] {
            let host = get(lab, &["pvehost", name]).map_err(|error| format!("{error:#}"))?;
            let all = host["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let heard = |c: &Value| c["type"] == "Connected" && c["status"] == "True";
            if all.iter().any(heard) {
                return Err(format!("{name} is heard"));
            }
        }
        Ok(())
    })
}
