//! What single hosts do: form, join, hand a secret over or make another one. Each looks first whether it is
//! already done.

use std::collections::BTreeMap;

use pvecm_core::change::{Action, Stage};
use pvecm_core::ids::HostName;
use pvecm_core::protocol::{Attempt, InForce};
use zeroize::Zeroizing;

use super::device::Asked;
use super::probe::{in_force, parent_in_force, which};
use super::refresh::{refresh_stale_config, reload};
use super::{Undone, device, ha, keys, leave, leftovers, recover, separate};
use crate::conf_file::ConfFile;
use crate::host_ports::Host;
use crate::ledger::Pending;
use crate::observe::Observation;
use crate::ports::{DiskFile, Unit};
use crate::seal::{SealingKey, seal};

/// So long a started corosync may be away before it counts as ended.
const GONE_MS: u64 = 3_000;

/// What an action needs besides the host.
#[derive(Debug)]
pub struct Task<'a> {
    /// The stage, as the ledger holds it.
    pub pending: &'a Pending,
    /// This host's key.
    pub key: &'a SealingKey,
    /// What was sealed for this host.
    pub sealed: Option<&'a str>,
    /// What a witness issued for this host, in PEM.
    pub certificate: Option<&'a str>,
    /// Sealing keys of other hosts as they were first used.
    pub pinned: &'a BTreeMap<HostName, String>,
    /// `CLOCK_BOOTTIME` in milliseconds at which the stage must hold.
    pub deadline_ms: u64,
}

/// What was sealed, by receiver.
pub type Sealed = BTreeMap<HostName, String>;

/// Carries out this host's actions in order.
#[expect(clippy::cognitive_complexity, reason = "a flat list: one line for each action")]
pub async fn run(host: &Host, task: &Task<'_>, actions: &[Action]) -> Result<Sealed, Undone> {
    let mut sealed = Sealed::new();
    for action in actions {
        match action {
            Action::FormCluster {} => form(host, task).await?,
            Action::SealAuthkey { to, recipient } => {
                sealed.insert(to.clone(), seal_authkey(host, task, to, recipient)?);
            }
            Action::ReceiveAuthkey { generation: _ } => receive_authkey(host, task)?,
            Action::MakeAuthkey { receivers } => {
                sealed.extend(make_authkey(host, task, receivers)?);
            }
            Action::LayAuthkey {} => lay_authkey(host, task)?,
            Action::ExchangeAuthkey { .. } => {
                return Err(not_begun("a group exchanges its authkey, not a host for itself"));
            }
            Action::Join { .. } => join(host, task).await.map_err(Undone::Stuck)?,
            Action::RefreshStaleConfig {} => refresh_stale_config(host, task).await?,
            Action::Reload {} => reload(host, task).await?,
            Action::DisarmHa {} => ha::disarm(host, task.deadline_ms).await?,
            Action::ArmHa {} => ha::arm(host, task.deadline_ms).await?,
            Action::RestartCorosync {} => restart(host, task).await.map_err(Undone::Stuck)?,
            Action::StopCorosync {} => leave::stop(host, task, None).await?,
            Action::LeaveCluster {} => leave::put_away(host, task).await?,
            Action::StopToSeparate { shared_storages } => {
                leave::stop(host, task, Some(shared_storages)).await?;
            }
            Action::Separate { shared_storages } => {
                separate::separate(host, task, shared_storages).await?;
            }
            Action::SetExpectedVotes { votes, dead } => {
                recover::lower(host, task, (*votes, dead)).await?;
            }
            Action::Sweep(gone) => leftovers::sweep(host, task, gone).await?,
            Action::CleanReferences { node, references } => {
                leftovers::clean(host, task, (node, references)).await?;
            }
            Action::WriteDatacenterConfig(_) => {
                return Err(not_begun("a group changes datacenter.cfg, not a host for itself"));
            }
            Action::RequestCertificate { cluster, authority, witness, generation } => {
                let asked = Asked::new(cluster, authority, (*witness, *generation));
                device::request(host, task, asked).await?;
            }
            Action::TakeCertificate {} => device::take(host, task).await?,
            Action::ImportCertificate { cluster, authority, witness, generation, .. } => {
                let asked = Asked::new(cluster, authority, (*witness, *generation));
                device::import(host, task, asked).await?;
            }
            Action::StartDevice {} => device::start(host, task).await?,
            Action::StopDevice {} => device::stop(host, task).await?,
            Action::PutDeviceAway {} => device::put_away(host, task).await?,
            Action::Bury(_) => {
                return Err(not_begun("a group remembers who leaves it, not a host for itself"));
            }
        }
    }
    Ok(sealed)
}

