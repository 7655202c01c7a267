//! All ports of one host in one value.

use std::sync::Arc;

use crate::host::{
    Cards, HaManager, NodeCertificates, NodeTrust, Qnetd, RealClock, RealCorosync, RealDisk,
    RealMachine, RealPmxcfs, Systemd, Threads, hostname,
};
use crate::ports::{
    Certificates, Clock, ClusterFiles, Corosync, Disk, HighAvailability, Issuer, Machine, Network,
    Services, Trust, Workers,
};

/// One host, real or not.
#[derive(Clone)]
pub struct Host {
    /// The running corosync.
    pub corosync: Arc<dyn Corosync>,
    /// /etc/pve.
    pub cluster_files: Arc<dyn ClusterFiles>,
    /// High availability.
    pub ha: Arc<dyn HighAvailability>,
    /// The own disk.
    pub disk: Arc<dyn Disk>,
    /// systemd.
    pub services: Arc<dyn Services>,
    /// Root's trust in the other nodes.
    pub trust: Arc<dyn Trust>,
    /// The certificates of this node's QDevice.
    pub certificates: Arc<dyn Certificates>,
    /// `QNetd`, on a witness.
    pub issuer: Arc<dyn Issuer>,
    /// The machine.
    pub machine: Arc<dyn Machine>,
    /// The way to the other hosts.
    pub network: Arc<dyn Network>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where jobs run.
    pub workers: Arc<dyn Workers>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl Host {
    /// A host whose ports are all one value: a simulated one, or a test's.
    #[must_use]
    pub fn of<P>(own: &Arc<P>) -> Self
    where
        P: Corosync + ClusterFiles + HighAvailability + Disk + Services,
        P: Certificates + Issuer + Trust + Machine + Network + Clock + Workers + 'static,
    {
        Self {
            corosync: own.clone(),
            cluster_files: own.clone(),
            ha: own.clone(),
            disk: own.clone(),
            services: own.clone(),
            trust: own.clone(),
            certificates: own.clone(),
            issuer: own.clone(),
            machine: own.clone(),
            network: own.clone(),
            clock: own.clone(),
            workers: own.clone(),
        }
    }

    /// This machine.
    pub fn real() -> std::io::Result<Self> {
        let hostname = hostname();
        let files = RealPmxcfs::new("/etc/pve", hostname.clone());
        Ok(Self {
            corosync: Arc::new(RealCorosync::default()),
            cluster_files: Arc::new(files.clone()),
            ha: Arc::new(HaManager::new("/etc/pve", hostname)),
            disk: Arc::new(RealDisk),
            services: Arc::new(Systemd),
            trust: Arc::new(NodeTrust::new(files)),
            certificates: Arc::new(NodeCertificates::default()),
            issuer: Arc::new(Qnetd::default()),
            machine: Arc::new(RealMachine::default()),
            network: Arc::new(Cards),
            clock: Arc::new(RealClock::new()?),
            workers: Arc::new(Threads),
        })
    }
}
