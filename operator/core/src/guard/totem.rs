//! Guards on the keys of totem: encryption, the token timeout and what follows from it.

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::Probe;
use crate::conf::derived_pings;
use crate::ids::LinkNumber;

/// A reload applies crypto keys that vanish from a text: a cluster then goes on in the clear, with exit
/// code 0 and quorate (corosync.md 5.6). So what encrypts stays, or becomes exactly what the spec says.
pub(super) fn encryption_is_kept(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        let Some(before) = &step.before else { continue };
        let (old, new) = (before.config.crypto(), step.config.config.crypto());
        let wanted = case.desired.totem;
        let wanted = wanted.cipher == Some(new.cipher) && wanted.hash == Some(new.hash);
        if new != old && !wanted {
            let (cipher, hash) = (new.cipher, new.hash);
            return Err(Refusal::CryptoMoves { stage: step.number, cipher, hash });
        }
    }
    Ok(())
}

/// corosync counts the nodes for the token timeout by their `ring0_addr`: without link 0 a cluster of 32
/// falls from 22.5 s to 3 s (corosync.md 6.2), and every short stall from then on throws nodes out. A
/// timeout shrinks only where the spec sets it, and never by the loss of link 0.
pub(super) fn token_is_kept(case: &Case<'_>) -> Result<(), Refusal> {
    let totem = case.desired.totem;
    let managed = totem.token_millis.is_some() || totem.token_coefficient_millis.is_some();
    for step in &case.steps {
        let Some(before) = &step.before else { continue };
        let (old, new) = (token(before), token(&step.config));
        let loses_zero = counts_nodes(before) && !counts_nodes(&step.config);
        let same_nodes = before.ids() == step.config.ids();
        if new < old && (loses_zero || same_nodes && !managed) {
            let (from_millis, to_millis) = (old, new);
            return Err(Refusal::TokenShrinks { stage: step.number, from_millis, to_millis });
        }
    }
    Ok(())
}

/// corosync computes ping times from the token timeout one reload late (corosync.md 5.4). After a
/// shorter timeout alone a link would be found dead only when the token is lost already: a broken
/// cable costs a membership change instead of nothing. So another reload follows, and proves them.
pub(super) fn pings_follow_the_token(case: &Case<'_>) -> Result<(), Refusal> {
    for (at, step) in case.steps.iter().enumerate() {
        let Some(before) = &step.before else { continue };
        let same_nodes = before.ids() == step.config.ids();
        if !same_nodes || token(before) == token(&step.config) {
            continue;
        }
        if !case.steps[at + 1..].iter().any(|later| later.writes() && proves_pings(later)) {
            return Err(Refusal::PingsLate { stage: step.number });
        }
    }
    Ok(())
}

fn proves_pings(step: &Step<'_>) -> bool {
    let mut pings = derived_pings(&step.config.config).into_iter();
    pings.all(|(key, value)| {
        step.stage.probes.contains(&Probe::RunningValue { key, value: Some(value) })
    })
}

fn token(text: &Text) -> u32 {
    text.config.token_in_force_millis()
}

fn counts_nodes(text: &Text) -> bool {
    text.config.has_link(LinkNumber::ZERO)
}
