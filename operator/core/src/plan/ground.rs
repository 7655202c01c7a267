//! What a plan stands on: either no cluster at all, or one whose every member says the same.
//!
//! Owns the rule "doubt means stop" (design rule 5): a host that is silent, disagrees or is not
//! understood ends planning here, with its name in the sentence. Never looks at what is wanted
//! beyond names, ids and hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Blocker, Obstacle};
use super::texts::Texts;
use super::{away, is_managed, recover};
use crate::change::ConfText;
use crate::conf::{Config, Document};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::drift::HostDrift;
use crate::ids::{HostName, NodeId, NodeName};
use crate::leaving::{has_left, leaving};
use crate::observed::{Claim, HostView, ObservedCluster};

/// The state to plan from.
#[derive(Debug)]
pub(super) enum Ground<'a> {
    /// No host of the spec has anything of a cluster, and every one of them was heard.
    Empty(Vec<Member<'a>>),
    /// A sound cluster.
    Cluster(Box<InForce<'a>>),
}

/// A wanted node with the host that speaks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub node: &'a DesiredNode,
    pub view: &'a HostView,
}

/// A sound cluster: the text in force everywhere, and its members.
#[derive(Debug)]
pub(super) struct InForce<'a> {
    pub conf: ConfText,
    pub document: Document,
    pub config: Config,
    /// The nodes of the list but for `unstarted`, also those that leave.
    pub members: BTreeMap<NodeId, Member<'a>>,
    /// The node that the text lists and that has nothing of the cluster: its join ended between the list
    /// and the start, or its machine was installed anew.
    pub unstarted: Option<(NodeId, Member<'a>)>,
    /// The members that the spec does not name any more.
    pub leaving: BTreeSet<NodeId>,
    /// Of these, the ones that have stopped, or are dead by a person's word: nobody expects anything of them.
    pub stopped: BTreeSet<NodeId>,
    /// Members that are away by a person's word and that nobody hears: nobody expects anything of them either.
    pub away: BTreeSet<NodeId>,
    /// Hosts that are off the list, and that have something of the cluster yet.
    pub gone: Vec<Member<'a>>,
    /// Members that differ from the text in force, and have for a while.
    pub strays: BTreeMap<HostName, Stray>,
    /// The members are without quorum, and what they lack is the votes of the dead.
    pub is_lost: bool,
}

/// In which of its places a member differs from /etc/pve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stray {
    /// Its disk.
    pub disk: bool,
    /// Its running daemon.
    pub daemon: bool,
}

/// Finds out what there is, with the nodes that leave. An obstacle when the view is not sound.
pub(super) fn look<'a>(
    desired: &'a DesiredCluster,
    leaving: &'a [DesiredNode],
    observed: &'a ObservedCluster,
) -> Result<Ground<'a>, Obstacle> {
    let known = known(desired, leaving, observed);
    if known.iter().all(|member| member.view.is_empty()) {
        // A host that is not heard may be running the cluster that a second one would be formed beside.
        let heard = desired.nodes.iter().map(|node| present(node, observed));
        return Ok(Ground::Empty(heard.collect::<Result<_, _>>()?));
    }
    let mut texts = Texts::read(&known);
    let (document, config, conf) = texts.reference(&desired.name, &known)?;
    let strange = |member: &Member<'a>| {
        texts.strange(&desired.name, member).filter(|_| counts(desired, &config, member))
    };
    if let Some(why) = known.iter().find_map(strange) {
        return Err(why);
    }
    refuse_unlisted(desired.nodes.iter().chain(leaving), &config)?;
    let (mut members, away) = members(desired, observed, &config)?;
    let unstarted = unstarted(&mut members);
    let mut gone = gone(desired, leaving, observed, &config);
    gone.retain(|member| texts.strange(&desired.name, member).is_none());
    let leavers = leavers(leaving, observed, &config)?;
    let leaving = leavers.keys().copied().collect();
    let is_down =
        |view: &HostView| view.running_version.is_none() || view.declared_dead().is_some();
    let stopped = leavers.iter().filter(|(_, member)| is_down(member.view));
    let stopped = stopped.map(|(id, _)| *id).collect();
    members.extend(leavers);
    let mut ground = InForce {
        conf,
        document,
        config,
        members,
        unstarted,
        leaving,
        stopped,
        away,
        gone,
        strays: BTreeMap::new(),
        is_lost: false,
    };
    refuse_living(&ground)?;
    away::refuse_heard(&ground)?;
    ground.up().try_for_each(|(_, member)| agrees(&ground, member))?;
    ground.strays = strays_of(desired, &ground);
    ground.is_lost = recover::is_due(&ground);
    let listed: BTreeSet<_> = ground.up().map(|(id, _)| *id).collect();
    ground.up().try_for_each(|(id, member)| is_healthy(&ground, (*id, member), &listed))?;
    Ok(Ground::Cluster(Box::new(ground)))
}

