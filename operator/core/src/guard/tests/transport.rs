//! Guards on the transport: each plan is wrong in exactly one point.

use super::{edited, rewrite, verdict};
use crate::change::{Course, Probe, Risk};
use crate::conf::edit;
use crate::conf::{Cipher, Hash, TRANSPORT, TotemOptions, Transport};
use crate::guard::{Refusal, guard};
use crate::plan::plan;
use crate::plan::tests::transport::{on_udpu, to_knet, to_udpu};
use crate::plan::tests::world::{World, host};

fn timing() -> World {
    let mut world = World::running(3, &[0]);
    world.desired.totem.token_millis = Some(4000);
    world
}

/// The verdict on a plan for knet where the hosts say that they are on udpu.
fn on_old(world: &World) -> Result<(), Refusal> {
    let proposed = plan(&world.desired, &world.observed).plan.unwrap();
    let mut world = world.clone();
    for n in 1..=3 {
        world.host(n).started_with.insert(TRANSPORT.to_owned(), "udpu".to_owned());
    }
    guard(proposed, &world.desired, &world.observed).map(drop)
}

#[test]
fn moves_as_the_planner_plans_them_are_proven() {
    for world in [to_knet(3), to_udpu()] {
        assert_eq!(verdict(&world, |_| ()), Ok(()));
    }
}

/// A reload there proves nothing, and with more in the file no daemon starts again.
#[test]
fn a_live_change_of_a_cluster_that_is_not_on_knet_is_refused() {
    assert_eq!(on_old(&timing()), Err(Refusal::OldTransport { stage: 1 }));
    refuses!(to_knet(3), Refusal::OldTransport { stage: 1 }, |stages| {
        let udpu = stages[0].back.clone().unwrap();
        stages[0].course = Course::Write;
        stages[0].config.text = udpu.text.replace("config_version: 9", "config_version: 8");
        rewrite(&mut stages[0].config, str::to_owned);
    });
    let mut leaving = World::running(3, &[0]);
    leaving.desired.nodes.truncate(2);
    assert_eq!(on_old(&leaving), Err(Refusal::OldTransport { stage: 1 }));
}

/// Every member stops for it, and on udp and udpu anybody reads along.
#[test]
fn a_transport_that_the_spec_does_not_name_is_refused() {
    let mut stays = to_knet(3);
    stays.desired.totem.transport = None;
    let proposed = plan(&to_knet(3).desired, &to_knet(3).observed).plan.unwrap();
    let verdict = guard(proposed, &stays.desired, &stays.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::TransportUnwanted { stage: 1, to: Transport::Knet }));
}

/// corosync.md 5.6: the reload keeps the transport and drops the keys.
#[test]
fn a_transport_for_which_nobody_stops_is_refused() {
    refuses!(to_udpu(), Refusal::OldTransport { stage: 1 }, |stages| {
        stages[0].course = Course::Write;
    });
    let mut world = to_knet(3);
    for n in 1..=3 {
        world.host(n).started_with.remove(TRANSPORT);
    }
    refuses!(world, Refusal::OldTransport { stage: 1 }, |stages| stages[0].course = Course::Write);
}

/// A second fault is not survived meanwhile, so that an outage is for nothing else.
#[test]
fn what_does_not_belong_to_the_move_is_refused_in_it() {
    refuses!(to_knet(3), Refusal::OutageNotNeeded { stage: 1 }, |stages| {
        let wanted = TotemOptions { consensus_millis: Some(9000), ..TotemOptions::default() };
        edited(&mut stages[0].config, |text| edit::set_totem(text, &wanted).unwrap());
        let value = |key: &str, value: &str| Probe::RunningValue {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        stages[0].probes.push(value("totem.consensus", "9000"));
        stages[0].probes.push(value("runtime.config.totem.consensus", "9000"));
    });
    refuses!(to_knet(3), Refusal::OutageNotNeeded { stage: 1 }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("debug: off", "debug: on"));
        let value = Some("on".to_owned());
        stages[0].probes.push(Probe::RunningValue { key: "logging.debug".to_owned(), value });
    });
}

/// A daemon that starts without the key, or with another one, hears nobody.
#[test]
fn encryption_that_begins_where_a_member_has_no_key_is_refused() {
    let world = to_knet(3);
    let proposed = plan(&world.desired, &world.observed).plan.unwrap();
    let mut lacking = world;
    lacking.host(2).authkey = None;
    let verdict = guard(proposed, &lacking.desired, &lacking.observed).map(drop);
    assert_eq!(verdict, Err(Refusal::AuthkeysDiffer { host: host(2) }));
}

/// corosync.md 5.6: a cluster that goes on in the clear, with exit code 0 and quorate.
#[test]
fn encryption_that_nobody_gave_up_is_not_lost_on_the_way() {
    let kept = TotemOptions { cipher: None, hash: None, ..to_udpu().desired.totem };
    let mut world = to_udpu();
    let proposed = plan(&world.desired, &world.observed).plan.unwrap();
    world.desired.totem = kept;
    let verdict = guard(proposed, &world.desired, &world.observed).map(drop);
    let (cipher, hash) = (Cipher::None, Hash::None);
    assert_eq!(verdict, Err(Refusal::CryptoMoves { stage: 1, cipher, hash }));
}

/// corosync does not start with it.
#[test]
fn a_text_that_no_daemon_starts_with_is_refused() {
    refuses!(to_udpu(), Refusal::TextNotUnderstood { stage: 1, .. }, |stages| {
        rewrite(&mut stages[0].config, |text| text.replace("secauth: off", "secauth: on"));
    });
}

#[test]
fn a_move_that_calls_itself_less_than_an_outage_or_is_not_seen_is_refused() {
    refuses!(to_knet(3), Refusal::RiskHidden { stage: 1 }, |stages| {
        stages[0].risk = Risk::NodeRestart;
    });
    refuses!(to_knet(3), Refusal::Unproven { stage: 1, .. }, |stages| {
        let is_it =
            |probe: &Probe| matches!(probe, Probe::StartedWith { key, .. } if key == TRANSPORT);
        stages[0].probes.retain(|probe| !is_it(probe));
    });
    refuses!(to_knet(3), Refusal::Unproven { stage: 1, .. }, |stages| {
        let is_it =
            |probe: &Probe| matches!(probe, Probe::RunningValue { key, .. } if key == TRANSPORT);
        stages[0].probes.retain(|probe| !is_it(probe));
    });
}

#[test]
fn a_second_stop_is_proven_only_where_a_daemon_runs_on_another_transport() {
    let mut world = on_udpu(3);
    world.desired.totem.transport = Some(Transport::Knet);
    let first = plan(&world.desired, &world.observed).plan.unwrap();
    world.apply(&first);
    world.host(2).started_with.insert(TRANSPORT.to_owned(), "udpu".to_owned());
    let again = plan(&world.desired, &world.observed).plan.unwrap();
    let prove = |world: &World| guard(again.clone(), &world.desired, &world.observed).map(drop);
    assert_eq!(prove(&world), Ok(()));
    world.host(2).started_with.insert(TRANSPORT.to_owned(), "knet".to_owned());
    assert_eq!(prove(&world), Err(Refusal::OutageNotNeeded { stage: 1 }));
}
