//! Stages that may stall the cluster, put between disarming and arming of high availability.
//!
//! Only where the rollout says so and a watchdog runs: what a person has disarmed by hand stays his.

use super::ground::{InForce, Member};
use super::report::{Blocker, Obstacle};
use crate::change::{Action, Course, Plan, Proposed, Risk, Stage};
use crate::desired::{DesiredCluster, HighAvailability};
use crate::ha::DISARM_SINCE;

/// So long the hosts wait for Proxmox VE: its CRM and LRMs look every 10 s each, one after the other
/// (pve.md 7), and a guest that is being migrated is waited for.
const DISARM_TIMEOUT_SECS: u32 = 120;

/// The plan with its risky stages in brackets, where high availability asks for it.
pub(super) fn bracketed(
    plan: Plan<Proposed>,
    desired: &DesiredCluster,
    ground: &InForce<'_>,
) -> Result<Plan<Proposed>, Obstacle> {
    let risky = |stage: &Stage| stage.risk > Risk::Live;
    let range = plan.stages.iter().position(risky).zip(plan.stages.iter().rposition(risky));
    let runs = ground.members.values().any(|member| member.view.ha.may_reset());
    let Some((first, last)) = range.filter(|_| runs && wanted(desired)) else {
        return Ok(plan);
    };
    ground.members.values().try_for_each(can_disarm)?;
    let before = first.checked_sub(1).and_then(|at| plan.stages.get(at));
    let config = before.map_or(&ground.conf, |stage| &stage.config).clone();
    let stage = |summary: &str, action: &Action, config| Stage {
        summary: summary.to_owned(),
        risk: Risk::Live,
        course: Course::Local,
        group: std::collections::BTreeMap::new(),
        joining: std::collections::BTreeMap::new(),
        config,
        back: None,
        actions: ground
            .members
            .values()
            .map(|member| (member.node.host.clone(), vec![action.clone()]))
            .collect(),
        probes: Vec::new(),
        limits: std::collections::BTreeMap::new(),
        confirm_timeout_secs: DISARM_TIMEOUT_SECS.max(desired.rollout.confirm_timeout_secs),
    };
    let disarm = stage("Disarm high availability", &Action::DisarmHa {}, config);
    let arm =
        stage("Arm high availability again", &Action::ArmHa {}, plan.stages[last].config.clone());
    let Plan { parent, generation, summary, mut stages, .. } = plan;
    stages.insert(last + 1, arm);
    stages.insert(first, disarm);
    Ok(Plan::proposed(parent, generation, summary, stages))
}

fn wanted(desired: &DesiredCluster) -> bool {
    match desired.rollout.high_availability {
        HighAvailability::Disarm => true,
        HighAvailability::RequireIdle => false,
    }
}

fn can_disarm(member: &Member<'_>) -> Result<(), Obstacle> {
    if member.view.can_disarm {
        return Ok(());
    }
    let sentence = format!(
        "high availability cannot be disarmed on {}: that takes pve-ha-manager {DISARM_SINCE} or newer; upgrade \
         it, or set `rollout.highAvailability: RequireIdle` and wait until every LRM is idle",
        member.node.host
    );
    Obstacle::stop(Blocker::HaCannotDisarm, sentence)
}
