//! Members leave: one spec edit each, nobody who stays notices more than that, and the machine stays out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::gate::told;
use crate::support::{
    HOSTS, apply, changes, formed, get, kubectl, now_ms, record, wait_ready, wait_stalled,
    with_links,
};

const LONG: Duration = Duration::from_secs(60);
const BACKUPS: &str = "/var/lib/pve-cluster/backup";

/// Expected and total votes.
pub(crate) type Votes = (u32, u32);

#[test]
fn two_of_three_members_leave_and_stay_out_when_they_boot() -> Result<()> {
    let lab = formed("removal")?;
    a_guest_holds_its_host(&lab)?;
    leave_traces(&lab)?;
    let (began, votes) = remove(&lab, &["n1", "n2"])?;
    follows(&votes, &[(3, 3), (3, 2), (2, 2)])?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2]])?;
        let buried = &get(&lab, &["pvehost", host])?["status"]["tombstones"];
        ensure!(buried[0]["name"] == "n3" && buried[0]["nodeId"] == 3, "{host}: {buried}");
        ensure!(buried[0]["machineId"].is_string(), "{host}: {buried}");
    }
    keeps_nothing(&lab, "n3")?;
    no_traces(&lab)?;

    let booted = now_ms();
    let n3 = lab.host("n3")?;
    n3.power_off()?;
    n3.boot()?;
    n3.exec(&["systemctl", "start", "corosync"])?;
    keeps_nothing(&lab, "n3")?;
    old_disk_is_held(&lab, &n3)?;
    unknown_it_stays_alone(&lab, &n3)?;
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

const KEPT: &str = "ssh-rsa AAA root@n1\n";
const STORAGES: &str = "dir: local\n\tpath /n3\n\nnfs: shared\n\tserver n3\n\tnodes n1,n3\n";
const ARCHIVE: &str = "/etc/pve/priv/pvecm-removed/n3-3";

/// What Proxmox VE and its people write of a node: a key, a certificate, a storage.
fn leave_traces(lab: &Lab) -> Result<()> {
    let (n1, n3) = (lab.host("n1")?, lab.host("n3")?);
    n3.write_file("/etc/pve/nodes/n3/pve-ssl.pem", b"certificate", 0o640)?;
    let keys = format!("{KEPT}ssh-rsa BBB root@n3\n");
    n1.write_file("/etc/pve/priv/authorized_keys", keys.as_bytes(), 0o600)?;
    n1.write_file("/etc/pve/storage.cfg", STORAGES.as_bytes(), 0o640)?;
    wait_until(LONG, "n3 to tell of its storage", || {
        let told = get(lab, &["pvehost", "n3"]).map_err(|error| format!("{error:#}"))?;
        let named = &told["status"]["references"];
        let wanted = json!([{"kind": "Storage", "name": "shared", "namesOthers": true}]);
        if named == &wanted { Ok(()) } else { Err(told["status"].to_string()) }
    })
}

/// None of them is left, and all that was more than a name is in the archive.
fn no_traces(lab: &Lab) -> Result<()> {
    let n2 = lab.host("n2")?;
    let storages = n2.run(&["cat", "/etc/pve/storage.cfg"])?;
    ensure!(storages == STORAGES.replace("n1,n3", "n1"), "{storages}");
    let keys = n2.run(&["cat", "/etc/pve/priv/authorized_keys"])?;
    ensure!(keys == KEPT, "{keys}");
    let nodes = n2.run(&["ls", "/etc/pve/nodes"])?;
    ensure!(nodes.split_whitespace().eq(["n1", "n2"]), "{nodes}");
    let kept = n2.sh(&format!("cd {ARCHIVE} && cat authorized_keys node/pve-ssl.pem"))?;
    ensure!(kept == "ssh-rsa BBB root@n3\ncertificate", "{kept}");
    let left = n2.run(&["ls", "/etc/pve/priv/lock"])?;
    ensure!(left.trim().is_empty(), "locks are left: {left}");
    Ok(())
}

