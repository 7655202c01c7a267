//! For each guard a plan that is wrong in exactly that point, made from a right one.

use crate::change::{Action, ConfText, Plan, Probe, Proposed, Stage};
use crate::conf::{Document, NodeEntry, edit};
use crate::guard::{Refusal, guard};
use crate::ids::{ConfigVersion, Digest};
use crate::observed::Claim;
use crate::plan::plan;
use crate::plan::tests::world::{World, host, id, link, wanted_link};

/// Three nodes with one link that get a second one: one stage, version 8, back 9.
fn adding() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.links.push(wanted_link(1, None));
    world
}

/// Three nodes with links 0 and 1: 2 is added, 1 is removed.
fn swapping() -> World {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links = vec![wanted_link(0, None), wanted_link(2, None)];
    world
}

type Spoil = fn(&mut World);

/// A first node with a lent vote that gets company: key, list, start, take back.
fn joining() -> World {
    let mut world = World::new(2);
    world.install(&[(1, 2)], &[0]);
    world
}

fn voting() -> World {
    let mut world = World::running(3, &[0]);
    world.node(1).votes = Some(3);
    world
}

fn proposed(world: &World) -> Plan<Proposed> {
    plan(&world.desired, &world.observed).plan.expect("the planner proposes something")
}

/// What the guards say about a plan after somebody changed it.
fn verdict(world: &World, spoil: impl FnOnce(&mut Vec<Stage>)) -> Result<(), Refusal> {
    let mut plan = proposed(world);
    spoil(&mut plan.stages);
    let verdict = guard(plan, &world.desired, &world.observed).map(drop);
    if let Err(refusal) = &verdict {
        assert!(format!("{refusal:?}").starts_with(refusal.reason()), "{refusal:?}");
    }
    verdict
}

/// Puts another text under the right name.
fn rewrite(conf: &mut ConfText, change: impl FnOnce(&str) -> String) {
    *conf = ConfText::new(conf.version, change(&conf.text));
}

fn edited(conf: &mut ConfText, change: impl FnOnce(&Document) -> Document) {
    let text = change(&Document::parse(conf.text.as_bytes())).to_bytes();
    *conf = ConfText::new(conf.version, String::from_utf8(text).unwrap());
}

macro_rules! refuses {
    ($world:expr, $refusal:pat $(if $guard:expr)?, $spoil:expr) => {
        let verdict = verdict(&$world, $spoil);
        assert!(matches!(verdict, Err($refusal) $(if $guard)?), "{verdict:?}");
    };
}

mod away;
mod datacenter;
mod device;
mod ha;
mod keys;
mod recovery;
mod removal;
mod separation;
// Below the macro that it uses.
mod reloads;
mod transport;

/// Four nodes of which the last is listed and was never started: key, start.
fn starting() -> World {
    World::running(4, &[0]).unstarted(4)
}

#[test]
fn a_listed_node_is_started_with_a_way_back_that_takes_it_off_the_list() {
    refuses!(starting(), Refusal::WrongWayBack { stage: 2 }, |stages| {
        stages[1].back = None;
    });
    refuses!(starting(), Refusal::WrongWayBack { stage: 2 }, |stages| {
        let back = stages[1].back.as_mut().unwrap();
        edited(back, |text| {
            let without = edit::remove_node(text, id(3)).unwrap();
            edit::set_version(&without, ConfigVersion(8)).unwrap()
        });
    });
    // The number of the way back is taken by nobody.
    refuses!(starting(), Refusal::VersionNotAbove { stage: 2, .. }, |stages| {
        let conf = stages[1].back.clone().unwrap();
        let old = Document::parse(conf.text.as_bytes());
        let text = edit::set_version(&old, ConfigVersion(7)).unwrap();
        let text = String::from_utf8(text.to_bytes()).unwrap();
        stages[1].back = Some(ConfText::new(ConfigVersion(7), text));
    });
    // With more than one vote its going would move the majorities too far.
    let mut world = World::new(4);
    world.install(&[(1, 1), (2, 1), (3, 1), (4, 2)], &[0]);
    refuses!(world.unstarted(4), Refusal::VotesMoveTooFar { stage: 2 }, |_| ());
}

#[test]
fn nothing_else_is_done_while_a_listed_node_was_never_started() {
    let mut world = adding();
    let plan = proposed(&world);
    world = world.unstarted(3);
    let verdict = guard(plan, &world.desired, &world.observed);
    assert!(verdict.is_err(), "{verdict:?}");
}

