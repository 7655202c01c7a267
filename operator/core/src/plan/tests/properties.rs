//! Random clusters and specs.

use std::net::IpAddr;

use proptest::prelude::*;

use super::world::{World, id, link, moved, wanted_link};
use crate::change::Course;
use crate::conf::{
    Cipher, Compression, Crypto, Hash, LinkOptions, TotemOptions, token_growth_millis,
};
use crate::guard::{Refusal, guard};
use crate::observed::Claim;
use crate::plan::{Blocker, State, plan};

/// What may be wanted of a link: a priority, a port, the other site's network.
fn wants() -> impl Strategy<Value = (Option<u8>, Option<u16>, bool)> {
    let port = prop::option::weighted(0.2, 5400..5420u16);
    (prop::option::of(0..30u8), port, prop::bool::weighted(0.3))
}

fn totem() -> impl Strategy<Value = TotemOptions> {
    let crypto = prop::option::weighted(
        0.3,
        prop::sample::select(vec![
            (Cipher::Aes256, Hash::Sha256),
            (Cipher::Aes128, Hash::Sha512),
            (Cipher::None, Hash::None),
        ]),
    );
    let token = prop::option::weighted(0.4, 100..9000u32);
    let coefficient = prop::option::weighted(0.3, 0..900u32);
    let mtu = prop::option::weighted(0.2, 600..1500u32);
    (token, coefficient, mtu, crypto).prop_map(|(token, coefficient, mtu_bytes, crypto)| {
        TotemOptions {
            token_millis: token,
            token_coefficient_millis: coefficient,
            mtu_bytes,
            compression: mtu_bytes
                .map(|bytes| if bytes % 2 == 0 { Compression::None } else { Compression::Zlib }),
            cipher: crypto.map(|(cipher, _)| cipher),
            hash: crypto.map(|(_, hash)| hash),
            ..TotemOptions::default()
        }
    })
}

/// So many links that there may be no number left for another one.
fn almost_all() -> impl Strategy<Value = Vec<u32>> {
    prop::sample::subsequence((0..8).collect::<Vec<u32>>(), 7..=8)
}

/// A cluster of some of the nodes with some links and votes, and a spec that wants something else.
fn worlds() -> impl Strategy<Value = World> {
    let now = prop_oneof![
        4 => prop::sample::subsequence((0..4).collect::<Vec<u32>>(), 1..4),
        1 => almost_all(),
    ];
    let wanted = prop_oneof![
        4 => prop::collection::btree_map(0..4u32, wants(), 1..4),
        1 => (almost_all(), prop::collection::vec(wants(), 8))
            .prop_map(|(links, wants)| links.into_iter().zip(wants).collect()),
    ];
    let votes = prop::collection::vec((1..4u32, prop::option::of(0..5u32)), 1..7);
    (votes, 0..7usize, now, (wanted, totem())).prop_map(|(nodes, running, now, wanted)| {
        let mut world = World::new(u32::try_from(nodes.len()).unwrap());
        let (links, totem) = wanted;
        let wish = |(number, (priority, port, moves)): (&u32, &(Option<u8>, Option<u16>, bool))| {
            let mut wish = wanted_link(*number, *priority);
            wish.options.port = *port;
            if *moves {
                moved(&mut wish);
            }
            wish
        };
        (world.desired.links, world.desired.totem) = (links.iter().map(wish).collect(), totem);
        let installed: Vec<_> =
            (1..).zip(&nodes).take(running).map(|(n, (votes, _))| (n, *votes)).collect();
        for (node, (_, wanted)) in world.desired.nodes.iter_mut().zip(&nodes) {
            node.votes = *wanted;
        }
        if !installed.is_empty() {
            world.install(&installed, &now);
        }
        world
    })
}

/// One thing that is wrong with a host.
fn spoil(world: &mut World, (n, what): (u32, u8)) {
    let n = n.clamp(1, u32::try_from(world.observed.hosts.len()).unwrap());
    let view = world.host(n);
    match what {
        0 => view.connected = false,
        1 => view.claim = Claim::Other("x".to_owned()),
        2 => view.disk_file = None,
        3 => view.running_version = None,
        4 => view.addresses.clear(),
        5 => drop(view.link_faults.insert((link(0), id(1)))),
        6 => view.members.clear(),
        7 => view.paused = true,
        8 => view.pmxcfs_file = None,
        _ => {}
    }
}

