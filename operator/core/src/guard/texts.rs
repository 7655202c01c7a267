//! Guards on the texts themselves: their names, their numbers, and the way back.

use super::case::{Case, Step};
use super::refusal::Refusal;
use crate::change::Course;
use crate::conf::Config;
use crate::conf::edit::{self, with_votes};
use crate::ids::Digest;

/// Hosts compare and fence by version and digest. A text under a wrong name would pass as another
/// one: a host would confirm what it does not run.
pub(super) fn named_rightly(case: &Case<'_>) -> Result<(), Refusal> {
    for step in &case.steps {
        for text in step.texts() {
            let stage = step.number;
            if text.conf.digest != Digest::of(text.conf.text.as_bytes()) {
                return Err(Refusal::WrongDigest { stage });
            }
            let (named, inside) = (text.conf.version, text.config.version);
            if named != inside {
                return Err(Refusal::WrongVersion { stage, named, inside });
            }
        }
    }
    Ok(())
}

/// corosync joins nodes of different `cluster_name` without a word (corosync.md 9.2), and refuses
/// to change it at run time: two clusters would run into each other at the next restart.
pub(super) fn one_cluster(case: &Case<'_>) -> Result<(), Refusal> {
    let parent = case.parent.iter().map(|text| (0, text));
    let texts = case.steps.iter().flat_map(|step| step.texts().map(|text| (step.number, text)));
    for (stage, text) in parent.chain(texts) {
        let name = &text.config.cluster_name;
        if *name != case.desired.name {
            return Err(Refusal::OtherCluster { stage, name: name.to_string() });
        }
    }
    Ok(())
}

/// pmxcfs keeps the file with the higher number, and a joiner with a lower one ends itself: a number
/// that is used twice or goes down leaves hosts with different files that all think they are right
/// (pmxcfs.md 2, corosync.md 9.2).
pub(super) fn versions_ascend(case: &Case<'_>) -> Result<(), Refusal> {
    let mut highest = case.observed.highest_version();
    let mut listed_here = false;
    for step in &case.steps {
        let carried = carries_what_is_in_force(step)?;
        listed_here |= step.writes();
        let known = match step.stage.course {
            Course::Local | Course::Datacenter => true,
            Course::Start => listed_here,
            Course::Write | Course::Restart | Course::Outage => false,
        };
        if carried && known {
            continue;
        }
        for text in step.texts().skip(usize::from(carried)) {
            let version = text.conf.version;
            if version <= highest {
                return Err(Refusal::VersionNotAbove { stage: step.number, version });
            }
            highest = version;
        }
    }
    Ok(())
}

/// Whether a stage writes nothing; then its text has to be the one that is in force already.
fn carries_what_is_in_force(step: &Step<'_>) -> Result<bool, Refusal> {
    let Some(before) = &step.before else {
        return Ok(false);
    };
    match step.stage.course {
        Course::Write | Course::Outage => Ok(false),
        Course::Local | Course::Start | Course::Restart | Course::Datacenter
            if step.config.conf == before.conf =>
        {
            Ok(true)
        }
        Course::Local | Course::Start | Course::Restart | Course::Datacenter => {
            Err(Refusal::OtherText { stage: step.number })
        }
    }
}

/// A stage that fails is undone by hosts that may be alone by then. If the text for that were
/// missing or another one than before, a failed stage would end in a state nobody has proven.
pub(super) fn ways_back(case: &Case<'_>) -> Result<(), Refusal> {
    let mut written: Option<&Step<'_>> = None;
    for step in &case.steps {
        let stage = step.number;
        match step.stage.course {
            // The bytes that datacenter.cfg had are what undoes it, and every host has them.
            Course::Local | Course::Datacenter => continue,
            Course::Restart => {
                leads_before_the_plan(case, step)?;
                continue;
            }
            Course::Write | Course::Outage => written = Some(step),
            // The start is undone together with the listing, under the number reserved there.
            Course::Start => {
                let undone = match written {
                    Some(written) => written.stage.back == step.stage.back,
                    None => takes_off_the_list(step),
                };
                if !undone {
                    return Err(Refusal::WrongWayBack { stage });
                }
                continue;
            }
        }
        let back = step.back.as_ref().ok_or(Refusal::NoWayBack { stage })?;
        let old = step.before.as_ref().ok_or(Refusal::NoWayBack { stage })?;
        let renumbered = edit::set_version(&old.document, back.conf.version);
        if !renumbered.is_ok_and(|text| text.as_bytes() == back.document.as_bytes()) {
            return Err(Refusal::WrongWayBack { stage });
        }
    }
    Ok(())
}

/// The start of a node that an earlier change listed is undone by the list without it.
fn takes_off_the_list(step: &Step<'_>) -> bool {
    let (Some(old), Some(back)) = (&step.before, &step.back) else { return false };
    let Some(id) = step.stage.joining.keys().next() else { return false };
    let text = edit::remove_node(&old.document, *id);
    let text = text.and_then(|text| edit::set_version(&text, back.conf.version));
    text.is_ok_and(|text| text.as_bytes() == back.document.as_bytes())
}

/// A restart is undone to what was in force before the plan, but for the votes: one that is lent to a
/// host that stays is what keeps it quorate while the restarted one is away. Nor does a device come back with it,
/// whose daemons were stopped.
fn leads_before_the_plan(case: &Case<'_>, step: &Step<'_>) -> Result<(), Refusal> {
    let stage = step.number;
    let back = step.back.as_ref().ok_or(Refusal::NoWayBack { stage })?;
    let parent = case.parent.as_ref().ok_or(Refusal::NoWayBack { stage })?;
    let of = |config: &Config| config.quorum.device.is_some();
    let went = of(&parent.config) && !of(&step.config.config);
    let origin =
        if went { edit::remove_device(&parent.document) } else { Ok(parent.document.clone()) };
    let text = origin
        .and_then(|origin| with_votes(&origin, &step.config.config))
        .and_then(|text| edit::set_version(&text, back.conf.version));
    if text.is_ok_and(|text| text.as_bytes() == back.document.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::WrongWayBack { stage })
    }
}
