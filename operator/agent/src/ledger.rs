//! What this host remembers across crashes: the highest change it accepted, the stage it is in, the
//! last result. A stale leader, a restored control plane or a rewritten change end here.
//!
//! Pure but for [`Book`], which keeps the copy on the disk equal to the one in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pvecm_core::change::{Action, Course, Parent, Stage, StageResult, Tombstone};
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_core::protocol::{Attempt, Keys, Record};
use serde::{Deserialize, Serialize};

use crate::ports::{Arrival, BootTime, LedgerStore};

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// The highest change that was ever accepted.
    pub highest: ChangeNumber,
    /// Digest of that change's plan.
    pub digest: Option<Digest>,
    /// The stage that was begun and has no outcome.
    pub pending: Option<Pending>,
    /// The last stage of the group, which has its outcome: hosts that were away ask for it.
    pub ended: Option<Pending>,
    /// The outcome of the last stage.
    pub last: Option<Last>,
    /// High availability was disarmed for a change and is to be armed again.
    pub disarmed: Option<Disarmed>,
    /// Fewer votes are expected for a change than the list has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowered: Option<Lowered>,
    /// Sealing keys of other hosts as they were first used.
    pub pinned: BTreeMap<HostName, String>,
    /// The daemon that was seen last.
    pub started: Option<Started>,
    /// The generation of the authkey that a change gave this host last.
    pub key_generation: u32,
    /// The change for which another authkey lies beside the one in force.
    pub laid: Option<ChangeNumber>,
    /// The change for which this host took the authkey of a cluster that it is to join.
    pub received: Option<ChangeNumber>,
    /// This host became a member so, and the cluster does not have its keys yet.
    pub unshared: Option<Arrival>,
    /// Who has left the cluster that this host is a member of.
    pub tombstones: BTreeSet<Tombstone>,
    /// On a witness: the certificates that it issued, by the digest of the request, as long as they are asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub issued: BTreeMap<Digest, String>,
    /// Secrets that were sealed for others in the highest change, by receiver.
    pub sealed: BTreeMap<HostName, String>,
}

/// That high availability was disarmed, or is about to be, until it is seen armed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disarmed {
    /// For this change.
    pub change: ChangeNumber,
    /// When the last stage of that change began or ended here.
    pub since: BootTime,
    /// It was seen disarmed or on the way to it.
    pub seen: bool,
    /// The change goes no further: nothing more is waited for.
    pub overdue: bool,
}

/// That corosync was told to expect fewer votes than the list has, or is about to be, until it expects as many
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lowered {
    /// For this change.
    pub change: ChangeNumber,
    /// When the last stage of that change began or ended here.
    pub since: BootTime,
    /// The change goes no further: nothing more is waited for.
    pub overdue: bool,
}

/// A daemon, and what it was started with. Its cmap does not tell: of some keys it shows what it was told
/// at a reload and does not follow (facts/corosync.md 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The kernel's boot id.
    pub boot_id: String,
    /// When it was started, in clock ticks since then.
    pub ticks: u64,
    /// The values of the keys that no reload changes.
    pub values: BTreeMap<String, String>,
}

/// A stage under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Which attempt.
    pub attempt: Attempt,
    /// The stage as it was admitted, texts included: no API is needed to finish or undo it.
    pub stage: Stage,
    /// What the plan says is in force before the stage; `None`: no cluster may be there.
    pub expects: Option<Parent>,
    /// /etc/pve/corosync.conf as it was found before the stage; `None`: there was none.
    pub parent: Option<String>,
    /// /etc/pve/datacenter.cfg as it was found before a stage that changes it. It may hold any bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<Vec<u8>>,
    /// Which daemon ran before the stage, by [`Started::ticks`].
    #[serde(default)]
    pub daemon: Option<u64>,
    /// Whether there was an authkey before the stage. One that the stage made goes when it is undone.
    pub had_authkey: bool,
    /// The two authkeys of a stage that exchanges them, as they lay when it began.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// How far this host got, with the time left when that was written.
    pub record: Option<Record>,
    /// When the time left was true.
    pub recorded_at: BootTime,
}

impl Pending {
    /// The record with what is left of its time now; nothing is left after a reboot.
    #[must_use]
    pub fn record_at(&self, now: &BootTime) -> Option<Record> {
        let record = self.record.clone()?;
        let same_boot = now.boot_id == self.recorded_at.boot_id;
        let elapsed = now.millis.saturating_sub(self.recorded_at.millis);
        let left = |millis: u64| if same_boot { millis.saturating_sub(elapsed) } else { 0 };
        Some(Record { remaining_ms: record.remaining_ms.map(left), ..record })
    }
}

