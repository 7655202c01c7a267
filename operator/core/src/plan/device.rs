//! The QDevice goes on, off, or to another witness; and it goes out of the way of what moves members or votes.
//!
//! Its daemons cast only while every text that may be in force has the same device: on a text that not all run
//! yet, one part would count votes that the other part knows nothing of. So the daemons stop before the text
//! changes and start after it, and until then the nodes alone are the majority (ADR 0015).

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::Draft;
use super::ground::InForce;
use super::join::sealing_key;
use super::report::{Blocker, Obstacle};
use super::votes;
use super::wishes::Wishes;
use crate::change::{Action, Plan, Proposed};
use crate::conf::{Config, QuorumDevice, edit};
use crate::desired::DesiredCluster;
use crate::device::{
    AlgorithmWish, Authority, CertificateView, DeviceView, DeviceWish, Voter, WantedDevice,
};
use crate::ids::HostName;
use crate::observed::ObservedCluster;
use crate::quorum::{expected, is_quorate, parts_meet};
use source::Source;

/// What is to be done about the device.
#[derive(Debug)]
pub(super) enum Goal<'a> {
    /// There is to be none.
    Off,
    /// It is to be this one.
    On(Box<Wanted<'a>>),
    /// What is to be cannot be said. What is due before it does not wait for that.
    Unclear(Obstacle),
}

/// A device, and who is behind it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    source: Source<'a>,
    address: IpAddr,
    entry: QuorumDevice,
    generation: u32,
}

/// What is not as it is wanted; `None`: nothing, or the spec does not speak of a device.
pub(super) fn goal<'a>(
    desired: &'a DesiredCluster,
    observed: &'a ObservedCluster,
    ground: &InForce<'_>,
) -> Option<Goal<'a>> {
    let wish = desired.device.as_ref()?;
    let wanted = match wanted(wish, desired, (observed, &ground.config)) {
        Err(obstacle) => return Some(Goal::Unclear(obstacle)),
        Ok(None) => {
            let is_left =
                |device: &DeviceView| is_there(device) || forgets(wish) && has_any(device);
            let any = ground.up().any(|(_, member)| is_left(&member.view.device));
            return (any || ground.config.quorum.device.is_some()).then_some(Goal::Off);
        }
        Ok(Some(wanted)) => wanted,
    };
    let is_so =
        |device: &DeviceView| wanted.certificate_of(device) == Held::InUse && device.enabled;
    let all = ground.up().all(|(_, member)| is_so(&member.view.device));
    let is_written = ground.config.quorum.device.as_ref() == Some(&wanted.entry);
    (!all || !is_written).then(|| Goal::On(Box::new(wanted)))
}

impl Goal<'_> {
    /// What it does, in words.
    pub fn summary(&self) -> String {
        match self {
            Self::Off => "take the QDevice away".to_owned(),
            Self::On(wanted) => {
                format!("have {} vote as QDevice, {}", wanted.source, words(&wanted.entry))
            }
            Self::Unclear(_) => "the QDevice".to_owned(),
        }
    }
}

/// The keys in which a text has not the device that is wanted. One that cannot be said is the plan's to tell.
pub(super) fn wishes(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    ground: &InForce<'_>,
) -> Wishes {
    let Some(wish) = &desired.device else { return Wishes::new() };
    let Ok(wanted) = wanted(wish, desired, (observed, &ground.config)) else {
        return Wishes::new();
    };
    let pairs = |device: Option<&QuorumDevice>| {
        let pairs = device.into_iter().flat_map(QuorumDevice::pairs);
        pairs.collect::<BTreeMap<_, _>>()
    };
    let now = pairs(ground.config.quorum.device.as_ref());
    let then = pairs(wanted.as_ref().map(|wanted| &wanted.entry));
    let keys: BTreeSet<_> = now.keys().chain(then.keys()).copied().collect();
    let differing = keys.into_iter().filter(|key| now.get(key) != then.get(key));
    differing.map(|key| (format!("quorum.device.{key}"), then.get(key).cloned())).collect()
}

/// Plans the way there.
pub(super) fn plan(
    desired: &DesiredCluster,
    observed: &ObservedCluster,
    (ground, goal): (&InForce<'_>, &Goal<'_>),
) -> Result<Plan<Proposed>, Obstacle> {
    votes::refuse_options(desired, ground)?;
    let mut draft = Draft::new(desired, observed, ground)?;
    match goal {
        Goal::Off => {
            take_off(&mut draft, observed)?;
            put_away(&mut draft, desired, observed);
        }
        Goal::On(wanted) => put_on(&mut draft, wanted, observed)?,
        Goal::Unclear(obstacle) => return Err(obstacle.clone()),
    }
    let members = super::hosts(ground.up().map(|(_, member)| member.node));
    Ok(draft.finish(format!("On {members}: {}", goal.summary())))
}

