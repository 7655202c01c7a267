//! Members leave: one spec edit each, nobody who stays notices more than that, and the machine stays out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    HOSTS, apply, changes, formed, get, now_ms, record, wait_ready, wait_stalled, with_links,
};

const LONG: Duration = Duration::from_secs(60);
const BACKUPS: &str = "/var/lib/pve-cluster/backup";

/// Expected and total votes.
type Votes = (u32, u32);

#[test]
fn two_of_three_members_leave_and_stay_out_when_they_boot() -> Result<()> {
    let lab = formed("removal")?;
    a_guest_holds_its_host(&lab)?;
    let (began, votes) = remove(&lab, &["n1", "n2"])?;
    follows(&votes, &[(3, 3), (3, 2), (2, 2)])?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2]])?;
        let buried = &get(&lab, &["pvehost", host])?["status"]["tombstones"];
        ensure!(buried[0]["name"] == "n3" && buried[0]["nodeId"] == 3, "{host}: {buried}");
        ensure!(buried[0]["machineId"].is_string(), "{host}: {buried}");
    }
    keeps_nothing(&lab, "n3")?;

    let booted = now_ms();
    let n3 = lab.host("n3")?;
    n3.power_off()?;
    n3.boot()?;
    n3.exec(&["systemctl", "start", "corosync"])?;
    keeps_nothing(&lab, "n3")?;
    old_disk_stays_out(&n3)?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, booted, &[])?;
    }

    let (began, votes) = remove(&lab, &["n1"])?;
    // The vote that n1 was lent stays: alone it decides nothing, and a second node would need it again.
    follows(&votes, &[(2, 2), (3, 3), (3, 2), (2, 2)])?;
    undisturbed_but_for(&lab, "n1", began, &[&[1]])?;
    keeps_nothing(&lab, "n2")
}

/// Asked to leave with a guest, a host stays until the guest is gone from it; asked back, nothing happened.
fn a_guest_holds_its_host(lab: &Lab) -> Result<()> {
    let (n3, count) = (lab.host("n3")?, changes(lab)?.len());
    let guest = "/etc/pve/nodes/n3/qemu-server/100.conf";
    n3.sh(&format!("mkdir -p $(dirname {guest}) && echo 'memory: 512' > {guest}"))?;
    // Without this wait a change may begin, and n3 itself refuses it.
    wait_until(LONG, "n3 to tell of its guest", || {
        let told = get(lab, &["pvehost", "n3"]).map_err(|error| format!("{error:#}"))?;
        let guests = &told["status"]["guests"];
        if guests == &json!([100]) { Ok(()) } else { Err(guests.to_string()) }
    })?;
    apply(lab, &of(&["n1", "n2"]))?;
    let sentence = wait_stalled(lab, "StillReferenced")?;
    println!("{sentence}");
    ensure!(sentence.contains("n3") && sentence.contains("100"), "{sentence}");
    apply(lab, &of(&HOSTS))?;
    wait_ready(lab, LONG)?;
    n3.run(&["rm", guest])?;
    ensure!(changes(lab)?.len() == count, "a change was made");
    Ok(())
}

