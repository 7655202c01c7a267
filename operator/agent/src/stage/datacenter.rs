//! A stage in which the group changes datacenter.cfg: what each host looks for before it votes, what the writer
//! writes and how it is undone, and what all have to read at the end.
//!
//! Each host derives the new file from the one that it found when the stage began; both are the same everywhere,
//! since the plan names the digest of the old one. The file has no number and lies in /etc/pve alone: what undoes
//! the stage are the old bytes, and only over the new ones.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use pvecm_core::change::Course;
use pvecm_core::protocol::InForce;

use crate::host_ports::Host;
use crate::ledger::Pending;
use crate::observe::Observation;
use crate::ports::CardAddress;

/// How long the lock is waited for before the old bytes are written back; then it is tried again.
const BACK_MS: u64 = 10_000;

/// Which of a stage's two files this is; `None`: the stage is of another kind. A host that was restarted in
/// between knows both from its ledger.
#[must_use]
pub fn which(pending: &Pending, found: Option<&[u8]>) -> Option<InForce> {
    (pending.stage.course == Course::Datacenter).then(|| match (found, files(pending)) {
        (Some(found), Ok(files)) => files.which(found),
        (_, _) => InForce::Other,
    })
}

/// The two files of a stage.
struct Files<'a> {
    old: &'a [u8],
    new: Vec<u8>,
}

fn files(pending: &Pending) -> Result<Files<'_>, String> {
    let write = pending.stage.datacenter_write().ok_or("the stage writes no datacenter.cfg")?;
    let old = pending.datacenter.as_deref().ok_or("/etc/pve/datacenter.cfg cannot be read")?;
    let new = write.apply(old).map_err(|why| format!("/etc/pve/datacenter.cfg: {why}"))?;
    Ok(Files { old, new })
}

impl Files<'_> {
    fn which(&self, found: &[u8]) -> InForce {
        if found == self.new {
            InForce::New
        } else if found == self.old {
            InForce::Parent
        } else {
            InForce::Other
        }
    }
}

/// Before the vote: the file is the one that the plan starts from, the new one can be made of it, and this host
/// has exactly one address in each network that it names. The operator may know the addresses of a minute ago.
pub fn checks(pending: &Pending, seen: &Observation) -> Result<(), String> {
    let files = files(pending)?;
    if seen.datacenter.as_deref().map(|found| files.which(found)) != Some(InForce::Parent) {
        return Err("/etc/pve/datacenter.cfg was changed just before the stage".to_owned());
    }
    let write = pending.stage.datacenter_write();
    for (traffic, line) in write.iter().flat_map(|write| &write.lines) {
        let Some(network) = line.and_then(|line| line.network) else { continue };
        let found = inside(&network, &seen.addresses);
        if found.len() != 1 {
            let found: Vec<_> = found.iter().map(IpAddr::to_string).collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(" and ") };
            return Err(format!(
                "exactly one address in {network}, the network of `{}`, is needed here, and there is: {found}",
                traffic.key()
            ));
        }
    }
    Ok(())
}

fn inside(network: &IpNet, cards: &[CardAddress]) -> BTreeSet<IpAddr> {
    let addresses = cards.iter().filter_map(|card| card.cidr.parse::<IpNet>().ok());
    addresses.map(|address| address.addr()).filter(|address| network.contains(address)).collect()
}

/// At the end: this host reads the new file.
pub fn holds(pending: &Pending, seen: &Observation) -> Result<(), String> {
    match which(pending, seen.datacenter.as_deref()) {
        None | Some(InForce::New) => Ok(()),
        Some(InForce::Parent | InForce::Back) => {
            Err("/etc/pve/datacenter.cfg is still the old one".to_owned())
        }
        Some(InForce::Other) => {
            Err("/etc/pve/datacenter.cfg was changed by somebody else".to_owned())
        }
    }
}

/// Writes the new file over the old one.
pub async fn write(host: &Host, pending: &Pending) -> Result<(), String> {
    let at_most_ms = u64::from(pending.stage.confirm_timeout_secs) * 1000;
    let files = files(pending)?;
    match put(host, &files, (InForce::New, at_most_ms)).await? {
        InForce::New => Ok(()),
        InForce::Parent | InForce::Back => Err("the file is unchanged after the write".to_owned()),
        InForce::Other => Err("/etc/pve/datacenter.cfg was changed by somebody else".to_owned()),
    }
}

/// Writes the old file over the new one; what is in force afterwards, the old one under the name of what undoes
/// the stage.
pub async fn write_back(host: &Host, pending: &Pending) -> Result<InForce, String> {
    let files = files(pending)?;
    Ok(match put(host, &files, (InForce::Parent, BACK_MS)).await? {
        InForce::Parent => InForce::Back,
        found @ (InForce::New | InForce::Back | InForce::Other) => found,
    })
}

/// Under the lock of those that write the file, over the other one of the two, and read back whatever the errno was.
async fn put(
    host: &Host,
    files: &Files<'_>,
    (wanted, at_most_ms): (InForce, u64),
) -> Result<InForce, String> {
    let etc = &host.cluster_files;
    let lock = etc.lock_datacenter(at_most_ms).await;
    let lock = lock.map_err(|error| format!("cannot take the lock on datacenter.cfg: {error}"))?;
    let found = || {
        let bytes = etc.read_datacenter();
        let bytes = bytes.map_err(|error| format!("cannot read datacenter.cfg: {error}"))?;
        Ok::<_, String>(files.which(&bytes))
    };
    let before = found()?;
    if before == wanted || before == InForce::Other {
        return Ok(before);
    }
    if !lock.is_own() {
        return Err("the lock on datacenter.cfg was taken away".to_owned());
    }
    let bytes = if wanted == InForce::New { &files.new } else { files.old };
    let replaced = etc.replace_datacenter(bytes);
    let after = found()?;
    match replaced {
        Err(error) if after != wanted => Err(format!("cannot write datacenter.cfg: {error}")),
        Ok(()) | Err(_) => Ok(after),
    }
}
