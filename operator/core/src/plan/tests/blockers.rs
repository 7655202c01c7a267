//! Each reason to plan nothing: its variant, a sentence that names the host, and no plan.

use super::world::{World, host, id, link, wanted_link};
use crate::conf::{Cipher, Hash, TotemOptions};
use crate::fitness::StrayName;
use crate::ids::{ConfigVersion, Fingerprint};
use crate::observed::{Claim, FileView};
use crate::plan::{Blocker, State, plan};

fn blocks(world: &World, blocker: Blocker, named: &str) {
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(blocker), "{}", planned.report.sentence);
    assert!(planned.report.sentence.contains(named), "{}", planned.report.sentence);
    assert_eq!(planned.plan, None);
}

/// A cluster of n1 and n2 that n3 shall join.
fn joining() -> World {
    let mut world = World::new(3);
    world.install(&[(1, 1), (2, 1)], &[0]);
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
    world
}

type Spoil = fn(&mut World);

fn table(start: fn() -> World, cases: &[(Blocker, &str, Spoil)]) {
    for (blocker, named, spoil) in cases {
        let mut world = start();
        spoil(&mut world);
        blocks(&world, *blocker, named);
    }
}

fn spoil_text(world: &mut World, from: &str, to: &str) {
    world.rewrite(|text| text.replace(from, to));
}

#[test]
fn an_unsound_view_blocks_everything() {
    table(
        || World::running(3, &[0]),
        &[
            (Blocker::HostMissing, "n2", |w| {
                w.observed.hosts.remove(&host(2));
            }),
            (Blocker::HostNotConnected, "n2", |w| w.host(2).connected = false),
            (Blocker::HostClaimed, "n2", |w| w.host(2).claim = Claim::Other("test".to_owned())),
            (Blocker::HostIsWitness, "n2", |w| w.host(2).witness = true),
            (Blocker::NameMismatch, "give a member that was renamed its name back", |w| {
                w.host(2).hostname = "x2".to_owned();
            }),
            (Blocker::NameMismatch, "n2 calls itself `x2`", |w| {
                w.host(2).hostname = "x2".to_owned();
            }),
            (Blocker::HostsDisagree, "n2", |w| w.host(2).disk_file = None),
            (Blocker::HostsDisagree, "n2", |w| w.host(2).running_version = Some(ConfigVersion(6))),
            (Blocker::HostsDisagree, "n2", |w| w.host(2).ring = Some("other".to_owned())),
            (Blocker::NotQuorate, "n2", |w| w.host(2).running_version = None),
            (Blocker::NotQuorate, "n2", |w| w.host(2).quorate = false),
            (Blocker::NotQuorate, "n2", |w| {
                w.host(2).members.remove(&id(3));
            }),
            (Blocker::ReadOnly, "n2", |w| w.host(2).pmxcfs_writable = false),
            (Blocker::ForeignCluster, "`prod`", |w| w.desired.name = "test".parse().unwrap()),
            (Blocker::MemberNotManaged, "n3", |w| {
                w.desired.nodes.pop();
                w.observed.hosts.remove(&host(3));
            }),
            (Blocker::MemberNotManaged, "n3", |w| {
                w.desired.nodes.pop();
                w.host(3).claim = Claim::Free;
            }),
            (Blocker::NobodyStays, "nobody would be left", |w| {
                w.desired.nodes.drain(..2);
                w.desired.nodes[0].name = "n4".parse().unwrap();
                w.desired.nodes[0].host = host(4);
            }),
            (Blocker::NodeIdChangeNotSupported, "n2", |w| w.node(2).node_id = Some(id(9))),
        ],
    );
}

#[test]
fn two_hosts_with_different_files_block() {
    let mut world = World::running(3, &[0]);
    let mut file = world.host(2).pmxcfs_file.clone().unwrap();
    let text = file.text.unwrap() + "# edited\n";
    file.digest = crate::ids::Digest::of(text.as_bytes());
    file.text = Some(text);
    world.host(2).pmxcfs_file = Some(file);
    blocks(&world, Blocker::HostsDisagree, "n2");
}

