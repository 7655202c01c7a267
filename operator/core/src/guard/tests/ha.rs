//! Guards on high availability: no host is reset by a change, and nothing stays disarmed.

use super::{swapping, verdict};
use crate::change::{Action, Course, Risk, Stage};
use crate::desired::HighAvailability;
use crate::guard::Refusal;
use crate::ha::HaState;
use crate::ids::HostName;
use crate::plan::tests::world::{World, host};

/// Two stages; high availability is active on n2.
fn active(rollout: HighAvailability) -> World {
    let mut world = swapping();
    world.host(2).ha = HaState::Active;
    world.desired.rollout.high_availability = rollout;
    world
}

/// A stage in which these hosts do this.
fn asking(like: &Stage, action: &Action, hosts: &[HostName]) -> Stage {
    Stage {
        course: Course::Local,
        group: std::collections::BTreeMap::new(),
        back: None,
        actions: hosts.iter().map(|host| (host.clone(), vec![action.clone()])).collect(),
        ..like.clone()
    }
}

fn all() -> Vec<HostName> {
    (1..=3).map(host).collect()
}

/// Makes the second stage risky and puts brackets around it.
fn bracket(stages: &mut Vec<Stage>) {
    let (before, after) = (stages[0].clone(), stages[1].clone());
    stages[1].risk = Risk::NodeRestart;
    stages.insert(1, asking(&before, &Action::DisarmHa {}, &all()));
    stages.push(asking(&after, &Action::ArmHa {}, &all()));
}

#[test]
fn a_stage_that_stalls_hosts_whose_watchdog_runs_is_refused_by_name() {
    for risk in [Risk::NodeRestart, Risk::Outage, Risk::Recovery] {
        for rollout in [HighAvailability::RequireIdle, HighAvailability::Disarm] {
            let refused = verdict(&active(rollout), |stages| stages[1].risk = risk);
            assert_eq!(refused, Err(Refusal::HaActive { host: host(2) }));
            let sentence = refused.unwrap_err().sentence();
            assert!(sentence.contains("n2") && sentence.contains("Disarm"), "{sentence}");
        }
    }
    let mut world = active(HighAvailability::RequireIdle);
    world.host(2).ha = HaState::Unknown;
    let refused = verdict(&world, |stages| stages[1].risk = Risk::NodeRestart);
    assert_eq!(refused, Err(Refusal::HaActive { host: host(2) }));
}

#[test]
fn what_stops_nobody_and_what_meets_no_watchdog_is_let_through() {
    assert_eq!(verdict(&active(HighAvailability::RequireIdle), |_| ()), Ok(()));
    for state in [HaState::Absent, HaState::Idle, HaState::Disarmed] {
        let mut world = active(HighAvailability::RequireIdle);
        world.host(2).ha = state;
        assert_eq!(verdict(&world, |stages| stages[1].risk = Risk::NodeRestart), Ok(()));
    }
}

#[test]
fn a_risky_stage_between_disarming_and_arming_is_let_through_and_one_beside_them_is_not() {
    let world = active(HighAvailability::Disarm);
    assert_eq!(verdict(&world, bracket), Ok(()));
    let beside = verdict(&world, |stages| {
        bracket(stages);
        stages[0].risk = Risk::NodeRestart;
    });
    assert_eq!(beside, Err(Refusal::HaActive { host: host(2) }));
}

#[test]
fn disarming_against_the_rollout_is_out_of_place() {
    let refused = verdict(&active(HighAvailability::RequireIdle), bracket);
    assert_eq!(refused, Err(Refusal::ActionMisplaced { stage: 2, host: host(1) }));
}

#[test]
fn what_a_person_disarmed_by_hand_is_not_armed_by_a_change() {
    let mut world = active(HighAvailability::Disarm);
    world.host(2).ha = HaState::Disarmed;
    assert_eq!(verdict(&world, bracket), Err(Refusal::DisarmNotNeeded { stage: 2 }));
}

#[test]
fn a_plan_that_leaves_a_member_out_or_the_cluster_disarmed_is_refused() {
    let world = active(HighAvailability::Disarm);
    let half = verdict(&world, |stages| {
        bracket(stages);
        stages[1].actions.remove(&host(3));
    });
    assert_eq!(half, Err(Refusal::DisarmHalf { stage: 2 }));
    let open = verdict(&world, |stages| {
        bracket(stages);
        stages.pop();
    });
    assert_eq!(open, Err(Refusal::StaysDisarmed));
}
