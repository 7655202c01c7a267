//! What somebody changes beside the operator is shown with host and key within 15 s, and put back or left
//! as the spec says. Nobody loses quorum over it.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, ForeignLock, HOSTS, apply, assert_undisturbed, changes, cmap, condition,
    file_in_force, formed, get, now_ms, wait_ready, watch, with_links,
};

/// What the issue allows between an edit and its row in the status.
const SHOWN: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(60);

const PVE: &str = "/etc/pve/corosync.conf";
const DISK: &str = "/etc/corosync/corosync.conf";
const LOCK: &str = "/etc/pve/priv/lock/file-corosync_conf";

#[test]
fn every_hand_edit_is_shown_with_host_and_key_and_put_back() -> Result<()> {
    let lab = formed("drift")?;
    let told = watch_drift(&lab)?;
    apply(&lab, &spec("Correct"))?;
    wait_ready(&lab, SOON)?;
    let began = now_ms();

    let edited = edit_through_pmxcfs(&lab, "token: 4000", "token: 3500")?;
    shown(&told, edited, "through /etc/pve", ("totem.token", &HOSTS, Some("4000")))?;
    put_back(&lab, edited)?;
    ensure!(file_in_force(&lab)?.contains("token: 4000"), "the token is not put back");

    let edited = edit_disk(&lab, "n3", "token: 4000", "token: 3500")?;
    shown(&told, edited, "on n3's disk", ("totem.token", &["n3"], Some("4000")))?;
    put_back(&lab, edited)?;
    file_in_force(&lab)?;

    let edited = edit_runtime(&lab, "n2", &["totem.token", "u32", "3500"])?;
    shown(&told, edited, "in n2's daemon", ("totem.token", &["n2"], Some("4000")))?;
    put_back(&lab, edited)?;
    for host in HOSTS {
        let token = cmap(&lab, host, "runtime.config.totem.token")?;
        ensure!(token == "4125", "the token on {host} is {token}");
        let ping = cmap(&lab, host, "runtime.config.totem.interface.0.knet_ping_timeout")?;
        ensure!(ping == "2062", "the ping timeout on {host} is {ping}");
    }

    // What the spec does not name stays, and nobody speaks of it.
    let count = changes(&lab)?.len();
    edit_through_pmxcfs(&lab, "debug: off", "debug: on")?;
    wait_until(SOON, "the edit on every disk", || {
        let text = file_in_force(&lab).map_err(|error| format!("{error:#}"))?;
        if text.contains("debug: on") { Ok(()) } else { Err(text) }
    })?;
    wait_ready(&lab, SOON)?;
    ensure!(changes(&lab)?.len() == count, "a change was made of an edit that nobody manages");
    ensure!(condition(&lab, "Drifted")?.0 == "False", "an unmanaged key counts as drift");
    assert_undisturbed(&lab, began)
}

#[test]
fn with_report_an_edit_is_shown_and_stays_and_a_foreign_lock_is_waited_for() -> Result<()> {
    let lab = formed("report")?;
    let told = watch_drift(&lab)?;
    apply(&lab, &spec("Report"))?;
    wait_ready(&lab, SOON)?;
    let (began, count) = (now_ms(), changes(&lab)?.len());

    let edited = edit_through_pmxcfs(&lab, "token: 4000", "token: 3500")?;
    shown(&told, edited, "through /etc/pve", ("totem.token", &HOSTS, Some("4000")))?;
    let edited = edit_disk(&lab, "n3", "debug: off", "debug: on")?;
    shown(&told, edited, "on n3's disk", ("logging.debug", &["n3"], None))?;
    wait_until(SOON, "a ready condition that says why", || {
        let ready = condition(&lab, "Ready").map_err(|error| format!("{error:#}"))?;
        if ready.1 == "DriftReported" { Ok(()) } else { Err(format!("{ready:?}")) }
    })?;
    ensure!(changes(&lab)?.len() == count, "something was begun although drift is only reported");
    ensure!(lab.host("n3")?.run(&["cat", DISK])?.contains("debug: on"), "the disk was touched");

    // Somebody else writes corosync.conf: with the lock of Proxmox VE held, nobody here does.
    let lock = ForeignLock::take(&lab, LOCK)?;
    let before = lab.host("n1")?.run(&["cat", PVE])?;
    apply(&lab, &spec("Correct"))?;
    wait_until(SOON, "a change that ended unwritten", || {
        let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
        let last = all.last().map(|change| change["status"].clone()).unwrap_or_default();
        if all.len() > count && last["outcome"] == "RolledBack" {
            Ok(())
        } else {
            Err(last.to_string())
        }
    })?;
    println!("unwritten: {}", changes(&lab)?.pop().unwrap_or_default()["status"]["message"]);
    ensure!(
        lab.host("n1")?.run(&["cat", PVE])? == before,
        "/etc/pve was written under a foreign lock"
    );
    ensure!(lab.host("n3")?.run(&["cat", DISK])?.contains("debug: on"), "so was n3's disk");
    lock.give_back(&lab)?;
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("token: 4000"), "the token is not put back");
    assert_undisturbed(&lab, began)
}