#[test]
fn a_text_that_nobody_reported_is_waited_for() {
    let mut world = World::running(2, &[0]);
    for view in world.observed.hosts.values_mut() {
        view.pmxcfs_file.as_mut().unwrap().text = None;
        view.disk_file.as_mut().unwrap().text = None;
    }
    blocks(&world, Blocker::ConfigUnknown, "n1, n2");
}

#[test]
fn a_text_that_is_not_understood_blocks() {
    let mut world = World::running(2, &[0]);
    spoil_text(&mut world, "config_version: 7", "config_version: 7a");
    blocks(&world, Blocker::ConfigNotUnderstood, "n1");
}

#[test]
fn a_joiner_that_is_not_ready_blocks() {
    table(
        joining,
        &[
            (Blocker::HostMissing, "n3", |w| {
                w.observed.hosts.remove(&host(3));
            }),
            (Blocker::HostNotConnected, "n3", |w| w.host(3).connected = false),
            (Blocker::HostClaimed, "n3", |w| w.host(3).claim = Claim::Other("test".to_owned())),
            (Blocker::HostPaused, "n3", |w| w.host(3).paused = true),
            (Blocker::HostIsWitness, "n3", |w| w.host(3).witness = true),
            (Blocker::NameMismatch, "n3", |w| w.host(3).hostname = "x3".to_owned()),
            (Blocker::SealingKeyMissing, "n3", |w| w.host(3).sealing_key = None),
            (Blocker::GuestsOnJoiner, "100", |w| {
                w.host(3).guests.insert(100);
            }),
            (Blocker::HostNotEmpty, "n3", |w| w.host(3).running_version = Some(ConfigVersion(1))),
            (Blocker::NameNotResolved, "the name n3 resolves only to 127.0.1.1 on n3", |w| {
                w.host(3).fitness.name_addresses = Some(["127.0.1.1".parse().unwrap()].into());
            }),
            (Blocker::NameNotResolved, "the name n3 resolves to nothing on n3", |w| {
                w.host(3).fitness.name_addresses = Some([].into());
            }),
            (
                Blocker::VersionsDiffer,
                "n3 has corosync 2.4.4-pve1 and n2 has corosync 3.1.9",
                |w| {
                    w.host(2).fitness.corosync_version = Some("3.1.9".to_owned());
                    w.host(3).fitness.corosync_version = Some("2.4.4-pve1".to_owned());
                },
            ),
            (Blocker::VersionsDiffer, "n3 has pve-cluster 9.0.6 and n1 has pve-cluster 7.3", |w| {
                w.host(1).fitness.pmxcfs_version = Some("7.3".to_owned());
                w.host(3).fitness.pmxcfs_version = Some("9.0.6".to_owned());
            }),
            (Blocker::ClocksDiffer, "the clocks of n3 and n1 differ by more than 5 s", |w| {
                w.host(1).fitness.clock_ahead_secs = Some(0);
                w.host(3).fitness.clock_ahead_secs = Some(-37);
            }),
            (Blocker::AddressMissing, "n3", |w| w.host(3).addresses.clear()),
            (Blocker::AddressAmbiguous, "n3", |w| {
                w.host(3).addresses.insert("10.0.0.99/24".parse().unwrap());
            }),
            (Blocker::AddressNotOnHost, "n3", |w| {
                w.node(3).addresses.insert(link(0), "10.0.0.77".to_owned());
            }),
            (Blocker::AddressTaken, "n3", |w| {
                w.host(3).addresses = ["10.0.0.1/24".parse().unwrap()].into();
            }),
            (Blocker::NodeIdTaken, "n3", |w| w.node(3).node_id = Some(id(2))),
            (Blocker::LinkNotConnected, "n2", |w| {
                w.host(1).link_faults.insert((link(0), id(2)));
            }),
        ],
    );
}

