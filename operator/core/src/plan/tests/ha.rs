//! Stages that may stall the cluster stand between disarming and arming, where a watchdog runs.

use super::world::{World, host, wanted_link};
use crate::change::{Action, Plan, Proposed, Risk, Stage};
use crate::desired::HighAvailability;
use crate::guard::guard;
use crate::ha::HaState;
use crate::plan::ground::{Ground, look};
use crate::plan::report::Obstacle;
use crate::plan::{Blocker, ha, plan};

/// Three nodes whose links are swapped in two stages; high availability is active on n2.
fn active(rollout: HighAvailability) -> World {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links = vec![wanted_link(0, None), wanted_link(2, None)];
    world.desired.rollout.high_availability = rollout;
    for (number, state) in [(1, HaState::Idle), (2, HaState::Active), (3, HaState::Idle)] {
        (world.host(number).ha, world.host(number).can_disarm) = (state, true);
    }
    world
}

/// The world's plan with these risks, as it comes out of the brackets.
fn bracketed(world: &World, risks: [Risk; 2]) -> Result<Plan<Proposed>, Obstacle> {
    let mut plain = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(plain.stages.len(), 2);
    for (stage, risk) in plain.stages.iter_mut().zip(risks) {
        stage.risk = risk;
    }
    let Ok(Ground::Cluster(ground)) = look(&world.desired, &[], &world.observed) else {
        panic!("no cluster")
    };
    ha::bracketed(plain, &world.desired, &ground)
}

fn shape(plan: &Plan<Proposed>) -> String {
    let one = |stage: &Stage| match stage.actions.get(&host(1)).and_then(|all| all.first()) {
        Some(Action::DisarmHa {}) => "disarm",
        Some(Action::ArmHa {}) => "arm",
        Some(_) | None if stage.risk == Risk::Live => "live",
        Some(_) | None => "risky",
    };
    plan.stages.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn risky_stages_stand_between_disarming_and_arming_and_live_ones_outside() {
    let world = active(HighAvailability::Disarm);
    let shape_of = |risks| shape(&bracketed(&world, risks).unwrap());
    assert_eq!(shape_of([Risk::Live, Risk::NodeRestart]), "live disarm risky arm");
    assert_eq!(shape_of([Risk::Outage, Risk::Live]), "disarm risky arm live");
    assert_eq!(shape_of([Risk::NodeRestart; 2]), "disarm risky risky arm");
    assert_eq!(shape_of([Risk::Live; 2]), "live live");
}

#[test]
fn a_bracketed_plan_is_proven_and_leads_to_the_same_state() {
    for risks in [[Risk::Live, Risk::NodeRestart], [Risk::Outage, Risk::Live]] {
        let mut world = active(HighAvailability::Disarm);
        let plan = bracketed(&world, risks).unwrap();
        let proven = guard(plan, &world.desired, &world.observed).unwrap();
        assert_eq!(proven.stages.iter().filter(|stage| stage.actions.len() == 3).count(), 2);
        world.apply(&proven);
        assert_eq!(world.text().links().len(), 2);
        assert!(plan_is_none(&world));
    }
}

#[test]
fn the_authkey_is_laid_before_disarming_and_exchanged_after_it() {
    let mut world = World::running(3, &[0]);
    world.desired.key_generation = 1;
    world.desired.rollout.high_availability = HighAvailability::Disarm;
    for number in 1..=3 {
        (world.host(number).ha, world.host(number).can_disarm) = (HaState::Active, true);
    }
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(shape(&plan), "live disarm risky arm");
    assert!(guard(plan, &world.desired, &world.observed).is_ok());
}

fn plan_is_none(world: &World) -> bool {
    plan(&world.desired, &world.observed).plan.is_none()
}

#[test]
fn nothing_is_disarmed_that_is_idle_or_disarmed_by_hand_or_not_to_be_disarmed() {
    let risks = [Risk::Live, Risk::NodeRestart];
    for state in [HaState::Absent, HaState::Idle, HaState::Disarmed] {
        let mut world = active(HighAvailability::Disarm);
        world.host(2).ha = state;
        assert_eq!(shape(&bracketed(&world, risks).unwrap()), "live risky");
    }
    let world = active(HighAvailability::RequireIdle);
    assert_eq!(shape(&bracketed(&world, risks).unwrap()), "live risky");
}

#[test]
fn a_host_that_cannot_disarm_is_named_with_the_version_that_can() {
    let mut world = active(HighAvailability::Disarm);
    world.host(3).can_disarm = false;
    let obstacle = bracketed(&world, [Risk::Live, Risk::NodeRestart]).unwrap_err();
    assert_eq!(obstacle.blocker, Blocker::HaCannotDisarm);
    assert!(obstacle.sentence.contains("n3") && obstacle.sentence.contains("5.1.3"));
}
