//! What becomes of an open change now: release its next stage, end it, or wait for somebody.
//!
//! Pure. It takes the hosts' word for a stage only together with what they see: exit codes and
//! announcements are not evidence (a reload command says nothing of other nodes). It never skips a
//! stage and never takes a release back; what is released ends on the hosts, with or without us.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use pvecm_core::approval::Need;
use pvecm_core::change::{Action, ConfText, Course, Parent, Risk, Stage, StageResult};
use pvecm_core::guard::Refusal;
use pvecm_core::ha::HaState;
use pvecm_core::ids::{ChangeNumber, Digest, HostName};
use pvecm_core::observed::{AppliedStage, Claim, HostView};

use super::certificates::Awaited;

/// A change without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChange {
    /// Name of the object.
    pub name: String,
    /// Its number.
    pub number: ChangeNumber,
    /// Of its plan, as the hosts make it.
    pub digest: Digest,
    /// What it starts from.
    pub parent: Option<Parent>,
    /// Generation of the spec that asked for it.
    pub generation: i64,
    /// A person has approved it.
    pub approved: bool,
    /// Its stages, in order. Never empty.
    pub stages: Vec<Stage>,
    /// The highest released stage, counted from 1; 0 before the first.
    pub released: u32,
    /// Its object, or its cluster, is being deleted.
    pub ending: bool,
}

impl OpenChange {
    /// Whether a host speaks of this very change.
    pub(super) fn is_of(&self, applied: &AppliedStage) -> bool {
        applied.change == self.number && applied.digest == self.digest
    }
}

/// What stands around a change.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The hosts as they are.
    pub hosts: &'a BTreeMap<HostName, HostView>,
    /// The spec's generation; `None`: the cluster's object is gone.
    pub generation: Option<i64>,
    /// Nothing new may start.
    pub paused: bool,
    /// Why the change needs a person's approval; `None`: it needs none.
    pub need: Option<Need>,
    /// What a witness has yet to do before the next stage; `None`: nothing.
    pub awaits: Option<&'a Awaited>,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every stage is in force.
    Succeeded,
    /// A stage was undone or not begun; the stages before it are in force.
    RolledBack,
    /// It ended at a boundary between stages because its reason went away.
    Superseded,
    /// A stage is neither in force nor undone.
    Failed,
}

impl Ending {
    /// Whether this is what a person has to hear of, rather than the other.
    fn is_worse_than(self, other: Self) -> bool {
        let rank = |ending| match ending {
            Self::Succeeded | Self::Superseded => 0,
            Self::RolledBack => 1,
            Self::Failed => 2,
        };
        rank(self) > rank(other)
    }
}

/// What is to be done about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Let the hosts begin this stage, counted from 1.
    Release(u32),
    /// Write the outcome, with its reason.
    Finish(Ending, String),
    /// Nothing until a person approves it.
    Ask(Need),
    /// Nothing now, because of this.
    Wait(String),
    /// Nothing until a witness has done this.
    WaitForWitness(String),
}

/// Decides what becomes of an open change.
#[must_use]
pub fn drive(change: &OpenChange, standing: Standing<'_>) -> Next {
    if was_released_further(change, standing.hosts) {
        return Next::Release(change.released + 1);
    }
    match current_stage(change) {
        None => before(change, standing),
        Some(stage) => match progress(change, stage, standing.hosts) {
            Progress::Held => at_boundary(change, standing),
            Progress::Ended(ending, sentence) => {
                Next::Finish(ending, format!("{}: {sentence}", place(change)))
            }
            Progress::Running(sentence) => Next::Wait(format!("{}: {sentence}", place(change))),
        },
    }
}

/// That a host has begun a later stage than the released one: the API server was restored from a backup,
/// and has forgotten a release. Without it this stage would be waited for without end.
fn was_released_further(change: &OpenChange, hosts: &BTreeMap<HostName, HostView>) -> bool {
    let of = |view: &HostView| {
        let applied = view.applied.as_ref().filter(|applied| change.is_of(applied))?;
        Some(applied.stage)
    };
    let furthest = hosts.values().filter_map(of).max();
    next_stage(change).is_some() && furthest.is_some_and(|stage| stage > change.released)
}

/// `stage 2 of 5`.
fn place(change: &OpenChange) -> String {
    format!("stage {} of {}", change.released, change.stages.len())
}

/// The released stage that is worked on.
pub(super) fn current_stage(change: &OpenChange) -> Option<&Stage> {
    let index = usize::try_from(change.released).ok()?.checked_sub(1)?;
    change.stages.get(index)
}