#[test]
fn all_that_stands_in_a_joiners_way_is_said_at_once() {
    let spoil = |world: &mut World| {
        let joiner = world.host(3);
        joiner.guests.insert(100);
        joiner.fitness.name_addresses = Some(["127.0.1.1".parse().unwrap()].into());
        joiner.addresses.clear();
    };
    let said = "n3 cannot join while it has guests: 100; the name n3 resolves only to 127.0.1.1 on n3, and \
                pmxcfs does not start so: give it an address of the host in /etc/hosts there; n3 has no address \
                in 10.0.0.0/24, the network of link 0";
    table(joining, &[(Blocker::GuestsOnJoiner, said, spoil)]);
    table(|| World::new(3), &[(Blocker::GuestsOnJoiner, said, spoil)]);
}

#[test]
fn a_listed_node_that_cannot_be_started_blocks_and_so_do_two_of_them() {
    table(
        || World::running(5, &[0]).unstarted(5),
        &[
            (Blocker::HostNotConnected, "n5", |w| w.host(5).connected = false),
            (Blocker::HostPaused, "n5", |w| w.host(5).paused = true),
            (Blocker::SealingKeyMissing, "n5", |w| w.host(5).sealing_key = None),
            (Blocker::GuestsOnJoiner, "100", |w| {
                w.host(5).guests.insert(100);
            }),
            (Blocker::LinkNotConnected, "n2", |w| {
                w.host(1).link_faults.insert((link(0), id(2)));
            }),
            (Blocker::AuthkeysDiffer, "n3", |w| {
                w.host(3).authkey.as_mut().unwrap().fingerprint = Fingerprint::of(b"other");
            }),
            (Blocker::NotQuorate, "n2", |w| w.host(2).running_version = None),
            (Blocker::HostsDisagree, "n4", |w| *w = w.clone().unstarted(4)),
        ],
    );
}

#[test]
fn a_joiner_of_another_cluster_blocks() {
    let mut world = joining();
    let mut other = World::running(1, &[0]);
    let file = other.host(1).pmxcfs_file.clone().unwrap();
    let text = file.text.unwrap().replace("cluster_name: prod", "cluster_name: test");
    let digest = crate::ids::Digest::of(text.as_bytes());
    world.host(3).disk_file = Some(FileView { version: file.version, digest, text: Some(text) });
    blocks(&world, Blocker::ForeignCluster, "n3");
}

#[test]
fn quorum_options_block_a_join_but_not_a_link() {
    let mut world = joining();
    spoil_text(&mut world, "corosync_votequorum\n", "corosync_votequorum\n  two_node: 1\n");
    blocks(&world, Blocker::QuorumOptionsNotSupported, "two_node");
    world.desired.links.push(wanted_link(1, None));
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
}

