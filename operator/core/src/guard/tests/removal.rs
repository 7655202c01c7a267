//! Guards on members that leave.

use super::{joining, proposed, verdict};
use crate::change::{Action, ConfText, Risk, Stage, Tombstone};
use crate::conf::{Document, edit};
use crate::desired::Removal;
use crate::guard::{Refusal, guard};
use crate::ids::ConfigVersion;
use crate::observed::KeyView;
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
    for at in [2, 3] {
        stages[at].config = stages[1].config.clone();
    }
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
            world.host(4).references = [Reference { kind, name, names_others: true }].into();
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
            keeps_key: None,
            lives_alone: false,
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
        let stone = Tombstone {
            name: "n3".parse().unwrap(),
            node_id: id(3),
            machine_id: None,
            keeps_key: None,
            lives_alone: false,
        };
        stages[0].actions.insert(host(1), vec![Action::Bury(stone)]);
    });
    assert_eq!(refused, Err(Refusal::NotBuried { stage: 1 }));
}

#[test]
fn the_number_of_one_that_has_left_is_given_to_nobody() {
    let mut world = joining();
    let plan = proposed(&world);
    let stone = Tombstone {
        name: "old".parse().unwrap(),
        node_id: id(2),
        machine_id: None,
        keeps_key: None,
        lives_alone: false,
    };
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

/// n4, declared dead and heard by nobody.
fn dead() -> World {
    let mut world = World::running(4, &[0]);
    let because = "PDU port 7 off".to_owned();
    world.host(4).absence = Some(crate::observed::Absence { is_dead: true, because });
    world.host(4).connected = false;
    for number in 1..4 {
        world.host(number).members.remove(&id(4));
        world.host(number).link_faults.insert((crate::plan::tests::world::link(0), id(4)));
    }
    world
}

#[test]
fn the_dead_are_removed_only_while_nobody_hears_them() {
    let plan = proposed(&dead());
    let judged = |spoil: fn(&mut World)| {
        let mut world = dead();
        spoil(&mut world);
        guard(plan.clone(), &world.desired, &world.observed).map(drop)
    };
    assert_eq!(judged(|_| ()), Ok(()));
    let seen = Err(Refusal::DeadIsSeen { host: host(4) });
    assert_eq!(judged(|world| world.host(4).connected = true), seen);
    assert_eq!(judged(|world| world.host(3).link_faults.clear()), seen);
    let missed = judged(|world| world.host(4).absence = None);
    assert!(missed.is_err(), "nobody says that it is dead");
}

#[test]
fn what_names_the_dead_is_cleaned_as_of_any_other() {
    let mut world = dead();
    world.desired.rollout.removal = Removal::CleanReferences;
    world.host(4).references = cleaning().host(4).references.clone();
    assert_eq!(verdict(&world, |_| ()), Ok(()));
    let refused = verdict(&world, |stages| drop(stages.remove(0)));
    assert_eq!(refused, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
}

#[test]
fn a_key_that_the_dead_have_is_replaced_and_by_the_next_one_only() {
    let mut world = dead();
    let plan = proposed(&world);
    world.apply(&plan);
    world.observed.hosts.values_mut().for_each(|view| view.link_faults.clear());
    let exchange = proposed(&world);
    assert_eq!(guard(exchange.clone(), &world.desired, &world.observed).map(drop), Ok(()));
    for view in world.observed.hosts.values_mut() {
        view.tombstones = view
            .tombstones
            .iter()
            .cloned()
            .map(|gone| Tombstone { keeps_key: None, ..gone })
            .collect();
    }
    let verdict = guard(exchange, &world.desired, &world.observed);
    assert!(matches!(verdict, Err(Refusal::ExchangeUnwanted { .. })), "{verdict:?}");
}

#[test]
fn a_key_that_was_replaced_since_a_machine_died_is_not_replaced_for_it_again() {
    let mut world = dead();
    let plan = proposed(&world);
    world.apply(&plan);
    world.observed.hosts.values_mut().for_each(|view| view.link_faults.clear());
    let exchange = proposed(&world);
    for view in world.observed.hosts.values_mut() {
        view.authkey = view.authkey.map(|key| KeyView { generation: 1, ..key });
    }
    let verdict = guard(exchange, &world.desired, &world.observed);
    assert!(matches!(verdict, Err(Refusal::ExchangeUnwanted { .. })), "{verdict:?}");
}

/// What it has is still there while the plan is made: a join would set aside a database with guests in it.
#[test]
fn nobody_leaves_for_good_and_joins_in_one_plan() {
    let mut world = leaving();
    let mut plan = proposed(&world);
    plan.stages.truncate(2);
    world.apply(&plan);
    world.desired.nodes.push(World::new(4).desired.nodes[3].clone());
    let mut both = proposed(&world);
    assert_eq!(guard(both.clone(), &world.desired, &world.observed).map(drop), Ok(()));
    let mut empty = world.clone();
    (empty.host(4).pmxcfs_file, empty.host(4).disk_file) = (None, None);
    both.stages.extend(proposed(&empty).stages);
    let verdict = guard(both, &world.desired, &world.observed);
    let why = "has a corosync.conf already";
    assert_eq!(verdict, Err(Refusal::ViewNotSound { host: host(4), why }));
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

#[test]
fn who_joins_is_told_of_exactly_those_who_have_left() {
    let stone = |number: u32| Tombstone {
        name: format!("old{number}").parse().unwrap(),
        node_id: id(number),
        machine_id: None,
        keeps_key: None,
        lives_alone: false,
    };
    let mut world = joining();
    world.host(1).tombstones.insert(stone(8));
    assert_eq!(verdict(&world, |_| ()), Ok(()));
    for told in [vec![], vec![stone(9)], vec![stone(8), stone(9)]] {
        let refused = verdict(&world, |stages| {
            let start = stages.iter_mut().find(|stage| !stage.joining.is_empty()).unwrap();
            let join = Action::Join { tombstones: told.into_iter().collect() };
            start.actions.insert(host(2), vec![join]);
        });
        assert_eq!(refused, Err(Refusal::TombstonesNotHandedOn { stage: 3, host: host(2) }));
    }
    let plan = proposed(&world);
    world.host(1).tombstones.insert(stone(7));
    let verdict = guard(plan, &world.desired, &world.observed);
    assert!(matches!(verdict, Err(Refusal::TombstonesNotHandedOn { .. })), "{verdict:?}");
}

#[test]
fn only_one_that_has_left_and_is_remembered_is_swept() {
    let refused = |spoil: fn(&mut Vec<Stage>)| verdict(&leaving(), spoil);
    let swept = |stage| Err(Refusal::SweepsMember { stage, node: "n4".parse().unwrap() });
    // Before it is off the list.
    assert_eq!(
        refused(|stages| {
            let sweep = stages[3].actions[&host(1)].clone();
            stages[0].actions.insert(host(1), sweep);
        }),
        swept(1)
    );
    // Another machine of that name.
    assert_eq!(
        refused(|stages| {
            let other = Tombstone {
                name: "n4".parse().unwrap(),
                node_id: id(4),
                machine_id: None,
                keeps_key: None,
                lives_alone: false,
            };
            stages[3].actions.insert(host(1), vec![Action::Sweep(other)]);
        }),
        swept(4)
    );
    // One that stays, though an older machine of its name is buried.
    let mut world = leaving();
    let old = Tombstone {
        name: "n2".parse().unwrap(),
        node_id: id(9),
        machine_id: None,
        keeps_key: None,
        lives_alone: false,
    };
    world.host(1).tombstones.insert(old.clone());
    let refused = verdict(&world, |stages| {
        stages[3].actions.insert(host(1), vec![Action::Sweep(old)]);
    });
    assert_eq!(refused, Err(Refusal::SweepsMember { stage: 4, node: "n2".parse().unwrap() }));
}

#[test]
fn only_a_member_that_stays_sweeps_and_cleans_and_beside_the_group() {
    let refused = verdict(&leaving(), |stages| {
        let sweep = stages[3].actions.remove(&host(1)).unwrap();
        stages[3].actions.insert(host(4), sweep);
    });
    assert_eq!(refused, Err(Refusal::ActionMisplaced { stage: 4, host: host(4) }));
    let refused = verdict(&cleaning(), |stages| {
        let clean = stages[0].actions.remove(&host(1)).unwrap();
        stages[0].actions.insert(host(4), clean);
    });
    assert_eq!(refused, Err(Refusal::ActionMisplaced { stage: 1, host: host(4) }));
}

/// The same with a storage that names n4 and others, which is to be cleaned: clean, stop, off the list ...
fn cleaning() -> World {
    let mut world = leaving();
    world.desired.rollout.removal = Removal::CleanReferences;
    let (kind, name) = (ReferenceKind::Storage, "fast".to_owned());
    world.host(4).references = [Reference { kind, name, names_others: true }].into();
    world
}

#[test]
fn only_what_names_the_leaving_node_and_others_is_cleaned_and_only_where_that_is_wanted() {
    assert_eq!(verdict(&cleaning(), |_| ()), Ok(()));
    let refused = |node: &str, verdict| {
        let node = node.parse().unwrap();
        assert_eq!(verdict, Err(Refusal::CleansTooMuch { stage: 1, node }));
    };
    let edited = |spoil: fn(&mut World)| {
        let mut world = cleaning();
        let plan = proposed(&world);
        spoil(&mut world);
        guard(plan, &world.desired, &world.observed).map(drop)
    };
    refused("n4", edited(|w| w.desired.rollout.removal = Removal::RefuseIfReferenced));
    let with = |node: &str, name: &str, names_others| {
        let (kind, name) = (ReferenceKind::Storage, name.to_owned());
        let references = [Reference { kind, name, names_others }].into();
        vec![Action::CleanReferences { node: node.parse().unwrap(), references }]
    };
    refused(
        "n2",
        verdict(&cleaning(), |stages| {
            drop(stages[0].actions.insert(host(1), with("n2", "fast", true)));
        }),
    );
    let other = verdict(&cleaning(), |stages| {
        stages[0].actions.insert(host(1), with("n4", "other", true));
    });
    refused("n4", other);
    // Somebody has taken the others out of it meanwhile.
    let mut world = cleaning();
    let mut plan = proposed(&world);
    let alone = with("n4", "fast", false);
    let Action::CleanReferences { references, .. } = &alone[0] else { panic!("{alone:?}") };
    world.host(4).references = references.clone();
    let verdict_of = |plan| guard(plan, &world.desired, &world.observed).map(drop);
    refused("n4", verdict_of(plan.clone()));
    plan.stages[0].actions.insert(host(1), alone);
    refused("n4", verdict_of(plan));
    // Nobody goes.
    refused("n4", verdict(&cleaning(), |stages| stages.truncate(1)));
}

#[test]
fn what_is_not_cleaned_before_the_stop_still_refuses_it() {
    let refused = verdict(&cleaning(), |stages| drop(stages.remove(0)));
    assert_eq!(refused, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
    let refused = verdict(&cleaning(), |stages| stages.swap(0, 1));
    assert_eq!(refused, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
    // While it stops.
    let refused = verdict(&cleaning(), |stages| {
        let clean = stages.remove(0).actions;
        stages[0].actions.extend(clean);
    });
    assert_eq!(refused, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
    let mut world = cleaning();
    let plan = proposed(&world);
    world.host(4).guests = [100].into();
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::LeavesReferenced { stage: 2, host: host(4) }));
}
