//! The agent of one Proxmox VE host: observes it, publishes what it sees, carries out released stages
//! together with the agents of the other hosts, and keeps the host as it is when nobody answers.
//!
//! Where to read next: [`agent`] (the loop), [`stage`] (one stage), [`ports`] (what it needs of its
//! host), [`ledger`] (what it remembers), [`gate`] (what comes before corosync at boot). What is decided about a stage is decided in
//! `pvecm_core::protocol`.

pub mod agent;
pub mod api;
mod certificate;
pub mod cli;
mod conf_file;
pub mod doctor;
mod drifting;
mod enrol;
#[cfg(test)]
mod fake;
pub mod gate;
pub mod host;
pub mod host_ports;
pub mod ledger;
pub mod observe;
pub mod ports;
pub mod rearm;
pub mod seal;
pub mod stage;
mod systemd;
mod watchdog;
mod ways;

/// Where the agent keeps what must survive it.
pub const STATE_FOLDER: &str = "/var/lib/pvecm-agent";
