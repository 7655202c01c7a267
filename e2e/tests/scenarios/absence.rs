//! A machine that a person declares dead.

use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::trust;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::approval::plugin;
use crate::gate::{are_held, trust_each_other};
use crate::removal::{of, stands_alone, undisturbed_but_for, votes};
use crate::support::{apply, changes, condition, get, kubectl, now_ms, wait_ready};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_machine_declared_dead_is_removed_once_nobody_hears_it_and_its_key_is_worth_nothing()
-> Result<()> {
    let lab = Lab::up(Options { hosts: 3, ..Options::scenario("dead") }, &mut |_| ())?;
    trust::as_installed(&lab.hosts())?;
    apply(&lab, &of(&["n1", "n2", "n3"]))?;
    wait_ready(&lab, LONG)?;
    trust_each_other(&lab)?;
    let (began, known) = (now_ms(), changes(&lab)?.len());
    declare(&lab)?;
    reason(&lab, "DeadIsSeen", "n3 is declared dead (PDU port 7 off), and its agent is heard")?;
    let n3 = lab.host("n3")?;
    // Its corosync still votes, though nobody hears its agent.
    n3.run(&["systemctl", "stop", "pvecm-agent"])?;
    reason(&lab, "DeadIsSeen", "in the membership")?;
    ensure!(changes(&lab)?.len() == known, "a change was made of one that lives");

    n3.crash()?;
    let off = now_ms();
    wait_until(2 * LONG, "n3 to be off the list and another key in force", || {
        another_key(&lab).map_err(|error| format!("{error:#}"))
    })?;
    println!(
        "removed and another key in force {:.1} s after the power went",
        seconds(now_ms() - off)
    );
    for host in ["n1", "n2"] {
        let buried = &get(&lab, &["pvehost", host])?["status"]["tombstones"];
        ensure!(buried[0]["nodeId"] == 3 && buried[0]["keepsKey"] == 0, "{host}: {buried}");
        undisturbed_but_for(&lab, host, began, &[&[1, 2]])?;
    }
    ensure!(votes(&lab.host("n1")?) == Some((2, 2)), "{:?}", votes(&lab.host("n1")?));

    // Booted again with its old disk it asks those who stay, and puts it all away once it is told to.
    let back = now_ms();
    lab.control_plane()?.stop_api_server()?;
    are_held(&[&n3], "with the API server away")?;
    let answer = n3.sh("ssh -o BatchMode=yes -o HostKeyAlias=n1 -o GlobalKnownHostsFile=none \
         -o UserKnownHostsFile=/etc/pve/nodes/n1/ssh_known_hosts root@10.50.0.1 hostname")?;
    ensure!(
        answer.contains("cluster_name: "),
        "its key opens more than the gate's question: {answer}"
    );
    lab.control_plane()?.start_api_server()?;
    stands_alone(&lab, "n3")?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, back, &[])?;
    }
    Ok(())
}

/// The plugin itself declares nobody dead who is heard: that is left to those who insist.
fn declare(lab: &Lab) -> Result<()> {
    let words = ["host", "dead", "n3", "--because", "PDU port 7 off", "--namespace", "pve"];
    let said = plugin(lab, &lab.control_plane()?.kubeconfig(), &words)?;
    ensure!(!said.success() && said.stderr.contains("is heard"), "not refused: {said:?}");
    let absence = json!({"spec": {"absence": {"kind": "Dead", "because": "PDU port 7 off"}}});
    kubectl(lab, &["patch", "pvehost", "n3", "--type=merge", "-p", &absence.to_string()])?;
    Ok(())
}

/// Whether those who stay have exchanged the authkey since they were formed.
fn another_key(lab: &Lab) -> Result<()> {
    for host in ["n1", "n2"] {
        let status = &get(lab, &["pvehost", host])?["status"];
        let key = &status["authkey"]["generation"];
        let of_changes = || {
            let all = changes(lab).unwrap_or_default();
            all.iter().map(|change| change["status"].to_string()).collect::<Vec<_>>().join("\n")
        };
        ensure!(
            *key == 1,
            "{host} has the key of generation {key}; the changes:\n{}",
            of_changes()
        );
    }
    Ok(())
}

fn reason(lab: &Lab, reason: &str, words: &str) -> Result<()> {
    wait_until(LONG, reason, || {
        let (_, found, message) = condition(lab, "Ready").map_err(|error| format!("{error:#}"))?;
        let is_said = found == reason && message.contains(words);
        if is_said { Ok(()) } else { Err(format!("{found}: {message}")) }
    })
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