/// The nodes of whose hosts something is known: the wanted ones, and those that leave.
fn known<'a>(
    desired: &'a DesiredCluster,
    leaving: &'a [DesiredNode],
    observed: &'a ObservedCluster,
) -> Vec<Member<'a>> {
    let nodes = desired.nodes.iter().chain(leaving);
    nodes.filter_map(|node| Some(Member { node, view: view(node, observed)? })).collect()
}

/// Whether a host is one that others wait for: it is wanted, or a member that lives. What else has a file that is
/// not understood, or one of another cluster, stops nobody but itself.
fn counts(desired: &DesiredCluster, config: &Config, Member { node, view }: &Member<'_>) -> bool {
    let is_named = |name: &NodeName| *name == node.name;
    let is_listed = config.nodes.iter().any(|listed| is_named(&listed.name));
    desired.nodes.iter().any(|wanted| is_named(&wanted.name))
        || is_listed && view.declared_dead().is_none()
}

/// What is to be said of those that left and that nothing is done with.
pub(super) fn remarks(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<String> {
    let leaving = leaving(desired, observed);
    if leaving.is_empty() {
        return Vec::new();
    }
    let known = known(desired, &leaving, observed);
    let mut texts = Texts::read(&known);
    let Ok((_, config, _)) = texts.reference(&desired.name, &known) else { return Vec::new() };
    let lives = |member: &&Member<'_>| member.view.declared_dead().is_none();
    let left = known.iter().filter(lives).filter(|member| !counts(desired, &config, member));
    let strange = left.filter_map(|member| texts.strange(&desired.name, member));
    let remark = |why: Obstacle| {
        format!(
            "{}; it is off the list, so that nothing waits for it and nothing is done there: put the file right, \
             or away",
            why.sentence
        )
    };
    strange.map(remark).collect()
}

impl<'a> InForce<'a> {
    /// The members that run.
    pub fn up(&self) -> impl Iterator<Item = (&NodeId, &Member<'a>)> {
        self.members.iter().filter(|(id, _)| !self.stopped.contains(id) && !self.away.contains(id))
    }
}

/// The host of a wanted node, if it exists.
pub(super) fn view<'a>(node: &DesiredNode, observed: &'a ObservedCluster) -> Option<&'a HostView> {
    observed.hosts.get(&node.host)
}

/// A wanted node whose host exists, is heard and is the machine that the spec means.
pub(super) fn present<'a>(
    node: &'a DesiredNode,
    observed: &'a ObservedCluster,
) -> Result<Member<'a>, Obstacle> {
    let host = &node.host;
    let Some(view) = view(node, observed) else {
        return Obstacle::stop(
            Blocker::HostMissing,
            format!("there is no PveHost {host}, which the spec names for node {}", node.name),
        );
    };
    if let Claim::Other(owner) = &view.claim {
        return Obstacle::stop(
            Blocker::HostClaimed,
            format!("{host} belongs to the PveCluster {owner}"),
        );
    }
    if view.witness {
        let sentence = format!("{host} is a witness and cannot be a node of the cluster");
        return Obstacle::stop(Blocker::HostIsWitness, sentence);
    }
    if !view.connected {
        return Obstacle::stop(
            Blocker::HostNotConnected,
            format!("the agent on {host} is not heard"),
        );
    }
    if view.hostname != node.name.as_str() {
        let sentence = format!(
            "{host} calls itself `{}`, but the spec calls this node `{}`: give a member that was renamed its \
             name back, correct the spec where that is wrong",
            view.hostname, node.name
        );
        return Obstacle::stop(Blocker::NameMismatch, sentence);
    }
    Ok(Member { node, view })
}

