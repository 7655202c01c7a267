//! Members that go on alone once they have left, and clusters that end.

use std::collections::BTreeSet;

use super::goldens::{round, settles};
use super::world::{World, host, id};
use crate::approval::need;
use crate::change::{Action, Plan, Risk, Stage};
use crate::guard::{Refusal, guard};
use crate::observed::Claim;
use crate::plan::{Blocker, State, plan};
use crate::references::{Reference, ReferenceKind};

/// n4 of four is to go on alone, with two guests and two storages that it shares.
fn separating() -> World {
    let mut world = World::running(4, &[0]);
    world.desired.nodes.truncate(3);
    world.host(4).guests = [100, 101].into();
    world.host(4).shared_storages = names(&["backup", "san"]);
    (world.host(4).lives_alone, world.host(4).may_share) = (true, names(&["backup", "san"]));
    world
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

fn reference(kind: ReferenceKind, names_others: bool) -> Reference {
    Reference { kind, name: "one".to_owned(), names_others }
}

#[test]
fn a_member_with_guests_goes_on_alone_and_what_it_shares_is_said() {
    let mut world = separating();
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
    let gone = world.host(1).tombstones.first().cloned().unwrap();
    assert!(gone.lives_alone && gone.node_id == id(4));
    assert!(world.host(4).is_empty() && world.host(4).guests.len() == 2);
    let mut shares_nothing = separating();
    shares_nothing.host(4).may_share.clear();
    shares_nothing.host(4).shared_storages.clear();
    let said = round(&mut shares_nothing);
    assert!(said.contains("leaves the cluster prod and goes on alone\n"), "{said}");
}

/// Two clusters on one storage lose the disks of guests.
#[test]
fn a_storage_that_both_sides_reach_is_named_until_a_person_has_said_that_they_may() {
    let mut world = separating();
    world.host(4).may_share = names(&["san", "gone since"]);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StorageShared));
    let sentence = planned.report.sentence;
    assert!(sentence.contains("n4") && sentence.contains(": backup; "), "{sentence}");
    world.host(4).lives_alone = false;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
    world.host(4).guests.clear();
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
}

/// A guest of its own under high availability would be started a second time by those who stay.
#[test]
fn what_the_cluster_does_for_a_guest_holds_its_host_and_a_storage_of_its_own_does_not() {
    for kind in ReferenceKind::ALL {
        for others in [false, true] {
            let mut world = separating();
            world.host(4).references = [reference(kind, others)].into();
            let state = plan(&world.desired, &world.observed).report.state;
            let goes_along = kind == ReferenceKind::Storage && !others;
            let wanted = if goes_along {
                State::Proposing
            } else {
                State::Blocked(Blocker::StillReferenced)
            };
            assert_eq!(state, wanted, "{kind:?} {others}");
        }
    }
}

/// As far as its stages go, carried out up to and with this one.
fn up_to(world: &mut World, stages: usize) {
    let whole = plan(&world.desired, &world.observed).plan.unwrap();
    let stages = whole.stages[..stages].to_vec();
    world.apply(&Plan::proposed(whole.parent, whole.generation, whole.summary, stages));
}

/// Its guests are in the database that it would put away.
#[test]
fn one_that_left_to_go_on_alone_does_so_also_when_that_was_taken_back_since() {
    let mut world = separating();
    world.host(4).shared_storages.clear();
    up_to(&mut world, 2);
    world.host(4).lives_alone = false;
    let away = plan(&world.desired, &world.observed).plan.unwrap();
    assert!(matches!(away.stages[0].actions[&host(4)][..], [Action::Separate { .. }]), "{away:?}");
    round(&mut world);
    settles(&world);
    // Not what an earlier machine of its name did.
    let mut world = separating();
    world.host(4).shared_storages.clear();
    world.host(4).guests.clear();
    up_to(&mut world, 2);
    world.host(4).lives_alone = false;
    for number in 1..4 {
        let stones = std::mem::take(&mut world.host(number).tombstones).into_iter();
        let other = stones.map(|gone| crate::change::Tombstone { node_id: id(9), ..gone });
        world.host(number).tombstones = other.collect();
    }
    let away = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(away.stages[0].actions[&host(4)], [Action::LeaveCluster {}]);
}

#[test]
fn one_that_could_not_go_on_alone_tries_again_once_nothing_else_is_to_be_done() {
    let mut world = separating();
    up_to(&mut world, 2);
    world.host(4).shared_storages = names(&["backup", "new", "san"]);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StorageShared));
    world.host(4).shared_storages = names(&["san"]);
    let said = round(&mut world);
    assert!(said.contains("out of its own database"), "{said}");
    settles(&world);
}

