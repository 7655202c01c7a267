//! pmxcfs and the disks: which text is where, under which number.

use super::world::{Host, Lock, Work, World};
use pvecm_core::change::Course;
use pvecm_core::protocol::{Event, InForce, Key};

/// A text of corosync.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Text {
    Parent,
    New,
    Back,
    Edited,
}

/// A text with its `config_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    pub(super) version: u64,
    pub(super) text: Text,
}

impl File {
    pub(super) const PARENT: Self = Self { version: 10, text: Text::Parent };
    pub(super) const NEW: Self = Self { version: 11, text: Text::New };
    pub(super) const BACK: Self = Self { version: 12, text: Text::Back };
}

impl Text {
    pub(super) const fn in_force(self) -> InForce {
        match self {
            Self::Parent => InForce::Parent,
            Self::New => InForce::New,
            Self::Back => InForce::Back,
            Self::Edited => InForce::Other,
        }
    }
}

/// How long a lock of a host that is gone is waited for.
const LOCK_MS: u64 = 15_000;

impl World {
    /// The new text may take away every link of who runs it; the back text takes a joiner off the list.
    pub(super) fn cut_off(&self, at: usize) -> bool {
        let disk = self.hosts[at].disk.text;
        let joiner = at >= self.traits.voters;
        let unlisted = self.traits.course == Course::Start && self.file.text == Text::Back;
        (self.traits.cuts_off && disk == Text::New) || (joiner && unlisted)
    }

    /// The text on the own disk, if the own corosync runs it and was started with what is the same in it.
    pub(super) fn runs(&self, at: usize) -> InForce {
        let host = &self.hosts[at];
        let started = (host.disk.text == Text::New) == (host.started == Text::New);
        if host.up && host.member && started { host.disk.text.in_force() } else { InForce::Other }
    }

    pub(super) fn tell_runs(&mut self, at: usize) {
        let what = self.runs(at);
        let Some(agent) = &mut self.hosts[at].agent else { return };
        if agent.told_runs != what {
            agent.told_runs = what;
            self.event(at, Event::Runs(what));
        }
    }

    pub(super) fn can_write(&self, at: usize) -> bool {
        self.quorate(at) && !self.hosts[at].read_only
    }

    /// pmxcfs brings a host of the quorate part up to date; a disk never goes to a lower number.
    pub(super) fn synchronise(&mut self) {
        for at in 0..self.hosts.len() {
            if self.quorate(at) {
                let file = self.file;
                let host = &mut self.hosts[at];
                host.sees = file;
                if file.version > host.disk.version {
                    host.disk = file;
                }
            }
        }
    }

    /// A rename arrives: everybody in the ring gets it, and loads it unless the own one is newer.
    pub(super) fn land(&mut self, at: usize, file: File) {
        self.note(|| format!("{} wrote {file:?}", at + 1));
        self.checks.landed(file);
        self.file = file;
        let ring = self.hosts[at].ring;
        let reached = |host: &&mut Host| host.ring == ring && host.up && host.member;
        for host in self.hosts.iter_mut().filter(reached) {
            host.sees = file;
            if file.version >= host.disk.version {
                host.disk = file;
            }
        }
        let asked = self.asked(at, file.text == Text::Edited);
        self.reload_for(at, &asked);
    }

    /// The hosts of a ring but those that came only just: after something that took its time, what lies on
    /// their disks could not be known. They are out again then, until their own clocks bring them back.
    /// Nor could that of a host whose agent is dead be put right before somebody else writes.
    fn asked(&self, at: usize, edit: bool) -> Vec<usize> {
        const NEW_MS: u64 = 15_000;
        let from = |at: usize| self.hosts[at].came.filter(|(came, _)| self.now < came + NEW_MS);
        let own = from(at).map(|(_, ring)| ring);
        let is_known = |other: &usize| {
            let asked = !edit || self.hosts[*other].agent.is_some();
            asked && from(*other).is_none_or(|(_, ring)| Some(ring) == own)
        };
        (0..self.hosts.len()).filter(is_known).collect()
    }

    /// Every daemon of the ring reads the key on its own disk. Whoever reads another one than the rest is
    /// out of the ring, so that must not happen where there is quorum.
    pub(super) fn reload(&mut self, at: usize) {
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        self.reload_for(at, &all);
    }

    /// The same, where only these hosts could be asked for their keys.
    fn reload_for(&mut self, at: usize, asked: &[usize]) {
        let ring = self.hosts[at].ring;
        let reads = |host: &&mut Host| host.ring == ring && host.up && host.member;
        for host in self.hosts.iter_mut().filter(reads) {
            host.daemon_key = host.key;
        }
        let readers = asked.iter().map(|asked| &self.hosts[*asked]);
        let readers = readers.filter(|host| host.ring == ring && host.up && host.member);
        let keys: Vec<Key> = readers.map(|host| host.key).collect();
        if self.quorate(at) && keys.iter().any(|key| *key != keys[0]) {
            self.checks.fail(format!("daemons of one ring read different keys: {keys:?}"));
        }
    }

    pub(super) fn tell_in_force(&mut self, at: usize) {
        let what = self.hosts[at].sees.text.in_force();
        let Some(agent) = &mut self.hosts[at].agent else { return };
        if agent.told_in_force != what {
            agent.told_in_force = what;
            self.event(at, Event::InForce(what));
        }
    }

    fn locked(&self) -> bool {
        let young = |at: u64| self.now < at + LOCK_MS;
        self.jobs.iter().any(|job| matches!(job.work, Work::Rename { .. }) && young(job.at))
    }

