//! The loop: recover, observe, publish, and work on the released stage. Events drive it; the timer only
//! stands in for what sends none (FUSE, links).

mod armed;
mod device;
mod elsewhere;
mod idle;
mod laid;
mod links;
mod lowered;
mod measure;
mod sharing;
mod stale;
#[cfg(test)]
mod tests;
mod told;
mod tries;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt;
use pvecm_core::change::{Course, Stage, StageResult};
use pvecm_core::ha::Ha;
use pvecm_core::ids::{HostName, NodeId};
use pvecm_core::protocol::{Attempt, Event, Message};
use pvecm_crds::host::PveHostStatus;
use pvecm_crds::{PveChange, PveHost};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::api::Wanted;
use crate::drifting::Drifting;
use crate::host_ports::Host;
use crate::ledger::{Admission, Book, Last, Pending, Started};
use crate::observe::{Conditions, Identity, Observation, drift, started_with};
use crate::ports::{CorosyncEvent, DiskFile, Unit};
use crate::rearm::GRACE;
use crate::seal::SealingKey;
use crate::stage::action::{Sealed, Task, run as run_actions};
use crate::stage::run::{GroupRun, JobEvent, Jobs};
use crate::stage::select::{Choice, Released, select};
use crate::stage::{Undone, keys};
use crate::watchdog::Beat;
use device::DeviceWatch;
use idle::IdleWatch;
use links::LinkWork;
use measure::MeasureWork;
use witness::WitnessWork;

/// How often the timer looks while a stage runs, and at rest.
const BUSY: Duration = Duration::from_millis(200);
const REST: Duration = Duration::from_secs(2);
/// corosync says twenty things within a millisecond of a reload: one look is enough for all of them.
const SETTLE: Duration = Duration::from_millis(15);
/// So long after the last word from either side the API server must hold what was told.
const HELD: Duration = Duration::from_secs(15);
/// Messages of attempts that this host has not begun yet.
const KEPT_MESSAGES: usize = 256;

/// Where the world comes in.
#[derive(Debug)]
pub struct Inputs {
    /// From corosync.
    pub corosync: mpsc::UnboundedReceiver<CorosyncEvent>,
    /// From the API server.
    pub wanted: mpsc::UnboundedReceiver<Wanted>,
    /// When the token ends.
    pub token_expiry: watch::Receiver<Option<jiff::Timestamp>>,
    /// Where the loop says that it turns.
    pub(crate) beat: Beat,
}

impl Inputs {
    /// What comes in, with nobody yet who watches whether the loop turns.
    #[must_use]
    pub fn new(
        corosync: mpsc::UnboundedReceiver<CorosyncEvent>,
        wanted: mpsc::UnboundedReceiver<Wanted>,
        token_expiry: watch::Receiver<Option<jiff::Timestamp>>,
    ) -> Self {
        Self { corosync, wanted, token_expiry, beat: Beat::default() }
    }
}

type LocalAnswer = (Attempt, Result<Sealed, Undone>);

/// The agent of one host.
pub struct Agent {
    host: Host,
    name: HostName,
    identity: Identity,
    key: Arc<SealingKey>,
    book: Book,
    wanted_host: Option<Box<PveHost>>,
    changes: BTreeMap<String, Arc<PveChange>>,
    changes_known: bool,
    conditions: Conditions,
    seen: Observation,
    agents: BTreeSet<NodeId>,
    group_run: Option<GroupRun>,
    local_runs: bool,
    early: Vec<(NodeId, Message)>,
    refusal: Option<String>,
    stamp: Option<String>,
    stale_since: Option<Instant>,
    idle: IdleWatch,
    /// Something came that a stage may be found in.
    news: bool,
    /// Since when nobody has looked whether the API server holds what was told.
    unheld: Option<Instant>,
    drift: Drifting,
    arm_after: Duration,
    asked_to_arm: Option<Instant>,
    asked_to_share: Option<Instant>,
    asked_to_expect: Option<Instant>,
    device: DeviceWatch,
    witness: WitnessWork,
    /// `None` while corosync does not run.
    links: Option<LinkWork>,
    measuring: MeasureWork,
    jobs: mpsc::UnboundedSender<JobEvent>,
    job_answers: mpsc::UnboundedReceiver<JobEvent>,
    locals: mpsc::UnboundedSender<LocalAnswer>,
    local_answers: mpsc::UnboundedReceiver<LocalAnswer>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({})", self.name)
    }
}

