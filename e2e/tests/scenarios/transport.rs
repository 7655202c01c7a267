//! Clusters on udp and udpu are adopted as they are and moved to knet: asked first, then everybody stops once and
//! comes back on the other transport, or everybody comes back on the one before.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::adoption::{adopted, built, plain};
use crate::approval::wait_for_question;
use crate::outage::{ask, on_disk, one_outage, outcome};
use crate::restarts::daemons;
use crate::support::{
    CLUSTER, HOSTS, apply, cmap, file_in_force, formed, now_ms, record, wait_ready, wait_stalled,
    with_links,
};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_cluster_on_udpu_is_adopted_and_moved_to_knet_after_a_person_approved_the_outage() -> Result<()>
{
    let lab = built("udpu", 3, &in_the_old_style())?;
    let mut spec = adopted(&lab)?;
    ensure!(spec["spec"]["totem"]["transport"] == "Udpu", "{spec}");
    let (before, file) = (daemons(&lab)?, file_in_force(&lab)?);

    spec["spec"]["totem"]["tokenMillis"] = json!(4000);
    apply(&lab, &spec)?;
    let sentence = wait_stalled(&lab, "OldTransport")?;
    println!("{sentence}");
    ensure!(sentence.contains("set `totem.transport: Knet` first"), "{sentence}");

    spec["spec"]["totem"]["transport"] = json!("Knet");
    spec["spec"]["totem"]["crypto"] = json!({"cipher": "AES256", "hash": "SHA256"});
    apply(&lab, &spec)?;
    let sentence = wait_for_question(&lab)?;
    println!("{sentence}");
    ensure!(sentence.contains("n1, n2, n3 are all without quorum"), "{sentence}");
    let plan = ask(&lab, &["plan", CLUSTER, "--diff"])?;
    println!("{plan}");
    for line in ["Outage", "-  transport: udpu", "+  transport: knet", "+  crypto_cipher: aes256"] {
        ensure!(plan.contains(line), "`{line}` is not in the plan");
    }
    ensure!(file_in_force(&lab)? == file, "written before it was approved");
    ensure!(daemons(&lab)? == before, "stopped before it was approved");

    let (began, clock) = (now_ms(), Instant::now());
    ask(&lab, &["approve", CLUSTER])?;
    wait_until(SOON, "everybody on knet", || {
        runs(&lab, "knet").map_err(|error| format!("{error:#}"))
    })?;
    println!("on knet {:.1} s after the approval", clock.elapsed().as_secs_f64());
    wait_ready(&lab, SOON)?;
    println!("ready, with the token of the spec, {:.1} s after it", clock.elapsed().as_secs_f64());
    let after = daemons(&lab)?;
    for host in HOSTS {
        ensure!(after[host] != before[host], "corosync on {host} is the old one");
        ensure!(cmap(&lab, host, "totem.crypto_cipher")? == "aes256", "{host} does not encrypt");
        ensure!(cmap(&lab, host, "totem.token")? == "4000", "{host} has another token");
        let links = lab.host(host)?.run(&["corosync-cfgtool", "-s"])?;
        ensure!(links.contains("transport knet"), "{links}");
        ensure!(links.matches("\tconnected").count() == 2, "{links}");
    }
    wait_until(SOON, "the packets of a link that encrypts", || {
        encrypted(&lab).map_err(|error| format!("{error:#}"))
    })?;
    one_outage(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_host_that_cannot_start_on_knet_brings_all_back_to_udpu() -> Result<()> {
    let lab = built("udpuback", 3, &in_the_old_style())?;
    let mut spec = adopted(&lab)?;
    let before = file_in_force(&lab)?;
    // `corosync -t` takes the text, and the daemon does not start with it.
    lab.host("n3")?.sh("mkdir -p /etc/systemd/system/corosync.service.d \
         && printf '[Service]\\nExecStartPre=/bin/sh -c \"! grep -q transport:.knet$$ \
         /etc/corosync/corosync.conf\"\\n' >/etc/systemd/system/corosync.service.d/lab.conf \
         && systemctl daemon-reload")?;
    let began = now_ms();
    want(&lab, &mut spec, &json!({"transport": "Knet"}))?;
    ensure!(outcome(&lab)? == "RolledBack", "it was not undone");
    let file = file_in_force(&lab)?;
    ensure!(file != before, "the version did not go up");
    let same =
        |text: &str| text.lines().filter(|l| !l.contains("config_version")).collect::<String>();
    ensure!(same(&file) == same(&before), "more than the version is another one:\n{file}");
    wait_until(SOON, "everybody on udpu", || {
        runs(&lab, "udpu").map_err(|error| format!("{error:#}"))
    })?;
    let until = now_ms();
    for host in HOSTS {
        println!("{host}: {:?}", record(&lab, host)?.quorum_gaps(began, until));
    }
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_cluster_on_knet_goes_to_udpu_to_udp_and_back() -> Result<()> {
    let lab = formed("transports")?;
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    let crypto = |cipher: &str, hash: &str| json!({"cipher": cipher, "hash": hash});
    for (transport, word, crypto) in [
        ("Udpu", "udpu", crypto("None", "None")),
        ("Udp", "udp", crypto("None", "None")),
        ("Knet", "knet", crypto("AES256", "SHA256")),
    ] {
        let began = now_ms();
        want(&lab, &mut spec, &json!({"transport": transport, "crypto": crypto}))?;
        ensure!(outcome(&lab)? == "Succeeded", "not moved to {transport}");
        wait_ready(&lab, SOON)?;
        runs(&lab, word)?;
        one_outage(&lab, began)?;
    }
    let file = file_in_force(&lab)?;
    ensure!(file.contains("crypto_cipher: aes256"), "{file}");
    Ok(())
}

/// Three nodes as corosync 2 had them: interface sections with a ring's number and network, and no encryption.
fn in_the_old_style() -> String {
    plain(3, |n| format!("10.50.0.{n}"), "")
        .replace("secauth: on", "secauth: off\n  transport: udpu")
        .replace("  link_mode: passive\n", "")
        .replace("linknumber: 0", "bindnetaddr: 10.50.0.0\n    mcastport: 5405\n    ringnumber: 0")
}

/// What knet found to fit into a packet beside aes256 and sha256 (facts/corosync.md 7.2; 1446 in the clear).
fn encrypted(lab: &Lab) -> Result<()> {
    for host in HOSTS {
        let links = lab.host(host)?.run(&["corosync-cfgtool", "-n"])?;
        ensure!(links.matches("mtu: 1397").count() == 2, "{links}");
    }
    Ok(())
}

/// Asks for this and approves it.
fn want(lab: &Lab, spec: &mut Value, totem: &Value) -> Result<()> {
    spec["spec"]["totem"] = totem.clone();
    apply(lab, spec)?;
    println!("{}", wait_for_question(lab)?);
    ask(lab, &["approve", CLUSTER])?;
    Ok(())
}

/// Whether every daemon runs on this transport, quorate, with the file in force on its disk.
fn runs(lab: &Lab, transport: &str) -> Result<()> {
    let file = file_in_force(lab)?;
    for host in HOSTS {
        let running = cmap(lab, host, "totem.transport")?;
        ensure!(running == transport, "{host} runs on {running}");
        ensure!(on_disk(lab, host)? == file, "the disk of {host} has another file");
        lab.host(host)?.run(&["corosync-quorumtool", "-s"])?;
    }
    Ok(())
}