/// At rest the text says of links and totem what the spec says, under the wanted numbers.
fn wanted_is_in_force(world: &World) -> Result<(), TestCaseError> {
    let (text, desired) = (world.text(), &world.desired);
    let numbers: Vec<_> = desired.links.iter().map(|wanted| wanted.number).collect();
    prop_assert_eq!(text.links().into_iter().collect::<Vec<_>>(), numbers);
    for wanted in &desired.links {
        let network = wanted.network.unwrap();
        for node in &text.nodes {
            prop_assert!(
                network.contains(&node.addresses[&wanted.number].parse::<IpAddr>().unwrap())
            );
        }
        prop_assert!(wanted.options.port.is_none_or(|port| port == text.port(wanted.number)));
        let left =
            LinkOptions { port: None, ..wanted.options.beyond(text.link_options(wanted.number)) };
        prop_assert_eq!(left, LinkOptions::default());
    }
    let totem = desired.totem;
    if let Some(base) = totem.token_millis {
        let coefficient = text.totem.token_coefficient_millis;
        let whole = base + token_growth_millis(coefficient, text.nodes.len());
        prop_assert_eq!(text.token_in_force_millis(), whole);
    }
    if let (Some(cipher), Some(hash)) = (totem.cipher, totem.hash) {
        prop_assert_eq!(text.crypto(), Crypto { cipher, hash });
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_proven_and_leads_to_rest_through_quorate_states(mut world in worlds()) {
        for _ in 0..60 {
            let planned = plan(&world.desired, &world.observed);
            match planned.report.state {
                State::Proposing => {
                    let plan = planned.plan.unwrap();
                    let proven = guard(plan, &world.desired, &world.observed);
                    world.apply(&proven.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?);
                }
                State::Settled => return wanted_is_in_force(&world),
                State::Blocked(Blocker::NoVotes) => return Ok(()),
                State::Blocked(_) => return Err(TestCaseError::fail(planned.report.sentence)),
                State::Waiting | State::Reported => return Err(TestCaseError::fail("not paused")),
            }
        }
        prop_assert!(false, "no rest: {}", plan(&world.desired, &world.observed).report.sentence);
    }

    #[test]
    fn whatever_stage_a_plan_ends_in_the_next_ones_lead_to_rest(
        mut world in worlds(),
        stops in prop::collection::vec(0..5usize, 1..6),
    ) {
        for stop in stops.into_iter().chain([usize::MAX; 60]) {
            let planned = plan(&world.desired, &world.observed);
            match (planned.report.state, planned.plan) {
                (State::Proposing, Some(mut plan)) => {
                    // A join that stops halfway is another story: the hosts undo it.
                    if plan.stages.iter().all(|stage| stage.course == Course::Write) {
                        plan.stages.truncate(stop.max(1));
                    }
                    let proven = guard(plan, &world.desired, &world.observed);
                    let cut = stop < usize::MAX;
                    match proven {
                        Ok(proven) => world.apply(&proven),
                        Err(Refusal::PingsLate { .. }) if cut => {}
                        Err(refusal) => return Err(TestCaseError::fail(refusal.to_string())),
                    }
                }
                (State::Settled, _) => return wanted_is_in_force(&world),
                (State::Blocked(Blocker::NoVotes), _) => return Ok(()),
                (_, _) => return Err(TestCaseError::fail(planned.report.sentence)),
            }
        }
        prop_assert!(false, "no rest: {}", plan(&world.desired, &world.observed).report.sentence);
    }

    #[test]
    fn the_planner_is_total_and_deterministic_and_the_guard_agrees(
        mut world in worlds(),
        faults in prop::collection::vec((1..7u32, 0..10u8), 0..3),
    ) {
        for fault in faults {
            spoil(&mut world, fault);
        }
        let planned = plan(&world.desired, &world.observed);
        prop_assert_eq!(&planned, &plan(&world.desired, &world.observed));
        prop_assert_eq!(planned.plan.is_some(), planned.report.state == State::Proposing);
        prop_assert!(!planned.report.sentence.is_empty());
        if let Some(plan) = planned.plan {
            let proven = guard(plan, &world.desired, &world.observed);
            prop_assert!(proven.is_ok(), "{}", proven.unwrap_err());
        }
    }
}
