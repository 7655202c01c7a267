//! Guards on votes that are taken from the dead.

use super::{proposed, verdict};
use crate::change::{Action, ConfText, Course, Risk, Stage};
use crate::conf::{Document, edit};
use crate::guard::{Refusal, guard};
use crate::ids::ConfigVersion;
use crate::plan::tests::world::{World, host, id};

/// Two of five are left, and hold 2 of 5 votes.
fn lost() -> World {
    World::running(5, &[0]).without(&[2, 4, 5])
}

/// What the guards say of a plan in a world that has changed since it was made.
fn after(spoil: impl FnOnce(&mut World)) -> Result<(), Refusal> {
    let mut world = lost();
    let plan = proposed(&world);
    spoil(&mut world);
    guard(plan, &world.desired, &world.observed).map(drop)
}

fn lowering(
    stages: &mut [Stage],
) -> (&mut u32, &mut std::collections::BTreeSet<crate::ids::NodeId>) {
    match stages[0].actions.get_mut(&host(3)).unwrap().first_mut().unwrap() {
        Action::SetExpectedVotes { votes, dead } => (votes, dead),
        other => panic!("{other:?}"),
    }
}

#[test]
fn recoveries_as_the_planner_makes_them_are_proven() {
    let worlds = [
        lost(),
        World::running(2, &[0]).without(&[1]),
        World::running(3, &[0, 1]).without(&[1, 2]),
    ];
    for world in worlds {
        assert_eq!(verdict(&world, |_| ()), Ok(()));
    }
}

/// Two quorate parts: each starts the guests of the other.
#[test]
fn a_cluster_that_is_quorate_is_taken_no_vote_from() {
    let quorate = after(|world| {
        for number in [1, 3] {
            world.host(number).quorate = true;
        }
    });
    assert_eq!(quorate, Err(Refusal::RecoveryNotNeeded { host: host(1) }));
    // The votes of three of four are enough: what they lack is something else.
    let mut world = World::running(4, &[0]).without(&[4]);
    let mut plan = proposed(&world);
    let votes = Action::SetExpectedVotes { votes: 3, dead: [id(4)].into() };
    let mut lower = proposed(&lost()).stages.remove(0);
    lower.config =
        ConfText::new(ConfigVersion(7), world.host(1).pmxcfs_file.clone().unwrap().text.unwrap());
    lower.actions = [1, 2, 3].map(|number| (host(number), vec![votes.clone()])).into();
    plan.stages.insert(0, lower);
    for number in [1, 2, 3] {
        world.host(number).quorate = false;
    }
    let enough = guard(plan, &world.desired, &world.observed);
    assert_eq!(enough, Err(Refusal::RecoveryNotNeeded { host: host(1) }));
}

/// A machine that runs on behind a cut would be a second cluster with the same guests.
#[test]
fn who_is_not_declared_dead_keeps_the_vote() {
    let taken_back = after(|world| world.host(2).absence = None);
    assert!(matches!(taken_back, Err(Refusal::ViewNotSound { .. })), "{taken_back:?}");
    // One that has stopped to leave comes back when somebody lists it again.
    let leaves = after(|world| {
        let view = world.host(4);
        (view.absence, view.connected, view.running_version) = (None, true, None);
        view.members.clear();
        world.desired.nodes.remove(3);
    });
    assert_eq!(leaves, Err(Refusal::NotBuried { stage: 2 }));
    let other = verdict(&lost(), |stages| {
        lowering(stages).1.remove(&id(5));
    });
    assert_eq!(other, Err(Refusal::RecoveryNotWhole { stage: 1 }));
    let fewer = verdict(&lost(), |stages| *lowering(stages).0 = 1);
    assert_eq!(fewer, Err(Refusal::RecoveryNotWhole { stage: 1 }));
}

#[test]
fn a_dead_one_that_is_seen_since_the_plan_was_made_refuses_it() {
    let seen = Err(Refusal::DeadIsSeen { host: host(4) });
    assert_eq!(after(|world| world.host(4).connected = true), seen);
    let link = |world: &mut World| world.host(3).link_faults.retain(|(_, node)| *node != id(4));
    assert_eq!(after(link), seen);
    let member = after(|world| world.host(3).members.extend([id(4)]));
    assert!(matches!(member, Err(Refusal::ViewNotSound { .. })), "{member:?}");
}

/// One that is left out goes on counting by the old list.
#[test]
fn all_survivors_lower_what_they_expect_in_one_membership() {
    let left_out = verdict(&lost(), |stages| drop(stages[0].actions.remove(&host(3))));
    assert_eq!(left_out, Err(Refusal::RecoveryNotWhole { stage: 1 }));
    let apart = after(|world| world.host(3).ring = Some("3.7".to_owned()));
    assert!(matches!(apart, Err(Refusal::ViewNotSound { .. })), "{apart:?}");
    let silent = after(|world| world.host(3).connected = false);
    assert!(matches!(silent, Err(Refusal::ViewNotSound { .. })), "{silent:?}");
}

/// The reload would set the expected votes back to those of the list: quorum is lost again, with high
/// availability armed meanwhile.
#[test]
fn none_of_the_dead_stays_on_the_list() {
    let stays = verdict(&lost(), |stages| {
        let parent = Document::parse(stages[0].config.text.as_bytes());
        let kept =
            edit::remove_node(&parent, id(2)).and_then(|text| edit::remove_node(&text, id(4)));
        super::edited(&mut stages[1].config, |text| {
            edit::set_version(&kept.unwrap(), Document::version(text).unwrap()).unwrap()
        });
        for own in stages[1].actions.values_mut() {
            own.pop();
        }
        stages.truncate(2);
    });
    assert_eq!(stays, Err(Refusal::RecoveryNotWhole { stage: 2 }));
    let only_lowered = verdict(&lost(), |stages| stages.truncate(1));
    assert!(only_lowered.is_err(), "{only_lowered:?}");
}

#[test]
fn votes_are_lowered_first_once_and_never_in_another_plan() {
    let again = verdict(&lost(), |stages| {
        let config = stages[1].config.clone();
        stages.push(Stage { config, ..stages[0].clone() });
    });
    assert_eq!(again, Err(Refusal::RecoveryNotWhole { stage: 3 }));
    let mut world = World::running(3, &[0]);
    world.desired.nodes.pop();
    let elsewhere = verdict(&world, |stages| {
        let lower = Action::SetExpectedVotes { votes: 2, dead: [id(3)].into() };
        stages[0].actions.insert(host(1), vec![lower]);
    });
    assert!(matches!(elsewhere, Err(Refusal::RecoveryNotNeeded { .. })), "{elsewhere:?}");
}

/// Whoever allows restarts has not allowed this.
#[test]
fn the_risk_is_told() {
    for stage in [0, 1] {
        let hidden = verdict(&lost(), |stages| stages[stage].risk = Risk::Outage);
        assert_eq!(hidden, Err(Refusal::RiskHidden { stage: stage + 1 }));
    }
}

#[test]
fn without_a_recovery_no_two_leave_at_once() {
    let refused = verdict(&lost(), |stages| {
        stages.remove(0);
        assert_eq!(stages[0].course, Course::Write);
    });
    assert!(refused.is_err(), "{refused:?}");
}
