//! Guards on what single hosts do, and on what proves a stage.

use std::collections::BTreeSet;

use super::case::{Case, Step};
use super::refusal::Refusal;
use super::separation::{is_as_said, is_the_last};
use crate::change::{Action, Course, MOST_RESTARTS, Probe, Risk, Tombstone};
use crate::conf::{changed_values, values_at_start};
use crate::desired::HighAvailability;
use crate::ids::{HostName, NodeId};

/// Forming and joining set a host's own configuration database aside: on a member, or on the wrong
/// host, that is the loss of a running cluster.
pub(super) fn are_in_their_place(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for (host, actions) in &step.stage.actions {
            if !actions.iter().all(|action| has_place(case, step, (host, action))) {
                return Err(Refusal::ActionMisplaced { stage: step.number, host: host.clone() });
            }
        }
    }
    Ok(())
}

fn has_place(case: &Case<'_>, step: &Step<'_>, (host, action): (&HostName, &Action)) -> bool {
    let joins = case.joining().values().any(|joiner| *joiner == host);
    match (action, step.stage.course) {
        (Action::FormCluster {}, Course::Local) => forms_the_first(case, step, host),
        (
            Action::SealAuthkey { .. }
            | Action::RefreshStaleConfig {}
            | Action::MakeAuthkey { .. }
            | Action::LayAuthkey {}
            | Action::SetExpectedVotes { .. },
            Course::Local,
        )
        | (Action::ExchangeAuthkey { .. } | Action::Bury(_), Course::Write)
        | (Action::WriteDatacenterConfig(_), Course::Datacenter) => is_member(case, host),
        (Action::ReceiveAuthkey { .. }, Course::Local) => joins && !is_member(case, host),
        (
            Action::RequestCertificate { .. }
            | Action::TakeCertificate {}
            | Action::ImportCertificate { .. }
            | Action::StartDevice {}
            | Action::StopDevice {}
            | Action::PutDeviceAway {},
            Course::Local,
        ) => runs_then(case, step, host),
        (Action::Reload {}, Course::Local) => {
            is_member(case, host) && disks_are_right(case, step.number)
        }
        (
            Action::Sweep(Tombstone { name, .. }) | Action::CleanReferences { node: name, .. },
            Course::Local,
        ) => {
            let is_own = case.node(name).is_some_and(|node| node.host == *host);
            is_member(case, host) && lists(case, step, host) && !is_own
        }
        (
            Action::StopCorosync {}
            | Action::LeaveCluster {}
            | Action::StopToSeparate { .. }
            | Action::Separate { .. },
            Course::Local,
        ) => leaves_in_order(case, step, (host, action)),
        (Action::Join { .. }, Course::Start) | (Action::RestartCorosync {}, Course::Restart) => {
            step.stage.joining.values().any(|joiner| joiner == host)
        }
        (Action::DisarmHa {} | Action::ArmHa {}, Course::Local) => {
            case.desired.rollout.high_availability == HighAvailability::Disarm
                && is_member(case, host)
        }
        (_elsewhere, _course) => false,
    }
}

/// Only where there is no cluster, and by the host that the text begins with.
fn forms_the_first(case: &Case<'_>, step: &Step<'_>, host: &HostName) -> bool {
    let first = step.config.config.nodes.first().and_then(|node| case.node(&node.name));
    case.parent.is_none() && step.number == 1 && first.is_some_and(|node| node.host == *host)
}

/// One that leaves stops while it is listed, and has nothing of the cluster any more only once nobody expects it;
/// with its guests or without, as its person said.
fn leaves_in_order(case: &Case<'_>, step: &Step<'_>, (host, action): (&HostName, &Action)) -> bool {
    let said = match action {
        Action::StopToSeparate { shared_storages } | Action::Separate { shared_storages } => {
            Some(shared_storages)
        }
        _other => None,
    };
    if said.is_some() && action.leaves_for_good() && is_the_last(case, step, host) {
        return true;
    }
    let goes = if action.stops_for_good() {
        case.leaves(host) && lists(case, step, host)
    } else {
        (case.leaves(host) || case.has_left(host)) && !lists(case, step, host)
    };
    goes && is_as_said(case, host, said)
}

