//! May a change begin by itself, and what does it interrupt: all that a person has to know before he
//! agrees.
//!
//! Owns the rule that weighs a plan's risk against the rollout. Never looks at hosts: whether a plan
//! is safe is [`crate::guard`]'s business, and no approval overrules a guard.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::{Course, Risk, Stage};
use crate::desired::{Approval, MaxRisk, Rollout};
use crate::ids::HostName;

/// How long a host is without quorum while its corosync restarts: 3.7 s of 3 hosts, up to 5.7 s of 5
/// (corosync.md 6.1, rolling restart).
const RESTART_SECS: &str = "4 to 6 s";
/// How long three hosts were without quorum when all were stopped and started (corosync.md 6.1).
const OUTAGE_SECS: &str = "7 s";

/// Why a change waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The rollout lets nothing begin by itself.
    Manual,
    /// It is riskier than the rollout allows by itself.
    Above(MaxRisk),
    /// A change of this kind never begins by itself, whatever the rollout says.
    Always,
}

/// Whether a plan of this risk has to wait for a person; `None`: it begins by itself.
#[must_use]
pub fn need(risk: Risk, rollout: &Rollout) -> Option<Need> {
    match risk {
        Risk::Recovery | Risk::Dissolution => Some(Need::Always),
        Risk::Live | Risk::NodeRestart | Risk::Outage => match rollout.approval {
            Approval::Manual => Some(Need::Manual),
            Approval::Automatic => {
                let max = rollout.max_risk;
                (risk > Risk::from(max)).then_some(Need::Above(max))
            }
        },
    }
}

impl From<MaxRisk> for Risk {
    fn from(max: MaxRisk) -> Self {
        match max {
            MaxRisk::Live => Self::Live,
            MaxRisk::NodeRestart => Self::NodeRestart,
            MaxRisk::Outage => Self::Outage,
        }
    }
}

impl fmt::Display for Need {
    /// One clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => f.write_str("`rollout.approval` is Manual"),
            Self::Above(max) => write!(f, "`rollout.maxRisk` is {max:?}"),
            Self::Always => f.write_str("such a change never begins by itself"),
        }
    }
}

/// Who is interrupted by some stages, and for how long at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interruption {
    /// The worst that happens.
    pub risk: Risk,
    /// The hosts to which it happens; nobody where nothing stops.
    pub hosts: BTreeSet<HostName>,
    /// Whether corosync is started anew on them. Where it is not, a daemon that is late is thrown out.
    pub restarts: bool,
    /// Seconds after which the hosts undo a stage that takes longer; 0 where nothing stops.
    pub most_secs: u32,
}

impl Interruption {
    /// What these stages do to those who work on the cluster.
    #[must_use]
    pub fn of(stages: &[Stage]) -> Self {
        let stopping = || stages.iter().filter(|stage| stage.risk > Risk::Live);
        Self {
            risk: Stage::worst(stages),
            hosts: stopping().flat_map(stopped).cloned().collect(),
            restarts: stopping().any(|stage| stage.course == Course::Restart),
            most_secs: stopping().map(|stage| stage.confirm_timeout_secs).max().unwrap_or(0),
        }
    }
}

/// The hosts that stop in a stage: in a restart those that act, else every one.
fn stopped(stage: &Stage) -> impl Iterator<Item = &HostName> {
    let acting = stage.risk == Risk::NodeRestart && !stage.actions.is_empty();
    stage.hosts().filter(move |host| !acting || stage.actions.contains_key(*host))
}

impl fmt::Display for Interruption {
    /// One sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(HostName::as_str).collect();
        let (hosts, most) = (hosts.join(", "), self.most_secs);
        match self.risk {
            Risk::Live => f.write_str("nobody is interrupted"),
            Risk::NodeRestart if !self.restarts => write!(
                f,
                "a daemon of {hosts} that follows late is thrown out until the hosts undo it after \
                 {most} s, and the others stall for some seconds; nothing is restarted"
            ),
            Risk::NodeRestart => write!(
                f,
                "corosync restarts on {hosts}, one host at a time, each without quorum for about \
                 {RESTART_SECS} and undone after {most} s; the others keep quorum"
            ),
            Risk::Outage => write!(
                f,
                "{hosts} are all without quorum, for about {OUTAGE_SECS} and undone after {most} s"
            ),
            Risk::Recovery => write!(
                f,
                "{hosts} get quorum back alone; a host that was declared dead and runs after all \
                 would be a second cluster"
            ),
            Risk::Dissolution => write!(f, "the cluster ends: {hosts} go on without each other"),
        }
    }
}