fn seal_authkey(
    host: &Host,
    task: &Task<'_>,
    to: &HostName,
    recipient: &str,
) -> Result<String, Undone> {
    parent_in_force(task.pending.expects.as_ref(), &Observation::take(host))
        .map_err(Undone::NotBegun)?;
    is_pinned(task, to, recipient)?;
    let key = keys::read(host, DiskFile::Authkey).map_err(Undone::NotBegun)?;
    let key = key.ok_or_else(|| not_begun("this host has no authkey"))?;
    seal(recipient, &key).map_err(not_begun)
}

/// Whoever can put another sealing key into the API must not get a secret for it.
fn is_pinned(task: &Task<'_>, to: &HostName, recipient: &str) -> Result<(), Undone> {
    if task.pinned.get(to).is_some_and(|pinned| pinned != recipient) {
        let sentence = format!(
            "{to} has another sealing key than before, as a machine has that was installed anew or purged: it gets no \
             secret; if that is so, remove it from the cluster and let it join again"
        );
        return Err(Undone::NotBegun(sentence));
    }
    Ok(())
}

fn receive_authkey(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let authkey = open_sealed(task)?;
    let found = keys::read(host, DiskFile::Authkey).map_err(Undone::NotBegun)?;
    if found.is_some_and(|found| found == authkey) {
        return Ok(());
    }
    if host.corosync.view().is_some() {
        return Err(not_begun("corosync already runs here, with another authkey"));
    }
    host.disk.replace(DiskFile::Authkey, &authkey).map_err(not_begun)
}

pub(super) fn open_sealed(task: &Task<'_>) -> Result<Zeroizing<Vec<u8>>, Undone> {
    let sealed = task.sealed.ok_or_else(|| not_begun("nothing was sealed for this host"))?;
    task.key.open_sealed(sealed).map(Zeroizing::new).map_err(not_begun)
}

/// Always another key: one that an earlier try made may lie on some hosts and not on others.
fn make_authkey(
    host: &Host,
    task: &Task<'_>,
    receivers: &BTreeMap<HostName, String>,
) -> Result<Sealed, Undone> {
    parent_in_force(task.pending.expects.as_ref(), &Observation::take(host))
        .map_err(Undone::NotBegun)?;
    receivers.iter().try_for_each(|(to, recipient)| is_pinned(task, to, recipient))?;
    let key = keys::random_authkey().map_err(not_begun)?;
    let seal_for = |(to, recipient): (&HostName, &String)| {
        Ok((to.clone(), seal(recipient, &key).map_err(not_begun)?))
    };
    let sealed = receivers.iter().map(seal_for).collect::<Result<_, Undone>>()?;
    host.disk.replace(DiskFile::NewAuthkey, &key).map_err(not_begun)?;
    Ok(sealed)
}

