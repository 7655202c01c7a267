//! The ways to install the operator, with the real tools on a real API server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::chart::{self, RELEASE};
use pvecm_e2e::lab::{Lab, Level, Options};
use pvecm_e2e::operator::repository;
use pvecm_e2e::{command, wait_until};
use serde_json::{Value, json};

use crate::support::{
    apply, apply_sample, assert_undisturbed, changes, file_in_force, formed, get, kubectl, now_ms,
    wait_ready, with_links,
};

/// The chart as it was before this version.
const PREVIOUS: &str = "e2e/previous/pvecm-operator-0.0.1.tgz";

#[test]
fn one_file_installs_everything_and_a_second_time_changes_nothing() -> Result<()> {
    let options = Options { hosts: 1, level: Level::Bare, ..Options::scenario("install") };
    let lab = Lab::up(options, &mut |_| ())?;
    let file = repository().join("manifests/install.yaml");
    let file = file.to_str().context("a strange path")?;
    let install = ["apply", "--server-side", "-f", file];
    kubectl(&lab, &install)?;
    kubectl(&lab, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    // Controllers fill in statuses.
    let first = wait_until(Duration::from_secs(30), "the installed objects to settle", || {
        let settled = stored(&lab, file).map_err(|error| format!("{error:#}"))?;
        std::thread::sleep(Duration::from_secs(1));
        let again = stored(&lab, file).map_err(|error| format!("{error:#}"))?;
        if settled == again { Ok(again) } else { Err("they still change".to_owned()) }
    })?;
    ensure!(first.len() == chart::read(&std::fs::read_to_string(file)?)?.len(), "{first:#?}");
    kubectl(&lab, &install)?;
    ensure!(stored(&lab, file)? == first, "a second apply changed something");
    assert_who_may_what(&lab)?;
    for overlay in ["production", "single-namespace"] {
        let text = without_foreign_kinds(&chart::kustomized(&format!("overlays/{overlay}"))?)?;
        let dry = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let mut dry = lab.control_plane()?.kubectl_command(&dry)?;
        command::run_with_input(&mut dry, text.as_bytes()).context(overlay)?;
    }
    Ok(())
}

/// The objects of a file as they are in the API. The API server itself counts a second apply as a write where a
/// controller wrote the status within the second of the first one: it sorts the managers by their times.
fn stored(lab: &Lab, file: &str) -> Result<Vec<Value>> {
    let mut objects = get(lab, &["-f", file])?["items"].as_array().cloned().unwrap_or_default();
    for object in &mut objects {
        object["metadata"]["resourceVersion"].take();
    }
    Ok(objects)
}

/// What the operator and the cluster's own roles may do, as the API server answers.
fn assert_who_may_what(lab: &Lab) -> Result<()> {
    let may = |who: &str, what: &[&str]| {
        let asked = [&["auth", "can-i"], what, &["--namespace=pve", "--as", who]].concat();
        Ok::<_, anyhow::Error>(lab.control_plane()?.kubectl(&asked)?.stdout.trim() == "yes")
    };
    let operator = "system:serviceaccount:pvecm-system:pvecm-operator";
    ensure!(may(operator, &["create", "pvechanges.pvecm.io"])?, "the operator may not work");
    ensure!(!may(operator, &["approve", "pvechanges.pvecm.io"])?, "the operator approves");
    for (role, allowed, denied) in [
        ("view", ["get", "pvechanges.pvecm.io"], ["patch", "pveclusters.pvecm.io"]),
        ("edit", ["create", "pveclusters.pvecm.io"], ["approve", "pvechanges.pvecm.io"]),
        ("admin", ["approve", "pvechanges.pvecm.io"], ["create", "pvechanges.pvecm.io"]),
    ] {
        let binding = format!("--clusterrole={role}");
        kubectl(lab, &["create", "rolebinding", role, &binding, "--user", role, "-n", "pve"])?;
        // A controller takes the rules into the role.
        wait_until(Duration::from_secs(30), &format!("role {role} to be taken in"), || {
            let may = may(role, &allowed).map_err(|error| format!("{error:#}"))?;
            if may { Ok(()) } else { Err(format!("{role} may not {allowed:?}")) }
        })?;
        ensure!(!may(role, &denied)?, "{role} may {denied:?}");
        let status = ["patch", "pvehosts.pvecm.io", "--subresource=status"];
        ensure!(!may(role, &status)?, "{role} writes a status");
    }
    Ok(())
}

/// The lab has no definitions of the Prometheus operator.
fn without_foreign_kinds(text: &str) -> Result<String> {
    let mut objects = chart::read(text)?;
    objects.retain(|object| object["apiVersion"] != "monitoring.coreos.com/v1");
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn helm_installs_upgrades_and_leaves_clusters_alone() -> Result<()> {
    let lab = Lab::up(Options { level: Level::Bare, ..Options::scenario("helm") }, &mut |_| ())?;
    let operator = lab.operator()?;
    let chart = chart::folder().display().to_string();
    helm(&lab, &["install", RELEASE, &repository().join(PREVIOUS).display().to_string()])?;
    start_installed(&lab)?;
    operator.kill()?;
    helm(&lab, &["upgrade", RELEASE, &chart])?;
    start_installed(&lab)?;
    // Definitions come first: what today's agents say of a host the previous ones do not know.
    lab.install_agents()?;
    apply_sample(&lab, "three-nodes.yaml")?;
    wait_ready(&lab, Duration::from_secs(120))?;
    let began = now_ms();
    let formed = changes(&lab)?.len();

    operator.kill()?;
    helm(&lab, &["upgrade", RELEASE, &chart, "--set=log.level=debug"])?;
    start_installed(&lab)?;
    wait_until(Duration::from_secs(60), "the new operator to lead", || {
        let said = operator.ask(0, "/metrics").map_err(|error| format!("{error:#}"))?;
        if said.contains("\npvecm_operator_leader 1\n") { Ok(()) } else { Err(said) }
    })?;
    wait_ready(&lab, Duration::from_secs(30))?;
    ensure!(changes(&lab)?.len() == formed, "the upgrade changed the cluster");
    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24", "priority": 7}])))?;
    wait_ready(&lab, Duration::from_secs(60))?;
    let text = file_in_force(&lab)?;
    ensure!(text.contains("knet_link_priority: 7"), "the new operator changes nothing:\n{text}");

    operator.kill()?;
    helm(&lab, &["uninstall", RELEASE, "--wait"])?;
    let left = kubectl(&lab, &["get", "pveclusters,pvehosts", "-o", "name"])?;
    ensure!(left.lines().count() == 4, "clusters and hosts went with the chart: {left}");
    let left = kubectl(&lab, &["get", "deploy,clusterroles,svc,sa,role", "-A", "-o", "name"])?;
    ensure!(!left.contains(RELEASE), "the chart left something: {left}");
    ensure!(file_in_force(&lab)? == text, "the file changed with the chart");
    assert_undisturbed(&lab, began)?;

    // What stayed is taken over by the next installation.
    helm(&lab, &["install", RELEASE, &chart])?;
    start_installed(&lab)?;
    wait_ready(&lab, Duration::from_secs(60))?;
    ensure!(file_in_force(&lab)? == text, "the next operator began with a change");
    Ok(())
}

/// What helm has installed runs, as the kubelet would start it.
fn start_installed(lab: &Lab) -> Result<()> {
    let manifest = helm(lab, &["get", "manifest", RELEASE])?;
    kubectl(lab, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    let operator = lab.operator()?;
    operator.give_account()?;
    operator.start_pod(0, &chart::read(&manifest)?)
}

fn helm(lab: &Lab, arguments: &[&str]) -> Result<String> {
    command::run(&mut lab.control_plane()?.helm_command(arguments)?)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn of_two_operators_one_writes_and_the_other_takes_over() -> Result<()> {
    let lab = formed("replicas")?;
    let operator = lab.operator()?;
    let two = chart::objects(&["--set=replicas=2"])?;
    operator.start_pod(1, &two)?;
    wait_until(Duration::from_secs(30), "the second operator to be ready", || {
        operator.ask(1, "/ready").map_err(|error| format!("{error:#}"))
    })?;
    let leads = |pod: u16| {
        let said = operator.ask(pod, "/metrics")?;
        Ok::<_, anyhow::Error>(said.contains("\npvecm_operator_leader 1\n"))
    };
    ensure!(leads(0)? && !leads(1)?, "both lead, or neither");
    operator.kill()?;
    let wait = Duration::from_secs(60);
    wait_until(wait, "the second operator to take over", || match leads(1) {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24", "priority": 9}])))?;
    wait_ready(&lab, wait)?;
    ensure!(file_in_force(&lab)?.contains("knet_link_priority: 9"), "nothing was changed");
    operator.start_pod(0, &two)?;
    wait_until(Duration::from_secs(30), "the first operator to be ready", || {
        operator.ask(0, "/ready").map_err(|error| format!("{error:#}"))
    })?;
    ensure!(!leads(0)? && leads(1)?, "the first operator took the lease from one that lives");
    Ok(())
}