#[test]
fn plans_as_the_planner_makes_them_are_proven() {
    for world in [adding(), swapping(), joining(), voting(), starting(), World::new(3)] {
        assert_eq!(verdict(&world, |_| ()), Ok(()));
    }
}

#[test]
fn a_plan_that_does_nothing_or_what_nobody_wants_any_more_is_refused() {
    refuses!(adding(), Refusal::EmptyPlan, Vec::clear);
    let mut world = adding();
    let plan = proposed(&world);
    world.desired.generation = 2;
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::WrongGeneration { plan: 1, spec: 2 }));
}

#[test]
fn overwriting_an_edit_that_nobody_here_has_seen_is_refused() {
    let mut plan = proposed(&adding());
    plan.parent.as_mut().unwrap().digest = Digest::of(b"other");
    let world = adding();
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::ParentUnknown));
}

#[test]
fn a_version_that_aborts_corosync_is_refused() {
    refuses!(adding(), Refusal::TextNotUnderstood { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| {
            text.replace("config_version: 8", "config_version: 8a")
        });
    });
}

#[test]
fn a_text_that_hosts_would_take_for_another_one_is_refused() {
    refuses!(adding(), Refusal::WrongDigest { stage: 1 }, |stages| {
        stages[0].config.digest = Digest::of(b"other");
    });
    refuses!(adding(), Refusal::WrongVersion { stage: 1, .. }, |stages| {
        stages[0].config.version = ConfigVersion(10);
    });
}

#[test]
fn a_text_that_would_leave_every_member_alone_in_another_cluster_is_refused() {
    refuses!(adding(), Refusal::OtherCluster { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| {
            text.replace("cluster_name: prod", "cluster_name: test")
        });
    });
}

#[test]
fn a_version_that_members_would_ignore_is_refused() {
    let mut world = adding();
    let plan = proposed(&world);
    world.observed.reserved_version = ConfigVersion(8);
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::VersionNotAbove { stage: 1, version: ConfigVersion(8) }));
}

#[test]
fn two_texts_under_one_version_that_would_split_the_cluster_are_refused() {
    refuses!(
        swapping(),
        Refusal::VersionNotAbove { stage: 2, version: ConfigVersion(9) },
        |stages| {
            let nine = |document: &Document| edit::set_version(document, ConfigVersion(9)).unwrap();
            stages[1].config.version = ConfigVersion(9);
            edited(&mut stages[1].config, nine);
        }
    );
}

#[test]
fn a_joiner_with_a_file_that_no_member_has_is_refused() {
    refuses!(joining(), Refusal::OtherText { stage: 1 }, |stages| {
        rewrite(&mut stages[0].config, |text| format!("{text}# more\n"));
    });
}

#[test]
fn a_stage_that_could_cut_members_off_for_good_is_refused() {
    refuses!(adding(), Refusal::NoWayBack { stage: 1 }, |stages| stages[0].back = None);
    refuses!(adding(), Refusal::WrongWayBack { stage: 1 }, |stages| {
        rewrite(stages[0].back.as_mut().unwrap(), |text| format!("{text}# more\n"));
    });
    refuses!(joining(), Refusal::WrongWayBack { stage: 3 }, |stages| stages[2].back = None);
}

#[test]
fn a_change_that_would_lose_a_member_that_is_already_unwell_is_refused() {
    let spoils: [fn(&mut World); 10] = [
        |w| w.host(2).connected = false,
        |w| w.host(2).paused = true,
        |w| w.host(2).claim = Claim::Other("test".to_owned()),
        |w| w.host(2).quorate = false,
        |w| w.host(2).ring = Some("other".to_owned()),
        |w| w.host(2).pmxcfs_writable = false,
        |w| w.host(2).disk_file = None,
        |w| w.host(2).pmxcfs_file = None,
        |w| w.host(2).running_version = Some(ConfigVersion(6)),
        |w| w.host(2).members = [id(2)].into(),
    ];
    for spoil in spoils {
        let mut world = adding();
        let plan = proposed(&world);
        spoil(&mut world);
        let verdict = guard(plan, &world.desired, &world.observed);
        assert!(matches!(verdict, Err(Refusal::ViewNotSound { .. })), "{verdict:?}");
    }
}