/// Whether the text of a stage has a host's node.
fn lists(case: &Case<'_>, step: &Step<'_>, host: &HostName) -> bool {
    let mut nodes = step.config.config.nodes.iter();
    nodes.any(|node| case.node(&node.name).is_some_and(|node| node.host == *host))
}

/// A reload makes every member read its own disk, the wrong one as well (corosync.md 4). So each wrong
/// disk is put right in a stage before.
fn disks_are_right(case: &Case<'_>, stage: usize) -> bool {
    let Some(parent) = &case.parent else { return false };
    let members = parent.config.nodes.iter().filter_map(|node| case.node(&node.name));
    members.into_iter().filter(|node| !case.is_away(node)).all(|node| {
        let disk = case.view(node).and_then(|view| view.disk_file.as_ref());
        disk.is_some_and(|file| file.digest == parent.conf.digest)
            || case.refreshed(&node.host).is_some_and(|refreshed| refreshed < stage)
    })
}

fn is_member(case: &Case<'_>, host: &HostName) -> bool {
    let listed = case.parent.iter().flat_map(|parent| &parent.config.nodes);
    let members = listed.filter(|node| case.members.contains(&node.id));
    members.filter_map(|node| case.node(&node.name)).any(|node| node.host == *host)
}

/// Whether a host runs when a stage begins: also one that joined in a stage before.
fn runs_then(case: &Case<'_>, step: &Step<'_>, host: &HostName) -> bool {
    let nodes = step.config.config.nodes.iter().filter(|node| step.running.contains(&node.id));
    nodes.filter_map(|node| case.node(&node.name)).any(|node| node.host == *host)
}

/// corosync records a new `config_version` even when it refused other keys of the same text
/// (corosync.md 4). Without a probe per changed value, a stage would be confirmed that is not in
/// force, and the next one would build on it.
pub(super) fn changes_are_proven(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let unproven = |what: String| Err(Refusal::Unproven { stage: step.number, what });
        if let Some(key) = unproven_value(step) {
            return unproven(key);
        }
        if let Some(key) = unproven_start(step) {
            return unproven(key);
        }
        if let Some(link) = unproven_link(step) {
            return unproven(link);
        }
        let joining = step.stage.joining.keys().copied();
        let members: BTreeSet<NodeId> = step.running.iter().copied().chain(joining).collect();
        let membership = Probe::Membership { nodes: members.into_iter().collect() };
        if step.stage.course != Course::Local && !step.stage.probes.contains(&membership) {
            return unproven("membership".to_owned());
        }
    }
    Ok(())
}

fn unproven_value(step: &Step<'_>) -> Option<String> {
    let before = step.before.as_ref().filter(|_| step.writes())?;
    let changed = changed_values(&before.config, &step.config.config);
    let set = changed.set.into_iter().map(|(key, value)| (key, Some(value)));
    let all = set.chain(changed.gone.into_iter().map(|key| (key, None)));
    let mut probes = all.map(|(key, value)| Probe::RunningValue { key, value });
    match probes.find(|probe| !step.stage.probes.contains(probe))? {
        Probe::RunningValue { key, .. } => Some(key),
        Probe::LinkConnected { .. }
        | Probe::StartedWith { .. }
        | Probe::AuthkeyTaken {}
        | Probe::Membership { .. } => None,
    }
}

/// What a restart is for has to be seen on the host that restarts: cmap showed it before as well.
fn unproven_start(step: &Step<'_>) -> Option<String> {
    let values = values_at_start(&step.config.config).into_iter();
    let starts = matches!(step.stage.course, Course::Restart | Course::Outage);
    let mut values = values.filter(|_| starts);
    let probed = |key: &String, value: &String| {
        let probe = Probe::StartedWith { key: key.clone(), value: value.clone() };
        step.stage.probes.contains(&probe)
    };
    values.find(|(key, value)| !probed(key, value)).map(|(key, _)| key)
}

