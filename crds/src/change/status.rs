//! How far a change got.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the change got. Written by the operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PveChangeStatus {
    /// The stage that the hosts may work on, counted from 1; 0: none yet. It never goes down.
    #[serde(default)]
    #[schemars(range(min = 0, max = 64))]
    pub released_stage: i32,
    /// Released stage and number of stages, for people: `2/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub stage: Option<String>,
    /// How far each host got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub hosts: Vec<HostProgress>,
    /// Secrets on their way, each readable by its receiver alone; gone once it has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub sealed: Vec<SealedFor>,
    /// Certificates that a witness issued for hosts of this change, until those have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub certificates: Vec<CertificateFor>,
    /// How the change ended; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("`outcome` is final")
    )]
    pub outcome: Option<Outcome>,
    /// Why it ended so, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// How far one host got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostProgress {
    /// Name of the `PveHost`.
    #[schemars(length(min = 1, max = 63))]
    pub host: String,
    /// The stage, counted from 1.
    #[schemars(range(min = 1, max = 64))]
    pub stage: i32,
    /// What became of it.
    pub result: StageResult,
    /// One sentence for people; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What became of a stage on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageResult {
    /// Admitted and prepared, nothing changed yet.
    Prepared,
    /// Acting, or waiting for the probes to hold.
    Acting,
    /// In force here and everywhere.
    Confirmed,
    /// Undone: the old content is in force under a higher number.
    RolledBack,
    /// Not begun; nothing was changed.
    Refused,
    /// Neither in force nor undone; a person is needed.
    Failed,
}

/// A secret for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedFor {
    /// Name of the `PveHost` that can read it.
    #[schemars(length(min = 1, max = 63))]
    pub host: String,
    /// The encrypted bytes in armoured form.
    #[schemars(length(min = 1, max = 16384))]
    pub data: String,
}

/// A certificate for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFor {
    /// Name of the `PveHost` that asked for it.
    #[schemars(length(min = 1, max = 63))]
    pub host: String,
    /// In PEM.
    #[schemars(length(min = 1, max = 8192))]
    pub certificate: String,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// Every stage is in force on every host.
    Succeeded,
    /// The stage in which it failed was undone; those before it are in force.
    RolledBack,
    /// It was not begun, because something newer is wanted.
    Superseded,
    /// Neither in force nor undone; a person is needed.
    Failed,
}
