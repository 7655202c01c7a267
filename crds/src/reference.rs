//! References between objects. They never leave the namespace.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Names a `PveHost` in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostRef {
    /// Name of the `PveHost`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
}

/// Names a `Secret` in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the `Secret`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Names one particular `PveCluster`: a later one of the same name has another UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// Name of the `PveCluster`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the `PveCluster`.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}
