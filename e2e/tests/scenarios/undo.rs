//! What does not hold is undone by the hosts themselves, and what a person does meanwhile is kept.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use pvecm_core::ids::Digest;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, HOSTS, apply, assert_undisturbed, changes, file_in_force, formed, get, now_ms, record,
    wait_ready, with_links,
};

const SOON: Duration = Duration::from_secs(90);
/// What the scenarios' specs allow a stage.
const CONFIRM: Duration = Duration::from_secs(10);

#[test]
fn a_link_that_never_connects_is_undone_by_the_hosts_alone() -> Result<()> {
    let lab = formed("neverup")?;
    let (before, began) = (file_in_force(&lab)?, now_ms());
    lab.host("n3")?.block_udp(Network::Net1)?;
    apply(&lab, &two_links())?;
    wait_written(&lab)?;
    lab.control_plane()?.stop_api_server()?;
    let took = wait_undone(&lab, &before, CONFIRM + Duration::from_secs(5))?;
    println!("undone on every host {:.1} s after it was written", took.as_secs_f64());
    assert_undisturbed(&lab, began)?;

    lab.host("n3")?.heal(Network::Net1)?;
    lab.control_plane()?.start_api_server()?;
    wait_ready(&lab, SOON)?;
    let undone = changes(&lab)?;
    let undone = undone.iter().find(|change| change["status"]["outcome"] == "RolledBack");
    let said = &undone.context("no change was rolled back")?["status"]["message"];
    println!("RolledBack: {said}");
    ensure!(said.to_string().contains("link 1"), "the sentence does not name the link: {said}");
    assert_undisturbed(&lab, began)
}