/// A member that joined beside the operator, or was forgotten when the cluster was adopted, looks like one
/// that is to be removed, and is not: nobody ever asked for it to go (see [`crate::leaving`]).
fn refuse_unlisted<'a>(
    known: impl Iterator<Item = &'a DesiredNode>,
    config: &Config,
) -> Result<(), Obstacle> {
    let known: BTreeSet<&NodeName> = known.map(|node| &node.name).collect();
    let unlisted = config.nodes.iter().filter(|node| !known.contains(&node.name));
    let names: Vec<_> = unlisted.map(|node| node.name.to_string()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(", ");
    let sentence = format!(
        "the cluster has {names}, which this spec never named with a PveHost: list it to have it managed, or \
         remove it by hand; only what was managed is removed"
    );
    Obstacle::stop(Blocker::MemberNotManaged, sentence)
}

/// The wanted nodes that the list has, and which of them are away and silent.
fn members<'a>(
    desired: &'a DesiredCluster,
    observed: &'a ObservedCluster,
    config: &Config,
) -> Result<(BTreeMap<NodeId, Member<'a>>, BTreeSet<NodeId>), Obstacle> {
    let (mut members, mut away) = (BTreeMap::new(), BTreeSet::new());
    for node in &desired.nodes {
        let Some(listed) = config.nodes.iter().find(|listed| listed.name == node.name) else {
            continue;
        };
        let (member, is_away) = away::member(node, observed)?;
        away.extend(is_away.then_some(listed.id));
        members.insert(listed.id, member);
        if let Some(wanted) = node.node_id.filter(|wanted| *wanted != listed.id) {
            let sentence = format!(
                "{} has node id {}, the spec wants {wanted}; changing it is not supported yet",
                node.name, listed.id
            );
            return Obstacle::stop(Blocker::NodeIdChangeNotSupported, sentence);
        }
    }
    Ok((members, away))
}

/// Takes the one member that has nothing out of those that run. Several are not what a join leaves behind.
fn unstarted<'a>(members: &mut BTreeMap<NodeId, Member<'a>>) -> Option<(NodeId, Member<'a>)> {
    let mut empty = members.iter().filter(|(_, member)| member.view.is_empty()).map(|(id, _)| *id);
    match (empty.next(), empty.next()) {
        (Some(id), None) => members.remove_entry(&id),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// The nodes that leave and that the list still has. One that has stopped is heard all the same: only its
/// own agent can say that it has.
fn leavers<'a>(
    leaving: &'a [DesiredNode],
    observed: &'a ObservedCluster,
    config: &Config,
) -> Result<BTreeMap<NodeId, Member<'a>>, Obstacle> {
    let listed = leaving.iter().filter_map(|node| {
        let listed = config.nodes.iter().find(|listed| listed.name == node.name)?;
        Some((listed.id, node))
    });
    let member = |(id, node): (NodeId, &'a DesiredNode)| {
        let heard = present(node, observed);
        let is_silent = matches!(&heard, Err(why) if why.blocker == Blocker::HostNotConnected);
        match view(node, observed).filter(|_| is_silent) {
            Some(view) if view.declared_dead().is_some() => Ok((id, Member { node, view })),
            Some(_) => {
                let sentence = format!(
                    "{} is to leave and its agent is not heard, so that nobody knows whether it runs: start it, \
                     list it again, or declare it dead (`kubectl pvecm host dead`)",
                    node.host
                );
                Obstacle::stop(Blocker::HostNotConnected, sentence)
            }
            None => Ok((id, heard?)),
        }
    };
    listed.map(member).collect()
}

/// A person can be wrong about a machine. One that is off is heard by nobody: neither its agent nor its corosync.
fn refuse_living(ground: &InForce<'_>) -> Result<(), Obstacle> {
    let dead = ground.stopped.iter().filter_map(|id| Some((*id, ground.members.get(id)?)));
    for (id, Member { node, view }) in dead {
        let Some(because) = view.declared_dead() else { continue };
        let host = &node.host;
        let refuse = |seen: String| {
            let sentence = format!(
                "{host} is declared dead ({because}), and {seen}: power it off, or take the statement back"
            );
            Obstacle::stop(Blocker::DeadIsSeen, sentence)
        };
        if view.connected {
            return refuse("its agent is heard".to_owned());
        }
        if let Some(seen) = seen(ground, id) {
            return refuse(seen);
        }
    }
    Ok(())
}

/// By which of those that run a node's corosync is heard, in words.
pub(super) fn seen(ground: &InForce<'_>, id: NodeId) -> Option<String> {
    let links = ground.config.links();
    ground.up().find_map(|(_, Member { node, view })| {
        if view.members.contains(&id) {
            return Some(format!("{} has it in the membership", node.host));
        }
        let link = links.iter().find(|link| !view.link_faults.contains(&(**link, id)))?;
        Some(format!("link {link} from {} to it is connected", node.host))
    })
}

