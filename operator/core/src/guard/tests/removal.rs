//! Guards on members that leave.

use super::{joining, proposed, verdict};
use crate::change::{Action, ConfText, Risk, Stage, Tombstone};
use crate::conf::{Document, edit};
use crate::guard::{Refusal, guard};
use crate::ids::ConfigVersion;
use crate::plan::tests::world::{World, host, id};
use crate::references::{Reference, ReferenceKind};

/// Three of four stay: stop, off the list, put away.
fn leaving() -> World {
    let mut world = World::running(4, &[0]);
    world.desired.nodes.pop();
    world
}

/// One of two stays: lend, stop, off the list, put away.
fn halving() -> World {
    let mut world = World::running(2, &[0]);
    world.desired.nodes.pop();
    world
}

#[test]
fn removals_as_the_planner_makes_them_are_proven() {
    for world in [leaving(), halving()] {
        assert_eq!(verdict(&world, |_| ()), Ok(()));
    }
}

#[test]
fn a_node_that_the_spec_names_is_never_dropped() {
    let mut world = leaving();
    let plan = proposed(&world);
    world.desired.nodes.push(World::new(4).desired.nodes[3].clone());
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::DropsMember { stage: 2, node: id(4) }));
}

#[test]
fn a_node_that_this_cluster_never_claimed_is_never_dropped() {
    let mut world = leaving();
    let plan = proposed(&world);
    world.host(4).claim = crate::observed::Claim::Free;
    // Nobody knows whose name that is.
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::WrongName { stage: 1, name: "n4".to_owned() }));
}

#[test]
fn a_node_that_runs_is_not_taken_off_the_list() {
    let refused = verdict(&leaving(), |stages| drop(stages.remove(0)));
    assert_eq!(refused, Err(Refusal::MembersMove { stage: 1, node: id(4) }));
}

#[test]
fn a_node_that_stops_and_stays_on_the_list_takes_the_margin_for_good() {
    let refused = verdict(&leaving(), |stages| stages.truncate(1));
    assert_eq!(refused, Err(Refusal::MembersMove { stage: 1, node: id(4) }));
}

/// The plan without the stage that lends.
fn without_lending(world: &World, stages: &mut Vec<Stage>) {
    let file = world.observed.hosts[&host(1)].pmxcfs_file.clone().unwrap();
    let old = ConfText::new(file.version.unwrap(), file.text.unwrap());
    let document = Document::parse(old.text.as_bytes());
    let text = |document: Document, version: u64| {
        let version = ConfigVersion(version);
        let text = edit::set_version(&document, version).unwrap().to_bytes();
        ConfText::new(version, String::from_utf8(text).unwrap())
    };
    stages.retain(|stage| !stage.summary.contains("lent") && !stage.summary.contains("Lend"));
    stages[0].config = old;
    stages[1].config = text(edit::remove_node(&document, id(2)).unwrap(), 8);
    stages[1].back = Some(text(document, 9));
    stages[2].config = stages[1].config.clone();
}

#[test]
fn a_stop_that_leaves_the_others_with_half_the_votes_is_refused() {
    let world = halving();
    let refused = verdict(&world, |stages| without_lending(&world, stages));
    assert_eq!(refused, Err(Refusal::NotQuorate { stage: 1, present: 1, expected: 2 }));
}

#[test]
fn a_second_member_that_stops_is_refused() {
    let mut world = World::running(6, &[0]);
    world.desired.nodes.truncate(4);
    let refused = verdict(&world, |stages| {
        stages[0].actions.insert(host(5), vec![Action::StopCorosync {}]);
        stages[1].group.remove(&id(5));
        stages[1].actions.remove(&host(5));
    });
    assert_eq!(refused, Err(Refusal::SeveralMove { stage: 1 }));
    let mut world = leaving();
    let plan = proposed(&world);
    // Somebody else who is to leave has stopped since the plan was made.
    world.desired.nodes.truncate(2);
    world.host(3).stop();
    for number in [1, 2, 4] {
        world.host(number).members = [1, 2, 4].map(id).into();
    }
    let verdict = guard(plan, &world.desired, &world.observed);
    assert!(matches!(verdict, Err(Refusal::SeveralMove { stage: 1 })), "{verdict:?}");
}

