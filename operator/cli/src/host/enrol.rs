//! Enrolment: one account per host that can touch nothing but the host's own objects.
//!
//! All objects are owned by the `PveHost`, so deleting it takes the account, and with it every token,
//! away at once. A renewal makes the account anew, and ends all older tokens so.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use pvecm_core::ids::HostName;
use pvecm_crds::bootstrap::{Bootstrap, account_name};
use pvecm_crds::host::PveHost;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Asked for on enrolment and on every renewal; the API server may grant less.
const TOKEN_SECONDS: i64 = 90 * 24 * 3600;

/// Flux strips fields whose manager begins with `kubectl`, so the plugin writes under its own name.
pub const FIELD_MANAGER: &str = "pvecm";

/// What is to be enrolled, and how its agent is to start.
#[derive(Debug)]
pub struct Request {
    /// The `PveHost`'s name.
    pub host: HostName,
    /// The namespace of all objects made here.
    pub namespace: String,
    /// The machine never becomes a member.
    pub witness: bool,
    /// The host is enrolled already, and its account is to be made anew.
    pub renew: bool,
    /// Seconds between two heartbeats.
    pub heartbeat_secs: u32,
    /// Seconds after which the hosts arm high availability again by themselves.
    pub arm_after_secs: u32,
    /// The API server as the host reaches it.
    pub server: String,
    /// The name that its certificate is made out to, where `server` says another.
    pub tls_server_name: Option<String>,
}

/// How the bootstrap leaves this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the file that the agent reads.
    File,
    /// As one line that is pasted on the host.
    Line,
}

/// Makes the host's objects (or finds them as they should be) and a fresh token.
pub async fn enrol(client: &Client, request: &Request) -> anyhow::Result<Bootstrap> {
    let host = ensure_host(client, request).await?;
    let account = account_name(&request.host);
    let owner = json!([host.controller_owner_ref(&()).context("the PveHost has no UID")?]);
    let namespace = &request.namespace;
    if request.renew {
        forget_account(client, namespace, &account).await?;
    }
    // The agent renews this Lease and may not say whose it is; unowned it would outlive the host.
    let lease = json!({"metadata": {"ownerReferences": owner}});
    apply::<Lease>(client, namespace, request.host.as_str(), lease).await?;
    apply::<ServiceAccount>(client, namespace, &account, account_object(&owner)).await?;
    apply::<Role>(client, namespace, &account, role_object(&owner, request, &account)).await?;
    apply::<RoleBinding>(client, namespace, &account, binding_object(&owner, request, &account))
        .await?;
    Ok(Bootstrap {
        server: request.server.clone(),
        tls_server_name: request.tls_server_name.clone(),
        certificate_authority: certificate_authority(client, namespace).await?,
        namespace: namespace.clone(),
        host: request.host.clone(),
        token: token(client, namespace, &account).await?,
        heartbeat_seconds: request.heartbeat_secs,
        expiration_seconds: TOKEN_SECONDS,
        arm_after_seconds: request.arm_after_secs,
    })
}

/// Prints the file or the line, or writes it so that only its owner can read it.
pub fn hand_over(bootstrap: &Bootstrap, form: Form, file: Option<&Path>) -> anyhow::Result<()> {
    let text = pvecm_crds::yaml::write(bootstrap)?;
    let text = match form {
        Form::File => text,
        Form::Line => line(&text),
    };
    let Some(path) = file else {
        print!("{text}");
        return Ok(());
    };
    write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// What has the agent of a host read this file. It begins with a space: many shells do not remember such a line.
fn line(text: &str) -> String {
    format!(" echo {} | base64 -d | pvecm-agent enrol -\n", BASE64_STANDARD.encode(text))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // `mode` counts for a new file only; an older one may have been readable by others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

/// The host's object: an existing one is left as it is, for it may come from Git.
async fn ensure_host(client: &Client, request: &Request) -> anyhow::Result<PveHost> {
    let api: Api<PveHost> = Api::namespaced(client.clone(), &request.namespace);
    let name = request.host.as_str();
    if let Some(host) = api.get_opt(name).await.context("cannot read the PveHost")? {
        return Ok(host);
    }
    if request.renew {
        bail!(
            "there is no PveHost {}/{name} to renew: look at `--namespace`, or enrol it without `--renew`",
            request.namespace
        );
    }
    let role = if request.witness { "Witness" } else { "Member" };
    apply(client, &request.namespace, name, json!({"spec": {"role": role}})).await
}

/// An account of the same name has another UID, so that no token of this one is good for it.
async fn forget_account(client: &Client, namespace: &str, account: &str) -> anyhow::Result<()> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    match api.delete(account, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop).context("cannot end the tokens that the host has"),
    }
}

