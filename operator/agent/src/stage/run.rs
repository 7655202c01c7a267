//! One attempt at a stage of the group: feeds the protocol's machine and carries out what it says.
//!
//! Whatever may take long (checks, writes behind a lock, starting services) is a job of its own and
//! answers by an event, so that the host goes on voting meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use pvecm_core::change::{Course, Stage, StageResult};
use pvecm_core::ids::{Digest, HostName, NodeId};
use pvecm_core::protocol::{
    Attempt, Effect, Event, InForce, Key, Machine, Message, Outcome, Phase, Record, Setup, View,
};
use tokio::sync::mpsc::UnboundedSender;

use super::action::{Task, join, may_join, restart, start_with, undo_join};
use super::away::the_left_out_are_silent;
use super::datacenter;
use super::ha::leaves_room;
use super::keys::{self, Exchange};
use super::leave::{the_gone_are_not_needed, the_gone_have_stopped};
use super::probe::{holds, links_carry, parent_in_force, text_run, which};
use super::reach::new_ways_are_fit;
use super::write::{restore_own_disk, take_cluster_file, write, write_back};
use crate::host_ports::Host;
use crate::ledger::{Book, LedgerError, Pending};
use crate::observe::Observation;
use crate::ports::DiskFile;
use crate::seal::SealingKey;

/// How long another program's lock is waited for before an exchange of the authkey: the others wait as well.
const LOCK_MS: u64 = 5_000;

/// An event for the attempt that it belongs to.
pub type JobEvent = (Attempt, Event);

/// One attempt on this host.
pub struct GroupRun {
    /// What the ledger holds of it.
    pending: Pending,
    me: NodeId,
    machine: Machine,
    probing: bool,
    last_view: Option<View>,
    last_in_force: Option<InForce>,
    last_runs: Option<InForce>,
    /// The outcome, once there is one.
    pub outcome: Option<(StageResult, String)>,
    jobs: Jobs,
    exchange: Exchange,
    proof: keys::Proof,
}

impl std::fmt::Debug for GroupRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupRun({:?}, {:?})", self.pending.attempt, self.outcome)
    }
}

/// What jobs need and where they answer.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// The host.
    pub host: Host,
    /// This host's key.
    pub key: Arc<SealingKey>,
    /// Where answers go.
    pub answers: UnboundedSender<JobEvent>,
}

impl GroupRun {
    /// Starts an attempt, or goes on with the one in the ledger. `None`: this host has no number in it.
    pub fn start(
        pending: Pending,
        name: &HostName,
        jobs: Jobs,
        book: &mut Book,
    ) -> Result<Option<Self>, LedgerError> {
        let Some(setup) = setup(&pending, name, &jobs.host) else { return Ok(None) };
        let me = setup.me;
        let (machine, effects) = Machine::new(setup, jobs.host.clock.now().millis);
        let mut run = Self::with(pending, (me, machine), jobs);
        run.carry_out(effects, book)?;
        Ok(Some(run))
    }

    /// An attempt that has its outcome, and answers hosts that are late.
    #[must_use]
    pub fn over(ended: Pending, name: &HostName, jobs: Jobs) -> Option<Self> {
        let setup = setup(&ended, name, &jobs.host)?;
        let me = setup.me;
        let machine = Machine::over(setup, jobs.host.clock.now().millis);
        let outcome = Some(progress(ended.record.as_ref()));
        Some(Self { outcome, ..Self::with(ended, (me, machine), jobs) })
    }

    fn with(pending: Pending, (me, machine): (NodeId, Machine), jobs: Jobs) -> Self {
        Self {
            pending,
            me,
            machine,
            probing: false,
            last_view: None,
            last_in_force: None,
            last_runs: None,
            outcome: None,
            jobs,
            exchange: Exchange::default(),
            proof: keys::Proof::default(),
        }
    }

