//! High availability is never active while something stalls the cluster, and never stays disarmed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::ha;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::restarts::one_at_a_time;
use crate::support::{
    apply, changes, file_in_force, formed, get, now_ms, wait_ready, wait_stalled, with_links,
};

const SOON: Duration = Duration::from_secs(60);
/// What the lab's agents wait after the last stage, and what asking and the stand-in take.
const ARMED_AGAIN: Duration = Duration::from_secs(20 + 40);

#[test]
fn a_change_that_stalls_hosts_waits_for_their_watchdogs_or_disarms_them_and_arms_them_again()
-> Result<()> {
    let lab = formed("ha")?;
    ha::install(&lab)?;
    wait_ha(&lab, "n2", "Idle")?;
    lab.host("n2")?.sh("mkdir -p /etc/pve/nodes/n2/qemu-server /etc/pve/ha \
         && echo 'cores: 1' >/etc/pve/nodes/n2/qemu-server/100.conf \
         && echo 'vm: 100' >/etc/pve/ha/resources.cfg")?;
    wait_ha(&lab, "n2", "Active")?;
    let (before, began) = (file_in_force(&lab)?, now_ms());

    want_link_mode(&lab, "RoundRobin", "RequireIdle")?;
    let sentence = wait_stalled(&lab, "HaActive")?;
    println!("{sentence}");
    ensure!(sentence.contains("n2"), "the host is not named: {sentence}");
    ensure!(file_in_force(&lab)? == before, "it was carried out");

    want_link_mode(&lab, "RoundRobin", "Disarm")?;
    wait_ready(&lab, 2 * SOON)?;
    ensure!(file_in_force(&lab)?.contains("link_mode: rr"), "nothing was changed");
    ensure!(changes(&lab)?.last().is_some_and(|c| c["status"]["outcome"] == "Succeeded"));
    one_at_a_time(&lab, began)?;
    wait_ha(&lab, "n2", "Active")?;
    ensure!(asked(&lab)? == ["disarm-ha", "arm-ha"], "asked for: {:?}", asked(&lab)?);

    want_link_mode(&lab, "Passive", "Disarm")?;
    wait_ha(&lab, "n2", "Disarmed")?;
    lab.operator()?.kill()?;
    let clock = Instant::now();
    wait_until(ARMED_AGAIN, "the hosts to arm it alone", || {
        let asked = asked(&lab).map_err(|error| format!("{error:#}"))?;
        if asked.last().is_some_and(|last| last == "arm-ha") && asked.len() > 2 {
            Ok(())
        } else {
            Err(format!("{asked:?}"))
        }
    })?;
    println!("armed by the hosts {:.1} s after the operator", clock.elapsed().as_secs_f64());
    wait_ha(&lab, "n2", "Active")
}

/// Asks for a link mode, which each daemon takes at its start alone.
fn want_link_mode(lab: &Lab, mode: &str, high_availability: &str) -> Result<()> {
    let mut cluster = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    cluster["spec"]["totem"] = json!({"linkMode": mode});
    let rollout = cluster["spec"]["rollout"].as_object_mut().context("no rollout")?;
    rollout.insert("maxRisk".to_owned(), json!("NodeRestart"));
    rollout.insert("highAvailability".to_owned(), json!(high_availability));
    rollout.insert("confirmTimeoutSeconds".to_owned(), json!(20));
    apply(lab, &cluster)
}

fn wait_ha(lab: &Lab, host: &str, state: &str) -> Result<()> {
    wait_until(SOON, &format!("high availability on {host} to be {state}"), || {
        let seen = get(lab, &["pvehost", host]).map_err(|error| format!("{error:#}"))?;
        let ha = &seen["status"]["ha"];
        if ha["state"] == state && ha["canDisarm"] == true { Ok(()) } else { Err(ha.to_string()) }
    })
}

/// What the stand-in of the CRM was asked for so far; the same again and again counts once.
fn asked(lab: &Lab) -> Result<Vec<String>> {
    let log = lab.host("n1")?.run(&["journalctl", "-u", "pve-ha-standin", "-o", "cat"])?;
    let commands = log.lines().filter_map(|line| line.strip_prefix("got crm command: "));
    let words = commands.filter_map(|command| command.split_whitespace().next());
    let mut asked: Vec<String> = words.map(str::to_owned).collect();
    asked.dedup();
    Ok(asked)
}