/// Applies an object of this name and kind; `rest` is everything but its type and name.
async fn apply<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    mut rest: Value,
) -> anyhow::Result<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    rest["apiVersion"] = json!(K::api_version(&()));
    rest["kind"] = json!(K::kind(&()));
    rest["metadata"]["name"] = json!(name);
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&rest))
        .await
        .with_context(|| format!("cannot apply {} {namespace}/{name}", K::kind(&())))
}

fn account_object(owner: &Value) -> Value {
    // The agent brings its token along from the bootstrap file; no pod ever mounts this account.
    json!({"metadata": {"ownerReferences": owner}, "automountServiceAccountToken": false})
}

/// Exactly the host's own objects, plus reading the changes of its namespace.
fn role_object(owner: &Value, request: &Request, account: &str) -> Value {
    let own = [request.host.as_str()];
    json!({
        "metadata": {"ownerReferences": owner},
        "rules": [
            {"apiGroups": ["pvecm.io"], "resources": ["pvehosts"], "resourceNames": own,
             "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["pvecm.io"], "resources": ["pvehosts/status"], "resourceNames": own,
             "verbs": ["get", "patch"]},
            {"apiGroups": ["pvecm.io"], "resources": ["pvechanges"],
             "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": own,
             "verbs": ["get", "create", "patch"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"],
             "resourceNames": [account], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["configmaps"],
             "resourceNames": ["kube-root-ca.crt"], "verbs": ["get"]},
        ],
    })
}

fn binding_object(owner: &Value, request: &Request, account: &str) -> Value {
    json!({
        "metadata": {"ownerReferences": owner},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": request.namespace}],
    })
}

/// Every namespace holds the API server's CA in this config map.
async fn certificate_authority(client: &Client, namespace: &str) -> anyhow::Result<String> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = api.get("kube-root-ca.crt").await.context("cannot read the cluster's CA")?;
    map.data
        .and_then(|mut data| data.remove("ca.crt"))
        .context("config map kube-root-ca.crt holds no ca.crt")
}

async fn token(client: &Client, namespace: &str, account: &str) -> anyhow::Result<String> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let mut request = TokenRequest::default();
    request.spec.expiration_seconds = Some(TOKEN_SECONDS);
    let granted = api
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .context("cannot make a token for the host's account")?;
    let name = granted.name_any();
    granted
        .status
        .map(|status| status.token)
        .with_context(|| format!("the API server granted no token for {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{client, server};

    fn request(renew: bool) -> Request {
        Request {
            host: "n1".parse().unwrap(),
            namespace: "pve".to_owned(),
            witness: false,
            renew,
            heartbeat_secs: 30,
            arm_after_secs: 300,
            server: "https://192.0.2.1:6443".to_owned(),
            tls_server_name: None,
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_not_renewed_and_nothing_is_made() {
        let server = server(&[]);
        let refused = enrol(&client(&server), &request(true)).await.unwrap_err();
        let said = format!("{refused:#}");
        assert!(said.starts_with("there is no PveHost pve/n1 to renew"), "{said}");
        assert!(server.lock().unwrap().writes.is_empty());
    }

    #[test]
    fn the_line_has_the_file_in_it_and_nothing_that_a_shell_understands() {
        let line = line("token: a'b\n");
        let (code, rest) = line.strip_prefix(" echo ").unwrap().split_once(' ').unwrap();
        assert_eq!(rest, "| base64 -d | pvecm-agent enrol -\n");
        assert_eq!(BASE64_STANDARD.decode(code).unwrap(), b"token: a'b\n");
        assert!(code.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c)));
    }
}
