//! Processes: the agent on a host, the operators. Their lives, and their death in the middle of anything.

use pvecm_agent::ports::CorosyncEvent;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::World;

/// What unwinds a program's code when its process is killed inside it.
#[derive(Debug, Clone, Copy)]
pub struct Crash;

/// A running operator.
#[derive(Debug)]
pub struct OperatorProcess {
    /// Which life this is.
    pub life: u64,
    /// What ends with the process.
    pub tasks: Vec<AbortHandle>,
}

/// A running agent.
#[derive(Debug)]
pub struct AgentProcess {
    /// Which life this is.
    pub life: u64,
    /// Connected to corosync.
    connected: bool,
    events: UnboundedSender<CorosyncEvent>,
    /// What ends with the process.
    tasks: Vec<AbortHandle>,
}

impl AgentProcess {
    /// A process that is about to begin.
    #[must_use]
    pub fn new(life: u64, events: UnboundedSender<CorosyncEvent>) -> Self {
        Self { life, connected: false, events, tasks: Vec::new() }
    }

    /// Something that ends with it.
    pub fn owns(&mut self, task: AbortHandle) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(task);
    }

    pub(super) fn tell(&self, event: CorosyncEvent) {
        if self.connected {
            // Nobody listens any more only while the process ends.
            let _ = self.events.send(event);
        }
    }
}

impl World {
    /// Whether this life of the agent, or of the gate, still goes on.
    #[must_use]
    pub fn lives(&self, at: usize, life: u64) -> bool {
        let host = &self.hosts[at];
        host.gate == Some(life) || host.agent.as_ref().is_some_and(|agent| agent.life == life)
    }

    /// Ends whichever of them has this life.
    pub fn kill_life(&mut self, at: usize, life: u64) {
        if self.hosts[at].gate == Some(life) {
            self.hosts[at].gate = None;
        } else {
            self.kill_agent(at);
        }
    }

    /// The agent finds corosync, soon after either of them started.
    pub fn connect_agent(&mut self, at: usize) {
        let wait = self.dice.between(1, 250);
        self.later(wait, move |world| {
            if world.hosts[at].daemon.is_none() {
                return;
            }
            if let Some(agent) = &mut world.hosts[at].agent {
                agent.connected = true;
                world.tell(at);
                world.say_agents(at);
            }
        });
    }

    /// Ends the agent's process where it stands.
    pub fn kill_agent(&mut self, at: usize) {
        let Some(agent) = self.hosts[at].agent.take() else { return };
        self.note("agent ends", at, || agent.life.to_string());
        agent.tasks.iter().for_each(AbortHandle::abort);
        self.hosts[at].local_lock = None;
        if self.hosts[at].daemon.is_some() {
            self.say_agents(at);
        }
    }

    /// Whether this life of an operator still goes on.
    #[must_use]
    pub fn operates(&self, index: usize, life: u64) -> bool {
        self.operators[index].as_ref().is_some_and(|operator| operator.life == life)
    }

    /// Ends an operator where it stands.
    pub fn kill_operator(&mut self, index: usize) {
        let Some(operator) = self.operators[index].take() else { return };
        self.note("operator ends", index, || operator.life.to_string());
        operator.tasks.iter().for_each(AbortHandle::abort);
    }
}
