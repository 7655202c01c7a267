//! Every call to the API server: under a timeout, and no write without the lease.
//!
//! Owns how calls are made, never what is in them.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::leader::Leadership;

/// The field manager of everything that the operator writes.
pub const MANAGER: &str = "pvecm-operator";
/// The field manager of the condition `Connected`, which is written at moments of its own.
pub const CONNECTED_MANAGER: &str = "pvecm-operator-connected";

/// A silent peer holds a call forever: kube 5 has no read timeout. Shorter than the time between a
/// leader's last moment and its successor's first, so that no call outlives its leadership.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No answer.
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// An answer that says no.
    #[error("the API server refused or failed")]
    Refused(#[source] Box<kube::Error>),
    /// Another process writes now.
    #[error("this process does not hold the lease")]
    NotLeading,
}

impl From<kube::Error> for AccessError {
    fn from(error: kube::Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// A kind of this API group, or any other namespaced one.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

/// An object to write, by server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// Refuse the write when the object is not at this `resourceVersion` any more.
    pub version: Option<&'a str>,
    /// Under whose name.
    pub manager: &'a str,
}

/// The way to the API server.
#[derive(Clone)]
pub struct Access {
    client: Client,
    leadership: Leadership,
}

impl Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, AccessError> {
    Ok(timeout(PATIENCE, call).await.map_err(|_| AccessError::Timeout)??)
}

impl Access {
    /// Calls by this client, writes by this leadership.
    #[must_use]
    pub const fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership }
    }

    /// Whether this process may write.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leadership.holds()
    }

    fn to_write(&self) -> Result<(), AccessError> {
        if self.leads() { Ok(()) } else { Err(AccessError::NotLeading) }
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads one object from the server.
    pub async fn get<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<K>, AccessError> {
        within(self.api(namespace).get_opt(name)).await
    }

    /// Reads the objects under a label from the server.
    pub async fn list<K: Kind>(&self, namespace: &str, label: &str) -> Result<Vec<K>, AccessError> {
        let labelled = ListParams::default().labels(label);
        Ok(within(self.api(namespace).list(&labelled)).await?.items)
    }

    /// Creates an object; false: one of this name is there already.
    pub async fn create<K: Kind>(&self, namespace: &str, object: &K) -> Result<bool, AccessError> {
        self.to_write()?;
        let under = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match within(self.api(namespace).create(&under, object)).await {
            Ok(_) => Ok(true),
            Err(AccessError::Refused(error)) if matches!(&*error, kube::Error::Api(status) if status.is_already_exists()) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a status: all fields that the manager owns.
    pub async fn apply_status<K: Kind>(
        &self,
        target: Target<'_>,
        status: &impl Serialize,
    ) -> Result<(), AccessError> {
        self.to_write()?;
        let Target { namespace, name, version: _, manager } = target;
        let mut object = document::<K>(target);
        object["status"] = json!(status);
        let under = PatchParams::apply(manager).force();
        within(self.api::<K>(namespace).patch_status(name, &under, &Patch::Apply(object))).await?;
        Ok(())
    }

    /// Sets the finalizers that the manager owns; the object's `resourceVersion` afterwards.
    pub async fn apply_finalizers<K: Kind>(
        &self,
        target: Target<'_>,
        finalizers: &[&str],
    ) -> Result<Option<String>, AccessError> {
        self.to_write()?;
        let Target { namespace, name, version: _, manager } = target;
        let mut object = document::<K>(target);
        object["metadata"]["finalizers"] = json!(finalizers);
        let under = PatchParams::apply(manager).force();
        let api = self.api::<K>(namespace);
        let written = within(api.patch(name, &under, &Patch::Apply(object))).await?;
        Ok(written.meta().resource_version.clone())
    }

    /// Deletes an object if it is still this one.
    pub async fn delete<K: Kind>(&self, object: &K) -> Result<(), AccessError> {
        self.to_write()?;
        let meta = object.meta();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        let same = Preconditions { uid: meta.uid.clone(), resource_version: None };
        let under = DeleteParams::default().preconditions(same);
        match within(self.api::<K>(namespace).delete(name, &under)).await {
            Ok(_) => Ok(()),
            Err(AccessError::Refused(error)) if matches!(&*error, kube::Error::Api(status) if status.is_not_found()) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// The head of an object for server-side apply.
fn document<K: Kind>(target: Target<'_>) -> Value {
    let mut object = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": target.name},
    });
    if let Some(version) = target.version {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    object
}
