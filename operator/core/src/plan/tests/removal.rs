//! Members that leave.

use super::goldens::{round, settles};
use super::world::{World, host, id};
use crate::change::{Action, ConfText, Plan, Risk, Tombstone};
use crate::conf::{Document, edit};
use crate::desired::Removal;
use crate::guard::{Refusal, guard};
use crate::ha::HaState;
use crate::ids::Digest;
use crate::observed::{Absence, Claim, FileView};
use crate::plan::{Blocker, State, plan};
use crate::references::{Reference, ReferenceKind};

/// A cluster of so many nodes, and a spec of the first of them.
fn shrinking(from: u32, to: usize) -> World {
    let mut world = World::running(from, &[0]);
    world.desired.nodes.truncate(to);
    world
}

#[test]
fn a_member_that_the_spec_names_no_more_stops_and_is_taken_off_the_list() {
    let mut world = shrinking(4, 3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn the_one_that_stays_of_two_is_lent_a_vote() {
    let mut world = shrinking(2, 1);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
    assert_eq!(world.text().nodes[0].votes(), 2, "nothing is taken from one that is alone");
    world.node(1).votes = Some(1);
    settles(&world);
    world.desired.nodes.push(World::new(2).desired.nodes[1].clone());
    world.node(1).votes = None;
    let said = round(&mut world);
    assert!(!said.contains("Lend"), "{said}");
    settles(&world);
    assert_eq!(world.text().nodes[0].votes(), 1);
}

#[test]
fn several_leave_one_by_one_and_the_lowest_last() {
    let mut world = World::running(5, &[0]);
    world.desired.nodes.retain(|node| ["n2", "n4"].contains(&node.name.as_str()));
    let mut gone = Vec::new();
    for _ in 0..3 {
        let planned = plan(&world.desired, &world.observed);
        let plan = guard(planned.plan.unwrap(), &world.desired, &world.observed).unwrap();
        gone.push(plan.summary.split(' ').next().unwrap().to_owned());
        world.apply(&plan);
    }
    assert_eq!(gone, ["n5", "n3", "n1"]);
    settles(&world);
}

#[test]
fn a_member_with_several_votes_gives_them_up_one_by_one_before_it_goes() {
    let mut world = World::new(3);
    world.install(&[(1, 1), (2, 1), (3, 3)], &[0]);
    world.desired.nodes.pop();
    let said = round(&mut world);
    assert!(
        said.contains("Take a vote from n3: 2") && said.contains("Take a vote from n3: 1"),
        "{said}"
    );
    settles(&world);
}

#[test]
fn a_removal_is_a_restart_to_whoever_allows_changes() {
    let world = shrinking(3, 2);
    assert_eq!(plan(&world.desired, &world.observed).plan.unwrap().risk(), Risk::NodeRestart);
}

#[test]
fn one_that_has_stopped_already_is_taken_off_the_list() {
    let mut world = shrinking(4, 3);
    up_to(&mut world, 1);
    world.host(1).link_faults.insert((super::world::link(0), id(4)));
    let said = round(&mut world);
    assert!(said.contains("Take n4, node 4, off the list"), "{said}");
    world.host(1).link_faults.clear();
    settles(&world);
}

#[test]
fn a_second_one_that_has_stopped_is_not_taken_for_granted() {
    let mut world = shrinking(5, 3);
    for number in [4, 5] {
        world.host(number).stop();
    }
    for number in 1..4 {
        world.host(number).members = (1..4).map(id).collect();
    }
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NotQuorate));
    assert!(planned.report.sentence.contains("n4, n5"), "{}", planned.report.sentence);
}

#[test]
fn a_join_that_ended_before_its_start_goes_on_before_anybody_leaves() {
    let mut world = shrinking(4, 3).unstarted(3);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.waiting_for, ["n4 leaves"]);
    let said = round(&mut world);
    assert!(said.contains("Start corosync and pmxcfs on n3"), "{said}");
    let said = round(&mut world);
    assert!(said.contains("Take n4, node 4, off the list"), "{said}");
    settles(&world);
}

/// The plan as far as its stages go, carried out up to and with this one.
fn up_to(world: &mut World, stages: usize) {
    let whole = plan(&world.desired, &world.observed).plan.unwrap();
    let stages = whole.stages[..stages].to_vec();
    world.apply(&Plan::proposed(whole.parent, whole.generation, whole.summary, stages));
}