/// The stages after which a plan that moves members or votes has to do with nodes alone.
pub(super) fn out_of_the_way(
    draft: &mut Draft<'_>,
    observed: &ObservedCluster,
) -> Result<(), Obstacle> {
    if draft.config().quorum.device.is_none() {
        return Ok(());
    }
    if !nodes_are_enough(draft) {
        let sentence = "the members that run have quorum by the vote of the QDevice alone, and what is due takes \
                        it away for a while: start the others first";
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    take_off(draft, observed)
}

/// Whether a dead node can only be taken off together with the device: those who are left have quorum by its votes,
/// and have it by their own once neither is expected. While that text spreads, a part that has the device's votes yet
/// and one that counts without them must not both be quorate.
pub(super) fn goes_with_the_dead(draft: &Draft<'_>, dead: &HostName) -> Result<bool, Obstacle> {
    let Some(device) = &draft.config().quorum.device else { return Ok(false) };
    if nodes_are_enough(draft) {
        return Ok(false);
    }
    let of_nodes = expected(&votes::of(draft.config()));
    let running = u64::try_from(draft.group().len()).unwrap_or(u64::MAX);
    let left = of_nodes.saturating_sub(1);
    if !parts_meet((of_nodes, device.votes_of(of_nodes)), left, running) {
        let sentence = format!(
            "those that run have quorum by the votes of the QDevice alone, and while {dead} and the device are taken off \
             the list, one node with those votes and the others without them could both be quorate: bring {dead} back, \
             and change the algorithm or the list while all nodes run"
        );
        return Obstacle::stop(Blocker::NotQuorate, sentence);
    }
    Ok(true)
}

/// Whether the nodes that run have quorum with the device's votes expected and not cast.
fn nodes_are_enough(draft: &Draft<'_>) -> bool {
    let votes = votes::of(draft.config());
    let up = votes.iter().filter(|(id, _)| draft.group().contains_key(id));
    let present = up.map(|(_, votes)| u64::from(*votes)).sum();
    let of_nodes = expected(&votes);
    let of_device = draft.config().quorum.device.as_ref().map(|device| device.votes_of(of_nodes));
    is_quorate(present, of_nodes + of_device.unwrap_or(0))
}

/// The stages at the end of such a plan that put a device where one is wanted. A witness that cannot do its part
/// now is not waited for: it votes later. While others come or go, that is later as well.
pub(super) fn back(
    draft: &mut Draft<'_>,
    desired: &DesiredCluster,
    observed: &ObservedCluster,
) -> Result<(), Obstacle> {
    let Some(wish) = &desired.device else { return Ok(()) };
    if draft.config().nodes.len() != desired.nodes.len() {
        return Ok(());
    }
    match wanted(wish, desired, (observed, draft.config())) {
        Ok(Some(wanted)) if wanted.source.is_ready().is_ok() => put_on(draft, &wanted, observed),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What is to be said of a device that is as it is wanted.
pub(super) fn remarks(desired: &DesiredCluster) -> Vec<String> {
    let Some(DeviceWish::Present(WantedDevice { voter, algorithm, .. })) = &desired.device else {
        return Vec::new();
    };
    let voter = match voter {
        Voter::Managed { witness, .. } => witness.to_string(),
        Voter::External { address, .. } => source::at(*address),
    };
    let nodes = desired.nodes.len();
    let remark = match algorithm {
        AlgorithmWish::Auto if nodes % 2 == 1 => Some(format!(
            "with an odd number of nodes, {nodes}, {voter} does not vote, and there is no QDevice"
        )),
        AlgorithmWish::Lms if nodes > 1 => Some(format!(
            "with lms {voter} has {} votes of {}: all nodes but one may fail while it is there, and none while it \
             is not",
            nodes - 1,
            2 * nodes - 1
        )),
        AlgorithmWish::Auto | AlgorithmWish::FfSplit | AlgorithmWish::Lms => None,
    };
    remark.into_iter().collect()
}

/// The device that the spec wants of these nodes.
fn wanted<'a>(
    wish: &'a DeviceWish,
    desired: &DesiredCluster,
    (observed, config): (&'a ObservedCluster, &Config),
) -> Result<Option<Wanted<'a>>, Obstacle> {
    let DeviceWish::Present(device) = wish else { return Ok(None) };
    let Some(entry) = entry(device.algorithm, desired, config)? else { return Ok(None) };
    let (source, address) = Source::of(&device.voter, desired, observed)?;
    let entry = QuorumDevice { host: Some(address.to_string()), ..entry };
    Ok(Some(Wanted { source, address, entry, generation: device.generation }))
}

/// How a device votes for these nodes; `None`: none is wanted of them. Each daemon ends at its start where a node
/// has other votes than one, and with `ffsplit` where the device has (corosync.md 8.2).
fn entry(
    algorithm: AlgorithmWish,
    desired: &DesiredCluster,
    config: &Config,
) -> Result<Option<QuorumDevice>, Obstacle> {
    let unfit = |sentence: String| Obstacle::stop(Blocker::DeviceUnfit, sentence);
    if let Some(node) = desired.nodes.iter().find(|node| node.votes.is_some_and(|votes| votes != 1))
    {
        let (name, votes) = (&node.name, node.votes.unwrap_or_default());
        return unfit(format!(
            "the spec gives {name} {votes} votes: with a QDevice every node has one"
        ));
    }
    let nodes = config.nodes.len();
    let is_even = nodes.is_multiple_of(2);
    let (name, device_votes) = match algorithm {
        AlgorithmWish::FfSplit if !desired.nodes.len().is_multiple_of(2) => {
            return unfit(format!(
                "ffsplit is for an even number of nodes, and the spec names {}: say Auto, or LMS",
                desired.nodes.len()
            ));
        }
        AlgorithmWish::Auto | AlgorithmWish::FfSplit if is_even => ("ffsplit", Some(1)),
        AlgorithmWish::Lms if nodes > 1 => ("lms", None),
        AlgorithmWish::Auto | AlgorithmWish::FfSplit | AlgorithmWish::Lms => return Ok(None),
    };
    if let Some(node) = config.nodes.iter().find(|node| node.votes() != 1) {
        let (name, votes) = (&node.name, node.votes());
        return unfit(format!(
            "{name} has {votes} votes, and with a QDevice every node has one: say so in the spec"
        ));
    }
    Ok(Some(QuorumDevice {
        model: "net".to_owned(),
        votes: device_votes,
        host: None,
        algorithm: Some(name.to_owned()),
        tls: Some("on".to_owned()),
    }))
}

/// How far a node is with its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The daemon starts with it.
    InUse,
    /// It lies beside and is issued.
    Laid,
    /// It is not there, or not issued.
    Not,
}

impl Wanted<'_> {
    fn certificate_of(&self, device: &DeviceView) -> Held {
        let authority = self.source.authority();
        // A witness that says nothing of its own certificate has not said that it has another one.
        let fits = |held: &CertificateView| {
            held.generation >= self.generation
                && authority.is_none_or(|authority| authority.fingerprint == held.authority)
        };
        let laid = device.laid.as_ref().filter(|laid| fits(&laid.certificate));
        if device.certificate.as_ref().is_some_and(fits) {
            Held::InUse
        } else if laid.is_some_and(|laid| laid.request.is_none()) {
            Held::Laid
        } else {
            Held::Not
        }
    }
}

