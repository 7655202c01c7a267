//! What all of corosync has to stop for: the transport, and the order of address families in which host names
//! are resolved.
//!
//! One after the other does not do: a host with another transport is alone, and so is one that resolves its
//! peers to other addresses than they use, until all do. So everybody stops, and each starts with the new text
//! on its own disk. /etc/pve gets it at the end: pmxcfs would have the daemons read it while they cannot
//! follow, and drop their encryption where the new transport has none (corosync.md 5.6).

use super::device;
use super::draft::Draft;
use super::ground::InForce;
use super::report::Obstacle;
use super::{links, transport, votes};
use crate::change::{Plan, Proposed};
use crate::conf::{Config, IP_VERSION, IpVersion, TRANSPORT, TotemOptions, Transport, edit};
use crate::desired::DesiredCluster;
use crate::observed::ObservedCluster;

/// What is to be so, whether or not the file says it already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    transport: Option<Transport>,
    ip_version: Option<IpVersion>,
    /// What the file does not say yet.
    to_write: TotemOptions,
}

impl Goal {
    /// The keys that the file is to have and does not.
    pub const fn to_write(self) -> TotemOptions {
        self.to_write
    }

    /// The transport that all start with, where that is one of the reasons.
    pub const fn transport(&self) -> Option<Transport> {
        self.transport
    }

    /// What it does, in words.
    pub fn summary(&self) -> String {
        format!("stop corosync everywhere and start it with {}", self.words())
    }

    fn words(&self) -> String {
        let Self { transport, ip_version, to_write } = *self;
        let words = TotemOptions { ip_version, transport, ..to_write }.to_string();
        match transport {
            Some(to) if !to.is_knet() => format!("{words}, one link and no encryption"),
            Some(_) | None => words,
        }
    }
}

/// What the spec wants of these keys that is not so; `None`: nothing. Encryption comes with the transport that
/// has it.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Option<Goal> {
    // What a daemon was started with is known from its agent's first look on: before, the file's.
    let runs_other = |key: &str, wanted: String| {
        let mut started = ground.up().filter_map(|(_, m)| m.view.started_with.get(key));
        started.any(|started| *started != wanted)
    };
    let (config, wanted) = (&ground.config, &desired.totem);
    let transport = wanted.transport.filter(|wanted| {
        config.transport() != *wanted || runs_other(TRANSPORT, wanted.to_string())
    });
    let ip_version = wanted.ip_version.filter(|wanted| {
        config.ip_version() != *wanted || runs_other(IP_VERSION, wanted.to_string())
    });
    if transport.is_none() && ip_version.is_none() {
        return None;
    }
    let mut goal = TotemOptions { ip_version, transport, ..TotemOptions::default() };
    if moves_to(config, transport).is_some_and(Transport::is_knet) {
        (goal.cipher, goal.hash) = (wanted.cipher, wanted.hash);
    }
    Some(Goal { transport, ip_version, to_write: goal.beyond(config.totem) })
}

/// The transport that the file does not have yet.
fn moves_to(config: &Config, transport: Option<Transport>) -> Option<Transport> {
    transport.filter(|to| *to != config.transport())
}

/// Plans the way there.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, Goal),
) -> Result<Plan<Proposed>, Obstacle> {
    // A device's daemon ends with corosync, and nobody starts it again.
    votes::refuse_options(desired, ground)?;
    links::refuse_faults(ground, &ground.config.links())?;
    let moves = moves_to(&ground.config, goal.transport);
    if let Some(to) = moves {
        transport::refuse_unfit(desired, ground, to)?;
    }
    let mut draft = Draft::new(desired, observed, ground)?;
    device::out_of_the_way(&mut draft, observed)?;
    let members = super::hosts(ground.members.values().map(|member| member.node));
    let summary = format!("Stop corosync on {members}, then start it with {}", goal.words());
    draft.outage(summary, |text| {
        let text = moves.map_or_else(|| Ok(text.clone()), |to| edit::set_transport(text, to))?;
        edit::set_totem(&text, &goal.to_write())
    })?;
    device::back(&mut draft, desired, observed)?;
    Ok(draft.finish(format!("On {members}: {}", goal.summary())))
}