/// What became of the last stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// The change.
    pub change: ChangeNumber,
    /// Digest of its plan.
    pub digest: Digest,
    /// The stage, counted from 1.
    pub stage: u32,
    /// What became of it.
    pub result: StageResult,
    /// One sentence; empty when there is nothing to say.
    pub message: String,
}

/// Whether a change may be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Newer than all before.
    New,
    /// The newest one, unchanged.
    Known,
    /// The newest one's number with another plan: somebody rewrote it.
    Rewritten,
    /// This host has passed it.
    Older,
}

impl Ledger {
    /// Judges a change by its number and the digest of its plan.
    #[must_use]
    pub fn admit(&self, number: ChangeNumber, digest: Digest) -> Admission {
        match number.cmp(&self.highest) {
            std::cmp::Ordering::Greater => Admission::New,
            std::cmp::Ordering::Less => Admission::Older,
            std::cmp::Ordering::Equal if self.digest == Some(digest) => Admission::Known,
            std::cmp::Ordering::Equal => Admission::Rewritten,
        }
    }

    /// Notes that a stage with high availability disarmed begins: its time starts anew.
    pub fn disarm_for(&mut self, change: ChangeNumber, now: BootTime) {
        let before = self.disarmed.take().filter(|note| note.change == change);
        let seen = before.is_some_and(|note| note.seen);
        self.disarmed = Some(Disarmed { change, since: now, seen, overdue: false });
    }

    /// Notes, before the stage begins, that it lays another authkey beside the one in force: whatever ends
    /// the agent in between, the key is removed when the change is over. The same of one that a host takes
    /// which is to join: it is removed where the change did not make a member of it.
    pub fn note_laying(&mut self, me: &HostName, change: ChangeNumber, stage: &Stage) {
        let lays =
            |action: &Action| matches!(action, Action::MakeAuthkey { .. } | Action::LayAuthkey {});
        let receives = |action: &Action| matches!(action, Action::ReceiveAuthkey { .. });
        let own = stage.actions.get(me).map(Vec::as_slice).unwrap_or_default();
        if own.iter().any(lays) {
            self.laid = Some(change);
        }
        if own.iter().any(receives) {
            self.received = Some(change);
        }
    }

    /// Notes, before the stage begins, that it has corosync expect fewer votes: whatever ends the agent in between,
    /// they are put back when the change goes no further.
    pub fn note_lowering(&mut self, me: &HostName, change: ChangeNumber, pending: &Pending) {
        let lowers = |action: &Action| matches!(action, Action::SetExpectedVotes { .. });
        let mut own = pending.stage.actions.get(me).into_iter().flatten();
        if own.any(lowers) {
            let since = pending.recorded_at.clone();
            self.lowered = Some(Lowered { change, since, overdue: false });
        }
    }

    /// Notes of the pending stage, which ended so, what it did with keys on this host: whom a secret was
    /// sealed for, and which authkey is in force here now.
    pub fn note_keys(&mut self, me: &HostName, result: StageResult) {
        let Some(Pending { stage, .. }) = &self.pending else { return };
        let pin = |(to, recipient): (&HostName, &String)| {
            self.pinned.entry(to.clone()).or_insert_with(|| recipient.clone());
        };
        stage.actions.values().flatten().flat_map(Action::receivers).for_each(pin);
        let own = stage.actions.get(me).filter(|_| result == StageResult::Confirmed);
        for action in own.into_iter().flatten() {
            if let Action::ReceiveAuthkey { generation } | Action::ExchangeAuthkey { generation } =
                action
            {
                self.key_generation = *generation;
            }
        }
    }

    /// Notes of the pending stage, which ended so, that this host became a member in it, or is none any more.
    pub fn note_arrival(&mut self, me: &HostName, result: StageResult) {
        let pending = self.pending.as_ref().filter(|_| result == StageResult::Confirmed);
        for action in
            pending.and_then(|pending| pending.stage.actions.get(me)).into_iter().flatten()
        {
            match action {
                Action::FormCluster {} => self.unshared = Some(Arrival::Formed),
                Action::Join { .. } => self.unshared = Some(Arrival::Joined),
                Action::LeaveCluster {} | Action::Separate { .. } => self.unshared = None,
                _stays_what_it_was => {}
            }
        }
    }

    /// Notes of the pending stage, which ended so, who left in it, or before this host came. A host that left
    /// itself has nothing to do with the dead of that cluster any more, nor an answer for whoever of it is
    /// late.
    pub fn note_departures(&mut self, me: &HostName, result: StageResult) {
        let pending = self.pending.as_ref().filter(|_| result == StageResult::Confirmed);
        let Some(Pending { stage, .. }) = pending else { return };
        for action in stage.actions.get(me).into_iter().flatten() {
            match action {
                Action::Bury(tombstone) => {
                    self.tombstones.insert(tombstone.clone());
                    // Whoever comes under its name may be another machine, with a key of its own.
                    let staying: BTreeSet<_> = stage.group.values().collect();
                    self.pinned.retain(|host, _| staying.contains(host));
                }
                Action::Join { tombstones } => self.tombstones.clone_from(tombstones),
                Action::LeaveCluster {} | Action::Separate { .. } => {
                    self.tombstones.clear();
                    self.ended = None;
                }
                _nobody_leaves => {}
            }
        }
    }

