//! Quorum is lost, and those whom it was lost with are dead.

use super::goldens::{round, settles};
use super::world::{World, host, id};
use crate::change::{Action, Course, Risk};
use crate::conf::TRANSPORT;
use crate::ha::HaState;
use crate::plan::{Blocker, Planned, State, plan};

fn planned(world: &World) -> Planned {
    plan(&world.desired, &world.observed)
}

fn blocker(world: &World) -> (Blocker, String) {
    let Planned { report, .. } = planned(world);
    match report.state {
        State::Blocked(blocker) => (blocker, report.sentence),
        other => panic!("{other:?}: {}", report.sentence),
    }
}

/// Both others of three are dead.
fn lost() -> World {
    World::running(3, &[0]).without(&[2, 3])
}

#[test]
fn the_survivor_of_three_gets_quorum_back_without_both_dead_at_once() {
    let mut world = lost();
    insta::assert_snapshot!(round(&mut world));
    assert_eq!(world.text().nodes.len(), 1);
    world.host(1).link_faults.clear();
    let said = round(&mut world);
    assert!(said.contains("exchange the authkey, generation 1"), "{said}");
    settles(&world);
}

#[test]
fn they_come_back_one_by_one_once_nobody_calls_them_dead_any_more() {
    let mut world = lost();
    round(&mut world);
    world.host(1).link_faults.clear();
    round(&mut world);
    for number in [2, 3] {
        let fresh = World::new(3).observed.hosts.remove(&host(number)).unwrap();
        world.observed.hosts.insert(host(number), fresh);
        // It takes the key of those whom it joins.
        world.host(number).authkey = world.host(1).authkey;
        let plan = planned(&world).plan.unwrap();
        let mut actions = plan.stages.iter().flat_map(|stage| stage.actions.values().flatten());
        let swept = actions.find_map(|action| match action {
            Action::Sweep(gone) => Some(gone.keeps_key),
            _other => None,
        });
        assert_eq!(
            swept,
            Some(None),
            "the key by which the dead one asks would stay for the new one"
        );
        let said = round(&mut world);
        assert!(said.contains(&format!("n{number} joins")), "{said}");
    }
    assert_eq!(world.text().nodes.len(), 3);
    let numbers: Vec<_> = world.text().nodes.iter().map(|node| node.id).collect();
    assert_eq!(numbers, [1, 4, 5].map(id), "the numbers of the dead are given to nobody");
}

#[test]
fn whoever_could_be_a_second_cluster_is_named_in_the_first_sentence() {
    let said = |world: &World| planned(world).report.sentence;
    let warns =
        "without n2, n3, which hold 2 of 3 votes and are a second quorate cluster if they run";
    assert!(said(&lost()).contains(warns), "{}", said(&lost()));
    let half = World::running(2, &[0]).without(&[2]);
    assert!(!said(&half).contains("second"), "{}", said(&half));
}

#[test]
fn all_survivors_act_and_none_of_them_begins_by_itself() {
    let world = World::running(5, &[0]).without(&[2, 4, 5]);
    let plan = planned(&world).plan.unwrap();
    assert_eq!(plan.risk(), Risk::Recovery);
    let lower = Action::SetExpectedVotes { votes: 2, dead: [2, 4, 5].map(id).into() };
    let wanted = [1, 3].map(|number| (host(number), vec![lower.clone()]));
    assert_eq!(plan.stages[0].actions, wanted.into());
    assert_eq!(plan.stages[1].course, Course::Write);
    assert_eq!(plan.stages[1].actions[&host(3)].len(), 3, "each buries every one");
}

#[test]
fn those_who_are_quorate_without_the_dead_recover_nothing() {
    let world = World::running(4, &[0]).without(&[4]);
    let said = planned(&world).plan.unwrap().summary;
    assert!(said.contains("n4 leaves the cluster"), "{said}");
    // Their votes are enough: what they lack is something else, and taking votes does not mend it.
    let mut world = world;
    for number in 1..4 {
        world.host(number).quorate = false;
    }
    assert_eq!(blocker(&world).0, Blocker::NotQuorate);
}

#[test]
fn one_that_has_stopped_to_leave_is_not_dead_and_a_part_with_quorum_lacks_nothing() {
    let recovers =
        |world: &World| planned(world).plan.is_some_and(|plan| plan.risk() == Risk::Recovery);
    let mut world = lost();
    assert!(recovers(&world));
    world.host(1).quorate = true;
    assert!(!recovers(&world));
    let mut world = lost();
    let view = world.host(3);
    (view.absence, view.connected, view.running_version) = (None, true, None);
    view.members.clear();
    world.desired.nodes.remove(2);
    assert!(!recovers(&world));
}

#[test]
fn nothing_is_recovered_while_somebody_else_is_missing_than_the_dead() {
    let mut world = World::running(5, &[0]).without(&[2, 4, 5]);
    world.host(2).absence = None;
    assert_eq!(blocker(&world).0, Blocker::HostNotConnected);
    let mut world = World::running(5, &[0]).without(&[2, 4, 5]);
    world.host(3).members = [id(3)].into();
    world.host(3).ring = Some("3.7".to_owned());
    let (found, sentence) = blocker(&world);
    assert_eq!(found, Blocker::NotQuorate);
    assert!(sentence.contains("n3 (node 3) sees the nodes 3"), "{sentence}");
}

#[test]
fn a_dead_one_that_anybody_sees_stops_it() {
    let spoils: [fn(&mut World); 3] = [
        |world| world.host(2).connected = true,
        |world| world.host(1).members.extend([id(2)]),
        |world| world.host(1).link_faults.clear(),
    ];
    for spoil in spoils {
        let mut world = lost();
        spoil(&mut world);
        assert_eq!(blocker(&world).0, Blocker::DeadIsSeen);
    }
}

/// What without quorum nobody could move: else a guest on a dead machine would be lost with the cluster.
#[test]
fn the_guests_of_the_dead_hold_nothing_back_and_stay_where_they_are() {
    let mut world = lost();
    world.host(2).guests = [100].into();
    world.host(1).ha = HaState::Active;
    let said = round(&mut world);
    // With their keys the dead ask the survivors before they start.
    assert!(!said.contains("keeps of"), "{said}");
}

#[test]
fn where_a_device_has_a_vote_nobody_here_does_the_arithmetic() {
    let mut world = lost();
    world.rewrite(|text| text.replace("quorum {", "quorum {\n  two_node: 1"));
    assert_eq!(blocker(&world).0, Blocker::QuorumOptionsNotSupported);
}

#[test]
fn without_knet_nobody_sees_who_is_switched_on() {
    let mut world = lost();
    world.host(1).started_with.insert(TRANSPORT.to_owned(), "udpu".to_owned());
    assert_eq!(blocker(&world).0, Blocker::OldTransport);
}

#[test]
fn survivors_without_a_vote_have_nothing_to_be_quorate_by() {
    let mut world = World::new(3);
    world.install(&[(1, 0), (2, 1), (3, 1)], &[0]);
    assert_eq!(blocker(&world.without(&[2, 3])).0, Blocker::NoVotes);
}
