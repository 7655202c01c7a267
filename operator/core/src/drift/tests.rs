//! What is named as drift, and what is left in peace. The cmap keys were read off corosync 3.1.7.

use std::collections::BTreeMap;

use super::{Difference, HostDrift, Places, differences, of_host};
use crate::conf::{Debugging, LinkMode};
use crate::plan::tests::world::{World, host};

const TEXT: &str = "\
totem {
  version: 2
  cluster_name: prod
  config_version: 7
  link_mode: passive
  token: 5000
  interface {
    linknumber: 0
    knet_link_priority: 10
  }
}
nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.0.0.1
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  debug: off
}
";

/// What cmap shows where that text runs, with the keys that corosync puts there by itself.
fn cmap() -> BTreeMap<String, String> {
    let pairs = [
        ("totem.version", "2"),
        ("totem.cluster_name", "prod"),
        ("totem.config_version", "7"),
        ("totem.link_mode", "passive"),
        ("totem.token", "5000"),
        ("totem.interface.0.bindnetaddr", "10.0.0.1"),
        ("totem.interface.0.knet_link_priority", "10"),
        ("nodelist.local_node_pos", "0"),
        ("nodelist.node.0.name", "n1"),
        ("nodelist.node.0.nodeid", "1"),
        ("nodelist.node.0.quorum_votes", "1"),
        ("nodelist.node.0.ring0_addr", "10.0.0.1"),
        ("quorum.provider", "corosync_votequorum"),
        ("logging.debug", "off"),
        ("runtime.config.totem.token", "5000"),
        ("runtime.members.1.config_version", "7"),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn found(disk: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Vec<HostDrift> {
    let mut cmap = cmap();
    change(&mut cmap);
    let disk = Some(disk.as_bytes());
    of_host(&Places { pmxcfs: TEXT.as_bytes(), disk, cmap: Some(&cmap) })
}

fn drift(key: &str, values: [Option<&str>; 3]) -> HostDrift {
    let [pmxcfs, disk, running] = values.map(|value| value.map(ToOwned::to_owned));
    HostDrift { key: key.to_owned(), pmxcfs, disk, running }
}

fn nothing(_: &mut BTreeMap<String, String>) {}

#[test]
fn equal_places_differ_in_nothing() {
    assert_eq!(found(TEXT, nothing), []);
    assert_eq!(
        of_host(&Places { pmxcfs: TEXT.as_bytes(), disk: Some(TEXT.as_bytes()), cmap: None }),
        []
    );
}

#[test]
fn an_edit_of_one_disk_is_named_with_every_place_also_where_nobody_manages_the_key() {
    let token = TEXT.replace("token: 5000", "token: 4000");
    let expected = drift("totem.token", [Some("5000"), Some("4000"), Some("5000")]);
    assert_eq!(found(&token, nothing), [expected]);
    let debug = TEXT.replace("debug: off", "debug: on");
    assert_eq!(
        found(&debug, nothing),
        [drift("logging.debug", [Some("off"), Some("on"), Some("off")])]
    );
    let comment = format!("# mine\n{TEXT}");
    assert_eq!(found(&comment, nothing)[0].key, super::WHOLE_FILE);
    let gone = of_host(&Places { pmxcfs: TEXT.as_bytes(), disk: None, cmap: Some(&cmap()) });
    assert_eq!((gone[0].key.as_str(), &gone[0].disk), (super::WHOLE_FILE, &None));
}

#[test]
fn a_value_set_in_the_daemon_alone_is_named_also_where_the_file_does_not_write_it() {
    let set = |key: &'static str, value: &'static str| {
        move |cmap: &mut BTreeMap<String, String>| _ = cmap.insert(key.to_owned(), value.to_owned())
    };
    let token = found(TEXT, set("totem.token", "8000"));
    assert_eq!(token, [drift("totem.token", [Some("5000"), Some("5000"), Some("8000")])]);
    assert!(token[0].is_running());
    let votes = found(TEXT, set("quorum.expected_votes", "9"));
    assert_eq!(votes, [drift("quorum.expected_votes", [None, None, Some("9")])]);
    let priority = found(TEXT, set("totem.interface.0.knet_link_priority", "7"));
    assert_eq!(priority[0].key, "totem.interface[0].knet_link_priority");
    let debug = found(TEXT, set("logging.debug", "on"));
    assert_eq!(debug, [drift("logging.debug", [Some("off"), Some("off"), Some("on")])]);
    assert!(debug[0].is_running());
    let version = found(TEXT, set("totem.config_version", "900"));
    assert_eq!(version[0].key, "totem.config_version");
    let vote = found(TEXT, set("nodelist.node.0.quorum_votes", "3"));
    assert_eq!(vote[0].key, "nodelist.node[n1].quorum_votes");
}

/// corosync repeats a link mode that it did not apply and keeps a cluster name that it refused: neither
/// is put right by a reload, and neither proves anything.
#[test]
fn a_key_that_waits_for_a_restart_is_no_drift_of_the_daemon() {
    let old = |cmap: &mut BTreeMap<String, String>| {
        cmap.insert("totem.link_mode".to_owned(), "active".to_owned());
        cmap.insert("totem.ip_version".to_owned(), "ipv6".to_owned());
        cmap.insert("totem.cluster_name".to_owned(), "old".to_owned());
        cmap.insert("totem.unheard_of".to_owned(), "1".to_owned());
    };
    assert_eq!(found(TEXT, old), []);
}

/// As corosync 3.1.7 shows a file that corosync 2 could read, on udpu: it makes keys of its own of the interface.
#[test]
fn what_a_daemon_makes_of_an_interface_on_udpu_is_no_drift() {
    let old = "    ringnumber: 0\n    bindnetaddr: 10.0.0.0\n";
    let text = TEXT
        .replace("    linknumber: 0\n    knet_link_priority: 10\n", old)
        .replace("  token: 5000", "  token: 5000\n  transport: udpu");
    let mut cmap = cmap();
    cmap.remove("totem.interface.0.knet_link_priority");
    for (key, value) in [
        ("totem.transport", "udpu"),
        ("totem.interface.0.bindnetaddr", "10.0.0.1"),
        ("totem.interface.0.mcastport", "5405"),
        ("totem.interface.0.ttl", "1"),
        ("totem.interface.ringnumber", "0"),
    ] {
        cmap.insert(key.to_owned(), value.to_owned());
    }
    let text = text.as_bytes();
    assert_eq!(of_host(&Places { pmxcfs: text, disk: Some(text), cmap: Some(&cmap) }), []);
}

#[test]
fn a_number_that_is_spelled_differently_is_the_same_number() {
    let spelled = TEXT.replace("token: 5000", "token: 05000");
    let (text, cmap) = (spelled.as_bytes(), cmap());
    assert_eq!(of_host(&Places { pmxcfs: text, disk: Some(text), cmap: Some(&cmap) }), []);
}

#[test]
fn a_status_names_a_few_keys_with_short_values_whatever_a_file_holds() {
    let lines: Vec<String> = (0..100).map(|n| format!("  x{n}: {}", "y".repeat(300))).collect();
    let drift = found(&TEXT.replace("  token: 5000", &lines.join("\n")), nothing);
    assert_eq!(drift.len(), 16);
    assert!(drift.iter().all(|d| d.disk.as_ref().is_none_or(|value| value.len() <= 128)));
}

/// Three nodes whose last change left them as the spec wants them.
fn settled() -> World {
    let mut world = World::running(3, &[0, 1]);
    world.desired.totem.token_coefficient_millis = Some(125);
    world.desired.totem.link_mode = Some(LinkMode::Passive);
    world.node(2).votes = Some(1);
    world.desired.links[0].options.priority = Some(5);
    let text = world.rewrite(|text| {
        text.replace("linknumber: 0\n", "knet_link_priority: 5\n    linknumber: 0\n")
    });
    world.observed.left = Some(text);
    assert_eq!(differences(&world.desired, &world.observed), []);
    world
}

fn edited(from: &str, to: &str) -> Vec<Difference> {
    let mut world = settled();
    world.rewrite(|text| {
        assert!(text.contains(from), "{text}");
        text.replace(from, to)
    });
    differences(&world.desired, &world.observed)
}

fn values(of: &Difference) -> [Option<&str>; 4] {
    [of.spec.as_deref(), of.pmxcfs.as_deref(), of.disk.as_deref(), of.running.as_deref()]
}

#[test]
fn an_edit_through_etc_pve_of_what_the_spec_manages_is_one_row_with_all_hosts_and_four_views() {
    let rows = edited("token_coefficient: 125", "token_coefficient: 300");
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.key, "totem.token_coefficient");
    assert_eq!(row.hosts, [host(1), host(2), host(3)]);
    assert_eq!(values(row), [Some("125"), Some("300"), Some("300"), Some("300")]);
    assert_eq!(
        row.to_string(),
        "totem.token_coefficient on n1, n2, n3: the spec wants 125, /etc/pve has 300, the disk 300, \
         the daemon 300"
    );
}

#[test]
fn each_kind_of_managed_key_is_named() {
    let keys = |from, to| edited(from, to).into_iter().map(|row| row.key).collect::<Vec<_>>();
    let key = "totem.interface[0].knet_link_priority";
    assert_eq!(keys("knet_link_priority: 5", "knet_link_priority: 9"), [key]);
    let (from, to) = ("nodeid: 2\n    quorum_votes: 1", "nodeid: 2\n    quorum_votes: 3");
    assert_eq!(keys(from, to), ["nodelist.node[n2].quorum_votes"]);
    assert_eq!(keys("link_mode: passive", "link_mode: active"), ["totem.link_mode"]);
    assert_eq!(keys("10.0.1.3", "10.9.1.3"), ["nodelist.node[n3].ring1_addr"]);
    let rows = edited("    ring1_addr", "    ring2_addr");
    let of = |key: &str| rows.iter().find(|row| row.key == key).map(values);
    assert_eq!(of("nodelist.node[n1].ring1_addr"), Some([Some("10.0.1.1"), None, None, None]));
    let surplus = Some("10.0.1.1");
    assert_eq!(
        of("nodelist.node[n1].ring2_addr"),
        Some([Some("nothing"), surplus, surplus, surplus])
    );
    let gone = edited("name: n3", "name: n4");
    assert!(gone.iter().any(|row| row.key == "nodelist.node[n3].name"), "{gone:?}");
}

#[test]
fn what_the_spec_does_not_name_is_nobodys_drift_in_etc_pve() {
    assert_eq!(edited("debug: off", "debug: on"), []);
    assert_eq!(edited("secauth: on", "secauth: off"), []);
}

#[test]
fn a_key_of_logging_that_the_spec_names_has_drifted_with_all_four_views() {
    let mut world = settled();
    world.desired.logging.debug = Some(Debugging::Off);
    assert_eq!(differences(&world.desired, &world.observed), []);
    world.rewrite(|text| text.replace("debug: off", "debug: on"));
    let rows = differences(&world.desired, &world.observed);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.key.as_str(), row.hosts.len()), ("logging.debug", 3));
    assert_eq!(values(row), [Some("off"), Some("on"), Some("on"), Some("on")]);
}

