//! Guards on the transport: what runs on udp or udpu, and what everybody stops for.

use super::case::{Case, Step};
use super::refusal::Refusal;
use crate::change::{Action, Course};
use crate::conf::{Config, IP_VERSION, TRANSPORT, changed_values};
use crate::ids::NodeId;

/// On udp and udpu a reload proves nothing: there is no table of links, and what their daemons do with a change
/// of nodes or votes was never measured. With a link more in the file no daemon starts again (corosync.md 11).
/// So an outage is all that happens to a cluster that is not on knet, and HA is disarmed for it.
pub(super) fn old_ones_only_move(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let before = step.before.iter().map(|text| &text.config);
        let mut texts = before.chain([&step.config.config]);
        let old = texts.any(|config| !config.transport().is_knet()) || runs_old(case, step);
        let around = |action: &Action| matches!(action, Action::DisarmHa {} | Action::ArmHa {});
        let fits = match step.stage.course {
            Course::Outage => true,
            Course::Local => step.stage.actions.values().flatten().all(around),
            Course::Write | Course::Start | Course::Restart | Course::Datacenter => false,
        };
        if old && !fits {
            return Err(Refusal::OldTransport { stage: step.number });
        }
    }
    Ok(())
}

/// Whether a member was started on another transport than knet, and has not been stopped since.
fn runs_old(case: &Case<'_>, step: &Step<'_>) -> bool {
    let earlier = &case.steps[..step.number - 1];
    let stopped = earlier.iter().any(|step| step.stage.course == Course::Outage);
    !stopped && step.running.iter().any(|id| runs_other(case, step, *id, (TRANSPORT, "knet")))
}

/// Whether a member is known to have been started with another value.
fn runs_other(case: &Case<'_>, step: &Step<'_>, id: NodeId, (key, wanted): (&str, &str)) -> bool {
    let node = step.config.config.node(id).and_then(|node| case.node(&node.name));
    let started = node.and_then(|node| case.view(node)?.started_with.get(key));
    started.is_some_and(|started| started != wanted)
}

/// A transport that nobody asked for would take encryption or a link from the cluster, or move it to where its
/// network does not carry.
pub(super) fn moves_are_asked_for(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let (Some(before), to) = (&step.before, step.config.config.transport()) else { continue };
        if before.config.transport() != to && case.desired.totem.transport != Some(to) {
            return Err(Refusal::TransportUnwanted { stage: step.number, to });
        }
    }
    Ok(())
}

/// A reload keeps the old transport and the old IP version and says so in the log alone (corosync.md 5.6); a host
/// that is restarted with another one is alone, or may look for its peers at other addresses than theirs. So
/// everybody stops for it. Everybody stops for nothing else: each outage is one more during which a second fault
/// is not survived.
pub(super) fn stops_are_right(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let Some(before) = step.before.as_ref().filter(|_| step.writes()) else { continue };
        let (stage, old, new) = (step.number, &before.config, &step.config.config);
        let moves = old.ip_version() != new.ip_version() || old.transport() != new.transport();
        if step.stage.course != Course::Outage {
            if moves {
                return Err(Refusal::StopMissing { stage });
            }
            continue;
        }
        let (version, transport) = (new.ip_version().to_string(), new.transport().to_string());
        let wanted = [(IP_VERSION, version.as_str()), (TRANSPORT, transport.as_str())];
        let others = |id: &NodeId| wanted.iter().any(|wanted| runs_other(case, step, *id, *wanted));
        let is_needed = moves || step.running.iter().any(others);
        if !is_needed || changes_more(old, new) {
            return Err(Refusal::OutageNotNeeded { stage });
        }
    }
    Ok(())
}

/// Whether two texts differ in more than what an outage is for. With the transport come and go its encryption,
/// and what only one of the two has of a link.
fn changes_more(old: &Config, new: &Config) -> bool {
    const VERSION: &str = "totem.config_version";
    const CRYPTO: [&str; 2] = ["totem.crypto_cipher", "totem.crypto_hash"];
    const OF_LINK: [&str; 2] =
        ["totem.interface.0.knet_link_priority", "totem.interface.0.mcastport"];
    let moves = old.transport() != new.transport();
    let changed = changed_values(old, new);
    let mut keys = changed.set.into_keys().chain(changed.gone);
    keys.any(|key| {
        let key = key.as_str();
        let comes_along = CRYPTO.contains(&key) || OF_LINK.contains(&key);
        !([IP_VERSION, TRANSPORT, VERSION].contains(&key) || moves && comes_along)
    })
}
