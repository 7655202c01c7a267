//! Over which network guests travel: two lines of a file that people write as well. Everything else in it stays
//! byte for byte, and no daemon notices.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::drift::{put_back, shown, watch_drift};
use crate::outage::ask;
use crate::support::{
    CLUSTER, ForeignLock, HOSTS, apply, assert_undisturbed, changes, condition, file_in_force,
    formed, get, now_ms, wait_ready, wait_stalled, with_links,
};

const SOON: Duration = Duration::from_secs(60);
const FILE: &str = "/etc/pve/datacenter.cfg";
const LOCK: &str = "/etc/pve/priv/lock/file-datacenter_cfg";

/// As people leave it: comments, both kinds of line ends, a line that is none, a byte that is no UTF-8.
const BY_HAND: &[u8] =
    b"# our datacenter\r\n#\nkeyboard: de\r\n  # aside\nodd line\nfuture-key:  \xfc \n\
mac_prefix: BC:24:11\n\n# the end\n";

#[test]
fn the_network_for_guests_is_set_changed_and_removed_and_every_other_byte_stays() -> Result<()> {
    let lab = formed("migration")?;
    let told = watch_drift(&lab)?;
    let (began, corosync) = (now_ms(), file_in_force(&lab)?);
    lab.host("n1")?.write_file("/root/datacenter.cfg", BY_HAND, 0o644)?;
    lab.host("n1")?.run(&["cp", "/root/datacenter.cfg", FILE])?;

    let set = json!({"migration": {"type": "Secure", "network": "10.52.0.0/24"}});
    want(&lab, &set)?;
    reads(&lab, &with("migration: secure,network=10.52.0.0/24\n"))?;

    let insecure =
        json!({"type": "Insecure", "network": "10.51.0.0/24", "unencryptedTraffic": "Accepted"});
    let changed = json!({"migration": insecure, "replication": {"type": "Secure"}});
    the_plan_shows_the_lines(&lab, &changed)?;
    want(&lab, &changed)?;
    let text = "migration: insecure,network=10.51.0.0/24\nreplication: secure\n";
    reads(&lab, &with(text))?;

    let before = with(text);
    unfit_networks_are_refused(&lab, &before)?;
    reads(&lab, &with("migration: secure,network=10.52.0.0/24\nreplication: secure\n"))?;

    // What a person changes of a managed line is put back; a line that nobody manages is his.
    let edit = format!(
        "sed 's/secure,network/insecure,network/; s/keyboard: de/keyboard: fr/' {FILE} \
        > {FILE}.new && mv {FILE}.new {FILE}"
    );
    lab.host("n2")?.sh(&edit)?;
    let edited = Instant::now();
    let wanted = Some("secure,network=10.52.0.0/24");
    shown(&told, edited, "in datacenter.cfg", ("datacenter.migration", &HOSTS, wanted))?;
    put_back(&lab, edited)?;
    let keyboard = |bytes: Vec<u8>| replaced(&bytes, b"keyboard: de", b"keyboard: fr");
    let text = "migration: secure,network=10.52.0.0/24\nreplication: secure\n";
    reads(&lab, &keyboard(with(text)))?;

    want(&lab, &json!({"migration": {"type": "Default"}, "replication": {"type": "Default"}}))?;
    reads(&lab, &keyboard(BY_HAND.to_vec()))?;
    ensure!(file_in_force(&lab)? == corosync, "corosync.conf was touched");
    let all = changes(&lab)?;
    println!("{} changes", all.len());
    assert_undisturbed(&lab, began)
}

/// Two addresses in the network, or none, are named and nothing is written; put right, it goes on by itself.
fn unfit_networks_are_refused(lab: &Lab, before: &[u8]) -> Result<()> {
    lab.host("n2")?.sh("ip address add 10.52.0.33/24 dev net2")?;
    wait_until(SOON, "the second address to be told", || {
        let told = get(lab, &["pvehost", "n2"]).map_err(|error| format!("{error:#}"))?;
        let told = told["status"]["addresses"].to_string();
        if told.contains("10.52.0.33/24") { Ok(()) } else { Err(told) }
    })?;
    let count = changes(lab)?.len();
    let wanted = json!({"migration": {"type": "Secure", "network": "10.52.0.0/24"},
        "replication": {"type": "Secure"}});
    apply(lab, &spec(&wanted))?;
    let sentence = wait_stalled(lab, "TransferNetworkUnfit")?;
    println!("{sentence}");
    ensure!(sentence.contains("n2 has 10.52.0.2 and 10.52.0.33 in 10.52.0.0/24"), "{sentence}");
    println!("{}", ask(lab, &["explain", CLUSTER])?);

    lab.host("n3")?.sh("ip address del 10.52.0.3/24 dev net2")?;
    wait_until(SOON, "the host without an address to be named as well", || {
        let seen = condition(lab, "Stalled").map_err(|error| format!("{error:#}"))?;
        let both =
            seen.2.contains("n3 has no address in 10.52.0.0/24") && seen.2.contains("n2 has");
        if both { Ok(()) } else { Err(format!("{seen:?}")) }
    })?;
    ensure!(changes(lab)?.len() == count, "a change was made");
    reads(lab, before)?;
    lab.host("n3")?.sh("ip address add 10.52.0.3/24 dev net2")?;
    lab.host("n2")?.sh("ip address del 10.52.0.33/24 dev net2")?;
    wait_ready(lab, SOON).map(drop)
}

