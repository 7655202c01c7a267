//! The operator of a lab: what the chart renders is applied, and the program runs with exactly the
//! account, the arguments and the environment of the rendered Deployment. Only the kubelet is missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::chart::{self, RELEASE};
use crate::controlplane::{ControlPlane, OPERATOR_NAMESPACE as NAMESPACE};
use crate::image::Image;
use crate::state::StateDir;
use crate::supervisor::{Process, Supervisor};
use crate::{binaries, command};

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
        self.control_plane.apply_text(&chart::rendered()?)?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
        self.give_account()
    }

    /// Gives the account that is installed a kubeconfig.
    pub fn give_account(&self) -> Result<()> {
        self.control_plane.write_kubeconfig("operator", &self.token()?).map(|_| ())
    }

    /// Starts the program, as the kubelet would start the container (again).
    pub fn start(&self) -> Result<()> {
        self.start_pod(0, &chart::read(&chart::rendered()?)?)
    }

    /// Starts one of the pods of the Deployment among these objects. They share the lab's network, so
    /// that each listens on a port of its own.
    pub fn start_pod(&self, pod: u16, objects: &[Value]) -> Result<()> {
        let container = container(objects)?;
        let kubeconfig = self.lab.join("kube/operator.kubeconfig").display().to_string();
        let mut env = environment(container, pod);
        env.insert("KUBECONFIG".to_owned(), kubeconfig);
        let program = binaries::find("pvecm-operator")?.display().to_string();
        self.launch(pod, std::iter::once(program).chain(arguments(container, pod)).collect(), env)
    }

    /// Starts the image in place of the program, with what a pod finds in its file system.
    pub fn start_image(&self, image: &Image) -> Result<()> {
        let objects = chart::read(&chart::rendered()?)?;
        let container = container(&objects)?;
        let authority = ["get", "configmap", "kube-root-ca.crt", "--namespace", NAMESPACE];
        let authority = [&authority[..], &[r"-o=jsonpath={.data.ca\.crt}"]].concat();
        image.give_account(&self.token()?, &self.kubectl(&authority)?)?;
        let mut env = environment(container, 0);
        env.extend(Image::service());
        self.launch(0, image.command(&arguments(container, 0)), env)
    }

    /// What a pod answers on its HTTP port.
    pub fn ask(&self, pod: u16, path: &str) -> Result<String> {
        let server = format!("--server=http://127.0.0.1:{}", port(pod));
        self.kubectl(&["get", &server, "--raw", path])
    }

    /// Ends the program with SIGKILL, and returns when it is gone.
    pub fn kill(&self) -> Result<()> {
        self.supervisor.signal(&process(0), Signal::SIGKILL)?;
        self.supervisor.wait_for_end(&process(0), STOP_WITHIN)
    }

    fn launch(&self, pod: u16, argv: Vec<String>, env: BTreeMap<String, String>) -> Result<()> {
        let (name, log) = (process(pod), self.lab.log(&process(pod)));
        self.supervisor.start(&Process { name, argv, env, log, outside: false })
    }

    fn token(&self) -> Result<String> {
        let token = ["create", "token", RELEASE, "--namespace", NAMESPACE, "--duration=24h"];
        Ok(self.kubectl(&token)?.trim().to_owned())
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        command::run(&mut self.control_plane.kubectl_command(arguments)?)
    }
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The first is the one that every lab has.
fn process(pod: u16) -> String {
    if pod == 0 { "operator".to_owned() } else { format!("operator-{pod}") }
}

fn port(pod: u16) -> u16 {
    8080 + pod
}

fn container(objects: &[Value]) -> Result<&Value> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let deployment = deployment.context("the chart renders no Deployment")?;
    Ok(&deployment["spec"]["template"]["spec"]["containers"][0])
}

fn arguments(container: &Value, pod: u16) -> Vec<String> {
    let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    arguments.map(|argument| argument.replace(":8080", &format!(":{}", port(pod)))).collect()
}

/// The container's environment, with what the kubelet would fill in.
fn environment(container: &Value, pod: u16) -> BTreeMap<String, String> {
    let entries = container["env"].as_array().cloned().unwrap_or_default();
    let read = |entry: &Value| {
        let name = entry["name"].as_str()?.to_owned();
        let value = match entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.name") => format!("pvecm-operator-{pod}"),
            Some("metadata.namespace") => NAMESPACE.to_owned(),
            _ => entry["value"].as_str()?.to_owned(),
        };
        Some((name, value))
    };
    entries.iter().filter_map(read).collect()
}
