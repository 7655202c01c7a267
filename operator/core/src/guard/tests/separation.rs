//! Guards on hosts that go on alone.

use std::collections::BTreeSet;

use super::{proposed, verdict};
use crate::change::{Action, Risk, Stage};
use crate::guard::{Refusal, guard};
use crate::plan::tests::world::{World, host};
use crate::references::{Reference, ReferenceKind};

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

/// n4 of four goes on alone, with a guest: stop, off the list, separate, sweep.
fn separating() -> World {
    let mut world = World::running(4, &[0]);
    world.desired.nodes.pop();
    world.host(4).guests = [100].into();
    (world.host(4).lives_alone, world.host(4).may_share) = (true, names(&["san"]));
    world
}

#[test]
fn a_separation_as_the_planner_makes_it_is_proven() {
    assert_eq!(verdict(&separating(), |_| ()), Ok(()));
}

/// A storage that came since the plan was made: two clusters on it start one disk twice.
#[test]
fn a_storage_that_nobody_spoke_of_when_the_plan_was_made_refuses_it() {
    let mut world = separating();
    let plan = proposed(&world);
    world.host(4).shared_storages = names(&["new", "san"]);
    let verdict = guard(plan, &world.desired, &world.observed);
    let storage = "new".to_owned();
    assert_eq!(verdict, Err(Refusal::StorageShared { stage: 1, host: host(4), storage }));
}

/// The same host, told the wrong thing: its guests would go with the database that it puts away, or it would
/// share what nobody allowed.
#[test]
fn a_host_goes_as_its_person_said_and_shares_what_that_one_named() {
    let misplaced = |at: usize, spoil: fn(&mut Vec<Stage>)| {
        let refused = verdict(&separating(), spoil);
        assert_eq!(refused, Err(Refusal::ActionMisplaced { stage: at, host: host(4) }));
    };
    misplaced(3, |stages| {
        stages[2].actions.insert(host(4), vec![Action::LeaveCluster {}]);
    });
    misplaced(1, |stages| {
        stages[0].actions.insert(host(4), vec![Action::StopCorosync {}]);
    });
    misplaced(1, |stages| {
        let shared_storages = names(&["pbs", "san"]);
        stages[0].actions.insert(host(4), vec![Action::StopToSeparate { shared_storages }]);
    });
    misplaced(3, |stages| {
        let shared_storages = BTreeSet::new();
        stages[2].actions.insert(host(4), vec![Action::Separate { shared_storages }]);
    });
    // Who was to put its files away, and has guests since then that nobody saw.
    let mut world = separating();
    world.host(4).lives_alone = false;
    world.host(4).guests.clear();
    let plan = proposed(&world);
    world.host(4).lives_alone = true;
    let verdict = guard(plan, &world.desired, &world.observed);
    let wrong = [
        Err(Refusal::ActionMisplaced { stage: 1, host: host(4) }),
        Err(Refusal::NotBuried { stage: 2 }),
    ];
    assert!(wrong.contains(&verdict.map(drop)));
}

#[test]
fn a_host_that_is_listed_beside_others_is_not_separated() {
    let refused = verdict(&separating(), |stages| {
        let separate = stages[2].actions[&host(4)].clone();
        stages[0].actions.get_mut(&host(4)).unwrap().extend(separate);
    });
    assert!(matches!(refused, Err(Refusal::ActionMisplaced { stage: 1, .. })), "{refused:?}");
}

#[test]
fn every_member_remembers_that_the_guests_went_along() {
    let refused = verdict(&separating(), |stages| {
        for action in stages[1].actions.values_mut().flatten() {
            if let Action::Bury(gone) = action {
                gone.lives_alone = false;
            }
        }
    });
    assert_eq!(refused, Err(Refusal::NotBuried { stage: 2 }));
}

/// Its guests go along; what the cluster does for one of them does not.
#[test]
fn what_the_cluster_does_for_its_guests_since_the_plan_was_made_refuses_it() {
    let judged = |kind, names_others| {
        let mut world = separating();
        let plan = proposed(&world);
        world.host(4).references =
            [Reference { kind, name: "vm:100".to_owned(), names_others }].into();
        guard(plan, &world.desired, &world.observed).map(drop)
    };
    let refused = Err(Refusal::LeavesReferenced { stage: 1, host: host(4) });
    assert_eq!(judged(ReferenceKind::HaResource, false), refused);
    assert_eq!(judged(ReferenceKind::Storage, true), refused);
    assert_eq!(judged(ReferenceKind::Storage, false), Ok(()));
}

/// Three whose cluster is to end.
fn ending() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.dissolves = true;
    world
}

#[test]
fn the_end_of_a_cluster_never_begins_by_itself() {
    for stage in [0, 1] {
        let refused = verdict(&ending(), |stages| stages[stage].risk = Risk::NodeRestart);
        assert_eq!(refused, Err(Refusal::RiskHidden { stage: stage + 1 }));
    }
    let mut last = World::running(1, &[0]);
    last.desired.dissolves = true;
    assert_eq!(verdict(&last, |_| ()), Ok(()));
    let refused = verdict(&last, |stages| stages[0].risk = Risk::NodeRestart);
    assert_eq!(refused, Err(Refusal::RiskHidden { stage: 1 }));
}
