//! What votes besides the nodes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::reference::{HostRef, SecretRef};

/// What else votes. What is left out is not managed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// A device outside the cluster that votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

impl Quorum {
    /// The `PveHost` that is to vote from outside.
    #[must_use]
    pub fn witness(&self) -> Option<&str> {
        let device = self.device.as_ref().filter(|device| device.kind == DeviceType::Managed)?;
        device.host_ref.as_ref().map(|host| host.name.as_str())
    }

    /// The `Secret` with the certificates for a `QNetd` that somebody else runs.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        let device = self.device.as_ref().filter(|device| device.kind == DeviceType::External)?;
        device.certificates_secret_ref.as_ref().map(|secret| secret.name.as_str())
    }
}

/// A `QDevice`: a voter outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::managed_device(),
    validation = rules::external_device(),
    validation = rules::address_has_device(),
    validation = rules::algorithm_has_device(),
    validation = rules::certificates_have_device()
)]
pub struct Device {
    /// Which of the members below apply.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// `Managed`: the `PveHost` of role `Witness` that votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ref: Option<HostRef>,
    /// Where the nodes reach the `QNetd`, an IP address. With `Managed` it may be left out where the witness has
    /// one address only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)").message("must be an IP address"))]
    pub address: Option<String>,
    /// `External`: the `Secret` with the certificates for that `QNetd`: `qnetd-cacert.crt`, its own certificate, and
    /// `qdevice-net-node.p12`, key and certificate of the cluster as PKCS#12 without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_secret_ref: Option<SecretRef>,
    /// How the device gives its vote; left out: Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<DeviceAlgorithm>,
    /// Counts up; each step gives every node another key and another certificate for the witness. With `External`
    /// each step has every node take again what the `Secret` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub certificate_generation: Option<i32>,
}

/// Where the device's vote comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeviceType {
    /// No device.
    None,
    /// A witness that runs our agent.
    Managed,
    /// A `QNetd` that somebody else runs.
    External,
}

/// How a device votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeviceAlgorithm {
    /// `FFSplit` with an even number of nodes; with an odd one no device is wanted.
    Auto,
    /// Its one vote goes to one of two halves.
    FFSplit,
    /// As many votes as nodes but one: the last node standing stays quorate.
    LMS,
}
