//! A host that was off while its cluster changed is caught before its corosync starts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::network::Network;
use pvecm_e2e::trust;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::removal::{Votes, undisturbed_but_for, votes};
use crate::support::{
    CLUSTER, apply, cluster_of, formed, get, knet, kubectl, now_ms, record, wait_ready,
};

const LONG: Duration = Duration::from_secs(60);
const PVE: &str = "/etc/pve/corosync.conf";
const DISK: &str = "/etc/corosync/corosync.conf";

/// n4 and n3 are removed and the link is moved by hand while n5 is off. n1 has two votes, so that it can be.
#[test]
fn a_host_that_was_off_comes_back_with_the_file_in_force_and_a_removed_one_is_held() -> Result<()> {
    let lab = Lab::up(Options { hosts: 5, ..Options::scenario("gate") }, &mut |_| ())?;
    trust::as_installed(&lab.hosts())?;
    let mut spec = cluster_of(&lab, &json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["nodes"][0]["votes"] = json!(2);
    apply(&lab, &spec)?;
    wait_ready(&lab, 2 * LONG)?;
    trust_each_other(&lab)?;
    pause(&lab)?;
    let [n1, n3, n4, n5] = ["n1", "n3", "n4", "n5"].map(|name| lab.host(name));
    let (n1, n3, n4, n5) = (n1?, n3?, n4?, n5?);
    let began = now_ms();
    n5.power_off()?;
    wait_votes(&n1, (6, 5))?;
    for (gone, left) in [(&n4, (5, 4)), (&n3, (4, 3))] {
        gone.crash()?;
        wait_votes(&n1, (left.0 + 1, left.1))?;
        edit(&n1, |text| without(text, gone.name()))?;
        wait_votes(&n1, left)?;
    }
    move_link(&lab, &n1)?;

    comes_back(&lab, "with the API server", (4, 4))?;
    n5.power_off()?;
    wait_votes(&n1, (4, 3))?;
    edit(&n1, |text| text.replace("totem {\n", "totem {\n  token: 4000\n"))?;
    lab.control_plane()?.stop_api_server()?;
    comes_back(&lab, "without the API server", (4, 4))?;

    removed_ones_are_held(&lab)?;
    for host in ["n1", "n2"] {
        let lost = record(&lab, host)?.quorum_gaps(began, now_ms());
        ensure!(lost.is_empty(), "{host} lost quorum: {lost:?}");
    }
    lab.control_plane()?.start_api_server()?;
    println!("{}", told(&lab, "n4", "Held")?);
    // Any other file starts, as one that `pvecm add` wrote has to.
    n4.sh(&format!("echo '# another one' >>{DISK}; systemctl start corosync"))?;
    n4.run(&["systemctl", "is-active", "corosync"]).map(drop)
}

/// Nobody but the agents gave the cluster these keys.
pub fn trust_each_other(lab: &Lab) -> Result<()> {
    for host in lab.hosts() {
        wait_until(LONG, "root to be let in by every member", || {
            lets_in(lab, &host).map_err(|error| format!("{error:#}"))
        })?;
    }
    Ok(())
}

/// As Proxmox VE's own tools go to another node: by root's key, and by the host key that the cluster has of it.
fn lets_in(lab: &Lab, host: &Host<'_>) -> Result<()> {
    for (n, other) in lab.hosts().iter().enumerate() {
        let name = other.name();
        let script = format!(
            "ssh -o BatchMode=yes -o HostKeyAlias={name} -o GlobalKnownHostsFile=none \
             -o UserKnownHostsFile=/etc/pve/nodes/{name}/ssh_known_hosts root@10.50.0.{} hostname",
            n + 1
        );
        let answer = host.sh(&script)?;
        ensure!(answer.trim() == name, "{} reached {answer} as {name}", host.name());
    }
    Ok(())
}

/// Without the API server, first with a survivor in reach, then with nobody at the old addresses but each other:
/// then what they know from the boot before holds them.
fn removed_ones_are_held(lab: &Lab) -> Result<()> {
    let (n3, n4, booted) = (lab.host("n3")?, lab.host("n4")?, now_ms());
    are_held(&[&n3, &n4], "with a survivor in reach")?;
    let staying = ["n1", "n2", "n5"];
    for host in staying {
        lab.host(host)?.cut(Network::Net0)?;
    }
    n3.crash()?;
    n4.crash()?;
    are_held(&[&n3, &n4], "with nobody but each other in reach")?;
    for host in staying {
        lab.host(host)?.heal(Network::Net0)?;
        undisturbed_but_for(lab, host, booted, &[])?;
    }
    Ok(())
}

/// What the gate is for, seen without it; and every host that is booted finds nobody who is quorate.
#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_corosync_that_ended_by_itself_is_told_and_mended_and_a_cold_start_is_let_through() -> Result<()>
{
    let lab = formed("outrun")?;
    trust_each_other(&lab)?;
    pause(&lab)?;
    let (n1, n3) = (lab.host("n1")?, lab.host("n3")?);
    n3.run(&["systemctl", "mask", "pvecm-agent-gate"])?;
    n3.power_off()?;
    edit(&n1, |text| text.replace("totem {\n", "totem {\n  token: 4000\n"))?;
    n3.boot()?;
    let sentence = told(&lab, "n3", "Outrun")?;
    println!("{sentence}");
    let wanted = "--property=ExecMainStatus,ExecMainCode,ActiveState,Result,ExecStop";
    let state = n3.run(&["systemctl", "show", "corosync", wanted])?;
    println!("{state}");
    ensure!(state.contains("ExecMainStatus=0\n"), "{state}");
    let cluster = get(&lab, &["pvecluster", CLUSTER])?;
    ensure!(cluster["status"].to_string().contains("ended by itself"), "{}", cluster["status"]);
    n3.sh("systemctl unmask pvecm-agent-gate; pvecm-agent gate; systemctl start corosync")?;
    wait_votes(&n1, (3, 3))?;
    same_files(&n1, &n3)?;

    for host in lab.hosts() {
        host.crash()?;
    }
    let power = Instant::now();
    for host in lab.hosts() {
        host.power_on()?;
    }
    for host in lab.hosts() {
        wait_votes(&host, (3, 3))?;
    }
    println!("cold start: all are there {:.1} s after the power", power.elapsed().as_secs_f64());
    Ok(())
}

fn pause(lab: &Lab) -> Result<()> {
    let paused = json!({"spec": {"rollout": {"paused": true}}}).to_string();
    kubectl(lab, &["patch", "pvecluster", CLUSTER, "--type=merge", "-p", &paused]).map(drop)
}

fn wait_votes(host: &Host<'_>, wanted: Votes) -> Result<()> {
    wait_until(LONG, &format!("votes {wanted:?} on {}", host.name()), || match votes(host) {
        Some(seen) if seen == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// As an administrator edits corosync.conf: the next version, through /etc/pve.
fn edit(host: &Host<'_>, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = host.run(&["cat", PVE])?;
    let version = version(&text)?;
    let next = change(&text).replace(
        &format!("config_version: {version}\n"),
        &format!("config_version: {}\n", version + 1),
    );
    host.write_file(PVE, next.as_bytes(), 0o640)
}

fn version(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("config_version: "));
    line.context("no version")?.parse().context("no number")
}

fn without(text: &str, name: &str) -> String {
    let (head, rest) =
        text.split_once(&format!("  node {{\n    name: {name}\n")).unwrap_or((text, ""));
    let tail = rest.split_once("  }\n").map_or("", |(_, tail)| tail);
    format!("{head}{tail}")
}

/// Make before break: the new link is up before the old one goes.
fn move_link(lab: &Lab, n1: &Host<'_>) -> Result<()> {
    let both = |text: &str| {
        let line = |line: &str| match line.trim().strip_prefix("ring0_addr: 10.50.0.") {
            Some(number) => format!("{line}\n    ring1_addr: 10.51.0.{number}\n"),
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    };
    edit(n1, both)?;
    wait_until(LONG, "the new link", || {
        let up = knet(lab, "n1", 1, "connected").map_err(|error| format!("{error:#}"))?;
        if up.contains(&(2, 1)) { Ok(()) } else { Err(format!("{up:?}")) }
    })?;
    edit(n1, |text| {
        let kept = text.split_inclusive('\n').filter(|line| !line.contains("ring0_addr"));
        let text: String = kept.collect();
        text.replace("linknumber: 0\n", "linknumber: 1\n")
    })
}

/// n5 is booted and is a member at once, with one change of the membership and no reload anywhere.
fn comes_back(lab: &Lab, how: &str, all: Votes) -> Result<()> {
    let (n1, n5) = (lab.host("n1")?, lab.host("n5")?);
    let (from, reloads, power) = (now_ms(), reloads(&n1)?, Instant::now());
    n5.boot()?;
    wait_votes(&n1, all)?;
    println!("{how}: a member {:.1} s after the power", power.elapsed().as_secs_f64());
    println!("{}", outcome(&n5)?);
    wait_until(LONG, "n5's /etc/pve to take writes", || {
        let wrote = n5.exec(&["sh", "-c", "touch /etc/pve/back && rm /etc/pve/back"]);
        let wrote = wrote.map_err(|error| format!("{error:#}"))?;
        if wrote.success() { Ok(()) } else { Err(wrote.stderr) }
    })?;
    same_files(&n1, &n5)?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(lab, host, from, &[&[1, 2, 5]])?;
    }
    ensure!(self::reloads(&n1)? == reloads, "n1 was made to reload");
    ensure!(self::reloads(&n5)? == 0, "n5 was made to reload");
    let kept = n5.run(&["ls", "/var/lib/pvecm-agent/replaced"])?;
    ensure!(kept.contains("corosync.conf."), "{kept}");
    Ok(())
}

fn same_files(one: &Host<'_>, other: &Host<'_>) -> Result<()> {
    let first = one.run(&["cat", PVE])?;
    for (host, path) in [(one, DISK), (other, PVE), (other, DISK)] {
        ensure!(host.run(&["cat", path])? == first, "{path} on {} is another one", host.name());
    }
    Ok(())
}

fn reloads(host: &Host<'_>) -> Result<usize> {
    let journal = host.run(&["journalctl", "-b", "-u", "corosync", "-o", "cat"])?;
    Ok(journal.matches("Config reload requested").count())
}

/// Corosync does not start, neither at boot nor when somebody asks for it.
pub fn are_held(hosts: &[&Host<'_>], how: &str) -> Result<()> {
    let power = Instant::now();
    hosts.iter().try_for_each(|host| host.power_on())?;
    for host in hosts {
        host.wait_until_booted()?;
        println!(
            "{how}: {} is up {:.1} s after the power",
            host.name(),
            power.elapsed().as_secs_f64()
        );
        println!("{}", outcome(host)?);
        host.run(&["systemctl", "start", "corosync"])?;
        let state = host.exec(&["systemctl", "is-active", "corosync"])?.stdout;
        ensure!(state.trim() == "inactive", "corosync on {} is {state}", host.name());
    }
    Ok(())
}

/// What the gate said last.
fn outcome(host: &Host<'_>) -> Result<String> {
    let words = "journalctl -b -u pvecm-agent-gate -t pvecm-agent -n 1 -o cat";
    let said = host.run(&words.split(' ').collect::<Vec<_>>())?;
    Ok(said.rsplit_once('=').map(|(_, outcome)| outcome.trim().to_owned()).unwrap_or_default())
}

/// What a host's conditions say for this reason.
pub(crate) fn told(lab: &Lab, host: &str, reason: &str) -> Result<String> {
    wait_until(LONG, &format!("{host} to tell {reason}"), || {
        let status = get(lab, &["pvehost", host]).map_err(|error| format!("{error:#}"))?;
        let conditions = status["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_it = |c: &&Value| c["type"] == "Quorate" && c["reason"] == reason;
        let found = conditions.iter().find(is_it).map(|c| c["message"].to_string());
        found.ok_or_else(|| json!(conditions).to_string())
    })
}
