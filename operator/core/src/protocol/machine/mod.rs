//! One host's part in one attempt: which events move it on, and what it has done then.

use super::message::{Message, Phase, Record};
use super::tally::{Tally, has_gone};
use super::{Effect, Event, InForce, Outcome, Setup, View};
use crate::change::Course;
use crate::ids::NodeId;

mod keys;
mod outage;
mod steps;
mod undo;

use keys::Exchange;
use outage::Outage;

/// How long a prepared host waits for the others.
const PREPARE_MS: u64 = 10_000;
/// How long after the deadline hosts other than the leader vote to undo: the leader's agent is dead.
const LEADER_SILENT_MS: u64 = 2_000;
/// How long after the deadline a host without quorum puts the back text on its own disk.
const ALONE_MS: u64 = 10_000;
/// How long after a failed attempt to write back it is made again.
const RETRY_MS: u64 = 2_000;
/// How often a host without outcome says again where it is. The change of the group that a quick restart
/// makes can be lost with the ring that it happened in, and nobody would know that somebody forgot.
const REPEAT_MS: u64 = 2_000;

/// One host in one attempt. Time is any monotonic clock in milliseconds, the same in every call.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states of one thing")]
pub struct Machine {
    pub(super) setup: Setup,
    /// `None`: the checks run.
    pub(super) phase: Option<Phase>,
    tally: Tally,
    view: View,
    now: u64,
    prepared_at: u64,
    deadline: Option<u64>,
    writer: Option<NodeId>,
    restored: bool,
    /// [`Effect::Write`] is under way.
    writing: bool,
    /// This life has written, or tried to.
    wrote: bool,
    /// An earlier life went: its rename may still be in the kernel.
    went_before: bool,
    writing_back: bool,
    write_back_again_at: u64,
    undoing: bool,
    said_at: u64,
    /// What was lost after the start, in words.
    lost: Option<String>,
    /// What did not hold at the last look, in words.
    unheld: Option<String>,
    /// What was lost is this host's own: nobody else may have noticed.
    own_loss: bool,
    /// Why a member undid the stage, as the control plane passed it on.
    told: Option<String>,
    /// The outcome is there, and the cluster's file is to be taken over the own disk's.
    to_take_file: bool,
    /// Where the stage exchanges the authkey.
    exchange: Option<Exchange>,
    /// Where everybody stops.
    outage: Option<Outage>,
    out: Vec<Effect>,
}

impl Machine {
    /// Starts, or goes on from what the ledger holds. The effects are to be carried out first.
    #[must_use]
    pub fn new(setup: Setup, now_ms: u64) -> (Self, Vec<Effect>) {
        let mut machine = Self::at_record(setup, now_ms);
        machine.resume();
        machine.settle_all();
        let effects = std::mem::take(&mut machine.out);
        (machine, effects)
    }

    /// Where the ledger's record is, or at the beginning.
    fn at_record(setup: Setup, now_ms: u64) -> Self {
        let recovered = setup.recovered.clone();
        let stopped = recovered.as_ref().is_some_and(|record| record.stopped);
        let stops = setup.course == Course::Outage;
        Self {
            phase: recovered.as_ref().map(|record| record.phase.clone()),
            tally: Tally::new(&setup),
            view: View::default(),
            now: now_ms,
            prepared_at: now_ms,
            deadline: recovered.as_ref().and_then(|r| r.remaining_ms).map(|left| now_ms + left),
            writer: recovered.as_ref().and_then(|record| record.writer),
            restored: recovered.as_ref().is_some_and(|record| record.restored),
            writing: false,
            wrote: false,
            went_before: recovered.as_ref().is_some_and(|record| has_gone(&record.phase)),
            writing_back: false,
            write_back_again_at: now_ms,
            undoing: false,
            said_at: now_ms,
            lost: None,
            unheld: None,
            own_loss: false,
            told: None,
            to_take_file: false,
            exchange: setup.keys.map(Exchange::new),
            outage: stops.then(|| Outage::new(setup.runs, stopped)),
            out: Vec::new(),
            setup,
        }
    }

    /// After the outcome: does nothing but answer hosts that are late.
    #[must_use]
    pub fn over(setup: Setup, now_ms: u64) -> Self {
        let mut machine = Self::at_record(setup, now_ms);
        machine.hands_off();
        machine
    }