/// What waits, why, what it interrupts, and how to let it begin. `approve` is the command.
#[must_use]
pub fn sentence(
    (name, summary): (&str, &str),
    stages: &[Stage],
    need: Need,
    approve: &str,
) -> String {
    let interruption = Interruption::of(stages);
    format!(
        "{name} waits for approval: {summary}; its risk is {:?}, and {need}; {interruption}; approve it \
         with `{approve}`",
        interruption.risk
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::change::{Action, ConfText};
    use crate::desired::{Drift, HighAvailability, Removal};
    use crate::ids::{ConfigVersion, NodeId};

    const RISKS: [Risk; 5] =
        [Risk::Live, Risk::NodeRestart, Risk::Outage, Risk::Recovery, Risk::Dissolution];

    fn rollout(approval: Approval, max_risk: MaxRisk) -> Rollout {
        Rollout {
            approval,
            max_risk,
            high_availability: HighAvailability::RequireIdle,
            confirm_timeout_secs: 30,
            drift: Drift::Correct,
            removal: Removal::default(),
            paused: false,
        }
    }

    fn host(n: u32) -> HostName {
        format!("n{n}").parse().unwrap()
    }

    fn stage(risk: Risk, acting: &[u32]) -> Stage {
        let member = |id: u32| (NodeId::try_from(id).unwrap(), host(id));
        Stage {
            summary: "a stage".to_owned(),
            risk,
            course: if risk == Risk::NodeRestart { Course::Restart } else { Course::Write },
            group: (1..=3).map(member).collect(),
            joining: BTreeMap::new(),
            config: ConfText::new(ConfigVersion(5), String::new()),
            back: None,
            actions: acting.iter().map(|n| (host(*n), vec![Action::Reload {}])).collect(),
            probes: Vec::new(),
            limits: BTreeMap::new(),
            confirm_timeout_secs: 30,
        }
    }

    #[test]
    fn what_is_riskier_than_the_rollout_allows_waits() {
        let begin = |max| {
            let rollout = rollout(Approval::Automatic, max);
            RISKS.into_iter().filter(|risk| need(*risk, &rollout).is_none()).collect::<Vec<_>>()
        };
        assert_eq!(begin(MaxRisk::Live), [Risk::Live]);
        assert_eq!(begin(MaxRisk::NodeRestart), [Risk::Live, Risk::NodeRestart]);
        assert_eq!(begin(MaxRisk::Outage), [Risk::Live, Risk::NodeRestart, Risk::Outage]);
    }

    #[test]
    fn under_manual_approval_everything_waits() {
        let rollout = rollout(Approval::Manual, MaxRisk::Outage);
        assert!(RISKS.into_iter().all(|risk| need(risk, &rollout).is_some()));
    }

    #[test]
    fn a_recovery_and_a_dissolution_wait_under_every_rollout() {
        for approval in [Approval::Automatic, Approval::Manual] {
            for max in [MaxRisk::Live, MaxRisk::NodeRestart, MaxRisk::Outage] {
                for risk in [Risk::Recovery, Risk::Dissolution] {
                    assert_eq!(need(risk, &rollout(approval, max)), Some(Need::Always));
                }
            }
        }
    }

    #[test]
    fn only_hosts_that_stop_are_interrupted() {
        let stages = [stage(Risk::Live, &[]), stage(Risk::NodeRestart, &[2])];
        let seen = Interruption::of(&stages);
        assert_eq!((seen.risk, seen.hosts.len(), seen.most_secs), (Risk::NodeRestart, 1, 30));
        assert!(seen.hosts.contains(&host(2)) && seen.restarts);
        assert_eq!(Interruption::of(&[stage(Risk::Outage, &[2])]).hosts.len(), 3);
        let live = Interruption::of(&stages[..1]);
        assert_eq!((live.hosts.len(), live.to_string()), (0, "nobody is interrupted".to_owned()));
    }

    #[test]
    fn new_encryption_restarts_nothing_and_may_leave_a_host_behind() {
        let seen =
            Interruption::of(&[Stage { course: Course::Write, ..stage(Risk::NodeRestart, &[]) }]);
        assert_eq!((seen.hosts.len(), seen.restarts), (3, false));
        let wanted = "a daemon of n1, n2, n3 that follows late is thrown out until the hosts undo it \
                      after 30 s, and the others stall for some seconds; nothing is restarted";
        assert_eq!(seen.to_string(), wanted);
    }

    #[test]
    fn the_sentence_says_what_waits_why_who_is_interrupted_and_how_to_go_on() {
        let stages = [stage(Risk::NodeRestart, &[1]), stage(Risk::NodeRestart, &[2])];
        let why = Need::Above(MaxRisk::Live);
        let said = sentence(("prod-7", "Change the link mode"), &stages, why, "approve prod-7");
        let wanted = "prod-7 waits for approval: Change the link mode; its risk is NodeRestart, and \
                      `rollout.maxRisk` is Live; corosync restarts on n1, n2, one host at a time, \
                      each without quorum for about 4 to 6 s and undone after 30 s; the others keep \
                      quorum; approve it with `approve prod-7`";
        assert_eq!(said, wanted);
    }
}
