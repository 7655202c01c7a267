//! The QDevice: what corosync says of it, the certificates of a node, and the `QNetd` of a witness.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::future::BoxFuture;
use pvecm_core::ids::{ClusterName, Digest};
use pvecm_core::protocol::Attempt;

/// The device as votequorum shows it to this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// A daemon has made itself known. One that was killed, or failed right after, still has.
    pub registered: bool,
    /// It has been heard within the last seconds.
    pub alive: bool,
    /// Its votes are counted.
    pub casts: bool,
    /// How many those are.
    pub votes: u32,
}

/// A certificate of this node, as far as it is anybody's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCertificate {
    /// The fingerprint of the witness that issues it.
    pub authority: Digest,
    /// Which of those that a change had this node ask for; 0: none.
    pub generation: u32,
    /// It was issued.
    pub is_issued: bool,
    /// The request for it, in PEM, where it lies beside.
    pub request: Option<String>,
}

/// The certificates of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LyingCertificates {
    /// The one that the daemon starts with.
    pub in_use: Option<KeptCertificate>,
    /// The one that takes its place at the next start.
    pub laid: Option<KeptCertificate>,
}

impl LyingCertificates {
    /// Whether the one that is laid was issued and has come: an earlier change may have got no further.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.laid.as_ref().is_some_and(|laid| laid.is_issued)
    }

    /// Whether the daemon can start: with what is laid, or with what is in use.
    #[must_use]
    pub fn has_one(&self) -> bool {
        [&self.laid, &self.in_use].into_iter().flatten().any(|kept| kept.is_issued)
    }
}

/// What a node asks for.
#[derive(Debug, Clone, Copy)]
pub struct RequestFor<'a> {
    /// What the certificate is to be of.
    pub cluster: &'a ClusterName,
    /// The certificate of the witness, in PEM.
    pub authority: &'a str,
    /// Which one it is of this node.
    pub generation: u32,
}

/// The key and the certificate with which this node's corosync-qdevice is let in by a witness. No key leaves its
/// folder.
pub trait Certificates: Send + Sync {
    /// What lies there. No process is started where nothing has changed.
    fn lying(&self) -> LyingCertificates;
    /// Makes a key and a request, and lays them beside those in use. The same wish finds the same request again.
    fn request<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        attempt: Attempt,
    ) -> BoxFuture<'a, Result<(), String>>;
    /// Lays a key and a certificate beside those in use that were made elsewhere for the whole cluster (PKCS#12), when
    /// they are for that cluster and from that witness.
    fn import<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        bundle: &'a [u8],
        attempt: Attempt,
    ) -> BoxFuture<'a, Result<(), String>>;
    /// Puts the certificate (PEM) to the key that is laid, when it is for that key and from the witness that was asked.
    fn take<'a>(&'a self, certificate: &'a str) -> BoxFuture<'a, Result<(), String>>;
    /// Puts what is laid and issued in the place of what is in use, which is kept beside. The daemon must not run.
    fn exchange(&self, attempt: Attempt) -> Result<(), String>;
    /// Undoes what this attempt exchanged. The daemon must not run.
    fn exchange_back(&self, attempt: Attempt) -> Result<(), String>;
    /// Moves everything into the backup folder. The daemon must not run.
    fn put_away(&self, attempt: Attempt) -> Result<(), String>;
}

/// Where the nodes come from that are connected to a `QNetd`, by the names of their clusters.
pub type Voters = BTreeMap<String, BTreeSet<IpAddr>>;

/// The `QNetd` of a witness, and the certificates that it issues.
pub trait Issuer: Send + Sync {
    /// Its own certificate, in PEM; `None`: it has none yet. No process is started where nothing has changed.
    fn authority(&self) -> Option<String>;
    /// Whether `QNetd` runs. No process is started.
    fn serves(&self) -> bool;
    /// Who is connected; `None`: `QNetd` does not say. No process is started.
    fn voters(&self) -> Option<Voters>;
    /// Makes its own certificate, where it has none.
    fn initialise(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Signs a request (PEM) of this cluster that asks for its name alone. It takes some hundredths of a second.
    fn sign(&self, cluster: &ClusterName, request: &str) -> Result<String, String>;
}
