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
    /// This one.
    Present(WantedDevice),
}

/// A device that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedDevice {
    /// Whose vote it is.
    pub voter: Voter,
    /// How it votes.
    pub algorithm: AlgorithmWish,
    /// The wanted generation of the nodes' certificates.
    pub generation: u32,
}

/// Who votes from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voter {
    /// A witness with an agent of its own.
    Managed {
        /// Its `PveHost`.
        witness: HostName,
        /// Where the nodes reach it; `None`: at its one address.
        address: Option<IpAddr>,
    },
    /// A `QNetd` that somebody else runs.
    External {
        /// Where the nodes reach it.
        address: IpAddr,
        /// The Secret with the certificates for it.
        secret: String,
    },
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
    /// The names that are other clusters' there, with whose they are in words.
    pub names: BTreeMap<ClusterName, String>,
    /// The certificates that it issued, in PEM, by the digest of the request.
    pub certificates: BTreeMap<Digest, String>,
}

impl WitnessView {
    /// Who has a cluster's name at this witness. `QNetd` keeps clusters apart whose names differ in case, and lets the
    /// nodes of each in under the other's name: NSS compares the names in certificates without it (measured).
    #[must_use]
    pub fn holder(&self, name: &ClusterName) -> Option<&str> {
        let is_same = |held: &ClusterName| held.as_str().eq_ignore_ascii_case(name.as_str());
        self.names.iter().find(|(held, _)| is_same(held)).map(|(_, holder)| holder.as_str())
    }
}

/// The Secret with the certificates for a `QNetd` that somebody else runs, as far as it is anybody's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretView {
    /// It has all that a node needs, with the certificate of that `QNetd`.
    Usable(Authority),
    /// Nobody can do anything with it, for the reason in this sentence.
    Unusable(String),
}

/// The certificate of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// In PEM.
    pub certificate: String,
    /// Of its bytes.
    pub fingerprint: Digest,
}
