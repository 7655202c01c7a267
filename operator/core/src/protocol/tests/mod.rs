mod bench;
mod cut_off;
mod exchange;
mod outage;
mod recovery;
mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Attempt, Effect, Event, InForce, Machine, Outcome, Setup, View};
use crate::change::Course;
use crate::ids::{ChangeNumber, NodeId};

/// Runs a group without faults until nobody has anything to do; time then jumps past the deadline.
fn run(hosts: u32, holds: bool) -> Vec<Outcome> {
    let group: BTreeSet<NodeId> = (1..=hosts).map(|id| NodeId::try_from(id).unwrap()).collect();
    let view =
        View { quorate: true, writable: true, members: group.clone(), agents: group.clone() };
    let attempt = Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 };
    let mut machines = Vec::new();
    let mut todo = VecDeque::new();
    for me in &group {
        let (machine, effects) = Machine::new(
            Setup {
                me: *me,
                attempt,
                course: Course::Write,
                group: group.clone(),
                joining: BTreeSet::new(),
                names: BTreeMap::new(),
                has_back: true,
                confirm_timeout_ms: 30_000,
                in_force: InForce::Parent,
                keys: None,
                runs: InForce::Parent,
                recovered: None,
            },
            0,
        );
        todo.push_back((machines.len(), Event::View(view.clone())));
        todo.extend(effects.iter().map(|_checks| (machines.len(), Event::Checks(Ok(())))));
        machines.push(machine);
    }
    let all = 0..machines.len();
    let mut outcomes = Vec::new();
    for now in [0, 30_000, 32_000] {
        todo.extend(all.clone().map(|at| (at, Event::Tick)));
        while let Some((at, event)) = todo.pop_front() {
            for effect in machines[at].on(event, now) {
                match effect {
                    Effect::Send(m) => {
                        todo.extend(all.clone().map(|to| (to, Event::Delivered(m.clone()))));
                    }
                    Effect::Write => {
                        todo.push_back((at, Event::Written(Ok(()))));
                        todo.extend(all.clone().map(|to| (to, Event::InForce(InForce::New))));
                        let result = if holds { Ok(()) } else { Err("link 1".to_owned()) };
                        todo.extend(all.clone().map(|to| (to, Event::Probes(result.clone()))));
                    }
                    Effect::WriteBack { .. } => {
                        todo.push_back((at, Event::WrittenBack(Ok(InForce::Back))));
                        todo.extend(all.clone().map(|to| (to, Event::InForce(InForce::Back))));
                    }
                    Effect::Done(outcome) => outcomes.push(outcome),
                    _other => {}
                }
            }
        }
    }
    outcomes
}

#[test]
fn a_stage_that_holds_everywhere_is_confirmed_by_every_host() {
    for hosts in 1..=5 {
        assert_eq!(run(hosts, true), vec![Outcome::Confirmed; hosts as usize]);
    }
}

#[test]
fn a_stage_that_does_not_hold_is_rolled_back_by_every_host() {
    for hosts in 1..=5 {
        let outcomes = run(hosts, false);
        assert_eq!(outcomes.len(), hosts as usize);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::RolledBack(_))));
    }
}