    /// Somebody else keeps the lock. What an agent took that was killed is in the way for a while; its own
    /// successor knows it again.
    pub(super) fn keeps_lock(&self, asks: Option<usize>) -> bool {
        self.lock.is_some_and(|Lock { host, life, taken_at }| {
            let lives = self.hosts[host].agent.as_ref().is_some_and(|agent| agent.life == life);
            asks != Some(host) && (lives || self.now < taken_at + LOCK_MS)
        })
    }

    fn take_lock(&mut self, at: usize, life: u64) {
        let answer = if self.locked() || self.keeps_lock(Some(at)) {
            Err("held".to_owned())
        } else if self.can_write(at) {
            self.lock = Some(Lock { host: at, life, taken_at: self.now });
            Ok(())
        } else {
            Err("read-only".to_owned())
        };
        self.event(at, Event::Locked(answer));
    }

    pub(super) fn unlock(&mut self, at: usize) {
        let life = self.hosts[at].agent.as_ref().map(|agent| agent.life);
        self.jobs.retain(|job| job.host != at || !matches!(job.work, Work::Lock));
        self.lock.take_if(|lock| lock.host == at && Some(lock.life) == life);
    }

    /// The disk may fail, before or after.
    fn lay(&mut self, at: usize, key: Key, reload: bool) {
        // Who hears the others again by now tries no other key.
        let key = if reload && self.quorate(at) { self.hosts[at].key } else { key };
        let reload = reload && !self.quorate(at);
        let fails = !self.calm && self.dice.chance(30);
        if !fails || self.dice.chance(500) {
            self.hosts[at].key = key;
        }
        if reload {
            self.reload(at);
        }
        let answer = if fails { Err("disk".to_owned()) } else { Ok(key) };
        let delay = self.dice.below(20);
        self.job(at, delay, Work::Answer(Event::Laid(answer)));
    }

    /// Runs one job that is due, if there is one.
    pub(super) fn run_job(&mut self) -> bool {
        let due: Vec<usize> =
            (0..self.jobs.len()).filter(|at| self.jobs[*at].at <= self.now).collect();
        if due.is_empty() {
            return false;
        }
        let chosen = due[self.dice.index(due.len())];
        let job = self.jobs.swap_remove(chosen);
        let alive = self.hosts[job.host].agent.as_ref().is_some_and(|a| a.life == job.life);
        match job.work {
            Work::Rename { file, back } => self.rename(job.host, job.life, (file, back)),
            _other if !alive => {}
            Work::Answer(event) => self.event(job.host, event),
            Work::Checks => self.run_checks(job.host),
            Work::Write | Work::WriteBack { .. }
                if self.locked() || self.keeps_lock(Some(job.host)) =>
            {
                self.job(job.host, 500, job.work);
            }
            Work::Write => self.start_write(job.host),
            Work::WriteBack { over_parent } => self.start_write_back(job.host, over_parent),
            Work::Act if self.traits.course == Course::Restart => self.restart(job.host),
            Work::Act => {
                self.hosts[job.host].member = !self.traits.joiner_broken;
                self.reform();
            }
            Work::Start(file) => self.start(job.host, file),
            Work::Undo => self.undo(job.host),
            Work::Lock => self.take_lock(job.host, job.life),
            Work::Lay { key, reload } => self.lay(job.host, key, reload),
        }
        true
    }

    fn run_checks(&mut self, at: usize) {
        let start = matches!(self.traits.course, Course::Start | Course::Restart);
        let expected = if start { Text::New } else { Text::Parent };
        let result = if self.traits.checks_fail == Some(at) {
            Err("no such address".to_owned())
        } else if self.hosts[at].sees.text != expected {
            Err("another parent".to_owned())
        } else {
            Ok(())
        };
        self.event(at, Event::Checks(result));
    }

    fn start_write(&mut self, at: usize) {
        let sees = self.hosts[at].sees.text;
        if sees == Text::New {
            self.event(at, Event::Written(Ok(())));
        } else if sees != Text::Parent || !self.can_write(at) {
            self.event(at, Event::Written(Err("refused".to_owned())));
        } else {
            let delay = self.write_time();
            self.job(at, delay, Work::Rename { file: File::NEW, back: false });
        }
    }

    fn start_write_back(&mut self, at: usize, over_parent: bool) {
        let sees = self.hosts[at].sees.text;
        let over = sees == Text::New || (over_parent && sees == Text::Parent);
        if !self.can_write(at) {
            self.event(at, Event::WrittenBack(Err("read-only".to_owned())));
        } else if over {
            let delay = self.write_time();
            self.job(at, delay, Work::Rename { file: File::BACK, back: true });
        } else {
            self.event(at, Event::WrittenBack(Ok(sees.in_force())));
        }
    }

    fn write_time(&mut self) -> u64 {
        // With keys none takes as long as a host waits that is alone and then lays the old one.
        let slowest = if self.traits.exchanges { 8_000 } else { 25_000 };
        if self.traits.slow { self.dice.below(slowest) } else { 1_000 + self.dice.below(700) }
    }

    /// The answer is what is read back, whatever the errno was; the reading itself may fail too.
    fn rename(&mut self, at: usize, life: u64, (file, back): (File, bool)) {
        let landed = self.can_write(at) && (self.calm || !self.dice.chance(100));
        if landed {
            self.land(at, file);
        }
        let seen = self.hosts[at].sees.text;
        let unread = !self.calm && self.dice.chance(50);
        let event = if back {
            let right = !unread && landed;
            Event::WrittenBack(if right { Ok(seen.in_force()) } else { Err("io".to_owned()) })
        } else {
            let right = !unread && seen == Text::New;
            Event::Written(if right { Ok(()) } else { Err("io".to_owned()) })
        };
        let delay = self.dice.below(50);
        self.jobs.push(super::world::Job {
            host: at,
            life,
            at: self.now + delay,
            work: Work::Answer(event),
        });
    }
}
