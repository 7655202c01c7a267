//! The keys of totem that a running cluster takes: timing, packet size, compression, encryption.
//!
//! One reload for each of these groups, proven by what the daemon then works with; a changed token
//! timeout takes a second one, because the ping times follow it one reload late (corosync.md 5.4).

use super::draft::Draft;
use super::ground::InForce;
use super::report::Obstacle;
use crate::change::{Plan, Proposed};
use crate::conf::{Config, Crypto, TotemOptions, derived_pings, edit, token_growth_millis};
use crate::desired::DesiredCluster;
use crate::ids::LinkNumber;
use crate::observed::ObservedCluster;

/// The wanted keys that the file does not have. The link mode is the business of `restarts`, the IP
/// version and the transport that of `outage`, and encryption comes and goes with a transport that moves.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> TotemOptions {
    let config = &ground.config;
    let not_here = TotemOptions { link_mode: None, ip_version: None, ..desired.totem };
    let mut wanted = TotemOptions { transport: None, ..not_here };
    wanted.token_millis = wanted.token_millis.map(|base| token(base, &wanted, config));
    let now = config.crypto();
    let crypto = Crypto {
        cipher: wanted.cipher.unwrap_or(now.cipher),
        hash: wanted.hash.unwrap_or(now.hash),
    };
    let moves = desired.totem.transport.is_some_and(|wanted| wanted != config.transport());
    // `secauth: on` says the same as two keys: then there is nothing to write.
    if crypto == now || moves {
        (wanted.cipher, wanted.hash) = (None, None);
    }
    wanted.beyond(config.totem)
}

/// What stands in the file for a wanted token timeout: without link 0 corosync does not count the
/// nodes, and the file has to say the whole (corosync.md 6.2).
fn token(base: u32, wanted: &TotemOptions, config: &Config) -> u32 {
    if config.has_link(LinkNumber::ZERO) {
        return base;
    }
    let coefficient = wanted.token_coefficient_millis.or(config.totem.token_coefficient_millis);
    base.saturating_add(token_growth_millis(coefficient, config.nodes.len()))
}

/// What a goal does, in words; `None`: nothing.
pub(super) fn summary(goal: &TotemOptions) -> Option<String> {
    let parts: Vec<_> = groups(*goal).into_iter().map(|(words, _)| words).collect();
    (!parts.is_empty()).then(|| format!("set {}", parts.join(", ")))
}

/// Plans the way to the wanted keys.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, TotemOptions),
) -> Result<Plan<Proposed>, Obstacle> {
    let mut draft = Draft::new(desired, observed, ground)?;
    let links = draft.links().clone();
    for (words, group) in groups(goal) {
        let before = draft.config().token_in_force_millis();
        draft.write(format!("Set {words}"), &links, |text| edit::set_totem(text, &group))?;
        let config = draft.config();
        if config.token_in_force_millis() != before && !derived_pings(config).is_empty() {
            let summary = "Reload once more: the ping times follow the token timeout late";
            draft.read_again(summary.to_owned(), &links)?;
        }
    }
    let members = super::hosts(ground.up().map(|(_, member)| member.node));
    let words = summary(&goal).unwrap_or_default();
    Ok(draft.finish(format!("On {members}: {words}")))
}

/// The parts of a goal that each take a stage of their own, with their words.
fn groups(goal: TotemOptions) -> Vec<(String, TotemOptions)> {
    let none = TotemOptions::default();
    let TotemOptions { token_millis, token_coefficient_millis, consensus_millis, .. } = goal;
    let TotemOptions { mtu_bytes, cipher, hash, .. } = goal;
    let TotemOptions { compression, compression_threshold_bytes, compression_level, .. } = goal;
    let all = [
        TotemOptions { token_millis, token_coefficient_millis, consensus_millis, ..none },
        TotemOptions { mtu_bytes, ..none },
        TotemOptions { compression, compression_threshold_bytes, compression_level, ..none },
        TotemOptions { cipher, hash, ..none },
    ];
    let changed = all.into_iter().filter(|group| *group != none);
    changed.map(|group| (group.to_string(), group)).collect()
}
