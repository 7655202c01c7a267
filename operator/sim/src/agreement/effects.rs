//! What an agent does when its machine says so.

use super::storage::{File, Text};
use super::world::{Item, Job, Work, World};
use pvecm_core::change::Course;
use pvecm_core::protocol::{Effect, Event, InForce, Key, Outcome, Phase};

impl World {
    pub(super) fn job(&mut self, host: usize, delay: u64, work: Work) {
        let life = self.hosts[host].agent.as_ref().map_or(0, |agent| agent.life);
        self.jobs.push(Job { host, life, at: self.now + delay, work });
    }

    pub(super) fn effect(&mut self, at: usize, effect: Effect) {
        self.note(|| format!("{} -> {effect:?}", at + 1));
        let delay = self.dice.below(200);
        match effect {
            Effect::RunChecks => self.job(at, delay, Work::Checks),
            Effect::Persist(record) => {
                self.checks.persisted(at, self.hosts[at].ledger.as_ref(), &record);
                let host = &mut self.hosts[at];
                host.deadline = record.remaining_ms.map(|left| self.now + left);
                let holds = matches!(record.phase, Phase::Holds);
                host.ledger = Some(record);
                if holds && self.is_lost(at) {
                    self.hosts[at].side = 1;
                    self.reform();
                }
            }
            Effect::Send(message) => {
                self.checks.sent(at, self.hosts[at].ledger.as_ref(), &message);
                let host = &self.hosts[at];
                if host.up && host.member {
                    self.broadcast(host.ring, &Item::Said(message));
                }
            }
            Effect::Write => {
                self.checks.writes(at);
                self.job(at, delay, Work::Write);
            }
            Effect::StartProbing => {
                if let Some(agent) = &mut self.hosts[at].agent {
                    agent.probing = true;
                }
            }
            Effect::Act => self.job(at, delay, Work::Act),
            Effect::WriteBack { over_parent } => {
                self.checks.writes_back();
                self.job(at, delay, Work::WriteBack { over_parent });
            }
            // Who hears the others again by now restores nothing.
            Effect::RestoreOwnDisk if self.traits.exchanges && self.quorate(at) => {}
            Effect::RestoreOwnDisk => {
                self.hosts[at].disk = File::BACK;
                self.reload(at);
            }
            Effect::TakeClusterFile => {
                self.hosts[at].disk = self.hosts[at].sees;
                self.reload(at);
            }
            Effect::StartWith(text) => self.stop(at, text),
            Effect::Undo => self.job(at, delay, Work::Undo),
            Effect::Lock => self.job(at, delay, Work::Lock),
            Effect::Unlock => self.unlock(at),
            Effect::Lay(key) => self.job(at, delay, Work::Lay { key, reload: false }),
            Effect::TryKey(key) => self.job(at, delay, Work::Lay { key, reload: true }),
            Effect::KeepKey(key) => {
                // What is still being laid finds no copy any more.
                self.jobs.retain(|job| job.host != at || !matches!(job.work, Work::Lay { .. }));
                self.hosts[at].key = key;
                self.job(at, delay, Work::Answer(Event::Laid(Ok(key))));
            }
            Effect::Done(outcome) => self.done(at, outcome),
        }
    }

    /// corosync stops; the disk is written and corosync starts in a while.
    fn stop(&mut self, at: usize, text: InForce) {
        if text == InForce::New {
            self.checks.stops(self.hosts.iter().map(|host| host.ledger.as_ref()));
        }
        let file = match text {
            InForce::New => File::NEW,
            InForce::Back => File::BACK,
            InForce::Parent => File::PARENT,
            InForce::Other => return self.checks.fail("no such text".to_owned()),
        };
        if self.hosts[at].disk.text == Text::Edited {
            let refused = Event::Started(Err("somebody else's file".to_owned()));
            return self.job(at, 10, Work::Answer(refused));
        }
        let ring = self.hosts[at].ring;
        self.hosts[at].member = false;
        self.hosts[at].inbox.clear();
        self.leave(at, ring);
        let delay = 500 + self.dice.below(2_000);
        self.job(at, delay, Work::Start(file));
    }

    pub(super) fn start(&mut self, at: usize, file: File) {
        self.hosts[at].disk = file;
        let broken = file.text == Text::New && self.traits.breaks == Some(at);
        let flaky = !self.calm && self.dice.chance(50);
        let result = if broken || flaky { Err("it does not start".to_owned()) } else { Ok(()) };
        if result.is_ok() {
            self.hosts[at].started = file.text;
            self.hosts[at].member = true;
            self.reform();
        }
        self.event(at, Event::Started(result));
        // What runs is looked for anew, also where it is what it was.
        let runs = self.runs(at);
        if let Some(agent) = &mut self.hosts[at].agent {
            agent.told_runs = runs;
        }
        self.event(at, Event::Runs(runs));
    }

    fn done(&mut self, at: usize, outcome: Outcome) {
        if let Some(agent) = &mut self.hosts[at].agent {
            agent.probing = false;
        }
        self.checks.done(at, outcome);
    }

    /// Out of its ring and, unless it is broken, a member again as soon as the others hear it.
    pub(super) fn restart(&mut self, at: usize) {
        let ring = self.hosts[at].ring;
        self.hosts[at].restarted = true;
        self.hosts[at].member = !self.traits.joiner_broken;
        self.hosts[at].inbox.clear();
        self.leave(at, ring);
        self.reform();
    }

    pub(super) fn undo(&mut self, at: usize) {
        if self.traits.course == Course::Restart {
            self.traits.joiner_broken = false;
            self.hosts[at].disk = File::BACK;
            self.restart(at);
            return self.event(at, Event::Undone(Ok(())));
        }
        let ring = self.hosts[at].ring;
        self.hosts[at].member = false;
        self.hosts[at].inbox.clear();
        self.leave(at, ring);
        self.event(at, Event::Undone(Ok(())));
    }

    /// A host that is gone from its ring: the others see that, in the order of the messages.
    pub(super) fn leave(&mut self, at: usize, ring: u64) {
        self.rings += 1;
        self.hosts[at].ring = self.rings;
        self.say_agents(ring);
    }

    /// One round of probes, when they run.
    pub(super) fn probe(&mut self, at: usize) {
        if !self.hosts[at].agent.as_ref().is_some_and(|agent| agent.probing) {
            return;
        }
        let text = self.hosts[at].disk == File::NEW;
        let text = text && (!self.traits.exchanges || self.hosts[at].key == Key::New);
        let ring = self.hosts[at].ring;
        let all = self.hosts.iter().all(|host| host.up && host.member && host.ring == ring);
        let start = matches!(self.traits.course, Course::Start | Course::Restart);
        // A text that cuts its hosts off is never seen to hold: the probes ask for every link.
        let lies = self.traits.cuts_off || self.traits.never_holds;
        let joiner = at >= self.traits.voters;
        let late = joiner && self.traits.course == Course::Restart && !self.hosts[at].restarted;
        let holds = (text || start) && all && !lies && !late;
        let flaky = !self.calm && self.dice.chance(200);
        let result = if holds && !flaky { Ok(()) } else { Err("not connected".to_owned()) };
        self.event(at, Event::Probes(result));
    }
}
