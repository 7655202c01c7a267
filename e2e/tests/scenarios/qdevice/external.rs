//! A QNetd that somebody else runs, set up by hand.

use anyhow::{Result, ensure};
use pvecm_e2e::Host;
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use super::{
    LONG, all_vote, certificate, comes_to, goes_off, in_force, kept_quorum, known_to, lab_of,
    quorumtool,
};
use crate::removal::of;
use crate::support::{apply, changes, now_ms, wait_ready};

/// Sets up a QNetd, with a key and a certificate for a cluster, as its administrator does: no agent of ours has a part
/// in it.
fn set_up_by_hand(host: &Host<'_>, cluster: &str) -> Result<()> {
    let (of_qnetd, of_node) = ("/etc/corosync/qnetd/nssdb", "/etc/corosync/qdevice/net/nssdb");
    let [authority, request] =
        [format!("{of_qnetd}/qnetd-cacert.crt"), format!("{of_node}/qdevice-net-node.crq")];
    let certificate = format!("{of_qnetd}/cluster-{cluster}.crt");
    let steps: [&[&str]; 9] = [
        &["systemctl", "disable", "--now", "pvecm-agent", "corosync-qnetd"],
        &["rm", "-rf", of_qnetd],
        &["corosync-qnetd-certutil", "-i", "-G"],
        &["chgrp", "-R", "coroqnetd", of_qnetd],
        &["systemctl", "enable", "--now", "corosync-qnetd"],
        &["corosync-qdevice-net-certutil", "-i", "-c", &authority],
        &["corosync-qdevice-net-certutil", "-r", "-n", cluster],
        &["corosync-qnetd-certutil", "-s", "-c", &request, "-n", cluster],
        &["corosync-qdevice-net-certutil", "-M", "-c", &certificate],
    ];
    steps.into_iter().try_for_each(|step| host.run(step).map(drop))
}

/// The Secret that is made of it.
fn secret_of(host: &Host<'_>) -> Result<Value> {
    let file =
        |path: &str| host.run(&["base64", "--wrap=0", path]).map(|said| said.trim().to_owned());
    Ok(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "qnetd", "namespace": "pve"},
        "data": {"qnetd-cacert.crt": file("/etc/corosync/qnetd/nssdb/qnetd-cacert.crt")?,
            "qdevice-net-node.p12": file("/etc/corosync/qdevice/net/nssdb/qdevice-net-node.p12")?}}),
    )
}

/// What the operator needs to read that Secret.
fn role() -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "pvecm-operator-qnetd", "namespace": "pve"});
    [
        json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["qnetd"], "verbs": ["get"]}]}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "pvecm-operator-qnetd"},
            "subjects": [{"kind": "ServiceAccount", "name": "pvecm-operator", "namespace": "pvecm-system"}]}),
    ]
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_qnetd_of_somebody_else_votes_by_the_certificate_in_a_secret() -> Result<()> {
    let lab = lab_of("lent", 2, 1)?;
    let (nodes, cluster) = (["n1", "n2"], "three-nodes");
    let (n1, n2, w1) = (lab.host("n1")?, lab.host("n2")?, lab.host("w1")?);
    set_up_by_hand(&w1, cluster)?;
    apply(&lab, &of(&nodes))?;
    wait_ready(&lab, LONG)?;
    let began = now_ms();
    let address = w1.address(Network::Mgmt);
    let with = |algorithm: &str| {
        let mut spec = of(&nodes);
        spec["spec"]["quorum"] = json!({"device": {"type": "External", "address": address,
            "algorithm": algorithm, "certificatesSecretRef": {"name": "qnetd"}}});
        spec
    };
    apply(&lab, &with("Auto"))?;
    let why = comes_to(&lab, cluster, ("Stalled", "SecretUnusable"))?;
    println!("without a Role: {why}");
    ensure!(why.contains("may not read the Secret qnetd"), "{why}");
    role().iter().try_for_each(|object| apply(&lab, object))?;
    apply(&lab, &secret_of(&w1)?)?;
    in_force(&lab, &with("FFSplit"), "the device is on")?;
    all_vote(&lab, &nodes, 3)?;
    ensure!(known_to(&w1, cluster)? == 2);
    ensure!(certificate(&n1)? == certificate(&n2)?, "the nodes have certificates of their own");
    kept_quorum(&lab, &nodes, began)?;
    // What was on its way is nowhere any more, and it was readable to its receivers alone.
    let written = changes(&lab)?;
    let left = written.iter().filter(|change| !change["status"]["sealed"].is_null());
    ensure!(left.count() == 0, "a sealed key is left in a change");
    for node in nodes {
        let there = lab.host(node)?.exec(&["find", "/etc/corosync/qdevice", "-name", "*.p12"])?;
        ensure!(there.stdout.is_empty(), "{node} has the file with the key: {}", there.stdout);
    }

    let lost = now_ms();
    n2.crash()?;
    wait_until(LONG, "n1 alone with the device", || {
        let said = quorumtool(&n1).map_err(|error| format!("{error:#}"))?;
        let is_quorate = said.contains("Quorate:          Yes");
        if said.contains("Total votes:      2") && is_quorate { Ok(()) } else { Err(said) }
    })?;
    kept_quorum(&lab, &["n1"], lost)?;
    n2.boot()?;
    wait_ready(&lab, LONG)?;
    all_vote(&lab, &nodes, 3)?;

    goes_off(&lab, &nodes, &w1)
}
