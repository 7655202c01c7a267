//! A stage for which everybody stops: with which text this host starts its daemon, and when.

use super::super::message::Phase;
use super::super::{Effect, InForce};
use super::{LEADER_SILENT_MS, Machine};

/// How long a host that is alone tries one text: 32 nodes need 38 s to find each other (facts/corosync.md 3).
const TURN_MS: u64 = 60_000;
/// Two hosts that try the same texts at different times would never meet: their turns are of different
/// length.
const SKEW_MS: u64 = 5_000;
/// How long after a start the same one is tried again: systemd refuses more than five within 10 s.
const START_AGAIN_MS: u64 = 5_000;

/// What this host does with its daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    Free,
    Starts,
    /// The outcome is told: the daemon is the affair of whoever stops or starts it.
    Off,
}

/// This host's part in an outage.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    /// Everybody has voted to begin: this host stopped, or is about to.
    pub stopped: bool,
    /// The text on the own disk, if the daemon runs it; nobody knows while and after it is started, until
    /// the next look.
    runs: InForce,
    /// Everything but /etc/pve was as it should be at the last look.
    fits: bool,
    hand: Hand,
    /// The text of the last start, and when the same may be tried again.
    started: Option<InForce>,
    start_again_at: u64,
    /// The outcome, told once the daemon runs what belongs to it.
    untold: Option<Phase>,
}

impl Outage {
    pub(super) fn new(runs: InForce, stopped: bool) -> Self {
        Self {
            stopped,
            runs,
            fits: false,
            hand: Hand::Free,
            started: None,
            start_again_at: 0,
            untold: None,
        }
    }
}

impl Machine {
    /// Whether the members leave and come again in this stage, so that their absence is no loss.
    pub(super) const fn is_outage(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether the own disk may hold another text than the one before the stage.
    pub(super) fn has_stopped(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.stopped)
    }

    pub(super) fn daemon_runs(&mut self, text: InForce) {
        if let Some(outage) = &mut self.outage {
            outage.runs = text;
        }
    }

    pub(super) fn daemon_started(&mut self, result: &Result<(), String>) {
        let again_at = self.now + START_AGAIN_MS;
        let starts = |outage: &&mut Outage| outage.hand == Hand::Starts;
        let Some(outage) = self.outage.as_mut().filter(starts) else { return };
        (outage.hand, outage.start_again_at) = (Hand::Free, again_at);
        if let Err(why) = result {
            self.unheld = Some(why.clone());
        }
    }

    pub(super) fn found_fit(&mut self, fits: bool) {
        if let Some(outage) = &mut self.outage {
            outage.fits = fits;
        }
    }

    /// Whether all that the text in /etc/pve follows is done: every daemon runs it. Where nobody stops,
    /// /etc/pve comes first.
    pub(super) fn may_write_text(&self) -> bool {
        self.outage.as_ref().is_none_or(|outage| outage.stopped && outage.fits)
    }

    /// Whether what was done on the own disk is undone, so that pmxcfs has nothing to make the daemon read.
    pub(super) fn own_disk_is_back(&self) -> bool {
        let untouched = !self.restored && !self.has_stopped();
        // Over what a person wrote meanwhile nothing is written, and that is to be said.
        let edited = self.setup.in_force == InForce::Other;
        let is_back = |outage: &Outage| untouched || edited || outage.runs == InForce::Back;
        self.outage.as_ref().is_none_or(is_back)
    }

    /// The point of no return: nobody hears anything from now on. All must have agreed before, since
    /// whoever has not would be left behind.
    pub(super) fn stop_if_all_went(&mut self) {
        let due =
            matches!(self.phase, Some(Phase::Going)) && self.tally.all_went() && !self.past(0);
        let Some(outage) = self.outage.as_mut().filter(|outage| due && !outage.stopped) else {
            return;
        };
        if self.setup.in_force == InForce::Parent {
            outage.stopped = true;
            self.out.push(Effect::Persist(self.record()));
            self.say();
        } else {
            self.own_loss = true;
            self.lost = Some("corosync.conf was changed before everybody had agreed".to_owned());
        }
    }

    /// Starts the daemon with the text that it is to run now, and tells an outcome that waited for it.
    pub(super) fn steer(&mut self) {
        let wanted = self.wanted_text();
        let now = self.now;
        let Some(outage) = self.outage.as_mut().filter(|o| o.hand == Hand::Free) else { return };
        let Some(text) = wanted.filter(|text| *text != outage.runs) else {
            if let Some(outcome) = outage.untold.take() {
                outage.hand = Hand::Off;
                self.report(&outcome);
            }
            return;
        };
        if outage.started == Some(text) && now < outage.start_again_at {
            return;
        }
        (outage.hand, outage.started) = (Hand::Starts, Some(text));
        (outage.runs, outage.fits) = (InForce::Other, false);
        if text == InForce::Back && !self.restored {
            self.restored = true;
            self.out.push(Effect::Persist(self.record()));
            self.say();
        }
        self.out.push(Effect::StartWith(text));
    }

    /// The text that the own daemon is to run; `None`: whatever it runs.
    fn wanted_text(&self) -> Option<InForce> {
        let outage = self.outage.as_ref()?;
        let touched = outage.stopped || self.restored;
        match self.phase.as_ref()? {
            Phase::Going | Phase::Holds => outage.stopped.then_some(InForce::New),
            Phase::Sealed if self.alone_too_long() => Some(self.turn(InForce::New, InForce::Back)),
            Phase::Sealed | Phase::Confirmed => Some(InForce::New),
            // Whoever never stopped held nothing, so nobody waits for it under the new text.
            Phase::RollingBack { .. } if self.alone_too_long() && !touched => {
                (outage.runs != InForce::Parent).then_some(InForce::Back)
            }
            Phase::RollingBack { .. } if self.alone_too_long() => {
                Some(self.turn(InForce::Back, InForce::New))
            }
            Phase::RollingBack { .. } if self.tally.undone() => touched.then_some(InForce::Back),
            Phase::RolledBack { .. } => touched.then_some(InForce::Back),
            // It began here alone, and nobody else has left the text before it.
            Phase::Unwritten { .. } => {
                (self.restored && self.setup.in_force == InForce::Parent).then_some(InForce::Parent)
            }
            // What a person put there meanwhile stays.
            Phase::Failed { .. } if outage.runs == InForce::New => Some(InForce::Back),
            Phase::Failed { .. }
            | Phase::RollingBack { .. }
            | Phase::Prepared { .. }
            | Phase::GaveUp { .. } => None,
        }
    }

    /// Alone for long: hosts with different texts do not hear each other, so what the others decided has
    /// to be found out under both. Mostly the text that this host voted for.
    fn turn(&self, own: InForce, other: InForce) -> InForce {
        let since = self.deadline.unwrap_or(self.now) + LEADER_SILENT_MS;
        let length = TURN_MS + SKEW_MS * u64::from(self.setup.me.get() % 8);
        let turn = self.now.saturating_sub(since) / length;
        if turn % 3 < 2 { own } else { other }
    }

    /// The daemon is nobody's affair here any more.
    pub(super) fn hands_off(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.hand = Hand::Off;
        }
    }

    /// The outcome is there; it is told when the daemon runs what belongs to it.
    pub(super) fn report_when_running(&mut self, outcome: &Phase) {
        match &mut self.outage {
            Some(outage) => outage.untold = Some(outcome.clone()),
            None => self.report(outcome),
        }
    }
}