    /// Which attempt this is.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.pending.attempt
    }

    /// Feeds one event.
    pub fn on(&mut self, event: Event, book: &mut Book) -> Result<(), LedgerError> {
        if matches!(event, Event::Started(_)) {
            // Also where it runs what it ran before.
            self.last_runs = None;
        }
        let now = self.jobs.host.clock.now().millis;
        let effects = self.machine.on(event, now);
        self.carry_out(effects, book)
    }

    /// Feeds what a look showed, as far as it is news.
    pub fn look(
        &mut self,
        seen: &Observation,
        agents: &BTreeSet<NodeId>,
        book: &mut Book,
    ) -> Result<(), LedgerError> {
        let view = View {
            quorate: seen.quorate(),
            writable: seen.writable,
            members: seen.corosync.as_ref().map(|c| c.members.clone()).unwrap_or_default(),
            agents: agents.clone(),
        };
        if self.last_view.as_ref() != Some(&view) {
            self.last_view = Some(view.clone());
            self.on(Event::View(view), book)?;
        }
        let in_force = in_force(&self.pending, seen);
        if self.last_in_force != Some(in_force) {
            self.last_in_force = Some(in_force);
            self.on(Event::InForce(in_force), book)?;
        }
        let runs = text_run(&self.pending.stage, self.pending.parent.as_deref(), seen);
        if self.last_runs != Some(runs) {
            self.last_runs = Some(runs);
            self.on(Event::Runs(runs), book)?;
        }
        if let Some(why) = self.edited(seen).or_else(|| self.returned(seen)) {
            self.on(Event::Checks(Err(why)), book)?;
        }
        if self.probing && self.outcome.is_none() {
            let held = holds(&self.pending.stage, Some(self.me), seen);
            let held = held.and_then(|()| datacenter::holds(&self.pending, seen));
            let now_ms = self.jobs.host.clock.now().millis;
            let held = self.proof.judge(&self.pending, seen, (held, now_ms));
            self.on(Event::Probes(held), book)?;
        }
        Ok(())
    }

    /// Where this host is prepared and somebody wrote to its disk since the checks: the stage would take it
    /// away with the next write to /etc/pve.
    fn edited(&self, seen: &Observation) -> Option<String> {
        let Pending { stage, parent, record, .. } = &self.pending;
        let prepared = matches!(record.as_ref()?.phase, Phase::Prepared { .. });
        let lies = which(stage, parent.as_deref(), seen.disk_conf.as_deref());
        let edited = stage.course != Course::Start && lies == InForce::Other;
        let another = datacenter::which(&self.pending, seen.datacenter.as_deref());
        let file = match (edited, another) {
            (true, _) => "/etc/corosync/corosync.conf",
            (false, Some(InForce::Other)) => "/etc/pve/datacenter.cfg",
            (false, _) => return None,
        };
        prepared.then(|| format!("{file} was changed after the checks"))
    }

    /// Where this host is prepared and one that is to leave has come since the checks.
    fn returned(&self, seen: &Observation) -> Option<String> {
        let Pending { stage, record, .. } = &self.pending;
        let prepared = matches!(record.as_ref()?.phase, Phase::Prepared { .. });
        the_gone_have_stopped(stage, seen).err().filter(|_| prepared)
    }

    fn carry_out(&mut self, effects: Vec<Effect>, book: &mut Book) -> Result<(), LedgerError> {
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.persist(record, book)?,
                Effect::Send(message) => self.send(&message),
                Effect::StartProbing => self.probing = true,
                Effect::Done(outcome) => {
                    self.probing = false;
                    self.outcome = Some(result(outcome));
                }
                Effect::KeepKey(key) => self.keep_key(key),
                Effect::Lock => {
                    self.exchange.want_lock();
                    self.spawn(effect);
                }
                Effect::Unlock => self.unlock(),
                Effect::RunChecks
                | Effect::Lay(_)
                | Effect::TryKey(_)
                | Effect::Write
                | Effect::Act
                | Effect::WriteBack { .. }
                | Effect::RestoreOwnDisk
                | Effect::TakeClusterFile
                | Effect::StartWith(_)
                | Effect::Undo => self.spawn(effect),
            }
        }
        Ok(())
    }

    /// From now on the lock is not wanted. Giving it back goes through /etc/pve and may take long.
    fn unlock(&self) {
        let lock = self.exchange.take_lock();
        self.jobs.host.workers.spawn(async move { drop(lock) }.boxed());
    }

    /// Before the outcome is told, so that nothing is left to be done when it is.
    fn keep_key(&self, key: Key) {
        let kept = self.exchange.keep(&self.jobs.host, self.pending.keys.as_ref(), key);
        if let Err(error) = &kept {
            tracing::warn!(error, "the exchange of the authkey did not end well");
        }
        let laid = Event::Laid(kept);
        let _ = self.jobs.answers.send((self.pending.attempt, laid));
    }

    fn persist(&mut self, record: Record, book: &mut Book) -> Result<(), LedgerError> {
        let Attempt { change, stage, attempt: _ } = self.pending.attempt;
        tracing::info!(change = change.0, stage, phase = ?record.phase, "a stage goes on");
        self.pending.record = Some(record);
        self.pending.recorded_at = self.jobs.host.clock.now();
        let pending = self.pending.clone();
        book.change(|ledger| ledger.pending = Some(pending))
    }

    fn send(&self, message: &Message) {
        let Ok(bytes) = serde_json::to_vec(message) else { return };
        // What is lost here is said again after the next change of the group.
        if let Err(error) = self.jobs.host.corosync.send(&bytes) {
            tracing::debug!(%error, "a message to the group was not sent");
        }
    }

    fn spawn(&self, effect: Effect) {
        let (jobs, pending) = (self.jobs.clone(), self.pending.clone());
        let (me, exchange) = (self.me, self.exchange.clone());
        let carried_out = async move {
            let Attempt { change, stage, attempt: _ } = pending.attempt;
            tracing::info!(change = change.0, stage, ?effect, "carrying out");
            if let Some(event) = job(&jobs, &pending, (effect, me, &exchange)).await {
                let _ = jobs.answers.send((pending.attempt, event));
            }
        };
        self.jobs.host.workers.spawn(carried_out.boxed());
    }
}