/// A pause, so that there is something to look at.
fn the_plan_shows_the_lines(lab: &Lab, wanted: &Value) -> Result<()> {
    let mut paused = spec(wanted);
    paused["spec"]["rollout"]["paused"] = json!(true);
    apply(lab, &paused)?;
    let plan = ask(lab, &["plan", CLUSTER, "--diff"])?;
    println!("{plan}");
    for line in [
        "-migration: secure,network=10.52.0.0/24\n",
        "+migration: insecure,network=10.51.0.0/24\n",
        "+replication: secure\n",
    ] {
        ensure!(plan.contains(line), "{line} is not in the plan");
    }
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn without_a_writable_etc_pve_or_the_lock_it_waits_and_then_goes_on() -> Result<()> {
    let lab = formed("migwait")?;
    lab.host("n1")?.write_file("/root/datacenter.cfg", BY_HAND, 0o644)?;
    lab.host("n1")?.run(&["cp", "/root/datacenter.cfg", FILE])?;
    let set = json!({"migration": {"type": "Secure", "network": "10.52.0.0/24"}});

    // Nobody has quorum, so that /etc/pve is read-only everywhere.
    for host in ["n2", "n3"] {
        lab.host(host)?.cut(Network::Net0)?;
    }
    wait_until(SOON, "a read-only /etc/pve", || {
        let tried = lab.host("n1").and_then(|host| host.exec(&["touch", "/etc/pve/try"]));
        let tried = tried.map_err(|error| format!("{error:#}"))?;
        if tried.success() { Err("it takes writes".to_owned()) } else { Ok(()) }
    })?;
    let count = changes(&lab)?.len();
    apply(&lab, &spec(&set))?;
    println!("{}", wait_stalled(&lab, "NotQuorate")?);
    reads(&lab, BY_HAND)?;
    ensure!(changes(&lab)?.len() == count, "a change was made");
    for host in ["n2", "n3"] {
        lab.host(host)?.heal(Network::Net0)?;
    }
    wait_ready(&lab, SOON)?;
    let text = "migration: secure,network=10.52.0.0/24\n";
    reads(&lab, &with(text))?;

    // Somebody else writes the file: with the lock of Proxmox VE held, nobody here does.
    let lock = ForeignLock::take(&lab, LOCK)?;
    apply(&lab, &spec(&json!({"migration": {"type": "Default"}})))?;
    wait_until(SOON, "the writer to give up on the lock", || {
        let told = get(&lab, &["pvehost", "n1"]).map_err(|error| format!("{error:#}"))?;
        let said = told["status"]["applied"]["message"].to_string();
        if said.contains("cannot take the lock on datacenter.cfg") { Ok(()) } else { Err(said) }
    })?;
    reads(&lab, &with(text))?;
    lock.give_back(&lab)?;
    // It was not written and is undone under the same lock, and then made again.
    wait_ready(&lab, SOON)?;
    let undone = changes(&lab)?;
    let undone = undone.iter().find(|change| change["status"]["outcome"] == "RolledBack");
    println!("unwritten: {}", undone.context("no change was undone")?["status"]["message"]);
    reads(&lab, BY_HAND)
}

fn spec(wanted: &Value) -> Value {
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    for (field, value) in wanted.as_object().into_iter().flatten() {
        spec["spec"][field] = value.clone();
    }
    spec
}

fn want(lab: &Lab, wanted: &Value) -> Result<()> {
    apply(lab, &spec(wanted))?;
    let took = wait_ready(lab, SOON)?;
    println!("ready after {:.1} s", took.as_secs_f64());
    Ok(())
}

/// The file with these lines behind its last key.
fn with(lines: &str) -> Vec<u8> {
    let last = b"mac_prefix: BC:24:11\n";
    replaced(BY_HAND, last, &[last, lines.as_bytes()].concat())
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from);
    at.map_or_else(|| bytes.to_vec(), |at| [&bytes[..at], to, &bytes[at + from.len()..]].concat())
}

/// Fails unless every host reads these bytes.
fn reads(lab: &Lab, wanted: &[u8]) -> Result<()> {
    for name in HOSTS {
        let read = lab.host(name)?.command(&["cat", FILE])?.output().context("cat")?;
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            read.stdout == wanted,
            "{name} reads:\n{}\nand not:\n{}",
            shown(&read.stdout),
            shown(wanted)
        );
    }
    Ok(())
}