impl Agent {
    /// An agent that has not looked at anything yet.
    #[must_use]
    pub fn new(host: Host, name: HostName, own: (Identity, SealingKey), book: Book) -> Self {
        let (jobs, job_answers) = mpsc::unbounded_channel();
        let (locals, local_answers) = mpsc::unbounded_channel();
        Self {
            host,
            name,
            identity: own.0,
            key: Arc::new(own.1),
            book,
            wanted_host: None,
            changes: BTreeMap::new(),
            changes_known: false,
            conditions: Conditions::default(),
            seen: Observation::default(),
            agents: BTreeSet::new(),
            group_run: None,
            local_runs: false,
            early: Vec::new(),
            refusal: None,
            stamp: None,
            stale_since: None,
            idle: IdleWatch::default(),
            news: true,
            unheld: None,
            drift: Drifting::default(),
            arm_after: GRACE,
            asked_to_arm: None,
            asked_to_share: None,
            asked_to_expect: None,
            device: DeviceWatch::default(),
            witness: WitnessWork::default(),
            links: None,
            measuring: MeasureWork::default(),
            jobs,
            job_answers,
            locals,
            local_answers,
        }
    }

    /// Sets how long after the last stage high availability that was disarmed for it is armed again.
    #[must_use]
    pub fn arming_after(self, grace: Duration) -> Self {
        Self { arm_after: grace, ..self }
    }

    /// Works until an error after which nothing may go on, which is only a ledger that cannot be kept.
    pub async fn work(
        &mut self,
        mut inputs: Inputs,
        out: &watch::Sender<Option<PveHostStatus>>,
    ) -> anyhow::Result<()> {
        self.look()?;
        self.recover()?;
        let mut last_tick = Instant::now();
        loop {
            inputs.beat.beat();
            self.step().context("the ledger cannot be kept")?;
            self.publish(out, *inputs.token_expiry.borrow());
            let pause = if self.busy() { BUSY } else { REST };
            // In a fixed order, so that a simulation repeats. What comes first cannot keep the rest
            // waiting: the timer has its period, and jobs are few.
            let look = tokio::select! {
                biased;
                () = tokio::time::sleep_until(last_tick + pause) => {
                    last_tick = Instant::now();
                    self.timer()?
                }
                Some((attempt, event)) = self.job_answers.recv() => {
                    self.look()?;
                    self.event(attempt, event)?;
                    true
                }
                Some((attempt, result)) = self.local_answers.recv() => {
                    self.local_done(attempt, result)?;
                    true
                }
                Some(event) = inputs.corosync.recv() => {
                    self.corosync(event)?;
                    tokio::time::sleep(SETTLE).await;
                    while let Ok(event) = inputs.corosync.try_recv() {
                        self.corosync(event)?;
                    }
                    true
                }
                Some(wanted) = inputs.wanted.recv() => {
                    self.wanted(wanted);
                    false
                }
            };
            if look {
                self.look()?;
            }
        }
    }

    fn busy(&self) -> bool {
        self.local_runs || self.group_run.as_ref().is_some_and(|run| run.outcome.is_none())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let seen = Observation::take(&self.host).after(&self.seen);
        // While a stage runs the places differ because it makes them differ.
        if self.busy() || self.book.ledger().pending.is_some() {
            self.drift.pause();
        } else if !(self.drift.is_level() && seen.has_places_of(&self.seen)) {
            self.drift.look(drift(&seen));
        }
        let before = std::mem::replace(&mut self.seen, seen);
        self.seen.idle = self.why_idle(before);
        self.note_start()
    }