#[test]
fn links_that_cannot_be_changed_safely_block() {
    table(
        || World::running(3, &[0, 1]),
        &[
            (Blocker::LastLink, "link 0", |w| {
                w.desired.links.pop();
                w.host(1).link_faults.insert((link(0), id(2)));
            }),
            (Blocker::LinkNotConnected, "n2", |w| {
                w.desired.links = vec![wanted_link(0, None), wanted_link(2, None)];
                w.host(2).link_faults.insert((link(0), id(3)));
            }),
            (Blocker::AddressMissing, "n1", |w| {
                w.desired.links[1].network = Some("10.9.0.0/24".parse().unwrap());
            }),
            (Blocker::AddressAmbiguous, "10.1.1.77", |w| {
                w.desired.links[1].network = Some("10.1.1.0/24".parse().unwrap());
                w.host(2).addresses.insert("10.1.1.77/24".parse().unwrap());
            }),
            (Blocker::AddressNotOnHost, "n2", |w| {
                w.node(2).addresses.insert(link(1), "10.0.5.99".to_owned());
            }),
            (Blocker::AddressNotOnHost, "n2", |w| {
                w.desired.links[1].options.port = Some(5500);
                w.host(2).addresses.clear();
            }),
            (Blocker::AddressTaken, "n2", |w| {
                w.host(2).addresses.insert("10.0.1.3/24".parse().unwrap());
                w.node(2).addresses.insert(link(1), "10.0.1.3".to_owned());
            }),
            (Blocker::AddressMissing, "n3", |w| {
                w.desired.links.push(wanted_link(2, None));
                w.host(3).addresses.clear();
            }),
            (Blocker::NoVotes, "vote", |w| {
                w.desired.nodes.iter_mut().for_each(|n| n.votes = Some(0));
            }),
            (Blocker::VersionExhausted, "config_version", |w| {
                w.desired.links.pop();
                w.observed.reserved_version = ConfigVersion(u64::MAX);
            }),
        ],
    );
}

#[test]
fn a_link_that_nothing_could_stand_in_for_does_not_move() {
    let moving = || {
        let mut world = World::running(3, &[0, 1, 2, 3, 4, 5, 6, 7]);
        world.desired.links[3].network = Some("10.1.3.0/24".parse().unwrap());
        for other in (0..8).filter(|other| *other != 3) {
            world.host(1).link_faults.insert((link(other), id(2)));
        }
        world
    };
    blocks(&moving(), Blocker::NoSpareLink, "link 3");
    let mut world = moving();
    world.host(1).link_faults.remove(&(link(6), id(2)));
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
}

#[test]
fn nothing_is_formed_while_a_host_is_unknown_or_unfit() {
    table(
        || World::new(3),
        &[
            (Blocker::HostMissing, "n3", |w| {
                w.observed.hosts.remove(&host(3));
            }),
            (Blocker::HostNotConnected, "n2", |w| w.host(2).connected = false),
            (Blocker::AddressMissing, "n3", |w| w.host(3).addresses.clear()),
            (Blocker::NameMismatch, "n3", |w| w.host(3).hostname = "other".to_owned()),
            (Blocker::HostPaused, "n1", |w| w.host(1).paused = true),
            (Blocker::NameNotResolved, "n1", |w| {
                w.host(1).fitness.name_addresses = Some([].into());
            }),
            (Blocker::ClocksDiffer, "n3 and n1", |w| {
                w.host(1).fitness.clock_ahead_secs = Some(6);
                w.host(3).fitness.clock_ahead_secs = Some(0);
            }),
            (Blocker::AddressMissing, "link", |w| w.desired.links.clear()),
            (Blocker::NoVotes, "vote", |w| {
                w.desired.nodes.iter_mut().for_each(|n| n.votes = Some(0));
            }),
        ],
    );
}

/// A cluster of three whose authkey is to be exchanged.
fn exchanging() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.key_generation = 1;
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
    world
}

#[test]
fn an_authkey_is_exchanged_only_where_it_is_known_and_can_be_handed_over() {
    table(
        exchanging,
        &[
            (Blocker::AuthkeyUnknown, "n2", |w| w.host(2).authkey = None),
            (Blocker::SealingKeyMissing, "n2", |w| w.host(2).sealing_key = None),
            (Blocker::AuthkeyElsewhere, "keyfile", |w| {
                spoil_text(w, "  version: 2\n", "  version: 2\n  keyfile: /etc/other\n");
            }),
            (Blocker::HostNotConnected, "n2", |w| w.host(2).connected = false),
            (Blocker::HostPaused, "n2", |w| w.host(2).paused = true),
        ],
    );
    let mut maker = exchanging();
    maker.host(1).sealing_key = None;
    assert_eq!(plan(&maker.desired, &maker.observed).report.state, State::Proposing);
}