/// A link that is new, and every link of a node that is new, has to be seen connected.
fn unproven_link(step: &Step<'_>) -> Option<String> {
    let after = step.config.config.links();
    let before = step.before.as_ref()?.config.links();
    let new = match step.stage.course {
        Course::Local | Course::Restart | Course::Datacenter => return None,
        Course::Write | Course::Outage => after.difference(&before).copied().collect(),
        Course::Start => after,
    };
    let probed = |link: &_| step.stage.probes.contains(&Probe::LinkConnected { link: *link });
    new.iter().find(|link| !probed(link)).map(|link| format!("link {link}"))
}

/// A reload drops some keys without a word (corosync.md 5.3). With a host that is not restarted after
/// such a write, the next boot of that one, months later, would change its traffic by itself. A host that
/// is alone is left to its next start; more than a plan has room for are the next plan's.
pub(super) fn restarts_follow(case: &Case<'_>) -> Result<(), Refusal> {
    let restarted = |from: usize| -> BTreeSet<NodeId> {
        let later = case.steps[from..].iter().filter(|s| s.stage.course == Course::Restart);
        later.flat_map(|step| step.stage.joining.keys().copied()).collect()
    };
    for (at, step) in case.steps.iter().enumerate() {
        let reloads = step.stage.course == Course::Write;
        let Some(before) = step.before.as_ref().filter(|_| reloads) else { continue };
        let old = values_at_start(&before.config);
        let mut moved = values_at_start(&step.config.config);
        moved.retain(|key, value| old.get(key) != Some(value));
        let (later, alone) = (restarted(at), step.running.len() == 1);
        if moved.is_empty() || alone || later.len() >= MOST_RESTARTS {
            continue;
        }
        let runs = |id: &NodeId| {
            let node = step.config.config.node(*id).and_then(|node| case.node(&node.name));
            let started = node.and_then(|node| case.view(node)).map(|view| &view.started_with);
            started
                .is_some_and(|known| moved.iter().all(|(key, value)| known.get(key) == Some(value)))
        };
        if let Some(node) = step.running.iter().find(|id| !later.contains(id) && !runs(id)) {
            return Err(Refusal::RestartMissing { stage: step.number, node: *node });
        }
    }
    Ok(())
}

/// Who reads "Live" lets a change begin by itself. A restart that is called so would come over
/// people who were to be asked, and so would a new cipher or authkey, which a daemon that is late does
/// not follow.
pub(super) fn risks_are_told(case: &Case<'_>) -> Result<(), Refusal> {
    let ends = |step: &Step<'_>| {
        let stops = |host: &HostName, action: &Action| {
            action.stops_for_good() || action.leaves_for_good() && is_the_last(case, step, host)
        };
        let mut acting = step.stage.actions.iter();
        let stops = acting.any(|(host, actions)| actions.iter().any(|action| stops(host, action)));
        case.desired.dissolves && (stops || !step.dropped().is_empty())
    };
    let recovers = |step: &Step<'_>| {
        step.lowers().next().is_some() || case.recovers() && !step.dropped().is_empty()
    };
    let least = |step: &Step<'_>| match (step.stage.course, &step.before) {
        _ if ends(step) => Risk::Dissolution,
        _ if recovers(step) => Risk::Recovery,
        (Course::Restart, _) => Risk::NodeRestart,
        (Course::Outage, _) => Risk::Outage,
        (Course::Local, _) if !step.stops.is_empty() => Risk::NodeRestart,
        (Course::Write, Some(before)) => {
            let exchanges = step.stage.exchanges_authkey();
            Risk::of_reload(&before.config, &step.config.config, exchanges)
        }
        (Course::Local | Course::Write | Course::Start | Course::Datacenter, _) => Risk::Live,
    };
    let hidden = |step: &&Step<'_>| step.stage.risk < least(step);
    match case.steps.iter().find(hidden) {
        Some(step) => Err(Refusal::RiskHidden { stage: step.number }),
        None => Ok(()),
    }
}
