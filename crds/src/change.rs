//! `PveChange`: one numbered, immutable, reviewable plan, and how far it got.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column is an attribute with the same keys"
)]

mod plan;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use plan::Tombstone;
pub use plan::{
    Action, ConfigText, Course, DatacenterLine, HostActions, Member, Parent, Plan, Probe, Receiver,
    Risk, Stage, StageLimits,
};
pub use status::{CertificateFor, HostProgress, Outcome, PveChangeStatus, SealedFor, StageResult};

use crate::reference::ClusterRef;

/// What the operator means to do, in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "pvecm.io",
    version = "v1alpha1",
    kind = "PveChange",
    plural = "pvechanges",
    shortname = "pvech",
    category = "pve",
    namespaced,
    status = "PveChangeStatus",
    derive = "PartialEq",
    doc = "One change of a Proxmox VE cluster, planned by the operator, carried out by the hosts.",
    cel,
    // Without the number: an API server takes `string(...)` for text of any length, and the rule
    // would be far over its cost limit.
    validation = Rule::new("self.metadata.name.startsWith(self.spec.clusterRef.name + '-')")
        .message("`metadata.name` must begin with the cluster's name and a dash"),
    validation = Rule::new(
        "!has(oldSelf.status) || (has(self.status) && \
         self.status.releasedStage >= oldSelf.status.releasedStage)"
    )
    .message("`status.releasedStage` must never go down"),
    selectable = ".spec.clusterRef.name",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".spec.plan.risk"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Summary",
        type_ = "string",
        json_path = ".spec.plan.summary",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PveChangeSpec {
    /// The cluster that is changed.
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("`clusterRef` is immutable")
    )]
    pub cluster_ref: ClusterRef,
    /// Number of the change, counted per cluster from 1. Hosts refuse one that they have passed.
    #[schemars(range(min = 1, max = crate::LARGEST))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("`number` is immutable")
    )]
    pub number: i64,
    /// Everything that will be done. It never changes.
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("`plan` is immutable")
    )]
    pub plan: Plan,
    /// A person agrees. It only goes from false to true.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new("self || !oldSelf").message("`approved` must only go from false to true")
    )]
    pub approved: bool,
}

impl PveChange {
    /// How it ended, if it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.status.as_ref()?.outcome
    }
}
