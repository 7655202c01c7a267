//! The QDevice on this host: its certificates, and its daemon.
//!
//! systemd's own "enabled" says whether the daemon is wanted here, and only these actions set it. What corosync
//! counts is the proof, not what a command returned: a daemon that ended at once has made itself known as well
//! (measured).

use std::net::{IpAddr, SocketAddr};

use pvecm_core::ids::ClusterName;
use pvecm_core::protocol::Attempt;

use super::Undone;
use super::action::{Task, not_begun, open_sealed, wait};
use super::probe::parent_in_force;
use crate::host_ports::Host;
use crate::observe::Observation;
use crate::ports::{DeviceState, RequestFor, Unit};

/// Where `QNetd` listens.
const PORT: u16 = 5403;
/// The daemon, and the tools with which keys are made.
const PACKAGE: &str = "corosync-qdevice";
/// The cmap key without which the daemon ends at its start.
pub const MODEL: &str = "quorum.device.model";

/// What a host is to have a certificate of.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the certificate is to be of.
    pub certificate: RequestFor<'a>,
    /// Where the witness is reached.
    pub witness: IpAddr,
}

impl<'a> Asked<'a> {
    /// The action's fields in their order.
    #[must_use]
    pub const fn new(
        cluster: &'a ClusterName,
        authority: &'a str,
        (witness, generation): (IpAddr, u32),
    ) -> Self {
        Self { certificate: RequestFor { cluster, authority, generation }, witness }
    }
}

/// Lays a key and a request for a certificate beside those in use.
pub async fn request(host: &Host, task: &Task<'_>, asked: Asked<'_>) -> Result<(), Undone> {
    is_due(task, &Observation::take(host))?;
    may_vote(host, asked.witness).await?;
    let attempt = task.pending.attempt;
    host.certificates.request(asked.certificate, attempt).await.map_err(Undone::NotBegun)
}

/// Lays the key and the certificate that were sealed for this host beside those in use.
pub async fn import(host: &Host, task: &Task<'_>, asked: Asked<'_>) -> Result<(), Undone> {
    is_due(task, &Observation::take(host))?;
    may_vote(host, asked.witness).await?;
    let (bundle, attempt) = (open_sealed(task)?, task.pending.attempt);
    let imported = host.certificates.import(asked.certificate, &bundle, attempt).await;
    imported.map_err(Undone::NotBegun)
}

/// A witness that is not reached from here would be one vote less for all: it is tried before anything is made.
async fn may_vote(host: &Host, witness: IpAddr) -> Result<(), Undone> {
    if host.machine.package_version(PACKAGE).is_none() {
        let sentence = format!("the package {PACKAGE} is not installed on this host");
        return Err(Undone::NotBegun(sentence));
    }
    let at = SocketAddr::new(witness, PORT);
    host.network.answers(at).await.map_err(|why| {
        not_begun(format!(
            "this host does not reach the witness at {at}/tcp ({why}): see that corosync-qnetd runs there, and \
            where Proxmox VE's firewall is on, add the rule `OUT ACCEPT -dest {witness} -p tcp -dport {PORT}` on the \
            nodes and `IN ACCEPT -p tcp -dport {PORT}` on the witness"
        ))
    })
}

/// Puts the certificate that came with the change to the key that is laid.
pub async fn take(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let seen = Observation::take(host);
    is_due(task, &seen)?;
    match task.certificate {
        Some(certificate) => host.certificates.take(certificate).await.map_err(Undone::NotBegun),
        None if seen.certificates.is_taken() => Ok(()),
        None => Err(not_begun("no certificate was issued for this host")),
    }
}

