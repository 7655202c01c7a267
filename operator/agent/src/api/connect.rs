//! From the bootstrap file to a client.

use std::fs;
use std::path::Path;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pvecm_crds::bootstrap::Bootstrap;
use serde_json::json;

use crate::STATE_FOLDER;
use crate::host::replace_file;

/// Reads the bootstrap file.
pub fn read_bootstrap(path: &Path) -> anyhow::Result<Bootstrap> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
}

/// A client that reads its token from the state folder, where every renewal puts the newest one.
pub async fn client(bootstrap: &Bootstrap, bootstrap_path: &Path) -> anyhow::Result<kube::Client> {
    let state = Path::new(STATE_FOLDER);
    let (authority, token) = (state.join("ca.crt"), state.join("token"));
    let written = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    // A bootstrap file that is younger than the token is a new enrolment.
    if written(&token) < written(bootstrap_path) {
        replace_file(&token, bootstrap.token.as_bytes(), 0o600)?;
        replace_file(&authority, bootstrap.certificate_authority.as_bytes(), 0o644)?;
    }
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "cluster", "cluster": {
            "server": bootstrap.server, "tls-server-name": bootstrap.tls_server_name,
            "certificate-authority": authority,
        }}],
        "users": [{"name": "agent", "user": {"tokenFile": token}}],
        "contexts": [{"name": "agent", "context": {
            "cluster": "cluster", "user": "agent", "namespace": bootstrap.namespace,
        }}],
        "current-context": "agent",
    }))?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(super::CALL_TIMEOUT);
    // The library would go on for a quarter of an hour; every caller here has its own backoff.
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}
