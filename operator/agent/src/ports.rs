//! What the agent needs of its host, as traits. The adapters in [`crate::host`] are the real ones; a
//! simulation and the tests bring their own.
//!
//! Calls are short and blocking. Those that may take long give a future instead: the real ones block
//! inside it, on the thread of the job that waits for them ([`Workers`]); a simulation has other
//! things happen meanwhile.

mod device;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

use futures::future::BoxFuture;
use pvecm_core::change::Tombstone;
use pvecm_core::conf::{TRANSPORT, Transport};
use pvecm_core::fitness::{Measured, Pings};
use pvecm_core::gate::Idle;
use pvecm_core::ha::HaFiles;
use pvecm_core::ids::{LinkNumber, NodeId, NodeName};
use pvecm_core::protocol::Attempt;
use pvecm_core::references::ReferenceKind;
use serde::{Deserialize, Serialize};

pub use device::{
    Certificates, DeviceState, Issuer, KeptCertificate, LyingCertificates, RequestFor, Voters,
};

/// Why corosync did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CorosyncError {
    /// It does not run, or its connection broke.
    #[error("corosync does not run")]
    NotRunning,
    /// It answered with an error of its own.
    #[error("corosync refused: {0}")]
    Refused(String),
}

/// What the running daemon says at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorosyncView {
    /// Keys and values of cmap, the values as text: `totem.`, `nodelist.`, `quorum.`, `runtime.`.
    pub values: BTreeMap<String, String>,
    /// Each configured link to another node, and whether it is connected.
    pub links: BTreeMap<(NodeId, LinkNumber), bool>,
    /// The quorum service says that this host is in the quorate part.
    pub quorate: bool,
    /// Representative and number of the current ring.
    pub ring: String,
    /// Node ids in the current membership.
    pub members: BTreeSet<NodeId>,
    /// This host's node id.
    pub local: Option<NodeId>,
    /// Votes; `None` when corosync runs without votequorum.
    pub votes: Option<Votes>,
    /// The QDevice.
    pub device: DeviceState,
    /// When the daemon was started, in clock ticks since the machine was: another number is another
    /// daemon. `None`: not known.
    pub started: Option<u64>,
}

impl CorosyncView {
    /// Whether it has links of its own: without knet the network carries what it carries, and nobody tells.
    #[must_use]
    pub fn has_links(&self) -> bool {
        runs_on(&self.values) == Transport::Knet.to_string()
    }
}

/// The transport of a daemon by its cmap, which shows the one that it was started with, whatever it was asked
/// to take at a reload (facts/corosync.md 5.6).
#[must_use]
pub fn runs_on(values: &BTreeMap<String, String>) -> String {
    values.get(TRANSPORT).cloned().unwrap_or_else(|| Transport::Knet.to_string())
}

/// Votes as votequorum counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Votes {
    /// With everybody present.
    pub expected: u32,
    /// Present, the device's included.
    pub total: u32,
    /// Needed.
    pub needed: u32,
}

/// What corosync reports by itself, all in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorosyncEvent {
    /// Something changed: look again.
    Changed,
    /// The process group has these members now.
    Group(BTreeSet<NodeId>),
    /// A message was delivered.
    Message {
        /// The node that sent it, as corosync says.
        from: NodeId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The connection broke: corosync stopped.
    Down,
}

/// The running corosync.
pub trait Corosync: Send + Sync {
    /// What it says now; `None`: it does not run.
    fn view(&self) -> Option<CorosyncView>;
    /// Whether each configured link is connected: the cheap part of [`Corosync::view`].
    fn links(&self) -> Option<BTreeMap<(NodeId, LinkNumber), bool>>;
    /// What knet has counted on each link that it has.
    fn pings(&self) -> BTreeMap<(NodeId, LinkNumber), Pings>;
    /// The QDevice, of which nothing tells when its votes come or go (measured).
    fn device(&self) -> Option<DeviceState>;
    /// Multicasts to the process group of the agents.
    fn send(&self, bytes: &[u8]) -> Result<(), CorosyncError>;
    /// Has every member read its own file again.
    fn reload(&self) -> Result<(), CorosyncError>;
    /// Has every member expect so many votes, until the next reload or until somebody comes who expects more.
    fn set_expected_votes(&self, votes: u32) -> Result<(), CorosyncError>;
    /// Runs corosync's own check on a text, on this host. An error is one sentence.
    fn check(&self, text: &str) -> Result<(), String>;
}