#[test]
fn members_with_different_authkeys_are_not_reloaded() {
    let differ = |world: &mut World| {
        world.host(3).authkey.as_mut().unwrap().fingerprint = Fingerprint::of(b"other");
    };
    let cases: &[(Blocker, &str, Spoil)] =
        &[(Blocker::AuthkeysDiffer, "n3 has another authkey than n1", differ)];
    table(|| World::running(3, &[0]), cases);
    table(exchanging, cases);
    // What no daemon reads hurts nobody, until it is to be read.
    let mut world = World::running(3, &[0]);
    differ(&mut world);
    spoil_text(&mut world, "  secauth: on\n", "");
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Settled);
    let (cipher, hash) = (Some(Cipher::Aes256), Some(Hash::Sha256));
    world.desired.totem = TotemOptions { cipher, hash, ..TotemOptions::default() };
    blocks(&world, Blocker::AuthkeysDiffer, "n3");
}

/// The outage: somebody mends the file of a host whose corosync is down for another reason.
#[test]
fn a_member_that_tells_why_its_corosync_does_not_run_is_quoted_before_its_old_files_are() {
    let mut world = World::running(3, &[0]);
    spoil_disk_of(&mut world, 2);
    blocks(&world, Blocker::HostsDisagree, "n2");
    let host = world.host(2);
    host.running_version = None;
    host.idle = Some("corosync ended by itself".to_owned());
    blocks(&world, Blocker::NotQuorate, "n2: corosync ended by itself");
}

fn spoil_disk_of(world: &mut World, number: u32) {
    let file = world.host(number).disk_file.as_mut().unwrap();
    file.digest = crate::ids::Digest::of(b"an old one");
}

#[test]
fn members_with_different_corosyncs_read_no_text_again_until_all_are_upgraded() {
    let version = |w: &mut World, number, version: &str| {
        w.host(number).fitness.corosync_version = Some(version.to_owned());
    };
    let mut world = World::running(3, &[0]);
    for (number, of) in [(1, "3.1.7-1"), (2, "3.1.7-pve1"), (3, "3.1.9-pve1")] {
        version(&mut world, number, of);
    }
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Settled);
    world.desired.links.push(wanted_link(1, None));
    blocks(
        &world,
        Blocker::VersionsDiffer,
        "n1 has corosync 3.1.7-1 and n3 has corosync 3.1.9-pve1",
    );
    version(&mut world, 3, "3.1.7-2");
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
    // Quorum that is lost does not wait for an upgrade.
    let mut lost = World::running(5, &[0]).without(&[3, 4, 5]);
    version(&mut lost, 1, "3.1.7-1");
    version(&mut lost, 2, "3.1.9-1");
    assert_eq!(plan(&lost.desired, &lost.observed).report.state, State::Proposing);
}

#[test]
fn members_that_would_not_be_let_in_today_are_told_of_and_stop_nothing() {
    let mut world = World::running(3, &[0]);
    world.host(2).fitness.name_addresses = Some(["127.0.1.1".parse().unwrap()].into());
    world.host(1).fitness.clock_ahead_secs = Some(0);
    world.host(3).fitness.clock_ahead_secs = Some(9);
    let (name, own) = ("n1".to_owned(), "10.0.0.1".parse().unwrap());
    let here = ["10.0.0.9".parse().unwrap()].into();
    world.host(2).fitness.stray_names = vec![StrayName { name, here, own }];
    let report = plan(&world.desired, &world.observed).report;
    assert_eq!(report.state, State::Settled);
    let said = report.waiting_for.join("; ");
    assert!(said.contains("the name n2 resolves only to 127.0.1.1"), "{said}");
    assert!(said.contains("the clocks of n3 and n1 differ by more than 5 s"), "{said}");
    let stray = "the name n1 leads to 10.0.0.9 on n2, and n1 itself has 10.0.0.1 for it";
    assert!(said.contains(stray), "{said}");
}