/// The stage after the released one.
fn next_stage(change: &OpenChange) -> Option<&Stage> {
    change.stages.get(usize::try_from(change.released).ok()?)
}

/// Nothing is released yet: begin, or drop a change whose reason is gone.
fn before(change: &OpenChange, standing: Standing<'_>) -> Next {
    let superseded = |why: &str| Next::Finish(Ending::Superseded, why.to_owned());
    if change.ending || standing.generation.is_none() {
        return superseded("deleted before it began");
    }
    if standing.generation != Some(change.generation) {
        return superseded("the spec changed before it began");
    }
    let parent = change.parent.map(|parent| parent.digest);
    let Some(need) = standing.need.filter(|_| !change.approved) else {
        return step(change, standing, parent);
    };
    match outdated(change, standing.hosts, parent) {
        Some(why) => superseded(why),
        None => Next::Ask(need),
    }
}

/// A stage is in force everywhere: go on, or end here.
fn at_boundary(change: &OpenChange, standing: Standing<'_>) -> Next {
    if next_stage(change).is_none() {
        return Next::Finish(Ending::Succeeded, "in force on every host".to_owned());
    }
    if change.ending || standing.generation.is_none() {
        return Next::Finish(Ending::Superseded, format!("deleted after {}", place(change)));
    }
    let in_force = current_stage(change).map(|stage| stage.config.digest);
    step(change, standing, in_force)
}

/// Releases the next stage if every host that it concerns is ready for it.
fn step(change: &OpenChange, standing: Standing<'_>, parent: Option<Digest>) -> Next {
    let Some(stage) = next_stage(change) else {
        return Next::Finish(Ending::Failed, "it has no stages".to_owned());
    };
    if let Some(why) = outdated(change, standing.hosts, parent) {
        return Next::Finish(Ending::Superseded, why.to_owned());
    }
    let edited = standing.generation != Some(change.generation);
    if let Some(why) = standing.awaits.and_then(|awaited| awaited.given_up(edited)) {
        return Next::Finish(Ending::Superseded, why);
    }
    if standing.paused {
        return Next::Wait(format!("stage {} waits: paused", change.released + 1));
    }
    let hosts: BTreeSet<_> = stage.hosts().collect();
    let unready = hosts
        .into_iter()
        .find_map(|host| unready(host, stage, standing.hosts.get(host), parent))
        .or_else(|| may_reset(change, stage, standing.hosts));
    match unready {
        Some(why) => Next::Wait(format!("stage {} waits: {why}", change.released + 1)),
        None => match standing.awaits {
            Some(Awaited { why, .. }) => {
                Next::WaitForWitness(format!("stage {} waits: {why}", change.released + 1))
            }
            None => Next::Release(change.released + 1),
        },
    }
}

/// That a watchdog runs on a host which a later stage may stall: guests came under high availability since
/// the change began. The first stage is held back by the guards, which look at the whole plan.
fn may_reset(
    change: &OpenChange,
    stage: &Stage,
    hosts: &BTreeMap<HostName, HostView>,
) -> Option<String> {
    // Of a recovery the guards say why not, and without its next stage quorum is lost again.
    let recovers = stage.risk == Risk::Recovery;
    let exposed = change.released > 0 && stage.risk > Risk::Live && !recovers;
    let resets = |host: &&HostName| hosts.get(*host).is_some_and(|view| view.ha.may_reset());
    let host = stage.hosts().filter(|_| exposed).find(resets)?;
    Some(Refusal::HaActive { host: host.clone() }.to_string())
}

/// Why a host cannot take part in a stage now.
fn unready(
    host: &HostName,
    stage: &Stage,
    view: Option<&HostView>,
    parent: Option<Digest>,
) -> Option<String> {
    let Some(view) = view else { return Some(format!("there is no PveHost {host}")) };
    if !view.connected {
        return Some(format!("the agent on {host} is not heard"));
    }
    match &view.claim {
        Claim::Ours => {}
        Claim::Free => return Some(format!("{host} has not been claimed yet")),
        Claim::Other(other) => return Some(format!("{host} obeys the cluster {other}")),
    }
    if view.paused {
        return Some(format!("{host} is paused"));
    }
    // Compare-and-set for the whole cluster: a stage is made for one text and no other.
    let parent = parent.filter(|_| stage.group.values().any(|member| member == host))?;
    let differs = [&view.pmxcfs_file, &view.disk_file]
        .into_iter()
        .any(|file| file.as_ref().map(|file| file.digest) != Some(parent));
    differs.then(|| format!("{host} has another corosync.conf than this stage was made for"))
}

