//! From the bootstrap file to a client.

use std::fs;
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pvecm_crds::bootstrap::Bootstrap;
use serde_json::{Value, json};

use crate::STATE_FOLDER;
use crate::host::replace_file;

/// Where every renewal puts the newest token and certificates.
pub(super) const TOKEN: &str = "token";
pub(super) const AUTHORITY: &str = "ca.crt";

/// Reads the bootstrap file.
pub fn read_bootstrap(path: &Path) -> anyhow::Result<Bootstrap> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
}

/// A client that reads its token from the state folder.
pub async fn client(bootstrap: &Bootstrap, bootstrap_path: &Path) -> anyhow::Result<kube::Client> {
    let state = Path::new(STATE_FOLDER);
    let (authority, token) = (state.join(AUTHORITY), state.join(TOKEN));
    if is_newer(bootstrap_path) {
        replace_file(&token, bootstrap.token.as_bytes(), 0o600)?;
        replace_file(&authority, bootstrap.certificate_authority.as_bytes(), 0o644)?;
    }
    let authority = json!({"certificate-authority": authority});
    let config = config(bootstrap, authority, json!({"tokenFile": token})).await?;
    Ok(kube::Client::try_from(config)?)
}

/// Whether a bootstrap file is younger than the token that is kept: a new enrolment.
fn is_newer(bootstrap_path: &Path) -> bool {
    let written = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    written(&Path::new(STATE_FOLDER).join(TOKEN)) < written(bootstrap_path)
}

/// The bootstrap as the agent goes by it now: with the token and the certificates that it renewed last.
#[must_use]
pub fn renewed(bootstrap: &Bootstrap, bootstrap_path: &Path) -> Bootstrap {
    let mut now = bootstrap.clone();
    let kept = |name: &str| fs::read_to_string(Path::new(STATE_FOLDER).join(name)).ok();
    if !is_newer(bootstrap_path) {
        now.token = kept(TOKEN).unwrap_or(now.token);
        now.certificate_authority = kept(AUTHORITY).unwrap_or(now.certificate_authority);
    }
    now
}

/// What a client with exactly this token and these certificates is made of. Nothing is read or written.
pub(super) async fn config_of(bootstrap: &Bootstrap) -> anyhow::Result<kube::Config> {
    let authority = BASE64_STANDARD.encode(&bootstrap.certificate_authority);
    let authority = json!({"certificate-authority-data": authority});
    config(bootstrap, authority, json!({"token": bootstrap.token.trim()})).await
}

async fn config(
    bootstrap: &Bootstrap,
    authority: Value,
    user: Value,
) -> anyhow::Result<kube::Config> {
    let mut cluster = authority;
    cluster["server"] = json!(bootstrap.server);
    cluster["tls-server-name"] = json!(bootstrap.tls_server_name);
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "agent", "user": user}],
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
    Ok(config)
}
