//! The authkey: who gets it, and that no reload parts those who have it.

use std::collections::BTreeMap;

use super::{adding, starting, verdict};
use crate::change::{Action, Probe, Risk, Stage};
use crate::guard::Refusal;
use crate::ids::{Fingerprint, HostName};
use crate::observed::KeyView;
use crate::plan::tests::world::{World, host};

/// Three nodes that exchange their key: it is laid, and then taken.
fn exchanging() -> World {
    let mut world = World::running(3, &[0, 1]);
    world.desired.key_generation = 2;
    world
}

fn receivers(stage: &mut Stage) -> &mut BTreeMap<HostName, String> {
    match &mut stage.actions.get_mut(&host(1)).unwrap()[0] {
        Action::MakeAuthkey { receivers } => receivers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exchange_as_the_planner_makes_it_is_proven() {
    assert_eq!(verdict(&exchanging(), |_| ()), Ok(()));
}

#[test]
fn a_new_authkey_that_a_stranger_could_read_is_refused() {
    refuses!(exchanging(), Refusal::WrongRecipient { stage: 1, .. }, |stages| {
        receivers(&mut stages[0]).insert(host(2), "age1other".to_owned());
    });
    refuses!(exchanging(), Refusal::WrongRecipient { stage: 1, .. }, |stages| {
        receivers(&mut stages[0]).insert(host(9), "age1n9".to_owned());
    });
}

#[test]
fn an_exchange_that_leaves_a_member_behind_is_refused() {
    let half = |spoil: fn(&mut Vec<Stage>)| {
        let refused = Refusal::ExchangeHalf { stage: 2, host: host(3) };
        assert_eq!(verdict(&exchanging(), spoil), Err(refused));
    };
    half(|stages| {
        stages[1].actions.remove(&host(3));
    });
    half(|stages| {
        let other = Action::ExchangeAuthkey { generation: 9 };
        stages[1].actions.insert(host(3), vec![other]);
    });
    half(|stages| {
        stages[0].actions.remove(&host(3));
    });
    half(|stages| {
        receivers(&mut stages[0]).remove(&host(3));
    });
}

#[test]
fn an_exchange_of_a_key_that_nobody_was_given_is_refused() {
    let mut world = exchanging();
    world.desired.key_generation = 1;
    refuses!(world, Refusal::ExchangeHalf { stage: 1, .. }, |stages| {
        stages.remove(0);
    });
}

#[test]
fn an_exchange_that_nobody_asked_for_is_refused() {
    let mut world = adding();
    world.desired.key_generation = 1;
    world.host(2).authkey.as_mut().unwrap().generation = 1;
    refuses!(world, Refusal::ExchangeUnwanted { stage: 1 }, |stages| {
        let exchange = |n| (host(n), vec![Action::ExchangeAuthkey { generation: 1 }]);
        stages[0].actions = (1..=3).map(exchange).collect();
    });
}

#[test]
fn an_exchange_that_could_be_confirmed_on_the_old_key_is_refused() {
    refuses!(exchanging(), Refusal::Unproven { stage: 2, .. }, |stages| {
        stages[1].probes.retain(|probe| *probe != Probe::AuthkeyTaken {});
    });
}

#[test]
fn an_exchange_that_calls_itself_live_is_refused() {
    refuses!(exchanging(), Refusal::RiskHidden { stage: 2 }, |stages| {
        stages[1].risk = Risk::Live;
    });
}

#[test]
fn a_key_is_exchanged_in_no_other_course_and_by_no_other_host() {
    refuses!(exchanging(), Refusal::ActionMisplaced { stage: 1, .. }, |stages| {
        let exchange = Action::ExchangeAuthkey { generation: 2 };
        stages[0].actions.insert(host(2), vec![exchange]);
    });
    refuses!(exchanging(), Refusal::ActionMisplaced { stage: 2, .. }, |stages| {
        stages[1].actions.insert(host(2), vec![Action::LayAuthkey {}]);
    });
}

#[test]
fn any_reload_that_would_throw_out_a_member_with_another_key_is_refused() {
    for world in [adding(), exchanging(), starting()] {
        let mut plan = super::proposed(&world);
        let mut world = world;
        world.host(3).authkey.as_mut().unwrap().fingerprint = Fingerprint::of(b"other");
        let refused = Err(Refusal::AuthkeysDiffer { host: host(3) });
        let stages = std::mem::take(&mut plan.stages);
        let plan =
            crate::change::Plan::proposed(plan.parent, plan.generation, plan.summary, stages);
        assert_eq!(super::guard(plan, &world.desired, &world.observed).map(drop), refused);
    }
}

#[test]
fn a_key_of_another_cluster_on_a_host_that_is_started_is_no_matter() {
    let mut world = starting();
    let fingerprint = Fingerprint::of(b"other");
    world.host(4).authkey = Some(KeyView { fingerprint, generation: 3 });
    assert_eq!(verdict(&world, |_| ()), Ok(()));
}

#[test]
fn a_key_that_is_not_known_is_not_exchanged_and_holds_nothing_else_up() {
    let plan = super::proposed(&exchanging());
    let mut world = exchanging();
    world.host(2).authkey = None;
    let refused = Err(Refusal::AuthkeysDiffer { host: host(2) });
    assert_eq!(super::guard(plan, &world.desired, &world.observed).map(drop), refused);

    let mut world = adding();
    world.host(2).authkey = None;
    assert_eq!(verdict(&world, |_| ()), Ok(()));
}
