//! The lab's Kubernetes control plane: etcd, API server and controller manager on the management
//! network, with RBAC, bound service-account tokens and an admin token for the lab itself; or a
//! relay to somebody else's API server in its place.

mod foreign;
pub mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::command::{self, Output};
use crate::network::CONTROL_ADDRESS;
use crate::state::StateDir;
use crate::supervisor::{Process, Supervisor};
use crate::wait::wait_until;
use foreign::{Foreign, LAB_LABEL};
use tools::Tool;

/// Namespace of the clusters and hosts, and the default of `lab kubectl`.
pub const PVE_NAMESPACE: &str = "pve";

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "pvecm-system";

/// Where etcd is, on the loopback of the lab's control network.
pub(crate) const ETCD_URL: &str = "http://127.0.0.1:2379";
const ADMIN_TOKEN: &str = "lab-admin";
const MANAGER: &str = "kube-controller-manager";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where the API server is, from the lab's hosts and from its control network alike.
#[must_use]
pub fn api_url() -> String {
    format!("https://{CONTROL_ADDRESS}:6443")
}

/// A handle on the control plane of a lab.
#[derive(Clone, Copy, Debug)]
pub struct ControlPlane<'lab> {
    lab: &'lab StateDir,
    supervisor: &'lab Supervisor,
    /// The kubeconfig of somebody else's cluster, where that is used.
    foreign: Option<&'lab Path>,
}

impl<'lab> ControlPlane<'lab> {
    /// A handle; starts nothing.
    #[must_use]
    pub fn new(
        lab: &'lab StateDir,
        supervisor: &'lab Supervisor,
        foreign: Option<&'lab Path>,
    ) -> Self {
        Self { lab, supervisor, foreign }
    }

    /// Starts everything, waits until it is ready, and makes the namespace of the clusters.
    pub fn start(&self) -> Result<()> {
        fs::create_dir_all(self.lab.join("kube/serving"))?;
        if self.foreign.is_some() {
            self.start_api_server()?;
            self.take_over()?;
        } else {
            self.write_files()?;
            self.launch("etcd", Tool::Etcd, self.etcd_arguments())?;
            self.start_api_server()?;
            self.launch_manager()?;
        }
        self.make_namespace(PVE_NAMESPACE)
    }