/// Why the next stage is for a world that is no more. A change may wait for days for its approval:
/// what was true when it was made is not when it begins.
fn outdated(
    change: &OpenChange,
    hosts: &BTreeMap<HostName, HostView>,
    parent: Option<Digest>,
) -> Option<&'static str> {
    let stage = next_stage(change)?;
    // What is approved while one of the dead runs does not begin by itself when that one is off again.
    let released = usize::try_from(change.released).unwrap_or(usize::MAX);
    let mut rest = change.stages.iter().skip(released);
    if let Some(why) = rest.find_map(|stage| drops_the_living(stage, hosts)) {
        return Some(why);
    }
    if was_armed_again(change, stage, hosts) {
        return Some("high availability, disarmed for this change, was armed again meanwhile");
    }
    let occupied = |view: &HostView| {
        view.connected && (view.pmxcfs_file.is_some() || view.disk_file.is_some())
    };
    match parent {
        Some(parent) => replaced(stage, hosts, parent)
            .then_some("another corosync.conf is in force on every host than this was made for"),
        None => stage
            .hosts()
            .filter_map(|host| hosts.get(host))
            .any(occupied)
            .then_some("a cluster was made meanwhile on a host that was to form one"),
    }
}

/// Why a node that a stage takes off the list as a dead one is not dead any more: a later stage is not looked at
/// by the guards, and its machine may have been switched on since the first.
fn drops_the_living(stage: &Stage, hosts: &BTreeMap<HostName, HostView>) -> Option<&'static str> {
    let dead = stage.actions.values().flatten().filter_map(|action| match action {
        Action::Bury(gone) if gone.keeps_key.is_some() => Some(gone.name.as_str()),
        _other => None,
    });
    let views = dead.filter_map(|name| hosts.values().find(|view| view.hostname == name));
    let why = |view: &HostView| match (view.connected, view.declared_dead()) {
        (true, _) => Some("a machine that was declared dead is heard"),
        (false, None) => Some("a machine is no longer declared dead"),
        (false, Some(_)) => None,
    };
    views.into_iter().find_map(why)
}

/// Whether the brackets around a stage are gone: the operator was away for longer than the hosts wait, or
/// a person armed it. Only a new change disarms it again. A host whose files cannot be read for a moment is
/// waited for instead.
fn was_armed_again(
    change: &OpenChange,
    stage: &Stage,
    hosts: &BTreeMap<HostName, HostView>,
) -> bool {
    let released = usize::try_from(change.released).unwrap_or(usize::MAX);
    let is_active = |host: &HostName| {
        hosts.get(host).is_some_and(|view| view.connected && view.ha == HaState::Active)
    };
    stage.risk > Risk::Live
        && Stage::disarmed_by(change.stages.iter().take(released))
        && stage.hosts().any(is_active)
}

/// Whether every member of a stage, and all in the same way, is past the text that it was made for:
/// a person was faster. A single host that differs is a disagreement, which is waited out instead.
fn replaced(stage: &Stage, hosts: &BTreeMap<HostName, HostView>, parent: Digest) -> bool {
    let in_force = |host: &HostName| -> Option<Digest> {
        let view = hosts.get(host).filter(|view| view.connected)?;
        Some(view.pmxcfs_file.as_ref()?.digest)
    };
    let found: BTreeSet<_> = stage.group.values().map(in_force).collect();
    match found.first() {
        Some(Some(digest)) => found.len() == 1 && *digest != parent,
        Some(None) | None => false,
    }
}

/// Where the hosts are with the released stage.
enum Progress {
    Held,
    Ended(Ending, String),
    Running(String),
}

/// What one host says of the released stage.
fn result(change: &OpenChange, view: &HostView) -> Option<StageResult> {
    let applied = view.applied.as_ref()?;
    let same = change.is_of(applied) && applied.stage == change.released;
    same.then_some(applied.result)
}