#[test]
fn a_spec_that_has_moved_on_is_no_drift_and_neither_is_a_cluster_without_a_past() {
    let mut world = settled();
    world.desired.totem.token_coefficient_millis = Some(500);
    assert_eq!(differences(&world.desired, &world.observed), []);
    world.rewrite(|text| text.replace("token_coefficient: 125", "token_coefficient: 300"));
    assert_eq!(differences(&world.desired, &world.observed), []);
    world.desired.totem.token_coefficient_millis = Some(125);
    assert_eq!(differences(&world.desired, &world.observed).len(), 1);
    world.observed.left = None;
    assert_eq!(differences(&world.desired, &world.observed), []);
}

#[test]
fn a_host_that_differs_by_itself_has_a_row_of_its_own_with_what_the_spec_wants() {
    let mut world = settled();
    let key = "totem.token_coefficient";
    world.host(3).drift = vec![drift(key, [Some("125"), Some("125"), Some("300")])];
    let rows = differences(&world.desired, &world.observed);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.hosts, [host(3)]);
    assert_eq!(values(row), [Some("125"), Some("125"), Some("125"), Some("300")]);
    world.host(3).drift = vec![drift("logging.debug", [Some("off"), Some("on"), None])];
    let rows = differences(&world.desired, &world.observed);
    assert_eq!(
        rows.iter().map(values).collect::<Vec<_>>(),
        [[None, Some("off"), Some("on"), None]]
    );
}
