//! The authkey is exchanged while everybody stays quorate, whoever dies in the middle, and nobody who reads
//! objects or logs learns anything of it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    HOSTS, apply, assert_all_followed_or_one_was_late, assert_undisturbed, changes, cmap, formed,
    get, kubectl, now_ms, wait_ready, wait_stalled, with_links,
};

/// Enough for a stage that is undone, and done again.
const SOON: Duration = Duration::from_secs(120);
/// A hand edit on a disk is seen within this.
const SEEN: Duration = Duration::from_secs(15);
const LINKS: &str = r#"[{"number": 0, "network": "10.50.0.0/24"}]"#;

#[test]
fn the_authkey_is_exchanged_live_and_nothing_of_it_is_told_or_left() -> Result<()> {
    let lab = formed("keys")?;
    let old = one_key(&lab)?;
    let began = now_ms();
    let edited = Instant::now();
    want_generation(&lab, 1)?;
    println!("exchanged and ready {:.1} s after the edit", edited.elapsed().as_secs_f64());
    let new = one_key(&lab)?;
    ensure!(old != new, "the key is still the old one");
    assert_all_followed_or_one_was_late(&lab, began)?;

    for host in HOSTS {
        let found = lab.host(host)?.sh("cd /etc/corosync && stat -c '%a %n' authkey*")?;
        ensure!(found.trim() == "400 authkey", "on {host} there is {found}");
    }
    let cluster = get(&lab, &["pvecluster", "three-nodes"])?;
    let status = &cluster["status"]["authkey"];
    ensure!(status["generation"] == 1, "status.authkey is {status}");
    for host in HOSTS {
        let told = get(&lab, &["pvehost", host])?["status"]["authkey"].clone();
        ensure!(told["fingerprint"] == status["fingerprint"], "{host} says {told}, not {status}");
        ensure!(told["generation"] == 1, "{host} says {told}");
        let (running, version) =
            (cmap(&lab, host, "totem.config_version")?, &cluster["status"]["configVersion"]);
        let runs_it = running.parse::<i64>().is_ok_and(|running| *version == running);
        ensure!(runs_it, "{host} runs {running}, not {version}");
    }
    nothing_is_told(&lab, &[old, new])?;
    a_daemon_that_starts_now_is_heard(&lab, "n3")
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn an_agent_killed_between_the_new_key_and_the_reload_leaves_one_key_everywhere() -> Result<()> {
    let lab = formed("keykill")?;
    for (generation, host) in (1..).zip(HOSTS) {
        let (before, began) = (one_key(&lab)?, now_ms());
        let kill = "set -e; old=$(sha256sum < /etc/corosync/authkey)
            until [ \"$(sha256sum < /etc/corosync/authkey)\" != \"$old\" ]; do :; done
            systemctl kill --signal=KILL pvecm-agent";
        let mut shell = lab.host(host)?.command(&["timeout", "60", "sh", "-c", kill])?;
        let killer = shell.stdin(Stdio::null()).spawn().context("cannot watch the key")?;
        let edited = Instant::now();
        want_generation(&lab, generation)?;
        let status = killer.wait_with_output().context("the killer is gone")?.status;
        ensure!(status.success(), "the agent of {host} was not killed: {status}");
        let ends = outcomes(&lab)?;
        println!(
            "agent of {host} killed: ready {:.1} s after the edit, changes so far {ends:?}",
            edited.elapsed().as_secs_f64()
        );
        ensure!(one_key(&lab)? != before, "the key is still the old one");
        assert_all_followed_or_one_was_late(&lab, began)?;
    }
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn with_another_key_on_one_disk_nothing_is_reloaded_until_it_is_put_right() -> Result<()> {
    let lab = formed("keydrift")?;
    let began = now_ms();
    let n3 = lab.host("n3")?;
    n3.sh("cd /etc/corosync && cp -p authkey kept && head -c 256 /dev/urandom > odd && \
           chmod 400 odd && mv odd authkey")?;
    let seen = Instant::now();
    wait_until(SEEN, "n3 to tell that it has another key", || {
        let key = |host| get(&lab, &["pvehost", host]).map(|it| it["status"]["authkey"].clone());
        let keys = key("n1").and_then(|n1| Ok((n1, key("n3")?)));
        let (n1, n3) = keys.map_err(|error| format!("{error:#}"))?;
        if n1["fingerprint"] == n3["fingerprint"] { Err(n3.to_string()) } else { Ok(()) }
    })?;
    println!("another key is seen after {:.1} s", seen.elapsed().as_secs_f64());
    let priority = json!([{"number": 0, "network": "10.50.0.0/24", "priority": 9}]);
    apply(&lab, &with_links(&priority))?;
    let sentence = wait_stalled(&lab, "AuthkeysDiffer")?;
    ensure!(sentence.contains("n3"), "it does not name the host: {sentence}");
    n3.sh("cd /etc/corosync && mv kept authkey")?;
    wait_ready(&lab, SOON)?;
    let running = cmap(&lab, "n3", "totem.interface.0.knet_link_priority")?;
    ensure!(running == "9", "the priority is {running}");
    assert_undisturbed(&lab, began)
}

/// Edits the spec and waits until the cluster has a key of this generation.
fn want_generation(lab: &Lab, generation: i32) -> Result<()> {
    let mut spec = with_links(&serde_json::from_str::<Value>(LINKS)?);
    spec["spec"]["totem"] = json!({"keyGeneration": generation});
    spec["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
    apply(lab, &spec)?;
    wait_ready(lab, SOON)?;
    let status = get(lab, &["pvecluster", "three-nodes"])?["status"]["authkey"].clone();
    ensure!(status["generation"] == generation, "status.authkey is {status}");
    Ok(())
}

/// The others understand a daemon that has read its key from the disk, so that is the key they run with.
fn a_daemon_that_starts_now_is_heard(lab: &Lab, host: &str) -> Result<()> {
    let began = Instant::now();
    lab.host(host)?.run(&["systemctl", "restart", "corosync"])?;
    wait_until(SOON, &format!("{host} to be heard again"), || {
        let seen = lab.host(host).and_then(|host| host.exec(&["corosync-quorumtool", "-s"]));
        let seen = seen.map_err(|error| format!("{error:#}"))?.stdout;
        let is = |key: &str, value: &str| {
            seen.lines().any(|line| line.starts_with(key) && line.ends_with(&format!(" {value}")))
        };
        if is("Nodes:", "3") && is("Quorate:", "Yes") { Ok(()) } else { Err(seen) }
    })?;
    println!(
        "corosync of {host} restarted, heard again {:.1} s later",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn outcomes(lab: &Lab) -> Result<BTreeMap<String, usize>> {
    let mut ends = BTreeMap::new();
    for change in changes(lab)? {
        *ends.entry(change["status"]["outcome"].to_string()).or_default() += 1;
    }
    Ok(ends)
}

/// The key that all hosts have, as hexadecimal digits.
fn one_key(lab: &Lab) -> Result<String> {
    let mut keys = Vec::new();
    for host in HOSTS {
        let hex = lab.host(host)?.sh("od -An -v -tx1 /etc/corosync/authkey | tr -d ' \\n'")?;
        keys.push(hex);
    }
    ensure!(keys[0].len() == 512, "the key has {} digits", keys[0].len());
    ensure!(keys.iter().all(|key| *key == keys[0]), "the hosts have different keys");
    Ok(keys.swap_remove(0))
}

/// No object and no log has a part of a key in any of the forms that programs print bytes in.
fn nothing_is_told(lab: &Lab, keys: &[String]) -> Result<()> {
    let kinds = "pveclusters,pvehosts,pvechanges,events,leases,configmaps";
    let mut places = vec![
        ("the API".to_owned(), kubectl(lab, &["get", kinds, "-A", "-o", "yaml"])?),
        ("the operator's log".to_owned(), std::fs::read_to_string(lab.state().log("operator"))?),
    ];
    for host in HOSTS {
        let journal = lab.host(host)?.sh("journalctl --no-pager -o short-precise")?;
        places.push((format!("the journal of {host}"), journal));
    }
    for (place, text) in places {
        ensure!(text.len() > 200, "{place} is empty");
        let found = keys.iter().flat_map(|key| forms(key)).find(|form| text.contains(form));
        ensure!(found.is_none(), "{place} tells a part of a key: {found:?}");
    }
    Ok(())
}

/// Parts of a key: hexadecimal digits, base64, and numbers in a list.
fn forms(hex: &str) -> Vec<String> {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap_or(0);
    let bytes: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    // Whatever a key is embedded in, one of three beginnings is that of its base64.
    let base64 = (0..3).map(|from| BASE64_STANDARD.encode(&bytes[from..from + 30]));
    let hex = [hex[..32].to_owned(), hex[..32].to_uppercase(), hex[256..288].to_owned()];
    hex.into_iter().chain(base64).chain([list[..12].join(", "), list[..12].join(",")]).collect()
}