#[test]
fn one_that_is_off_the_list_puts_away_what_it_has_once_nothing_else_is_to_be_done() {
    let mut world = shrinking(4, 3);
    up_to(&mut world, 2);
    world.node(1).votes = Some(2);
    let said = round(&mut world);
    assert!(said.contains("votes") && !world.host(4).is_empty(), "{said}");
    let mut with_guests = world.clone();
    with_guests.host(4).guests = [100].into();
    let planned = plan(&with_guests.desired, &with_guests.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
    let mut silent = world.clone();
    silent.host(4).connected = false;
    settles(&silent);
    let said = round(&mut world);
    assert!(said.contains("n4 puts away what it has of the cluster"), "{said}");
    assert!(world.host(4).is_empty());
    settles(&world);
}

/// A cluster of its own on n4, which has the same name and lists nobody else.
fn founds_its_own(world: &mut World) {
    let file = world.host(4).disk_file.clone().unwrap();
    let document = Document::parse(file.text.unwrap().as_bytes());
    let alone = [1, 2, 3]
        .map(id)
        .into_iter()
        .fold(document, |document, other| edit::remove_node(&document, other).unwrap());
    let own = ConfText::new(file.version.unwrap(), String::from_utf8(alone.to_bytes()).unwrap());
    let ConfText { version, digest, text } = own;
    world.host(4).disk_file = Some(FileView { version: Some(version), digest, text: Some(text) });
}

#[test]
fn one_that_is_named_again_before_it_has_put_everything_away_does_so_and_joins() {
    let mut world = shrinking(4, 3);
    up_to(&mut world, 2);
    world.desired.nodes.push(World::new(4).desired.nodes[3].clone());
    let spoils: [fn(&mut World); 5] = [
        |world| world.host(4).machine_id = Some("another".to_owned()),
        |world| world.host(4).claim = Claim::Free,
        |world| {
            for view in world.observed.hosts.values_mut() {
                let stones = std::mem::take(&mut view.tombstones).into_iter();
                view.tombstones = stones.map(|gone| Tombstone { node_id: id(9), ..gone }).collect();
            }
        },
        |world| world.observed.hosts.values_mut().for_each(|view| view.tombstones.clear()),
        founds_its_own,
    ];
    for spoil in spoils {
        let mut strange = world.clone();
        spoil(&mut strange);
        let planned = plan(&strange.desired, &strange.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::HostNotEmpty));
        let before = plan(&world.desired, &world.observed).plan.unwrap();
        let verdict = guard(before, &strange.desired, &strange.observed);
        assert!(matches!(verdict, Err(Refusal::ActionMisplaced { stage: 1, .. })), "{verdict:?}");
    }
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.waiting_for, ["n4 joins"]);
    let said = round(&mut world);
    assert!(said.contains("n4 puts away what it has of the cluster"), "{said}");
    let said = round(&mut world);
    assert!(said.contains("List n4 as node 5"), "{said}");
    settles(&world);
}

/// n4 of four, declared dead by a person, and silent.
fn dead() -> World {
    let mut world = World::running(4, &[0]);
    world.host(4).absence = Some(Absence { is_dead: true, because: "PDU port 7 off".to_owned() });
    world.host(4).connected = false;
    for number in 1..4 {
        world.host(number).members.remove(&id(4));
        world.host(number).link_faults.insert((super::world::link(0), id(4)));
    }
    world
}

#[test]
fn one_that_is_dead_is_taken_off_the_list_and_the_others_take_another_key() {
    let mut world = dead();
    let said = round(&mut world);
    assert!(said.contains("Take n4, node 4, off the list"), "{said}");
    assert!(!said.contains("Stop corosync") && !said.contains("n4 puts away"), "{said}");
    assert_eq!(world.text().nodes.len(), 3);
    let gone = world.host(1).tombstones.first().cloned().unwrap();
    assert_eq!((gone.node_id, gone.keeps_key), (id(4), Some(0)));
    world.observed.hosts.values_mut().for_each(|view| view.link_faults.clear());
    let said = round(&mut world);
    assert!(said.contains("exchange the authkey, generation 1"), "{said}");
    settles(&world);
    world.desired.key_generation = 1;
    settles(&world);
}

#[test]
fn a_removal_of_the_dead_waits_for_approval_as_every_removal_does() {
    let world = dead();
    assert_eq!(plan(&world.desired, &world.observed).plan.unwrap().risk(), Risk::NodeRestart);
}

