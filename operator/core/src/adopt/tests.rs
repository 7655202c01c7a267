//! Clusters as people built them, by hand and with older releases.

use std::fmt::Write as _;

use super::{Adoption, Kind, adopt, read_alone};
use crate::conf::{Cipher, Hash, Transport};
use crate::desired::DesiredCluster;
use crate::ids::{ConfigVersion, Digest, Fingerprint};
use crate::observed::{Claim, KeyView};
use crate::plan::tests::transport::on_udpu;
use crate::plan::tests::world::{World, host, id, link};
use crate::plan::{State, plan};

/// Two nodes with `two_node`, as the guides of old had it.
const PAIR: &str = include_str!("tests/pair.conf");
/// One link, as `pvecm create` writes it.
const SINGLE: &str = include_str!("tests/single.conf");
/// Addresses that are names.
const NAMES: &str = include_str!("tests/names.conf");
/// As Proxmox VE 5 wrote it.
const OLD: &str = include_str!("tests/old.conf");
/// Two links, comments, odd spacing, keys that nobody knows.
const GROWN: &str = include_str!("tests/grown.conf");

fn world(text: &str, nodes: u32, links: &[u32]) -> World {
    let mut world = World::running(nodes, links);
    world.rewrite(|_| text.to_owned());
    world
}

fn grown() -> World {
    world(GROWN, 3, &[0, 1])
}

fn adopted(world: &World) -> (DesiredCluster, Adoption) {
    let adoption = adopt(&world.observed.hosts);
    assert!(adoption.is_possible(), "{}", told(&adoption));
    (adoption.desired.clone().unwrap(), adoption)
}

fn told(adoption: &Adoption) -> String {
    let mut told = String::new();
    for finding in &adoption.findings {
        writeln!(told, "{:?}: {}", finding.kind, finding.sentence).unwrap();
    }
    told
}

/// The refusal that one damage to a sound cluster brings.
#[track_caller]
fn refused(kind: Kind, damage: impl FnOnce(&mut World)) -> String {
    let mut world = grown();
    damage(&mut world);
    let adoption = adopt(&world.observed.hosts);
    assert!(!adoption.is_possible());
    let refusing = adoption.findings.iter().filter(|found| found.kind.refuses());
    let refusing: Vec<_> = refusing.collect();
    assert_eq!(refusing.len(), 1, "{}", told(&adoption));
    assert_eq!(refusing[0].kind, kind, "{}", told(&adoption));
    refusing[0].sentence.clone()
}

#[test]
fn what_is_adopted_is_left_as_it_is_by_the_planner() {
    let clusters = [
        ("pair", world(PAIR, 2, &[0])),
        ("single", world(SINGLE, 3, &[0])),
        ("names", world(NAMES, 3, &[0])),
        ("grown", grown()),
        ("formed", World::running(5, &[0, 1, 2])),
        ("alone", World::running(1, &[0])),
        ("without link 0", World::running(3, &[1, 2])),
    ];
    for (name, world) in clusters {
        let (desired, _) = adopted(&world);
        let report = plan(&desired, &world.observed).report;
        assert_eq!(report.state, State::Settled, "{name}: {}", report.sentence);
    }
}

