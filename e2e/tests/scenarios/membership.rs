//! Members come and go, several by one edit, and a joiner that dies on the way.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::removal::{edit, follows, of, undisturbed_but_for, votes};
use crate::support::{apply, changes, get, now_ms, record, wait_ready};

const LONG: Duration = Duration::from_secs(120);
/// What the specs allow a stage, and how much later everything is as it was.
const UNDONE: Duration = Duration::from_secs(10 + 5);
const BACKUPS: &str = "/var/lib/pve-cluster/backup";

fn lab_of(name: &str, hosts: u8) -> Result<Lab> {
    Lab::up(Options { hosts, ..Options::scenario(name) }, &mut |_| ())
}

#[test]
fn three_members_become_five_and_three_others_again_by_one_edit_each() -> Result<()> {
    let lab = lab_of("fivefold", 5)?;
    apply(&lab, &of(&["n1", "n2", "n3"]))?;
    wait_ready(&lab, LONG)?;
    let (began, seen) = edit(&lab, &["n1", "n2", "n3", "n4", "n5"], ("n2", 2))?;
    follows(&seen, &[(3, 3), (4, 3), (4, 4), (5, 4), (5, 5)])?;
    for host in ["n1", "n2", "n3"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2, 3, 4], &[1, 2, 3, 4, 5]])?;
    }
    // n1 has the lowest id, and it is the one that writes.
    let (began, seen) = edit(&lab, &["n2", "n3", "n4"], ("n2", 2))?;
    follows(&seen, &[(5, 5), (5, 4), (4, 4), (4, 3), (3, 3)])?;
    for host in ["n2", "n3", "n4"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2, 3, 4], &[2, 3, 4]])?;
        let buried = &get(&lab, &["pvehost", host])?["status"]["tombstones"];
        let ids: Vec<_> =
            buried.as_array().into_iter().flatten().map(|one| &one["nodeId"]).collect();
        ensure!(ids == [1, 5], "{host} remembers {buried}");
    }
    let nodes = lab.host("n2")?.run(&["ls", "/etc/pve/nodes"])?;
    ensure!(nodes.split_whitespace().eq(["n2", "n3", "n4"]), "{nodes}");
    // Who comes now has never seen those two, and remembers them all the same.
    edit(&lab, &["n2", "n3", "n4", "n5"], ("n2", 1))?;
    let buried = &get(&lab, &["pvehost", "n5"])?["status"]["tombstones"];
    ensure!(buried.as_array().is_some_and(|all| all.len() == 2), "n5 remembers {buried}");
    Ok(())
}

