//! What a plan is, for people and for programs.
//!
//! Owns the words of `plan`. Decides nothing: the planner, the guards and the rule about approval are
//! those of the operator.

use std::net::IpAddr;

use pvecm_core::approval::{Interruption, need};
use pvecm_core::change::{Parent, Risk, Stage};
use pvecm_core::conf::{Config, Document};
use pvecm_core::datacenter::{DatacenterWrite, Traffic, Transfer};
use pvecm_core::desired::{DesiredCluster, Rollout};
use pvecm_core::device::{Authority, DeviceWish, SecretView, Voter, WantedDevice};
use pvecm_core::guard::guard;
use pvecm_core::ids::Digest;
use pvecm_core::observed::{HostView, ObservedCluster};
use pvecm_core::plan::{Planned, State, plan};
use pvecm_crds::condition::reason;
use pvecm_crds::convert::InvalidSpec;
use serde::Serialize;

use crate::unified::unified;

/// What the operator does next.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The cluster.
    pub cluster: String,
    /// The reason in one word, as in the conditions.
    pub reason: String,
    /// The same in one sentence.
    pub sentence: String,
    /// Nothing is done: a blocker, a guard or the spec itself stops it.
    pub stopped: bool,
    /// What is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Shown>,
    /// What has to come first, and what comes later.
    pub waiting_for: Vec<String>,
    /// What this answer could not take into account.
    pub not_known: Vec<String>,
}

/// A plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The `PveChange`, if there is one already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The worst that it may do.
    pub risk: Risk,
    /// Why it waits for approval; absent when it begins by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Whom it interrupts.
    pub interruption: Interruption,
    /// The stage that the hosts may work on, counted from 1; 0: none.
    pub released: u32,
    /// The stages.
    pub stages: Vec<ShownStage>,
}

/// One stage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownStage {
    /// What is done.
    pub summary: String,
    /// The worst that it may do.
    pub risk: Risk,
    /// Whom it interrupts.
    pub interruption: Interruption,
    /// Seconds after which the hosts undo it unless it holds.
    pub confirm_timeout_secs: u32,
    /// `config_version` at its end.
    pub config_version: u64,
    /// The difference that it makes to corosync.conf or datacenter.cfg; empty for a stage that writes nothing.
    pub diff: String,
}

/// A plan before it is shown.
#[derive(Debug)]
pub struct Found<'a> {
    /// The `PveChange` and its released stage, if there is one already.
    pub change: Option<(String, u32)>,
    /// Somebody approved it.
    pub approved: bool,
    /// What it starts from.
    pub parent: Option<Parent>,
    /// Its stages.
    pub stages: &'a [Stage],
}

/// Asks the planner and the guards. A pause is looked past: what would be done is asked for. Into a Secret nobody
/// looks here: it is taken to hold what the operator needs.
pub fn ask(desired: &DesiredCluster, observed: &ObservedCluster) -> Answer {
    let Some((secret, address)) = external(desired) else {
        return plan_and_prove(desired, observed);
    };
    let held = SecretView::Usable(authority_in_use(address, observed));
    let observed = ObservedCluster { secret: Some(held), ..observed.clone() };
    let mut answer = plan_and_prove(desired, &observed);
    answer.not_known.push(format!(
        "what the Secret {secret} holds: it is taken to have the certificates for the QNetd at {address}"
    ));
    answer
}

/// The Secret with certificates that a spec names, and where they let nodes in.
fn external(desired: &DesiredCluster) -> Option<(&str, IpAddr)> {
    let DeviceWish::Present(WantedDevice { voter, .. }) = desired.device.as_ref()? else {
        return None;
    };
    match voter {
        Voter::External { address, secret } => Some((secret, *address)),
        Voter::Managed { .. } => None,
    }
}