#[test]
fn what_was_found_is_told_of_every_kind_of_cluster() {
    let clusters = [
        ("pair", world(PAIR, 2, &[0])),
        ("single", world(SINGLE, 3, &[0])),
        ("names", world(NAMES, 3, &[0])),
        ("old", world(OLD, 2, &[0])),
        ("grown", grown()),
    ];
    let mut all = String::new();
    for (name, world) in clusters {
        let adoption = adopt(&world.observed.hosts);
        let possible = if adoption.is_possible() { "adopted" } else { "refused" };
        writeln!(all, "{name}: {possible}\n{}", told(&adoption)).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_spec_says_what_the_file_says_and_no_default() {
    let (desired, _) = adopted(&grown());
    assert_eq!(desired.name.as_str(), "grown");
    let ids: Vec<_> = desired.nodes.iter().map(|node| (node.node_id, node.votes)).collect();
    assert_eq!(ids, [(Some(id(1)), Some(1)), (Some(id(2)), Some(1)), (Some(id(3)), None)]);
    assert_eq!(desired.links[0].network, Some("10.0.0.0/24".parse().unwrap()));
    assert_eq!(desired.links[1].options.priority, Some(20));
    assert_eq!(desired.links[0].options.priority, None, "the file does not say it");
    assert_eq!((desired.totem.token_millis, desired.totem.consensus_millis), (Some(4000), None));
    assert_eq!(
        (desired.totem.cipher, desired.totem.hash),
        (Some(Cipher::Aes256), Some(Hash::Sha256))
    );
    assert!(desired.nodes.iter().all(|node| node.addresses.is_empty()), "networks say it");
}

#[test]
fn addresses_are_stated_where_no_one_network_gives_them() {
    let (names, _) = adopted(&world(NAMES, 3, &[0]));
    assert_eq!(names.links[0].network, None);
    assert_eq!(names.nodes[2].addresses[&link(0)], "n3-ring0.example.org");

    let mut two = grown();
    two.host(2).addresses.insert("10.0.1.77/24".parse().unwrap());
    let (desired, _) = adopted(&two);
    assert!(desired.links[0].network.is_some());
    assert_eq!(desired.links[1].network, None, "n2 has two addresses there");
    assert_eq!(desired.nodes[0].addresses[&link(1)], "10.0.1.1");

    // One address on both links: a spec takes a network for one link only.
    let mut shared = World::running(3, &[0, 1]);
    shared.rewrite(|text| text.replace("10.0.1.", "10.0.0."));
    let (desired, _) = adopted(&shared);
    let networks: Vec<_> = desired.links.iter().map(|link| link.network.is_some()).collect();
    assert_eq!(networks, [true, false]);

    // A network inside another one: an address could belong to either link.
    let mut inside = grown();
    for n in 1..=3 {
        let addresses = &mut inside.host(n).addresses;
        addresses.remove(&format!("10.0.1.{n}/24").parse().unwrap());
        addresses.remove(&format!("10.0.0.{n}/24").parse().unwrap());
        addresses.retain(|net| !net.to_string().starts_with("10."));
        addresses.insert(format!("10.0.1.{n}/25").parse().unwrap());
        addresses.insert(format!("10.0.0.{n}/15").parse().unwrap());
    }
    let (desired, _) = adopted(&inside);
    let networks: Vec<_> = desired.links.iter().map(|link| link.network.is_some()).collect();
    assert_eq!(networks, [false, true]);
}

#[test]
fn a_token_is_given_back_as_the_spec_means_it_without_link_0() {
    let mut later = World::running(3, &[1, 2]);
    later.rewrite(|text| text.replace("  version: 2", "  token: 5000\n  version: 2"));
    let (desired, _) = adopted(&later);
    assert_eq!(desired.totem.token_millis, Some(4875), "125 ms for the third node");
    let mut short = World::running(3, &[1, 2]);
    short.rewrite(|text| text.replace("  version: 2", "  token: 125\n  version: 2"));
    let (desired, adoption) = adopted(&short);
    assert_eq!(desired.totem.token_millis, None);
    assert!(told(&adoption).contains("Unmanaged: `token: 125`"), "{}", told(&adoption));
}

#[test]
fn what_a_spec_has_no_word_for_is_left_in_the_file_and_said() {
    let cases = [
        ("crypto_hash: sha256", "Unmanaged: `crypto_cipher` none with `crypto_hash` sha256"),
        ("knet_compression_level: 3", "Unmanaged: knet's compression has details"),
    ];
    for (line, wanted) in cases {
        let mut world = World::running(3, &[0]);
        world.rewrite(|text| text.replace("secauth: on", line));
        let (_, adoption) = adopted(&world);
        assert!(told(&adoption).contains(wanted), "{}", told(&adoption));
    }
    let mut device = World::running(2, &[0]);
    device.rewrite(|text| {
        text.replace(
            "  provider",
            "  device {\n    model: net\n    votes: 1\n    net {\n      \
                      host: w1\n      algorithm: ffsplit\n    }\n  }\n  provider",
        )
    });
    let (_, adoption) = adopted(&device);
    assert!(told(&adoption).contains("Unmanaged: a QDevice"), "{}", told(&adoption));
    assert!(!told(&adoption).contains("no QDevice"), "{}", told(&adoption));
}

#[test]
fn a_key_that_the_daemons_were_not_started_with_is_not_asked_for() {
    for (key, other) in [("totem.link_mode", "active"), ("totem.ip_version", "ipv4")] {
        let mut world = World::running(3, &[0]);
        world.host(2).started_with.insert(key.to_owned(), other.to_owned());
        let (desired, adoption) = adopted(&world);
        let left = (desired.totem.link_mode.is_none(), desired.totem.ip_version.is_none());
        assert_eq!(left, (key == "totem.link_mode", key == "totem.ip_version"), "{key}");
        assert!(told(&adoption).contains(&format!("Unmanaged: `{key}` is")), "{}", told(&adoption));
    }
}

#[test]
fn a_cluster_on_udpu_is_described_as_it_runs_with_the_way_out() {
    let (desired, adoption) = adopted(&on_udpu(3));
    assert_eq!(desired.totem.transport, Some(Transport::Udpu));
    assert_eq!((desired.totem.cipher, desired.links[0].options.port), (None, Some(5405)));
    let told = told(&adoption);
    assert!(told.contains("Risk: `transport: udpu`: one link and no encryption"), "{told}");
    assert!(!told.contains("add a second one"), "{told}");
    let mut world = on_udpu(3);
    world.rewrite(|text| {
        text.replace("    ringnumber", "    knet_link_priority: 1\n    ringnumber")
    });
    assert_eq!(adopted(&world).0.links[0].options.priority, None, "a spec has no word for it");
}

#[test]
fn each_difference_between_hosts_is_named_with_its_host() {
    let disk = refused(Kind::Difference, |world| {
        world.host(2).disk_file.as_mut().unwrap().digest = Digest::of(b"other");
    });
    assert!(
        disk.starts_with("n2 has another corosync.conf in /etc/corosync (version 7, "),
        "{disk}"
    );
    let none = refused(Kind::Difference, |world| world.host(3).disk_file = None);
    assert_eq!(none, "n3 has no corosync.conf in /etc/corosync");
    let runs = refused(Kind::Difference, |w| w.host(2).running_version = Some(ConfigVersion(6)));
    assert_eq!(runs, "n2 runs version 6, the file has version 7");
    let key = refused(Kind::Difference, |world| {
        let fingerprint = Fingerprint::of(b"other");
        world.host(3).authkey = Some(KeyView { fingerprint, generation: 0 });
    });
    assert!(key.starts_with("n3 has another authkey than n1"), "{key}");
}

#[test]
fn each_reason_to_refuse_is_told_in_one_sentence() {
    type Damage = fn(&mut World);
    let cases: [(&str, Damage); 9] = [
        ("n2 obeys the PveCluster other already", |w| {
            w.host(2).claim = Claim::Other("other".to_owned());
        }),
        ("n2 is enrolled as a witness", |w| w.host(2).witness = true),
        ("the agent on n2 is not heard", |w| w.host(2).connected = false),
        ("n2 is not quorate", |w| w.host(2).quorate = false),
        ("n2 sees the nodes 1, 2, corosync.conf lists 1, 2, 3", |w| {
            w.host(2).members.remove(&id(3));
        }),
        ("/etc/pve takes no writes on n2", |w| w.host(2).pmxcfs_writable = false),
        ("n1 and n3 are in different memberships", |w| w.host(3).ring = Some("3.1".to_owned())),
        ("corosync does not run on n2", |w| w.host(2).running_version = None),
        ("node n2 has no PveHost that calls itself so: enrol it", |w| {
            w.observed.hosts.remove(&host(2));
        }),
    ];
    for (wanted, damage) in cases {
        let said = refused(Kind::Refusal, damage);
        assert!(said.starts_with(wanted), "{said}\n{wanted}");
    }
}

#[test]
fn a_member_that_was_renamed_is_told_the_way_out() {
    let said = refused(Kind::Refusal, |world| world.host(3).hostname = "pve3".to_owned());
    let wanted =
        "n3 calls itself `pve3`, but is node n3 of the cluster: a member must not be renamed";
    assert!(said.starts_with(wanted) && said.contains("hostnamectl set-hostname n3"), "{said}");
    // Under another PveHost it is known by its address.
    let said = refused(Kind::Refusal, |world| {
        let mut view = world.observed.hosts.remove(&host(3)).unwrap();
        view.hostname = "pve3".to_owned();
        world.observed.hosts.insert("pve3".parse().unwrap(), view);
    });
    assert!(said.starts_with("pve3 calls itself `pve3`, but is node n3"), "{said}");
}

#[test]
fn a_host_that_is_no_node_is_left_out() {
    let said = refused(Kind::Refusal, |world| {
        let mut view = World::new(4).observed.hosts.remove(&host(4)).unwrap();
        view.addresses.clear();
        world.observed.hosts.insert(host(4), view);
    });
    assert_eq!(said, "n4 (`n4`) is not in the nodelist of the cluster: leave it out");
    let said = refused(Kind::Refusal, |world| {
        let mut view = World::new(4).observed.hosts.remove(&host(4)).unwrap();
        view.hostname.clear();
        world.observed.hosts.insert(host(4), view);
    });
    assert_eq!(said, "the agent on n4 has not reported anything yet");
}

#[test]
fn all_reasons_are_told_and_not_the_first_alone() {
    let mut world = grown();
    world.host(1).claim = Claim::Other("other".to_owned());
    world.host(2).connected = false;
    world.host(3).disk_file = None;
    let adoption = adopt(&world.observed.hosts);
    let refusing = adoption.findings.iter().filter(|found| found.kind.refuses()).count();
    assert_eq!(refusing, 3, "{}", told(&adoption));
}

#[test]
fn what_the_planner_alone_knows_is_a_reason_too() {
    // Nobody tells which membership it is in: nothing differs, and nothing is proven.
    let said = refused(Kind::Refusal, |world| {
        world.observed.hosts.values_mut().for_each(|view| view.ring = None);
    });
    assert!(said.starts_with("the operator would not leave it as it is: "), "{said}");
}

#[test]
fn nobody_with_a_cluster_and_nobody_with_a_text_are_told_apart() {
    let empty = adopt(&World::new(2).observed.hosts);
    assert!(told(&empty).contains("no host has anything of a cluster"), "{}", told(&empty));
    let mut silent = grown();
    for n in 1..=3 {
        let view = silent.host(n);
        for file in view.pmxcfs_file.iter_mut().chain(&mut view.disk_file) {
            file.text = None;
        }
    }
    let silent = told(&adopt(&silent.observed.hosts));
    assert!(silent.contains("n1, n2, n3 have not reported the text"), "{silent}");
}

#[test]
fn what_fails_sooner_than_it_has_to_is_told() {
    let mut world = grown();
    world.host(1).link_faults.insert((link(1), id(2)));
    world.host(3).paused = true;
    world.host(2).addresses.retain(|net| !net.to_string().starts_with("10.0.1."));
    let (_, adoption) = adopted(&world);
    let told = told(&adoption);
    assert!(told.contains("Risk: link 1 from n1 to n2 is not connected"), "{told}");
    assert!(told.contains("Risk: n3 is paused"), "{told}");
    assert!(
        told.contains("Risk: 10.0.1.2, the address of link 1, is on no network card"),
        "{told}"
    );
    let mut expected = World::running(3, &[0, 1]);
    expected.rewrite(|text| text.replace("  provider", "  expected_votes: 3\n  provider"));
    let told = self::told(&adopted(&expected).1);
    assert!(told.contains("Risk: `expected_votes: 3` counts"), "{told}");
}

#[test]
fn a_file_alone_is_judged_without_hosts() {
    let found = read_alone(OLD);
    assert!(found.iter().filter(|found| found.kind == Kind::Refusal).count() > 1, "{found:?}");
    assert!(read_alone(SINGLE).iter().all(|found| !found.kind.refuses()));
}
