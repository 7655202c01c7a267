//! A cluster that lives in Git: applied and waited for as Flux does, judged as Argo CD does, with their own libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::command;
use pvecm_e2e::controlplane::tools::{self, Tool};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::operator::repository;
use serde_json::{Value, json};

use crate::approval::{inside, plugin, wait_for_question};
use crate::restarts::one_at_a_time;
use crate::support::{CLUSTER, get, kubectl, lab, now_ms, wait_ready, wait_stalled, with_links};

const SOON: Duration = Duration::from_secs(60);

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn flux_and_argo_see_what_is_so_and_the_operator_leaves_their_fields_alone() -> Result<()> {
    let lab = lab("gitops")?;
    let git = Git { lab: &lab, program: tools::path(Tool::GitOps)? };
    let one = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    git.judges_what_nobody_has_looked_at(&one)?;

    ensure!(git.apply(&one)?.starts_with("created"), "not created");
    git.waits(&one)?;
    wait_ready(&lab, SOON)?;
    let began = now_ms();
    git.sees("Current", "Healthy")?;
    git.leaves_alone(&one)?;
    let hosts = get(&lab, &["pvehosts"])?["items"].as_array().cloned().unwrap_or_default();
    for host in &hosts {
        let health = git.health(host)?;
        ensure!(health.starts_with("Healthy"), "{host}: {health}");
    }

    // What is riskier than `maxRisk` waits for a person: in Git, that is a commit with a higher one.
    let mut risky = one.clone();
    risky["spec"]["totem"] = json!({"linkMode": "RoundRobin"});
    ensure!(git.apply(&risky)?.starts_with("configured"), "not configured");
    println!("{}", wait_for_question(&lab)?);
    git.sees("InProgress", "Suspended")?;
    risky["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
    git.apply(&risky)?;
    git.waits(&risky)?;
    git.sees("Current", "Healthy")?;

    let mut impossible = risky.clone();
    impossible["spec"]["links"][0]["network"] = json!("10.99.0.0/24");
    git.apply(&impossible)?;
    println!("{}", wait_stalled(&lab, "AddressMissing")?);
    git.sees("Failed", "Degraded")?;
    let waited = git.flux("wait", &impossible, &["30s"])?;
    ensure!(!waited.success(), "waited for what cannot be: {waited:?}");

    let mut paused = risky.clone();
    paused["spec"]["rollout"]["paused"] = json!(true);
    git.apply(&paused)?;
    kubectl(&lab, &["wait", "pvecluster", CLUSTER, "--for=condition=Paused", "--timeout=30s"])?;
    git.sees("Current", "Suspended")?;
    let admin = lab.control_plane()?.kubeconfig();
    let refused = plugin(&lab, &admin, &["resume", CLUSTER, "--namespace", "pve"])?;
    println!("{}", refused.stderr.trim());
    ensure!(refused.code == 1 && refused.stderr.contains("kustomize-controller"), "{refused:?}");
    let changes = get(&lab, &["pvechanges"])?["items"].as_array().cloned().unwrap_or_default();
    let words = changes.iter().map(|change| git.health(change)).collect::<Result<Vec<_>>>()?;
    ensure!(words.iter().all(|word| word.starts_with("Healthy")), "{words:?}");
    git.apply(&risky)?;
    git.waits(&risky)?;
    one_at_a_time(&lab, began)
}

/// What applies from Git.
struct Git<'a> {
    lab: &'a Lab,
    program: PathBuf,
}

impl Git<'_> {
    fn flux(&self, verb: &str, object: &Value, more: &[&str]) -> Result<command::Output> {
        let file = self.lab.state().join("cluster.json");
        fs::write(&file, serde_json::to_string_pretty(object)?)?;
        let file = file.to_string_lossy();
        let account = self.lab.control_plane()?.kubeconfig();
        inside(self.lab, (&self.program, &account), &[&[verb, &*file], more].concat())
    }

    /// Applies an object; what became of it.
    fn apply(&self, object: &Value) -> Result<String> {
        let applied = self.flux("apply", object, &[])?;
        ensure!(applied.success(), "not applied: {applied:?}");
        Ok(applied.stdout)
    }

    fn waits(&self, object: &Value) -> Result<()> {
        let waited = self.flux("wait", object, &["60s"])?;
        ensure!(waited.success(), "Flux waits in vain: {waited:?}");
        Ok(())
    }

    /// What Flux (`kstatus`) or a script of Argo CD's (`health`) says of an object.
    fn judged(&self, verb: &str, object: &Value, script: Option<&Path>) -> Result<String> {
        let file = self.lab.state().join("object.json");
        fs::write(&file, object.to_string())?;
        let mut judge = Command::new(&self.program);
        judge.arg(verb).arg(&file).args(script);
        Ok(command::run(&mut judge)?.trim().to_owned())
    }

    fn health(&self, object: &Value) -> Result<String> {
        let kind = object["kind"].as_str().context("an object without a kind")?;
        let folder = repository().join("manifests/components/argocd-health");
        let script = folder.join(format!("{kind}.lua"));
        self.judged("health", object, Some(&script))
    }

    /// The cluster as it is now, by both.
    fn sees(&self, flux: &str, argo: &str) -> Result<()> {
        let cluster = get(self.lab, &["pvecluster", CLUSTER])?;
        let (kstatus, health) = (self.judged("kstatus", &cluster, None)?, self.health(&cluster)?);
        println!("Flux: {kstatus}; Argo CD: {health}");
        ensure!(kstatus == flux, "Flux says {kstatus}, not {flux}: {cluster}");
        ensure!(health.starts_with(argo), "Argo CD says {health}, not {argo}: {cluster}");
        Ok(())
    }

    fn judges_what_nobody_has_looked_at(&self, fresh: &Value) -> Result<()> {
        let mut fresh = fresh.clone();
        fresh["metadata"]["generation"] = json!(1);
        let health = self.health(&fresh)?;
        ensure!(health.starts_with("Progressing"), "Argo CD says {health} of what is new");
        Ok(())
    }

    /// Nothing that the operator wrote is a difference to Flux, to kubectl or to one more who applies the same.
    fn leaves_alone(&self, object: &Value) -> Result<()> {
        let generation = || {
            let cluster = get(self.lab, &["pvecluster", CLUSTER])?;
            Ok::<_, anyhow::Error>(cluster["metadata"]["generation"].clone())
        };
        let before = generation()?;
        let again = self.apply(object)?;
        ensure!(again.starts_with("unchanged"), "Flux finds a difference: {again}");
        let file = self.lab.state().join("cluster.json").to_string_lossy().into_owned();
        kubectl(self.lab, &["diff", "-f", &file])?;
        let second = ["apply", "--server-side", "--field-manager=second", "-f", &file];
        kubectl(self.lab, &second)?;
        kubectl(self.lab, &[&second[..], &["--dry-run=server"]].concat())?;
        let after = generation()?;
        ensure!(before == after, "the generation went from {before} to {after}");
        Ok(())
    }
}
