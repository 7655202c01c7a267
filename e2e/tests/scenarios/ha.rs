//! High availability is never active while something stalls the cluster, and never stays disarmed.
//!
//! The plans here are the operator's own, with the stage called risky by hand: what the operator makes of
//! such a stage, and the hosts, is what is seen.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::ha;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, HOSTS, apply, assert_undisturbed, changes, file_in_force, formed, get, kubectl,
    now_ms, wait_stalled, with_links,
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

    let waiting = risky(&lab, "RequireIdle", 9)?;
    let sentence = wait_stalled(&lab, "HaActive").with_context(|| ends(&lab))?;
    println!("{sentence}");
    ensure!(sentence.contains("n2"), "the host is not named: {sentence}");
    ensure!(file_in_force(&lab)? == before, "{waiting} was carried out");

    let bracketed = risky(&lab, "Disarm", 9)?;
    wait_outcome(&lab, &bracketed, "Succeeded")?;
    ensure!(file_in_force(&lab)?.contains("knet_link_priority: 9"), "nothing was changed");
    wait_ha(&lab, "n2", "Active")?;
    ensure!(asked(&lab)? == ["disarm-ha", "arm-ha"], "asked for: {:?}", asked(&lab)?);

    let lost = risky(&lab, "Disarm", 10)?;
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
    println!(
        "{lost}: armed by the hosts {:.1} s after the operator",
        clock.elapsed().as_secs_f64()
    );
    wait_ha(&lab, "n2", "Active")?;
    assert_undisturbed(&lab, began)
}

/// Has the operator plan another priority and puts a change in the place of its own: the same stage,
/// called a restart, approved, and in brackets where high availability is to be disarmed.
fn risky(lab: &Lab, high_availability: &str, priority: u8) -> Result<String> {
    let links = json!([{"number": 0, "network": "10.50.0.0/24", "priority": priority}]);
    let mut cluster = with_links(&links);
    let rollout = &mut cluster["spec"]["rollout"];
    (rollout["approval"], rollout["highAvailability"]) =
        (json!("Manual"), json!(high_availability));
    apply(lab, &cluster)?;
    let generation = get(lab, &["pvecluster", CLUSTER])?["metadata"]["generation"].clone();
    let own = wait_until(SOON, "the operator's own plan", || {
        let last = changes(lab).map_err(|error| format!("{error:#}"))?.pop().unwrap_or_default();
        let open = last["status"]["outcome"].is_null();
        let fresh = last["spec"]["plan"]["generation"] == generation;
        if open && fresh { Ok(last) } else { Err(last["spec"]["plan"]["generation"].to_string()) }
    })?;
    lab.operator()?.kill()?;
    let name = own["metadata"]["name"].as_str().context("a change without a name")?;
    kubectl(lab, &["delete", "pvechange", name])?;
    let made = in_its_place(&own, high_availability == "Disarm")?;
    apply(lab, &made)?;
    lab.operator()?.start()?;
    Ok(made["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

fn in_its_place(own: &Value, disarm: bool) -> Result<Value> {
    let number = own["spec"]["number"].as_i64().context("a change without a number")? + 1;
    let mut spec = own["spec"].clone();
    (spec["number"], spec["approved"]) = (json!(number), json!(true));
    let plan = &mut spec["plan"];
    let mut stage = plan["stages"][0].clone();
    (plan["risk"], stage["risk"]) = (json!("NodeRestart"), json!("NodeRestart"));
    let mut before = stage["back"].clone();
    let local = |action: &str, config: Value| {
        let actions: Vec<_> =
            HOSTS.iter().map(|host| json!({"host": host, "actions": [{action: {}}]})).collect();
        json!({"summary": action, "risk": "Live", "course": "Local", "config": config,
               "actions": actions, "confirmTimeoutSeconds": 60})
    };
    // What undoes the stage is what is in force before it, under another number.
    let old = plan["parent"]["configVersion"].clone();
    let line = |version: &Value| format!("config_version: {version}\n");
    let text = before["text"].as_str().context("no text")?;
    before["text"] = json!(text.replacen(&line(&before["version"]), &line(&old), 1));
    (before["version"], before["digest"]) = (old, plan["parent"]["digest"].clone());
    let after = local("armHa", stage["config"].clone());
    plan["stages"] =
        if disarm { json!([local("disarmHa", before), stage, after]) } else { json!([stage]) };
    Ok(json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
        "metadata": {
            "name": format!("{CLUSTER}-{number}"), "namespace": "pve",
            "labels": {"pvecm.io/cluster": CLUSTER},
        },
        "spec": spec,
    }))
}

fn wait_ha(lab: &Lab, host: &str, state: &str) -> Result<()> {
    wait_until(SOON, &format!("high availability on {host} to be {state}"), || {
        let seen = get(lab, &["pvehost", host]).map_err(|error| format!("{error:#}"))?;
        let ha = &seen["status"]["ha"];
        if ha["state"] == state && ha["canDisarm"] == true { Ok(()) } else { Err(ha.to_string()) }
    })
}

fn wait_outcome(lab: &Lab, change: &str, outcome: &str) -> Result<()> {
    wait_until(SOON, &format!("{change} to end {outcome}"), || {
        let status = get(lab, &["pvechange", change]).map_err(|error| format!("{error:#}"))?;
        let status = &status["status"];
        if status["outcome"] == outcome { Ok(()) } else { Err(status.to_string()) }
    })
}

/// How each change ended, for whoever has to find out why a test failed.
fn ends(lab: &Lab) -> String {
    let changes = changes(lab).unwrap_or_default();
    let one = |change: &Value| format!("{} {}", change["metadata"]["name"], change["status"]);
    let cluster = get(lab, &["pvecluster", CLUSTER]).unwrap_or_default();
    let conditions = cluster["status"]["conditions"].to_string();
    changes.iter().map(one).chain([conditions]).collect::<Vec<_>>().join("\n")
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
