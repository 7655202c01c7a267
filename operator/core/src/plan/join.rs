//! One node joins a running cluster.
//!
//! Everything that can be ready beforehand is: the key first, the list next, the start last
//! (pmxcfs.md 1), because from the moment that the list names it the joiner's votes count and are
//! missing.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::{self, Owners};
use super::device;
use super::draft::Draft;
use super::ground::{InForce, Member, present};
use super::keys;
use super::links;
use super::preflight;
use super::report::{Blocker, Obstacle};
use super::votes;
use crate::change::{Action, Plan, Proposed, Tombstone};
use crate::conf::{NodeEntry, edit};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::ids::{HostName, NodeId};
use crate::observed::{HostView, ObservedCluster};
use crate::quorum;

/// Plans the join of a node that the text in force does not list.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, node): (&InForce<'_>, &DesiredNode),
) -> Result<Plan<Proposed>, Obstacle> {
    let joiner = present(node, observed)?;
    let entry = entry(desired, (ground, observed), joiner)?;
    let recipient = sealing_key(&joiner.node.host, Some(joiner.view))?;
    links::refuse_faults(ground, &ground.config.links())?;
    votes::refuse_options(desired, ground)?;

    let mut draft = Draft::new(desired, observed, ground)?;
    let (name, host, id) = (entry.name.clone(), node.host.clone(), entry.id);
    device::out_of_the_way(&mut draft, observed)?;
    sweep(&mut draft, ground, node);
    seal(&mut draft, ground, (joiner, recipient));
    let lent = lend(&mut draft, &entry)?;
    let connected = ground.config.links();
    let summary = format!("List {name} as node {id}");
    draft.write(summary, &connected, |text| edit::add_node(text, &entry))?;
    draft.start(format!("Start corosync and pmxcfs on {host}"), (id, host.clone()));
    take_back(&mut draft, ground, lent)?;
    device::back(&mut draft, desired, observed)?;
    Ok(draft.finish(format!("{host} joins the cluster {}", desired.name)))
}

/// What is said of a joiner whose turn has not come.
pub(super) fn summary(node: &DesiredNode) -> String {
    format!("{} joins", node.host)
}

/// Plans the start of a node that the text in force lists and that has nothing yet.
pub(super) fn resume(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, id, joiner): (&InForce<'_>, NodeId, Member<'_>),
) -> Result<Plan<Proposed>, Obstacle> {
    preflight::refuse(&preflight::of_joiner(&joiner, ground.members.values()))?;
    let recipient = sealing_key(&joiner.node.host, Some(joiner.view))?;
    links::refuse_faults(ground, &ground.config.links())?;
    votes::refuse_options(desired, ground)?;
    let mut draft = Draft::new(desired, observed, ground)?;
    device::out_of_the_way(&mut draft, observed)?;
    let host = joiner.node.host.clone();
    seal(&mut draft, ground, (joiner, recipient));
    let summary = format!("Start corosync and pmxcfs on {host}, which is listed as node {id}");
    draft.start_listed(summary, (id, host.clone()))?;
    take_back(&mut draft, ground, 0)?;
    device::back(&mut draft, desired, observed)?;
    Ok(draft.finish(format!("{host}, already listed, joins the cluster {}", desired.name)))
}

/// The id that a node gets: the wanted one, else the lowest that nobody has or wants.
pub(super) fn node_id(
    desired: &DesiredCluster,
    node: &DesiredNode,
    taken: &[NodeId],
) -> Result<NodeId, Obstacle> {
    let others = desired.nodes.iter().filter(|other| other.name != node.name);
    let wanted_by_others: BTreeSet<_> = others.filter_map(|other| other.node_id).collect();
    if let Some(wanted) = node.node_id {
        if taken.contains(&wanted) || wanted_by_others.contains(&wanted) {
            let sentence = format!(
                "node id {wanted}, which the spec wants for {}, is taken, or was by a node that has left",
                node.name
            );
            return Obstacle::stop(Blocker::NodeIdTaken, sentence);
        }
        return Ok(wanted);
    }
    let free = |id: &NodeId| !taken.contains(id) && !wanted_by_others.contains(id);
    let lowest = (1..=u32::from(u16::MAX)).filter_map(|id| NodeId::try_from(id).ok()).find(free);
    lowest.ok_or_else(|| Obstacle::new(Blocker::NodeIdTaken, "there is no free node id"))
}