/// Weighs what the hosts say of the released stage.
fn progress(change: &OpenChange, stage: &Stage, hosts: &BTreeMap<HostName, HostView>) -> Progress {
    let mut ended: Option<(Ending, String)> = None;
    let mut running = None;
    let mut silent = None;
    // All have confirmed it, and a person was faster than this look: it will never be seen.
    let past = stage.course != Course::Local && replaced(stage, hosts, stage.config.digest);
    for host in stage.hosts().collect::<BTreeSet<_>>() {
        match word(change, stage, (host, hosts.get(host))) {
            Word::Seen => {}
            Word::Unseen(_) if past => {}
            Word::Unseen(why) | Word::Working(why) => {
                running.get_or_insert(why);
            }
            Word::Silent(why) => {
                silent.get_or_insert(why);
            }
            Word::Ended(ending, why) => {
                if ended.as_ref().is_none_or(|(so_far, _)| ending.is_worse_than(*so_far)) {
                    ended = Some((ending, why));
                }
            }
        }
    }
    // An end is written only when no host that is heard is still at work: the next plan must not
    // meet a host that is about to write.
    match (ended, running, silent) {
        (_, Some(busy), _) => Progress::Running(busy),
        (Some((ending, sentence)), None, _) => Progress::Ended(ending, sentence),
        (None, None, Some(silent)) => Progress::Running(silent),
        (None, None, None) if past => {
            let why = "every host confirmed it, and has another corosync.conf since then";
            Progress::Ended(Ending::Superseded, why.to_owned())
        }
        (None, None, None) => Progress::Held,
    }
}

/// What one host's word on the released stage comes to.
enum Word {
    /// Confirmed, and it shows.
    Seen,
    /// Confirmed, and this does not show yet.
    Unseen(String),
    Working(String),
    Silent(String),
    Ended(Ending, String),
}

fn word(change: &OpenChange, stage: &Stage, (host, view): (&HostName, Option<&HostView>)) -> Word {
    let Some(view) = view else { return Word::Silent(format!("there is no PveHost {host}")) };
    let ending = match result(change, view) {
        Some(StageResult::Confirmed) => {
            return unseen(host, stage, view).map_or(Word::Seen, Word::Unseen);
        }
        Some(StageResult::Prepared | StageResult::Acting) if view.connected => {
            return Word::Working(format!("{host} is working on it"));
        }
        Some(StageResult::Prepared | StageResult::Acting) | None => {
            return outgrown(change, host, view).map_or_else(
                || Word::Silent(silence(host, view)),
                |why| Word::Ended(Ending::Superseded, why),
            );
        }
        Some(StageResult::RolledBack | StageResult::Refused) => Ending::RolledBack,
        Some(StageResult::Failed) => Ending::Failed,
    };
    let said = view.applied.as_ref().map_or("", |applied| applied.message.as_str());
    // What the group ended together names the host that it is about.
    let named = stage.hosts().any(|host| said.starts_with(host.as_str()));
    Word::Ended(ending, if named { said.to_owned() } else { format!("{host}: {said}") })
}

/// That a host has obeyed a newer change, or another one under this number: it never goes back, and this
/// one, made from an API server that was restored from a backup, would be waited for without end.
fn outgrown(change: &OpenChange, host: &HostName, view: &HostView) -> Option<String> {
    let applied = view.applied.as_ref()?;
    let newest = applied.change.0;
    match applied.change.cmp(&change.number) {
        Ordering::Less => None,
        Ordering::Equal => (applied.digest != change.digest).then(|| {
            format!("{host} has obeyed another change {newest} before the API server was restored")
        }),
        Ordering::Greater => {
            Some(format!("{host} has obeyed change {newest} already, and obeys no older one"))
        }
    }
}

fn silence(host: &HostName, view: &HostView) -> String {
    if view.connected {
        format!("{host} has not reported yet")
    } else {
        format!("the agent on {host} is not heard")
    }
}

/// What a host that says "confirmed" does not show: its two files and its daemon must be at the
/// stage's text.
fn unseen(host: &HostName, stage: &Stage, view: &HostView) -> Option<String> {
    match stage.course {
        Course::Local => return None,
        // Who confirmed a datacenter.cfg told of it in the same breath, and a person may be faster than the next.
        Course::Write | Course::Start | Course::Restart | Course::Outage | Course::Datacenter => {}
    }
    let ConfText { version, digest, text: _ } = &stage.config;
    let files = [("/etc/pve", &view.pmxcfs_file), ("/etc/corosync", &view.disk_file)];
    for (place, file) in files {
        if file.as_ref().map(|file| file.digest) != Some(*digest) {
            return Some(format!("{host} does not show version {version} in {place} yet"));
        }
    }
    let runs = view.running_version == Some(*version);
    (!runs).then(|| format!("the daemon on {host} does not run version {version} yet"))
}

#[cfg(test)]
mod tests;
