//! Whole plans, reviewed as text.

use std::fmt::Write as _;

use super::world::{World, link, read, wanted_link};
use crate::change::Plan;
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

/// Plans, proves and carries out; returns what was planned, with the report.
fn round(world: &mut World) -> String {
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

fn settles(world: &World) {
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
fn votes_move_one_by_one() {
    let mut world = World::running(3, &[0]);
    world.node(1).votes = Some(3);
    insta::assert_snapshot!(round(&mut world));
    settles(&world);
}

#[test]
fn comments_and_unknown_keys_are_kept() {
    let mut world = World::running(2, &[0]);
    let file = world.host(1).pmxcfs_file.clone().unwrap();
    let text = file.text.unwrap().replace("totem {\n", "# by hand\ntotem {\n  join: 60\n");
    let conf = crate::change::ConfText::new(file.version.unwrap(), text);
    for n in 1..=2 {
        let file = Some((&conf).into());
        (world.host(n).pmxcfs_file, world.host(n).disk_file) = (file.clone(), file);
    }
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
