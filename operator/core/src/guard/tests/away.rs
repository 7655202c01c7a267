//! Guards on members that are away.

use super::{edited, proposed, verdict};
use crate::change::{Action, Course, Plan, Probe, Proposed, Stage};
use crate::conf::{Cipher, Hash, TotemOptions, edit};
use crate::guard::{Refusal, guard};
use crate::observed::{Absence, Claim};
use crate::plan::tests::world::{World, host, id, link, moved};

/// n3 of three in repair, and a link that moves without it.
fn moving() -> World {
    let mut world = World::running(3, &[0]).away(3);
    moved(&mut world.desired.links[0]);
    world
}

/// What the guards say of the plan for one world in another one.
fn judged(spoil: fn(&mut World)) -> Result<(), Refusal> {
    let (plan, mut world) = (proposed(&moving()), moving());
    spoil(&mut world);
    guard(plan, &world.desired, &world.observed).map(drop)
}

#[test]
fn plans_without_one_that_is_away_are_proven() {
    assert_eq!(judged(|_| ()), Ok(()));
}

/// Its silence is known because a person says so. Without that word it may run, and would be cut off.
#[test]
fn nobody_is_left_out_who_is_not_away_and_silent() {
    let refused = |spoil: fn(&mut World)| {
        let verdict = judged(spoil);
        assert!(matches!(verdict, Err(Refusal::ViewNotSound { .. })), "{verdict:?}");
    };
    refused(|world| world.host(3).absence = None);
    refused(|world| {
        world.host(3).absence = Some(Absence { is_dead: false, because: String::new() });
        world.host(2).members.insert(id(3));
    });
    refused(|world| world.host(1).link_faults.clear());
    refused(|world| world.host(3).connected = true);
    refused(|world| world.host(3).claim = Claim::Other("test".to_owned()));
    refused(|world| world.host(3).witness = true);
    // It never came: what it would start with is nothing of this cluster.
    refused(|world| {
        let absence = world.host(3).absence.clone();
        *world.host(3) = World::new(3).host(3).clone();
        (world.host(3).absence, world.host(3).connected) = (absence, false);
    });
}

/// It is back in the membership and well, but no stage asked it.
#[test]
fn a_plan_without_one_that_is_there_again_is_refused() {
    let plan = proposed(&moving());
    let mut world = World::running(3, &[0]);
    moved(&mut world.desired.links[0]);
    world.host(3).absence = moving().host(3).absence.clone();
    let verdict = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::WrongGroup { stage: 1 }));
}

#[test]
fn a_stage_that_waits_for_one_that_is_away_is_refused() {
    let refused = verdict(&moving(), |stages| {
        stages[1].group.insert(id(3), host(3));
    });
    assert_eq!(refused, Err(Refusal::WrongGroup { stage: 2 }));
    let refused = verdict(&moving(), |stages| {
        let all = Probe::Membership { nodes: [1, 2, 3].map(id).into() };
        let probes = stages[1].probes.iter_mut();
        for probe in probes.filter(|probe| matches!(probe, Probe::Membership { .. })) {
            *probe = all.clone();
        }
    });
    assert!(matches!(refused, Err(Refusal::Unproven { stage: 2, .. })), "{refused:?}");
}

/// The plan that the same cluster would get with everybody there, without the one that is away.
fn without(fourth: u32, spoil: fn(&mut World)) -> (World, Plan<Proposed>) {
    let make = || {
        let mut world = World::running(4, &[0]);
        let fifth = World::new(5).host(5).clone();
        world.observed.hosts.insert(host(5), fifth);
        world
    };
    let mut whole = make();
    spoil(&mut whole);
    let mut plan = proposed(&whole);
    for stage in &mut plan.stages {
        stage.group.remove(&id(fourth));
        stage.actions.remove(&host(fourth));
        for probe in &mut stage.probes {
            if let Probe::Membership { nodes } = probe {
                nodes.retain(|node| *node != id(fourth));
            }
        }
    }
    let mut world = make().away(fourth);
    spoil(&mut world);
    (world, plan)
}

/// One vote is missing already: the next one that moves or stops takes quorum from the rest.
#[test]
fn what_moves_votes_or_keys_is_refused_while_one_is_away() {
    type Spoil = fn(&mut World);
    let spoils: [Spoil; 4] = [
        |world| world.desired.nodes.push(World::new(5).desired.nodes[4].clone()),
        |world| world.node(1).votes = Some(2),
        |world| {
            let (cipher, hash) = (Some(Cipher::Aes256), Some(Hash::Sha512));
            world.desired.totem = TotemOptions { cipher, hash, ..TotemOptions::default() };
        },
        |world| world.desired.key_generation = 1,
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let (world, plan) = without(4, spoil);
        let verdict = guard(plan, &world.desired, &world.observed).map(drop);
        let is_named =
            matches!(&verdict, Err(Refusal::AwayIsNeeded { host: named, .. }) if *named == host(4));
        assert!(is_named, "{at}: {verdict:?}");
    }
}

#[test]
fn nobody_restarts_or_stops_while_one_is_away() {
    type Spoil = fn(&mut Vec<Stage>);
    let spoils: [Spoil; 2] = [
        |stages| drop(stages[0].actions.insert(host(2), vec![Action::ArmHa {}])),
        |stages| stages[0].course = Course::Outage,
    ];
    for spoil in spoils {
        let refused = verdict(&moving(), spoil);
        assert!(matches!(refused, Err(Refusal::AwayIsNeeded { .. })), "{refused:?}");
    }
}

/// Nobody answers at an address that is on no card; what the machine will have, only a person knows.
#[test]
fn one_that_is_away_gets_an_address_that_it_had_or_that_the_spec_states() {
    let plan = proposed(&moving());
    let mut world = moving();
    world.host(3).addresses.clear();
    let verdict = guard(plan.clone(), &world.desired, &world.observed).map(drop);
    assert!(matches!(verdict, Err(Refusal::AddressNotOnHost { .. })), "{verdict:?}");
    world.node(3).addresses = [(link(0), "10.1.0.3".to_owned())].into();
    assert_eq!(guard(plan, &world.desired, &world.observed).map(drop), Ok(()));
    // Of those who are there the cards say it.
    let plan = proposed(&moving());
    let mut world = moving();
    world.node(2).addresses = [(link(0), "10.1.0.2".to_owned())].into();
    world.host(2).addresses.clear();
    let verdict = guard(plan, &world.desired, &world.observed).map(drop);
    assert!(matches!(verdict, Err(Refusal::AddressNotOnHost { .. })), "{verdict:?}");
}

#[test]
fn its_entry_stays_while_it_is_away() {
    let refused = verdict(&moving(), |stages| {
        edited(&mut stages[0].config, |text| edit::remove_node(text, id(3)).unwrap());
    });
    assert!(refused.is_err(), "{refused:?}");
}

/// Two away of five leave three votes, of six only four of six, and of four no majority.
#[test]
fn the_rest_has_to_hold_the_majority_without_those_who_are_away() {
    let world = |nodes: u32| {
        let mut world = World::running(nodes, &[0]).away(nodes).away(nodes - 1);
        for number in 1..nodes - 1 {
            world.host(number).members = (1..nodes - 1).map(id).collect();
        }
        world.desired.totem.token_millis = Some(5000);
        world
    };
    assert_eq!(verdict(&world(5), |_| ()), Ok(()));
    assert_eq!(
        verdict(&world(4), |_| ()),
        Err(Refusal::NotQuorate { stage: 1, present: 2, expected: 4 })
    );
}
