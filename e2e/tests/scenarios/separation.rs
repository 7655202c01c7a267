//! A member goes on alone with its guests, and comes back; another machine takes the place of a dead one; a whole
//! cluster ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::outage::ask;
use crate::removal::{of, stands_alone, undisturbed_but_for, votes};
use crate::support::{
    CLUSTER, HOSTS, apply, changes, formed, get, kubectl, now_ms, wait_ready, wait_stalled,
};

const LONG: Duration = Duration::from_secs(60);
const STORAGES: &str = "dir: local\n\tpath /var/lib/vz\n\nnfs: shared\n\tserver s\n\texport /e\n";
const ARCHIVE: &str = "/etc/pve/priv/pvecm-removed";

#[test]
fn a_member_goes_on_alone_with_its_guests_and_joins_again_under_its_name() -> Result<()> {
    let lab = formed("separate")?;
    let (n1, n3) = (lab.host("n1")?, lab.host("n3")?);
    furnish(&lab)?;
    state(&lab, "n3", &json!({"afterRemoval": "LiveAlone"}))?;
    let count = changes(&lab)?.len();
    apply(&lab, &of(&["n1", "n2"]))?;
    let sentence = wait_stalled(&lab, "StorageShared")?;
    println!("{sentence}");
    ensure!(sentence.contains("n3") && sentence.contains("shared"), "{sentence}");
    ensure!(changes(&lab)?.len() == count, "a change was made");

    let began = now_ms();
    state(&lab, "n3", &json!({"sharedStorages": ["shared"]}))?;
    wait_until(2 * LONG, "n3 to be off the list and let go", || {
        let claim = field(&lab, "n3", "cluster")?;
        if claim.is_null() { Ok(()) } else { Err(claim.to_string()) }
    })?;
    println!("asked until let go: {:.1} s", seconds(now_ms() - began));
    let last = changes(&lab)?.pop().context("no change")?;
    let summary = last["spec"]["plan"]["summary"].as_str().unwrap_or_default();
    ensure!(summary.contains("goes on alone") && summary.contains("shared"), "{summary}");
    ensure!(last["status"]["outcome"] == "Succeeded", "{}", last["status"]);
    both_sides_write(&lab)?;
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2]])?;
    }
    n3.power_off()?;
    n3.boot()?;
    lives_alone(&lab, "n3", 103)?;

    // Under its name again: not with a guest, and with everything of the cluster's once that is gone.
    apply(&lab, &of(&HOSTS))?;
    let sentence = wait_stalled(&lab, "GuestsOnJoiner")?;
    ensure!(sentence.contains("103"), "{sentence}");
    let began = now_ms();
    n3.run(&["rm", "/etc/pve/nodes/n3/qemu-server/103.conf"])?;
    wait_until(LONG, "n3 to be a member again", || match votes(&n1) {
        Some((3, 3)) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    wait_ready(&lab, LONG)?;
    println!("joined again after {:.1} s", seconds(now_ms() - began));
    let node = &get(&lab, &["pvecluster", CLUSTER])?["status"]["nodes"][2];
    ensure!(node["name"] == "n3" && node["nodeId"] == 4, "{node}");
    n3.sh("test ! -e /etc/pve/own-n3 && test -e /etc/pve/own-n1 && touch /etc/pve/again")?;
    n1.run(&["rm", "/etc/pve/again"])?;
    undisturbed_but_for(&lab, "n1", began, &[&[1, 2, 4]])
}

/// What is to be seen on the host that goes on alone, one after the other.
const STEPS: [&str; 5] = [
    "! systemctl is-active --quiet corosync",
    "! test -e /etc/corosync/authkey",
    "ls /var/lib/pve-cluster/backup/before-change-*.db",
    "pgrep -f 'pmxcfs -l'",
    "mountpoint -q /etc/pve && ! test -e /etc/pve/corosync.conf",
];

#[test]
#[ignore = "slow: one more lab; the steps are tested against a host in memory"]
fn a_host_whose_agent_is_killed_at_each_step_goes_on_alone_all_the_same() -> Result<()> {
    let lab = formed("separate-kill")?;
    furnish(&lab)?;
    let alone = json!({"afterRemoval": "LiveAlone", "sharedStorages": ["shared"]});
    state(&lab, "n3", &alone)?;
    let n3 = lab.host("n3")?;
    std::thread::scope(|scope| {
        let killing = scope.spawn(|| {
            STEPS.into_iter().try_for_each(|seen| {
                let wait = format!("until {seen}; do sleep 0.01; done");
                n3.run(&["timeout", "60", "sh", "-c", &wait])?;
                n3.run(&["systemctl", "kill", "--signal=KILL", "pvecm-agent"]).map(drop)
            })
        });
        apply(&lab, &of(&["n1", "n2"]))?;
        killing.join().map_err(|_| anyhow::anyhow!("killing panicked"))?
    })?;
    wait_until(2 * LONG, "n3 to be let go", || {
        let claim = field(&lab, "n3", "cluster")?;
        if claim.is_null() { Ok(()) } else { Err(claim.to_string()) }
    })?;
    both_sides_write(&lab)
}

/// A guest on each host, keys of all, and a storage that all of them reach.
fn furnish(lab: &Lab) -> Result<()> {
    for (host, id) in HOSTS.into_iter().zip(101..) {
        let guest = format!("/etc/pve/nodes/{host}/qemu-server/{id}.conf");
        let text = format!("name: of-{host}\n");
        lab.host(host)?.write_file(&guest, text.as_bytes(), 0o640)?;
    }
    let n1 = lab.host("n1")?;
    let keys = HOSTS.map(|host| format!("ssh-rsa {host} root@{host}\n")).concat();
    n1.write_file("/etc/pve/priv/authorized_keys", keys.as_bytes(), 0o600)?;
    n1.write_file("/etc/pve/storage.cfg", STORAGES.as_bytes(), 0o640)?;
    wait_until(LONG, "n3 to tell of its guest and its storage", || {
        let (guests, shared) = (field(lab, "n3", "guests")?, field(lab, "n3", "sharedStorages")?);
        let told = guests == json!([103]) && shared == json!(["shared"]);
        if told { Ok(()) } else { Err(format!("{guests} {shared}")) }
    })
}

fn field(lab: &Lab, host: &str, name: &str) -> Result<Value, String> {
    let host = get(lab, &["pvehost", host]).map_err(|error| format!("{error:#}"))?;
    Ok(host["status"][name].clone())
}

/// Writes a part of a host's spec, as a person does.
fn state(lab: &Lab, host: &str, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    kubectl(lab, &["patch", "pvehost", host, "--type=merge", "-p", &patch]).map(drop)
}

/// Each has its own guest and keys, and nothing of the other's stands where Proxmox VE looks.
fn both_sides_write(lab: &Lab) -> Result<()> {
    lives_alone(lab, "n3", 103)?;
    let (n1, n3) = (lab.host("n1")?, lab.host("n3")?);
    n3.sh("touch /etc/pve/own-n3")?;
    let kept = n3.sh(&format!("cat {ARCHIVE}/n1/node/qemu-server/101.conf"))?;
    ensure!(kept == "name: of-n1\n", "{kept}");
    n1.sh("touch /etc/pve/own-n1")?;
    n3.sh("test ! -e /etc/pve/own-n1")?;
    let nodes = n1.run(&["ls", "/etc/pve/nodes"])?;
    ensure!(nodes.split_whitespace().eq(["n1", "n2"]), "{nodes}");
    let keys = n1.run(&["cat", "/etc/pve/priv/authorized_keys"])?;
    ensure!(keys == "ssh-rsa n1 root@n1\nssh-rsa n2 root@n2\n", "{keys}");
    // Its id is free again on this side, and what was known of it is kept.
    n1.sh(&format!(
        "cat {ARCHIVE}/n3-3/node/qemu-server/103.conf && \
         touch /etc/pve/nodes/n1/qemu-server/103.conf && rm /etc/pve/nodes/n1/qemu-server/103.conf"
    ))?;
    Ok(())
}

/// Writable without corosync, with its own guest alone.
fn lives_alone(lab: &Lab, name: &str, guest: u32) -> Result<()> {
    stands_alone(lab, name)?;
    let host = lab.host(name)?;
    let guests = host.sh("cd /etc/pve/nodes && ls && cat */qemu-server/*")?;
    ensure!(guests == format!("{name}\nname: of-{name}\n"), "{guests}");
    let listed = host.run(&["cat", "/etc/pve/.vmlist"])?;
    ensure!(
        listed.matches("\"node\"").count() == 1 && listed.contains(&guest.to_string()),
        "{listed}"
    );
    let keys = host.run(&["cat", "/etc/pve/priv/authorized_keys"])?;
    ensure!(keys == format!("ssh-rsa {name} root@{name}\n"), "{keys}");
    Ok(())
}

#[test]
fn another_machine_takes_the_place_of_one_that_is_gone_under_its_name() -> Result<()> {
    let lab = formed("replace")?;
    apply(&lab, &of(&HOSTS))?;
    wait_ready(&lab, LONG)?;
    let n1 = lab.host("n1")?;
    let replace = ["host", "replace", "n3"];
    let because = [&replace[..], &["--because", "disk died, unplugged"]].concat();
    let refused = ask(&lab, &because).err().context("n3 is heard")?.to_string();
    ensure!(refused.contains("power it off first"), "{refused}");
    let began = now_ms();
    lab.host("n3")?.crash()?;
    wait_until(LONG, "n3 not to be heard", || {
        ask(&lab, &because).map(|said| println!("{said}")).map_err(|error| format!("{error:#}"))
    })?;
    println!("off the list {:.1} s after the power went", seconds(now_ms() - began));
    ensure!(votes(&n1) == Some((2, 2)), "{:?}", votes(&n1));

    let before = field(&lab, "n3", "machineId").map_err(anyhow::Error::msg)?;
    lab.reinstall("n3")?;
    wait_until(LONG, "another machine to be heard as n3", || {
        ask(&lab, &replace).map_err(|error| format!("{error:#}"))?;
        let host = get(&lab, &["pvehost", "n3"]).map_err(|error| format!("{error:#}"))?;
        let taken_back = host["spec"]["absence"].is_null();
        if taken_back { Ok(()) } else { Err(host["spec"].to_string()) }
    })?;
    let asked = now_ms();
    wait_until(2 * LONG, "the new machine to be a member", || match votes(&n1) {
        Some((3, 3)) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    wait_ready(&lab, LONG)?;
    println!("a member {:.1} s after the statement was taken back", seconds(now_ms() - asked));
    ensure!(
        field(&lab, "n3", "machineId").map_err(anyhow::Error::msg)? != before,
        "the same machine"
    );
    for host in ["n1", "n2"] {
        undisturbed_but_for(&lab, host, began, &[&[1, 2], &[1, 2, 4]])?;
    }
    Ok(())
}

#[test]
fn a_cluster_whose_object_is_deleted_ends_host_by_host_where_that_is_wanted() -> Result<()> {
    let lab = formed("dissolve")?;
    furnish(&lab)?;
    let mut spec = of(&HOSTS);
    spec["spec"]["deletionPolicy"] = json!("Dissolve");
    apply(&lab, &spec)?;
    wait_until(LONG, "the object to be held", || {
        let cluster = get(&lab, &["pvecluster", CLUSTER]).map_err(|error| format!("{error:#}"))?;
        let held = &cluster["metadata"]["finalizers"];
        if held == &json!(["pvecm.io/dissolve"]) { Ok(()) } else { Err(held.to_string()) }
    })?;
    let first = changes(&lab)?.len();
    kubectl(&lab, &["delete", "pvecluster", CLUSTER, "--wait=false"])?;
    wait_stalled(&lab, "StorageShared")?;
    for host in HOSTS {
        state(&lab, host, &json!({"sharedStorages": ["shared"], "afterRemoval": "LiveAlone"}))?;
    }
    let began = now_ms();
    for (number, staying) in [(first, &["n1", "n2"][..]), (first + 1, &["n1"]), (first + 2, &[])] {
        let change = wait_asked(&lab, number)?;
        ensure!(votes(&lab.host("n1")?).is_some(), "n1 has ended before it was asked");
        ask(&lab, &["approve", &change])?;
        let from = now_ms();
        wait_until(2 * LONG, &format!("{change} to be over"), || {
            let all = changes(&lab).map_err(|error| format!("{error:#}"))?;
            match all.get(number) {
                Some(change) if change["status"]["outcome"] == "Succeeded" => Ok(()),
                // The last one goes with its cluster.
                None if staying.is_empty() => Ok(()),
                other => Err(format!("{:?}", other.map(|change| &change["status"]))),
            }
        })?;
        for host in staying {
            let members: Vec<u32> = (1..).take(staying.len()).collect();
            undisturbed_but_for(&lab, host, from, &[&members])?;
        }
    }
    wait_until(LONG, "the object to be gone", || {
        let left = kubectl(&lab, &["get", "pvecluster", "-o", "name"]);
        let left = left.map_err(|error| format!("{error:#}"))?;
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    })?;
    println!("three hosts go on without each other after {:.1} s", seconds(now_ms() - began));
    for (host, guest) in HOSTS.into_iter().zip(101..) {
        lives_alone(&lab, host, guest)?;
    }
    Ok(())
}

/// The change of this place in their order, once it waits for a person.
fn wait_asked(lab: &Lab, number: usize) -> Result<String> {
    wait_until(LONG, "a change to wait for approval", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let change = all.get(number).ok_or_else(|| format!("{} changes", all.len()))?;
        let cluster = get(lab, &["pvecluster", CLUSTER]).map_err(|error| format!("{error:#}"))?;
        ensure_risk(change)?;
        let name = change["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let plan = cluster["status"]["plan"]["sentence"].as_str().unwrap_or_default();
        let asked = plan.contains("waits for approval") && plan.contains(&name);
        if asked { Ok(name) } else { Err(plan.to_owned()) }
    })
}

fn ensure_risk(change: &Value) -> Result<(), String> {
    let risk = &change["spec"]["plan"]["risk"];
    if risk == "Dissolution" { Ok(()) } else { Err(format!("its risk is {risk}")) }
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