    /// Takes an event in, and says what to do.
    #[must_use]
    pub fn on(&mut self, event: Event, now_ms: u64) -> Vec<Effect> {
        self.now = now_ms;
        match event {
            Event::Tick => {}
            Event::View(view) => self.see(view),
            Event::Delivered(message) => self.hear(message),
            Event::Checks(result) => self.checked(result),
            Event::Written(result) => self.written(result),
            Event::Probes(result) => self.probed(&result),
            Event::InForce(what) => self.setup.in_force = what,
            Event::Acted(result) => self.acted(result),
            Event::WrittenBack(result) => self.written_back(&result),
            Event::Undone(result) => self.was_undone(result),
            Event::Locked(result) => self.locked(result),
            Event::Laid(result) => self.laid(result),
            Event::Runs(text) => self.daemon_runs(text),
            Event::Started(result) => self.daemon_started(&result),
            Event::Told(why) => self.told = Some(why),
        }
        self.settle_all();
        self.take_file();
        let speaks = self.unfinished() || self.to_take_file;
        if speaks && (now_ms >= self.said_at + REPEAT_MS || self.has_key_news()) {
            self.say();
        }
        std::mem::take(&mut self.out)
    }

    fn resume(&mut self) {
        match self.phase.clone() {
            None => self.out.push(Effect::RunChecks),
            Some(Phase::Going) => {
                // With no time left it is undone, and what it would do is of the past.
                if !self.votes() && !self.past(0) {
                    self.out.push(Effect::Act);
                }
                self.out.push(Effect::StartProbing);
            }
            Some(Phase::RollingBack { .. }) if !self.votes() => self.undo(),
            // Persisted first, done next: the life before may have ended in between.
            Some(Phase::RollingBack { .. }) if self.restored && !self.is_outage() => {
                self.out.push(Effect::RestoreOwnDisk);
            }
            Some(phase) if phase.is_outcome() => self.conclude(&phase),
            Some(_) => {}
        }
    }

    fn votes(&self) -> bool {
        self.setup.group.contains(&self.setup.me)
    }

    // ---- events ----

    fn see(&mut self, view: View) {
        let regrouped = view.agents != self.view.agents;
        let changed = view.writable != self.view.writable;
        let stays = self.votes() && !self.is_outage();
        if matches!(self.phase, Some(Phase::Going | Phase::Holds)) && stays {
            self.notice_loss(&view);
        }
        self.view = view;
        if regrouped || changed {
            self.say();
        }
    }

    fn me(&self) -> String {
        self.setup.name(self.setup.me)
    }

    fn notice_loss(&mut self, view: &View) {
        if self.view.writable && !view.writable {
            self.own_loss = true;
            self.lost = Some(format!("{} lost its writable /etc/pve", self.me()));
        }
        if !view.quorate {
            self.lost = Some(format!("{} lost quorum", self.me()));
        } else if let Some(gone) = self.setup.group.iter().find(|id| !view.members.contains(id)) {
            self.lost = Some(format!("{} left the membership", self.setup.name(*gone)));
        }
    }

    fn hear(&mut self, message: Message) {
        if message.attempt != self.setup.attempt {
            return;
        }
        let asks = message.key.is_some_and(|word| word.asks.is_some());
        let asks = message.from != self.setup.me && (!message.phase.is_outcome() || asks);
        self.writer = self.writer.or(message.writer);
        self.tally.hear(message);
        // Who has an outcome is silent until somebody without one speaks.
        if asks && !self.unfinished() {
            self.say();
        }
        if matches!(self.phase, Some(Phase::Going | Phase::Holds)) {
            let gave_up = self.tally.joiner_against().map(str::to_owned);
            self.lost = self.lost.take().or(gave_up);
        }
        if self.writer.is_none() && self.tally.unprepared().is_none() {
            self.writer = self.tally.first_writable();
        }
    }

    fn checked(&mut self, result: Result<(), String>) {
        let sentence = |why: String| format!("{}: {why}", self.me());
        match (&self.phase, result) {
            (None, Err(why)) => self.finish(&Phase::Unwritten { sentence: sentence(why) }),
            // What a person does while the others prepare is no different from what was done before.
            (Some(Phase::Prepared { .. }), Err(why)) => {
                self.enter(Phase::GaveUp { sentence: sentence(why) });
            }
            (Some(_), _) => {}
            // A member that restarts goes when the group has: until then it can still stay up.
            (None, Ok(())) if self.votes() || self.setup.course == Course::Restart => {
                self.prepared_at = self.now;
                self.enter(Phase::Prepared { writable: self.view.writable });
            }
            (None, Ok(())) => self.go(),
        }
    }

