//! Votes, how many failures they survive, and who does not count the device's. Pure but for what is remembered of
//! the last look.

use pvecm_core::conf::{Document, Overview};
use pvecm_core::ids::Digest;
use pvecm_core::observed::HostView;
use pvecm_core::whatif::{Electorate, Margin, Standing};
use pvecm_crds::cluster::{NodeStatus, QuorumStatus};
use pvecm_crds::host::HostQuorum;

use super::{InForce, Observation};
use crate::context::Margins;

/// What a file foretells of a cluster that stands so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foretold {
    /// The file's device.
    pub device: Option<Device>,
    /// How many further nodes may fail; `None`: it is not foretold.
    pub margin: Option<Margin>,
}

/// The device of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its votes.
    pub votes: u64,
    /// Where it is.
    pub address: String,
    /// Why every corosync-qdevice ends at its start.
    pub never_votes: Option<String>,
}

/// What a file was asked about: while that is the same, so is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    digest: Digest,
    standing: Standing,
}

impl Foretold {
    /// Reads it from a file.
    fn of(text: &str, standing: &Standing) -> Self {
        let document = Document::parse(text.as_bytes());
        let quorum = Overview::of(&document).quorum;
        let electorate = Electorate::of(&document).ok();
        let model = electorate.as_ref().and_then(Electorate::device);
        let row = |key: &str| quorum.device.iter().find(|row| row.key == key);
        let device = quorum.votes.device_votes.as_ref().map(|votes| Device {
            votes: votes.value,
            address: row("quorum.device.net.host").map(|row| row.value.clone()).unwrap_or_default(),
            never_votes: model.and_then(|device| device.never_votes.clone()),
        });
        let margin = electorate.and_then(|electorate| Margin::of(&electorate, standing));
        Self { device, margin }
    }
}

/// The votes as the quorate part counts them, and what is to be said of a device that does not vote.
pub fn quorum(
    (seen, in_force): (&Observation, Option<&InForce<'_>>),
    nodes: &[NodeStatus],
    margins: &Margins,
) -> (Option<QuorumStatus>, Option<String>) {
    let Some((view, counts)) = counted(seen) else { return (None, None) };
    let standing = standing(view, counts);
    let has_device = standing.has_device;
    let foretold = in_force.map(|InForce { digest, text, .. }| {
        let question = Question { digest: *digest, standing };
        margins.of(&seen.key, question, |question| Foretold::of(text, &question.standing))
    });
    let Foretold { device, margin } = foretold.unwrap_or_default();
    let silent = device.iter().flat_map(|_| silent(seen, in_force)).collect::<Vec<_>>();
    let fault = device.as_ref().and_then(|device| fault(device, &silent, seen));
    let votes = device.map(|device| i64::try_from(device.votes).unwrap_or(i64::MAX));
    let cast = votes.map(|votes| if has_device { votes } else { 0 });
    let online = nodes.iter().filter(|node| node.online).filter_map(|node| node.votes);
    let online: Vec<i64> = online.collect();
    let counted = |present| failures_survived(present, counts.quorum_votes, &online);
    let failures_survived = margin.map_or_else(|| counted(counts.total_votes), |m| few(m.nodes));
    let without = cast.map(|cast| {
        let foretold = margin.and_then(|margin| margin.without_device).map(few);
        foretold.unwrap_or_else(|| counted(counts.total_votes - cast))
    });
    let status = QuorumStatus {
        present: counts.total_votes,
        expected: counts.expected_votes,
        needed: counts.quorum_votes,
        device: cast,
        device_missing_on: silent.into_iter().take(64).collect(),
        failures_survived,
        failures_survived_without_device: without,
    };
    (Some(status), fault)
}

/// The host that counts most, of the quorate ones if there are any.
fn counted(seen: &Observation) -> Option<(&HostView, &HostQuorum)> {
    let heard = seen.view.hosts.iter().filter(|(_, view)| view.connected);
    let counts = heard.filter_map(|(name, view)| {
        Some((view, seen.hosts.get(name)?.status.as_ref()?.quorum.as_ref()?))
    });
    counts.max_by_key(|(view, counts)| (view.quorate, counts.total_votes, view.device.casts))
}

fn standing(view: &HostView, counts: &HostQuorum) -> Standing {
    let number = |votes: i64| u64::try_from(votes).unwrap_or(0);
    Standing {
        members: view.members.clone(),
        has_device: view.device.casts,
        present: number(counts.total_votes),
        expected: number(counts.expected_votes),
        needed: number(counts.quorum_votes),
    }
}

/// The members that run the file with the device and do not count its votes.
fn silent<'a>(
    seen: &'a Observation,
    in_force: Option<&'a InForce<'_>>,
) -> impl Iterator<Item = String> + 'a {
    let version = in_force.map(|in_force| in_force.config.version);
    let runs = move |view: &&HostView| {
        view.connected && view.running_version.is_some() && view.running_version == version
    };
    let members = seen.view.hosts.values().filter(runs);
    members.filter(|view| !view.device.casts).map(|view| view.hostname.clone())
}

fn fault(device: &Device, silent: &[String], seen: &Observation) -> Option<String> {
    let Device { votes: _, address, never_votes } = device;
    let first = silent.first()?;
    if let Some(why) = never_votes {
        return Some(format!("the device never votes: {why}"));
    }
    let (who, verb) = (silent.join(", "), if silent.len() == 1 { "does" } else { "do" });
    let of = if silent.len() == 1 { format!(" on {first}") } else { " there".to_owned() };
    let unheard = seen.view.witness.as_ref().is_some_and(|witness| !witness.connected);
    let unheard = if unheard { "; its agent is not heard either" } else { "" };
    Some(format!(
        "{who} {verb} not count the votes of the device at {address}: look at `systemctl status \
         corosync-qdevice`{of}, and whether TCP port 5403 of {address} is reached from there{unheard}"
    ))
}

fn few(failures: usize) -> i32 {
    i32::try_from(failures).unwrap_or(64).min(64)
}

/// How many nodes may fail, those with the most votes first, before quorum is lost.
fn failures_survived(present: i64, needed: i64, votes: &[i64]) -> i32 {
    let mut votes = votes.to_vec();
    votes.sort_unstable_by(|a, b| b.cmp(a));
    let left = votes.into_iter().scan(present, |left, votes| {
        *left -= votes;
        Some(*left)
    });
    few(left.take_while(|left| *left >= needed).count())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::ClusterKey;

    #[test]
    fn the_same_file_and_membership_are_gone_through_once() {
        let (margins, asked) = (Margins::default(), Cell::new(0));
        let key = ClusterKey::new("pve", "prod");
        let look = |has_device: bool| {
            let members = BTreeSet::new();
            let standing = Standing { members, has_device, present: 3, expected: 3, needed: 2 };
            let question = Question { digest: Digest::of(b"text"), standing };
            margins.of(&key, question, |_| {
                asked.set(asked.get() + 1);
                Foretold::default()
            });
        };
        [true, true, false, false].into_iter().for_each(look);
        assert_eq!(asked.get(), 2);
        margins.forget(&key);
        look(false);
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn the_worst_failures_come_first() {
        let survived = |needed, votes: &[i64]| failures_survived(votes.iter().sum(), needed, votes);
        assert_eq!(survived(2, &[1, 1, 1]), 1);
        assert_eq!(survived(3, &[1, 1, 1, 1]), 1);
        assert_eq!(survived(3, &[1, 1, 1, 1, 1]), 2);
        assert_eq!(survived(3, &[3, 1, 1]), 0);
        assert_eq!(survived(2, &[1, 1]), 0);
    }
}
