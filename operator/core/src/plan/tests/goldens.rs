//! Whole plans, reviewed as text.

use std::fmt::Write as _;

use super::world::{World, id, link, moved, read, wanted_link};
use crate::change::{Plan, Proposed};
use crate::conf::{
    Cipher, Compression, Debugging, Hash, IP_VERSION, IpVersion, LINK_MODE, LinkMode,
    LoggingOptions, Priority, Switch, TotemOptions,
};
use crate::fitness::Limits;
use crate::guard::guard;
use crate::plan::{Blocker, State, plan};

/// Everything of a plan that somebody may want to review.
fn shown<S>(plan: &Plan<S>) -> String {
    let mut out = format!("{}\nparent: {:?}\n", plan.summary, plan.parent.map(|p| p.version.0));
    for (number, stage) in (1..).zip(&plan.stages) {
        writeln!(out, "\n== {number}. {} ({:?}, {:?})", stage.summary, stage.course, stage.risk)
            .unwrap();
        writeln!(out, "group {:?} joining {:?}", stage.group, stage.joining).unwrap();
        let back = stage.back.as_ref().map(|back| back.version.0);
        writeln!(out, "version {} back {back:?}", stage.config.version).unwrap();
        for (host, actions) in &stage.actions {
            writeln!(out, "{host}: {actions:?}").unwrap();
        }
        for probe in &stage.probes {
            writeln!(out, "probe {probe:?}").unwrap();
        }
    }
    let last = plan.stages.last().unwrap();
    write!(out, "\n== in the end\n{}", last.config.text).unwrap();
    out
}

/// The sentence of what keeps anything from being planned.
#[track_caller]
pub(super) fn blocks(world: &World, blocker: Blocker) -> String {
    let report = plan(&world.desired, &world.observed).report;
    assert_eq!(report.state, State::Blocked(blocker), "{}", report.sentence);
    report.sentence
}

/// What is planned, and proven.
pub(super) fn proven(world: &World) -> Plan<Proposed> {
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Proposing, "{}", planned.report.sentence);
    let plan = planned.plan.unwrap();
    assert_eq!(guard(plan.clone(), &world.desired, &world.observed).map(drop), Ok(()));
    plan
}

/// Plans, proves and carries out; returns what was planned, with the report.
pub(super) fn round(world: &mut World) -> String {
    let planned = plan(&world.desired, &world.observed);
    let report = &planned.report;
    let mut out =
        format!("{:?}: {}\nlater: {:?}\n", report.state, report.sentence, report.waiting_for);
    let Some(proposed) = planned.plan else { return out };
    let proven = guard(proposed, &world.desired, &world.observed).unwrap();
    out.push_str(&shown(&proven));
    world.apply(&proven);
    out
}

pub(super) fn settles(world: &World) {
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Settled, "{}", planned.report.sentence);
    assert!(planned.plan.is_none());
}

