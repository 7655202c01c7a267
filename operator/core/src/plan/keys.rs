//! The authkey of a running cluster is exchanged.
//!
//! A daemon reads its key at every reload, and one that reads another key than the rest is thrown out
//! (corosync.md 5.5). So the new key first lies beside the old one on every host, where no daemon looks;
//! then all put it in its place together, and only after that one reload follows.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::ground::{InForce, Member};
use super::join::sealing_key;
use super::report::{Blocker, Obstacle};
use crate::change::{Action, Plan, Proposed};
use crate::conf::{Cipher, Hash};
use crate::desired::DesiredCluster;
use crate::ids::HostName;
use crate::observed::ObservedCluster;

/// The generation of the key in force: a host that was given the key may not know it.
pub(super) fn generation(ground: &InForce<'_>) -> u32 {
    let keys = ground.members.values().filter_map(|member| member.view.authkey);
    keys.map(|key| key.generation).max().unwrap_or(0)
}

/// The generation that is wanted, if the key in force is of a lower one: by the spec, or because a machine
/// went and has the key in force yet.
pub(super) fn goal(desired: &DesiredCluster, ground: &InForce<'_>) -> Option<u32> {
    let now = generation(ground);
    let tombstones = ground.up().flat_map(|(_, member)| &member.view.tombstones);
    let kept = tombstones.filter_map(|gone| gone.keeps_key).max();
    let owed = kept.filter(|kept| *kept >= now).map(|_kept| now.saturating_add(1));
    let wanted = Some(desired.key_generation).filter(|wanted| *wanted > now);
    wanted.max(owed)
}

/// Whoever has another key than the rest is thrown out by the next reload, whatever it is for.
pub(super) fn refuse_differing(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
) -> Result<(), Obstacle> {
    let now = ground.config.crypto();
    let cipher = desired.totem.cipher.unwrap_or(now.cipher);
    let is_used = [now.cipher, cipher].iter().any(|cipher| *cipher != Cipher::None)
        || now.hash != Hash::None
        || goal(desired, ground).is_some();
    if !is_used || ground.config.key_elsewhere {
        return Ok(());
    }
    let key = |member: &&Member<'_>| member.view.authkey.map(|key| key.fingerprint);
    let running = ground.up().map(|(_, member)| member);
    let known: Vec<_> = running.filter(|member| key(member).is_some()).collect();
    let Some(first) = known.first() else { return Ok(()) };
    match known.iter().find(|member| key(member) != key(first)) {
        Some(other) => {
            let (host, first) = (&other.node.host, &first.node.host);
            let sentence = format!(
                "{host} has another authkey than {first}: the next reload would throw one of them out"
            );
            Obstacle::stop(Blocker::AuthkeysDiffer, sentence)
        }
        None => Ok(()),
    }
}

/// Plans the exchange.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, generation): (&InForce<'_>, u32),
) -> Result<Plan<Proposed>, Obstacle> {
    refuse_unknown(ground)?;
    let mut draft = Draft::new(desired, observed, ground)?;
    lay(&mut draft, ground)?;
    let links = draft.links().clone();
    let members = super::hosts(ground.members.values().map(|member| member.node));
    let summary = format!("{members} take the new authkey together");
    draft.exchange(summary, &links, generation)?;
    Ok(draft.finish(format!("On {members}: exchange the authkey, generation {generation}")))
}

fn refuse_unknown(ground: &InForce<'_>) -> Result<(), Obstacle> {
    if ground.config.key_elsewhere {
        let sentence = "corosync.conf has a `key` or a `keyfile` of its own, which is not managed";
        return Obstacle::stop(Blocker::AuthkeyElsewhere, sentence);
    }
    match ground.members.values().find(|member| member.view.authkey.is_none()) {
        Some(member) => {
            let host = &member.node.host;
            let sentence = format!("{host} has no authkey, or has not said which");
            Obstacle::stop(Blocker::AuthkeyUnknown, sentence)
        }
        None => Ok(()),
    }
}

/// The lowest host makes the key, and every other one lays what is sealed for it.
fn lay(draft: &mut Draft<'_>, ground: &InForce<'_>) -> Result<(), Obstacle> {
    let mut members = ground.members.values();
    let Some(maker) = members.next().map(|member| member.node.host.clone()) else {
        return Ok(());
    };
    let key = |Member { node, view }: &Member<'_>| {
        Ok((node.host.clone(), sealing_key(&node.host, Some(view))?))
    };
    let receivers: BTreeMap<HostName, String> =
        members.map(key).collect::<Result<_, Obstacle>>()?;
    let summary = if receivers.is_empty() {
        format!("{maker} makes a new authkey and lays it beside the one in force")
    } else {
        format!(
            "{maker} makes a new authkey and seals it for the others; all lay it beside the one in force"
        )
    };
    let lays = receivers.keys().map(|host| (host.clone(), vec![Action::LayAuthkey {}]));
    let mut actions: BTreeMap<_, _> = lays.collect();
    actions.insert(maker, vec![Action::MakeAuthkey { receivers }]);
    draft.local(summary, actions);
    Ok(())
}
