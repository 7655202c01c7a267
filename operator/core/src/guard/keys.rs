//! Guards on the authkey: whoever holds it is a member of the cluster network, and whoever holds another
//! one than the rest is not.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Step, Text};
use super::refusal::Refusal;
use crate::change::{Action, Course, Probe};
use crate::conf::{Cipher, Hash};
use crate::ids::HostName;
use crate::observed::{HostView, KeyView};

/// It is sealed to the key that the receiving host itself has published, to no other, and to no host that
/// neither is nor becomes a member.
pub(super) fn keys_go_to_their_owners(case: &Case<'_>) -> Result<(), Refusal> {
    let joining: BTreeSet<&HostName> = case.joining().values().copied().collect();
    let members: BTreeSet<&HostName> = members(case).into_keys().collect();
    for step in &case.steps {
        for action in step.stage.actions.values().flatten() {
            let known = match action {
                Action::SealAuthkey { .. } => &joining,
                _other => &members,
            };
            let wrong = action.receivers().find_map(|receiver| stranger(case, known, receiver));
            if let Some(to) = wrong {
                return Err(Refusal::WrongRecipient { stage: step.number, to });
            }
        }
    }
    Ok(())
}

/// The receiver, if it is none of these or has published another key.
fn stranger(
    case: &Case<'_>,
    known: &BTreeSet<&HostName>,
    (to, recipient): (&HostName, &String),
) -> Option<HostName> {
    let key = case.observed.hosts.get(to).and_then(|view| view.sealing_key.as_ref());
    (key != Some(recipient) || !known.contains(to)).then(|| to.clone())
}

/// Every member of the text in force that runs, with what its host says.
pub(super) fn members<'a>(case: &Case<'a>) -> BTreeMap<&'a HostName, &'a HostView> {
    let listed = case.parent.iter().flat_map(|parent| &parent.config.nodes);
    let running = listed.filter(|node| case.members.contains(&node.id));
    let nodes = running.filter_map(|node| case.node(&node.name));
    nodes.filter_map(|node| Some((&node.host, case.view(node)?))).collect()
}

/// A reload makes every daemon read its key again, whatever the reload is for. A host whose file is
/// another one (restored from a backup, say) is thrown out by it, 11 s later (corosync.md 5.5).
pub(super) fn keys_are_the_same(case: &Case<'_>) -> Result<(), Refusal> {
    let reads = |step: &&Step<'_>| {
        // What has a way back can be undone, and that is a reload.
        let writes = step.writes() || step.back.is_some();
        let reloads = writes || step.stage.has_action(&Action::Reload {});
        let texts = step.before.iter().chain(step.texts());
        let used = texts.into_iter().any(reads_authkey);
        reloads && (used || step.stage.exchanges_authkey())
    };
    if !case.steps.iter().any(|step| reads(&step)) {
        return Ok(());
    }
    let needs = |step: &Step<'_>| step.stage.exchanges_authkey() || begins_to_encrypt(step);
    let needed = case.steps.iter().any(needs);
    let mut first: Option<KeyView> = None;
    for (host, view) in members(case) {
        let differs = || Err(Refusal::AuthkeysDiffer { host: host.clone() });
        match (view.authkey, first) {
            (None, _) if needed => return differs(),
            (Some(key), Some(first)) if key.fingerprint != first.fingerprint => return differs(),
            (key, _) => first = first.or(key),
        }
    }
    Ok(())
}

/// Whether the daemons start with a key that they did without: nobody knows yet that all have one.
fn begins_to_encrypt(step: &Step<'_>) -> bool {
    let encrypted = step.before.iter().any(reads_authkey);
    step.stage.course == Course::Outage && !encrypted && reads_authkey(&step.config)
}

fn reads_authkey(text: &Text) -> bool {
    let crypto = text.config.crypto();
    let encrypts = crypto.cipher != Cipher::None || crypto.hash != Hash::None;
    encrypts && !text.config.key_elsewhere
}

/// The new key on two of three hosts and one reload: the third is thrown out, or the other two part
/// (corosync.md 5.5). So the whole group takes part, and was given the key in an earlier stage.
pub(super) fn exchanges_are_whole(case: &Case<'_>) -> Result<(), Refusal> {
    for (at, step) in case.steps.iter().enumerate() {
        if !step.stage.exchanges_authkey() {
            continue;
        }
        let stage = step.number;
        let known = known(case);
        let wanted = case.desired.key_generation.max(owed(case).unwrap_or(0));
        let again = case.steps[..at].iter().any(|earlier| earlier.stage.exchanges_authkey());
        if again || known.is_none_or(|known| known >= wanted) {
            return Err(Refusal::ExchangeUnwanted { stage });
        }
        let exchange = [Action::ExchangeAuthkey { generation: wanted }];
        let laid = case.steps[..at].iter().find_map(|earlier| given(earlier));
        for host in step.stage.group.values() {
            let takes_part = step.stage.actions.get(host).is_some_and(|own| **own == exchange);
            let has_key = laid.as_ref().is_some_and(|laid| laid.contains(host));
            if !takes_part || !has_key {
                return Err(Refusal::ExchangeHalf { stage, host: host.clone() });
            }
        }
        if !step.stage.probes.contains(&Probe::AuthkeyTaken {}) {
            return Err(Refusal::Unproven { stage, what: "authkey".to_owned() });
        }
    }
    Ok(())
}

/// The generation of the key in force, as far as any member knows it.
pub(super) fn known(case: &Case<'_>) -> Option<u32> {
    members(case).values().filter_map(|view| view.authkey).map(|key| key.generation).max()
}

/// The generation of a key that those do not have who went and kept the one in force.
fn owed(case: &Case<'_>) -> Option<u32> {
    let members = members(case);
    let tombstones = members.values().flat_map(|view| &view.tombstones);
    let kept = tombstones.filter_map(|gone| gone.keeps_key).max()?;
    known(case).filter(|known| kept >= *known).map(|known| known.saturating_add(1))
}

/// The hosts beside whose key one and the same new key lies after a stage; `None`: none was made.
fn given<'a>(step: &Step<'a>) -> Option<BTreeSet<&'a HostName>> {
    if step.stage.course != Course::Local {
        return None;
    }
    let made = step.stage.actions.iter().find_map(|(host, actions)| {
        let receivers = actions.iter().find_map(|action| match action {
            Action::MakeAuthkey { receivers } => Some(receivers),
            _other => None,
        });
        Some((host, receivers?))
    });
    let (maker, receivers) = made?;
    let lays = |host: &&HostName| {
        step.stage.actions.get(*host).is_some_and(|own| own.contains(&Action::LayAuthkey {}))
    };
    Some(receivers.keys().filter(lays).chain([maker]).collect())
}
