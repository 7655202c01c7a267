//! A cluster on udp or udpu: nothing is changed there but the transport.
//!
//! There is one link and no table of links, a further link or a cipher in the file keeps every daemon from
//! starting (corosync.md 11), and no other change was ever proven on them. So the cluster is moved to knet
//! first, and the rest follows. Never plans the move itself, which is `outage`.

use std::collections::BTreeSet;

use super::due::Due;
use super::ground::{InForce, Member};
use super::remove;
use super::report::{Blocker, Obstacle};
use crate::conf::{Cipher, Hash, TRANSPORT, Transport};
use crate::desired::DesiredCluster;
use crate::ids::LinkNumber;

/// Whether the file has another transport than knet, or a daemon was started with one.
pub(super) fn is_old(ground: &InForce<'_>) -> bool {
    let knet = Transport::Knet.to_string();
    let mut started = ground.members.values().filter_map(|m| m.view.started_with.get(TRANSPORT));
    !ground.config.transport().is_knet() || started.any(|started| *started != knet)
}

/// Puts the move before everything else on a cluster that is not on knet. Refused where there is no such move
/// and something else to be done.
pub(super) fn first<'a>(
    mut due: Vec<Due<'a>>,
    ground: &InForce<'a>,
) -> Result<Vec<Due<'a>>, Obstacle> {
    if !is_old(ground) {
        return Ok(due);
    }
    let moves = |due: &Due<'_>| matches!(due, Due::Outage(goal) if goal.transport().is_some());
    if let Some(at) = due.iter().position(moves) {
        if let Some(why) = absent(ground) {
            return refuse(format!("{why}: mend that by hand before the transport moves"));
        }
        due[..=at].rotate_right(1);
        return Ok(due);
    }
    let leaves = || remove::later(ground, None).into_iter().next();
    let waits = due.first().and_then(Due::summary).or_else(leaves).or_else(|| absent(ground));
    let differs = ground.members.values().find_map(|member| differs(ground, member));
    match (differs, waits) {
        (Some(why), _) => refuse(why),
        (None, Some(waits)) => refuse(format!(
            "the cluster runs on {}, where nothing is changed but the transport: set `totem.transport: Knet` \
             first; what waits: {waits}",
            ground.config.transport()
        )),
        (None, None) => Ok(due),
    }
}

/// A member that would not stop and start with the others.
fn absent(ground: &InForce<'_>) -> Option<String> {
    let down = ground.stopped.first().and_then(|id| ground.members.get(id));
    let down = down.or(ground.unstarted.as_ref().map(|(_, member)| member));
    let down = down.map(|member| format!("corosync does not run on {}", member.node.host));
    down.or_else(|| Some(format!("{} differs from /etc/pve", ground.strays.keys().next()?)))
}

/// A daemon that runs on another transport than the file says: the next start of that host leaves it alone.
fn differs(ground: &InForce<'_>, member: &Member<'_>) -> Option<String> {
    let (host, written) = (&member.node.host, ground.config.transport());
    let started = member.view.started_with.get(TRANSPORT)?;
    (*started != written.to_string()).then(|| {
        format!(
            "corosync on {host} was started on {started}, and corosync.conf says {written}: a host that starts \
             now is alone; state the right one in `totem.transport`"
        )
    })
}

/// Refuses a move that the text in force is not fit for.
pub(super) fn refuse_unfit(
    desired: &DesiredCluster,
    ground: &InForce<'_>,
    to: Transport,
) -> Result<(), Obstacle> {
    let (config, wanted) = (&ground.config, &desired.totem);
    if to.is_knet() {
        let encrypts = wanted.cipher.is_some_and(|cipher| cipher != Cipher::None);
        let lacks = |member: &&Member<'_>| member.view.authkey.is_none();
        let lacks = ground.members.values().find(lacks).filter(|_| !config.key_elsewhere);
        return match lacks.filter(|_| encrypts) {
            Some(Member { node, .. }) => {
                let host = &node.host;
                let sentence = format!("{host} has no authkey, or has not said which");
                Obstacle::stop(Blocker::AuthkeyUnknown, sentence)
            }
            None => Ok(()),
        };
    }
    if config.links() != BTreeSet::from([LinkNumber::ZERO]) {
        return refuse(format!("{to} has link 0 alone: list that one alone in `links` first"));
    }
    let (now, none) = (config.crypto(), (Cipher::None, Hash::None));
    let is_said = (wanted.cipher, wanted.hash) == (Some(none.0), Some(none.1));
    if (now.cipher, now.hash) != none && !is_said {
        return refuse(format!(
            "{to} encrypts nothing, and now {} and {} do: state `crypto` with cipher and hash None if that is \
             meant",
            now.cipher, now.hash
        ));
    }
    Ok(())
}

/// A cluster begins on knet.
pub(super) fn refuse_forming(desired: &DesiredCluster) -> Result<(), Obstacle> {
    match desired.totem.transport {
        Some(Transport::Udp | Transport::Udpu) => refuse(
            "a new cluster is formed on knet: leave `totem.transport` out, or say Knet".to_owned(),
        ),
        Some(Transport::Knet) | None => Ok(()),
    }
}

fn refuse<T>(sentence: String) -> Result<T, Obstacle> {
    Obstacle::stop(Blocker::OldTransport, sentence)
}
