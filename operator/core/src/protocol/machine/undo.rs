//! The way back: the vote to undo, the back text, the own disk, and the host that was to join.

use super::super::message::Phase;
use super::super::tally::is_against;
use super::super::{Effect, InForce};
use super::{ALONE_MS, LEADER_SILENT_MS, Machine};
use crate::change::Course;

impl Machine {
    pub(super) fn follow_undo(&mut self) {
        let why = self.tally.reason(is_against).unwrap_or_default().to_owned();
        self.vote_undo(why);
    }

    /// The writer's vote says that it has no write in flight, so it waits for that.
    pub(super) fn vote_undo(&mut self, sentence: String) {
        if !self.writing {
            // A host that never went has no deadline yet, and may be cut off by the new text all the
            // same: its way back to its own disk begins now.
            self.deadline.get_or_insert(self.now);
            self.enter(Phase::RollingBack { sentence });
        }
    }

    pub(super) fn step_undoing(&mut self) {
        let restores = !self.restored && self.lies_on_disks() && !self.is_outage();
        if self.alone_too_long() && restores {
            self.restored = true;
            self.out.push(Effect::Persist(self.record()));
            self.say();
            self.out.push(Effect::RestoreOwnDisk);
        }
        self.try_keys();
        if !self.tally.undone() {
            return;
        }
        let over_parent = self.over_parent();
        if !self.old_key_lies(over_parent) {
            return;
        }
        if self.settled(over_parent) {
            let why = self.phase.as_ref().map(|p| p.sentence().to_owned()).unwrap_or_default();
            self.finish(&Phase::RolledBack { sentence: why });
        } else if self.leads()
            && self.own_disk_is_back()
            && self.may_write_back()
            && self.has_lock()
        {
            self.writing_back = true;
            self.out.push(Effect::WriteBack { over_parent });
        }
    }

    /// Whether pmxcfs brings what undoes the stage to the own disk too, so that a host which is alone can put it
    /// there by itself. datacenter.cfg is in /etc/pve alone, and nobody is cut off by it.
    fn lies_on_disks(&self) -> bool {
        self.setup.has_back && self.setup.course != Course::Datacenter
    }

    fn may_write_back(&self) -> bool {
        !self.writing_back && self.now >= self.write_back_again_at
    }

    pub(super) fn settled(&self, over_parent: bool) -> bool {
        let others = self.tally.any(|p| matches!(p, Phase::RolledBack { .. }));
        match self.setup.in_force {
            InForce::Back => true,
            // A host that stopped has to go on with a text above both, so somebody writes it.
            InForce::Parent => !over_parent || (others && !self.is_outage()),
            InForce::New | InForce::Other => !self.setup.has_back,
        }
    }

    pub(super) fn over_parent(&self) -> bool {
        self.writes_text() && (self.tally.over_parent(self.writer) || self.must_write_over_parent())
    }

    /// A writer that ever tried cannot be sure of "parent": an error says nothing of the rename, a
    /// rename of an earlier life may be in the kernel, and another host may not have looked yet.
    pub(super) fn must_write_over_parent(&self) -> bool {
        let writes = self.writer == Some(self.setup.me);
        self.restored || self.has_stopped() || (writes && (self.wrote || self.went_before))
    }

    /// The lowest id among the voters with a running agent and a writable /etc/pve.
    pub(super) fn leads(&self) -> bool {
        let me = self.setup.me;
        let lower = self.setup.group.range(..me);
        let mut present = lower.filter(|id| {
            self.view.agents.contains(id)
                && self.view.members.contains(id)
                && self.tally.can_lead(**id)
        });
        self.view.quorate && self.view.writable && present.next().is_none()
    }

    pub(super) fn past(&self, grace: u64) -> bool {
        self.deadline.is_some_and(|deadline| self.now >= deadline + grace)
    }

    pub(super) fn alone_too_long(&self) -> bool {
        // With everybody stopped there is no leader to be waited for.
        let grace = if self.is_outage() { LEADER_SILENT_MS } else { ALONE_MS };
        !self.view.quorate && self.past(grace)
    }

    pub(super) fn step_joining(&mut self) {
        let no = self.tally.undone() || self.tally.never_begins();
        let member = self.view.quorate && self.view.members.contains(&self.setup.me);
        let undoing = self.phase.as_ref().is_some_and(is_against);
        if matches!(self.phase, Some(Phase::Prepared { .. })) {
            return self.step_restarting();
        }
        if self.tally.stays() && !undoing {
            self.finish(&Phase::Confirmed);
        } else if undoing || self.phase.is_none() {
        } else if no {
            self.follow_undo();
            self.undo();
        } else if matches!(self.phase, Some(Phase::Going)) && self.past(0) && !member {
            let sentence = "not a quorate member in time".to_owned();
            self.enter(Phase::RollingBack { sentence });
            self.undo();
        } else if let Some(sentence) = self.told_alone() {
            self.enter(Phase::RollingBack { sentence });
            self.undo();
        }
    }

    /// Why the members undid the stage, where they cannot say so: they took this host off their list. A member that
    /// restarts stays on it, and hears them.
    fn told_alone(&self) -> Option<String> {
        let is_cut_off = self.setup.course == Course::Start && self.alone_too_long();
        self.told.clone().filter(|_| is_cut_off)
    }

    /// A member that is to restart and has not: it goes only when the group is sure to be prepared,
    /// because nobody can tell it anything while it is away.
    fn step_restarting(&mut self) {
        let no = |p: &Phase| matches!(p, Phase::GaveUp { .. } | Phase::Unwritten { .. });
        if self.tally.never_begins() {
            let sentence = self.tally.reason(no).unwrap_or_default().to_owned();
            self.finish(&Phase::Unwritten { sentence });
        } else if self.tally.undone() {
            let sentence = self.tally.reason(is_against).unwrap_or_default().to_owned();
            self.finish(&Phase::RolledBack { sentence });
        } else if self.tally.begins() && self.view.quorate && !self.tally.any(is_against) {
            self.go();
        }
    }

    pub(super) fn undo(&mut self) {
        if !self.undoing {
            self.undoing = true;
            self.out.push(Effect::Undo);
        }
    }
}