/// A step of a join, and what on the joiner says that it has come.
const STEPS: [(&str, &str); 5] = [
    ("the key is there", "test -e /etc/corosync/authkey"),
    ("the start is prepared", r#"grep -q '"course":"Start"' /var/lib/pvecm-agent/ledger.json"#),
    ("the file is there", "test -e /etc/corosync/corosync.conf"),
    ("corosync runs", "systemctl is-active --quiet corosync"),
    ("pmxcfs has the file", "test -e /etc/pve/corosync.conf"),
];

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_joiner_killed_at_any_step_is_not_missed_and_joins_at_the_next_try() -> Result<()> {
    let lab = lab_of("jkill", 3)?;
    apply(&lab, &of(&["n1", "n2"]))?;
    wait_ready(&lab, LONG)?;
    let n3 = lab.host("n3")?;
    for (name, moment) in STEPS {
        let began = now_ms();
        let killer = kill_agent_for_good(&lab, moment)?;
        apply(&lab, &of(&["n1", "n2", "n3"]))?;
        let status = killer.wait_with_output().context("the killer is gone")?.status;
        ensure!(status.success(), "the agent was not killed when {name}: {status}");
        let took = wait_two_again(&lab)?;
        println!("killed when {name}: two members and no third {:.1} s later", took.as_secs_f64());
        // Nothing new is begun while the joiner is looked at.
        apply(&lab, &paused(of(&["n1", "n2", "n3"])))?;
        n3.run(&["systemctl", "start", "pvecm-agent"])?;
        wait_clean(&lab)?;
        apply(&lab, &of(&["n1", "n2", "n3"]))?;
        wait_ready(&lab, LONG)?;
        edit(&lab, &["n1", "n2"], ("n1", 1))?;
        for host in ["n1", "n2"] {
            let lost = record(&lab, host)?.quorum_gaps(began, now_ms());
            ensure!(lost.is_empty(), "{host} lost quorum: {lost:?}");
        }
    }
    Ok(())
}

/// Starts a watch on n3 itself, because a step is over before an outside look returns. The unit stays down:
/// systemd would start the agent again, and it would go on where it was.
fn kill_agent_for_good(lab: &Lab, moment: &str) -> Result<Child> {
    let script = format!(
        "until {moment}; do :; done; systemctl kill --signal=KILL pvecm-agent; systemctl stop pvecm-agent"
    );
    let mut shell = lab.host("n3")?.command(&["timeout", "60", "sh", "-c", &script])?;
    shell.stdin(Stdio::null()).spawn().context("cannot watch for the moment")
}

/// n1 and n2 alone are listed, and have their votes: one each, none is missing.
fn wait_two_again(lab: &Lab) -> Result<Duration> {
    let began = Instant::now();
    wait_until(UNDONE, "the old list to be in force", || {
        for name in ["n1", "n2"] {
            let host = lab.host(name).map_err(|error| format!("{error:#}"))?;
            let conf = host.run(&["cat", "/etc/corosync/corosync.conf"]);
            let conf = conf.map_err(|error| format!("{error:#}"))?;
            let listed = conf.matches("nodeid:").count();
            let counted = votes(&host);
            let whole = counted.is_some_and(|(expected, total)| expected == total);
            if listed != 2 || !whole {
                return Err(format!("{name}: {listed} are listed, votes {counted:?}"));
            }
        }
        Ok(())
    })?;
    Ok(began.elapsed())
}

/// n3 has nothing of the cluster, and its own /etc/pve takes writes.
fn wait_clean(lab: &Lab) -> Result<()> {
    let n3 = lab.host("n3")?;
    let script = "! test -e /etc/corosync/corosync.conf && ! test -e /etc/corosync/authkey && \
                  ! systemctl is-active --quiet corosync && ! test -e /etc/pve/corosync.conf && \
                  touch /etc/pve/own && rm /etc/pve/own";
    wait_until(LONG, "n3 to be clean", || {
        let said = n3.exec(&["sh", "-c", script]).map_err(|error| format!("{error:#}"))?;
        if said.success() {
            return Ok(());
        }
        let left = n3.sh(&format!("ls /etc/corosync {BACKUPS}")).unwrap_or_default();
        Err(format!("{said:?}; there is {left}"))
    })
}

fn paused(mut spec: Value) -> Value {
    spec["spec"]["rollout"]["paused"] = json!(true);
    spec
}

#[test]
fn a_founder_is_never_without_quorum_for_a_joiner_that_does_not_start() -> Result<()> {
    let lab = lab_of("nostart", 2)?;
    apply(&lab, &of(&["n1"]))?;
    wait_ready(&lab, LONG)?;
    let (n1, n2, began) = (lab.host("n1")?, lab.host("n2")?, now_ms());
    n2.run(&["systemctl", "mask", "corosync"])?;
    apply(&lab, &of(&["n1", "n2"]))?;
    let undone = wait_until(LONG, "a join to be undone", || {
        let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
        let undone = all.iter().find(|change| change["status"]["outcome"] == "RolledBack");
        undone.map(|change| change["status"]["message"].to_string()).ok_or(format!("{all:?}"))
    })?;
    println!("RolledBack: {undone}");
    ensure!(n1.run(&["cat", "/etc/pve/corosync.conf"])?.matches("nodeid:").count() == 1);
    let counted = votes(&n1).context("n1 does not count")?;
    ensure!(counted.0 == counted.1, "votes are missing: {counted:?}");
    undisturbed_but_for(&lab, "n1", began, &[])?;

    n2.run(&["systemctl", "unmask", "corosync"])?;
    let mut again = of(&["n1", "n2"]);
    again["spec"]["rollout"]["confirmTimeoutSeconds"] = json!(11);
    apply(&lab, &again)?;
    wait_ready(&lab, LONG)?;
    undisturbed_but_for(&lab, "n1", began, &[&[1, 2]])
}