#[test]
fn one_that_never_started_or_is_dead_has_nothing_to_go_on_with() {
    let mut world = World::running(4, &[0]);
    world.desired.nodes.truncate(3);
    let mut world = world.unstarted(4);
    world.host(4).lives_alone = true;
    round(&mut world);
    assert!(!world.host(1).tombstones.first().unwrap().lives_alone);
}

/// The keys of the earlier machine would be those of nobody, and its guests have their ids twice.
#[test]
fn what_is_kept_of_an_earlier_node_of_its_name_is_put_away_before_a_host_joins() {
    let mut world = separating();
    round(&mut world);
    world.desired.nodes.push(World::new(4).desired.nodes[3].clone());
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::GuestsOnJoiner));
    world.host(4).guests.clear();
    let said = round(&mut world);
    let swept = said.find("n1 puts away what /etc/pve keeps of n4").unwrap();
    assert!(swept < said.find("List n4 as node 5").unwrap(), "{said}");
    settles(&world);
}

/// A cluster of three whose object is being deleted, with guests everywhere.
fn ending() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.dissolves = true;
    for number in 1..4 {
        world.host(number).guests = [100 + number].into();
    }
    world
}

/// Nothing is said there of a machine that is removed from a cluster that goes on.
#[test]
fn a_cluster_ends_once_it_is_said_what_its_hosts_may_share() {
    let mut world = ending();
    world.host(3).shared_storages = names(&["san"]);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StorageShared));
    world.host(3).may_share = names(&["san"]);
    let said = round(&mut world);
    assert!(said.contains("both may use the storages san"), "{said}");
}

#[test]
fn a_cluster_ends_host_by_host_and_the_last_one_goes_on_alone_as_well() {
    let mut world = ending();
    let mut gone = Vec::new();
    for _ in 0..3 {
        let planned = plan(&world.desired, &world.observed);
        let plan = guard(planned.plan.unwrap(), &world.desired, &world.observed).unwrap();
        assert_eq!(plan.risk(), Risk::Dissolution);
        assert!(need(plan.risk(), &world.desired.rollout).is_some());
        gone.push(plan.summary.clone());
        world.apply(&plan);
    }
    let said = [
        "n3 leaves the cluster prod and goes on alone",
        "n2 leaves the cluster prod and goes on alone",
        "n1 goes on alone, and the cluster prod ends",
    ];
    assert_eq!(gone, said);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.sentence, "no host has anything of prod any more");
    assert_eq!(planned.report.state, State::Settled);
    for number in 1..4 {
        assert!(world.host(number).is_empty() && !world.host(number).guests.is_empty());
    }
}

#[test]
fn in_a_cluster_that_ends_one_that_is_off_the_list_goes_before_the_next_one() {
    let mut world = ending();
    let stages = plan(&world.desired, &world.observed).plan.unwrap().stages;
    let listed_off = |stage: &Stage| stage.summary.contains("off the list");
    up_to(&mut world, stages.iter().position(listed_off).unwrap() + 1);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.waiting_for, ["n2 leaves", "n1 leaves"]);
    let plan = guard(planned.plan.unwrap(), &world.desired, &world.observed).unwrap();
    assert!(plan.stages[0].actions.contains_key(&host(3)), "{plan:?}");
    // That it goes was approved, and nothing stops any more.
    assert_eq!(plan.risk(), Risk::Live);
}

#[test]
fn a_cluster_that_ends_waits_for_those_who_share_and_for_the_last_to_run() {
    let mut world = ending();
    world.host(3).shared_storages = names(&["san"]);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StorageShared));
    let mut world = World::running(1, &[0]);
    world.desired.dissolves = true;
    world.host(1).stop();
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NotQuorate));
}

#[test]
fn a_host_that_nobody_claimed_is_not_taken_apart() {
    let mut world = ending();
    world.host(3).claim = Claim::Free;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::MemberNotManaged));
}

#[test]
fn the_end_of_a_cluster_is_not_carried_out_for_one_that_is_wanted() {
    let mut world = World::running(1, &[0]);
    world.desired.dissolves = true;
    let last = plan(&world.desired, &world.observed).plan.unwrap();
    world.desired.dissolves = false;
    let verdict = guard(last, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::ActionMisplaced { stage: 1, host: host(1) }));
}