/// /etc/pve.
pub trait ClusterFiles: Send + Sync {
    /// Whether pmxcfs is mounted there.
    fn mounted(&self) -> bool;
    /// Whether it takes writes, by the bit that pmxcfs shows for that.
    fn writable(&self) -> bool;
    /// corosync.conf; `None`: there is none.
    fn read_conf(&self) -> io::Result<Option<Vec<u8>>>;
    /// Replaces corosync.conf by a temporary file of our own name and a rename. Blocks for more than a
    /// second where pmxcfs reloads corosync (facts/pmxcfs.md 2). `None` removes the file.
    fn replace_conf<'a>(&'a self, text: Option<&'a [u8]>) -> BoxFuture<'a, io::Result<()>>;
    /// Something that changes whenever the cluster's files may have changed.
    fn stamp(&self) -> Option<String>;
    /// Takes the locks of Proxmox VE, waiting at most so long. Dropping it gives them back.
    fn lock(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>>;
    /// Ids of the guests that are configured on this host.
    fn guests(&self) -> BTreeSet<u32>;
    /// The nodes, and the address that each has for its own name, as far as it has told.
    fn node_addresses(&self) -> BTreeMap<String, IpAddr>;
    /// The file in which such things are; `None`: there is none.
    fn read_naming(&self, kind: ReferenceKind) -> io::Result<Option<Vec<u8>>>;
    /// Replaces that file by a temporary file of our own name and a rename.
    fn replace_naming(&self, kind: ReferenceKind, bytes: &[u8]) -> io::Result<()>;
    /// Takes Proxmox VE's lock on that file, waiting at most so long. Dropping it gives it back.
    fn lock_naming(
        &self,
        kind: ReferenceKind,
        at_most_ms: u64,
    ) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>>;
    /// datacenter.cfg; a file that is missing is an empty one.
    fn read_datacenter(&self) -> io::Result<Vec<u8>>;
    /// Replaces it by a temporary file of our own name and a rename.
    fn replace_datacenter(&self, bytes: &[u8]) -> io::Result<()>;
    /// Takes Proxmox VE's lock on it, waiting at most so long. Dropping it gives it back.
    fn lock_datacenter(&self, at_most_ms: u64) -> BoxFuture<'_, io::Result<Box<dyn ConfLock>>>;
    /// The guests that are configured in a node's folder.
    fn guests_left(&self, node: &NodeName) -> io::Result<BTreeSet<String>>;
    /// Moves the folder of a node that has left, and its lines in the common files of keys, to where nobody
    /// looks. Moves its guests only where they went along with it.
    fn sweep(&self, gone: &Tombstone) -> io::Result<()>;
    /// Moves all that is of other nodes there as well: their folders with the guests in them, the keys of these
    /// and of whoever has a folder, and what high availability was to do for the cluster.
    fn put_others_away(&self, peers: &BTreeSet<NodeName>) -> io::Result<()>;
}

/// The locks under which corosync.conf may be written.
pub trait ConfLock: Send {
    /// Whether they are still ours: any host can take a lock of pmxcfs away (facts/pmxcfs.md 3).
    fn is_own(&self) -> bool;
}

/// Proxmox VE's high availability, as far as changes touch it. It is told what to do; what it does is seen
/// in its files.
pub trait HighAvailability: Send + Sync {
    /// Its files as they are. What cannot be read is never taken for missing.
    fn files(&self) -> HaFiles;
    /// Asks for the watchdogs of the whole cluster to be released. An error is one sentence.
    fn disarm(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Asks for it to be armed again.
    fn arm(&self) -> BoxFuture<'_, Result<(), String>>;
}

/// A file on the host's own disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskFile {
    /// /etc/corosync/corosync.conf, mode 0644.
    Conf,
    /// /etc/corosync/corosync.conf.trial, mode 0644: written and removed to see that the disk takes it.
    TrialConf,
    /// /etc/corosync/authkey, mode 0400.
    Authkey,
    /// /etc/corosync/authkey.new, mode 0400: the key that is to be exchanged for it.
    NewAuthkey,
    /// /etc/corosync/authkey.old, mode 0400: the key that it was exchanged for.
    OldAuthkey,
}

/// The host's own disk.
pub trait Disk: Send + Sync {
    /// The bytes; `None`: there is no such file.
    fn read(&self, file: DiskFile) -> io::Result<Option<Vec<u8>>>;
    /// Replaces the file, synced, by a temporary file and a rename.
    fn replace(&self, file: DiskFile, bytes: &[u8]) -> io::Result<()>;
    /// Removes the file; fine when it is not there.
    fn remove(&self, file: DiskFile) -> io::Result<()>;
    /// Moves the database of pmxcfs (which must not run) into its backup folder. Does nothing when
    /// there is no database. What this attempt set aside before stays what it was.
    fn set_database_aside(&self, attempt: Attempt) -> io::Result<()>;
    /// Moves the database that this attempt set aside back; fine when it set none aside.
    fn bring_database_back(&self, attempt: Attempt) -> io::Result<()>;
    /// Copies the database of pmxcfs (which must not run) into the same backup folder, unless this attempt has: a
    /// second time it may be changed already.
    fn copy_database_aside(&self, attempt: Attempt) -> io::Result<()>;
    /// Moves corosync's file, every authkey, and what corosync remembers of its rings, into the same backup folder. Does nothing when they are not
    /// there.
    fn set_corosync_aside(&self, attempt: Attempt) -> io::Result<()>;
}

/// A systemd unit that the agent may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// `corosync.service`
    Corosync,
    /// `pve-cluster.service`
    PveCluster,
    /// `corosync-qdevice.service`
    Qdevice,
    /// `corosync-qnetd.service`
    Qnetd,
}

