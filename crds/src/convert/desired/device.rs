//! What is wanted of the `QDevice`.

use std::net::AddrParseError;

use pvecm_core::device::{AlgorithmWish, DeviceWish, ManagedDevice};
use pvecm_core::ids::IdError;

use super::{InvalidSpec, optional};
use crate::cluster::{Device, DeviceAlgorithm, DeviceType};

/// The checked form.
pub(super) fn wish(device: &Device) -> Result<DeviceWish, InvalidSpec> {
    let Device {
        kind,
        host_ref,
        address,
        certificates_secret_ref: _,
        algorithm,
        certificate_generation,
    } = device;
    let invalid =
        |field: &str, why: String| InvalidSpec::new(format!("spec.quorum.device.{field}"), why);
    let host = match (kind, host_ref) {
        (DeviceType::None, _) => return Ok(DeviceWish::Absent),
        (DeviceType::Managed, Some(host)) => host,
        (DeviceType::Managed | DeviceType::External, _) => {
            return Err(invalid("hostRef", "names no PveHost of role Witness".to_owned()));
        }
    };
    let witness = host.name.parse().map_err(|why: IdError| invalid("hostRef", why.to_string()))?;
    let address = address.as_ref().map(|address| address.parse()).transpose();
    let generation = optional("spec.quorum.device.certificateGeneration", *certificate_generation)?;
    Ok(DeviceWish::Managed(ManagedDevice {
        witness,
        address: address.map_err(|why: AddrParseError| invalid("address", why.to_string()))?,
        algorithm: match algorithm {
            None | Some(DeviceAlgorithm::Auto) => AlgorithmWish::Auto,
            Some(DeviceAlgorithm::FFSplit) => AlgorithmWish::FfSplit,
            Some(DeviceAlgorithm::LMS) => AlgorithmWish::Lms,
        },
        generation: generation.unwrap_or(0),
    }))
}