/// Has the daemon run with the newest certificate, until corosync counts its votes.
pub async fn start(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let seen = Observation::take(host);
    is_due(task, &seen)?;
    if !has_stanza(&seen) {
        return Err(not_begun(
            "corosync runs without a device here, and its daemon would end at once",
        ));
    }
    if !seen.certificates.has_one() {
        return Err(not_begun("this host has no certificate of a witness"));
    }
    if !seen.certificates.is_taken() && seen.device_enabled && device(&seen).casts {
        return Ok(());
    }
    let Err(why) = begin(host, task).await else { return Ok(()) };
    Err(match undo(host, task, seen.device_enabled).await {
        Ok(()) => Undone::PutBack(why),
        Err(also) => Undone::Stuck(format!("{why}; and it could not be undone: {also}")),
    })
}

async fn begin(host: &Host, task: &Task<'_>) -> Result<(), String> {
    host.services.stop(Unit::Qdevice).await?;
    host.certificates.exchange(task.pending.attempt)?;
    wake(host).await?;
    wait(host, task.deadline_ms, votes).await
}

/// One that ran before goes on with what it had: the others still count on it.
async fn undo(host: &Host, task: &Task<'_>, was_enabled: bool) -> Result<(), String> {
    quiet(host).await?;
    host.certificates.exchange_back(task.pending.attempt)?;
    if was_enabled { wake(host).await } else { Ok(()) }
}

async fn wake(host: &Host) -> Result<(), String> {
    host.services.enable(Unit::Qdevice).await?;
    host.services.start(Unit::Qdevice).await
}

fn votes(seen: &Observation) -> Result<(), String> {
    match device(seen) {
        DeviceState { alive: true, casts: true, .. } => Ok(()),
        DeviceState { alive: true, .. } => {
            let sentence = "corosync-qdevice runs, and has no vote of the witness: it does not reach it, or is not \
                let in";
            Err(sentence.to_owned())
        }
        DeviceState { .. } => Err("corosync hears nothing of corosync-qdevice".to_owned()),
    }
}

/// Has the daemon run no more, until corosync counts none of its votes. When that does not come, it is as it was.
pub async fn stop(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let seen = Observation::take(host);
    is_due(task, &seen)?;
    let Err(why) = end(host, task).await else { return Ok(()) };
    if !seen.device_enabled {
        return Err(Undone::Stuck(why));
    }
    Err(match wake(host).await {
        Ok(()) => Undone::PutBack(why),
        Err(also) => Undone::Stuck(format!("{why}; and it could not be started again: {also}")),
    })
}

async fn end(host: &Host, task: &Task<'_>) -> Result<(), String> {
    quiet(host).await?;
    wait(host, task.deadline_ms, |seen| {
        if device(seen).casts {
            return Err("corosync still counts the votes of the device".to_owned());
        }
        Ok(())
    })
    .await
}

/// Disabled first: nothing starts it again meanwhile.
async fn quiet(host: &Host) -> Result<(), String> {
    host.services.disable(Unit::Qdevice).await?;
    host.services.stop(Unit::Qdevice).await
}

/// Moves all certificates aside, once corosync knows of no device.
pub async fn put_away(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let seen = Observation::take(host);
    is_due(task, &seen)?;
    if has_stanza(&seen) {
        return Err(not_begun("corosync still runs with the device here"));
    }
    give_up(host, task.pending.attempt).await.map_err(Undone::Stuck)
}

/// What a host that leaves has of the device goes with it. Most have nothing, not even the daemon.
pub(super) async fn give_up(host: &Host, attempt: Attempt) -> Result<(), String> {
    if host.services.is_enabled(Unit::Qdevice) {
        quiet(host).await?;
    }
    host.certificates.put_away(attempt)
}

fn is_due(task: &Task<'_>, seen: &Observation) -> Result<(), Undone> {
    parent_in_force(task.pending.expects.as_ref(), seen).map_err(Undone::NotBegun)
}

fn has_stanza(seen: &Observation) -> bool {
    seen.corosync.as_ref().is_some_and(|corosync| corosync.values.contains_key(MODEL))
}

fn device(seen: &Observation) -> DeviceState {
    seen.corosync.as_ref().map(|corosync| corosync.device).unwrap_or_default()
}
