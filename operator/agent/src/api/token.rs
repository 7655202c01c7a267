//! The agent's own token, renewed at start and after a tenth of its life, and the certificates that
//! the API server is checked against, looked at every hour.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use pvecm_crds::bootstrap::{Bootstrap, account_name};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::connect::{AUTHORITY, TOKEN};
use super::{Backoff, in_time};
use crate::STATE_FOLDER;
use crate::host::replace_file;

/// While an API server gets other certificates, the old and the new ones are published together: for hours perhaps,
/// and a tenth of a token's life may be nine days.
const LOOK_AT_CERTIFICATES: Duration = Duration::from_secs(3600);

/// Keeps the token fresh and says when it ends. Returns when other certificates came, which only a
/// new client uses.
pub(super) async fn keep_fresh(
    client: &kube::Client,
    bootstrap: &Bootstrap,
    expiry: &watch::Sender<Option<Timestamp>>,
) {
    let mut backoff = Backoff::default();
    loop {
        match renew(client, bootstrap).await {
            Ok(Renewed::Certificates) => return,
            Ok(Renewed::Token(end)) => {
                backoff.reset();
                expiry.send_replace(Some(end));
                let life = end.as_second().saturating_sub(Timestamp::now().as_second());
                let tenth = u64::try_from(life / 10).unwrap_or(0).max(30);
                if other_certificates(client, bootstrap, Duration::from_secs(tenth)).await {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot renew the token");
                backoff.wait().await;
            }
        }
    }
}

/// Waits for so long, or until there are other certificates.
async fn other_certificates(
    client: &kube::Client,
    bootstrap: &Bootstrap,
    at_most: Duration,
) -> bool {
    let end = Instant::now() + at_most;
    loop {
        sleep(LOOK_AT_CERTIFICATES.min(end.saturating_duration_since(Instant::now()))).await;
        if Instant::now() >= end {
            return false;
        }
        match refresh_authority(client, bootstrap).await {
            Ok(are_others) if are_others => return true,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot look at the certificates");
            }
        }
    }
}

enum Renewed {
    Certificates,
    Token(Timestamp),
}

async fn renew(client: &kube::Client, bootstrap: &Bootstrap) -> anyhow::Result<Renewed> {
    // The certificates first: a token is of no use to a client that no longer trusts its server.
    if refresh_authority(client, bootstrap).await? {
        return Ok(Renewed::Certificates);
    }
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &bootstrap.namespace);
    let mut request = TokenRequest::default();
    request.spec.expiration_seconds = Some(bootstrap.expiration_seconds);
    let account = account_name(&bootstrap.host);
    let params = PostParams::default();
    let granted = in_time(api.create_token_request(&account, &params, &request)).await?;
    let status = granted.status.context("the API server granted no token")?;
    let path = Path::new(STATE_FOLDER).join(TOKEN);
    replace_file(&path, status.token.as_bytes(), 0o600).context("cannot keep the new token")?;
    Ok(Renewed::Token(status.expiration_timestamp.0))
}

/// Whether the certificates that Kubernetes publishes in every namespace are others than ours.
async fn refresh_authority(client: &kube::Client, bootstrap: &Bootstrap) -> anyhow::Result<bool> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &bootstrap.namespace);
    let map = in_time(api.get("kube-root-ca.crt")).await.context("cannot read kube-root-ca.crt")?;
    let published = map.data.and_then(|mut data| data.remove("ca.crt")).unwrap_or_default();
    keep_authority(&Path::new(STATE_FOLDER).join(AUTHORITY), &published)
}

/// Keeps other certificates than the known ones. Text without a certificate is never kept: with it
/// the agent could not speak to any API server again.
fn keep_authority(path: &Path, published: &str) -> anyhow::Result<bool> {
    let known = std::fs::read_to_string(path).unwrap_or_default();
    if published.trim() == known.trim() || !published.contains("BEGIN CERTIFICATE") {
        return Ok(false);
    }
    replace_file(path, published.as_bytes(), 0o644).context("cannot keep the certificates")?;
    tracing::info!("the certificates of the API server were renewed");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_certificates_replace_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let first = "-----BEGIN CERTIFICATE-----\nfirst\n";
        let second = "-----BEGIN CERTIFICATE-----\nsecond\n";
        std::fs::write(&path, first).unwrap();
        assert!(!keep_authority(&path, first).unwrap());
        assert!(!keep_authority(&path, "").unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert!(keep_authority(&path, second).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), second);
    }
}
