//! The `QDevice`: what hosts and a witness say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pvecm_core::device::{Authority, CertificateView, DeviceView, LaidView, WitnessView};
use pvecm_core::ids::ClusterName;

use super::{ConvertError, id, number};
use crate::host::{
    ConnectedNodes, HostCertificate, HostDevice, HostWitness, PveHost, Role, ServedCluster,
};

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

/// Whose an entry at a witness is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// That of the cluster at hand.
    Own,
    /// Nobody's: its cluster is there no more, and that name may be taken over.
    Nobody,
    /// That of another cluster.
    Other,
}

/// What a witness says to one cluster. `connected` says whether its agent is heard, `holder` whose an entry is, and
/// `own` which addresses its own hosts have.
pub fn witness_view(
    host: &PveHost,
    connected: bool,
    (holder, own): (impl Fn(&ServedCluster) -> Holder, &BTreeSet<IpAddr>),
) -> Result<WitnessView, ConvertError> {
    let status = host.status.clone().unwrap_or_default();
    let HostWitness { serves, authority, fingerprint, certificates, voters } =
        status.witness.unwrap_or_default();
    let authority = authority.zip(fingerprint).map(|(certificate, fingerprint)| {
        Ok(Authority { certificate, fingerprint: id("status.witness.fingerprint", &fingerprint)? })
    });
    let addresses = status.addresses.iter().map(|address| {
        let net = address.cidr.parse::<ipnet::IpNet>();
        net.map(|net| net.addr()).map_err(|e| ConvertError::Address("status.addresses", e))
    });
    let others = status.clusters.iter().filter(|served| holder(served) == Holder::Other);
    let names = others.map(|served| {
        let name = id("status.clusters.clusterName", &served.cluster_name)?;
        Ok((name, format!("the PveCluster {}", served.name)))
    });
    let mut names = names.collect::<Result<BTreeMap<ClusterName, _>, ConvertError>>()?;
    let is_own = |name: &str| {
        let mut held = status.clusters.iter().filter(|served| served.cluster_name == name);
        held.any(|served| holder(served) == Holder::Own)
    };
    for nodes in voters.iter().filter(|nodes| !is_own(&nodes.cluster_name)) {
        // What is no name here cannot be any cluster's.
        let Ok(name) = nodes.cluster_name.parse() else { continue };
        if let Some(strangers) = strangers(nodes, own) {
            names.entry(name).or_insert(strangers);
        }
    }
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
        names,
        certificates: certificates.collect::<Result<_, ConvertError>>()?,
    })
}

/// The nodes that vote under a name and are none of these hosts, in words.
fn strangers(nodes: &ConnectedNodes, own: &BTreeSet<IpAddr>) -> Option<String> {
    let is_own =
        |address: &&String| address.parse::<IpAddr>().is_ok_and(|address| own.contains(&address));
    let strangers = nodes.addresses.iter().filter(|address| !is_own(address));
    let strangers: Vec<&str> = strangers.map(String::as_str).collect();
    let who = strangers.join(", ");
    (!strangers.is_empty()).then(|| format!("that of nodes which vote there from {who}"))
}