/// The certificate that the Secret is taken to hold: what nodes have already that vote with that QNetd.
fn authority_in_use(address: IpAddr, observed: &ObservedCluster) -> Authority {
    let votes_there = |host: &&HostView| {
        let text = host.pmxcfs_file.as_ref().and_then(|file| file.text.as_ref());
        let config = text.and_then(|text| Config::read(&Document::parse(text.as_bytes())).ok());
        let device = config.and_then(|config| config.quorum.device);
        device.and_then(|device| device.host).is_some_and(|host| host == address.to_string())
    };
    let mut voting = observed.hosts.values().filter(votes_there);
    let held = voting.find_map(|host| host.device.certificate);
    let fingerprint = held.map_or_else(|| Digest::of(b""), |held| held.authority);
    Authority { certificate: "(that of the Secret)".to_owned(), fingerprint }
}

fn plan_and_prove(desired: &DesiredCluster, observed: &ObservedCluster) -> Answer {
    let rollout = Rollout { paused: false, ..desired.rollout.clone() };
    let awake = DesiredCluster { rollout, ..desired.clone() };
    let Planned { report, plan: proposed } = plan(&awake, observed);
    let reason = match report.state {
        State::Settled => reason::AS_WANTED,
        State::Proposing => reason::CHANGE_IN_PROGRESS,
        State::Waiting => reason::PAUSED,
        State::Reported => reason::DRIFT_REPORTED,
        State::Blocked(blocker) => blocker.reason(),
    };
    let mut answer = Answer {
        cluster: desired.name.to_string(),
        reason: reason.to_owned(),
        sentence: report.sentence,
        stopped: matches!(report.state, State::Blocked(_)),
        plan: None,
        waiting_for: report.waiting_for,
        not_known: Vec::new(),
    };
    let Some(proposed) = proposed else { return answer };
    match guard(proposed, &awake, observed) {
        Ok(proven) => {
            let (parent, stages) = (proven.parent, proven.stages.as_slice());
            let found = Found { change: None, approved: false, parent, stages };
            answer.plan = Some(Shown::of(&found, &desired.rollout, observed));
            if desired.rollout.paused {
                reason::PAUSED.clone_into(&mut answer.reason);
                answer.waiting_for.insert(0, "`rollout.paused` to end".to_owned());
            }
        }
        Err(refusal) => {
            answer.stopped = true;
            (answer.reason, answer.sentence) = (refusal.reason().to_owned(), refusal.sentence());
        }
    }
    answer
}

impl Answer {
    /// The answer for a spec that cannot be carried out whatever the hosts say.
    pub fn invalid(cluster: String, why: &InvalidSpec) -> Self {
        Self {
            cluster,
            reason: reason::INVALID_SPEC.to_owned(),
            sentence: why.to_string(),
            stopped: true,
            plan: None,
            waiting_for: Vec::new(),
            not_known: Vec::new(),
        }
    }
}

impl Shown {
    /// Brings a plan into its form, with the differences from text to text.
    pub fn of(found: &Found<'_>, rollout: &Rollout, observed: &ObservedCluster) -> Self {
        let stages = found.stages;
        let risk = Stage::worst(stages);
        let begun = found.change.as_ref().is_some_and(|(_, released)| *released > 0);
        let waits = need(risk, rollout).filter(|_| !found.approved && !begun);
        let first = match found.parent {
            None => (None, Some("")),
            Some(parent) => (Some(parent.version.0), text(parent.digest, observed)),
        };
        let befores = [first].into_iter().chain(stages.iter().map(end));
        Self {
            change: found.change.as_ref().map(|(name, _)| name.clone()),
            released: found.change.as_ref().map_or(0, |(_, released)| *released),
            risk,
            waits: waits.map(|need| need.to_string()),
            interruption: Interruption::of(stages),
            stages: befores
                .zip(stages)
                .map(|(before, stage)| ShownStage::of(before, stage, observed))
                .collect(),
        }
    }
}

impl ShownStage {
    fn of(before: Text<'_>, stage: &Stage, observed: &ObservedCluster) -> Self {
        Self {
            summary: stage.summary.clone(),
            risk: stage.risk,
            interruption: Interruption::of(std::slice::from_ref(stage)),
            confirm_timeout_secs: stage.confirm_timeout_secs,
            config_version: stage.config.version.0,
            diff: match stage.datacenter_write() {
                Some(write) => lines(write, observed),
                None => difference(before, stage),
            },
        }
    }
}

