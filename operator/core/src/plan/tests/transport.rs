//! Clusters on udp and udpu: moved to knet before anything else, and back.

use super::goldens::{round, settles};
use super::world::{World, host, id, link, wanted_link};
use crate::conf::{Cipher, Config, Document, Hash, IpVersion, TRANSPORT, Transport};
use crate::ids::Digest;
use crate::plan::{Blocker, State, plan, wishes};

/// Three nodes on udpu, with what corosync 2 left in their file, and a spec that says so.
pub(crate) fn on_udpu(nodes: u32) -> World {
    let mut world = World::running(nodes, &[0]);
    world.rewrite(|text| {
        text.replace("secauth: on", "secauth: off")
            .replace("  version: 2", "  transport: udpu\n  version: 2")
            .replace(
                "    linknumber: 0\n",
                "    bindnetaddr: 10.0.0.0\n    mcastport: 5405\n    ringnumber: 0\n",
            )
    });
    for n in 1..=nodes {
        world.host(n).started_with.insert(TRANSPORT.to_owned(), "udpu".to_owned());
    }
    world.desired.totem.transport = Some(Transport::Udpu);
    world
}

/// The same cluster, and a spec that wants it on knet and encrypted.
pub(crate) fn to_knet(nodes: u32) -> World {
    let mut world = on_udpu(nodes);
    let totem = &mut world.desired.totem;
    totem.transport = Some(Transport::Knet);
    (totem.cipher, totem.hash) = (Some(Cipher::Aes256), Some(Hash::Sha256));
    world
}

/// Three encrypted nodes on knet, and a spec that wants them on udpu.
pub(crate) fn to_udpu() -> World {
    let mut world = World::running(3, &[0]);
    let totem = &mut world.desired.totem;
    totem.transport = Some(Transport::Udpu);
    (totem.cipher, totem.hash) = (Some(Cipher::None), Some(Hash::None));
    world
}

/// What is said where nothing is planned for the transport's sake.
#[track_caller]
fn refused(world: &World) -> String {
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::OldTransport), "{planned:?}");
    planned.report.sentence
}

