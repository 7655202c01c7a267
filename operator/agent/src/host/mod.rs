//! The real host behind [`crate::ports`]. Decides nothing.

mod certificates;
mod corosync;
mod disk;
mod ha;
mod issuer;
mod machine;
mod naming;
mod network;
mod nss;
mod pmxcfs;
mod resolver;
mod services;
mod trust;

pub use certificates::NodeCertificates;
pub use corosync::{RealCorosync, watch};
pub use disk::{FileStore, RealDisk, remove_unfinished, replace_file};
pub use ha::HaManager;
pub use issuer::Qnetd;
pub use machine::{RealClock, RealMachine, Threads, hostname};
pub use network::Cards;
pub use pmxcfs::RealPmxcfs;
pub use resolver::resolve;
pub use services::{Systemd, run_within};
pub use trust::NodeTrust;
