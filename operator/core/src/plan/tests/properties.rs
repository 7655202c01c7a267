//! Random clusters and specs.

use proptest::prelude::*;

use super::world::{World, id, link, wanted_link};
use crate::guard::guard;
use crate::observed::Claim;
use crate::plan::{Blocker, State, plan};

/// A cluster of some of the nodes with some links and votes, and a spec that wants something else.
fn worlds() -> impl Strategy<Value = World> {
    let links = || prop::collection::btree_map(0..4u32, prop::option::of(0..30u8), 1..4);
    let votes = prop::collection::vec((1..4u32, prop::option::of(0..5u32)), 1..7);
    (votes, 0..7usize, links(), links()).prop_map(|(nodes, running, now, wanted)| {
        let mut world = World::new(u32::try_from(nodes.len()).unwrap());
        world.desired.links = wanted.iter().map(|(l, p)| wanted_link(*l, *p)).collect();
        let installed: Vec<_> =
            (1..).zip(&nodes).take(running).map(|(n, (votes, _))| (n, *votes)).collect();
        for (node, (_, wanted)) in world.desired.nodes.iter_mut().zip(&nodes) {
            node.votes = *wanted;
        }
        if !installed.is_empty() {
            world.install(&installed, &now.keys().copied().collect::<Vec<_>>());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_proven_and_leads_to_rest_through_quorate_states(mut world in worlds()) {
        for _ in 0..40 {
            let planned = plan(&world.desired, &world.observed);
            match planned.report.state {
                State::Proposing => {
                    let plan = planned.plan.unwrap();
                    let proven = guard(plan, &world.desired, &world.observed);
                    world.apply(&proven.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?);
                }
                State::Settled
                | State::Blocked(Blocker::LinkZeroNotSupported | Blocker::NoVotes) => return Ok(()),
                State::Blocked(_) => return Err(TestCaseError::fail(planned.report.sentence)),
                State::Waiting => return Err(TestCaseError::fail("not paused")),
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