/// Those that are off the list and have something of the cluster yet: they leave, or they left and are named
/// again before they had put it away. One that cannot act now has no haste: nobody counts its vote.
fn gone<'a>(
    desired: &'a DesiredCluster,
    leaving: &'a [DesiredNode],
    observed: &'a ObservedCluster,
    config: &Config,
) -> Vec<Member<'a>> {
    let off = |node: &&DesiredNode| !config.nodes.iter().any(|listed| listed.name == node.name);
    let back = desired.nodes.iter().filter(off).filter(|node| has_left(node, observed));
    let off = leaving.iter().filter(off).chain(back);
    let here = off.filter_map(|node| present(node, observed).ok());
    here.filter(|member| !member.view.is_empty()).collect()
}

/// One text in both places and in the running daemon, on every member. A member that has differed for a
/// while beside /etc/pve is a stray, as long as somebody runs what /etc/pve has: a text that nobody
/// runs is proven by nobody.
fn agrees(ground: &InForce<'_>, member: &Member<'_>) -> Result<(), Obstacle> {
    let Member { node, view } = member;
    let (host, version) = (&node.host, ground.conf.version);
    // Its files are old as well, and that is not what a person has to mend.
    if let Some(why) = &view.idle {
        return Obstacle::stop(Blocker::NotQuorate, format!("{host}: {why}"));
    }
    let places = [("/etc/pve", &view.pmxcfs_file), (DISK, &view.disk_file)];
    let is_stray = !view.drift.is_empty() && is_run(ground) && ground.unstarted.is_none();
    for (place, file) in places {
        if is_stray && place == DISK {
            continue;
        }
        let difference = match file {
            None => format!("{host} has no corosync.conf in {place}"),
            Some(file) if file.digest != ground.conf.digest => {
                format!("{host} has another corosync.conf in {place} than version {version}")
            }
            Some(_) => continue,
        };
        return Obstacle::stop(Blocker::HostsDisagree, difference);
    }
    match view.running_version {
        None => Obstacle::stop(Blocker::NotQuorate, format!("corosync does not run on {host}")),
        Some(running) if running != version && !is_stray => Obstacle::stop(
            Blocker::HostsDisagree,
            format!(
                "{host} runs version {running} of corosync.conf, the file has version {version}"
            ),
        ),
        Some(_) => Ok(()),
    }
}

const DISK: &str = "/etc/corosync";

fn is_run(ground: &InForce<'_>) -> bool {
    let version = Some(ground.conf.version);
    ground.up().any(|(_, member)| member.view.running_version == version)
}

/// A person may have a daemon tell more for a while, by its cmap alone: as long as the spec does not
/// speak of that key, it is shown and left to that person.
fn strays_of(desired: &DesiredCluster, ground: &InForce<'_>) -> BTreeMap<HostName, Stray> {
    let counts = |drift: &HostDrift| {
        drift.is_running()
            && (!drift.key.starts_with("logging.") || is_managed(desired, &drift.key))
    };
    let stray = |Member { node, view }: &Member<'_>| {
        let disk = view.disk_file.as_ref().map(|file| file.digest) != Some(ground.conf.digest);
        let behind = view.running_version != Some(ground.conf.version);
        let daemon = behind || view.drift.iter().any(counts);
        (disk || daemon).then(|| (node.host.clone(), Stray { disk, daemon }))
    };
    ground.up().map(|(_, member)| member).filter_map(stray).collect()
}

/// A quorate member of the one whole membership that can write /etc/pve; where quorum is lost, of the one whole
/// membership of those who are left.
fn is_healthy(
    ground: &InForce<'_>,
    (id, member): (NodeId, &Member<'_>),
    listed: &BTreeSet<NodeId>,
) -> Result<(), Obstacle> {
    let Member { node, view } = member;
    let host = &node.host;
    if !view.quorate && !ground.is_lost {
        return Obstacle::stop(Blocker::NotQuorate, format!("{host} is not quorate"));
    }
    if view.members != *listed {
        let sentence = format!(
            "{host} (node {id}) sees the nodes {}, corosync.conf lists {}",
            ids(&view.members),
            ids(listed)
        );
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    let first = ground.up().next().map(|(_, first)| (&first.node.host, &first.view.ring));
    if let Some((other, _)) = first.filter(|(_, ring)| **ring != view.ring || view.ring.is_none()) {
        let sentence = format!("{host} and {other} are in different memberships");
        return Obstacle::stop(Blocker::HostsDisagree, sentence);
    }
    if !view.pmxcfs_writable && !ground.is_lost {
        return Obstacle::stop(Blocker::ReadOnly, format!("/etc/pve takes no writes on {host}"));
    }
    Ok(())
}

fn ids(ids: &BTreeSet<NodeId>) -> String {
    ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}