/// A text and its version: no version before there is a cluster, no text where nobody reported it.
type Text<'a> = (Option<u64>, Option<&'a str>);

/// The text of a stage's end.
fn end(stage: &Stage) -> Text<'_> {
    (Some(stage.config.version.0), Some(&stage.config.text))
}

/// The text of this digest, as far as somebody reported it.
fn text(digest: Digest, observed: &ObservedCluster) -> Option<&str> {
    let views = observed.hosts.values();
    let mut files = views.flat_map(|view| view.pmxcfs_file.iter().chain(&view.disk_file));
    files.find(|file| file.digest == digest && file.text.is_some())?.text.as_deref()
}

/// What a stage changes in the file.
fn difference((version, before): Text<'_>, stage: &Stage) -> String {
    let named = |version: Option<u64>| match version {
        Some(version) => format!("corosync.conf (version {version})"),
        None => "/dev/null".to_owned(),
    };
    let after = named(Some(stage.config.version.0));
    match before {
        Some(before) => unified((&named(version), before), (&after, &stage.config.text)),
        None => format!("the text of {} is not known here\n", named(version)),
    }
}

/// What a stage changes in datacenter.cfg, of which nobody tells but the lines that a spec manages.
fn lines(write: &DatacenterWrite, observed: &ObservedCluster) -> String {
    let mut files = observed.hosts.values().filter_map(|view| view.datacenter.as_ref());
    let Some(before) = files.find(|file| file.digest == write.parent) else {
        return "the datacenter.cfg that this starts from is no longer there\n".to_owned();
    };
    let line = |(traffic, line): (Traffic, Option<Transfer>)| match line {
        Some(line) => format!("{}: {line}\n", traffic.key()),
        None => String::new(),
    };
    let is = |traffic| (traffic, before.line(traffic).unwrap_or_default());
    let will_be = |traffic| (traffic, write.lines.get(&traffic).copied().unwrap_or(is(traffic).1));
    let old = Traffic::ALL.map(is).map(line).concat();
    let new = Traffic::ALL.map(will_be).map(line).concat();
    unified(("datacenter.cfg", &old), ("datacenter.cfg", &new))
}

/// The answer as text.
pub fn shown(answer: &Answer, diffs: bool) -> String {
    let mut out = format!("{}: {}\n", answer.cluster, answer.sentence);
    if answer.stopped {
        let name = &answer.reason;
        out.push_str(&format!("Nothing is done ({name}): kubectl pvecm explain --reason {name}\n"));
    }
    if let Some(plan) = &answer.plan {
        out.push_str(&shown_plan(plan, diffs));
    }
    let lists = [("Waits for, or later", &answer.waiting_for), ("Not known", &answer.not_known)];
    for (title, sentences) in lists {
        for sentence in sentences {
            out.push_str(&format!("{title}: {sentence}\n"));
        }
    }
    out
}

fn shown_plan(plan: &Shown, diffs: bool) -> String {
    let begins = match (&plan.waits, plan.released) {
        (Some(why), _) => format!("waits for approval: {why}"),
        (None, 0) => "begins by itself".to_owned(),
        (None, stage) => format!("stage {stage} of {} is released", plan.stages.len()),
    };
    let name = plan.change.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
    let mut out = format!("{name}risk {:?}, {begins}; {}\n", plan.risk, plan.interruption);
    for (number, stage) in (1..).zip(&plan.stages) {
        let total = plan.stages.len();
        let ShownStage { summary, risk, interruption, confirm_timeout_secs, .. } = stage;
        out.push_str(&format!(
            "\nStage {number} of {total} ({risk:?}): {summary}\n  {interruption}\n  it holds on \
             every host within {confirm_timeout_secs} s, or the hosts undo it\n"
        ));
        if diffs {
            out.push_str(&stage.diff);
        }
    }
    out
}
