//! High availability that was disarmed for a change is armed again, by the hosts alone if need be.
//!
//! Owns the rule when that is due and by whom. Pure: the note of the ledger, a look and a moment in, a
//! duty out. Design section 6: no further stage within 5 minutes, and the cluster quorate and writable.

use std::time::Duration;

use pvecm_core::ha::{Arming, Asked, Ha};

use crate::ledger::Disarmed;
use crate::ports::BootTime;

/// How long after the last stage, where the bootstrap file does not say.
pub const GRACE: Duration = Duration::from_secs(300);
/// A host waits so much longer for each agent with a lower number: one asks, the rest only if it does not.
const TURN: Duration = Duration::from_secs(15);

/// What stands around a note.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Now.
    pub now: &'a BootTime,
    /// Time since the last stage after which it is due.
    pub grace: Duration,
    /// How many agents with a lower node id are in the group.
    pub rank: u32,
    /// This host is quorate, /etc/pve takes writes and nobody paused the host.
    pub able: bool,
}

/// What is to be done about a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Nothing now.
    Nothing,
    /// Keep this in its place.
    Keep(Disarmed),
    /// It is armed: take the note out.
    Forget,
    /// Ask for arming.
    Arm,
}

/// Judges a note. Not to be asked while a stage is under way.
#[must_use]
pub fn duty(note: &Disarmed, ha: &Ha, moment: Moment<'_>) -> Duty {
    let Moment { now, grace, rank, able } = moment;
    if now.boot_id != note.since.boot_id {
        // Nobody knows how long the machine was off, and the others may be in the next stage.
        return Duty::Keep(Disarmed { since: now.clone(), ..note.clone() });
    }
    if ha.arming != Arming::Armed && !note.seen {
        return Duty::Keep(Disarmed { seen: true, ..note.clone() });
    }
    if ha.is_armed() && note.seen {
        return Duty::Forget;
    }
    let grace = if note.overdue { Duration::ZERO } else { grace };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let due_ms = note.since.millis.saturating_add(millis(grace + TURN * rank));
    if !able || now.millis < due_ms {
        return Duty::Nothing;
    }
    match ha.asked {
        // The command was never taken up, or somebody armed it before this host looked.
        _ if ha.is_armed() => Duty::Forget,
        Some(Asked::Arm) => Duty::Nothing,
        Some(Asked::Disarm) | None => Duty::Arm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvecm_core::ha::HaState;
    use pvecm_core::ids::ChangeNumber;

    fn at(millis: u64) -> BootTime {
        BootTime { boot_id: "boot".to_owned(), millis }
    }

    fn note(overdue: bool, seen: bool) -> Disarmed {
        Disarmed { change: ChangeNumber(3), since: at(1_000), seen, overdue }
    }

    fn ha(arming: Arming, asked: Option<Asked>) -> Ha {
        Ha { state: HaState::Idle, arming, asked }
    }

    fn duty_at(note: &Disarmed, ha: Ha, (millis, rank, able): (u64, u32, bool)) -> Duty {
        duty(note, &ha, Moment { now: &at(millis), grace: GRACE, rank, able })
    }

    #[test]
    fn five_minutes_after_the_last_stage_the_lowest_host_arms_and_the_next_one_in_its_place() {
        let (note, ha) = (note(false, true), ha(Arming::Disarmed, None));
        assert_eq!(duty_at(&note, ha, (300_999, 0, true)), Duty::Nothing);
        assert_eq!(duty_at(&note, ha, (301_000, 0, true)), Duty::Arm);
        assert_eq!(duty_at(&note, ha, (301_000, 1, true)), Duty::Nothing);
        assert_eq!(duty_at(&note, ha, (316_000, 1, true)), Duty::Arm);
    }

    #[test]
    fn after_a_stage_that_failed_it_is_due_at_once() {
        let ha = ha(Arming::Disarmed, None);
        assert_eq!(duty_at(&note(true, true), ha, (1_001, 0, true)), Duty::Arm);
    }

    #[test]
    fn without_quorum_nothing_is_asked_for() {
        let ha = ha(Arming::Disarmed, None);
        assert_eq!(duty_at(&note(true, true), ha, (900_000, 0, false)), Duty::Nothing);
    }

    #[test]
    fn what_was_asked_for_is_not_asked_for_again() {
        let ha = ha(Arming::Disarmed, Some(Asked::Arm));
        assert_eq!(duty_at(&note(true, true), ha, (900_000, 0, true)), Duty::Nothing);
    }

    #[test]
    fn armed_again_by_whomever_the_note_goes() {
        let armed = ha(Arming::Armed, None);
        assert_eq!(duty_at(&note(false, true), armed, (1_001, 0, true)), Duty::Forget);
        // What was never seen disarmed may still become so: the command waits for the CRM.
        assert_eq!(duty_at(&note(false, false), armed, (1_001, 0, true)), Duty::Nothing);
        assert_eq!(duty_at(&note(false, false), armed, (301_000, 0, true)), Duty::Forget);
        let asked = ha(Arming::Armed, Some(Asked::Disarm));
        assert_eq!(duty_at(&note(false, false), asked, (301_000, 0, true)), Duty::Arm);
    }

    #[test]
    fn what_is_seen_disarmed_is_noted_and_a_reboot_begins_the_wait_anew() {
        let disarmed = ha(Arming::Disarming, None);
        let seen = Duty::Keep(note(false, true));
        assert_eq!(duty_at(&note(false, false), disarmed, (1_001, 0, true)), seen);
        let now = BootTime { boot_id: "next".to_owned(), millis: 7 };
        let moment = Moment { now: &now, grace: GRACE, rank: 0, able: true };
        let kept = Duty::Keep(Disarmed { since: now.clone(), ..note(false, true) });
        assert_eq!(duty(&note(false, true), &disarmed, moment), kept);
    }
}
