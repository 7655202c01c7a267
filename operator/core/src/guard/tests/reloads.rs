//! Guards on what a reload does with links that move and with the keys of totem.

use super::{adding, edited, rewrite, verdict};
use crate::change::{Action, Course, Probe, Risk, Stage};
use crate::conf::{
    Cipher, Config, Debugging, Document, Hash, IP_VERSION, IpVersion, LINK_MODE, LinkMode,
};
use crate::conf::{TotemOptions, edit, values_at_start};
use crate::guard::Refusal;
use crate::ids::NodeId;
use crate::plan::tests::world::{World, host, id, link, moved};

/// Three nodes whose only link goes to another network, by way of link 1.
fn moving() -> World {
    let mut world = World::running(3, &[0]);
    moved(&mut world.desired.links[0]);
    world
}

/// Three nodes that lose link 0 for good.
fn losing_zero() -> World {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links.remove(0);
    world
}

fn encrypting() -> World {
    let mut world = World::running(3, &[0]);
    (world.desired.totem.cipher, world.desired.totem.hash) =
        (Some(Cipher::Aes128), Some(Hash::Sha512));
    world
}

fn timing() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.totem.token_millis = Some(1000);
    world
}

/// Two nodes that get another link mode: the text, then for each a vote for the other, restart, back.
fn restarting() -> World {
    let mut world = World::running(2, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    world
}

/// Three nodes that get another order of address families.
fn stopping() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.totem.ip_version = Some(IpVersion::Ipv4);
    world
}

fn telling_more() -> World {
    let mut world = World::running(2, &[0]);
    world.desired.logging.debug = Some(Debugging::Trace);
    world
}

#[test]
fn a_key_of_logging_that_no_daemon_is_asked_for_is_refused() {
    refuses!(telling_more(), Refusal::Unproven { stage: 1, .. }, |stages| {
        let asks = |probe: &Probe| matches!(probe, Probe::RunningValue { key, .. } if key == "logging.debug");
        assert!(stages[0].probes.iter().any(asks));
        stages[0].probes.retain(|probe| !asks(probe));
    });
}

#[test]
fn moves_and_keys_as_the_planner_plans_them_are_proven() {
    for world in
        [moving(), losing_zero(), encrypting(), timing(), restarting(), telling_more(), stopping()]
    {
        assert_eq!(verdict(&world, |_| ()), Ok(()));
    }
}

#[test]
fn a_move_in_which_the_helper_was_not_seen_everywhere_is_refused() {
    let unseen =
        |number| move |probe: &Probe| *probe != Probe::LinkConnected { link: link(number) };
    refuses!(moving(), Refusal::NoVerifiedLink { stage: 2, .. }, |stages| {
        stages[0].probes.retain(unseen(1));
    });
    refuses!(moving(), Refusal::NoVerifiedLink { stage: 4, .. }, |stages| {
        stages[2].probes.retain(unseen(0));
    });
}

#[test]
fn a_move_that_edits_the_addresses_in_place_is_refused() {
    refuses!(moving(), Refusal::AddressMoves { stage: 2, .. }, |stages| {
        stages.truncate(2);
        let addresses = (1..=3).map(|n| (id(n), format!("10.1.0.{n}"))).collect();
        let move_at_once = |text: &_| {
            let old = edit::remove_link(text, link(1)).unwrap();
            edit::set_addresses(&old, link(0), &addresses).unwrap()
        };
        let version = stages[1].config.version;
        let first = stages[0].config.text.clone();
        rewrite(&mut stages[1].config, |_| first);
        edited(&mut stages[1].config, |text| {
            edit::set_version(&move_at_once(text), version).unwrap()
        });
    });
}

#[test]
fn a_port_that_is_edited_on_a_running_link_is_refused() {
    refuses!(adding(), Refusal::PortMoves { stage: 1, link: l } if l == link(0), |stages| {
        rewrite(&mut stages[0].config, |text| {
            text.replace("linknumber: 0", "linknumber: 0\n    mcastport: 5500")
        });
    });
}

#[test]
fn a_link_on_the_socket_of_another_one_is_refused() {
    let n1: NodeId = id(1);
    refuses!(adding(), Refusal::SharedSocket { stage: 1, node, .. } if node == n1, |stages| {
        rewrite(&mut stages[0].config, |text| {
            let text = text.replace("10.0.1.", "10.0.0.");
            text.replace("linknumber: 1", "linknumber: 1\n    mcastport: 5405")
        });
    });
}

#[test]
fn encryption_that_vanishes_or_is_another_one_than_wanted_is_refused() {
    let plain = Refusal::CryptoMoves { stage: 1, cipher: Cipher::None, hash: Hash::None };
    let lost = verdict(&adding(), |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("  secauth: on\n", ""));
    });
    assert_eq!(lost, Err(plain));
    refuses!(encrypting(), Refusal::CryptoMoves { stage: 1, hash: Hash::Sha256, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("sha512", "sha256"));
    });
}

