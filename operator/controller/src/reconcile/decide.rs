//! What a pass comes to: where the cluster stands, and the one effect that is due.
//!
//! Pure. It puts drive, validation, planner and guards in their order: a change that has begun comes
//! first, whatever became of the spec; then the claims on hosts; then what the planner says.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::ResourceExt;
use pvecm_core::approval::{self, Need, need};
use pvecm_core::change::{Plan, Proven, Stage};
use pvecm_core::desired::DesiredCluster;
use pvecm_core::guard::{Refusal, guard};
use pvecm_core::ids::HostName;
use pvecm_core::leaving::is_listed;
use pvecm_core::observed::{Claim, HostView};
use pvecm_core::plan::{Blocker, Class, Planned, State, plan};
use pvecm_crds::PveChange;
use pvecm_crds::change::Outcome;
use pvecm_crds::condition::reason;
use pvecm_crds::convert::{self, stated_limits};

use super::drive::{Ending, Next, OpenChange, Standing, drive};
use super::observe::{Observation, of_cluster};
use super::passed::{self, Passed};
use super::{IN_FLIGHT, certificates, dissolution, elsewhere, namesakes, reservation};

/// Changes that are kept per cluster.
const KEPT: usize = 20;
/// How often in a row a generation may fail.
const TRIES: usize = 3;
/// How long to wait after the first and the second failure.
const DELAYS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// When to look again after hosts were let go: news of theirs wake their cluster no more, and its status says the
/// old thing until then.
const WITHOUT_THEM: Duration = Duration::from_secs(1);

/// One effect.
#[derive(Debug)]
pub enum Effect {
    /// Claim these hosts, or name another text to those that are claimed.
    Claim(Vec<HostName>),
    /// Give up the claim on these hosts.
    LetGo(Vec<HostName>),
    /// Put the cluster's entry in at a witness, or take it away there.
    Serve(reservation::Due),
    /// Create the change.
    Create(Box<Plan<Proven>>),
    /// Set what is on its way from host to host.
    PassOn(Passed),
    /// Pass on how far each host got: one of them cannot hear the others.
    Tell,
    /// Let the hosts begin this stage of the open change.
    Release(u32),
    /// Write the open change's outcome.
    Finish(Ending, String),
    /// Hold the cluster's object until its hosts are separated, or let it go.
    HoldCluster(bool),
    /// Take the finalizer from this change, which has its outcome.
    Unhold(String),
    /// Delete this change: more than enough newer ones are kept.
    Forget(String),
}

/// Where the cluster stands, for its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// All is as wanted, as far as the planner sees.
    Settled,
    /// Work goes on.
    Working,
    /// Somebody has yet to report.
    Waiting,
    /// Nothing new is started, because the user says so.
    Paused,
    /// A person is needed.
    Stalled,
}

/// What a pass comes to.
#[derive(Debug)]
pub struct Verdict {
    /// Where the cluster stands.
    pub stand: Stand,
    /// The reason in one word.
    pub reason: String,
    /// The same in one sentence.
    pub sentence: String,
    /// What else has to come first or later.
    pub waiting: Vec<String>,
    /// What is to be done now.
    pub effect: Option<Effect>,
    /// When to look again without being asked.
    pub again: Option<Duration>,
}

impl Verdict {
    /// A verdict without an effect.
    pub fn new(stand: Stand, reason: impl Into<String>, sentence: impl Into<String>) -> Self {
        let (reason, sentence) = (reason.into(), sentence.into());
        Self { stand, reason, sentence, waiting: Vec::new(), effect: None, again: None }
    }

    fn with(self, effect: Effect) -> Self {
        Self { effect: Some(effect), ..self }
    }
}

/// Decides what is to be done for a cluster.
#[must_use]
pub fn decide(seen: &Observation) -> Verdict {
    let mut verdict = standing(seen);
    if let Some(held) = dissolution::hold(seen) {
        verdict.effect = Some(Effect::HoldCluster(held));
    }
    if verdict.effect.is_none() {
        verdict.effect = tidy(seen);
    }
    if matches!(verdict.effect, Some(Effect::LetGo(_))) {
        verdict.again = Some(WITHOUT_THEM);
    }
    verdict
}

