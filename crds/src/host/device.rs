//! What members and witnesses say of a `QDevice`. Requests and certificates are no secrets; keys never come here.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host's part of the `QDevice`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostDevice {
    /// corosync-qdevice is started with the machine.
    #[serde(default)]
    pub enabled: bool,
    /// corosync hears from the device.
    #[serde(default)]
    pub alive: bool,
    /// corosync counts the device's votes.
    #[serde(default)]
    pub casts: bool,
    /// The certificate that the daemon starts with; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<HostCertificate>,
    /// One that lies beside it, for the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laid: Option<HostCertificate>,
    /// The request for the one that lies beside, in PEM, until a witness has issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub request: Option<String>,
}

/// A certificate with which a node is let in by a witness.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostCertificate {
    /// SHA-256 of the certificate of the witness that issues it, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub authority: String,
    /// Which of those that this host was asked to have; 0: none by a change.
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub generation: i32,
}

/// What a witness says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostWitness {
    /// corosync-qnetd runs.
    pub serves: bool,
    /// Its own certificate, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub authority: Option<String>,
    /// SHA-256 of that certificate, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64))]
    pub fingerprint: Option<String>,
    /// The certificates that it issued for the requests in `clusters`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["request".into()]))]
    pub certificates: Vec<IssuedCertificate>,
    /// The nodes that are connected to its `QNetd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["clusterName".into()]))]
    pub voters: Vec<ConnectedNodes>,
}

/// The nodes of one cluster that are connected to a `QNetd`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedNodes {
    /// The name of the cluster as they say it.
    #[schemars(length(min = 1, max = 255))]
    pub cluster_name: String,
    /// The IP addresses that they come from.
    #[schemars(length(max = 64), inner(length(min = 2, max = 45)))]
    pub addresses: Vec<String>,
}

/// A certificate that a witness issued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// SHA-256 of the request as it was asked, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub request: String,
    /// In PEM.
    #[schemars(length(min = 1, max = 8192))]
    pub certificate: String,
}

/// A cluster that a witness votes for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedCluster {
    /// Its name in corosync.conf, by which `QNetd` tells clusters apart.
    #[schemars(length(min = 1, max = 15))]
    pub cluster_name: String,
    /// Name of the `PveCluster`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the `PveCluster`.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// What its nodes ask to be signed, in PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 4096)))]
    pub requests: Vec<String>,
}