/// The service manager. Each call waits until the unit is there, or fails in words.
pub trait Services: Send + Sync {
    /// Starts a unit; fine when it runs.
    fn start(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>>;
    /// Stops a unit; fine when it does not run.
    fn stop(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>>;
    /// Has a unit started with the machine.
    fn enable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>>;
    /// Has it no longer started with the machine.
    fn disable(&self, unit: Unit) -> BoxFuture<'_, Result<(), String>>;
    /// Whether it is. No process is started.
    fn is_enabled(&self, unit: Unit) -> bool;
    /// Runs pmxcfs outside of any cluster until [`Services::stop_local_pmxcfs`], which is the only way
    /// to take corosync.conf out of its database. The unit must be stopped.
    fn start_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Ends what [`Services::start_local_pmxcfs`] began.
    fn stop_local_pmxcfs(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Why corosync does not run although its file is there, as far as anything on this host tells.
    fn why_idle(&self) -> Option<Idle>;
}

/// An address on a network card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CardAddress {
    /// The card.
    pub interface: String,
    /// The address with its prefix length.
    pub cidr: String,
}

/// What the machine says of itself.
pub trait Machine: Send + Sync {
    /// Addresses, without loopback and link-local ones, sorted.
    fn addresses(&self) -> Vec<CardAddress>;
    /// The host name up to the first dot.
    fn hostname(&self) -> String;
    /// What that name and those of others resolve to on this machine; one that is missing is not known yet.
    fn resolved(&self, others: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<IpAddr>>;
    /// /etc/machine-id.
    fn machine_id(&self) -> Option<String>;
    /// Version of an installed Debian package.
    fn package_version(&self, package: &str) -> Option<String>;
}

/// An address, and the network card by which it is reached, or which has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way<'a> {
    /// The network card.
    pub card: &'a str,
    /// The address.
    pub address: IpAddr,
}

/// What is found of the ways to other hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What comes back of each way; an error is why nothing can be sent, in words.
    pub ways: Vec<Result<Measured, String>>,
    /// Of each own address, the hardware address of another machine that has it too; an error is why nobody can
    /// be asked, in words.
    pub claimed: Vec<Result<Option<String>, String>>,
}

/// The ways to the other hosts.
pub trait Network: Send + Sync {
    /// Measures ways to others, and asks who else has these own addresses. All side by side: it takes a second, and
    /// four at most.
    fn survey(&self, ways: &[Way<'_>], own: &[Way<'_>]) -> Survey;
    /// Whether somebody takes a TCP connection there within three seconds; an error is why not, in words.
    fn answers(&self, at: SocketAddr) -> BoxFuture<'_, Result<(), String>>;
}

/// How a host became a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Arrival {
    /// The cluster was made of it.
    Formed,
    /// It joined others, with certificates of what it was before.
    Joined,
}

/// The trust between root on the nodes of a cluster, and the certificates that go with it.
pub trait Trust: Send + Sync {
    /// Whether the cluster's files have this node's keys, and root here takes those of the cluster.
    fn is_shared(&self) -> bool;
    /// Brings that about; it may take a minute. An error is one sentence.
    fn share(&self, arrival: Arrival) -> BoxFuture<'_, Result<(), String>>;
}

/// A moment that means the same after the agent was restarted, until the machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootTime {
    /// The kernel's boot id.
    pub boot_id: String,
    /// `CLOCK_BOOTTIME` in milliseconds.
    pub millis: u64,
}

/// The clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> BootTime;
    /// The time of day, for people to read.
    fn time(&self) -> jiff::Timestamp;
    /// Waits.
    fn sleep_ms(&self, millis: u64) -> BoxFuture<'_, ()>;
}

/// Where a job goes on beside the loop: checks, writes behind a lock, starting services.
pub trait Workers: Send + Sync {
    /// Carries a job through. It answers in a way of its own, if it comes to its end.
    fn spawn(&self, job: BoxFuture<'static, ()>);
}

/// Where the ledger lies. What [`LedgerStore::save`] returned from is on the disk.
pub trait LedgerStore: Send + Sync {
    /// The bytes; `None`: there is no ledger yet.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;
    /// Replaces them as a whole: temporary file, fsync, rename, fsync of the directory.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;
}
