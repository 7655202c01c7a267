//! Quorum is lost for good: corosync is told to expect no more votes than those who are left have.
//!
//! It tells all members of its part, and holds until the next reload, or until somebody comes who expects more
//! (facts/corosync.md 9.2). So every survivor says it, to have looked for the dead before, and puts it back with a
//! reload when quorum does not follow. Once it did, that is [`crate::agent`]'s business.

use std::collections::BTreeSet;

use pvecm_core::ids::NodeId;

use super::Undone;
use super::action::{Task, wait};
use super::leave::{is_seen, nodes};
use super::probe::{parent_in_force, parent_lies};
use crate::host_ports::Host;
use crate::observe::Observation;
use crate::ports::CorosyncView;

/// Lowers the expected votes to those of the survivors, and waits until this host is quorate and /etc/pve takes
/// writes: without that the shorter list could be written by nobody.
pub async fn lower(
    host: &Host,
    task: &Task<'_>,
    (votes, dead): (u32, &BTreeSet<NodeId>),
) -> Result<(), Undone> {
    let survivors = nodes(&task.pending.stage.config.text).map_err(Undone::NotBegun)?;
    let survivors = survivors.difference(dead).copied().collect();
    let who = (&survivors, dead);
    let seen = Observation::take(host);
    parent_lies(task.pending.expects.as_ref(), &seen).map_err(Undone::NotBegun)?;
    may_lower(&seen, votes, who).map_err(Undone::NotBegun)?;
    let lowered = host.corosync.set_expected_votes(votes).map_err(|error| error.to_string());
    let lowered = match lowered {
        Ok(()) => wait(host, task.deadline_ms, |seen| has_quorum(task, seen, who)).await,
        Err(why) => Err(format!("the expected votes cannot be lowered: {why}")),
    };
    let Err(why) = lowered else { return Ok(()) };
    Err(match host.corosync.reload() {
        Ok(()) => Undone::PutBack(why),
        Err(also) => {
            Undone::Stuck(format!("{why}; and the expected votes are not put back: {also}"))
        }
    })
}

type Who<'a> = (&'a BTreeSet<NodeId>, &'a BTreeSet<NodeId>);

/// A part that is quorate lacks nothing, unless another survivor was faster, or this agent before it ended.
fn may_lower(seen: &Observation, votes: u32, who: Who<'_>) -> Result<(), String> {
    let corosync = seen.corosync.as_ref().ok_or("corosync does not run")?;
    only_survivors_are_here(corosync, who)?;
    let counted = corosync.votes.ok_or("corosync does not count votes")?;
    if counted.total != votes {
        return Err(format!("corosync counts {} votes here, not {votes}", counted.total));
    }
    if corosync.quorate && counted.expected != votes {
        return Err("this host is in the quorate part: nothing has to be recovered".to_owned());
    }
    Ok(())
}

/// A person can be wrong about a machine. With one survivor missing, both parts of them would go on.
fn only_survivors_are_here(
    corosync: &CorosyncView,
    (survivors, dead): Who<'_>,
) -> Result<(), String> {
    if let Some(node) = dead.iter().find(|node| is_seen(corosync, **node)) {
        return Err(format!("node {node} is declared dead, and it is seen from here"));
    }
    match survivors.symmetric_difference(&corosync.members).next() {
        Some(node) => Err(format!("the membership is not that of the survivors: see node {node}")),
        None => Ok(()),
    }
}