/// The sample cluster of these hosts.
fn of(names: &[&str]) -> Value {
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    let nodes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    spec["spec"]["nodes"] = json!(nodes);
    spec["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
    spec
}

/// Edits the spec and waits for the change, which is one; says when it was asked for, and which votes n1
/// counted meanwhile.
fn remove(lab: &Lab, staying: &[&str]) -> Result<(u64, Vec<Votes>)> {
    let count = changes(lab)?.len();
    let spec = of(staying);
    let (began, over) = (now_ms(), AtomicBool::new(false));
    let n1 = lab.host("n1")?;
    let votes = std::thread::scope(|scope| {
        let sampled = scope.spawn(|| sample(&n1, &over));
        let done = apply(lab, &spec).and_then(|()| wait_ready(lab, LONG));
        over.store(true, Ordering::Relaxed);
        let votes = sampled.join().unwrap_or_default();
        done.map(|took| {
            println!("{staying:?} stay: {:.1} s, votes {votes:?}", took.as_secs_f64());
            votes
        })
    })?;
    let all = changes(lab)?;
    ensure!(all.len() == count + 1, "{} changes were made", all.len() - count);
    let last = &all[count];
    ensure!(last["status"]["outcome"] == "Succeeded", "{}", last["status"]);
    Ok((began, votes))
}

fn sample(host: &Host<'_>, over: &AtomicBool) -> Vec<Votes> {
    let mut seen = Vec::new();
    loop {
        let last = over.load(Ordering::Relaxed);
        if let Some(votes) = votes(host).filter(|votes| seen.last() != Some(votes)) {
            seen.push(votes);
        }
        if last {
            return seen;
        }
    }
}

fn votes(host: &Host<'_>) -> Option<Votes> {
    let said = host.exec(&["corosync-quorumtool", "-s"]).ok()?.stdout;
    let figure = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((figure("Expected votes:")?, figure("Total votes:")?))
}

/// Each state that was seen is the next one or a later one of those that may be, and the first and the last
/// one were seen.
fn follows(seen: &[Votes], wanted: &[Votes]) -> Result<()> {
    let mut rest = wanted.iter();
    let in_order = seen.iter().all(|votes| rest.any(|wanted| wanted == votes));
    let whole = seen.first() == wanted.first() && seen.last() == wanted.last();
    ensure!(in_order && whole, "votes {seen:?}, not {wanted:?}");
    Ok(())
}

/// Quorate and writable all the time, with these memberships and no others.
fn undisturbed_but_for(lab: &Lab, host: &str, from: u64, wanted: &[&[u32]]) -> Result<()> {
    let (record, until) = (record(lab, host)?, now_ms());
    let lost = record.quorum_gaps(from, until);
    ensure!(lost.is_empty(), "{host} lost quorum: {lost:?}");
    let read_only = record.read_only_gaps(from, until);
    ensure!(read_only.is_empty(), "{host}: /etc/pve did not take writes: {read_only:?}");
    let moved = record.membership_changes(from, until);
    let members: Vec<&[u32]> = moved.iter().map(|change| change.members.as_slice()).collect();
    ensure!(members == wanted, "{host} saw the memberships {moved:?}");
    Ok(())
}

/// Nothing with which the host could start as a member, all of it in the backup folder, and a writable
/// /etc/pve of its own; and the cluster has let it go.
fn keeps_nothing(lab: &Lab, name: &str) -> Result<()> {
    let host = lab.host(name)?;
    wait_until(LONG, &format!("{name} on its own"), || {
        let script = format!(
            "! test -e /etc/corosync/corosync.conf && ! test -e /etc/corosync/authkey && \
             ! systemctl is-active --quiet corosync && ! test -e /etc/pve/corosync.conf && \
             ls {BACKUPS}/*.corosync.conf {BACKUPS}/*.authkey {BACKUPS}/before-change-*.db && \
             touch /etc/pve/own && rm /etc/pve/own"
        );
        let said = host.exec(&["sh", "-c", &script]).map_err(|error| format!("{error:#}"))?;
        if said.success() { Ok(()) } else { Err(format!("{said:?}")) }
    })?;
    wait_until(LONG, &format!("{name} to be let go"), || {
        let status = get(lab, &["pvehost", name]).map_err(|error| format!("{error:#}"))?;
        let claim = &status["status"]["cluster"];
        if claim.is_null() { Ok(()) } else { Err(claim.to_string()) }
    })
}

/// As if it had never put anything away: with its old files it starts alone, and has no quorum.
fn old_disk_stays_out(host: &Host<'_>) -> Result<()> {
    host.sh(&format!(
        "set -e; systemctl stop pve-cluster; cd {BACKUPS}; \
         cp $(ls -t *.corosync.conf | head -n 1) /etc/corosync/corosync.conf; \
         cp $(ls -t *.authkey | head -n 1) /etc/corosync/authkey; chmod 0400 /etc/corosync/authkey; \
         db=$(ls -t before-change-*.db | head -n 1); rm -f /var/lib/pve-cluster/config.db*; \
         for end in '' -wal -shm; do test ! -e $db$end || cp $db$end /var/lib/pve-cluster/config.db$end; done"
    ))?;
    host.crash()?;
    host.boot()?;
    host.exec(&["systemctl", "start", "corosync"])?;
    wait_until(LONG, "the old disk to run alone", || match votes(host) {
        Some((3, 1)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}