#[test]
fn one_that_is_declared_dead_and_lives_is_not_removed() {
    type Spoil = fn(&mut World);
    let spoils: [(Spoil, &str); 3] = [
        (|world| world.host(4).connected = true, "its agent is heard"),
        (|world| world.host(2).members.extend([id(4)]), "n2 has it in the membership"),
        (|world| world.host(3).link_faults.clear(), "link 0 from n3 to it is connected"),
    ];
    for (spoil, seen) in spoils {
        let mut world = dead();
        let before = plan(&world.desired, &world.observed).plan.unwrap();
        spoil(&mut world);
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::DeadIsSeen));
        let sentence = planned.report.sentence;
        assert!(sentence.contains(seen) && sentence.contains("(PDU port 7 off)"), "{sentence}");
        let verdict = guard(before, &world.desired, &world.observed).unwrap_err();
        let sound = matches!(verdict, Refusal::DeadIsSeen { .. } | Refusal::ViewNotSound { .. });
        assert!(sound, "{verdict:?}");
    }
}

#[test]
fn the_watchdog_of_a_dead_machine_resets_nobody() {
    let mut world = dead();
    world.host(4).ha = HaState::Active;
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
    world.host(3).ha = HaState::Active;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HaNotIdle));
}

#[test]
fn the_dead_are_not_removed_from_those_who_have_no_quorum_without_them() {
    let mut world = dead();
    for number in 1..4 {
        world.host(number).quorate = false;
    }
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NotQuorate));
}

#[test]
fn the_guests_of_the_dead_hold_them() {
    let mut world = dead();
    let before = plan(&world.desired, &world.observed).plan.unwrap();
    world.host(4).guests = [100].into();
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
    let verdict = guard(before, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::LeavesReferenced { stage: 1, host: host(4) }));
}

/// n5, off the list and silent, still has the file that lists n4 as well.
#[test]
fn who_has_put_everything_away_is_not_asked_again_while_an_old_file_lists_it() {
    let mut world = shrinking(5, 4);
    up_to(&mut world, 2);
    world.host(5).connected = false;
    world.desired.nodes.pop();
    let said = round(&mut world);
    assert!(said.contains("n4 puts away what it has of the cluster"), "{said}");
    settles(&world);
}

#[test]
fn one_that_was_listed_and_never_started_is_only_taken_off_the_list() {
    let mut world = shrinking(4, 3).unstarted(4);
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    let summaries: Vec<_> = plan.stages.iter().map(|stage| stage.summary.as_str()).collect();
    let wanted = ["Take n4, node 4, off the list", "n1 puts away what /etc/pve keeps of n4"];
    assert_eq!(summaries, wanted);
    round(&mut world);
    world.observed.hosts.values_mut().for_each(|view| view.link_faults.clear());
    settles(&world);
}

#[test]
fn nobody_who_has_stopped_is_taken_off_while_another_was_never_started() {
    let mut world = shrinking(5, 4).unstarted(4);
    world.host(5).stop();
    for number in 1..4 {
        world.host(number).members.remove(&id(5));
    }
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NotQuorate));
    let sentence = planned.report.sentence;
    assert!(sentence.contains("n4") && sentence.contains("n5"), "{sentence}");
}

#[test]
fn nobody_leaves_while_another_member_is_offline() {
    let mut world = shrinking(4, 3);
    world.host(2).connected = false;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HostNotConnected));
    let mut world = shrinking(4, 3);
    world.host(2).running_version = None;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NotQuorate));
}

#[test]
fn one_that_nobody_hears_does_not_leave_by_being_silent() {
    let mut world = shrinking(4, 3);
    world.host(4).connected = false;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HostNotConnected));
    assert!(planned.report.sentence.contains("n4 is to leave"), "{}", planned.report.sentence);
}

#[test]
fn a_member_with_guests_does_not_leave_and_they_are_named() {
    let mut world = shrinking(4, 3);
    world.host(4).guests = (100..125).collect();
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
    let sentence = planned.report.sentence;
    assert!(sentence.contains("n4") && sentence.contains("100, 101"), "{sentence}");
    assert!(sentence.contains("119, 5 more"), "{sentence}");
    let mut world = shrinking(4, 3);
    world.host(1).guests = [100].into();
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
}

