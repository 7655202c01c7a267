//! What goes wrong, and when.

use super::storage::{File, Text};
use super::world::{Agent, Job, Work, World};
use pvecm_core::change::Course;
use pvecm_core::protocol::{Event, Machine, View};

impl World {
    /// One step at a random place; now and then a fault.
    pub(super) fn random_step(&mut self) {
        let at = self.dice.index(self.hosts.len());
        if self.dice.chance(self.traits.fault) {
            return self.fault(at);
        }
        match self.dice.below(100) {
            0..45 => {
                self.deliver(at);
            }
            45..55 => self.tell_view(at),
            55..62 => {
                self.tell_in_force(at);
                self.tell_runs(at);
            }
            62..72 => {
                self.run_job();
            }
            72..79 => self.probe(at),
            79..84 => self.event(at, Event::Tick),
            84..88 => self.reform(),
            88..97 => self.now += self.dice.below(if self.traits.hurried { 300 } else { 60 }),
            97 => self.pass_on(),
            _long if self.traits.hurried => self.now += self.dice.below(6_000),
            _short => self.now += self.dice.below(30),
        }
    }

    fn fault(&mut self, at: usize) {
        match self.dice.below(10) {
            0 => self.hosts[at].side = 1 + self.dice.below(2),
            1 => self.hosts[at].side = 0,
            2 => self.hosts.iter_mut().for_each(|host| host.side = 0),
            3 => self.kill_agent(at),
            4 | 5 => self.start_agent(at),
            6 => self.crash_host(at),
            7 => self.boot(at),
            8 => self.hosts[at].read_only = !self.hosts[at].read_only,
            _edit => self.edit(at),
        }
    }

    /// A person changes the file, under the lock that we use too.
    fn edit(&mut self, at: usize) {
        let renaming = self.jobs.iter().any(|job| matches!(job.work, Work::Rename { .. }));
        if self.traits.person && !renaming && self.can_write(at) && !self.keeps_lock(None) {
            self.edited = true;
            self.land(at, File { version: self.file.version + 1, text: Text::Edited });
        }
    }

    pub(super) fn kill_agent(&mut self, at: usize) {
        if self.hosts[at].agent.take().is_some() {
            self.note(|| format!("{} agent killed", at + 1));
            self.hosts[at].inbox.clear();
            self.jobs.retain(|job| job.host != at || matches!(job.work, Work::Rename { .. }));
            self.say_agents(self.hosts[at].ring);
        }
    }

    pub(super) fn start_agent(&mut self, at: usize) {
        // A process that is killed in a rename ends with the rename, and another one starts after it. That
        // a stage without keys does not even need.
        let renames = |job: &Job| job.host == at && matches!(job.work, Work::Rename { .. });
        let ends = self.traits.exchanges && self.jobs.iter().any(renames);
        if !self.hosts[at].up || self.hosts[at].agent.is_some() || ends {
            return;
        }
        self.note(|| format!("{} agent starts", at + 1));
        self.lives += 1;
        let told_in_force = self.hosts[at].sees.text.in_force();
        let (machine, effects) = Machine::new(self.setup(at), self.now);
        let view = View::default();
        let told_runs = self.runs(at);
        let life = self.lives;
        let agent = Agent { machine, life, view, told_in_force, told_runs, probing: false };
        self.hosts[at].agent = Some(agent);
        self.hosts[at].delivered = self.sequence;
        if self.hosts[at].member {
            self.say_agents(self.hosts[at].ring);
        }
        self.carry_out(at, effects);
    }

    fn crash_host(&mut self, at: usize) {
        if self.hosts[at].up {
            self.kill_agent(at);
            self.note(|| format!("{} crashes", at + 1));
            self.jobs.retain(|job| job.host != at);
            let host = &mut self.hosts[at];
            host.up = false;
            // The deadline stood on a clock of this boot; the ledger then says that it is over.
            host.deadline = host.deadline.map(|_| 0);
        }
    }

    fn boot(&mut self, at: usize) {
        if !self.hosts[at].up {
            self.note(|| format!("{} boots", at + 1));
            self.hosts[at].up = true;
            self.hosts[at].daemon_key = self.hosts[at].key;
            self.boot_corosync(at);
            self.rings += 1;
            self.hosts[at].ring = self.rings;
            self.start_agent(at);
        }
    }

    /// systemd starts corosync with what lies on the disk.
    fn boot_corosync(&mut self, at: usize) {
        if self.traits.course == Course::Outage {
            let text = self.hosts[at].disk.text;
            self.hosts[at].started = text;
            self.hosts[at].member = text != Text::New || self.traits.breaks != Some(at);
        }
    }

    /// Whether this is a joiner that is cut off when it holds.
    pub(super) const fn is_lost(&self, at: usize) -> bool {
        self.traits.loses_joiner && at >= self.traits.voters
    }

    /// The end of all faults.
    pub(super) fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        self.calm = true;
        for at in 0..self.hosts.len() {
            if !self.is_lost(at) {
                self.hosts[at].side = 0;
            }
            self.hosts[at].read_only = false;
            self.boot(at);
            self.start_agent(at);
        }
    }
}