    /// Notes that the pending stage ended so: after one that is not in force nothing more comes.
    pub fn note_end(&mut self, result: StageResult, now: BootTime) {
        let ended = self.pending.take();
        self.ended = ended.filter(|p| p.stage.course != Course::Local).or(self.ended.take());
        let overdue = result != StageResult::Confirmed;
        if let Some(note) = &mut self.lowered {
            (note.since, note.overdue) = (now.clone(), overdue);
        }
        if let Some(note) = &mut self.disarmed {
            (note.since, note.overdue) = (now, overdue);
        }
    }
}

/// Why the ledger cannot be trusted or kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk failed.
    #[error("cannot keep the ledger")]
    Disk(#[source] std::io::Error),
    /// It is there and makes no sense. Going on without it could repeat an old change.
    #[error("the ledger is damaged; nothing is done on this host until a person looked at it")]
    Damaged(#[source] serde_json::Error),
}

/// The ledger and its place on the disk.
pub struct Book {
    store: Arc<dyn LedgerStore>,
    ledger: Ledger,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ledger.fmt(f)
    }
}

impl Book {
    /// Reads the ledger; none yet is an empty one.
    pub fn open(store: Arc<dyn LedgerStore>) -> Result<Self, LedgerError> {
        let bytes = store.load().map_err(LedgerError::Disk)?;
        let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(LedgerError::Damaged);
        let ledger = bytes.map(parse).transpose()?.unwrap_or_default();
        Ok(Self { store, ledger })
    }

    /// What is remembered.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Changes what is remembered. When this returns well, it is on the disk; on an error nothing
    /// changed. A change to the same is no write.
    pub fn change(&mut self, edit: impl FnOnce(&mut Ledger)) -> Result<(), LedgerError> {
        let mut next = self.ledger.clone();
        edit(&mut next);
        if next == self.ledger {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&next).map_err(LedgerError::Damaged)?;
        self.store.save(&bytes).map_err(LedgerError::Disk)?;
        self.ledger = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::MemoryStore;
    use crate::host::FileStore;

    fn book_at(number: u64) -> Book {
        let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        book.change(|ledger| {
            ledger.highest = ChangeNumber(number);
            ledger.digest = Some(Digest::of(b"plan"));
        })
        .unwrap();
        book
    }

    #[test]
    fn a_change_is_judged_by_its_number_and_digest() {
        let book = book_at(5);
        let admit =
            |number, plan: &[u8]| book.ledger().admit(ChangeNumber(number), Digest::of(plan));
        assert_eq!(admit(6, b"other"), Admission::New);
        assert_eq!(admit(5, b"plan"), Admission::Known);
        assert_eq!(admit(5, b"other"), Admission::Rewritten);
        assert_eq!(admit(4, b"plan"), Admission::Older);
    }

    #[test]
    fn what_was_kept_is_read_again_and_a_torn_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.json");
        let store = Arc::new(FileStore(path.clone()));
        let mut book = Book::open(store.clone()).unwrap();
        book.change(|ledger| ledger.highest = ChangeNumber(3)).unwrap();
        assert_eq!(Book::open(store.clone()).unwrap().ledger().highest, ChangeNumber(3));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Book::open(store), Err(LedgerError::Damaged(_))));
    }

    #[test]
    fn time_goes_on_while_the_agent_is_down_and_none_is_left_after_a_reboot() {
        let at = |boot: &str, millis| BootTime { boot_id: boot.to_owned(), millis };
        let attempt = Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 };
        let record = Record {
            phase: pvecm_core::protocol::Phase::Going,
            remaining_ms: Some(10_000),
            writer: None,
            restored: false,
            stopped: false,
        };
        let stage = serde_json::from_value(serde_json::json!({
            "summary": "", "risk": "Live", "course": "Write", "group": {}, "confirmTimeoutSecs": 30,
            "config": {"version": 1, "digest": Digest::of(b""), "text": ""},
        }))
        .unwrap();
        let recorded_at = at("a", 1000);
        let pending = Pending {
            attempt,
            stage,
            expects: None,
            parent: None,
            datacenter: None,
            daemon: None,
            had_authkey: false,
            keys: None,
            record: Some(record),
            recorded_at,
        };
        let left = |now: BootTime| pending.record_at(&now).unwrap().remaining_ms;
        assert_eq!(left(at("a", 4000)), Some(7000));
        assert_eq!(left(at("b", 2000)), Some(0));
    }
}