/// The stages that put it on, whatever is there now.
fn put_on(
    draft: &mut Draft<'_>,
    wanted: &Wanted<'_>,
    observed: &ObservedCluster,
) -> Result<(), Obstacle> {
    let authority = wanted.source.is_ready()?;
    let members = members(draft, observed);
    let held = |want: Held| {
        let those = members.iter().filter(|(_, device)| wanted.certificate_of(device) == want);
        those.map(|(host, _)| host.clone()).collect::<Vec<_>>()
    };
    let asking = held(Held::Not);
    if !asking.is_empty() {
        certify(draft, (wanted, authority), (&asking, observed))?;
    }
    let written = draft.config().quorum.device.as_ref() == Some(&wanted.entry);
    let starting: Vec<_> = if written {
        let laid = [asking, held(Held::Laid)].concat();
        let off = members.iter().filter(|(_, device)| !device.enabled).map(|(host, _)| host);
        let starts = |host: &&HostName| laid.contains(host) || off.clone().any(|off| off == *host);
        members.iter().map(|(host, _)| host).filter(starts).cloned().collect()
    } else {
        stop(draft, observed);
        let links = draft.links().clone();
        let summary = format!("Add the QDevice at {}: {}", wanted.address, words(&wanted.entry));
        draft.write(summary, &links, |text| edit::set_device(text, &wanted.entry))?;
        members.iter().map(|(host, _)| host.clone()).collect()
    };
    if !starting.is_empty() {
        let summary =
            format!("Start corosync-qdevice on {}, until its votes count", list(&starting));
        draft.local(summary, each(&starting, &Action::StartDevice {}));
    }
    Ok(())
}