#[test]
fn a_member_that_the_cluster_refers_to_does_not_leave_and_everything_is_named() {
    for kind in ReferenceKind::ALL {
        let mut world = shrinking(4, 3);
        let reference = |name: &str| Reference { kind, name: name.to_owned(), names_others: true };
        world.host(4).references = [reference("one"), reference("two")].into();
        world.host(4).guests = [100].into();
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
        let (sentence, said) = (planned.report.sentence, format!("{} one, two", kind.plural()));
        assert!(sentence.contains("guests 100; ") && sentence.contains(&said), "{sentence}");
        world.host(4).guests.clear();
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
        world.host(4).references.clear();
        world.host(1).references = [reference("one")].into();
        assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
    }
}

#[test]
fn nobody_leaves_while_a_watchdog_runs() {
    let mut world = shrinking(4, 3);
    world.host(2).ha = HaState::Active;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HaNotIdle));
}

#[test]
fn the_number_of_one_that_has_left_is_never_given_away() {
    let mut world = shrinking(3, 2);
    round(&mut world);
    world.desired.nodes.push(World::new(3).desired.nodes[2].clone());
    let said = round(&mut world);
    assert!(said.contains("List n3 as node 4"), "{said}");
    settles(&world);
    let mut world = shrinking(3, 2);
    round(&mut world);
    world.desired.nodes.push(World::new(3).desired.nodes[2].clone());
    world.node(3).node_id = Some(id(3));
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::NodeIdTaken));
}

#[test]
fn everybody_that_stays_remembers_who_has_left_and_the_one_that_left_keeps_nothing() {
    let mut world = shrinking(3, 2);
    let proposed = plan(&world.desired, &world.observed).plan.unwrap();
    let [.., away, swept] = proposed.stages.as_slice() else { panic!("{proposed:?}") };
    assert_eq!(away.actions[&host(3)], [Action::LeaveCluster {}]);
    let [Action::Sweep(gone)] = swept.actions[&host(1)].as_slice() else { panic!("{swept:?}") };
    assert_eq!((gone.name.as_str(), swept.actions.len()), ("n3", 1));
    world.apply(&proposed);
    for number in [1, 2] {
        let tombstone = world.host(number).tombstones.first().unwrap().clone();
        assert_eq!(tombstone.name.as_str(), "n3");
        assert_eq!((tombstone.node_id, tombstone.machine_id.as_deref()), (id(3), Some("machine3")));
    }
    assert!(world.host(3).is_empty());
}

#[test]
fn who_joins_later_remembers_who_has_left_also_when_nobody_else_does_any_more() {
    let mut world = shrinking(3, 2);
    round(&mut world);
    let spec = World::new(4).desired.nodes;
    let hosts = World::new(4).observed.hosts;
    world.observed.hosts.insert(host(4), hosts[&host(4)].clone());
    let stale = world.host(1).tombstones.first().unwrap().clone();
    let elsewhere = Tombstone { name: "n9".parse().unwrap(), node_id: id(9), ..stale };
    world.host(4).tombstones.insert(elsewhere);
    world.desired.nodes.push(spec[3].clone());
    round(&mut world);
    settles(&world);
    let known = world.host(4).tombstones.clone();
    assert_eq!(known, world.host(1).tombstones, "and nothing of another cluster");
    for staying in [&["n2", "n4"][..], &["n4"]] {
        world.desired.nodes.retain(|node| staying.contains(&node.name.as_str()));
        round(&mut world);
    }
    let ids: Vec<_> = world.host(4).tombstones.iter().map(|gone| gone.node_id).collect();
    assert_eq!(ids, [1, 2, 3].map(id));
    world.desired.nodes.push(spec[2].clone());
    let said = round(&mut world);
    assert!(said.contains("List n3 as node 5"), "{said}");
}

#[test]
fn a_node_that_was_listed_and_not_started_is_told_as_well() {
    let mut world = shrinking(4, 3);
    round(&mut world);
    let mut world = world.unstarted(3);
    round(&mut world);
    assert_eq!(world.host(3).tombstones.len(), 1);
}

fn reference(kind: ReferenceKind, name: &str, names_others: bool) -> Reference {
    Reference { kind, name: name.to_owned(), names_others }
}

/// n4 of four is to leave, two storages and a rule name it and others, and that is to be cleaned.
fn referred_to() -> World {
    let mut world = shrinking(4, 3);
    world.desired.rollout.removal = Removal::CleanReferences;
    world.host(4).references = [
        reference(ReferenceKind::Storage, "fast", true),
        reference(ReferenceKind::Storage, "slow", true),
        reference(ReferenceKind::HaRule, "near", true),
    ]
    .into();
    world
}