#[test]
fn hosts_that_a_stage_took_quorum_from_come_back_without_anybody() -> Result<()> {
    let lab = formed("lied")?;
    let before = file_in_force(&lab)?;
    for host in lab.hosts() {
        host.block_udp(Network::Net2)?;
    }
    // A planner and guards that were wrong: the only link is swapped for one that is dead everywhere.
    let began = now_ms();
    lie(&lab, &before)?;
    for host in HOSTS {
        wait_until(SOON, &format!("{host} to lose quorum"), || {
            let gaps = record(&lab, host).map(|record| record.quorum_gaps(began, now_ms()));
            match gaps {
                Ok(gaps) if !gaps.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
    }
    wait_undone(&lab, &before, SOON)?;
    for host in HOSTS {
        let gaps = record(&lab, host)?.quorum_gaps(began, now_ms());
        let lost: u64 = gaps.iter().map(|gap| gap.to_ms - gap.from_ms).sum();
        println!(
            "{host} was without quorum for {:.1} s",
            Duration::from_millis(lost).as_secs_f64()
        );
        ensure!(lost <= 20_000, "{host} was without quorum for {lost} ms: {gaps:?}");
    }
    wait_ready(&lab, SOON).map(|_| ())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_writer_killed_with_the_lock_in_its_hand_leaves_nothing_half_done() -> Result<()> {
    let lab = formed("wrkill")?;
    let began = now_ms();
    let moments = [
        ("before the rename", "test -d /etc/pve/priv/lock/file-corosync_conf"),
        ("in the rename", "grep -q 'priority: 22' /etc/corosync/corosync.conf"),
    ];
    for ((name, moment), priority) in moments.into_iter().zip([21, 22]) {
        let killer = kill_agent_when(&lab, "n1", moment)?;
        let link = json!([{"number": 0, "network": "10.50.0.0/24", "priority": priority}]);
        apply(&lab, &with_links(&link))?;
        let clock = Instant::now();
        wait_ready(&lab, SOON)?;
        let status = killer.wait_with_output().context("the killer is gone")?.status;
        ensure!(status.success(), "the writer was not killed {name}: {status}");
        println!("writer killed {name}: ready {:.1} s later", clock.elapsed().as_secs_f64());
        let wanted = format!("knet_link_priority: {priority}");
        ensure!(file_in_force(&lab)?.contains(&wanted), "{wanted} is not in force");
    }
    assert_undisturbed(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn what_a_person_writes_while_a_stage_waits_is_kept() -> Result<()> {
    let lab = formed("person")?;
    let began = now_ms();
    lab.host("n3")?.block_udp(Network::Net1)?;
    apply(&lab, &two_links())?;
    wait_written(&lab)?;
    let own = lab.host("n2")?.run(&["cat", "/etc/pve/corosync.conf"])?;
    let own = with_version(&own, 500)?.replacen("totem {", "# Ann was here\ntotem {", 1);
    lab.host("n2")?.write_file("/etc/pve/corosync.conf.ann", own.as_bytes(), 0o640)?;
    lab.host("n2")?.sh("mv /etc/pve/corosync.conf.ann /etc/pve/corosync.conf")?;
    wait_until(SOON, "the change to have failed", || {
        let last = changes(&lab).map_err(|error| format!("{error:#}"))?.pop().unwrap_or_default();
        let failed = last["status"]["outcome"] == "Failed";
        if failed { Ok(()) } else { Err(last["status"].to_string()) }
    })?;
    ensure!(file_in_force(&lab)? == own, "the person's file is not in force");
    assert_undisturbed(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_stage_that_one_agent_hears_of_too_late_is_not_begun_without_it() -> Result<()> {
    let lab = formed("late")?;
    let (before, count, began) = (file_in_force(&lab)?, changes(&lab)?.len(), now_ms());
    let agent = |signal: &str| {
        lab.host("n3")?.run(&["systemctl", "kill", &format!("--signal={signal}"), "pvecm-agent"])
    };
    agent(Signal::SIGSTOP.as_str())?;
    apply(&lab, &two_links())?;
    wait_until(SOON, "a change to end unwritten", || {
        let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
        let last = all.get(count).cloned().unwrap_or_default();
        let ended = last["status"]["outcome"].is_string();
        if ended { Ok(()) } else { Err(last["status"].to_string()) }
    })
    .or_else(|waited| {
        // Not even released: the operator noticed first that the agent is silent.
        let none = changes(&lab)?.len() == count;
        if none { Ok(()) } else { Err(waited) }
    })?;
    ensure!(file_in_force(&lab)? == before, "something was written");
    agent(Signal::SIGCONT.as_str())?;
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("ring1_addr"), "the link is still missing");
    assert_undisturbed(&lab, began)
}

fn two_links() -> Value {
    with_links(&json!([
        {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
    ]))
}

/// Waits until the new link is in the file on every host's disk.
fn wait_written(lab: &Lab) -> Result<()> {
    wait_until(SOON, "link 1 to be written", || {
        let written = |host: &str| {
            lab.host(host)?.exec(&["grep", "-q", "ring1_addr", "/etc/corosync/corosync.conf"])
        };
        for host in HOSTS {
            match written(host) {
                Ok(output) if output.success() => {}
                other => return Err(format!("{host}: {other:?}")),
            }
        }
        Ok(())
    })
}

/// Waits until every file on every host is the old text under a higher number, and that runs.
fn wait_undone(lab: &Lab, before: &str, deadline: Duration) -> Result<Duration> {
    let began = Instant::now();
    wait_until(deadline, "the old text to be in force under a higher number", || {
        let now = file_in_force(lab).map_err(|error| format!("{error:#}"))?;
        let (old, new) = (version(before).unwrap_or(0), version(&now).unwrap_or(0));
        let same = with_version(&now, old).is_ok_and(|text| text == before);
        if same && new > old { Ok(()) } else { Err(format!("version {new}:\n{now}")) }
    })?;
    Ok(began.elapsed())
}

fn version(conf: &str) -> Option<u64> {
    conf.lines().find_map(|line| line.trim().strip_prefix("config_version: ")?.parse().ok())
}

fn with_version(conf: &str, new: u64) -> Result<String> {
    let old = version(conf).context("no config_version")?;
    let line = |version| format!("config_version: {version}\n");
    Ok(conf.replacen(&line(old), &line(new), 1))
}

/// Creates a change as the operator would, with a stage that it would never make.
fn lie(lab: &Lab, before: &str) -> Result<()> {
    let cluster = get(lab, &["pvecluster", CLUSTER])?;
    let last = changes(lab)?.pop().context("no change yet")?;
    let number = last["spec"]["number"].as_i64().context("no number")? + 1;
    let text = |version: u64, conf: &str| -> Result<Value> {
        let conf = with_version(conf, version)?;
        let digest = Digest::of(conf.as_bytes());
        Ok(json!({"version": version, "digest": digest, "text": conf}))
    };
    let old = version(before).context("no config_version")?;
    let parent = text(old, before)?;
    let swapped = before
        .replace("ring0_addr: 10.50.", "ring1_addr: 10.52.")
        .replace("linknumber: 0", "linknumber: 1");
    let change = json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
        "metadata": {
            "name": format!("{CLUSTER}-{number}"), "namespace": "pve",
            "labels": {"pvecm.io/cluster": CLUSTER},
        },
        "spec": {
            "clusterRef": {"name": CLUSTER, "uid": cluster["metadata"]["uid"]},
            "number": number,
            "plan": {
                "parent": {"configVersion": old, "digest": parent["digest"]},
                "generation": cluster["metadata"]["generation"],
                "summary": "swap the only link", "risk": "Live",
                "stages": [{
                    "summary": "swap the only link", "risk": "Live", "course": "Write",
                    "group": (1..=3).map(|id| json!({"nodeId": id, "host": format!("n{id}")}))
                        .collect::<Vec<_>>(),
                    "config": text(old + 1, &swapped)?, "back": text(old + 2, before)?,
                    "probes": [{"linkConnected": {"link": 1}}],
                    "confirmTimeoutSeconds": 5,
                }],
            },
        },
    });
    apply(lab, &change)
}

/// Starts a watch on the host itself, because the moment is over before an outside look returns.
fn kill_agent_when(lab: &Lab, host: &str, moment: &str) -> Result<Child> {
    let script = format!("until {moment}; do :; done; systemctl kill --signal=KILL pvecm-agent");
    let mut shell = lab.host(host)?.command(&["timeout", "60", "sh", "-c", &script])?;
    shell.stdin(Stdio::null()).spawn().context("cannot watch for the moment")
}