/// What the file is that the stage writes.
fn in_force(pending: &Pending, seen: &Observation) -> InForce {
    let Pending { stage, parent, .. } = pending;
    let lies = || which(stage, parent.as_deref(), seen.pmxcfs_conf.as_deref());
    datacenter::which(pending, seen.datacenter.as_deref()).unwrap_or_else(lies)
}

/// What a machine has to know. `None`: this host has no number in the stage.
fn setup(pending: &Pending, name: &HostName, host: &Host) -> Option<Setup> {
    let (stage, parent) = (&pending.stage, pending.parent.as_deref());
    let nodes = || stage.group.iter().chain(&stage.joining);
    let me = nodes().find(|(_, host)| *host == name).map(|(node, _)| *node)?;
    let seen = Observation::take(host);
    Some(Setup {
        me,
        attempt: pending.attempt,
        course: stage.course,
        group: stage.group.keys().copied().collect(),
        joining: stage.joining.keys().copied().collect(),
        names: nodes().map(|(id, name)| (*id, name.clone())).collect(),
        has_back: stage.back.is_some() || stage.course == Course::Datacenter,
        confirm_timeout_ms: u64::from(stage.confirm_timeout_secs) * 1000,
        in_force: in_force(pending, &seen),
        keys: keys::lying(host, pending.keys.as_ref()),
        runs: text_run(stage, parent, &seen),
        recovered: pending.record_at(&host.clock.now()),
    })
}

/// One long effect. `None`: it answers by what is seen later.
async fn job(
    jobs: &Jobs,
    pending: &Pending,
    (effect, me, exchange): (Effect, NodeId, &Exchange),
) -> Option<Event> {
    let (host, stage, parent) = (&jobs.host, &pending.stage, pending.parent.as_deref());
    let silent = |done: Result<(), String>| {
        if let Err(error) = done {
            tracing::warn!(error, "an action of the stage failed");
        }
        None
    };
    match effect {
        Effect::RunChecks => Some(Event::Checks(leaves_room(host, stage).and_then(|()| {
            let joins = stage.course == Course::Start && stage.joining.contains_key(&me);
            if joins { may_join(host, stage) } else { checks(host, pending, me) }
        }))),
        Effect::Write => Some(Event::Written(written(host, pending, exchange).await)),
        Effect::WriteBack { over_parent } => {
            Some(Event::WrittenBack(written_back(host, pending, (over_parent, exchange)).await))
        }
        Effect::Lock => Some(Event::Locked(exchange.lock(host, LOCK_MS).await)),
        Effect::Lay(key) => Some(Event::Laid(exchange.lay(host, pending.keys.as_ref(), key))),
        Effect::TryKey(key) => {
            Some(Event::Laid(exchange.try_key(host, pending.keys.as_ref(), key)))
        }
        Effect::Undo if stage.course == Course::Restart => {
            Some(Event::Undone(start_with(host, stage, parent, InForce::Back).await))
        }
        Effect::Undo => Some(Event::Undone(undo_join(host, pending.attempt).await)),
        Effect::Act => Some(Event::Acted(act(jobs, pending).await)),
        Effect::StartWith(text) => {
            Some(Event::Started(start_with(host, stage, parent, text).await))
        }
        // Somebody else in the ring would read another key.
        Effect::RestoreOwnDisk if stage.exchanges_authkey() && keys::has_quorum(host) => None,
        Effect::RestoreOwnDisk => silent(restore_own_disk(host, stage)),
        Effect::TakeClusterFile => silent(take_cluster_file(host)),
        Effect::Persist(_)
        | Effect::Send(_)
        | Effect::StartProbing
        | Effect::Unlock
        | Effect::KeepKey(_)
        | Effect::Done(_) => None,
    }
}