#[test]
fn what_names_others_as_well_is_cleaned_before_the_stop_where_that_is_wanted() {
    let mut world = referred_to();
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    let summaries: Vec<_> = plan.stages.iter().map(|stage| stage.summary.as_str()).collect();
    let cleans = "n1 takes n4 out of ha/rules.cfg: near; storage.cfg: fast, slow";
    assert_eq!(summaries[..2], [cleans, "Stop corosync and pmxcfs on n4"]);
    round(&mut world);
    settles(&world);
}

#[test]
fn one_that_stays_cleans_also_where_the_writer_leaves() {
    let mut world = World::running(3, &[0]);
    world.desired.nodes.remove(0);
    world.desired.rollout.removal = Removal::CleanReferences;
    world.host(1).references = [reference(ReferenceKind::Storage, "fast", true)].into();
    let said = round(&mut world);
    assert!(said.contains("n2 takes n1 out of storage.cfg: fast"), "{said}");
    assert!(said.contains("n2 puts away what /etc/pve keeps of n1"), "{said}");
    settles(&world);
}

#[test]
fn what_is_for_the_leaving_node_alone_and_guests_are_never_cleaned() {
    let kinds = [ReferenceKind::Storage, ReferenceKind::BackupJob, ReferenceKind::ReplicationJob];
    for kind in kinds {
        let mut world = referred_to();
        world.host(4).references.insert(reference(kind, "only", false));
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
        let sentence = planned.report.sentence;
        assert!(sentence.contains(&format!("{} only;", kind.plural())), "{sentence}");
        assert!(!sentence.contains("fast"), "{sentence}");
    }
    let mut world = referred_to();
    world.host(4).guests = [100].into();
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::StillReferenced));
}

/// n4 of four, off the list, with what is left of its file.
fn torn(text: fn(&str) -> String) -> World {
    let mut world = shrinking(4, 3);
    up_to(&mut world, 2);
    spoil(&mut world, 4, text);
    world
}

fn spoil(world: &mut World, number: u32, text: fn(&str) -> String) {
    let file = world.host(number).disk_file.take().unwrap();
    let text = text(&file.text.unwrap());
    let digest = Digest::of(text.as_bytes());
    world.host(number).disk_file = Some(FileView { version: None, digest, text: Some(text) });
}

fn half(text: &str) -> String {
    text[..text.len() / 2].to_owned()
}

#[test]
fn one_that_is_off_the_list_stops_nobody_with_a_file_that_says_nothing_of_the_cluster() {
    let elsewhere: fn(&str) -> String = |text| text.replace("prod", "test");
    for (text, why) in [(half as fn(&str) -> String, "is not understood"), (elsewhere, "`test`")] {
        let mut world = torn(text);
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Settled, "{}", planned.report.sentence);
        let [remark] = planned.report.waiting_for.as_slice() else { panic!("{planned:?}") };
        assert!(remark.contains("n4") && remark.contains(why), "{remark}");
        world.node(1).votes = Some(2);
        let said = round(&mut world);
        assert!(said.contains("votes") && !world.host(4).is_empty(), "{said}");
    }
}

#[test]
fn who_is_wanted_or_a_member_stops_everybody_with_such_a_file() {
    let mut wanted = torn(half);
    wanted.desired.nodes.push(World::new(4).desired.nodes[3].clone());
    let mut member = shrinking(4, 3);
    spoil(&mut member, 4, half);
    for world in [wanted, member] {
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::ConfigNotUnderstood));
        assert!(planned.report.sentence.contains("n4"), "{}", planned.report.sentence);
    }
}

#[test]
fn the_file_of_the_dead_is_nobodys_business() {
    let mut world = dead();
    spoil(&mut world, 4, half);
    let said = round(&mut world);
    assert!(said.contains("Take n4, node 4, off the list"), "{said}");
}

/// Nothing is known of a cluster but what such a file says: none is formed beside it.
#[test]
fn where_it_is_all_that_is_left_nothing_is_formed_and_nothing_has_ended() {
    let mut world = torn(half);
    world.observed.hosts.retain(|name, _| *name == host(4));
    for number in 1..4 {
        world.observed.hosts.insert(host(number), World::new(3).host(number).clone());
    }
    for dissolves in [false, true] {
        world.desired.dissolves = dissolves;
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Blocked(Blocker::ConfigNotUnderstood));
    }
}