#[test]
fn a_token_timeout_that_shrinks_with_link_0_or_unasked_is_refused() {
    let refusal = Refusal::TokenShrinks { stage: 1, from_millis: 3125, to_millis: 3000 };
    let with_zero = |stages: &mut Vec<Stage>| {
        rewrite(&mut stages[0].config, |text| text.replace("  token: 3125\n", ""));
    };
    assert_eq!(verdict(&losing_zero(), with_zero), Err(refusal.clone()));
    // Also where the spec sets the timeout: what it sets counts the nodes.
    let mut managed = losing_zero();
    managed.desired.totem.token_millis = Some(3000);
    assert_eq!(verdict(&managed, with_zero), Err(refusal.clone()));
    let unasked = verdict(&adding(), |stages| {
        rewrite(&mut stages[0].config, |text| {
            text.replace("token_coefficient: 125", "token_coefficient: 0")
        });
    });
    assert_eq!(unasked, Err(refusal));
}

#[test]
fn a_token_timeout_without_ping_times_that_follow_is_refused() {
    refuses!(timing(), Refusal::PingsLate { stage: 1 }, |stages| stages.truncate(1));
    refuses!(timing(), Refusal::PingsLate { stage: 1 }, |stages| {
        let ping = |probe: &Probe| matches!(probe, Probe::RunningValue { key, .. } if key.ends_with("knet_ping_timeout"));
        stages[1].probes.retain(|probe| !ping(probe));
    });
}

#[test]
fn a_token_timeout_that_is_held_is_proven_by_what_is_in_force() {
    refuses!(losing_zero(), Refusal::Unproven { stage: 1, .. }, |stages| {
        let token = |probe: &Probe| matches!(probe, Probe::RunningValue { key, .. } if key == "runtime.config.totem.token");
        stages[0].probes.retain(|probe| !token(probe));
    });
}

#[test]
fn a_restart_that_leaves_the_others_with_half_the_votes_is_refused() {
    refuses!(restarting(), Refusal::NotQuorate { stage: 2, present: 1, expected: 2 }, |stages| {
        stages.remove(1);
        stages.truncate(2);
        let text = stages[0].config.clone();
        stages[1].config = text;
        edited(stages[1].back.as_mut().unwrap(), |text| edit::set_votes(text, id(2), 1).unwrap());
    });
}

#[test]
fn a_restart_whose_undoing_takes_the_lent_vote_away_is_refused() {
    refuses!(restarting(), Refusal::WrongWayBack { stage: 3 }, |stages| {
        edited(stages[2].back.as_mut().unwrap(), |text| edit::set_votes(text, id(2), 1).unwrap());
    });
    refuses!(restarting(), Refusal::NoWayBack { stage: 3 }, |stages| stages[2].back = None);
}

#[test]
fn restarts_where_the_file_changes_what_a_majority_is_are_refused() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    let plan = crate::plan::plan(&world.desired, &world.observed).plan.unwrap();
    world.rewrite(|text| text.replace("votequorum\n", "votequorum\n  two_node: 1\n"));
    assert!(crate::plan::plan(&world.desired, &world.observed).plan.is_none());
    let mut plan = plan;
    let file = world.host(1).pmxcfs_file.clone().unwrap();
    plan.parent.as_mut().unwrap().digest = file.digest;
    for text in
        plan.stages.iter_mut().flat_map(|s| [Some(&mut s.config), s.back.as_mut()]).flatten()
    {
        rewrite(text, |text| text.replace("votequorum\n", "votequorum\n  two_node: 1\n"));
    }
    let verdict = crate::guard::guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::ArithmeticUnknown { stage: 2 }));
}

#[test]
fn a_member_that_would_keep_the_old_value_of_a_key_that_reloads_ignore_is_refused() {
    let missing = Refusal::RestartMissing { stage: 1, node: id(2) };
    assert_eq!(verdict(&restarting(), |stages| stages.truncate(4)), Err(missing));
}

#[test]
fn a_restart_that_calls_itself_live_is_refused() {
    refuses!(restarting(), Refusal::RiskHidden { stage: 3 }, |stages| {
        stages[2].risk = Risk::Live;
    });
}

#[test]
fn new_encryption_that_calls_itself_live_is_refused() {
    refuses!(encrypting(), Refusal::RiskHidden { stage: 1 }, |stages| {
        stages[0].risk = Risk::Live;
    });
}

#[test]
fn a_restart_that_is_not_seen_to_have_happened_is_refused() {
    let started = |probe: &Probe| matches!(probe, Probe::StartedWith { .. });
    refuses!(restarting(), Refusal::Unproven { stage: 3, .. }, |stages| {
        stages[2].probes.retain(|probe| !started(probe));
    });
}

