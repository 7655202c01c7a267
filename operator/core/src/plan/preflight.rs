//! Whether a machine can become a member, with everything that stands in the way in one sentence: whoever
//! mends one thing at a time waits for the next refusal each time.

use std::net::IpAddr;

use super::ground::{self, InForce, Member};
use super::report::{Blocker, Obstacle};
use crate::change::{Course, Plan, Proposed, Risk, Stage};
use crate::desired::DesiredCluster;
use crate::fitness::{CLOCKS_DIFFER_SECS, Fitness, Package, StrayName};
use crate::ids::HostName;
use crate::observed::ObservedCluster;

/// Why a machine cannot join these members now; all that is known beforehand.
pub(super) fn of_joiner<'a>(
    joiner: &Member<'_>,
    members: impl Iterator<Item = &'a Member<'a>>,
) -> Vec<Obstacle> {
    let mut faults: Vec<Obstacle> =
        [has_nothing(joiner), has_no_guests(joiner), has_a_name(joiner)]
            .into_iter()
            .flatten()
            .collect();
    let (mut versions, mut clocks) = (None, None);
    for member in members {
        versions = versions.or_else(|| versions_differ(joiner, member));
        clocks = clocks.or_else(|| clocks_differ(joiner, member));
    }
    faults.extend(versions.into_iter().chain(clocks));
    faults
}

/// Why a cluster cannot be formed of these machines now.
pub(super) fn of_founders(founders: &[Member<'_>]) -> Vec<Obstacle> {
    let Some((first, others)) = founders.split_first() else { return Vec::new() };
    // The first one keeps its configuration database, with its guests.
    let own = [has_nothing(first), has_a_name(first)].into_iter().flatten();
    let joiners = others.iter().flat_map(|other| of_joiner(other, [first].into_iter()));
    own.chain(joiners).collect()
}

/// Members that are upgraded one after the other have different corosyncs for a while. No text is written then for
/// all of them to read again, unless quorum is lost and nothing else brings it back.
pub(super) fn refuse_mixed(ground: &InForce<'_>, plan: &Plan<Proposed>) -> Result<(), Obstacle> {
    let reloads = |stage: &Stage| stage.course == Course::Write && stage.risk != Risk::Recovery;
    let mut running = ground.up().map(|(_, member)| member);
    let Some(first) = running.next().filter(|_| plan.stages.iter().any(reloads)) else {
        return Ok(());
    };
    let apart = |other: &&Member<'_>| other.view.fitness.reloads_apart_from(&first.view.fitness);
    let Some(other) = running.find(apart) else { return Ok(()) };
    let said = |Member { node, view }: &Member<'_>| {
        let version = view.fitness.corosync_version.as_deref().unwrap_or_default();
        format!("{} has corosync {version}", node.host)
    };
    let sentence = format!(
        "{} and {}, and corosync supports no reload while versions differ: finish the upgrade first",
        said(first),
        said(other)
    );
    Obstacle::stop(Blocker::VersionsDiffer, sentence)
}

/// What is to be said of members that would not be let in today. It stops nothing: they run.
pub(super) fn remarks(desired: &DesiredCluster, observed: &ObservedCluster) -> Vec<String> {
    let nodes = desired.nodes.iter();
    let running =
        nodes.filter_map(|node| Some(Member { node, view: ground::view(node, observed)? }));
    let running: Vec<_> = running.filter(|member| member.view.running_version.is_some()).collect();
    let names = running.iter().filter_map(has_a_name);
    let clocks = running
        .split_first()
        .and_then(|(first, others)| others.iter().find_map(|other| clocks_differ(other, first)));
    let stray = running.iter().flat_map(|Member { node, view }| {
        view.fitness.stray_names.iter().map(|name| astray(&node.host, name))
    });
    names.chain(clocks).map(|fault| fault.sentence).chain(stray).collect()
}

/// Two machines that take a name for different ones.
fn astray(host: &HostName, StrayName { name, here, own }: &StrayName) -> String {
    let here: Vec<_> = here.iter().map(IpAddr::to_string).collect();
    format!(
        "the name {name} leads to {} on {host}, and {name} itself has {own} for it: `{own} {name}` belongs in \
         /etc/hosts on {host}, or what is wrong there comes from its name server",
        here.join(", ")
    )
}

/// One refusal for all of them, under the name of the first.
pub(super) fn refuse(faults: &[Obstacle]) -> Result<(), Obstacle> {
    let sentences: Vec<_> = faults.iter().map(|fault| fault.sentence.as_str()).collect();
    let sentence = sentences.join("; ");
    match faults.first() {
        Some(first) => Obstacle::stop(first.blocker, sentence),
        None => Ok(()),
    }
}

/// Anything of a cluster on the machine.
fn has_nothing(joiner: &Member<'_>) -> Option<Obstacle> {
    let Member { node, view } = joiner;
    if view.is_empty() {
        return None;
    }
    let what =
        if view.running_version.is_some() { "corosync runs" } else { "there is a corosync.conf" };
    let sentence = format!("{} cannot join, {what} on it already", node.host);
    Some(Obstacle::new(Blocker::HostNotEmpty, sentence))
}

/// A joiner's own configuration database is set aside: its guests would be gone.
fn has_no_guests(Member { node, view }: &Member<'_>) -> Option<Obstacle> {
    let guests: Vec<_> = view.guests.iter().map(u32::to_string).collect();
    let sentence =
        || format!("{} cannot join while it has guests: {}", node.host, guests.join(", "));
    (!guests.is_empty()).then(|| Obstacle::new(Blocker::GuestsOnJoiner, sentence()))
}

/// Its own name leads to it.
fn has_a_name(Member { node, view }: &Member<'_>) -> Option<Obstacle> {
    let told = view.fitness.name_addresses.as_ref().filter(|_| view.fitness.is_nameless())?;
    let to = match told.first() {
        Some(loopback) => format!("only to {loopback}"),
        None => "to nothing".to_owned(),
    };
    let sentence = format!(
        "the name {} resolves {to} on {}, and pmxcfs does not start so: give it an address of the host in \
         /etc/hosts there",
        view.hostname, node.host
    );
    Some(Obstacle::new(Blocker::NameNotResolved, sentence))
}

fn versions_differ(joiner: &Member<'_>, member: &Member<'_>) -> Option<Obstacle> {
    let package = joiner.view.fitness.unlike(&member.view.fitness)?;
    let said = |Member { node, view }: &Member<'_>| {
        let Fitness { corosync_version, pmxcfs_version, .. } = &view.fitness;
        let (name, version) = match package {
            Package::Corosync => ("corosync", corosync_version),
            Package::PveCluster => ("pve-cluster", pmxcfs_version),
        };
        format!("{} has {name} {}", node.host, version.as_deref().unwrap_or_default())
    };
    let (joiner, member) = (said(joiner), said(member));
    let sentence =
        format!("{joiner} and {member}, which do not work together: upgrade the older one");
    Some(Obstacle::new(Blocker::VersionsDiffer, sentence))
}

fn clocks_differ(joiner: &Member<'_>, member: &Member<'_>) -> Option<Obstacle> {
    if !joiner.view.fitness.is_apart_from(&member.view.fitness) {
        return None;
    }
    let sentence = format!(
        "the clocks of {} and {} differ by more than {CLOCKS_DIFFER_SECS} s: set the wrong one, and have both \
         follow the same time servers",
        joiner.node.host, member.node.host
    );
    Some(Obstacle::new(Blocker::ClocksDiffer, sentence))
}
