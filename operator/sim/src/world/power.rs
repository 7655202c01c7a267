//! Machines that lose their power and get it back, and whether a person wants it so.

use super::World;

impl World {
    /// Everything that runs on a machine ends; it starts again some seconds later.
    pub fn power_cut(&mut self, at: usize) {
        if self.goes_off("power cut", at) {
            let wait = self.dice.between(5_000, 40_000);
            self.later(wait, move |world| {
                if !world.hosts[at].off {
                    world.boot(at);
                }
            });
        }
    }

    /// A person takes a machine off its power for as long as it is wanted.
    pub fn power_off(&mut self, at: usize) {
        self.hosts[at].off = true;
        self.goes_off("powered off", at);
    }

    /// And gives it back.
    pub fn power_on(&mut self, at: usize) {
        self.hosts[at].off = false;
        self.boot(at);
    }

    fn goes_off(&mut self, what: &'static str, at: usize) -> bool {
        if !self.hosts[at].up {
            return false;
        }
        self.outside(what, at);
        self.kill_agent(at);
        self.hosts[at].up = false;
        self.hosts[at].gate = None;
        self.end_corosync(at);
        self.end_pmxcfs(at);
        true
    }

    /// pmxcfs, then the gate, and then corosync and the agent.
    fn boot(&mut self, at: usize) {
        if self.hosts[at].up {
            return;
        }
        let life = self.next_number();
        let host = &mut self.hosts[at];
        host.up = true;
        host.boot += 1;
        host.read_only = false;
        host.slow = false;
        host.lags = false;
        host.gate = Some(life);
        if !host.is_held() {
            host.told.clear();
        }
        self.outside("boots", at);
        self.start_pmxcfs(at);
        self.gates.0.push((at, life));
        self.gates.1.notify_one();
    }
}
