//! Somebody else's API server in the place of the lab's own: any cluster that a kubeconfig reaches.
//!
//! Hosts and operator reach it under the lab's control address, through a relay, so that a cut cable
//! and a stopped relay are what they are with the lab's own. Owns nothing there but what a lab made:
//! it refuses a cluster that somebody else uses for Proxmox VE hosts, and takes its own things away.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::tools::{self, Tool};
use super::{ControlPlane, OPERATOR_NAMESPACE, PVE_NAMESPACE, api_url};
use crate::{binaries, chart, command};

/// Marks the namespaces that a lab made.
pub(super) const LAB_LABEL: &str = "pvecm.io/lab";

const DEFINITIONS: [&str; 3] =
    ["crd/pveclusters.pvecm.io", "crd/pvehosts.pvecm.io", "crd/pvechanges.pvecm.io"];

/// An API server outside the lab, as its kubeconfig has it.
#[derive(Debug)]
pub(super) struct Foreign {
    /// The kubeconfig's current context, whole, with certificates and keys in it.
    config: Value,
    host: String,
    address: SocketAddr,
}

impl Foreign {
    /// Reads a kubeconfig and looks the server up, in the network of the caller.
    pub fn read(kubeconfig: &Path) -> Result<Self> {
        let mut view = Command::new(tools::path(Tool::Kubectl)?);
        view.args(["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]);
        let text = command::run(view.arg("--kubeconfig").arg(kubeconfig))?;
        let config: Value = serde_json::from_str(&text)?;
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
        let (host, port) = endpoint(server).with_context(|| {
            format!("{} names no https server, but `{server}`", kubeconfig.display())
        })?;
        let found = (host.as_str(), port).to_socket_addrs();
        let address = found
            .with_context(|| format!("{host} is not known here"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        Ok(Self { config, host, address })
    }

    /// The relay's program and arguments.
    pub fn relay(&self) -> Result<Vec<String>> {
        let program = binaries::own()?.display().to_string();
        let listen = api_url().trim_start_matches("https://").to_owned();
        let to = self.address.to_string();
        Ok([&program, "relay", "--listen", &listen, "--to", &to].map(str::to_owned).into())
    }

    /// Writes the kubeconfig as it works inside the lab. It may hold a key of somebody's cluster.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        let mut config = self.config.clone();
        let cluster = &mut config["clusters"][0]["cluster"];
        if cluster["tls-server-name"].is_null() {
            cluster["tls-server-name"] = json!(self.host);
        }
        cluster["server"] = json!(api_url());
        config["contexts"][0]["context"]["namespace"] = json!(PVE_NAMESPACE);
        fs::write(path, "")
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o600)))?;
        fs::write(path, config.to_string()).context("could not write the kubeconfig")
    }
}

impl ControlPlane<'_> {
    /// Takes a foreign cluster for this lab: what a dead lab left there goes, what somebody else has
    /// there stops everything.
    pub(super) fn take_over(&self) -> Result<()> {
        let mut ours = false;
        for namespace in [PVE_NAMESPACE, OPERATOR_NAMESPACE] {
            let found =
                self.kubectl(&["get", "--ignore-not-found", "-o", "json", "ns", namespace])?;
            ensure!(found.success(), "the cluster does not answer: {}", found.stderr.trim());
            let namespaced: Value = serde_json::from_str(&found.stdout).unwrap_or_default();
            let labelled = !namespaced["metadata"]["labels"][LAB_LABEL].is_null();
            ours |= labelled;
            if !namespaced.is_null() && !labelled {
                bail!("this cluster has a namespace {namespace} that no lab made; use another one");
            }
        }
        let definitions = self.kubectl(&[&["get", "-o", "name"], &DEFINITIONS[..]].concat())?;
        ensure!(
            ours || definitions.stdout.trim().is_empty(),
            "this cluster knows PveClusters already and no lab made that so; use another one"
        );
        self.give_back()
    }

    /// Removes everything that a lab makes in a foreign cluster.
    pub fn give_back(&self) -> Result<()> {
        // With the operator gone nobody ends a change any more, and its finalizer would hold for ever.
        for kind in ["pvechanges", "pveclusters"] {
            let held = self.kubectl(&["get", kind, "-o", "name", "--namespace", PVE_NAMESPACE])?;
            for name in held.stdout.lines() {
                let free = r#"{"metadata":{"finalizers":null}}"#;
                self.kubectl(&["patch", name, "--type=merge", "--patch", free])?;
            }
        }
        let delete = ["delete", "--ignore-not-found", "--wait", "--timeout=60s"];
        let namespaces = ["namespace", PVE_NAMESPACE, OPERATOR_NAMESPACE];
        let gone = self.kubectl(&[&delete[..], &namespaces].concat())?;
        ensure!(gone.success(), "namespaces are not gone: {}", gone.stderr.trim());
        let mut made = self.kubectl_command(&[&delete[..], &["-f", "-"]].concat())?;
        command::run_with_input(&mut made, chart::rendered()?.as_bytes())
            .map(|_| ())
            .context("what the chart made is not gone")
    }
}

/// Host and port of an address such as `https://192.0.2.1:6443/`.
fn endpoint(server: &str) -> Option<(String, u16)> {
    let authority = server.strip_prefix("https://")?.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 443),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_a_kubeconfig_has_a_host_and_a_port() {
        let read = |server| endpoint(server).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(read("https://127.0.0.1:6443").unwrap(), "127.0.0.1 6443");
        assert_eq!(read("https://kind.example:1234/").unwrap(), "kind.example 1234");
        assert_eq!(read("https://kube.example/path").unwrap(), "kube.example 443");
        assert_eq!(read("https://[2001:db8::1]:6443").unwrap(), "2001:db8::1 6443");
        assert_eq!(read("https://[2001:db8::1]").unwrap(), "2001:db8::1 443");
        assert_eq!(read("http://127.0.0.1:8080"), None);
    }

    #[test]
    fn inside_the_lab_the_server_is_the_relay_and_its_name_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let foreign = Foreign {
            config: json!({
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }),
            host: "127.0.0.1".to_owned(),
            address: "127.0.0.1:6443".parse().unwrap(),
        };
        foreign.write_kubeconfig(&path).unwrap();
        let written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let cluster = &written["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], json!(api_url()));
        assert_eq!(cluster["tls-server-name"], "127.0.0.1");
        assert_eq!(written["contexts"][0]["context"]["namespace"], "pve");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