fn lay_authkey(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let key = open_sealed(task)?;
    host.disk.replace(DiskFile::NewAuthkey, &key).map_err(not_begun)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn not_begun(why: impl ToString) -> Undone {
    Undone::NotBegun(why.to_string())
}

/// Makes a cluster of this one host.
async fn form(host: &Host, task: &Task<'_>) -> Result<(), Undone> {
    let config = &task.pending.stage.config;
    let seen = Observation::take(host);
    if in_force(config, &seen).is_ok() {
        return Ok(());
    }
    if task.pending.expects.is_some() {
        return Err(not_begun("the change starts from a cluster and would form another one"));
    }
    may_form(&seen, config.text.as_bytes()).map_err(Undone::NotBegun)?;
    // corosync reads the key before it judges the file.
    let checked = ensure_authkey(host).and_then(|()| host.corosync.check(&config.text));
    let formed = match checked {
        Ok(()) => put_together(host, task).await,
        Err(why) => Err(why),
    };
    let Err(why) = formed else { return Ok(()) };
    Err(match undo_form(host, task.pending).await {
        Ok(()) => Undone::PutBack(why),
        Err(also) => Undone::Stuck(format!("{why}; and it could not be undone: {also}")),
    })
}

/// Nothing is formed over another cluster. The stage's own bytes are what a crash left behind.
fn may_form(seen: &Observation, text: &[u8]) -> Result<(), String> {
    if !seen.mounted {
        return Err("pmxcfs is not mounted at /etc/pve".to_owned());
    }
    let foreign = |file: &Option<ConfFile>| file.as_deref().is_some_and(|bytes| bytes != text);
    if foreign(&seen.pmxcfs_conf) || foreign(&seen.disk_conf) {
        return Err("this host already has another corosync.conf".to_owned());
    }
    if seen.corosync.is_some() && seen.disk_conf.is_none() {
        return Err("corosync already runs here, without a file".to_owned());
    }
    Ok(())
}

fn ensure_authkey(host: &Host) -> Result<(), String> {
    if host.disk.read(DiskFile::Authkey).map_err(words)?.is_some() {
        return Ok(());
    }
    let key = keys::random_authkey().map_err(words)?;
    host.disk.replace(DiskFile::Authkey, &key).map_err(words)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn words(error: std::io::Error) -> String {
    error.to_string()
}

/// The order that keeps /etc/pve away for the shortest time (facts/pmxcfs.md 1): the same bytes in both
/// places, corosync, and only then pmxcfs again.
async fn put_together(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let config = &task.pending.stage.config;
    put_first_file(host, task).await?;
    host.disk.replace(DiskFile::Conf, config.text.as_bytes()).map_err(words)?;
    host.services.start(Unit::Corosync).await?;
    wait(host, task.deadline_ms, quorate).await?;
    host.services.stop(Unit::PveCluster).await?;
    host.services.start(Unit::PveCluster).await?;
    wait(host, task.deadline_ms, |seen| in_force(config, seen)).await
}

/// Under the lock that `pvecm create` takes too: of two that form at once, one finds the other's file.
async fn put_first_file(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let bytes = task.pending.stage.config.text.as_bytes();
    let files = &host.cluster_files;
    let left_ms = task.deadline_ms.saturating_sub(host.clock.now().millis);
    let lock =
        files.lock(left_ms).await.map_err(|error| format!("cannot take the lock: {error}"))?;
    match files.read_conf().map_err(words)? {
        Some(found) if found == bytes => Ok(()),
        Some(_) => Err("this host got another corosync.conf in the meantime".to_owned()),
        None if !lock.is_own() => Err("the lock was taken away".to_owned()),
        None => files.replace_conf(Some(bytes)).await.map_err(words),
    }
}

fn quorate(seen: &Observation) -> Result<(), String> {
    if seen.quorate() { Ok(()) } else { Err("this host has no quorum".to_owned()) }
}

/// Looks until it holds; at the deadline the last reason why not is the error. A corosync that ended
/// is not waited for: nothing starts it again (facts/pmxcfs.md 1).
pub(super) async fn wait(
    host: &Host,
    deadline_ms: u64,
    holds: impl Fn(&Observation) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let mut last_ran_ms = host.clock.now().millis;
    loop {
        let seen = Observation::take(host);
        let now = host.clock.now().millis;
        if seen.corosync.is_some() {
            last_ran_ms = now;
        }
        match holds(&seen) {
            Ok(()) => return Ok(()),
            Err(why) if now >= deadline_ms => return Err(why),
            Err(_) if now >= last_ran_ms + GONE_MS => {
                return Err("corosync ended after it was started".to_owned());
            }
            Err(_) => host.clock.sleep_ms(50).await,
        }
    }
}

/// Leaves no cluster behind, and nothing that this stage made. The database stays: it holds the
/// configuration of the host's guests. Another corosync.conf than the stage's is left alone.
async fn undo_form(host: &Host, pending: &Pending) -> Result<(), String> {
    let own = pending.stage.config.text.as_bytes();
    let in_cluster = host.cluster_files.read_conf().map_err(words)?;
    let on_disk = host.disk.read(DiskFile::Conf).map_err(words)?;
    if [&in_cluster, &on_disk].into_iter().flatten().any(|bytes| bytes != own) {
        return Err("there is another corosync.conf than the stage's".to_owned());
    }
    host.services.stop(Unit::Corosync).await?;
    if in_cluster.is_some() {
        // Without quorum pmxcfs takes no writes, unless it runs outside of any cluster. Nobody else
        // can write there then, so no lock is taken.
        host.services.stop(Unit::PveCluster).await?;
        host.services.start_local_pmxcfs().await?;
        let removed = host.cluster_files.replace_conf(None).await.map_err(words);
        host.services.stop_local_pmxcfs().await?;
        removed?;
    }
    host.disk.remove(DiskFile::Conf).map_err(words)?;
    if !pending.had_authkey {
        host.disk.remove(DiskFile::Authkey).map_err(words)?;
    }
    host.services.start(Unit::PveCluster).await
}

/// What must be so before a host joins: it can still say no.
pub fn may_join(host: &Host, stage: &Stage) -> Result<(), String> {
    let seen = Observation::take(host);
    if in_force(&stage.config, &seen).is_ok() {
        return Ok(());
    }
    may_form(&seen, stage.config.text.as_bytes())?;
    match host.disk.read(DiskFile::Authkey) {
        Ok(Some(_)) => host.corosync.check(&stage.config.text),
        Ok(None) => Err("this host has no authkey yet".to_owned()),
        Err(error) => Err(format!("cannot read the authkey: {error}")),
    }
}

/// Joins, in the order that makes a host a writable member in 2.4 s (facts/pmxcfs.md 1): everything in
/// place, corosync up and quorate, and only then pmxcfs with an empty database.
pub async fn join(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let config = &task.pending.stage.config;
    let seen = Observation::take(host);
    if in_force(config, &seen).is_ok() {
        return Ok(());
    }
    host.disk.replace(DiskFile::Conf, config.text.as_bytes()).map_err(words)?;
    // A database that already holds the cluster's file came from the cluster, before a crash.
    if seen.pmxcfs_conf.is_none() {
        host.services.stop(Unit::PveCluster).await?;
        host.disk.set_database_aside(task.pending.attempt).map_err(words)?;
    }
    host.services.start(Unit::Corosync).await?;
    wait(host, task.deadline_ms, quorate).await?;
    host.services.start(Unit::PveCluster).await?;
    wait(host, task.deadline_ms, |seen| in_force(config, seen)).await
}

/// Gives a host that joined, or began to, its own database back.
pub async fn undo_join(host: &Host, attempt: Attempt) -> Result<(), String> {
    host.services.stop(Unit::PveCluster).await?;
    host.services.stop(Unit::Corosync).await?;
    host.disk.remove(DiskFile::Conf).map_err(words)?;
    host.disk.remove(DiskFile::Authkey).map_err(words)?;
    host.disk.bring_database_back(attempt).map_err(words)?;
    host.services.start(Unit::PveCluster).await?;
    device::give_up(host, attempt).await
}

/// Starts corosync anew on a member and waits until it is one again. A daemon that was started since the
/// stage began is not started a second time: the agent ended in between.
pub async fn restart(host: &Host, task: &Task<'_>) -> Result<(), String> {
    let (config, before) = (&task.pending.stage.config, task.pending.daemon);
    if !is_new(before, &Observation::take(host)) {
        host.services.stop(Unit::Corosync).await?;
        host.services.start(Unit::Corosync).await?;
    }
    wait(host, task.deadline_ms, |seen| {
        if is_new(before, seen) {
            return in_force(config, seen);
        }
        Err("corosync was not started anew".to_owned())
    })
    .await
}

fn is_new(before: Option<u64>, seen: &Observation) -> bool {
    let started = seen.corosync.as_ref().and_then(|corosync| corosync.started);
    started.is_some() && started != before
}

/// Stops corosync, puts a text of the stage on the own disk and starts corosync with it. Where the disk takes
/// none, it is started with what lies there: no host stays down for that. What a person put there is left
/// alone. So a restart is undone as well, when corosync did not come back with the stage's text.
pub async fn start_with(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    text: InForce,
) -> Result<(), String> {
    let wanted = match text {
        InForce::New => Some(stage.config.text.as_str()),
        InForce::Back => stage.back.as_ref().map(|back| back.text.as_str()),
        InForce::Parent => parent,
        InForce::Other => None,
    };
    let wanted = wanted.ok_or("the stage has no such text")?;
    let on_disk = host.disk.read(DiskFile::Conf).map_err(words)?;
    if on_disk.is_some() && which(stage, parent, on_disk.as_deref()) == InForce::Other {
        return Err("there is another corosync.conf than the stage's".to_owned());
    }
    host.services.stop(Unit::Corosync).await?;
    let written = host.disk.replace(DiskFile::Conf, wanted.as_bytes()).map_err(words);
    host.services.start(Unit::Corosync).await.and(written)
}