    /// Remembers what a daemon was started with: nothing tells later.
    fn note_start(&mut self) -> anyhow::Result<()> {
        let Some(ticks) = self.seen.corosync.as_ref().and_then(|corosync| corosync.started) else {
            return Ok(());
        };
        let boot_id = self.host.clock.now().boot_id;
        let known = self.book.ledger().started.as_ref();
        if let Some(known) = known.filter(|s| s.boot_id == boot_id && s.ticks == ticks) {
            self.seen.started.clone_from(&known.values);
            return Ok(());
        }
        let values = started_with(&self.seen);
        self.seen.started.clone_from(&values);
        // Nothing yet: the daemon is still starting, or its file is not understood.
        if !values.is_empty() {
            let started = Started { boot_id, ticks, values };
            self.book.change(|ledger| ledger.started = Some(started))?;
        }
        Ok(())
    }

    /// Whether a full look is due.
    fn timer(&mut self) -> anyhow::Result<bool> {
        if let Some(run) = &mut self.group_run {
            run.on(Event::Tick, &mut self.book)?;
        }
        Ok(self.moved() || self.busy() || self.drift.is_open() || self.stale_since.is_some())
    }

    /// Whether anything differs that nothing tells of: FUSE, the disk, the network cards and the state of
    /// links have no events.
    fn moved(&mut self) -> bool {
        let (host, seen) = (&self.host, &self.seen);
        let stamp = host.cluster_files.stamp();
        let stamped = stamp != self.stamp;
        self.stamp = stamp;
        let links = host.corosync.links();
        stamped
            || host.cluster_files.writable() != seen.writable
            || host.disk.read(DiskFile::Conf).ok().flatten().as_deref() != seen.disk_conf.as_deref()
            || keys::fingerprint(host, DiskFile::Authkey) != seen.authkey
            || host.machine.addresses() != seen.addresses
            || host.machine.resolved(&seen.others.keys().cloned().collect()) != seen.resolved
            || host.certificates.lying() != seen.certificates
            || host.services.is_enabled(Unit::Qdevice) != seen.device_enabled
            || host.corosync.device() != seen.corosync.as_ref().map(|corosync| corosync.device)
            || links.as_ref() != seen.corosync.as_ref().map(|corosync| &corosync.links)
            || (seen.mounted && Ha::read(&host.ha.files()) != seen.ha)
    }

