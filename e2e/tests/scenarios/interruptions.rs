//! Whatever dies in the middle of a change, the hosts end it well, and nobody loses quorum.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    HOSTS, apply, apply_sample, assert_undisturbed, changes, condition, file_in_force, formed, lab,
    now_ms, record, wait_connected, wait_ready, watch, with_links,
};

const SOON: Duration = Duration::from_secs(60);
const OUTAGE: Duration = Duration::from_secs(30);

/// A shell line that ends when this host's agent has a stage in its ledger that is not decided.
pub const UNTIL_PENDING: &str =
    r#"until grep -q '"pending":{' /var/lib/pvecm-agent/ledger.json; do :; done"#;

#[test]
fn an_operator_killed_in_every_stage_still_ends_with_a_cluster() -> Result<()> {
    let lab = lab("opkill")?;
    apply_sample(&lab, "three-nodes.yaml")?;
    let released = watch_releases(&lab)?;
    let mut killed = BTreeSet::new();
    wait_until(Duration::from_secs(180), "the cluster to be ready", || {
        kill_in_new_stages(&lab, &released, &mut killed).map_err(|error| format!("{error:#}"))?;
        let ready = condition(&lab, "Ready").map_err(|error| format!("{error:#}"))?;
        if ready.0 == "True" { Ok(()) } else { Err(format!("{ready:?}, killed in {killed:?}")) }
    })?;
    kill_in_new_stages(&lab, &released, &mut killed)?;
    let stages: BTreeSet<(i64, i64)> = changes(&lab)?.iter().flat_map(stages_of).collect();
    println!("operator killed in {} of {} stages", killed.len(), stages.len());
    ensure!(killed == stages, "killed only in {killed:?} of {stages:?}");
    for change in changes(&lab)? {
        ensure!(change["status"]["outcome"] == "Succeeded", "not succeeded: {change}");
    }
    file_in_force(&lab)?;
    let founder = record(&lab, "n1")?;
    let since = founder.first_quorate_after(0).context("n1 was never quorate")?;
    let lost = founder.quorum_gaps(since, now_ms());
    ensure!(lost.is_empty(), "n1 lost quorum: {lost:?}");
    Ok(())
}

fn stages_of(change: &Value) -> Vec<(i64, i64)> {
    let number = change["spec"]["number"].as_i64().unwrap_or_default();
    let count = change["spec"]["plan"]["stages"].as_array().map_or(0, Vec::len);
    (1..=i64::try_from(count).unwrap_or(0)).map(|stage| (number, stage)).collect()
}

/// Every release of a stage, as the API server tells it: a short stage is over before the next look.
fn watch_releases(lab: &Lab) -> Result<Receiver<(i64, i64)>> {
    watch(lab, "pvechanges", r#"{.spec.number} {.status.releasedStage}{"\n"}"#, |line| {
        let mut numbers = line.split(' ').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

fn kill_in_new_stages(
    lab: &Lab,
    released: &Receiver<(i64, i64)>,
    killed: &mut BTreeSet<(i64, i64)>,
) -> Result<()> {
    for (number, stage) in released.try_iter() {
        if stage > 0 && killed.insert((number, stage)) {
            lab.operator()?.kill()?;
            lab.operator()?.start()?;
        }
    }
    Ok(())
}

#[test]
fn an_agent_killed_between_pending_and_confirmed_goes_on_where_it_was() -> Result<()> {
    let lab = formed("agkill")?;
    let began = now_ms();
    for (round, host) in (1_u64..).zip(HOSTS) {
        let killer = kill_agent_when_pending(&lab, host)?;
        let link = json!([{"number": 0, "network": "10.50.0.0/24", "priority": 10 + round}]);
        apply(&lab, &with_links(&link))?;
        wait_ready(&lab, SOON)?;
        let status = killer.wait_with_output().context("the killer is gone")?.status;
        ensure!(status.success(), "the agent of {host} was not killed: {status}");
        let wanted = format!("knet_link_priority: {}", 10 + round);
        ensure!(file_in_force(&lab)?.contains(&wanted), "{wanted} is not in force");
        let restarts = ["systemctl", "show", "pvecm-agent", "--property=NRestarts", "--value"];
        let restarts = lab.host(host)?.run(&restarts)?;
        ensure!(restarts.trim() == "1", "{host}'s agent was restarted {} times", restarts.trim());
    }
    assert_undisturbed(&lab, began)
}

/// Starts a watch on the host itself, because a stage may be over before an outside look returns.
fn kill_agent_when_pending(lab: &Lab, host: &str) -> Result<Child> {
    let script = format!("{UNTIL_PENDING}; systemctl kill --signal=KILL pvecm-agent");
    let mut shell = lab.host(host)?.command(&["timeout", "60", "sh", "-c", &script])?;
    shell.stdin(Stdio::null()).spawn().context("cannot watch the agent's ledger")
}

#[test]
fn with_the_api_server_gone_for_30_s_the_hosts_finish_the_stage_alone() -> Result<()> {
    let lab = formed("apioff")?;
    let began = now_ms();
    apply(
        &lab,
        &with_links(&json!([
            {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
        ])),
    )?;
    lab.host("n1")?.run(&["timeout", "30", "sh", "-c", UNTIL_PENDING])?;
    lab.control_plane()?.stop_api_server()?;
    let stopped = Instant::now();
    wait_connected(&lab, 1, OUTAGE)?;
    let alone = ["grep", "-c", r#""pending":null"#, "/var/lib/pvecm-agent/ledger.json"];
    for host in HOSTS {
        wait_until(OUTAGE.saturating_sub(stopped.elapsed()), "the stage to be decided", || {
            let output = lab.host(host).and_then(|host| host.exec(&alone));
            match output {
                Ok(output) if output.success() => Ok(()),
                other => Err(format!("{host}: {other:?}")),
            }
        })?;
    }
    println!(
        "stage ended on every host {:.1} s after the API server",
        stopped.elapsed().as_secs_f64()
    );
    // The outage itself is the condition here: agents must bear it to its end.
    std::thread::sleep(OUTAGE.saturating_sub(stopped.elapsed()));
    lab.control_plane()?.start_api_server()?;
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("ring1_addr"), "the link is not in the file");
    assert_undisturbed(&lab, began)
}