/// The stages in which these hosts get a certificate each.
fn certify(
    draft: &mut Draft<'_>,
    (wanted, authority): (&Wanted<'_>, &Authority),
    (asking, observed): (&[HostName], &ObservedCluster),
) -> Result<(), Obstacle> {
    let Wanted { source, address, entry: _, generation } = wanted;
    let cluster = draft.config().cluster_name.clone();
    let (witness, generation) = (*address, *generation);
    let (hosts, authority) = (list(asking), authority.certificate.clone());
    match source {
        Source::Witness(name, _) => {
            let request = Action::RequestCertificate { cluster, authority, witness, generation };
            let summary = format!("Make keys on {hosts} and ask {name} for certificates");
            draft.local(summary, each(asking, &request));
            let summary = format!("Take the certificates that {name} issued on {hosts}");
            draft.local(summary, each(asking, &Action::TakeCertificate {}));
        }
        Source::Secret { name, .. } => {
            let import = |host: &HostName| {
                let (cluster, authority) = (cluster.clone(), authority.clone());
                let recipient = sealing_key(host, observed.hosts.get(host))?;
                let import = Action::ImportCertificate {
                    cluster,
                    authority,
                    witness,
                    generation,
                    recipient,
                };
                Ok((host.clone(), vec![import]))
            };
            let actions = asking.iter().map(import).collect::<Result<_, Obstacle>>()?;
            let summary =
                format!("Take the certificate for {source} from the Secret {name} on {hosts}");
            draft.local(summary, actions);
        }
    }
    Ok(())
}

fn words(entry: &QuorumDevice) -> String {
    entry.algorithm.clone().unwrap_or_default()
}

/// The stages that take it off, whatever is there now.
fn take_off(draft: &mut Draft<'_>, observed: &ObservedCluster) -> Result<(), Obstacle> {
    stop(draft, observed);
    if draft.config().quorum.device.is_some() {
        let links = draft.links().clone();
        draft.write("Take the QDevice out".to_owned(), &links, edit::remove_device)?;
    }
    Ok(())
}

/// Daemons whose device the text has no more.
pub(super) fn stop_without_text(draft: &mut Draft<'_>, observed: &ObservedCluster) {
    stop(draft, observed);
}

/// Nobody stops twice in one plan: what was stopped before the text lost its device is off.
fn stop(draft: &mut Draft<'_>, observed: &ObservedCluster) {
    if draft.has_action(&Action::StopDevice {}) {
        return;
    }
    let members = members(draft, observed);
    let running = members.iter().filter(|(_, device)| is_there(device));
    let running: Vec<_> = running.map(|(host, _)| host.clone()).collect();
    if !running.is_empty() {
        let summary = format!("Stop corosync-qdevice on {}", list(&running));
        draft.local(summary, each(&running, &Action::StopDevice {}));
    }
}

/// Keys and certificates go only where no device is wanted at all.
fn put_away(draft: &mut Draft<'_>, desired: &DesiredCluster, observed: &ObservedCluster) {
    if !desired.device.as_ref().is_some_and(forgets) {
        return;
    }
    let members = members(draft, observed);
    let holding = members.iter().filter(|(_, device)| has_any(device));
    let holding: Vec<_> = holding.map(|(host, _)| host.clone()).collect();
    if !holding.is_empty() {
        let summary = format!("Put the certificates of the QDevice away on {}", list(&holding));
        draft.local(summary, each(&holding, &Action::PutDeviceAway {}));
    }
}

fn forgets(wish: &DeviceWish) -> bool {
    match wish {
        DeviceWish::Absent => true,
        DeviceWish::Present(_) => false,
    }
}

const fn is_there(device: &DeviceView) -> bool {
    device.enabled || device.alive
}

const fn has_any(device: &DeviceView) -> bool {
    device.certificate.is_some() || device.laid.is_some()
}

/// The members of the draft, with what they say of the device.
fn members(draft: &Draft<'_>, observed: &ObservedCluster) -> Vec<(HostName, DeviceView)> {
    let device = |host: &HostName| observed.hosts.get(host).map(|view| view.device.clone());
    let members = draft.group().values();
    members.map(|host| (host.clone(), device(host).unwrap_or_default())).collect()
}

fn each(hosts: &[HostName], action: &Action) -> BTreeMap<HostName, Vec<Action>> {
    hosts.iter().map(|host| (host.clone(), vec![action.clone()])).collect()
}

fn list(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::to_string).collect::<Vec<_>>().join(", ")
}
