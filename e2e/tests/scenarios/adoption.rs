//! Clusters that were built by hand, without the operator, are adopted: the import describes them,
//! applying it changes not one byte on any host, and one ordinary change works afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::approval::plugin;
use crate::support::{CLUSTER, assert_undisturbed, changes, file_in_force, get, kubectl, now_ms};
use crate::support::{apply, cmap, record, wait_ready};

const SOON: Duration = Duration::from_secs(60);

/// A whole and healthy membership, three looks of the slowest heartbeat long.
const REST: Duration = Duration::from_secs(8);

/// Three nodes, two links, comments, odd spacing and a key that nobody knows.
const GROWN: &str = "\
# Rack 4, set up in 2019. Ask Kim before you touch link 1!
totem {
  version: 2
    cluster_name:   three-nodes
  config_version: 7
  secauth: on
\ttoken: 4000
  # token_coefficient: 200
  interface {
     linknumber: 0
  }
  interface {
     linknumber: 1
     knet_link_priority: 20
  }
}

nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.50.0.1
    ring1_addr: 10.51.0.1
    rack: 4
  }

  node {
    ring0_addr: 10.50.0.2
    ring1_addr: 10.51.0.2
    nodeid: 2
    name: n2
  }
  node {
      # the new one
      name: n3
      nodeid: 3
      ring0_addr: 10.50.0.3
      ring1_addr: 10.51.0.3
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: yes
}
";

/// A file as `pvecm create` writes one, over link 0; `address` is that of a node.
pub fn plain(nodes: u8, address: impl Fn(u8) -> String, quorum: &str) -> String {
    let node = |n: u8| {
        let address = address(n);
        format!(
            "  node {{\n    name: n{n}\n    nodeid: {n}\n    quorum_votes: 1\n    ring0_addr: {address}\n  }}\n"
        )
    };
    let nodes: String = (1..=nodes).map(node).collect();
    format!(
        "logging {{\n  debug: off\n  to_syslog: yes\n}}\n\nnodelist {{\n{nodes}}}\n\nquorum {{\n  \
         provider: corosync_votequorum\n{quorum}}}\n\ntotem {{\n  cluster_name: {CLUSTER}\n  \
         config_version: 7\n  interface {{\n    linknumber: 0\n  }}\n  ip_version: ipv4-6\n  \
         link_mode: passive\n  secauth: on\n  version: 2\n}}\n\n"
    )
}