#[test]
fn a_cluster_on_udpu_is_moved_to_knet_by_all_at_once_and_encrypted_as_the_spec_says() {
    let mut world = to_knet(3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_cluster_on_knet_is_moved_to_udpu_and_loses_its_encryption_by_name() {
    let mut world = to_udpu();
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn what_is_described_as_it_runs_is_left_as_it_is() {
    let mut world = on_udpu(3);
    settles(&world);
    world.desired.totem.transport = None;
    settles(&world);
}

#[test]
fn on_udpu_nothing_but_the_transport_is_changed() {
    type Wish = fn(&mut World);
    let wishes: [(&str, Wish); 5] = [
        ("add link 1", |world| world.desired.links.push(wanted_link(1, None))),
        ("set token 4000", |world| world.desired.totem.token_millis = Some(4000)),
        ("n4 joins", |world| world.desired.nodes.push(World::new(4).desired.nodes[3].clone())),
        ("n3 leaves", |world| world.desired.nodes.truncate(2)),
        ("ip_version ipv4", |world| world.desired.totem.ip_version = Some(IpVersion::Ipv4)),
    ];
    for (waits, wish) in wishes {
        let mut world = on_udpu(3);
        world.observed.hosts.extend(World::new(4).observed.hosts.split_off(&host(4)));
        settles(&world);
        wish(&mut world);
        let said = refused(&world);
        assert!(said.contains("`totem.transport: Knet` first; what waits: "), "{said}");
        assert!(said.ends_with(waits), "{said}");
    }
}

#[test]
fn the_move_comes_first_and_the_rest_of_the_spec_after_it() {
    let mut world = to_knet(3);
    world.desired.links.push(wanted_link(1, None));
    world.desired.totem.token_millis = Some(4000);
    world.desired.nodes.truncate(2);
    let first = round(&mut world);
    assert!(first.contains("start it with") && first.contains("Outage"), "{first}");
    assert!(
        first.contains("later: [\"add link 1\", \"set token 4000\", \"n3 leaves\"]"),
        "{first}"
    );
    assert!(!first.contains("token: 4000"), "{first}");
    while plan(&world.desired, &world.observed).plan.is_some() {
        round(&mut world);
    }
    settles(&world);
    let config = world.text();
    assert_eq!(config.links(), [link(0), link(1)].into());
    assert_eq!((config.nodes.len(), config.totem.token_millis), (2, Some(4000)));
}

#[test]
fn one_outage_is_for_both_keys_that_need_one() {
    let mut world = to_knet(3);
    world.desired.totem.ip_version = Some(IpVersion::Ipv4);
    let first = round(&mut world);
    assert!(first.contains("ip_version ipv4, transport knet"), "{first}");
    settles(&world);
}

#[test]
fn a_cluster_without_encryption_stays_so_on_knet_where_the_spec_does_not_speak_of_it() {
    let mut world = to_knet(3);
    (world.desired.totem.cipher, world.desired.totem.hash) = (None, None);
    round(&mut world);
    settles(&world);
    assert_eq!(world.text().crypto().cipher, Cipher::None);
}

#[test]
fn who_would_not_stop_with_the_others_is_mended_first() {
    let stray = |world: &mut World| {
        let view = world.host(2);
        view.disk_file.as_mut().unwrap().digest = Digest::of(b"other");
        let key = crate::drift::WHOLE_FILE.to_owned();
        view.drift = vec![crate::drift::HostDrift { key, pmxcfs: None, disk: None, running: None }];
    };
    let mut world = to_knet(3);
    stray(&mut world);
    assert!(refused(&world).starts_with("n2 differs from /etc/pve"));
    let unstarted = to_knet(3).unstarted(3);
    assert!(refused(&unstarted).starts_with("corosync does not run on n3"));
    let mut rests = on_udpu(3);
    stray(&mut rests);
    assert!(refused(&rests).ends_with("what waits: n2 differs from /etc/pve"));
}

#[test]
fn no_key_for_the_encryption_that_comes_with_knet_is_waited_for() {
    let mut world = to_knet(3);
    world.host(2).authkey = None;
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::AuthkeyUnknown));
    (world.desired.totem.cipher, world.desired.totem.hash) = (None, None);
    assert!(round(&mut world).contains("Outage"), "nothing reads a key");
}

#[test]
fn nothing_goes_to_udpu_with_a_second_link_or_with_encryption_that_nobody_gave_up() {
    let mut world = to_udpu();
    (world.desired.totem.cipher, world.desired.totem.hash) = (None, None);
    let said = refused(&world);
    assert!(said.starts_with("udpu encrypts nothing, and now aes256 and sha256 do"), "{said}");

    let mut two = World::running(3, &[0, 1]);
    two.desired.totem = to_udpu().desired.totem;
    two.desired.links.clear();
    assert_eq!(refused(&two), "udpu has link 0 alone: list that one alone in `links` first");
    two.desired.links = vec![wanted_link(0, None)];
    assert!(round(&mut two).contains("Remove link 1"), "the link goes first, while all runs");
    assert!(round(&mut two).contains("Outage"));
    settles(&two);
}

#[test]
fn a_transport_that_somebody_wrote_into_the_file_alone_is_told_or_put_right() {
    let mut world = World::running(3, &[0]);
    world.rewrite(|text| {
        text.replace("secauth: on", "secauth: off")
            .replace("  version: 2", "  transport: udpu\n  version: 2")
    });
    let said = refused(&world);
    assert!(
        said.starts_with("corosync on n1 was started on knet, and corosync.conf says udpu"),
        "{said}"
    );
    world.desired.totem.transport = Some(Transport::Knet);
    assert!(round(&mut world).contains("Outage"));
    settles(&world);

    let mut world = on_udpu(3);
    world.rewrite(|text| {
        text.replace("transport: udpu", "transport: knet").replace("ringnumber", "linknumber")
    });
    world.desired.totem.token_millis = Some(4000);
    let first = round(&mut world);
    assert!(first.contains("start it with transport udpu"), "{first}");
    assert!(first.contains("later: [\"set token 4000\"]"), "{first}");
}

#[test]
fn a_new_cluster_is_formed_on_knet() {
    let mut world = World::new(2);
    world.desired.totem.transport = Some(Transport::Udp);
    assert!(refused(&world).starts_with("a new cluster is formed on knet"));
    world.desired.totem.transport = Some(Transport::Knet);
    assert!(round(&mut world).contains("transport: knet"));
}

#[test]
fn what_the_move_will_write_is_a_wish_of_the_spec() {
    let world = to_knet(3);
    let text = world.observed.hosts[&host(1)].pmxcfs_file.clone().unwrap();
    let conf = crate::change::ConfText::new(text.version.unwrap(), text.text.unwrap());
    let wishes = wishes(&world.desired, &world.observed, &conf);
    assert_eq!(wishes[TRANSPORT], Some("knet".to_owned()));
    assert_eq!(wishes["totem.crypto_cipher"], Some("aes256".to_owned()));
    assert_eq!(wishes.len(), 3, "{wishes:?}");
}

#[test]
fn a_broken_membership_is_mended_before_it_is_stopped() {
    let mut world = to_knet(3);
    world.host(1).link_faults.insert((link(0), id(2)));
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::LinkNotConnected));
}

#[test]
fn the_way_back_is_the_old_text_byte_for_byte_but_for_its_number() {
    let world = to_knet(3);
    let stage = plan(&world.desired, &world.observed).plan.unwrap().stages.remove(0);
    let old = world.observed.hosts[&host(1)].pmxcfs_file.clone().unwrap().text.unwrap();
    let back = stage.back.unwrap();
    assert_eq!(back.text, old.replace("config_version: 7", "config_version: 9"));
    let config = Config::read(&Document::parse(back.text.as_bytes())).unwrap();
    assert_eq!(config.transport(), Transport::Udpu);
}