#[test]
fn while_one_goes_nobody_comes() {
    let mut world = World::new(4);
    world.install(&[(1, 1), (2, 1), (3, 1)], &[0]);
    let mut start = proposed(&world).stages.pop().unwrap();
    assert_eq!(start.joining, [(id(4), host(4))].into());
    world.desired.nodes.remove(2);
    let refused = verdict(&world, |stages| {
        start.config = stages[2].config.clone();
        start.back = stages[1].back.clone();
        stages.push(start);
    });
    assert_eq!(refused, Err(Refusal::SeveralMove { stage: 1 }));
}

#[test]
fn what_refers_to_the_leaving_host_since_the_plan_was_made_refuses_it() {
    let spoils: [fn(&mut World); 2] = [
        |world| world.host(4).guests = [100].into(),
        |world| {
            let (kind, name) = (ReferenceKind::Storage, "fast".to_owned());
            world.host(4).references = [Reference { kind, name }].into();
        },
    ];
    for spoil in spoils {
        let mut world = leaving();
        let plan = proposed(&world);
        spoil(&mut world);
        let verdict = guard(plan, &world.desired, &world.observed);
        assert_eq!(verdict, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
    }
}

#[test]
fn every_member_buries_exactly_the_one_that_goes() {
    let refused = |spoil: fn(&mut Vec<Stage>)| {
        let verdict = verdict(&leaving(), spoil);
        assert_eq!(verdict, Err(Refusal::NotBuried { stage: 2 }));
    };
    refused(|stages| drop(stages[1].actions.remove(&host(2))));
    refused(|stages| stages[1].actions.clear());
    refused(|stages| {
        let other = Tombstone {
            name: "n4".parse().unwrap(),
            node_id: id(4),
            machine_id: Some("another".to_owned()),
        };
        stages[1].actions.insert(host(2), vec![Action::Bury(other)]);
    });
    refused(|stages| {
        let mut twice = stages[1].actions[&host(2)].clone();
        twice.extend(twice.clone());
        stages[1].actions.insert(host(2), twice);
    });
}

#[test]
fn nobody_who_stays_is_buried() {
    let world = World::running(3, &[0]);
    let mut world = World { desired: world.desired, observed: world.observed };
    world.node(1).votes = Some(2);
    let refused = verdict(&world, |stages| {
        let stone = Tombstone { name: "n3".parse().unwrap(), node_id: id(3), machine_id: None };
        stages[0].actions.insert(host(1), vec![Action::Bury(stone)]);
    });
    assert_eq!(refused, Err(Refusal::NotBuried { stage: 1 }));
}

#[test]
fn the_number_of_one_that_has_left_is_given_to_nobody() {
    let mut world = joining();
    let plan = proposed(&world);
    let stone = Tombstone { name: "old".parse().unwrap(), node_id: id(2), machine_id: None };
    world.host(1).tombstones.insert(stone);
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::NodeIdBuried { stage: 2, node: id(2) }));
}

#[test]
fn only_the_one_that_leaves_stops_and_only_off_the_list_it_puts_its_files_away() {
    let misplaced = |stage, spoil: fn(&mut Vec<Stage>)| {
        let verdict = verdict(&leaving(), spoil);
        assert!(
            matches!(&verdict, Err(Refusal::ActionMisplaced { stage: at, .. }) if *at == stage),
            "{verdict:?}"
        );
    };
    misplaced(1, |stages| {
        stages[0].actions.insert(host(4), vec![Action::StopCorosync {}, Action::LeaveCluster {}]);
    });
    misplaced(3, |stages| {
        stages[2].actions.insert(host(1), vec![Action::LeaveCluster {}]);
    });
}

#[test]
fn a_stop_that_calls_itself_live_is_refused() {
    let refused = verdict(&leaving(), |stages| stages[0].risk = Risk::Live);
    assert_eq!(refused, Err(Refusal::RiskHidden { stage: 1 }));
}

#[test]
fn a_view_that_went_bad_since_the_plan_was_made_refuses_it() {
    let spoils: [fn(&mut World); 4] = [
        |w| w.host(4).connected = false,
        |w| w.host(4).paused = true,
        |w| w.host(2).stop(),
        |w| w.host(4).quorate = false,
    ];
    for spoil in spoils {
        let mut world = leaving();
        let plan = proposed(&world);
        spoil(&mut world);
        let verdict = guard(plan, &world.desired, &world.observed);
        assert!(matches!(verdict, Err(Refusal::ViewNotSound { .. })), "{verdict:?}");
    }
}
