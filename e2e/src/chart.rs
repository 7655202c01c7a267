//! The chart as helm renders it, and the files of `manifests/` that are made from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize as _;
use serde_json::Value;

use crate::command::{self, Output};
use crate::controlplane::OPERATOR_NAMESPACE as NAMESPACE;
use crate::controlplane::tools::{self, Tool};
use crate::operator::repository;

/// The chart's release name, which is also the account's.
pub const RELEASE: &str = "pvecm-operator";

const OLDEST_KUBERNETES: &str = "1.33.0";

/// Files of `manifests/` and what helm is told for each. All leave out the definitions, which the base
/// takes from where they are generated.
const MADE: [(&str, &[&str]); 4] = [
    ("base/operator.yaml", &[]),
    (
        "components/network-policy/networkpolicy.yaml",
        &["--set=networkPolicy.enabled=true", "--show-only=templates/networkpolicy.yaml"],
    ),
    (
        "components/monitoring/monitoring.yaml",
        &[
            "--set=monitoring.serviceMonitor.enabled=true",
            "--set=monitoring.rules.enabled=true",
            "--set=monitoring.dashboard.enabled=true",
            "--show-only=templates/monitoring.yaml",
        ],
    ),
    (
        "components/high-availability/pdb.yaml",
        &["--set=replicas=2", "--show-only=templates/pdb.yaml"],
    ),
];

/// The chart's folder.
#[must_use]
pub fn folder() -> PathBuf {
    repository().join("charts/pvecm-operator")
}

/// The chart as helm renders it with its default values.
pub fn rendered() -> Result<String> {
    let done = template(&[])?;
    if done.success() { Ok(done.stdout) } else { Err(refused(&done)) }
}

/// What helm says to these arguments, be it a refusal.
pub fn template(more: &[&str]) -> Result<Output> {
    let mut helm = Command::new(tools::path(Tool::Helm)?);
    helm.args(["template", RELEASE]).arg(folder()).args(["--namespace", NAMESPACE]);
    // A helm built from its module does not know what Kubernetes it was made for and says 1.20.
    helm.args(["--kube-version", OLDEST_KUBERNETES]).args(more);
    command::output(&mut helm)
}

/// The objects that helm renders with these arguments.
pub fn objects(more: &[&str]) -> Result<Vec<Value>> {
    let done = template(more)?;
    if done.success() { read(&done.stdout) } else { Err(refused(&done)) }
}

/// The objects of a text in YAML.
pub fn read(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents = documents.filter(|document| !matches!(document, Ok(Value::Null)));
    documents.collect::<Result<_, _>>().context("this is no YAML")
}

/// The files of `manifests/` that helm renders, with their texts.
pub fn made() -> Result<Vec<(PathBuf, String)>> {
    let file = |(path, arguments): &(&str, &[&str])| {
        let done = template(&[&["--set=crds.enabled=false"], *arguments].concat())?;
        let text = if done.success() { done.stdout } else { return Err(refused(&done)) };
        // Helm would otherwise be named as the manager of what it never installs.
        let text = text.replace("managed-by: Helm", "managed-by: kustomize");
        Ok((manifests().join(path), text))
    };
    MADE.iter().map(file).collect()
}

/// `install.yaml`, the base in one file, with its text.
pub fn install() -> Result<(PathBuf, String)> {
    let note = "# The operator in namespace pvecm-system, all in one file. Generated from manifests/base: cargo xtask crds.\n";
    Ok((manifests().join("install.yaml"), note.to_owned() + &kustomized("base")?))
}

/// What kustomize makes of a folder of `manifests/`.
pub fn kustomized(folder: &str) -> Result<String> {
    kustomize(&manifests().join(folder))
}

/// What kustomize makes of a folder.
pub fn kustomize(folder: &Path) -> Result<String> {
    let mut kubectl = Command::new(tools::path(Tool::Kubectl)?);
    command::run(kubectl.arg("kustomize").arg(folder))
}

fn manifests() -> PathBuf {
    repository().join("manifests")
}

fn refused(done: &Output) -> anyhow::Error {
    anyhow::anyhow!("helm does not render the chart: {}", done.stderr.trim())
}
