//! The steps that are open now: begin, write, hold, seal. Every one follows from what was heard.

use super::super::message::Phase;
use super::super::tally::{has_gone, is_against};
use super::super::{Effect, InForce};
use super::{LEADER_SILENT_MS, Machine, PREPARE_MS};
use crate::change::Course;

impl Machine {
    /// Takes every step that is open now. Each step moves the phase forward, so this ends.
    pub(super) fn settle_all(&mut self) {
        loop {
            let before = self.phase.clone();
            if self.unfinished() {
                if self.votes() { self.step() } else { self.step_joining() }
            }
            if self.phase == before {
                break;
            }
        }
        self.steer();
    }

    pub(super) fn unfinished(&self) -> bool {
        !self.phase.as_ref().is_some_and(Phase::is_outcome)
    }

    fn step(&mut self) {
        if self.adopt() {
            return;
        }
        match self.phase {
            Some(Phase::Prepared { .. }) => self.step_prepared(),
            Some(Phase::GaveUp { .. }) if self.tally.begins() || self.was_written() => self.go(),
            Some(Phase::Going | Phase::Holds) => self.step_acting(),
            Some(Phase::RollingBack { .. }) => self.step_undoing(),
            Some(Phase::Sealed) => self.try_keys(),
            Some(_) | None => {}
        }
    }

    /// Follows what the votes have decided, whatever this host voted.
    fn adopt(&mut self) -> bool {
        if self.tally.never_begins() {
            let no = |p: &Phase| matches!(p, Phase::GaveUp { .. } | Phase::Unwritten { .. });
            let reason = self.tally.reason(no).or(self.tally.stays_up());
            let sentence = reason.unwrap_or_default().to_owned();
            self.finish(&Phase::Unwritten { sentence });
        } else if self.tally.stays() {
            self.finish(&Phase::Confirmed);
        } else if self.tally.any(|p| matches!(p, Phase::Failed { .. })) && !self.writing {
            let failed = |p: &Phase| matches!(p, Phase::Failed { .. });
            let sentence = self.tally.reason(failed).unwrap_or_default().to_owned();
            self.finish(&Phase::Failed { sentence });
        } else if self.tally.undone() && !self.phase.as_ref().is_some_and(is_against) {
            self.follow_undo();
        } else {
            return false;
        }
        true
    }

    fn step_prepared(&mut self) {
        if self.was_written() || self.tally.any(has_gone) {
            self.go();
        } else if self.tally.any(|p| matches!(p, Phase::GaveUp { .. })) {
            let gave_up = |p: &Phase| matches!(p, Phase::GaveUp { .. });
            let sentence = self.tally.reason(gave_up).unwrap_or_default().to_owned();
            self.enter(Phase::GaveUp { sentence });
        } else if self.now >= self.prepared_at + PREPARE_MS {
            let sentence = match self.tally.unprepared() {
                Some(id) => format!("{} was not prepared in time", self.setup.name(id)),
                None => "nobody could write when all were prepared".to_owned(),
            };
            self.enter(Phase::GaveUp { sentence });
        } else if self.tally.unprepared().is_none() {
            self.begin();
        }
    }

    /// All are prepared.
    fn begin(&mut self) {
        if let Some(sentence) = self.keys_differ() {
            self.enter(Phase::GaveUp { sentence });
        } else if self.may_begin() && self.has_lock() {
            self.go();
        }
    }

    /// Somebody wrote, so the vote to begin was won, even where this host slept through it.
    fn was_written(&self) -> bool {
        let writes = matches!(self.setup.course, Course::Write | Course::Datacenter);
        writes && self.setup.in_force == InForce::New
    }

    /// Whether a text goes into /etc/pve in this stage.
    pub(super) fn writes_text(&self) -> bool {
        matches!(self.setup.course, Course::Write | Course::Outage | Course::Datacenter)
    }

    fn may_begin(&self) -> bool {
        self.writer == Some(self.setup.me) && self.view.quorate && self.view.writable
    }

    fn step_acting(&mut self) {
        self.notice_late_keys();
        self.stop_if_all_went();
        if self.tally.any(is_against) {
            self.follow_undo();
        } else if let Some(why) = self.reason_to_undo() {
            self.vote_undo(why);
        } else if matches!(self.phase, Some(Phase::Holds))
            && self.view.quorate
            && self.tally.all_held()
        {
            self.enter(Phase::Sealed);
        } else if self.new_key_lies() {
            self.write_if_due();
        }
    }

    /// Only the leader starts the undoing for what all can see, so that the votes do not split.
    fn reason_to_undo(&self) -> Option<String> {
        if !self.view.quorate {
            return self.alone_too_long().then(|| self.loss_or_deadline());
        }
        let leads = self.leads();
        let lost = self.lost.is_some() && (leads || self.own_loss);
        let late = self.past(if leads { 0 } else { LEADER_SILENT_MS });
        (lost || late).then(|| self.loss_or_deadline())
    }

    fn loss_or_deadline(&self) -> String {
        let late = || match &self.unheld {
            Some(why) => format!("{}: not in time: {why}", self.setup.name(self.setup.me)),
            None => "not everything held in time".to_owned(),
        };
        self.lost.clone().unwrap_or_else(late)
    }

    fn write_if_due(&mut self) {
        let due = self.writes_text()
            && self.may_write_text()
            && !self.wrote
            && self.setup.in_force == InForce::Parent
            && self.tally.begins()
            && self.may_begin();
        if due {
            self.wrote = true;
            self.writing = true;
            self.out.push(Effect::Write);
        }
    }
}