#[test]
fn one_node_forms_with_one_vote() {
    let mut world = World::new(1);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn three_nodes_form_and_join_one_by_one() {
    let mut world = World::new(3);
    insta::assert_snapshot!("three_nodes_1_form", round(&mut world));
    insta::assert_snapshot!("three_nodes_2_join", round(&mut world));
    insta::assert_snapshot!("three_nodes_3_join", round(&mut world));
    settles(&world);
}

#[test]
fn an_adopted_first_node_with_one_vote_is_lent_one() {
    let mut world = World::new(2);
    world.install(&[(1, 1)], &[0]);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn the_authkey_is_laid_beside_the_old_one_and_then_taken_by_all_together() {
    let mut world = World::running(3, &[0, 1]);
    world.desired.key_generation = 1;
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn an_exchange_has_the_time_that_its_proof_takes() {
    let mut world = World::running(3, &[0]);
    world.desired.key_generation = 1;
    world.desired.rollout.confirm_timeout_secs = 5;
    world.rewrite(|text| text.replace("  version: 2\n", "  version: 2\n  token: 20000\n"));
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    let times: Vec<u32> = plan.stages.iter().map(|stage| stage.confirm_timeout_secs).collect();
    assert_eq!(times, [5, 10 + 11]);
}

#[test]
fn a_lower_generation_than_the_one_in_force_asks_for_nothing() {
    let mut world = World::running(3, &[0]);
    world.host(2).authkey.as_mut().unwrap().generation = 4;
    for wanted in [0, 3, 4] {
        world.desired.key_generation = wanted;
        settles(&world);
    }
}

#[test]
fn a_host_that_is_alone_makes_its_key_anew() {
    let mut world = World::running(1, &[0]);
    world.desired.key_generation = 1;
    round(&mut world);
    settles(&world);
}

#[test]
fn a_node_that_is_listed_and_was_never_started_is_started() {
    let mut world = World::running(3, &[0, 1]).unstarted(3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn who_is_started_takes_the_key_in_force_and_the_next_exchange_comes_after_it() {
    let mut world = World::running(3, &[0]).unstarted(3);
    world.host(2).authkey.as_mut().unwrap().generation = 4;
    world.desired.key_generation = 5;
    let started = round(&mut world);
    assert!(started.contains("ReceiveAuthkey { generation: 4 }"), "{started}");
    let exchanged = round(&mut world);
    assert!(exchanged.contains("ExchangeAuthkey { generation: 5 }"), "{exchanged}");
    settles(&world);
}

#[test]
fn the_vote_that_a_broken_join_had_lent_is_taken_back() {
    let mut world = World::new(2);
    world.install(&[(1, 2), (2, 1)], &[0]);
    let mut world = world.unstarted(2);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_link_is_added_on_all_nodes_in_one_stage() {
    let mut world = World::running(3, &[0]);
    world.desired.links.push(wanted_link(1, Some(20)));
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn priorities_change_in_one_stage() {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links = vec![wanted_link(0, Some(5)), wanted_link(1, Some(20))];
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_link_is_removed_while_the_other_carries() {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links.pop();
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn links_are_added_before_others_are_removed() {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links = vec![wanted_link(0, Some(7)), wanted_link(2, None)];
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_link_moves_to_another_network_and_keeps_its_number() {
    let mut world = World::running(3, &[0]);
    moved(&mut world.desired.links[0]);
    world.desired.links[0].options.priority = None;
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

/// The helper goes where the link will, and is the one that is measured.
#[test]
fn the_limits_of_a_link_that_moves_hold_for_its_helper() {
    let mut world = World::running(3, &[0, 1]);
    let limits = Limits { round_trip_millis: 20, loss_percent: 2 };
    moved(&mut world.desired.links[1]);
    world.desired.links[1].limits = Some(limits);
    let planned = plan(&world.desired, &world.observed).plan.unwrap();
    let helper = planned.stages[0].limits.clone();
    assert_eq!(helper, [(link(1), limits), (link(2), limits)].into());
    world.desired.links[1].limits = None;
    let planned = plan(&world.desired, &world.observed).plan.unwrap();
    assert!(planned.stages.iter().all(|stage| stage.limits.is_empty()));
}

#[test]
fn a_helper_pings_no_slower_than_the_link_that_moves() {
    let mut world = World::running(3, &[0]);
    world.rewrite(|text| {
        text.replace("    linknumber: 0\n", "    knet_ping_interval: 100\n    linknumber: 0\n")
    });
    moved(&mut world.desired.links[0]);
    let told = round(&mut world);
    let helper = r#""totem.interface.1.knet_ping_interval", value: Some("100")"#;
    assert!(told.contains(helper), "{told}");
    settles(&world);
}

#[test]
fn one_node_moves_and_the_text_keeps_everything_else() {
    let mut world = World::running(3, &[0, 1]);
    let before = "# by hand\ntotem {\n  interface {\n    knet_link_priority: 9\n    x: y\n    linknumber: 1\n  }\n";
    world.rewrite(|text| {
        text.replace("  interface {\n    linknumber: 1\n  }\n", "").replace("totem {\n", before)
    });
    settles(&world);
    let old = world.host(1).pmxcfs_file.clone().unwrap().text.unwrap();
    world.node(2).addresses.insert(link(1), "10.1.1.2".to_owned());
    world.desired.links[1].network = None;
    insta::assert_snapshot!(round(&mut world));
    let new = world.host(1).pmxcfs_file.clone().unwrap().text.unwrap();
    let expected = old.replace("10.0.1.2", "10.1.1.2");
    assert_eq!(new, expected.replace("config_version: 7", "config_version: 14"));
}

#[test]
fn a_port_moves_beside_a_link_that_has_the_helpers_own() {
    let mut world = World::running(2, &[0]);
    world.desired.links[0].options.port = Some(5406);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_port_that_a_link_has_by_itself_is_not_written() {
    let mut world = World::running(2, &[0, 1]);
    world.desired.links[1].options.port = Some(5406);
    settles(&world);
}

#[test]
fn without_a_free_number_the_other_links_carry() {
    let mut world = World::running(2, &[0, 1, 2, 3, 4, 5, 6, 7]);
    moved(&mut world.desired.links[0]);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn several_links_move_one_after_the_other_and_what_goes_goes_last() {
    let mut world = World::running(3, &[0, 1, 2]);
    world.desired.links.pop();
    world.desired.links.iter_mut().for_each(moved);
    world.desired.links[1].options.priority = Some(9);
    let mut reports = String::new();
    for _ in 0..4 {
        reports.extend(round(&mut world).lines().take(2).map(|line| format!("{line}\n")));
    }
    insta::assert_snapshot!(reports);
    settles(&world);
}

#[test]
fn a_host_that_changed_its_address_inside_the_network_is_followed() {
    let mut world = World::running(3, &[0, 1]);
    world.host(2).addresses.insert("10.0.1.22/24".parse().unwrap());
    settles(&world);
    world.host(2).addresses.remove(&"10.0.1.2/24".parse().unwrap());
    assert!(round(&mut world).contains("move link 1 to 10.0.1.22 on n2, in 4 stages"));
    settles(&world);
}

#[test]
fn two_links_trade_their_networks() {
    let mut world = World::running(3, &[0, 1]);
    let networks: Vec<_> = world.desired.links.iter().map(|link| link.network).collect();
    world.desired.links[0].network = networks[1];
    world.desired.links[1].network = networks[0];
    round(&mut world);
    round(&mut world);
    settles(&world);
}

#[test]
fn a_link_that_nobody_hears_moves_as_well() {
    let mut world = World::running(2, &[0]);
    world.host(1).link_faults.insert((link(0), id(2)));
    moved(&mut world.desired.links[0]);
    round(&mut world);
    settles(&world);
}

#[test]
fn link_0_goes_and_comes_back_while_the_token_timeout_stays() {
    let mut world = World::running(5, &[0, 1]);
    let zero = world.desired.links.remove(0);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
    assert_eq!(world.text().token_in_force_millis(), 3375);
    world.desired.links.insert(0, zero);
    round(&mut world);
    settles(&world);
    assert_eq!(world.text().token_in_force_millis(), 3375);
}

#[test]
fn keys_of_totem_change_in_groups_and_the_token_is_read_twice() {
    let mut world = World::running(3, &[0]);
    world.desired.totem = TotemOptions {
        token_millis: Some(5000),
        consensus_millis: Some(9000),
        mtu_bytes: Some(1400),
        cipher: Some(Cipher::Aes128),
        hash: Some(Hash::Sha512),
        compression: Some(Compression::Zlib),
        ..TotemOptions::default()
    };
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn what_secauth_says_already_is_not_written() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.cipher = Some(Cipher::Aes256);
    world.desired.totem.hash = Some(Hash::Sha256);
    settles(&world);
}

#[test]
fn a_wanted_token_counts_the_nodes_without_link_0_as_well() {
    let mut world = World::running(5, &[0, 1]);
    world.desired.links.remove(0);
    world.desired.totem.token_millis = Some(2000);
    world.desired.totem.token_coefficient_millis = Some(100);
    round(&mut world);
    round(&mut world);
    settles(&world);
    assert_eq!(world.text().totem.token_millis, Some(2300));
}

#[test]
fn ping_options_change_in_one_stage() {
    let mut world = World::running(3, &[0, 1]);
    world.desired.links[0].options.ping_interval_millis = Some(200);
    world.desired.links[0].options.ping_timeout_millis = Some(400);
    world.desired.links[1].options.pong_count = Some(3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_cluster_is_formed_with_everything_that_the_spec_says() {
    let mut world = World::new(2);
    world.desired.links[0].options.port = Some(5500);
    world.desired.totem.token_millis = Some(2000);
    world.desired.totem.cipher = Some(Cipher::Aes128);
    world.desired.totem.hash = Some(Hash::Sha256);
    let formed = round(&mut world);
    assert!(formed.contains("  token: 2000\n") && formed.contains("    mcastport: 5500\n"));
    round(&mut world);
    settles(&world);
}

#[test]
fn votes_move_one_by_one() {
    let mut world = World::running(3, &[0]);
    world.node(1).votes = Some(3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn comments_and_unknown_keys_are_kept() {
    let mut world = World::running(2, &[0]);
    let conf = world.rewrite(|text| text.replace("totem {\n", "# by hand\ntotem {\n  join: 60\n"));
    settles(&world);
    world.desired.links.push(wanted_link(1, None));
    let stage = plan(&world.desired, &world.observed).plan.unwrap().stages.remove(0);
    assert!(stage.config.text.contains("# by hand\ntotem {\n  join: 60\n"));
    let back = stage.back.unwrap();
    assert_eq!(back.text, conf.text.replace("config_version: 7", "config_version: 9"));
    assert_eq!(read(&stage.config).links(), [link(0), link(1)].into());
}

#[test]
fn versions_begin_above_everything_seen_or_reserved() {
    let mut world = World::running(2, &[0]);
    world.observed.reserved_version = crate::ids::ConfigVersion(40);
    world.desired.links.push(wanted_link(1, None));
    let stage = plan(&world.desired, &world.observed).plan.unwrap().stages.remove(0);
    assert_eq!((stage.config.version.0, stage.back.unwrap().version.0), (41, 42));
}

#[test]
fn a_paused_rollout_says_what_it_would_do() {
    let mut world = World::running(2, &[0]);
    world.desired.rollout.paused = true;
    settles(&world);
    world.desired.links.push(wanted_link(1, None));
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Waiting);
    assert!(planned.plan.is_none() && planned.report.sentence.contains("add link 1"));
}

#[test]
fn a_paused_member_blocks_changes_but_not_rest() {
    let mut world = World::running(2, &[0]);
    world.host(2).paused = true;
    settles(&world);
    world.desired.links.push(wanted_link(1, None));
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HostPaused));
}

#[test]
fn a_link_mode_is_written_and_then_taken_by_restarts_host_by_host() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::RoundRobin);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn in_a_cluster_of_two_each_restart_lends_the_other_one_a_vote() {
    let mut world = World::running(2, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn only_hosts_whose_daemon_was_started_with_another_link_mode_restart() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Passive);
    settles(&world);
    let started = [(LINK_MODE.to_owned(), "active".to_owned())].into();
    world.host(2).started_with = started;
    let shown = round(&mut world);
    assert!(shown.contains("in one stage") && shown.contains("Restart corosync on n2"), "{shown}");
    settles(&world);
}

#[test]
fn a_node_that_is_alone_is_not_restarted_before_another_one_joins() {
    let mut world = World::running(1, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    let shown = round(&mut world);
    assert!(shown.contains("in one stage") && !shown.contains("Restart"), "{shown}");
    settles(&world);
}

#[test]
fn what_restarts_comes_last_and_more_hosts_than_a_plan_holds_are_the_next_ones() {
    let mut world = World::running(20, &[0]);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    world.node(1).votes = Some(2);
    let votes = round(&mut world);
    assert!(votes.contains("later: [\"set link_mode active and restart corosync\"]"), "{votes}");
    let first = round(&mut world);
    assert!(first.contains("in 17 stages"), "{first}");
    let second = round(&mut world);
    assert!(second.contains("in 4 stages"), "{second}");
    settles(&world);
}

#[test]
fn keys_of_logging_change_in_one_stage() {
    let mut world = World::running(3, &[0]);
    world.desired.logging = LoggingOptions {
        debug: Some(Debugging::On),
        syslog_priority: Some(Priority::Notice),
        to_syslog: Some(Switch::Yes),
    };
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn another_word_for_what_is_wanted_of_logging_is_left_alone() {
    let mut world = World::running(2, &[0]);
    let (debug, syslog_priority) = (Some(Debugging::Off), Some(Priority::Err));
    world.desired.logging = LoggingOptions { debug, syslog_priority, to_syslog: Some(Switch::Yes) };
    let written = "to_syslog: on\n  syslog_priority: error";
    world.rewrite(|text| text.replace("to_syslog: yes", written));
    settles(&world);
}

#[test]
fn logging_comes_behind_totem_and_before_the_authkey() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.mtu_bytes = Some(1400);
    world.desired.logging.debug = Some(Debugging::Trace);
    world.desired.key_generation = 1;
    let first = round(&mut world);
    let later = "later: [\"set logging: debug trace\", \"exchange the authkey\"]";
    assert!(first.contains(later), "{first}");
    let second = round(&mut world);
    assert!(second.contains("set logging: debug trace, in one stage"), "{second}");
    assert!(second.contains("later: [\"exchange the authkey\"]"), "{second}");
    round(&mut world);
    settles(&world);
}

#[test]
fn a_second_section_of_logging_stops_only_whoever_would_change_it() {
    let mut world = World::running(2, &[0]);
    world.rewrite(|text| format!("{text}logging {{\n  debug: off\n}}\n"));
    settles(&world);
    world.desired.logging.debug = Some(Debugging::On);
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::ConfigNotUnderstood));
    assert!(planned.report.sentence.contains("`logging` is there a second time"));
}

#[test]
fn an_ip_version_is_taken_by_all_at_once() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.ip_version = Some(IpVersion::Ipv4);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn a_daemon_that_was_started_with_another_ip_version_makes_all_stop_once_more() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.ip_version = Some(world.text().ip_version());
    settles(&world);
    world.host(2).started_with.insert(IP_VERSION.to_owned(), "ipv6".to_owned());
    let shown = round(&mut world);
    assert!(shown.contains("in one stage") && shown.contains("Outage"), "{shown}");
    settles(&world);
}

#[test]
fn what_stops_everybody_comes_after_everything_else_and_waits_for_broken_links() {
    let mut world = World::running(3, &[0]);
    world.desired.totem.ip_version = Some(IpVersion::Ipv4);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    let first = round(&mut world);
    assert!(first.contains("later: [\"stop corosync everywhere"), "{first}");
    world.host(1).link_faults.insert((link(0), id(2)));
    let blocked = plan(&world.desired, &world.observed);
    assert_eq!(blocked.report.state, State::Blocked(Blocker::LinkNotConnected));
    world.host(1).link_faults.clear();
    assert!(round(&mut world).contains("Outage"));
    settles(&world);
}

#[test]
fn a_large_cluster_gets_the_time_that_it_takes_to_find_each_other() {
    let mut world = World::running(32, &[0]);
    world.desired.totem.ip_version = Some(IpVersion::Ipv4);
    let planned = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(planned.stages[0].confirm_timeout_secs, 94);
    world.desired.rollout.confirm_timeout_secs = 120;
    let planned = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(planned.stages[0].confirm_timeout_secs, 120);
}