/// The sample cluster of these hosts.
pub(crate) fn of(names: &[&str]) -> Value {
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    let nodes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    spec["spec"]["nodes"] = json!(nodes);
    spec["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
    spec["spec"]["rollout"]["removal"] = json!("CleanReferences");
    spec
}

fn remove(lab: &Lab, staying: &[&str]) -> Result<(u64, Vec<Votes>)> {
    edit(lab, staying, ("n1", 1))
}

/// Edits the spec and waits for so many changes; says when it was asked for, and which votes a host counted
/// meanwhile.
pub(crate) fn edit(
    lab: &Lab,
    staying: &[&str],
    (witness, wanted): (&str, usize),
) -> Result<(u64, Vec<Votes>)> {
    let count = changes(lab)?.len();
    let spec = of(staying);
    let (began, over) = (now_ms(), AtomicBool::new(false));
    let witness = lab.host(witness)?;
    let votes = std::thread::scope(|scope| {
        let sampled = scope.spawn(|| sample(&witness, &over));
        let done = apply(lab, &spec).and_then(|()| wait_ready(lab, 2 * LONG));
        over.store(true, Ordering::Relaxed);
        let votes = sampled.join().unwrap_or_default();
        done.map(|took| {
            println!("{staying:?} stay: {:.1} s, votes {votes:?}", took.as_secs_f64());
            votes
        })
    })?;
    let all = changes(lab)?;
    ensure!(all.len() == count + wanted, "{} changes were made", all.len() - count);
    for change in &all[count..] {
        ensure!(change["status"]["outcome"] == "Succeeded", "{}", change["status"]);
    }
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

pub(crate) fn votes(host: &Host<'_>) -> Option<Votes> {
    let said = host.exec(&["corosync-quorumtool", "-s"]).ok()?.stdout;
    let figure = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((figure("Expected votes:")?, figure("Total votes:")?))
}

/// Each state that was seen is the next one or a later one of those that may be, and the first and the last
/// one were seen.
pub(crate) fn follows(seen: &[Votes], wanted: &[Votes]) -> Result<()> {
    let mut rest = wanted.iter();
    let in_order = seen.iter().all(|votes| rest.any(|wanted| wanted == votes));
    let whole = seen.first() == wanted.first() && seen.last() == wanted.last();
    ensure!(in_order && whole, "votes {seen:?}, not {wanted:?}");
    Ok(())
}

/// Quorate and writable all the time, with these memberships and no others.
pub(crate) fn undisturbed_but_for(
    lab: &Lab,
    host: &str,
    from: u64,
    wanted: &[&[u32]],
) -> Result<()> {
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
    stands_alone(lab, name)?;
    wait_until(LONG, &format!("{name} to be let go"), || {
        let status = get(lab, &["pvehost", name]).map_err(|error| format!("{error:#}"))?;
        let claim = &status["status"]["cluster"];
        if claim.is_null() { Ok(()) } else { Err(claim.to_string()) }
    })
}

pub(crate) fn stands_alone(lab: &Lab, name: &str) -> Result<()> {
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
    })
}

/// As if it had never put anything away: the API server still knows the change in which it left.
fn old_disk_is_held(lab: &Lab, host: &Host<'_>) -> Result<()> {
    host.sh(&format!(
        "set -e; systemctl stop pve-cluster; cd {BACKUPS}; \
         cp $(ls -t *.corosync.conf | head -n 1) /etc/corosync/corosync.conf; \
         cp $(ls -t *.authkey | head -n 1) /etc/corosync/authkey; chmod 0400 /etc/corosync/authkey; \
         db=$(ls -t before-change-*.db | head -n 1); rm -f /var/lib/pve-cluster/config.db*; \
         for end in '' -wal -shm; do test ! -e $db$end || cp $db$end /var/lib/pve-cluster/config.db$end; done"
    ))?;
    host.crash()?;
    host.boot()?;
    println!("{}", told(lab, host.name(), "Held")?);
    host.run(&["systemctl", "start", "corosync"])?;
    ensure!(votes(host).is_none(), "corosync runs with the old disk");
    Ok(())
}

/// Nobody knows the machine any more, its own agent has forgotten as well, and no member has its key: with its
/// old files it starts alone, and has no quorum.
fn unknown_it_stays_alone(lab: &Lab, host: &Host<'_>) -> Result<()> {
    kubectl(lab, &["delete", "pvehost", host.name()])?;
    host.run(&["rm", "-r", "/var/lib/pvecm-agent/held"])?;
    host.crash()?;
    host.boot()?;
    wait_until(LONG, "the old disk to run alone", || match votes(host) {
        Some((3, 1)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}
