//! The `QDevice`: what hosts and a witness say of it.

use pvecm_core::device::{Authority, CertificateView, DeviceView, LaidView, WitnessView};

use super::{ConvertError, id, number};
use crate::host::{HostCertificate, HostDevice, HostWitness, PveHost, Role, ServedCluster};

/// What a node says of its part.
pub(super) fn device_view(device: Option<HostDevice>) -> Result<DeviceView, ConvertError> {
    let HostDevice { enabled, alive, casts, certificate, laid, request } =
        device.unwrap_or_default();
    let certificate = certificate.map(certificate_view).transpose()?;
    let laid = laid.map(certificate_view).transpose()?;
    let laid = laid.map(|certificate| LaidView { certificate, request });
    Ok(DeviceView { enabled, alive, casts, certificate, laid })
}

fn certificate_view(certificate: HostCertificate) -> Result<CertificateView, ConvertError> {
    let HostCertificate { authority, generation } = certificate;
    Ok(CertificateView {
        authority: id("status.device.authority", &authority)?,
        generation: number("status.device.generation", generation)?,
    })
}

/// What a witness says. `connected` says whether its agent is heard; `is_other` which entries are of other clusters
/// than the one at hand: their names are taken.
pub fn witness_view(
    host: &PveHost,
    connected: bool,
    is_other: impl Fn(&ServedCluster) -> bool,
) -> Result<WitnessView, ConvertError> {
    let status = host.status.clone().unwrap_or_default();
    let HostWitness { serves, authority, fingerprint, certificates } =
        status.witness.unwrap_or_default();
    let authority = authority.zip(fingerprint).map(|(certificate, fingerprint)| {
        Ok(Authority { certificate, fingerprint: id("status.witness.fingerprint", &fingerprint)? })
    });
    let addresses = status.addresses.iter().map(|address| {
        let net = address.cidr.parse::<ipnet::IpNet>();
        net.map(|net| net.addr()).map_err(|e| ConvertError::Address("status.addresses", e))
    });
    let others = status.clusters.iter().filter(|served| is_other(served));
    let names = others.map(|served| {
        let name = id("status.clusters.clusterName", &served.cluster_name)?;
        Ok((name, format!("the PveCluster {}", served.name)))
    });
    let certificates = certificates.into_iter().map(|issued| {
        Ok((id("status.witness.certificates", &issued.request)?, issued.certificate))
    });
    Ok(WitnessView {
        connected,
        is_witness: host.spec.role == Role::Witness,
        paused: host.spec.paused,
        serves,
        addresses: addresses.collect::<Result<_, _>>()?,
        authority: authority.transpose()?,
        names: names.collect::<Result<_, ConvertError>>()?,
        certificates: certificates.collect::<Result<_, ConvertError>>()?,
    })
}
