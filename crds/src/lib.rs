//! The custom resources of `pvecm.io/v1alpha1`: their types, their rules, the generated YAML, and
//! the way between API objects and the checked types of `pvecm-core`.
//!
//! Owns the wire form. Never decides what happens to a cluster: that is `pvecm-core`.

pub mod bootstrap;
#[cfg(feature = "cases")]
pub mod cases;
pub mod change;
pub mod cluster;
pub mod condition;
pub mod convert;
pub mod host;
pub mod install;
pub mod reference;
pub mod yaml;

pub use change::{PveChange, PveChangeSpec, PveChangeStatus};
pub use cluster::{PveCluster, PveClusterSpec, PveClusterStatus};
pub use host::{PveHost, PveHostSpec, PveHostStatus};

/// The API group of all three kinds.
pub const GROUP: &str = "pvecm.io";
/// The label that ties a `PveChange` to the name of its `PveCluster`.
pub const CLUSTER_LABEL: &str = "pvecm.io/cluster";
/// The largest counter that a schema takes: JSON numbers are exact up to here, and schemas keep
/// their bounds as JSON numbers.
pub const LARGEST: i64 = (1 << 53) - 1;