fn standing(seen: &Observation) -> Verdict {
    let desired = seen.cluster.as_deref().map(convert::desired);
    if let Some((change, object)) = &seen.open {
        let desired = desired.as_ref().and_then(|desired| desired.as_ref().ok());
        return open_change(seen, (change, object), desired);
    }
    match desired {
        None => Verdict::new(Stand::Settled, reason::AS_WANTED, "the cluster's object is gone"),
        Some(Ok(desired)) => match namesake(seen) {
            Some(refused) => refused,
            None => next_change(seen, &desired),
        },
        Some(Err(why)) => Verdict::new(Stand::Stalled, reason::INVALID_SPEC, why.to_string()),
    }
}

/// That the cluster's name is another one's.
fn namesake(seen: &Observation) -> Option<Verdict> {
    let (cluster, first) = (seen.cluster.as_deref()?, seen.namesake.as_deref()?);
    let sentence = namesakes::sentence(cluster, first);
    Some(Verdict::new(Stand::Stalled, reason::NAME_TAKEN, sentence))
}

/// What the planner says, and what the guards say of it.
fn next_change(seen: &Observation, desired: &DesiredCluster) -> Verdict {
    let Planned { report, plan: proposed } = plan(desired, &seen.view);
    let (stand, reason) = match report.state {
        State::Settled => (Stand::Settled, reason::AS_WANTED),
        State::Proposing => (Stand::Working, reason::CHANGE_IN_PROGRESS),
        State::Waiting => (Stand::Paused, reason::PAUSED),
        State::Reported => (Stand::Paused, reason::DRIFT_REPORTED),
        State::Blocked(blocker) => match blocker.class() {
            Class::Waiting => (Stand::Waiting, blocker.reason()),
            Class::Blocked | Class::Invalid => (Stand::Stalled, blocker.reason()),
        },
    };
    let mut verdict = Verdict::new(stand, reason, report.sentence);
    verdict.waiting = report.waiting_for;
    let unclaimed = unclaimed(seen);
    if !unclaimed.is_empty() && !desired.rollout.paused {
        return verdict.with(Effect::Claim(unclaimed));
    }
    if let Some(due) = reservation::due(seen).filter(|_| !desired.rollout.paused) {
        return verdict.with(Effect::Serve(due));
    }
    let Some(proposed) = proposed else { return verdict };
    if let Some(held) = held_back(seen) {
        return held;
    }
    match guard(proposed, desired, &seen.view) {
        Ok(proven) => verdict.with(Effect::Create(Box::new(proven))),
        Err(refusal) => refused(&refusal),
    }
}

/// What an open change asks for.
fn open_change(
    seen: &Observation,
    (change, object): (&OpenChange, &PveChange),
    desired: Option<&DesiredCluster>,
) -> Verdict {
    let paused = seen.cluster.as_ref().is_some_and(|cluster| cluster.spec.rollout.paused);
    let generation = seen.cluster.as_ref().and_then(|cluster| cluster.metadata.generation);
    if let Some(due) = passed::due(change, object, seen) {
        return working(object.spec.plan.summary.clone()).with(Effect::PassOn(due));
    }
    let hosts = &seen.view.hosts;
    // A spec that is not understood allows nothing by itself.
    let allowed = |desired: &DesiredCluster| need(Stage::worst(&change.stages), &desired.rollout);
    let need = desired.map_or(Some(Need::Always), allowed);
    let awaited = certificates::awaited(change, seen);
    let awaits = awaited.as_ref();
    match drive(change, Standing { hosts, generation, paused, need, awaits }) {
        Next::Release(1) => begin(seen, (change, object), desired),
        Next::Release(stage) => release(change, stage),
        Next::Finish(ending, why) => working(why.clone()).with(Effect::Finish(ending, why)),
        Next::Ask(need) => {
            let namespace = &seen.key.namespace;
            let approve = format!("kubectl pvecm approve {} -n {namespace}", change.name);
            let what = (change.name.as_str(), object.spec.plan.summary.as_str());
            let sentence = approval::sentence(what, &change.stages, need, &approve);
            Verdict::new(Stand::Waiting, reason::WAITING_FOR_APPROVAL, sentence)
        }
        Next::WaitForWitness(why) => match awaits.and_then(|awaited| awaited.stalls) {
            Some(blocker) => Verdict::new(Stand::Stalled, blocker.reason(), why),
            None => Verdict::new(Stand::Waiting, reason::WAITING_FOR_HOST, why),
        },
        Next::Wait(why) if paused && change.released == 0 => {
            Verdict::new(Stand::Paused, reason::PAUSED, why)
        }
        Next::Wait(why) if elsewhere::due(change, object, hosts) => {
            waiting(change, hosts, why).with(Effect::Tell)
        }
        Next::Wait(why) => waiting(change, hosts, why),
    }
}