#[test]
fn a_grown_cluster_with_comments_and_unknown_keys_is_adopted() -> Result<()> {
    let lab = built("grown", 3, GROWN)?;
    let spec = adopted(&lab)?;
    ensure!(spec["spec"]["links"][1]["network"] == "10.51.0.0/24", "{spec}");
    then_one_change(&lab, spec, |spec| spec["spec"]["links"][1]["priority"] = json!(30))?;
    let file = file_in_force(&lab)?;
    for kept in ["# Rack 4, set up in 2019", "    rack: 4\n", "    cluster_name:   three-nodes\n"] {
        ensure!(file.contains(kept), "`{kept}` is gone:\n{file}");
    }
    ensure!(file.contains("knet_link_priority: 30"), "{file}");
    let running = cmap(&lab, "n2", "totem.interface.1.knet_link_priority")?;
    ensure!(running == "30", "n2 runs with {running}");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_cluster_of_one_link_is_adopted() -> Result<()> {
    let lab = built("onelink", 3, &plain(3, |n| format!("10.50.0.{n}"), ""))?;
    let spec = adopted(&lab)?;
    then_one_change(&lab, spec, |spec| spec["spec"]["totem"]["tokenMillis"] = json!(4000))?;
    ensure!(file_in_force(&lab)?.contains("token: 4000"));
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn two_nodes_with_two_node_are_adopted() -> Result<()> {
    let lab = built("twonode", 2, &plain(2, |n| format!("10.50.0.{n}"), "  two_node: 1\n"))?;
    let spec = adopted(&lab)?;
    then_one_change(&lab, spec, |spec| spec["spec"]["totem"]["tokenMillis"] = json!(4000))?;
    ensure!(file_in_force(&lab)?.contains("two_node: 1"));
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_cluster_whose_addresses_are_names_is_adopted() -> Result<()> {
    let lab = built("names", 3, &plain(3, |n| format!("n{n}"), ""))?;
    let spec = adopted(&lab)?;
    ensure!(spec["spec"]["nodes"][2]["addresses"][0]["address"] == "n3", "{spec}");
    then_one_change(&lab, spec, |spec| spec["spec"]["totem"]["tokenMillis"] = json!(4000))
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_cluster_in_the_style_of_corosync_2_is_refused_with_all_reasons() -> Result<()> {
    let old = plain(2, |n| format!("n{n}"), "")
        .replace("  link_mode: passive\n", "")
        .replace("ipv4-6", "ipv4")
        .replace("linknumber: 0", "bindnetaddr: 10.50.0.1\n    ringnumber: 0");
    let lab = built("oldstyle", 2, &old)?;
    let before = footprint(&lab)?;
    let said = import(&lab)?;
    println!("{}", said.1);
    ensure!(!said.0, "it was not refused");
    for reason in ["ringnumber", "conf convert FILE --to knet"] {
        ensure!(said.1.contains(reason), "`{reason}` is not among the reasons");
    }
    ensure!(said.1.lines().all(|line| line.starts_with('#')), "an object was written");
    ensure!(footprint(&lab)? == before, "something was written");
    Ok(())
}

/// A lab whose hosts run a cluster that was put there with files alone, and whose agents have said so.
pub fn built(name: &str, hosts: u8, conf: &str) -> Result<Lab> {
    let lab = Lab::up(Options { hosts, ..Options::scenario(name) }, &mut |_| ())?;
    let first = lab.host("n1")?;
    first.sh("corosync-keygen -l -k /etc/corosync/authkey && chmod 0400 /etc/corosync/authkey")?;
    let key = first.run(&["base64", "-w0", "/etc/corosync/authkey"])?;
    for host in lab.hosts() {
        if host.name() != "n1" {
            // The database of a joiner goes: what the cluster has takes its place.
            let script = format!(
                "systemctl stop pve-cluster && rm -f /var/lib/pve-cluster/config.db* && \
                 echo {} | base64 -d > /etc/corosync/authkey && chmod 0400 /etc/corosync/authkey",
                key.trim()
            );
            host.sh(&script)?;
            host.write_file("/etc/corosync/corosync.conf", conf.as_bytes(), 0o644)?;
        }
    }
    first.write_file("/root/corosync.conf", conf.as_bytes(), 0o644)?;
    first.sh("cp /root/corosync.conf /etc/pve/corosync.conf")?;
    for host in lab.hosts() {
        host.sh("systemctl restart pve-cluster && systemctl start corosync")?;
    }
    wait_until(SOON, "a cluster that every agent reports", || {
        reported(&lab, hosts).map_err(|error| format!("{error:#}"))
    })?;
    Ok(lab)
}

/// Whether each host reports the whole membership, equal files and a writable /etc/pve.
fn reported(lab: &Lab, hosts: u8) -> Result<()> {
    for host in lab.hosts() {
        let object = get(lab, &["pvehost", host.name()])?;
        let status = &object["status"];
        let members = status["membership"]["members"].as_array().map_or(0, Vec::len);
        let (files, quorum) = (&status["files"], &status["quorum"]["quorate"]);
        let same = files["pmxcfs"]["digest"] == files["disk"]["digest"];
        let runs = status["running"]["configVersion"] == 7 && status["pmxcfs"]["writable"] == true;
        let whole = members == usize::from(hosts) && *quorum == true && same && runs;
        let linked = status["linkFaults"].as_array().is_none_or(Vec::is_empty);
        ensure!(whole && linked, "{}: {status}", host.name());
        let heard = kubectl(
            lab,
            &[
                "wait",
                &format!("pvehost/{}", host.name()),
                "--for=condition=Connected",
                "--timeout=1s",
            ],
        );
        heard?;
    }
    Ok(())
}

/// Whether it is adopted, and what the command printed.
fn import(lab: &Lab) -> Result<(bool, String)> {
    let admin = lab.control_plane()?.kubeconfig();
    let said = plugin(lab, &admin, &["import", CLUSTER, "--namespace", "pve"])?;
    ensure!(said.stderr.is_empty(), "{said:?}");
    Ok((said.success(), said.stdout))
}

/// Imports and applies, and holds every host's files before against those after.
pub fn adopted(lab: &Lab) -> Result<Value> {
    let before = footprint(lab)?;
    let began = now_ms();
    let (possible, text) = import(lab)?;
    println!("{text}");
    ensure!(possible, "it is refused");
    ensure!(footprint(lab)? == before, "the import itself wrote something");
    let object: Value = pvecm_crds::yaml::read(&text).context("no object is printed")?;
    apply(lab, &object)?;
    wait_ready(lab, SOON)?;
    // What comes later than ready would be missed by one look: the recorders see every version.
    let until = now_ms() + u64::try_from(REST.as_millis())?;
    wait_until(2 * REST, "some heartbeats more", || {
        if now_ms() >= until { Ok(()) } else { Err("not yet".to_owned()) }
    })?;
    ensure!(changes(lab)?.is_empty(), "a change was made: {:?}", changes(lab)?);
    let after = footprint(lab)?;
    ensure!(after == before, "bytes changed:\n{before}\n{after}");
    for host in lab.hosts() {
        let versions = record(lab, host.name())?.config_versions(began, now_ms());
        ensure!(versions.is_empty(), "{} saw another version: {versions:?}", host.name());
    }
    assert_undisturbed(lab, began)?;
    println!("adopted, not one byte changed");
    Ok(object)
}

/// Digest, time of the last change, owner and mode of everything that is the cluster's on every host.
fn footprint(lab: &Lab) -> Result<String> {
    let mut all = String::new();
    for host in lab.hosts() {
        let said = host
            .sh("for f in /etc/pve/corosync.conf $(find /etc/corosync -type f | sort); do \
             sha256sum $f; stat -c '%n %Y %s %a %U' $f; done")?;
        all.push_str(&format!("{}\n{said}\n", host.name()));
    }
    Ok(all)
}

fn then_one_change(lab: &Lab, mut spec: Value, edit: impl FnOnce(&mut Value)) -> Result<()> {
    let began = now_ms();
    spec["spec"]["rollout"]["confirmTimeoutSeconds"] = json!(10);
    edit(&mut spec);
    apply(lab, &spec)?;
    wait_ready(lab, SOON)?;
    let outcome = changes(lab)?.last().map(|change| change["status"]["outcome"].clone());
    ensure!(outcome == Some(json!("Succeeded")), "{outcome:?}");
    assert_undisturbed(lab, began)
}
