//! What an agent says of the ways to other members: the links that are not as they should be, and what was measured
//! once on request. No figure here moves by itself.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How good a way between two hosts is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LinkClass {
    /// As corosync wants it.
    Good,
    /// Round trips take longer than half of what a new way may take.
    Slow,
    /// It loses more than a new way may lose, or cuts what is large.
    Lossy,
    /// Nothing comes through.
    #[default]
    Broken,
}

/// A link to another member that is configured and not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostLinkFault {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub link: i32,
    /// Node id of the other end.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub node_id: i64,
    /// What it is like: `Broken` is not connected; of the others corosync's own pings tell, over minutes.
    #[serde(default)]
    pub class: LinkClass,
    /// Why, as far as it was found out, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What one measurement found, taken when `spec.measure` was counted up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostMeasured {
    /// The `spec.measure` that asked for it.
    #[schemars(range(min = 0, max = crate::LARGEST))]
    pub request: i64,
    /// The ways to the other members on every link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub ways: Vec<MeasuredWay>,
    /// This host's own addresses that another machine has as well, or may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub duplicates: Vec<DuplicateAddress>,
}

/// One way as it was. Figures are absent where nothing came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredWay {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub link: i32,
    /// Node id of the other end.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub node_id: i64,
    /// All of it in one word.
    pub class: LinkClass,
    /// Microseconds that half of the round trips took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub p50_micros: Option<i32>,
    /// Microseconds that ninety-nine of a hundred round trips took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub p99_micros: Option<i32>,
    /// Microseconds of the longest round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub worst_micros: Option<i32>,
    /// Packets of a thousand that were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub loss_per_mille: Option<i32>,
    /// The largest packets in bytes that got through whole, of those that were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65_535))]
    pub path_mtu_bytes: Option<i32>,
    /// What makes it unfit, in words; absent when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// An address of this host that another machine has as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateAddress {
    /// The link's number, 0 to 7.
    #[schemars(range(min = 0, max = 7))]
    pub link: i32,
    /// The address.
    #[schemars(length(min = 1, max = 255))]
    pub address: String,
    /// Who has it, or why nobody could be asked.
    #[schemars(length(max = 1024))]
    pub message: String,
}