    fn corosync(&mut self, event: CorosyncEvent) -> anyhow::Result<()> {
        match event {
            CorosyncEvent::Changed => {}
            CorosyncEvent::Down => self.agents = BTreeSet::new(),
            CorosyncEvent::Group(members) => {
                self.agents = members;
                self.feed()?;
            }
            CorosyncEvent::Message { from, bytes } => {
                let Ok(message) = serde_json::from_slice::<Message>(&bytes) else { return Ok(()) };
                // Only corosync knows who sent it: a member must not vote in another one's name.
                if message.from == from {
                    self.message(message)?;
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> anyhow::Result<()> {
        match &mut self.group_run {
            Some(run) if run.attempt() == message.attempt => {
                run.on(Event::Delivered(message), &mut self.book)?;
            }
            Some(_) | None => {
                if self.early.len() >= KEPT_MESSAGES {
                    self.early.remove(0);
                }
                self.early.push((message.from, message));
            }
        }
        Ok(())
    }

    fn wanted(&mut self, wanted: Wanted) {
        self.news = true;
        match wanted {
            Wanted::Host(host) => {
                self.unheld = Some(Instant::now());
                let known = host.status.as_ref().map(|status| status.conditions.as_slice());
                self.conditions.seed(known.unwrap_or_default());
                self.wanted_host = Some(host);
            }
            Wanted::Changes(changes) => {
                self.changes = changes;
                self.changes_known = true;
            }
        }
    }

    fn event(&mut self, attempt: Attempt, event: Event) -> anyhow::Result<()> {
        match &mut self.group_run {
            Some(run) if run.attempt() == attempt => Ok(run.on(event, &mut self.book)?),
            Some(_) | None => Ok(()),
        }
    }

    fn feed(&mut self) -> anyhow::Result<()> {
        if let Some(run) = &mut self.group_run {
            run.look(&self.seen, &self.agents, &mut self.book)?;
        }
        Ok(())
    }

    /// Goes on with what was under way when the agent or the machine ended.
    fn recover(&mut self) -> anyhow::Result<()> {
        self.answer_who_is_late();
        match self.book.ledger().pending.clone() {
            // It comes with the change, and until then nothing was done.
            Some(pending) if receives(&pending.stage, &self.name) => {
                self.book.change(|ledger| ledger.pending = None)?;
            }
            Some(pending) if pending.stage.course == Course::Local => {
                self.begin_local(pending, (None, None));
            }
            Some(pending) => self.begin_group(pending)?,
            None => {}
        }
        Ok(())
    }

    /// A host that was away while a stage ended goes on with it until somebody tells it the outcome.
    fn answer_who_is_late(&mut self) {
        let ended = self.book.ledger().ended.clone();
        self.group_run = ended.and_then(|ended| GroupRun::over(ended, &self.name, self.jobs()));
    }

    fn step(&mut self) -> anyhow::Result<()> {
        self.feed()?;
        self.pass_on()?;
        self.finish_group()?;
        self.reload_if_stale();
        if self.busy() || self.book.ledger().pending.is_some() {
            return Ok(());
        }
        self.forget_keys()?;
        self.forget_received()?;
        self.keep_armed()?;
        self.share_keys()?;
        self.keep_expected()?;
        self.keep_device();
        self.keep_witness()?;
        self.keep_links();
        self.keep_measured();
        let Some(host) = &self.wanted_host else { return Ok(()) };
        if !std::mem::take(&mut self.news) {
            return Ok(());
        }
        match select(&self.name, host, &self.changes, self.book.ledger()) {
            Choice::Nothing => self.refusal = None,
            Choice::Refuse(why) => self.refusal = Some(why),
            Choice::Work(released) => {
                self.refusal = None;
                self.begin(*released)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, released: Released) -> anyhow::Result<()> {
        let Released { change, digest, number: stage_number, stage, .. } = released;
        let Released { parent: expects, disarmed, sealed, certificate, .. } = released;
        let local = stage.course == Course::Local;
        let lacks_secret = sealed.is_none() && stage.receives_secret(&self.name);
        let has_one = certificate.is_some() || self.seen.certificates.is_taken();
        let lacks_certificate = !has_one && stage.receives_certificate(&self.name);
        if local && (lacks_secret || lacks_certificate) {
            return Ok(());
        }
        tracing::info!(change = change.0, stage = stage_number, stage.summary, "a stage begins");
        let text = self.seen.pmxcfs_conf.as_ref();
        let text = text.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let pending = Pending {
            attempt: Attempt { change, stage: stage_number, attempt: 1 },
            expects,
            parent: text,
            datacenter: stage.datacenter_write().and_then(|_| self.seen.datacenter.clone()),
            daemon: self.seen.corosync.as_ref().and_then(|corosync| corosync.started),
            had_authkey: self.seen.authkey.is_some(),
            keys: if stage.exchanges_authkey() { keys::laid(&self.host) } else { None },
            stage,
            record: None,
            recorded_at: self.host.clock.now(),
        };
        let new = self.book.ledger().admit(change, digest) == Admission::New;
        let (entry, name) = (pending.clone(), self.name.clone());
        self.book.change(|ledger| {
            if new {
                ledger.sealed.clear();
            }
            ledger.highest = change;
            ledger.digest = Some(digest);
            if disarmed {
                ledger.disarm_for(change, entry.recorded_at.clone());
            }
            ledger.note_laying(&name, change, &entry.stage);
            ledger.note_lowering(&name, change, &entry);
            if !local {
                ledger.ended = None;
            }
            ledger.pending = Some(entry);
        })?;
        if local {
            self.begin_local(pending, (sealed, certificate));
            return Ok(());
        }
        self.begin_group(pending)
    }

    fn jobs(&self) -> Jobs {
        Jobs { host: self.host.clone(), key: self.key.clone(), answers: self.jobs.clone() }
    }

    fn begin_group(&mut self, pending: Pending) -> anyhow::Result<()> {
        let attempt = pending.attempt;
        self.group_run = GroupRun::start(pending, &self.name, self.jobs(), &mut self.book)?;
        self.feed()?;
        for (_, message) in std::mem::take(&mut self.early) {
            if message.attempt == attempt {
                self.message(message)?;
            }
        }
        Ok(())
    }

    fn begin_local(
        &mut self,
        pending: Pending,
        (sealed, certificate): (Option<String>, Option<String>),
    ) {
        self.local_runs = true;
        let (host, key, answers) = (self.host.clone(), self.key.clone(), self.locals.clone());
        let pinned = self.book.ledger().pinned.clone();
        let actions = pending.stage.actions.get(&self.name).cloned().unwrap_or_default();
        let carried_out = async move {
            let timeout_ms = u64::from(pending.stage.confirm_timeout_secs) * 1000;
            // Counted from the first try: a crash gives no new time, and after a reboot none is left.
            let same_boot = pending.recorded_at.boot_id == host.clock.now().boot_id;
            let begun = if same_boot { pending.recorded_at.millis + timeout_ms } else { 0 };
            let task = Task {
                pending: &pending,
                key: &key,
                sealed: sealed.as_deref(),
                certificate: certificate.as_deref(),
                pinned: &pinned,
                deadline_ms: begun,
            };
            let result = run_actions(&host, &task, &actions).await;
            let _ = answers.send((pending.attempt, result));
        };
        self.host.workers.spawn(carried_out.boxed());
    }

    fn local_done(
        &mut self,
        attempt: Attempt,
        result: Result<Sealed, Undone>,
    ) -> anyhow::Result<()> {
        self.local_runs = false;
        let (result, message, sealed) = match result {
            Ok(sealed) => (StageResult::Confirmed, String::new(), sealed),
            Err(Undone::NotBegun(why)) => (StageResult::Refused, why, Sealed::new()),
            Err(Undone::PutBack(why)) => (StageResult::RolledBack, why, Sealed::new()),
            Err(Undone::Stuck(why)) => (StageResult::Failed, why, Sealed::new()),
        };
        self.end(attempt, (result, message), sealed)
    }

    /// Notes the outcome of the group's stage. The run itself stays: it answers hosts that are late.
    fn finish_group(&mut self) -> anyhow::Result<()> {
        let Some(run) = &self.group_run else { return Ok(()) };
        let (attempt, outcome) = (run.attempt(), run.outcome.clone());
        let open = self.book.ledger().pending.as_ref().is_some_and(|p| p.attempt == attempt);
        match outcome {
            Some(outcome) if open => self.end(attempt, outcome, Sealed::new()),
            Some(_) | None => Ok(()),
        }
    }

    fn end(
        &mut self,
        attempt: Attempt,
        (result, message): (StageResult, String),
        sealed: Sealed,
    ) -> anyhow::Result<()> {
        tracing::info!(
            change = attempt.change.0,
            stage = attempt.stage,
            ?result,
            message,
            "a stage ended"
        );
        let Some(digest) = self.book.ledger().digest else { return Ok(()) };
        let now = self.host.clock.now();
        let last = Last { change: attempt.change, digest, stage: attempt.stage, result, message };
        let name = self.name.clone();
        self.book.change(|ledger| {
            ledger.note_keys(&name, result);
            ledger.note_arrival(&name, result);
            ledger.note_departures(&name, result);
            ledger.sealed.extend(sealed);
            ledger.note_end(result, now);
            ledger.last = Some(last);
        })?;
        self.news = true;
        self.device.forget();
        Ok(())
    }
}

/// Whether a stage waits for what comes with the change.
fn receives(stage: &Stage, host: &HostName) -> bool {
    stage.receives_secret(host) || stage.receives_certificate(host)
}