fn spec(drift: &str) -> Value {
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["totem"] = json!({"tokenMillis": 4000});
    spec["spec"]["rollout"]["drift"] = json!(drift);
    spec
}

/// As `vi /etc/pve/corosync.conf` with a higher version would.
fn edit_through_pmxcfs(lab: &Lab, from: &str, to: &str) -> Result<Instant> {
    let script = format!(
        r#"v=$(sed -n 's/.*config_version: //p' {PVE})
           sed "s/config_version: $v/config_version: $((v + 1))/; s/{from}/{to}/" {PVE} > {PVE}.new
           mv {PVE}.new {PVE}; grep -q '{to}' {PVE}"#
    );
    let begun = Instant::now();
    lab.host("n1")?.run(&["sh", "-ec", &script])?;
    Ok(begun)
}

fn edit_disk(lab: &Lab, host: &str, from: &str, to: &str) -> Result<Instant> {
    let script = format!("sed -i 's/{from}/{to}/' {DISK}; grep -q '{to}' {DISK}");
    lab.host(host)?.run(&["sh", "-ec", &script])?;
    Ok(Instant::now())
}

fn edit_runtime(lab: &Lab, host: &str, value: &[&str]) -> Result<Instant> {
    lab.host(host)?.run(&[&["corosync-cmapctl", "-s"], value].concat())?;
    Ok(Instant::now())
}

/// The rows of the status, the sentence of the condition, and when the API server told them.
pub(crate) type Told = (Instant, Value, String);

pub(crate) fn watch_drift(lab: &Lab) -> Result<Receiver<Told>> {
    // Not a tab in between: kubectl makes columns of those.
    let template =
        r#"{.status.drift}{"@"}{.status.conditions[?(@.type=="Drifted")].message}{"\n"}"#;
    watch(lab, "pveclusters", template, |line| {
        let (rows, said) = line.rsplit_once('@')?;
        Some((Instant::now(), serde_json::from_str(rows).ok()?, said.to_owned()))
    })
}

/// Waits for the row with this key, these hosts and this wish, and for the sentence that names them. It
/// may be put back within a second, so what counts is what was told, not what is there now.
pub(crate) fn shown(
    told: &Receiver<Told>,
    edited: Instant,
    place: &str,
    (key, hosts, spec): (&str, &[&str], Option<&str>),
) -> Result<()> {
    let is_it = |row: &&Value| {
        row["key"] == key && row["hosts"] == json!(hosts) && row["spec"].as_str() == spec
    };
    let mut last = Value::Null;
    loop {
        let left = SHOWN.saturating_sub(edited.elapsed());
        let Ok((at, rows, said)) = told.recv_timeout(left) else {
            bail!("{key} edited {place} is not shown within {SHOWN:?}; last seen: {last}");
        };
        let row = rows.as_array().and_then(|rows| rows.iter().find(is_it));
        if let Some(row) = row.filter(|_| said.contains(key) && said.contains(hosts[0])) {
            let after = at.saturating_duration_since(edited).as_secs_f64();
            println!("{key} edited {place}: shown after {after:.1} s: {row}");
            return Ok(());
        }
        last = rows;
    }
}

pub(crate) fn put_back(lab: &Lab, edited: Instant) -> Result<()> {
    wait_until(SOON, "the edit to be put back", || {
        let cluster = get(lab, &["pvecluster", CLUSTER]).map_err(|error| format!("{error:#}"))?;
        let drifted = condition(lab, "Drifted").map_err(|error| format!("{error:#}"))?;
        let rows = &cluster["status"]["drift"];
        if drifted.0 == "False" && rows.is_null() { Ok(()) } else { Err(rows.to_string()) }
    })?;
    wait_ready(lab, SOON)?;
    println!("put back and ready after {:.1} s", edited.elapsed().as_secs_f64());
    Ok(())
}
