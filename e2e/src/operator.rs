//! The operator of a lab: what the chart renders is applied, and the program runs with exactly the
//! account, the arguments and the environment of the rendered Deployment. Only the kubelet is missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::Deserialize as _;
use serde_json::Value;

use crate::binaries;
use crate::command;
use crate::controlplane::tools::{self, Tool};
use crate::controlplane::{ControlPlane, OPERATOR_NAMESPACE as NAMESPACE};
use crate::state::StateDir;
use crate::supervisor::{Process, Supervisor};

/// The chart's release name, which is also the account's.
const RELEASE: &str = "pvecm-operator";
const OLDEST_KUBERNETES: &str = "1.33.0";
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A handle on the operator of a lab.
#[derive(Clone, Copy, Debug)]
pub struct Operator<'lab> {
    lab: &'lab StateDir,
    supervisor: &'lab Supervisor,
    control_plane: ControlPlane<'lab>,
}

impl<'lab> Operator<'lab> {
    /// A handle; starts nothing.
    #[must_use]
    pub fn new(
        lab: &'lab StateDir,
        supervisor: &'lab Supervisor,
        control_plane: ControlPlane<'lab>,
    ) -> Self {
        Self { lab, supervisor, control_plane }
    }

    /// Applies what the chart renders and gives the account a kubeconfig.
    pub fn install(&self) -> Result<()> {
        self.control_plane.make_namespace(NAMESPACE)?;
        self.control_plane.apply_text(&rendered_chart()?)?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
        let token = ["create", "token", RELEASE, "--namespace", NAMESPACE, "--duration=24h"];
        let token = self.kubectl(&token)?;
        self.control_plane.write_kubeconfig("operator", token.trim()).map(|_| ())
    }

    /// Starts the program, as the kubelet would start the container (again).
    pub fn start(&self) -> Result<()> {
        let deployment = deployment(&rendered_chart()?)?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().cloned().unwrap_or_default();
        let arguments =
            arguments.iter().filter_map(|argument| argument.as_str().map(str::to_owned));
        let kubeconfig = self.lab.join("kube/operator.kubeconfig").display().to_string();
        let mut env = environment(container);
        env.insert("KUBECONFIG".to_owned(), kubeconfig);
        let program = binaries::find("pvecm-operator")?.display().to_string();
        self.supervisor.start(&Process {
            name: "operator".to_owned(),
            argv: std::iter::once(program).chain(arguments).collect(),
            env,
            log: self.lab.log("operator"),
            outside: false,
        })
    }

    /// Ends the program with SIGKILL, and returns when it is gone.
    pub fn kill(&self) -> Result<()> {
        self.supervisor.signal("operator", Signal::SIGKILL)?;
        self.supervisor.wait_for_end("operator", STOP_WITHIN)
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        command::run(&mut self.control_plane.kubectl_command(arguments)?)
    }
}

/// The chart as helm renders it with its default values.
pub fn rendered_chart() -> Result<String> {
    helm_template(&[])
}

/// The same without the resource definitions: the text of the kustomize base.
pub fn rendered_base() -> Result<String> {
    helm_template(&["--set", "crds.enabled=false"])
}

fn helm_template(more: &[&str]) -> Result<String> {
    let chart = repository().join("charts/pvecm-operator");
    let mut helm = Command::new(tools::path(Tool::Helm)?);
    helm.args(["template", RELEASE]).arg(chart).args(["--namespace", NAMESPACE]);
    // A helm built from its module does not know what Kubernetes it was made for and says 1.20.
    helm.args(["--kube-version", OLDEST_KUBERNETES]).args(more);
    command::run(&mut helm).context("helm does not render the chart")
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

fn deployment(rendered: &str) -> Result<Value> {
    serde_yaml::Deserializer::from_str(rendered)
        .filter_map(|document| Value::deserialize(document).ok())
        .find(|object| object["kind"] == "Deployment")
        .context("the chart renders no Deployment")
}

/// The container's environment, with what the kubelet would fill in for the one pod of a lab.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let entries = container["env"].as_array().cloned().unwrap_or_default();
    let read = |entry: &Value| {
        let name = entry["name"].as_str()?.to_owned();
        let value = match entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.name") => "pvecm-operator-0".to_owned(),
            Some("metadata.namespace") => NAMESPACE.to_owned(),
            _ => entry["value"].as_str()?.to_owned(),
        };
        Some((name, value))
    };
    entries.iter().filter_map(read).collect()
}