    /// Makes a namespace, marked as a lab's.
    pub fn make_namespace(&self, name: &str) -> Result<()> {
        let labels = json!({LAB_LABEL: self.lab.name()});
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}
        }))
    }

    /// Stops the API server at once, or cuts the lab off from somebody else's; etcd and everything
    /// else go on.
    pub fn stop_api_server(&self) -> Result<()> {
        // Told to end, it would wait up to a minute for its clients' watches.
        self.supervisor.end(self.api_process(), Signal::SIGKILL)
    }

    /// Starts the API server (again), or the way to it, and waits until it is ready.
    pub fn start_api_server(&self) -> Result<()> {
        let started = match self.foreign {
            Some(kubeconfig) => self.launch_relay(&Foreign::read(kubeconfig)?),
            None => self.launch(self.api_process(), Tool::ApiServer, self.api_server_arguments()),
        };
        started?;
        wait_until(READY_WITHIN, "the API server to be ready", || self.ready())
            .with_context(|| format!("see {}", self.lab.log(self.api_process()).display()))
    }

    /// Gives the lab's own API server other certificates, of which nobody was told before.
    pub fn change_certificates(&self) -> Result<()> {
        ensure!(self.foreign.is_none(), "the certificates of this API server are somebody else's");
        self.stop_api_server()?;
        fs::remove_dir_all(self.lab.join("kube/serving"))?;
        fs::create_dir_all(self.lab.join("kube/serving"))?;
        self.start_api_server()?;
        // It publishes those that it read when it started.
        self.supervisor.end(MANAGER, Signal::SIGKILL)?;
        self.launch_manager()?;
        let certificate = fs::read_to_string(self.certificate())?;
        wait_until(READY_WITHIN, "the new certificates to be published", || {
            let published =
                ["get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"];
            let said = self.kubectl(&published).map_err(|error| format!("{error:#}"))?;
            if said.stdout.trim() == certificate.trim() { Ok(()) } else { Err(said.stderr) }
        })
    }

    fn launch_manager(&self) -> Result<()> {
        let arguments = self.controller_manager_arguments();
        self.launch(MANAGER, Tool::ControllerManager, arguments)
    }

    fn api_process(&self) -> &'static str {
        if self.foreign.is_some() { "relay" } else { "kube-apiserver" }
    }

    fn ready(&self) -> Result<(), String> {
        if self.foreign.is_none() {
            if !self.certificate().is_file() {
                return Err("no serving certificate yet".to_owned());
            }
            // Before the first start there is no kubeconfig; any answer needs one.
            self.write_admin().map_err(|error| format!("{error:#}"))?;
        }
        let said = self.kubectl(&["get", "--raw=/readyz"]).map_err(|error| format!("{error:#}"))?;
        if said.success() { Ok(()) } else { Err(said.stderr.trim().to_owned()) }
    }

    /// The admin's kubeconfig, for clients inside the lab's network.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.lab.join("kube/admin.kubeconfig")
    }

    /// A kubectl as admin, with the clusters' namespace as its default.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Result<Command> {
        self.client(Tool::Kubectl, arguments)
    }

    /// A helm as admin that installs into the operator's namespace.
    pub fn helm_command(&self, arguments: &[&str]) -> Result<Command> {
        let namespace = ["--namespace", OPERATOR_NAMESPACE];
        let mut helm = self.client(Tool::Helm, &[arguments, &namespace].concat())?;
        if arguments.first() == Some(&"install") {
            helm.arg("--create-namespace");
        }
        Ok(helm)
    }

    fn client(&self, tool: Tool, arguments: &[&str]) -> Result<Command> {
        // The network of the lab, but the caller's own files: `-f FILE` means the caller's file.
        let mut client = Command::new("nsenter");
        client.args(["-t", &self.supervisor.pid().to_string(), "-n", "--"]).arg(tools::path(tool)?);
        // By the environment: kubectl takes no flag before the name of a plugin.
        client.env("KUBECONFIG", self.kubeconfig()).args(arguments);
        Ok(client)
    }

    /// Runs kubectl; a failing command is no error here, see [`Output::success`].
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        command::output(&mut self.kubectl_command(arguments)?)
    }

    /// Applies one object (or a `List`) with server-side apply, as the lab.
    pub fn apply(&self, object: &Value) -> Result<()> {
        self.apply_text(&object.to_string())
    }

    /// Applies YAML or JSON text with server-side apply, as the lab.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--field-manager=lab", "-f", "-"];
        command::run_with_input(&mut self.kubectl_command(&arguments)?, text.as_bytes()).map(|_| ())
    }

    /// Writes a kubeconfig that authenticates with a token, and returns its path.
    pub fn write_kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.lab.join(format!("kube/{name}.kubeconfig"));
        let admin = fs::read(self.kubeconfig()).context("there is no kubeconfig of the admin")?;
        let mut config: Value = serde_json::from_slice(&admin)?;
        config["users"] = json!([{"name": name, "user": {"token": token}}]);
        config["contexts"][0]["context"]["user"] = json!(name);
        fs::write(&path, config.to_string()).context("could not write a kubeconfig")?;
        Ok(path)
    }

    fn write_admin(&self) -> Result<()> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {
                "server": api_url(), "certificate-authority": self.certificate(),
            }}],
            "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": "lab", "context": {
                "cluster": "lab", "user": "admin", "namespace": PVE_NAMESPACE,
            }}],
        });
        fs::write(self.kubeconfig(), config.to_string()).context("could not write a kubeconfig")
    }

    /// The certificate bundle of the lab's own API server, by which clients know it.
    fn certificate(&self) -> PathBuf {
        self.lab.join("kube/serving/apiserver.crt")
    }

    fn write_files(&self) -> Result<()> {
        let kube = self.lab.join("kube");
        let admin = format!("{ADMIN_TOKEN},lab-admin,lab-admin,system:masters\n");
        fs::write(kube.join("tokens.csv"), admin)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["genrsa", "-out"]).arg(kube.join("service-accounts.key")).arg("2048");
        command::run(&mut openssl).map(|_| ()).context("could not make the token signing key")
    }

    fn launch(&self, name: &str, tool: Tool, arguments: Vec<String>) -> Result<()> {
        let program = tools::path(tool)?.display().to_string();
        self.start_process(name, std::iter::once(program).chain(arguments).collect(), false)
    }

    fn launch_relay(&self, foreign: &Foreign) -> Result<()> {
        foreign.write_kubeconfig(&self.kubeconfig())?;
        self.start_process(self.api_process(), foreign.relay()?, true)
    }

    fn start_process(&self, name: &str, argv: Vec<String>, outside: bool) -> Result<()> {
        let (name, log) = (name.to_owned(), self.lab.log(name));
        self.supervisor.start(&Process { name, argv, env: BTreeMap::new(), log, outside })
    }

    fn etcd_arguments(&self) -> Vec<String> {
        vec![
            format!("--data-dir={}", self.lab.join("etcd").display()),
            format!("--listen-client-urls={ETCD_URL}"),
            format!("--advertise-client-urls={ETCD_URL}"),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
            "--log-level=warn".to_owned(),
            // A lab's data dies with it; not syncing keeps two slow cores for the scenarios.
            "--unsafe-no-fsync".to_owned(),
        ]
    }

    fn api_server_arguments(&self) -> Vec<String> {
        let kube = self.lab.join("kube");
        let key = kube.join("service-accounts.key");
        vec![
            format!("--etcd-servers={ETCD_URL}"),
            format!("--advertise-address={CONTROL_ADDRESS}"),
            "--secure-port=6443".to_owned(),
            format!("--cert-dir={}", kube.join("serving").display()),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", kube.join("tokens.csv").display()),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-signing-key-file={}", key.display()),
            format!("--service-account-key-file={}", key.display()),
            "--endpoint-reconciler-type=none".to_owned(),
        ]
    }

    fn controller_manager_arguments(&self) -> Vec<String> {
        let kube = self.lab.join("kube");
        vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
            format!("--root-ca-file={}", self.certificate().display()),
            format!(
                "--service-account-private-key-file={}",
                kube.join("service-accounts.key").display()
            ),
            "--use-service-account-credentials=false".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ]
    }
}
