//! Members that a person declared away.

use super::drift::edit_disk;
use super::goldens::{blocks, round, settles};
use super::world::{World, host, id, link, moved, read, wanted_link};
use crate::conf::{Cipher, Hash, IpVersion, LinkMode, LoggingOptions, Switch, TotemOptions};
use crate::guard::guard;
use crate::plan::{Blocker, plan};

/// n3 of three in repair, and a spec with nothing to do.
fn repair() -> World {
    World::running(3, &[0]).away(3)
}

#[test]
fn a_link_moves_without_a_member_in_repair_and_its_entry_moves_along() {
    let mut world = repair();
    moved(&mut world.desired.links[0]);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
    assert_eq!(world.text().nodes[2].addresses[&link(0)], "10.1.0.3");
}

#[test]
fn timing_logging_and_links_change_without_a_member_in_repair() {
    let mut world = repair();
    world.desired.totem.token_millis = Some(5000);
    world.desired.logging =
        LoggingOptions { to_syslog: Some(Switch::Off), ..LoggingOptions::default() };
    world.desired.links.push(wanted_link(1, Some(9)));
    for _ in 0..3 {
        let said = round(&mut world);
        assert!(said.contains("On n1, n2:"), "{said}");
    }
    settles(&world);
    world.desired.links.remove(0);
    let said = round(&mut world);
    assert!(said.contains("remove link 0"), "{said}");
    settles(&world);
}

#[test]
fn what_is_in_force_without_a_member_in_repair_is_said_so() {
    let report = plan(&repair().desired, &repair().observed).report;
    assert_eq!(report.sentence, "prod is as the spec wants it on n1, n2");
    assert_eq!(report.waiting_for, ["n3 is away (new board) and follows when it is back"]);
}

#[test]
fn one_that_has_no_address_in_the_new_network_needs_one_from_the_spec() {
    let mut world = repair();
    moved(&mut world.desired.links[0]);
    world.host(3).addresses.clear();
    let sentence = blocks(&world, Blocker::AddressMissing);
    assert!(sentence.contains("n3 is away") && sentence.contains("`addresses`"), "{sentence}");
    // The card that will have it is not there yet.
    world.node(3).addresses = [(link(0), "10.1.0.33".to_owned())].into();
    round(&mut world);
    settles(&world);
    assert_eq!(world.text().nodes[2].addresses[&link(0)], "10.1.0.33");
}

/// A person can be wrong about a machine, and it can be switched on before anybody takes the word back.
#[test]
fn one_that_is_away_and_heard_is_missed_like_any_other() {
    type Spoil = fn(&mut World);
    let spoils: [(Spoil, &str); 2] = [
        (|world| world.host(2).members.extend([id(3)]), "n2 has it in the membership"),
        (|world| world.host(1).link_faults.clear(), "link 0 from n1 to it is connected"),
    ];
    for (spoil, seen) in spoils {
        let mut world = repair();
        world.desired.totem.token_millis = Some(5000);
        let before = plan(&world.desired, &world.observed).plan.unwrap();
        spoil(&mut world);
        let sentence = blocks(&world, Blocker::HostNotConnected);
        assert!(sentence.contains(seen) && sentence.contains("(new board)"), "{sentence}");
        assert!(guard(before, &world.desired, &world.observed).is_err());
    }
}

#[test]
fn one_whose_agent_is_heard_again_takes_part_and_the_word_can_be_taken_back() {
    let mut world = World::running(3, &[0]);
    world.host(3).absence = repair().host(3).absence.clone();
    world.desired.totem.token_millis = Some(5000);
    let said = round(&mut world);
    assert!(said.contains("On n1, n2, n3:"), "{said}");
    assert!(said.contains("kubectl pvecm host back n3"), "{said}");
    let mut world = World::running(3, &[0]);
    world.host(3).absence = repair().host(3).absence.clone();
    let report = plan(&world.desired, &world.observed).report;
    assert_eq!(report.sentence, "prod is as the spec wants it on n1, n2, n3");
}

#[test]
fn what_needs_everybody_waits_for_one_that_is_away_and_names_it() {
    type Spoil = fn(&mut World);
    let spoils: [Spoil; 7] = [
        |world| world.desired.nodes.push(World::new(5).desired.nodes[4].clone()),
        |world| drop(world.desired.nodes.remove(1)),
        |world| world.node(1).votes = Some(2),
        |world| world.desired.key_generation = 1,
        |world| world.desired.totem.link_mode = Some(LinkMode::Active),
        |world| world.desired.totem.ip_version = Some(IpVersion::Ipv4),
        |world| {
            let (cipher, hash) = (Some(Cipher::Aes256), Some(Hash::Sha512));
            world.desired.totem = TotemOptions { cipher, hash, ..TotemOptions::default() };
        },
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let mut world = World::running(4, &[0]);
        let fifth = World::new(5).host(5).clone();
        world.observed.hosts.insert(host(5), fifth);
        let mut world = world.away(4);
        spoil(&mut world);
        let sentence = blocks(&world, Blocker::HostAway);
        assert!(sentence.contains("n4 (new board)"), "{at}: {sentence}");
    }
}

#[test]
fn what_goes_without_everybody_is_done_before_what_does_not() {
    let mut world = repair();
    let (cipher, hash) = (Some(Cipher::Aes256), Some(Hash::Sha512));
    world.desired.totem =
        TotemOptions { cipher, hash, token_millis: Some(5000), ..TotemOptions::default() };
    let said = round(&mut world);
    assert!(said.contains("token 5000") && !said.contains("Set cipher"), "{said}");
    let sentence = blocks(&world, Blocker::HostAway);
    assert!(sentence.contains("n3 (new board)"), "{sentence}");
}

/// Two of two: whoever stays behind has half the votes.
#[test]
fn those_who_have_no_quorum_without_the_one_that_is_away_wait() {
    let mut world = World::running(2, &[0]).away(2);
    (world.host(1).quorate, world.host(1).pmxcfs_writable) = (false, false);
    world.desired.totem.token_millis = Some(5000);
    blocks(&world, Blocker::NotQuorate);
}

/// It lost its power as a quorate member and comes first: what it had is not what is in force.
#[test]
fn the_last_word_of_one_that_is_away_is_not_what_the_others_are_held_against() {
    let mut world = World::running(3, &[0]).away(1);
    assert!(world.host(1).quorate);
    world.desired.totem.token_millis = Some(5000);
    for _ in 0..2 {
        let old = world.host(1).pmxcfs_file.clone();
        world.desired.totem.token_millis = world.desired.totem.token_millis.map(|token| token + 1);
        round(&mut world);
        assert_eq!(world.host(1).pmxcfs_file, old);
    }
    settles(&world);
}

#[test]
fn strays_are_put_right_without_the_one_that_is_away() {
    let mut world = repair();
    world.desired.totem.token_millis = Some(5000);
    round(&mut world);
    edit_disk(&mut world, 2);
    let said = round(&mut world);
    assert!(said.contains("Put version 10 back on the disk of n2"), "{said}");
}

#[test]
fn one_that_never_came_is_not_away() {
    let mut world = World::running(4, &[0]).unstarted(4).away(4);
    world.desired.totem.token_millis = Some(5000);
    blocks(&world, Blocker::HostNotConnected);
}

#[test]
fn of_the_stages_without_it_each_names_the_others_alone() {
    let mut world = repair();
    moved(&mut world.desired.links[0]);
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    for stage in &plan.stages {
        assert!(stage.group.keys().copied().eq([id(1), id(2)]), "{:?}", stage.group);
        assert_eq!(read(&stage.config).nodes.len(), 3, "its entry stays");
    }
}
