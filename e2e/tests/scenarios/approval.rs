//! A change that has to be approved waits, and only a person who may can let it begin.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::binaries;
use pvecm_e2e::command::{self, Output};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, apply, assert_undisturbed, changes, condition, file_in_force, formed, kubectl, now_ms,
    wait_ready, with_links,
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_change_waits_until_somebody_who_may_approves_it() -> Result<()> {
    let lab = formed("approve")?;
    let (before, began) = (file_in_force(&lab)?, now_ms());
    apply(&lab, &editors())?;
    let editor = account(&lab, "editor", "Role", "editor")?;
    let approver = account(&lab, "approver", "ClusterRole", "pvecm-operator-approver")?;

    apply(&lab, &careful())?;
    let sentence = wait_for_question(&lab)?;
    println!("{sentence}");
    let change = open_change(&lab)?;
    let approve = format!("kubectl pvecm approve {change}");
    ensure!(sentence.contains(&approve), "no `{approve}` in: {sentence}");

    let plan = plugin(&lab, &approver, &["plan", CLUSTER, "--diff"])?;
    println!("{}{}", plan.stdout, plan.stderr);
    ensure!(plan.stdout.contains("+    ring1_addr: 10.51.0.3"), "no difference in {plan:?}");
    let explained = plugin(&lab, &approver, &["explain", CLUSTER])?;
    println!("{}", explained.stdout);
    ensure!(explained.stdout.contains("WaitingForApproval"), "{explained:?}");

    may_not(&plugin(&lab, &editor, &["approve", CLUSTER])?)?;
    let patch =
        ["patch", "pvechange", &change, "--type=merge", "-p", r#"{"spec":{"approved":true}}"#];
    let operator = lab.state().join("kube/operator.kubeconfig");
    may_not(&as_account(&lab, &operator, &patch)?)?;
    let spec = r#"{"spec":{"deletionPolicy":"Dissolve"}}"#;
    let wish =
        as_account(&lab, &operator, &["patch", "pvecluster", CLUSTER, "--type=merge", "-p", spec])?;
    let policy = wish.stderr.contains("the operator writes no spec of a PveCluster");
    ensure!(!wish.success() && policy, "not refused by the policy: {wish:?}");
    ensure!(file_in_force(&lab)? == before, "something was written");
    ensure!(open_change(&lab)? == change, "another change took its place");

    let agreed = plugin(&lab, &approver, &["approve", CLUSTER])?;
    ensure!(agreed.success(), "not approved: {agreed:?}");
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("ring1_addr"), "the link is still missing");
    let history = plugin(&lab, &approver, &["history", CLUSTER])?;
    println!("{}", history.stdout);
    pauses(&lab, &lab.control_plane()?.kubeconfig())?;
    assert_undisturbed(&lab, began)
}

/// A pause is the plugin's while it lasts and nobody's after it; one that somebody else keeps is left
/// alone.
fn pauses(lab: &Lab, admin: &Path) -> Result<()> {
    let run = |verb: &str| plugin(lab, admin, &[verb, CLUSTER, "--namespace", "pve"]);
    let paused =
        || kubectl(lab, &["get", "pvecluster", CLUSTER, "-o", "jsonpath={.spec.rollout.paused}"]);
    let owned = || {
        kubectl(
            lab,
            &[
                "get",
                "pvecluster",
                CLUSTER,
                "-o",
                "jsonpath={.metadata.managedFields[?(@.manager==\"pvecm\")].fieldsV1}",
            ],
        )
    };
    for (verb, wanted, kept) in [("pause", "true", true), ("resume", "false", false)] {
        let said = run(verb)?;
        ensure!(said.success() && paused()? == wanted, "{verb}: {said:?}");
        ensure!(owned()?.contains("f:paused") == kept, "owned after {verb}: {}", owned()?);
    }
    let mut kept = careful();
    kept["spec"]["rollout"]["paused"] = json!(false);
    apply(lab, &kept)?;
    let refused = run("pause")?;
    println!("{}", refused.stderr.trim());
    ensure!(refused.code == 1 && paused()? == "false", "not refused: {refused:?}");
    ensure!(refused.stderr.contains("`lab`"), "the owner is not named: {refused:?}");
    Ok(())
}

/// The sample with a second link, under a rollout that lets nothing begin by itself.
fn careful() -> Value {
    let links = json!([
        {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
    ]);
    let mut spec = with_links(&links);
    spec["spec"]["rollout"]["approval"] = json!("Manual");
    spec
}

/// The name of the one change that has not ended, which no host may work on yet.
fn open_change(lab: &Lab) -> Result<String> {
    let all = changes(lab)?;
    let open: Vec<_> = all.iter().filter(|change| change["status"]["outcome"].is_null()).collect();
    let [change] = open.as_slice() else { anyhow::bail!("{} changes are open", open.len()) };
    let released = change["status"]["releasedStage"].as_i64().unwrap_or_default();
    ensure!(released == 0 && change["spec"]["approved"] != true, "it does not wait: {change}");
    change["metadata"]["name"].as_str().map(str::to_owned).context("a change without a name")
}

pub(crate) fn wait_for_question(lab: &Lab) -> Result<String> {
    wait_until(SOON, "a change that waits for approval", || {
        let seen = condition(lab, "Reconciling").map_err(|error| format!("{error:#}"))?;
        if seen.1 == "WaitingForApproval" { Ok(seen.2) } else { Err(format!("{seen:?}")) }
    })
}

/// A role for people who may write changes and have no verb `approve`.
fn editors() -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "editor", "namespace": "pve"},
        "rules": [{"apiGroups": ["pvecm.io"], "resources": ["pveclusters", "pvechanges"],
                   "verbs": ["get", "list", "watch", "create", "update", "patch"]}]})
}

/// Makes an account with this role and returns its kubeconfig.
fn account(lab: &Lab, name: &str, kind: &str, role: &str) -> Result<PathBuf> {
    let meta = json!({"name": name, "namespace": "pve"});
    apply(lab, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}))?;
    apply(
        lab,
        &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "pve"}]}),
    )?;
    let token = kubectl(lab, &["create", "token", name, "--duration=1h"])?;
    lab.control_plane()?.write_kubeconfig(name, token.trim())
}

fn as_account(lab: &Lab, account: &Path, arguments: &[&str]) -> Result<Output> {
    let account = account.to_string_lossy();
    lab.control_plane()?.kubectl(&[&["--kubeconfig", &*account], arguments].concat())
}

/// Runs the plugin inside the lab's network.
pub(crate) fn plugin(lab: &Lab, account: &Path, arguments: &[&str]) -> Result<Output> {
    inside(lab, (&binaries::find("kubectl-pvecm")?, account), arguments)
}

/// Runs a program inside the lab's network, under an account.
pub(crate) fn inside(
    lab: &Lab,
    (program, account): (&Path, &Path),
    arguments: &[&str],
) -> Result<Output> {
    let mut command = Command::new("nsenter");
    command.args(["-t", &lab.supervisor().pid().to_string(), "-n", "--"]);
    command.arg(program).args(arguments).env("KUBECONFIG", account);
    command::output(&mut command)
}

/// Refused by the policy, not by some other rule.
fn may_not(refused: &Output) -> Result<()> {
    let policy = refused.stderr.contains("may not approve");
    ensure!(!refused.success() && policy, "not refused by the policy: {refused:?}");
    Ok(())
}
