//! The agent's own token: renewed at start and after a tenth of its life.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use pvecm_crds::bootstrap::{Bootstrap, account_name};
use tokio::sync::watch;

use super::{Backoff, in_time};
use crate::STATE_FOLDER;
use crate::host::replace_file;

/// Keeps the token fresh and says when it ends.
pub(super) async fn keep_fresh(
    client: kube::Client,
    bootstrap: Arc<Bootstrap>,
    expiry: watch::Sender<Option<Timestamp>>,
) {
    let mut backoff = Backoff::default();
    loop {
        match renew(&client, &bootstrap).await {
            Ok(end) => {
                backoff.reset();
                expiry.send_replace(Some(end));
                let life = end.as_second().saturating_sub(Timestamp::now().as_second());
                let tenth = u64::try_from(life / 10).unwrap_or(0).max(30);
                tokio::time::sleep(Duration::from_secs(tenth)).await;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot renew the token");
                backoff.wait().await;
            }
        }
    }
}

async fn renew(client: &kube::Client, bootstrap: &Bootstrap) -> anyhow::Result<Timestamp> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &bootstrap.namespace);
    let mut request = TokenRequest::default();
    request.spec.expiration_seconds = Some(bootstrap.expiration_seconds);
    let account = account_name(&bootstrap.host);
    let params = PostParams::default();
    let granted = in_time(api.create_token_request(&account, &params, &request)).await?;
    let status = granted.status.context("the API server granted no token")?;
    let path = Path::new(STATE_FOLDER).join("token");
    replace_file(&path, status.token.as_bytes(), 0o600).context("cannot keep the new token")?;
    Ok(status.expiration_timestamp.0)
}
