//! The exchange of the authkey on this host: the new key lies beside the one in force, and the old one
//! stays until the exchange is over.
//!
//! Owns the files that hold keys. No key leaves this module but sealed; everybody else sees fingerprints.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pvecm_core::change::Probe;
use pvecm_core::ids::Fingerprint;
use pvecm_core::protocol::{Key, Keys};
use zeroize::Zeroizing;

use crate::host_ports::Host;
use crate::ledger::Pending;
use crate::observe::Observation;
use crate::ports::{ConfLock, DiskFile};

/// Bytes of a key, overwritten when they are dropped.
type Secret = Zeroizing<Vec<u8>>;

/// What PVE's own tools make (pve.md 1.3); corosync takes 128 to 4096.
const LENGTH: usize = 256;

/// A new key from the kernel's random source.
pub fn random_authkey() -> std::io::Result<Secret> {
    let mut key = Zeroizing::new(vec![0; LENGTH]);
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

/// A key on the disk.
pub fn read(host: &Host, file: DiskFile) -> Result<Option<Secret>, String> {
    let key = host.disk.read(file).map_err(|error| format!("cannot read the authkey: {error}"))?;
    Ok(key.map(Zeroizing::new))
}

/// What tells the key in a file from others; `None`: there is none, or it cannot be read.
#[must_use]
pub fn fingerprint(host: &Host, file: DiskFile) -> Option<Fingerprint> {
    read(host, file).ok().flatten().map(|key| Fingerprint::of(&key))
}

/// The two keys of an exchange that is about to begin; `None`: they do not lie here.
#[must_use]
pub fn laid(host: &Host) -> Option<Keys> {
    let old = fingerprint(host, DiskFile::Authkey)?;
    let new = fingerprint(host, DiskFile::NewAuthkey)?;
    Some(Keys { old, new, lies: Some(Key::Old) })
}

/// The keys of an exchange that is under way, with the one that lies where corosync reads it.
#[must_use]
pub fn lying(host: &Host, keys: Option<&Keys>) -> Option<Keys> {
    let keys = *keys?;
    let found = fingerprint(host, DiskFile::Authkey);
    let lies = [(keys.new, Key::New), (keys.old, Key::Old)];
    let lies = lies.into_iter().find(|(key, _)| found == Some(*key)).map(|(_, key)| key);
    Some(Keys { lies, ..keys })
}

/// That every daemon has taken the new key, which none of them tells. Each has read it with the text, and
/// who read another one is out of the ring seconds later.
#[derive(Debug, Default)]
pub struct Proof {
    since_ms: Option<u64>,
}

impl Proof {
    /// What the probes of a stage come to, with that of the authkey if it has one.
    pub fn judge(
        &mut self,
        pending: &Pending,
        seen: &Observation,
        (held, now_ms): (Result<(), String>, u64),
    ) -> Result<(), String> {
        if !pending.stage.probes.contains(&Probe::AuthkeyTaken {}) {
            return held;
        }
        let taken = held.and_then(|()| {
            let lies = seen.authkey.is_some() && seen.authkey == pending.keys.map(|keys| keys.new);
            if lies { Ok(()) } else { Err("the authkey here is not the new one".to_owned()) }
        });
        if taken.is_err() {
            self.since_ms = None;
            return taken;
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        if now_ms < since_ms + lifetime_ms(seen) {
            return Err("the links have not outlived the exchange for long enough".to_owned());
        }
        Ok(())
    }
}

/// So long a link that hears nothing may count as connected.
fn lifetime_ms(seen: &Observation) -> u64 {
    let values = seen.corosync.iter().flat_map(|corosync| &corosync.values);
    let is_time = |key: &str| {
        key.starts_with("runtime.config.totem.interface.") && key.ends_with(".knet_ping_timeout")
    };
    let times = values.filter(|(key, _)| is_time(key)).filter_map(|(_, value)| value.parse().ok());
    times.max().unwrap_or(0)
}

/// What this attempt shares with its jobs: the order among them, and Proxmox VE's lock.
#[derive(Clone, Default)]
pub struct Exchange(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// One at a time touches the files.
    files: Mutex<()>,
    lock: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    wanted: bool,
    lock: Option<Box<dyn ConfLock>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange")
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    /// Notes that the lock is to be taken. The taking itself may begin after the lock was given back.
    pub fn want_lock(&self) {
        guard(&self.0.lock).wanted = true;
    }

    /// Takes Proxmox VE's lock and keeps it, unless it is not wanted any more.
    pub async fn lock(&self, host: &Host, at_most_ms: u64) -> Result<(), String> {
        let lock = host.cluster_files.lock(at_most_ms).await.map_err(|error| error.to_string())?;
        let mut held = guard(&self.0.lock);
        // One that nobody wants any more is given back when the guard is gone: that may take a while.
        let surplus = if held.wanted { held.lock.replace(lock) } else { Some(lock) };
        drop(held);
        drop(surplus);
        Ok(())
    }

    /// The lock, for whoever writes under it and gives it back with that.
    #[must_use]
    pub fn take_lock(&self) -> Option<Box<dyn ConfLock>> {
        let mut held = guard(&self.0.lock);
        held.wanted = false;
        held.lock.take()
    }

    /// Lays a key where corosync reads it at its next start or reload. Both keys stay beside it.
    pub fn lay(&self, host: &Host, keys: Option<&Keys>, key: Key) -> Result<Key, String> {
        let _alone = guard(&self.0.files);
        let keys = keys.ok_or("the stage began without its keys")?;
        let (wanted, file) = match key {
            Key::Old => (keys.old, DiskFile::OldAuthkey),
            Key::New => (keys.new, DiskFile::NewAuthkey),
        };
        let lies = fingerprint(host, DiskFile::Authkey);
        if lies == Some(wanted) {
            return Ok(key);
        }
        if key == Key::New && lies != Some(keys.old) {
            return Err("somebody replaced the authkey of this host".to_owned());
        }
        let bytes = read(host, file)?.filter(|bytes| Fingerprint::of(bytes) == wanted);
        let bytes = bytes.ok_or("the key is not there any more")?;
        host.disk.replace(DiskFile::Authkey, &bytes).map_err(|error| error.to_string())?;
        Ok(key)
    }

    /// Lays a key on a host that is alone, and has its daemon read it. Returns the one that lies there.
    pub fn try_key(&self, host: &Host, keys: Option<&Keys>, key: Key) -> Result<Key, String> {
        // With quorum there are others in the ring, and a reload makes them read theirs.
        if has_quorum(host) {
            let keys = lying(host, keys).ok_or("the stage began without its keys")?;
            return keys
                .lies
                .ok_or_else(|| "somebody replaced the authkey of this host".to_owned());
        }
        let laid = self.lay(host, keys, key)?;
        if let Err(error) = host.corosync.reload() {
            // A daemon that does not run reads the key when it starts.
            tracing::warn!(%error, "cannot have corosync read another authkey");
        }
        Ok(laid)
    }

    /// Ends the exchange: this key stays, and no copy of any. Where a copy cannot be removed, the agent tries
    /// again later.
    pub fn keep(&self, host: &Host, keys: Option<&Keys>, key: Key) -> Result<Key, String> {
        let laid = if keys.is_some() { self.lay(host, keys, key) } else { Ok(key) };
        let _alone = guard(&self.0.files);
        laid.and_then(|key| forget(host).map(|()| key))
    }
}

/// Whether this host is in the quorate part at this moment.
#[must_use]
pub fn has_quorum(host: &Host) -> bool {
    host.corosync.view().is_some_and(|view| view.quorate)
}

/// Keeps a copy of the key in force, so that laying the new one is a matter of one rename.
pub fn set_aside(host: &Host, keys: Option<&Keys>) -> Result<(), String> {
    let keys = keys.ok_or("no new authkey lies beside the one in force")?;
    let in_force = read(host, DiskFile::Authkey)?.filter(|key| Fingerprint::of(key) == keys.old);
    let in_force = in_force.ok_or("the authkey was replaced just before the stage")?;
    host.disk.replace(DiskFile::OldAuthkey, &in_force).map_err(|error| error.to_string())
}

/// Removes what lies beside the key in force.
pub fn forget(host: &Host) -> Result<(), String> {
    for file in [DiskFile::NewAuthkey, DiskFile::OldAuthkey] {
        host.disk.remove(file).map_err(|error| format!("cannot remove a key: {error}"))?;
    }
    Ok(())
}
