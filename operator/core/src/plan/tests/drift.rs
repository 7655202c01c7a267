//! What is planned about what somebody changed beside the operator.

use super::goldens::proven;
use super::world::{World, host};
use crate::change::{Action, Course, Plan, Proposed};
use crate::conf::Debugging;
use crate::desired::Drift;
use crate::drift::HostDrift;
use crate::guard::{Refusal, guard};
use crate::ids::{ConfigVersion, Digest};
use crate::plan::{Blocker, State, plan};

fn drift(key: &str, values: [&str; 3]) -> HostDrift {
    let [pmxcfs, disk, running] = values.map(|value| Some(value.to_owned()));
    HostDrift { key: key.to_owned(), pmxcfs, disk, running }
}

/// Three nodes; somebody edited the disk of this one.
fn edited_disk(number: u32) -> World {
    let mut world = World::running(3, &[0]);
    edit_disk(&mut world, number);
    world
}

pub(super) fn edit_disk(world: &mut World, number: u32) {
    let view = world.host(number);
    let file = view.disk_file.as_mut().unwrap();
    let text = file.text.take().unwrap().replace("token_coefficient: 125", "token_coefficient: 9");
    file.digest = Digest::of(text.as_bytes());
    file.text = Some(text);
    view.drift = vec![drift("totem.token_coefficient", ["125", "9", "125"])];
}

fn edited_daemon(number: u32) -> World {
    let mut world = World::running(3, &[0]);
    world.host(number).drift = vec![drift("totem.token_coefficient", ["125", "125", "9"])];
    world
}

/// Stage by stage: who does what.
fn acts(plan: &Plan<Proposed>) -> Vec<Vec<(String, Action)>> {
    let stage = |stage: &crate::change::Stage| {
        assert_eq!(stage.course, Course::Local);
        let all = stage.actions.iter();
        all.flat_map(|(host, acts)| acts.iter().map(|a| (host.to_string(), a.clone()))).collect()
    };
    plan.stages.iter().map(stage).collect()
}

#[test]
fn a_disk_that_somebody_edited_is_put_back_on_that_host_alone() {
    let plan = proven(&edited_disk(3));
    assert_eq!(acts(&plan), [vec![("n3".to_owned(), Action::RefreshStaleConfig {})]]);
    let parent = plan.parent.unwrap();
    assert_eq!((parent.version, parent.digest), (ConfigVersion(7), plan.stages[0].config.digest));
}

#[test]
fn a_daemon_that_runs_something_else_reads_its_file_again() {
    let plan = proven(&edited_daemon(2));
    assert_eq!(acts(&plan), [vec![("n2".to_owned(), Action::Reload {})]]);
}

/// A reload makes every member read its own disk, also one that is still wrong.
#[test]
fn every_disk_is_right_before_any_daemon_reads_it() {
    let mut world = edited_disk(3);
    world.host(3).running_version = Some(ConfigVersion(900));
    world.host(2).drift = edited_daemon(2).host(2).drift.clone();
    let plan = proven(&world);
    let reload = |host: &str| (host.to_owned(), Action::Reload {});
    let wanted =
        [vec![("n3".to_owned(), Action::RefreshStaleConfig {})], vec![reload("n2"), reload("n3")]];
    assert_eq!(acts(&plan), wanted);

    let spoiled = |spoil: fn(&mut Vec<crate::change::Stage>)| {
        let mut plan = plan.clone();
        spoil(&mut plan.stages);
        guard(plan, &world.desired, &world.observed).unwrap_err()
    };
    let refusal = spoiled(|stages| stages.swap(0, 1));
    assert!(matches!(refusal, Refusal::ViewNotSound { .. }), "{refusal:?}");
    let together = spoiled(|stages| {
        let reloads = stages.pop().unwrap().actions;
        stages[0].actions.extend(reloads.into_iter().filter(|(at, _)| *at == host(2)));
        let _ = stages[0]
            .actions
            .insert(host(3), vec![Action::RefreshStaleConfig {}, Action::Reload {}]);
    });
    assert!(matches!(together, Refusal::ActionMisplaced { stage: 1, .. }), "{together:?}");
}

#[test]
fn a_host_that_has_only_just_changed_is_waited_for() {
    let mut world = edited_disk(3);
    world.host(3).drift.clear();
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HostsDisagree));
}

#[test]
fn a_text_in_etc_pve_that_no_member_runs_is_put_on_no_disk() {
    let mut world = World::running(3, &[0]);
    for number in 1..=3 {
        edit_disk(&mut world, number);
        world.host(number).running_version = Some(ConfigVersion(8));
    }
    let planned = plan(&world.desired, &world.observed);
    assert_eq!(planned.report.state, State::Blocked(Blocker::HostsDisagree));
}

/// n1, n2 and n3 as the last change left them, with a coefficient that the spec manages.
fn managed() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.totem.token_coefficient_millis = Some(125);
    world.observed.left = Some(world.rewrite(str::to_owned));
    world
}

#[test]
fn a_managed_key_edited_through_etc_pve_is_put_back_by_an_ordinary_change() {
    let mut world = managed();
    world.rewrite(|text| text.replace("token_coefficient: 125", "token_coefficient: 300"));
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    assert_eq!(plan.stages[0].course, Course::Write);
    assert!(plan.stages[0].config.text.contains("token_coefficient: 125"));
}

#[test]
fn an_unmanaged_key_edited_through_etc_pve_stays_and_asks_for_nothing() {
    let mut world = managed();
    world.rewrite(|text| text.replace("debug: off", "debug: on"));
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Settled);
}

#[test]
fn with_report_nothing_is_begun_that_only_puts_back() {
    let mut edited = managed();
    edited.rewrite(|text| text.replace("token_coefficient: 125", "token_coefficient: 300"));
    for mut world in [edited, edited_disk(3), edited_daemon(3)] {
        world.desired.rollout.drift = Drift::Report;
        let planned = plan(&world.desired, &world.observed);
        assert_eq!(planned.report.state, State::Reported, "{}", planned.report.sentence);
        assert_eq!(planned.plan, None);
    }
}

#[test]
fn with_report_a_spec_that_asks_for_a_change_still_gets_it() {
    let mut world = managed();
    world.desired.rollout.drift = Drift::Report;
    world.rewrite(|text| text.replace("token_coefficient: 125", "token_coefficient: 300"));
    world.desired.totem.token_millis = Some(4000);
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Proposing);
}

/// A person looks for something: what the spec says nothing of is shown, not reloaded away under them.
#[test]
fn a_daemon_that_was_made_to_tell_more_is_put_back_only_where_the_spec_speaks_of_it() {
    let mut world = World::running(3, &[0]);
    world.host(2).drift = vec![drift("logging.debug", ["off", "off", "on"])];
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Settled);
    world.desired.logging.debug = Some(Debugging::Off);
    let plan = proven(&world);
    assert_eq!(acts(&plan), [vec![("n2".to_owned(), Action::Reload {})]]);
}