#[test]
fn overwriting_what_a_joiner_or_founder_already_holds_is_refused() {
    let mut world = joining();
    let plan = proposed(&world);
    world.host(2).guests.insert(100);
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::ViewNotSound { host: host(2), why: "has guests" }));

    // Listed, its vote would be missing: it could not start, or nobody would understand it.
    let unfit: [(&str, Spoil); 3] = [
        ("has a name that leads nowhere", |w| {
            w.host(2).fitness.name_addresses = Some(["127.0.1.1".parse().unwrap()].into());
        }),
        ("has another release than a member", |w| {
            w.host(1).fitness.corosync_version = Some("3.1.9".to_owned());
            w.host(2).fitness.corosync_version = Some("2.4.4".to_owned());
        }),
        ("has another time than a member", |w| {
            w.host(1).fitness.clock_ahead_secs = Some(0);
            w.host(2).fitness.clock_ahead_secs = Some(60);
        }),
    ];
    for (why, spoil) in unfit {
        let mut world = joining();
        let plan = proposed(&world);
        spoil(&mut world);
        let verdict = guard(plan, &world.desired, &world.observed);
        assert_eq!(verdict, Err(Refusal::ViewNotSound { host: host(2), why }));
    }

    let mut world = World::new(2);
    let plan = proposed(&world);
    world.host(2).running_version = Some(ConfigVersion(0));
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict, Err(Refusal::ViewNotSound { host: host(2), why: "runs corosync already" }));
}

#[test]
fn a_name_under_which_pmxcfs_would_not_start_is_refused() {
    refuses!(adding(), Refusal::WrongName { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("name: n3", "name: x3"));
    });
}

#[test]
fn confirming_without_a_member_that_may_be_cut_off_is_refused() {
    refuses!(adding(), Refusal::WrongGroup { stage: 1 }, |stages| {
        stages[0].group.remove(&id(3));
    });
    refuses!(joining(), Refusal::WrongGroup { stage: 3 }, |stages| stages[2].joining.clear());
}

#[test]
fn votes_of_a_node_that_never_starts_are_refused() {
    refuses!(joining(), Refusal::MembersMove { stage: 2, .. }, |stages| {
        stages.truncate(2);
    });
}

#[test]
fn a_member_that_vanishes_from_the_list_is_refused() {
    refuses!(adding(), Refusal::DropsMember { stage: 1, .. }, |stages| {
        edited(&mut stages[0].config, |text| edit::remove_node(text, id(3)).unwrap());
        stages[0].group.remove(&id(3));
    });
}

#[test]
fn an_address_on_which_a_node_would_run_alone_is_refused() {
    refuses!(adding(), Refusal::AddressNotOnHost { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("10.0.1.3", "10.0.1.99"));
    });
}

#[test]
fn an_address_for_two_nodes_of_which_one_would_vanish_is_refused() {
    let mut world = adding();
    world.host(3).addresses.insert("10.0.2.2/24".parse().unwrap());
    refuses!(world, Refusal::AddressTwice { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| {
            text.replace("10.0.1.3", "10.0.2.2").replace("10.0.1.2", "10.0.2.2")
        });
    });
}

#[test]
fn votes_that_move_under_another_majority_than_the_proved_one_are_refused() {
    refuses!(voting(), Refusal::ArithmeticUnknown { stage: 1 }, |stages| {
        stages.truncate(1);
        rewrite(&mut stages[0].config, |text| {
            text.replace("corosync_votequorum\n", "corosync_votequorum\n  expected_votes: 9\n")
        });
    });
}

#[test]
fn a_founder_left_read_only_with_half_the_votes_is_refused() {
    // As in `joining`, but the founder was formed with one vote and nobody lends it another.
    let mut world = World::new(2);
    world.install(&[(1, 1)], &[0]);
    let mut plan = proposed(&world);
    let parent = world.host(1).pmxcfs_file.clone().unwrap().text.unwrap();
    let lent = plan.stages.remove(1);
    plan.stages.truncate(3);
    for stage in &mut plan.stages[1..] {
        stage.config = lent.config.clone();
        rewrite(&mut stage.config, |_| with_n2(&parent, lent.config.version));
        let back = edit::set_version(
            &Document::parse(parent.as_bytes()),
            lent.back.as_ref().unwrap().version,
        );
        let back = String::from_utf8(back.unwrap().to_bytes()).unwrap();
        stage.back = Some(ConfText::new(lent.back.as_ref().unwrap().version, back));
    }
    let verdict = guard(plan, &world.desired, &world.observed);
    assert_eq!(verdict.map(drop), Err(Refusal::NotQuorate { stage: 2, present: 1, expected: 2 }));
}