fn waiting(change: &OpenChange, hosts: &BTreeMap<HostName, HostView>, why: String) -> Verdict {
    let unheard = change.stages.iter().flat_map(Stage::hosts);
    let unheard = unheard.filter_map(|host| hosts.get(host)).any(|host| !host.connected);
    if unheard {
        // Design: one host unreachable when a change is wanted is a stall that names it.
        Verdict::new(Stand::Stalled, Blocker::HostNotConnected.reason(), why)
    } else {
        Verdict::new(Stand::Waiting, reason::WAITING_FOR_HOST, why)
    }
}

fn working(sentence: String) -> Verdict {
    Verdict::new(Stand::Working, reason::CHANGE_IN_PROGRESS, sentence)
}

fn release(change: &OpenChange, stage: u32) -> Verdict {
    let index = usize::try_from(stage).unwrap_or(usize::MAX).saturating_sub(1);
    let summary = change.stages.get(index).map(|stage| stage.summary.clone());
    working(summary.unwrap_or_default()).with(Effect::Release(stage))
}

/// The first release, after the guards have looked at the plan once more: since it was made it may
/// have waited for approval for days, and a link that was to carry may be down by now.
fn begin(
    seen: &Observation,
    (change, object): (&OpenChange, &PveChange),
    desired: Option<&DesiredCluster>,
) -> Verdict {
    let Some(desired) = desired else {
        let why = "the spec changed before it began".to_owned();
        return working(why.clone()).with(Effect::Finish(Ending::Superseded, why));
    };
    let OpenChange { parent, generation, stages, .. } = change;
    let summary = object.spec.plan.summary.clone();
    let again = Plan::proposed(*parent, *generation, summary, stages.clone());
    match guard(again, desired, &seen.view) {
        Ok(_) => release(change, 1),
        Err(refusal) if refusal.may_pass() => refused(&refusal),
        Err(refusal) => {
            let why = format!("no longer safe when it was to begin: {refusal}");
            working(why.clone()).with(Effect::Finish(Ending::Superseded, why))
        }
    }
}

/// Hosts that nobody has claimed, and our own ones that should leave another text out. A cluster that ends
/// claims nobody.
fn unclaimed(seen: &Observation) -> Vec<HostName> {
    let ends = dissolution::ends(seen);
    let due = seen.view.hosts.iter().filter(|(name, view)| match view.claim {
        Claim::Free => !ends,
        Claim::Other(_) => false,
        Claim::Ours => {
            let status = seen.hosts.get(*name).and_then(|host| host.status.as_ref());
            let claim = status.and_then(|status| status.cluster.as_ref());
            let named = claim.and_then(|claim| claim.config_digest.as_ref());
            let told = claim.map(|claim| &claim.limits);
            let limits = seen.cluster.as_ref().map(|cluster| stated_limits(&cluster.spec));
            seen.known_digest.is_some() && named != seen.known_digest.as_ref()
                || limits.is_some() && told != limits.as_ref()
        }
    });
    due.map(|(name, _)| name.clone()).collect()
}

