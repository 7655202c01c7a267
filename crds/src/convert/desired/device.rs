//! What is wanted of the `QDevice`.

use std::net::{AddrParseError, IpAddr};

use pvecm_core::device::{AlgorithmWish, DeviceWish, Voter, WantedDevice};
use pvecm_core::ids::IdError;

use super::{InvalidSpec, optional};
use crate::cluster::{Device, DeviceAlgorithm, DeviceType};

/// The checked form.
pub(super) fn wish(device: &Device) -> Result<DeviceWish, InvalidSpec> {
    let Some(voter) = voter(device)? else { return Ok(DeviceWish::Absent) };
    let generation = device.certificate_generation;
    let generation = optional("spec.quorum.device.certificateGeneration", generation)?;
    Ok(DeviceWish::Present(WantedDevice {
        voter,
        algorithm: match device.algorithm {
            None | Some(DeviceAlgorithm::Auto) => AlgorithmWish::Auto,
            Some(DeviceAlgorithm::FFSplit) => AlgorithmWish::FfSplit,
            Some(DeviceAlgorithm::LMS) => AlgorithmWish::Lms,
        },
        generation: generation.unwrap_or(0),
    }))
}

fn voter(device: &Device) -> Result<Option<Voter>, InvalidSpec> {
    let Device {
        kind,
        host_ref,
        address,
        certificates_secret_ref,
        algorithm: _,
        certificate_generation: _,
    } = device;
    let address = address.as_ref().map(|address| address.parse::<IpAddr>()).transpose();
    let address = address.map_err(|why: AddrParseError| invalid("address", why.to_string()))?;
    Ok(match kind {
        DeviceType::None => None,
        DeviceType::Managed => {
            let host = host_ref.as_ref();
            let host =
                host.ok_or_else(|| invalid("hostRef", "names no PveHost of role Witness"))?;
            let witness = host.name.parse();
            let witness = witness.map_err(|why: IdError| invalid("hostRef", why.to_string()))?;
            Some(Voter::Managed { witness, address })
        }
        DeviceType::External => {
            let address = address.ok_or_else(|| invalid("address", "names no QNetd"))?;
            let secret = certificates_secret_ref.as_ref();
            let secret = secret.map(|secret| secret.name.clone());
            let missing = || invalid("certificatesSecretRef", "names no Secret");
            Some(Voter::External { address, secret: secret.ok_or_else(missing)? })
        }
    })
}

fn invalid(field: &str, why: impl Into<String>) -> InvalidSpec {
    InvalidSpec::new(format!("spec.quorum.device.{field}"), why.into())
}
