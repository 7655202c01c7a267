//! datacenter.cfg: all write the same, over what all have, and no node is left without a way for its guests.

use super::verdict;
use crate::change::{Action, ConfText, Course, Plan, Stage};
use crate::datacenter::{DatacenterView, DatacenterWrite, Traffic, TransferType, TransferWish};
use crate::guard::{Refusal, guard};
use crate::ids::{ConfigVersion, Digest};
use crate::plan::plan;
use crate::plan::tests::datacenter::line;
use crate::plan::tests::world::{World, host};

/// Three nodes whose guests are to travel over a network of their own.
fn moving() -> World {
    let mut world = World::running(3, &[0]);
    let wish = TransferWish::Line(line(TransferType::Secure, Some("10.1.2.0/24")));
    world.desired.datacenter.insert(Traffic::Migration, wish);
    world
}

fn writes(stages: &mut [Stage], change: impl Fn(&mut DatacenterWrite)) {
    for action in stages[0].actions.values_mut().flatten() {
        if let Action::WriteDatacenterConfig(write) = action {
            change(write);
        }
    }
}

#[test]
fn a_change_as_the_planner_makes_it_is_proven_also_without_who_is_away() {
    assert_eq!(verdict(&moving(), |_| ()), Ok(()));
    assert_eq!(verdict(&moving().away(3), |_| ()), Ok(()));
}

#[test]
fn a_change_that_is_not_the_same_for_all_is_refused() {
    let half = |spoil: fn(&mut Vec<Stage>)| {
        assert_eq!(verdict(&moving(), spoil), Err(Refusal::DatacenterHalf { stage: 1 }));
    };
    half(|stages| {
        stages[0].actions.remove(&host(2));
    });
    half(|stages| {
        let own = stages[0].actions.get_mut(&host(2)).unwrap();
        if let Action::WriteDatacenterConfig(write) = &mut own[0] {
            write.lines.insert(Traffic::Replication, None);
        }
    });
    half(|stages| writes(stages, |write| write.lines.clear()));
    half(|stages| {
        let again = stages[0].actions[&host(2)][0].clone();
        stages[0].actions.get_mut(&host(2)).unwrap().push(again);
    });
    refuses!(moving(), Refusal::DatacenterHalf { stage: 2 }, |stages| {
        let again = stages[0].clone();
        stages.push(again);
    });
    // Proven is only what was in force before the plan: a text to go back to would be a second way.
    half(|stages| {
        let text = stages[0].config.text.replace("config_version: 7", "config_version: 9");
        stages[0].back = Some(ConfText::new(ConfigVersion(9), text));
    });
}

#[test]
fn what_a_person_wrote_meanwhile_is_not_written_over() {
    let plan = plan(&moving().desired, &moving().observed).plan.unwrap();
    let mut world = moving();
    let judged = |world: &World, plan: &Plan<_>| {
        guard(plan.clone(), &world.desired, &world.observed).map(drop)
    };
    let refused = Err(Refusal::DatacenterReplaced { stage: 1, host: host(2) });
    world.host(2).datacenter = Some(DatacenterView::of(b"keyboard: de\n"));
    assert_eq!(judged(&world, &plan), refused);
    world.host(2).datacenter = None;
    assert_eq!(judged(&world, &plan), refused);
    let other = Digest::of(b"what nobody has");
    refuses!(moving(), Refusal::DatacenterReplaced { .. }, |stages| {
        writes(stages, |write| write.parent = other);
    });
}

#[test]
fn a_line_that_nobody_asked_for_is_refused() {
    let insecure = Some(line(TransferType::Insecure, Some("10.1.2.0/24")));
    for lines in [
        [(Traffic::Migration, insecure)],
        [(Traffic::Migration, None)],
        [(Traffic::Replication, insecure)],
    ] {
        refuses!(moving(), Refusal::DatacenterUnwanted { stage: 1, .. }, |stages| {
            writes(stages, |write| write.lines = lines.into());
        });
    }
}

#[test]
fn a_network_in_which_a_member_has_not_exactly_one_address_of_its_own_is_refused() {
    let plan = plan(&moving().desired, &moving().observed).plan.unwrap();
    let judged = |spoil: fn(&mut World)| {
        let mut world = moving();
        spoil(&mut world);
        guard(plan.clone(), &world.desired, &world.observed).map(drop)
    };
    let refused = |n| {
        let network = "10.1.2.0/24".parse().unwrap();
        Err(Refusal::TransferAddress { stage: 1, host: host(n), key: "migration", network })
    };
    assert_eq!(judged(|world| world.host(2).addresses.clear()), refused(2));
    assert_eq!(
        judged(|world| _ = world.host(3).addresses.insert("10.1.2.33/24".parse().unwrap())),
        refused(3)
    );
    assert_eq!(
        judged(|world| {
            world.host(3).addresses.retain(|net| net.addr().to_string() != "10.1.2.3");
            world.host(3).addresses.insert("10.1.2.1/24".parse().unwrap());
        }),
        refused(3)
    );
}

#[test]
fn it_is_done_in_no_other_course_and_by_no_stranger() {
    refuses!(moving(), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        stages[0].course = Course::Local;
        stages[0].group.clear();
    });
    refuses!(moving(), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        let own = stages[0].actions[&host(2)].clone();
        stages[0].actions.insert(host(9), own);
    });
    refuses!(moving(), Refusal::OtherText { stage: 1 }, |stages| {
        let text = stages[0].config.text.replace("config_version: 7", "config_version: 8");
        stages[0].config = ConfText::new(ConfigVersion(8), text);
    });
    refuses!(moving(), Refusal::Unproven { stage: 1, .. }, |stages| stages[0].probes.clear());
}