/// Whether this generation has failed too often, or too recently, to be tried again now.
fn held_back(seen: &Observation) -> Option<Verdict> {
    let cluster = seen.cluster.as_ref()?;
    let (uid, generation) = (cluster.uid(), cluster.metadata.generation);
    let ours = |change: &&PveChange| {
        of_cluster(change, uid.as_deref()) && Some(change.spec.plan.generation) == generation
    };
    let newest_first = seen.changes.iter().rev().map(AsRef::as_ref).filter(ours);
    let failures: Vec<&PveChange> = newest_first
        .filter(|change| change.outcome() != Some(Outcome::Superseded))
        .take_while(|change| change.outcome() != Some(Outcome::Succeeded))
        .collect();
    let last = failures.first()?;
    let why = last.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default();
    let name = last.name_any();
    if last.outcome() == Some(Outcome::Failed) {
        let sentence = format!(
            "{name} failed: {why}; it is tried again when the spec changes or {name} is deleted"
        );
        return Some(Verdict::new(Stand::Stalled, reason::FAILED, sentence));
    }
    let Some(delay) = DELAYS.get(failures.len() - 1).filter(|_| failures.len() < TRIES) else {
        let sentence = format!("undone {} times, the last time: {why}", failures.len());
        return Some(Verdict::new(Stand::Stalled, reason::ROLLED_BACK, sentence));
    };
    let left = delay.checked_sub(seen.outcome_age).filter(|left| !left.is_zero())?;
    let sentence =
        format!("{name} was undone ({why}); it is tried again {} s later", delay.as_secs());
    let mut verdict = Verdict::new(Stand::Waiting, reason::ROLLED_BACK, sentence);
    verdict.again = Some(left);
    Some(verdict)
}

fn refused(refusal: &Refusal) -> Verdict {
    Verdict::new(Stand::Stalled, refusal.reason(), refusal.sentence())
}

/// Hosts that the spec does not name, that have nothing of a cluster and that no list has: they may join
/// another one. Until then the claim is the record that a host may be removed from this one.
fn no_longer_ours(seen: &Observation) -> Vec<HostName> {
    let Some(cluster) = seen.cluster.as_ref().filter(|_| seen.open.is_none()) else {
        return Vec::new();
    };
    let named = |name: &HostName| {
        !dissolution::ends(seen) && cluster.spec.nodes.iter().any(|n| n.host() == name.as_str())
    };
    let free = seen.view.hosts.iter().filter(|(name, view)| {
        view.claim == Claim::Ours && view.connected && view.is_empty() && !named(name)
    });
    let free = free.filter(|(_, view)| !is_listed(&seen.view, &view.hostname));
    free.map(|(name, _)| name.clone()).collect()
}

/// Whether an entry at a witness may be written whatever the planner says: where it goes, and where an open
/// change of this cluster has requests to be signed.
fn is_for_now(due: &reservation::Due, seen: &Observation) -> bool {
    let paused = seen.cluster.as_ref().is_none_or(|cluster| cluster.spec.rollout.paused);
    due.entry.is_none() || seen.open.is_some() && !paused
}

/// What is left to clear away behind changes that ended.
fn tidy(seen: &Observation) -> Option<Effect> {
    let ended = |change: &&PveChange| change.outcome().is_some();
    let held = |change: &PveChange| change.finalizers().iter().any(|name| name == IN_FLIGHT);
    let mut all = seen.changes.iter().map(AsRef::as_ref).filter(ended);
    if let Some(change) = all.find(|change| held(change)) {
        return Some(Effect::Unhold(change.name_any()));
    }
    let free = no_longer_ours(seen);
    if !free.is_empty() {
        return Some(Effect::LetGo(free));
    }
    if let Some(due) = reservation::due(seen).filter(|due| is_for_now(due, seen)) {
        return Some(Effect::Serve(due));
    }
    let oldest = seen.changes.first().filter(|_| seen.changes.len() > KEPT)?;
    (oldest.outcome().is_some() && oldest.metadata.deletion_timestamp.is_none())
        .then(|| Effect::Forget(oldest.name_any()))
}