#[test]
fn a_restart_beside_its_stage_or_of_more_than_one_host_is_refused() {
    let restart = || vec![Action::RestartCorosync {}];
    let misplaced = |stage: usize, spoil: fn(&mut Stage)| {
        let seen = verdict(&restarting(), |stages| spoil(&mut stages[stage - 1]));
        assert!(
            matches!(seen, Err(Refusal::ActionMisplaced { .. } | Refusal::WrongGroup { .. })),
            "{seen:?}"
        );
    };
    misplaced(3, |stage| _ = stage.actions.insert(host(2), vec![Action::RestartCorosync {}]));
    misplaced(3, |stage| _ = stage.joining.insert(id(2), host(2)));
    let seen = verdict(&restarting(), |stages| {
        stages[1].actions.insert(host(1), restart());
    });
    assert_eq!(seen, Err(Refusal::ActionMisplaced { stage: 2, host: host(1) }));
}

#[test]
fn a_restart_whose_way_back_has_a_number_that_was_used_is_refused() {
    refuses!(restarting(), Refusal::VersionNotAbove { stage: 3, .. }, |stages| {
        let version = stages[2].config.version;
        let back = stages[2].back.as_mut().unwrap();
        edited(back, |text| edit::set_version(text, version).unwrap());
        back.version = version;
    });
}

#[test]
fn what_everybody_has_to_stop_for_is_refused_where_they_do_not_stop() {
    refuses!(stopping(), Refusal::StopMissing { stage: 1 }, |stages| {
        stages[0].course = Course::Write;
    });
}

#[test]
fn an_outage_for_what_is_changed_without_one_is_refused() {
    refuses!(timing(), Refusal::OutageNotNeeded { stage: 1 }, |stages| {
        (stages[0].course, stages[0].risk) = (Course::Outage, Risk::Outage);
        let started = values_at_start(
            &Config::read(&Document::parse(stages[0].config.text.as_bytes())).unwrap(),
        );
        let started = started.into_iter();
        stages[0].probes.extend(started.map(|(key, value)| Probe::StartedWith { key, value }));
    });
    refuses!(stopping(), Refusal::OutageNotNeeded { stage: 1 }, |stages| {
        let mode = TotemOptions { link_mode: Some(LinkMode::Active), ..TotemOptions::default() };
        let active = |probe: &mut Probe| match probe {
            Probe::StartedWith { key, value } if *key == LINK_MODE => "active".clone_into(value),
            _other => {}
        };
        edited(&mut stages[0].config, |text| edit::set_totem(text, &mode).unwrap());
        stages[0].probes.iter_mut().for_each(active);
        let value = Some("active".to_owned());
        stages[0].probes.push(Probe::RunningValue { key: LINK_MODE.to_owned(), value });
    });
}

#[test]
fn a_second_outage_for_the_same_is_proven_only_where_a_daemon_runs_without_it() {
    let mut world = stopping();
    let planned = crate::plan::plan(&world.desired, &world.observed);
    world.apply(&planned.plan.unwrap());
    world.host(2).started_with.insert(IP_VERSION.to_owned(), "ipv6".to_owned());
    let plan = crate::plan::plan(&world.desired, &world.observed).plan.unwrap();
    let prove = |world: &World| {
        crate::guard::guard(plan.clone(), &world.desired, &world.observed).map(drop)
    };
    assert_eq!(prove(&world), Ok(()));
    world.host(2).started_with.insert(IP_VERSION.to_owned(), "ipv4".to_owned());
    assert_eq!(prove(&world), Err(Refusal::OutageNotNeeded { stage: 1 }));
}

#[test]
fn an_outage_that_calls_itself_less_is_refused() {
    for risk in [Risk::Live, Risk::NodeRestart] {
        refuses!(stopping(), Refusal::RiskHidden { stage: 1 }, |stages| stages[0].risk = risk);
    }
}

#[test]
fn an_outage_that_is_not_seen_to_have_happened_is_refused() {
    refuses!(stopping(), Refusal::Unproven { stage: 1, .. }, |stages| {
        stages[0].probes.retain(|probe| !matches!(probe, Probe::StartedWith { .. }));
    });
}

#[test]
fn an_outage_that_could_not_be_undone_or_leaves_a_member_out_is_refused() {
    refuses!(stopping(), Refusal::NoWayBack { stage: 1 }, |stages| stages[0].back = None);
    refuses!(stopping(), Refusal::WrongGroup { stage: 1 }, |stages| {
        stages[0].group.remove(&id(3));
    });
}

#[test]
fn an_outage_where_the_file_changes_what_a_majority_is_is_refused() {
    let mut world = stopping();
    let mut plan = crate::plan::plan(&world.desired, &world.observed).plan.unwrap();
    world.rewrite(|text| text.replace("votequorum\n", "votequorum\n  two_node: 1\n"));
    assert!(crate::plan::plan(&world.desired, &world.observed).plan.is_none());
    let file = world.host(1).pmxcfs_file.clone().unwrap();
    plan.parent.as_mut().unwrap().digest = file.digest;
    for text in
        plan.stages.iter_mut().flat_map(|s| [Some(&mut s.config), s.back.as_mut()]).flatten()
    {
        rewrite(text, |text| text.replace("votequorum\n", "votequorum\n  two_node: 1\n"));
    }
    let verdict = crate::guard::guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::ArithmeticUnknown { stage: 1 }));
}