fn entry(n: u32) -> NodeEntry {
    let addresses = [(link(0), format!("10.0.0.{n}"))].into();
    NodeEntry { name: format!("n{n}").parse().unwrap(), id: id(n), votes: 1, addresses }
}

/// The text with n2 in the list, under a version.
fn with_n2(parent: &str, version: ConfigVersion) -> String {
    let document = edit::add_node(&Document::parse(parent.as_bytes()), &entry(2)).unwrap();
    String::from_utf8(edit::set_version(&document, version).unwrap().to_bytes()).unwrap()
}

#[test]
fn two_votes_in_one_stage_that_allow_two_majorities_are_refused() {
    refuses!(voting(), Refusal::VotesMoveTooFar { stage: 1 }, |stages| {
        let last = stages.pop().unwrap();
        rewrite(&mut stages[0].config, |_| {
            last.config.text.replace("config_version: 10", "config_version: 8")
        });
    });
}

#[test]
fn an_edited_address_that_a_reload_would_not_take_is_refused() {
    let mut world = adding();
    world.host(3).addresses.insert("10.0.0.33/24".parse().unwrap());
    refuses!(world, Refusal::AddressMoves { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("10.0.0.3", "10.0.0.33"));
    });
}

#[test]
fn removing_the_last_link_that_works_between_two_members_is_refused() {
    // Link 1 goes; of link 0 one pair says that it is broken, and the plan does not know.
    let mut world = World::running(3, &[0, 1]);
    world.desired.links.pop();
    let plan = proposed(&world);
    world.host(2).link_faults.insert((link(0), id(3)));
    let verdict = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::NoVerifiedLink { stage: 1, one: id(2), other: id(3) }));
}

#[test]
fn a_pair_whose_only_link_is_broken_may_gain_one() {
    let mut world = adding();
    world.host(1).link_faults.insert((link(0), id(2)));
    assert_eq!(verdict(&world, |_| ()), Ok(()));
}

#[test]
fn removing_the_old_link_before_the_new_one_was_seen_connected_is_refused() {
    let mut world = World::running(2, &[0]);
    world.desired.links = vec![wanted_link(1, None)];
    assert_eq!(verdict(&world, |_| ()), Ok(()));
    refuses!(world, Refusal::NoVerifiedLink { stage: 2, .. }, |stages| {
        stages[0].probes.retain(|probe| *probe != Probe::LinkConnected { link: link(1) });
    });
}

#[test]
fn an_action_that_would_take_a_member_out_of_its_cluster_is_refused() {
    refuses!(adding(), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        stages[0].actions.insert(host(2), vec![Action::FormCluster {}]);
    });
    refuses!(joining(), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        stages[0].actions.insert(host(1), vec![Action::ReceiveAuthkey { generation: 0 }]);
    });
    refuses!(World::new(2), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        stages[0].actions.insert(host(2), vec![Action::FormCluster {}]);
    });
}

#[test]
fn an_authkey_that_a_stranger_could_read_is_refused() {
    refuses!(joining(), Refusal::WrongRecipient { stage: 1, .. }, |stages| {
        let seal = Action::SealAuthkey { to: host(2), recipient: "age1other".to_owned() };
        stages[0].actions.insert(host(1), vec![seal]);
    });
}

#[test]
fn a_change_that_could_be_confirmed_on_the_old_value_is_refused() {
    let value = |probe: &Probe| matches!(probe, Probe::RunningValue { .. });
    refuses!(voting(), Refusal::Unproven { stage: 1, .. }, |stages| {
        stages[0].probes.retain(|probe| !value(probe));
    });
    let linked = |probe: &Probe| matches!(probe, Probe::LinkConnected { .. });
    refuses!(joining(), Refusal::Unproven { stage: 3, .. }, |stages| {
        stages.truncate(3);
        stages[2].probes.retain(|probe| !linked(probe));
    });
    let membership = |probe: &Probe| matches!(probe, Probe::Membership { .. });
    refuses!(adding(), Refusal::Unproven { stage: 1, .. }, |stages| {
        stages[0].probes.retain(|probe| !membership(probe));
    });
}

#[test]
fn two_new_votes_at_once_that_could_take_quorum_are_refused() {
    let mut world = World::new(3);
    world.install(&[(1, 3)], &[0]);
    refuses!(world, Refusal::MembersMove { stage: 2, .. }, |stages| {
        stages.truncate(2);
        edited(&mut stages[1].config, |text| edit::add_node(text, &entry(3)).unwrap());
    });
}