    fn written(&mut self, result: Result<(), String>) {
        self.writing = false;
        self.unlock();
        match result {
            Ok(()) => self.setup.in_force = InForce::New,
            Err(why) => {
                self.own_loss = true;
                self.lost = Some(format!("{} could not write: {why}", self.me()));
            }
        }
    }

    /// A joiner that cannot start has nothing to wait for. Once everything held, it has started.
    fn acted(&mut self, result: Result<(), String>) {
        if let (Some(Phase::Going), Err(why)) = (&self.phase, result) {
            let sentence = format!("{}: {why}", self.me());
            self.enter(Phase::RollingBack { sentence });
            self.undo();
        }
    }

    fn probed(&mut self, result: &Result<(), String>) {
        self.unheld = result.as_ref().err().cloned();
        self.found_fit(result.is_ok());
        let written = !self.is_outage() || self.setup.in_force == InForce::New;
        let holds = result.is_ok() && self.view.quorate && written;
        if matches!(self.phase, Some(Phase::Going)) && holds {
            self.enter(Phase::Holds);
        }
    }

    fn written_back(&mut self, result: &Result<InForce, String>) {
        self.writing_back = false;
        self.write_back_again_at = self.now + RETRY_MS;
        if let Ok(what) = *result {
            self.setup.in_force = what;
            if what == InForce::Other && self.unfinished() {
                self.note_late();
                self.finish(&Phase::Failed {
                    sentence: "the file was changed by somebody else while the stage was undone"
                        .to_owned(),
                });
            }
        }
    }

    fn was_undone(&mut self, result: Result<(), String>) {
        self.undoing = false;
        if !self.unfinished() {
            return;
        }
        let why = self.phase.as_ref().map(|p| p.sentence().to_owned()).unwrap_or_default();
        match result {
            Ok(()) => self.finish(&Phase::RolledBack { sentence: why }),
            Err(error) => self.finish(&Phase::Failed { sentence: error }),
        }
    }

    // ---- saying so ----

    fn go(&mut self) {
        self.deadline = Some(self.now + self.setup.confirm_timeout_ms);
        self.enter(Phase::Going);
        if !self.votes() {
            self.out.push(Effect::Act);
        }
        self.out.push(Effect::StartProbing);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.out.push(Effect::Persist(self.record()));
        self.say();
    }

    fn record(&self) -> Record {
        Record {
            phase: self.phase.clone().unwrap_or(Phase::Prepared { writable: false }),
            remaining_ms: self.deadline.map(|deadline| deadline.saturating_sub(self.now)),
            writer: self.writer,
            restored: self.restored,
            stopped: self.has_stopped(),
        }
    }

    fn say(&mut self) {
        self.said_at = self.now;
        if let Some(phase) = self.phase.clone() {
            let key = self.key_word();
            self.out.push(Effect::Send(Message {
                attempt: self.setup.attempt,
                from: self.setup.me,
                phase,
                writable: self.view.writable,
                writer: self.writer,
                over_parent: self.must_write_over_parent(),
                key,
            }));
        }
    }

    fn finish(&mut self, outcome: &Phase) {
        self.enter(outcome.clone());
        self.conclude(outcome);
    }

    fn conclude(&mut self, outcome: &Phase) {
        self.keep_key();
        let restored = self.restored && self.setup.in_force != InForce::Back && !self.is_outage();
        self.to_take_file = restored || self.is_late();
        self.take_file();
        self.report_when_running(outcome);
    }

    /// With a reload, so only where it parts nobody.
    fn take_file(&mut self) {
        if self.to_take_file && self.may_reload() {
            self.to_take_file = false;
            self.out.push(Effect::TakeClusterFile);
        }
    }

    fn report(&mut self, outcome: &Phase) {
        let why = outcome.sentence().to_owned();
        let outcome = match outcome {
            Phase::Confirmed => Outcome::Confirmed,
            Phase::RolledBack { .. } => Outcome::RolledBack(why),
            Phase::Unwritten { .. } => Outcome::Refused(why),
            Phase::Failed { .. } => Outcome::Failed(why),
            Phase::Prepared { .. }
            | Phase::GaveUp { .. }
            | Phase::Going
            | Phase::Holds
            | Phase::Sealed
            | Phase::RollingBack { .. } => return,
        };
        self.out.push(Effect::Done(outcome));
    }
}
