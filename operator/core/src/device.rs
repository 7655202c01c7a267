//! The QDevice: what is wanted of it, and what hosts and the witness say of it.
//!
//! Owns no arithmetic: whom QNetd gives its votes is [`crate::whatif`]'s business.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ids::{ClusterName, Digest, HostName};

/// What is wanted of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceWish {
    /// None at all.
    Absent,
    /// The vote of a witness with an agent of its own.
    Managed(ManagedDevice),
}

/// The vote of a witness with an agent of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedDevice {
    /// The `PveHost` of the witness.
    pub witness: HostName,
    /// Where the nodes reach it; `None`: at its one address.
    pub address: Option<IpAddr>,
    /// How it votes.
    pub algorithm: AlgorithmWish,
    /// The wanted generation of the nodes' certificates.
    pub generation: u32,
}

/// How the device is to vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlgorithmWish {
    /// As `FfSplit`, and with an odd number of nodes no device.
    Auto,
    /// One vote for one of two halves.
    FfSplit,
    /// As many votes as nodes but one, for those that are left.
    Lms,
}

/// What one node says of its part of the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceView {
    /// Its corosync-qdevice is started with the machine.
    pub enabled: bool,
    /// Its corosync hears from a device.
    pub alive: bool,
    /// Its corosync counts the device's votes.
    pub casts: bool,
    /// The certificate that the daemon starts with.
    pub certificate: Option<CertificateView>,
    /// One that lies beside it.
    pub laid: Option<LaidView>,
}

/// A certificate with which a node is let in by a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateView {
    /// Of the certificate of the witness that signed it.
    pub authority: Digest,
    /// Which of those that the node was asked to have.
    pub generation: u32,
}

/// A certificate that is not in use yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidView {
    /// What it is, or is to be.
    pub certificate: CertificateView,
    /// The request, in PEM, as long as nobody has signed it.
    pub request: Option<String>,
}

/// What a witness says, and whether it is heard at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one host, no states")]
pub struct WitnessView {
    /// Whether the agent's heartbeat is fresh.
    pub connected: bool,
    /// `PveHost.spec.role` is `Witness`.
    pub is_witness: bool,
    /// `PveHost.spec.paused`.
    pub paused: bool,
    /// Its QNetd runs.
    pub serves: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its own certificate, with which it signs.
    pub authority: Option<Authority>,
    /// Which clusters have their names there, in words that tell one from another.
    pub names: BTreeMap<ClusterName, String>,
    /// The certificates that it issued, in PEM, by the digest of the request.
    pub certificates: BTreeMap<Digest, String>,
}

/// The certificate of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// In PEM.
    pub certificate: String,
    /// Of its bytes.
    pub fingerprint: Digest,
}