async fn written(host: &Host, pending: &Pending, exchange: &Exchange) -> Result<(), String> {
    let (stage, parent) = (&pending.stage, pending.parent.as_deref());
    if stage.course == Course::Datacenter {
        return datacenter::write(host, pending).await;
    }
    write(host, stage, parent, exchange.take_lock()).await
}

async fn written_back(
    host: &Host,
    pending: &Pending,
    (over_parent, exchange): (bool, &Exchange),
) -> Result<InForce, String> {
    let (stage, parent) = (&pending.stage, pending.parent.as_deref());
    if stage.course == Course::Datacenter {
        return datacenter::write_back(host, pending).await;
    }
    write_back(host, stage, parent, (over_parent, exchange.take_lock())).await
}

/// What a host of `joining` does by itself.
async fn act(Jobs { host, key, .. }: &Jobs, pending: &Pending) -> Result<(), String> {
    let stage = &pending.stage;
    let timeout_ms = u64::from(stage.confirm_timeout_secs) * 1000;
    let deadline_ms = host.clock.now().millis + timeout_ms;
    let pinned = BTreeMap::new();
    let task = Task { pending, key, sealed: None, certificate: None, pinned: &pinned, deadline_ms };
    if stage.course == Course::Restart {
        restart(host, &task).await
    } else {
        join(host, &task).await
    }
}

/// The checks before a stage, on a member. What is in force must be what the plan starts from, on every
/// host: a file that a person changed is a reason to plan again, however well all hosts agree on it.
fn checks(host: &Host, pending: &Pending, me: NodeId) -> Result<(), String> {
    let stage = &pending.stage;
    let expects = pending.expects.as_ref();
    let seen = Observation::take(host);
    parent_in_force(expects, &seen)?;
    links_carry(stage, seen.corosync.as_ref())?;
    the_left_out_are_silent(stage, pending.parent.as_deref(), seen.corosync.as_ref())?;
    let found = pending.parent.as_ref().map(|text| Digest::of(text.as_bytes()));
    if found != expects.map(|parent| parent.digest) {
        return Err("/etc/pve/corosync.conf was changed just before the stage".to_owned());
    }
    match stage.course {
        Course::Write => {
            host.corosync.check(&stage.config.text)?;
            the_gone_have_stopped(stage, &seen)?;
            the_gone_are_not_needed(host, stage)?;
            if stage.exchanges_authkey() {
                keys::set_aside(host, pending.keys.as_ref())?;
            }
            new_ways_are_fit(host, stage, pending.parent.as_deref(), me)
        }
        // It will start with this text.
        Course::Restart if stage.joining.contains_key(&me) => {
            host.corosync.check(&stage.config.text)
        }
        Course::Datacenter => datacenter::checks(pending, &seen),
        Course::Outage => starts_with_both(host, stage),
        Course::Start | Course::Restart | Course::Local => Ok(()),
    }
}

/// Nobody can ask for help while all are stopped: corosync has to start with what undoes the stage as well,
/// and the disk has to take a text.
fn starts_with_both(host: &Host, stage: &Stage) -> Result<(), String> {
    let texts = [Some(&stage.config), stage.back.as_ref()];
    texts.into_iter().flatten().try_for_each(|text| host.corosync.check(&text.text))?;
    let tried = host.disk.replace(DiskFile::TrialConf, stage.config.text.as_bytes());
    let tried = tried.and_then(|()| host.disk.remove(DiskFile::TrialConf));
    tried.map_err(|error| format!("the disk takes no corosync.conf: {error}"))
}

fn result(outcome: Outcome) -> (StageResult, String) {
    match outcome {
        Outcome::Confirmed => (StageResult::Confirmed, String::new()),
        Outcome::RolledBack(why) => (StageResult::RolledBack, why),
        Outcome::Refused(why) => (StageResult::Refused, why),
        Outcome::Failed(why) => (StageResult::Failed, why),
    }
}

/// How far a stage without outcome is, in the words of the API.
#[must_use]
pub fn progress(record: Option<&Record>) -> (StageResult, String) {
    let Some(record) = record else { return (StageResult::Prepared, String::new()) };
    let sentence = record.phase.sentence().to_owned();
    let result = match &record.phase {
        Phase::Unwritten { .. } => StageResult::Refused,
        Phase::Prepared { .. } | Phase::GaveUp { .. } => StageResult::Prepared,
        Phase::Going | Phase::Holds | Phase::Sealed | Phase::RollingBack { .. } => {
            StageResult::Acting
        }
        Phase::Confirmed => StageResult::Confirmed,
        Phase::RolledBack { .. } => StageResult::RolledBack,
        Phase::Failed { .. } => StageResult::Failed,
    };
    (result, sentence)
}