fn has_quorum(task: &Task<'_>, seen: &Observation, who: Who<'_>) -> Result<(), String> {
    let corosync = seen.corosync.as_ref().ok_or("corosync does not run")?;
    only_survivors_are_here(corosync, who)?;
    parent_in_force(task.pending.expects.as_ref(), seen)?;
    if seen.writable { Ok(()) } else { Err("/etc/pve takes no writes".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Pending;
    use crate::ports::{Clock as _, Votes};
    use crate::seal::SealingKey;
    use pvecm_core::change::{Action, ConfText, Course, Parent, Risk, Stage};
    use pvecm_core::ids::{ChangeNumber, ConfigVersion};
    use pvecm_core::protocol::Attempt;
    use std::collections::BTreeMap;

    fn node(id: u32) -> NodeId {
        NodeId::try_from(id).unwrap()
    }

    fn list(nodes: u32) -> ConfText {
        let node =
            |n: u32| format!("node {{\n name: n{n}\n nodeid: {n}\n ring0_addr: 10.0.0.{n}\n }}\n");
        let all: String = (1..=nodes).map(node).collect();
        let text = format!(
            "totem {{\n version: 2\n cluster_name: prod\n config_version: 7\n}}\nnodelist {{\n{all}}}\n\
             quorum {{\n provider: corosync_votequorum\n}}\n"
        );
        ConfText::new(ConfigVersion(7), text)
    }

    /// The survivor of three.
    fn survivor() -> FakeHost {
        let fake = FakeHost::member(&list(3).text);
        let mut world = fake.world();
        world.votes = Some(Votes { expected: 3, total: 1, needed: 2 });
        world.listed_votes = 3;
        world.links = [2, 3].map(|n| ((node(n), 0.try_into().unwrap()), false)).into();
        drop(world);
        fake
    }

    async fn lowered(fake: &FakeHost) -> Result<(), Undone> {
        let config = list(3);
        let expects = Some(Parent { version: config.version, digest: config.digest });
        let dead: BTreeSet<_> = [2, 3].map(node).into();
        let lower = Action::SetExpectedVotes { votes: 1, dead: dead.clone() };
        let stage = Stage {
            summary: String::new(),
            risk: Risk::Recovery,
            course: Course::Local,
            group: BTreeMap::new(),
            joining: BTreeMap::new(),
            config,
            back: None,
            actions: [("n1".parse().unwrap(), vec![lower])].into(),
            probes: Vec::new(),
            limits: BTreeMap::new(),
            confirm_timeout_secs: 5,
        };
        let pending = Pending {
            attempt: Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 },
            stage,
            expects,
            parent: None,
            datacenter: None,
            daemon: None,
            had_authkey: true,
            keys: None,
            record: None,
            recorded_at: fake.now(),
        };
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let pinned = BTreeMap::new();
        let task = Task {
            pending: &pending,
            key: &key,
            sealed: None,
            certificate: None,
            pinned: &pinned,
            deadline_ms: 5_000,
        };
        lower_it(fake, &task, &dead).await
    }

    async fn lower_it(
        fake: &FakeHost,
        task: &Task<'_>,
        dead: &BTreeSet<NodeId>,
    ) -> Result<(), Undone> {
        lower(&fake.host(), task, (1, dead)).await
    }

    #[tokio::test]
    async fn the_survivor_expects_its_own_votes_and_has_quorum_also_at_the_second_try() {
        let fake = survivor();
        for _ in 0..2 {
            assert_eq!(lowered(&fake).await, Ok(()));
            assert_eq!(fake.world().votes.unwrap().expected, 1);
        }
        assert_eq!(fake.world().reloads, 0);
    }

    /// Switched on in the middle, it would be in two quorate parts.
    #[tokio::test]
    async fn a_dead_one_that_is_seen_from_here_keeps_its_vote() {
        let spoils: [fn(&FakeHost); 2] = [
            |fake| fake.world().others.extend([node(2)]),
            |fake| {
                let key = (node(3), 0.try_into().unwrap());
                fake.world().links.insert(key, true);
            },
        ];
        for spoil in spoils {
            let fake = survivor();
            spoil(&fake);
            let refused = lowered(&fake).await;
            assert!(
                matches!(&refused, Err(Undone::NotBegun(why)) if why.contains("declared dead"))
            );
            assert_eq!(fake.world().votes.unwrap().expected, 3);
        }
    }

    /// Another one than all survivors, and no others: two parts of them would both go on.
    #[tokio::test]
    async fn a_stranger_in_the_membership_stops_it() {
        let fake = survivor();
        fake.world().others.extend([node(4)]);
        let refused = lowered(&fake).await;
        assert!(matches!(&refused, Err(Undone::NotBegun(why)) if why.contains("see node 4")));
    }

    #[tokio::test]
    async fn a_part_that_is_quorate_or_counts_other_votes_is_left_alone() {
        for (votes, words) in [
            (Votes { expected: 2, total: 1, needed: 1 }, "quorate part"),
            (Votes { expected: 3, total: 2, needed: 2 }, "counts 2 votes"),
        ] {
            let fake = survivor();
            fake.world().votes = Some(votes);
            let refused = lowered(&fake).await;
            assert!(
                matches!(&refused, Err(Undone::NotBegun(why)) if why.contains(words)),
                "{refused:?}"
            );
            assert_eq!(fake.world().votes, Some(votes));
        }
    }

    /// With fewer votes expected and a list that nobody can write, the next one who comes alone would be quorate.
    #[tokio::test]
    async fn votes_that_were_lowered_for_nothing_are_put_back() {
        let fake = survivor();
        fake.world().is_read_only = true;
        let failed = lowered(&fake).await;
        assert!(matches!(failed, Err(Undone::PutBack(_))), "{failed:?}");
        assert_eq!(fake.world().votes.unwrap().expected, 3);
    }
}