/// The key to which secrets for a host are sealed.
pub(super) fn sealing_key(host: &HostName, view: Option<&HostView>) -> Result<String, Obstacle> {
    view.and_then(|view| view.sealing_key.clone()).ok_or_else(|| {
        let sentence =
            format!("{host} has not published the key to which secrets for it are sealed");
        Obstacle::new(Blocker::SealingKeyMissing, sentence)
    })
}

/// The joiner's place in the nodelist, if nothing stands in its way. Joins with one vote at most; more come
/// one by one.
fn entry(
    desired: &DesiredCluster,
    (ground, observed): (&InForce<'_>, &ObservedCluster),
    joiner: Member<'_>,
) -> Result<NodeEntry, Obstacle> {
    let mut faults = preflight::of_joiner(&joiner, ground.members.values());
    // A number that was buried is never given away: its old machine may come back with it.
    let buried = observed.tombstones().map(|tombstone| tombstone.node_id);
    let taken: Vec<_> = ground.members.keys().copied().chain(buried).collect();
    let mut owners = Owners::of(&ground.config);
    let mut addresses = BTreeMap::new();
    for link in ground.config.links() {
        let taken = addresses::wanted(desired, joiner, link).and_then(|address| {
            owners.take(joiner, &address)?;
            Ok(addresses.insert(link, address))
        });
        faults.extend(taken.err());
    }
    preflight::refuse(&faults)?;
    Ok(NodeEntry {
        name: joiner.node.name.clone(),
        id: node_id(desired, joiner.node, &taken)?,
        votes: joiner.node.votes.unwrap_or(1).min(1),
        addresses,
    })
}

/// What the cluster keeps of an earlier node of this name is put away first, in case that failed when it left: its
/// keys would be those of a machine that is not this one, and its guests would have their ids twice. Nothing is left
/// to a dead one to ask with: a key that may only ask would stay so for the machine that comes.
fn sweep(draft: &mut Draft<'_>, ground: &InForce<'_>, node: &DesiredNode) {
    let known = ground.up().flat_map(|(_, member)| &member.view.tombstones);
    let earlier = known.filter(|gone| gone.name == node.name);
    if let Some(last) = earlier.max_by_key(|gone| gone.node_id) {
        draft.sweep(&Tombstone { keeps_key: None, ..last.clone() });
    }
}

fn seal(draft: &mut Draft<'_>, ground: &InForce<'_>, (joiner, recipient): (Member<'_>, String)) {
    let to = joiner.node.host.clone();
    let Some(sealer) = ground.members.values().next().map(|member| member.node.host.clone()) else {
        return;
    };
    let summary = format!("{sealer} seals the authkey for {to}, which takes it");
    let actions = BTreeMap::from([
        (sealer, vec![Action::SealAuthkey { to: to.clone(), recipient }]),
        (to, vec![Action::ReceiveAuthkey { generation: keys::generation(ground) }]),
    ]);
    draft.local(summary, actions);
}

/// Lends the lowest member votes until the members keep the majority without the joiner, which is
/// listed before it is up. Returns how many.
fn lend(draft: &mut Draft<'_>, entry: &NodeEntry) -> Result<u32, Obstacle> {
    let mut lent = 0;
    loop {
        let now = votes::of(draft.config());
        let mut then = now.clone();
        then.insert(entry.id, entry.votes);
        if quorum::staying_are_quorate(&now, &then) {
            return Ok(lent);
        }
        votes::step(draft, votes::lowest(&now), votes::Step::Lend)?;
        lent += 1;
    }
}

/// Takes back what was lent here, and the vote that a first node was formed with.
fn take_back(draft: &mut Draft<'_>, ground: &InForce<'_>, lent: u32) -> Result<(), Obstacle> {
    let before = votes::of(&ground.config);
    let Some((id, member)) = ground.members.iter().next() else {
        return Ok(());
    };
    let had = before.get(id).copied().unwrap_or(0);
    let at_formation =
        u32::from(ground.members.len() == 1 && had == 2 && member.node.votes.unwrap_or(1) < 2);
    for _ in 0..lent + at_formation {
        votes::step(draft, Some(*id), votes::Step::TakeBack)?;
    }
    Ok(())
}
