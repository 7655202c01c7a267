//! High availability as Proxmox VE keeps it in files below /etc/pve: what it does on one host, and
//! whether its watchdogs are released for maintenance.
//!
//! Owns the reading of those files (facts: pve.md 7; their form is that of pve-ha-manager 5.2.0). Never
//! decides about a change: that is [`crate::guard`]'s and [`crate::plan`](mod@crate::plan)'s business.
//! Nothing here moves by itself: the stamps that both daemons write every few seconds are left out.

use serde::{Deserialize, Serialize};

/// The first pve-ha-manager that knows `disarm-ha` and `arm-ha` (pve.md 7).
pub const DISARM_SINCE: &str = "5.1.3";

/// The texts as one host finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HaFiles {
    /// `ha/manager_status`; `None`: there is none.
    pub manager_status: Option<String>,
    /// `ha/crm_commands`: what was asked for and not taken up yet, one command a line.
    pub crm_commands: Option<String>,
    /// `nodes/<host>/lrm_status`; `None`: no LRM ever ran on this host.
    pub lrm_status: Option<String>,
    /// `priv/lock/ha_agent_<host>_lock` is there: this host's LRM holds it while its watchdog runs.
    pub agent_lock: bool,
}

/// What high availability does on one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HaState {
    /// Its LRM never ran here.
    Absent,
    /// The LRM runs no watchdog: loss of quorum resets nobody.
    Idle,
    /// The LRM runs its watchdog: a minute without quorum, and the host is reset.
    Active,
    /// Somebody had the whole cluster disarmed, and this host's watchdog is released.
    Disarmed,
    /// The files are not understood, or nobody has reported them.
    #[default]
    Unknown,
}

impl HaState {
    /// Whether a loss of quorum may reset the host. What is not understood may.
    #[must_use]
    pub const fn may_reset(self) -> bool {
        match self {
            Self::Active | Self::Unknown => true,
            Self::Absent | Self::Idle | Self::Disarmed => false,
        }
    }
}

/// Whether the cluster's high availability is armed: one word for all hosts, kept by the CRM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arming {
    /// It is, as far as it is in use at all.
    #[default]
    Armed,
    /// Watchdogs are being released. Deferred while guests are fenced, recovered or migrated.
    Disarming,
    /// All are released.
    Disarmed,
}

/// What was asked of the CRM last and was not taken up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `disarm-ha`.
    Disarm,
    /// `arm-ha`.
    Arm,
}

/// The files, read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ha {
    /// On this host.
    pub state: HaState,
    /// In the cluster.
    pub arming: Arming,
    /// What waits for the CRM.
    pub asked: Option<Asked>,
}

impl Ha {
    /// Reads the files of one host.
    #[must_use]
    pub fn read(files: &HaFiles) -> Self {
        let asked = files.crm_commands.as_deref().and_then(last_asked);
        let read = arming(files.manager_status.as_deref())
            .and_then(|arming| Some((arming, state(files, arming)?)));
        match read {
            Some((arming, state)) => Self { state, arming, asked },
            None => Self { state: HaState::Unknown, arming: Arming::Armed, asked },
        }
    }

    /// Whether it is armed, and nobody has asked for anything else.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.arming == Arming::Armed
            && self.state != HaState::Unknown
            && self.asked != Some(Asked::Disarm)
    }
}

/// Both files are written through a rename; an empty one is none, as PVE's own reader has it.
fn parse<T: serde::de::DeserializeOwned + Default>(text: Option<&str>) -> Option<T> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Some(T::default()),
        Some(text) => serde_json::from_str(text).ok(),
    }
}

#[derive(Default, Deserialize)]
struct ManagerStatus {
    disarm: Option<Disarm>,
}

#[derive(Deserialize)]
struct Disarm {
    state: String,
}

#[derive(Default, Deserialize)]
struct LrmStatus {
    state: Option<String>,
    #[serde(default)]
    mode: String,
}

fn arming(manager_status: Option<&str>) -> Option<Arming> {
    let ManagerStatus { disarm } = parse(manager_status)?;
    match disarm.as_ref().map(|disarm| disarm.state.as_str()) {
        None => Some(Arming::Armed),
        Some("disarming") => Some(Arming::Disarming),
        Some("disarmed") => Some(Arming::Disarmed),
        Some(_) => None,
    }
}

fn state(files: &HaFiles, arming: Arming) -> Option<HaState> {
    let LrmStatus { state, mode } = parse(files.lrm_status.as_deref())?;
    // An LRM that ended in good order leaves its last state behind, and gives its lock back.
    let ended = matches!(mode.as_str(), "restart" | "shutdown") && !files.agent_lock;
    match state.as_deref() {
        None => Some(HaState::Absent),
        // In maintenance the watchdog runs until the last guest is gone; with its lock lost it runs out.
        Some("active" | "maintenance" | "lost_agent_lock") if !ended => Some(HaState::Active),
        Some("active" | "maintenance" | "lost_agent_lock" | "wait_for_agent_lock") => {
            let disarmed = arming == Arming::Disarmed;
            Some(if disarmed { HaState::Disarmed } else { HaState::Idle })
        }
        Some(_) => None,
    }
}

fn last_asked(commands: &str) -> Option<Asked> {
    commands.lines().rev().find_map(|line| match line.split_whitespace().next()? {
        "disarm-ha" => Some(Asked::Disarm),
        "arm-ha" => Some(Asked::Arm),
        _ => None,
    })
}

/// Whether a pve-ha-manager of this version knows `disarm-ha`; a version that is not understood does
/// not.
#[must_use]
pub fn knows_disarm(version: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let upstream = text.split(['-', '~', '+']).next()?;
        upstream.split('.').map(|part| part.parse().ok()).collect()
    };
    numbers(version).is_some_and(|found| Some(found) >= numbers(DISARM_SINCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: &str =
        r#"{"mode":"active","results":{},"state":"active","timestamp":1774567000}"#;
    const WAITING: &str = r#"{"mode":"active","state":"wait_for_agent_lock","timestamp":1}"#;
    const RELEASED: &str = r#"{"mode":"disarm","state":"wait_for_agent_lock","timestamp":1}"#;

    fn files(manager: &str, lrm: &str) -> HaFiles {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        HaFiles {
            manager_status: text(manager),
            lrm_status: text(lrm),
            agent_lock: lrm.contains(r#""active""#),
            ..HaFiles::default()
        }
    }

    fn manager(disarm: &str) -> String {
        let disarm = match disarm {
            "" => String::new(),
            state => format!(r#""disarm":{{"mode":"freeze","state":"{state}"}},"#),
        };
        format!(
            r#"{{{disarm}"master_node":"n1","node_status":{{"n1":"online"}},"service_status":{{}},"timestamp":5}}"#
        )
    }

    fn state_of(manager: &str, lrm: &str) -> HaState {
        Ha::read(&files(manager, lrm)).state
    }

    #[test]
    fn a_host_without_an_lrm_has_no_high_availability() {
        assert_eq!(state_of("", ""), HaState::Absent);
        assert_eq!(state_of(&manager(""), ""), HaState::Absent);
    }

    #[test]
    fn an_lrm_that_waits_for_guests_is_idle_and_one_with_its_lock_is_active() {
        assert_eq!(state_of(&manager(""), WAITING), HaState::Idle);
        assert_eq!(state_of("", WAITING), HaState::Idle);
        assert_eq!(state_of(&manager(""), ACTIVE), HaState::Active);
    }

    #[test]
    fn an_lrm_whose_watchdog_still_runs_is_active_whatever_it_is_called() {
        for state in ["maintenance", "lost_agent_lock"] {
            assert_eq!(
                state_of(
                    &manager(""),
                    &ACTIVE.replace(r#":"active","t"#, &format!(r#":"{state}","t"#))
                ),
                HaState::Active
            );
        }
        assert_eq!(state_of(&manager("disarmed"), ACTIVE), HaState::Active);
    }

    #[test]
    fn an_lrm_that_was_stopped_in_good_order_is_idle_though_its_file_says_active() {
        let stopped = ACTIVE.replace(r#""mode":"active""#, r#""mode":"restart""#);
        let mut files = files(&manager(""), &stopped);
        assert_eq!(Ha::read(&files).state, HaState::Active);
        files.agent_lock = false;
        assert_eq!(Ha::read(&files).state, HaState::Idle);
    }

    #[test]
    fn disarmed_is_what_the_crm_calls_so_and_the_lrm_has_followed() {
        let read = |disarm: &str| Ha::read(&files(&manager(disarm), RELEASED));
        assert_eq!(
            (read("disarming").state, read("disarming").arming),
            (HaState::Idle, Arming::Disarming)
        );
        assert_eq!(
            (read("disarmed").state, read("disarmed").arming),
            (HaState::Disarmed, Arming::Disarmed)
        );
        assert!(!read("disarmed").is_armed() && read("").is_armed());
    }

    #[test]
    fn what_is_not_understood_may_reset_a_host() {
        for (manager, lrm) in [("{", WAITING), (&manager("odd"), WAITING), ("", "{}x")] {
            assert_eq!(state_of(manager, lrm), HaState::Unknown);
        }
        assert_eq!(state_of("", r#"{"state":"new"}"#), HaState::Unknown);
        assert!(HaState::Unknown.may_reset() && HaState::Active.may_reset());
        assert!(!HaState::Idle.may_reset() && !HaState::Disarmed.may_reset());
    }

    #[test]
    fn the_last_command_that_the_crm_has_not_taken_up_counts() {
        let read = |commands: &str| {
            let crm_commands = Some(commands.to_owned());
            Ha::read(&HaFiles { crm_commands, ..files("", WAITING) })
        };
        assert_eq!(read("").asked, None);
        assert_eq!(read("migrate vm:100 n2\n").asked, None);
        assert_eq!(read("disarm-ha freeze\n").asked, Some(Asked::Disarm));
        assert_eq!(read("disarm-ha freeze\narm-ha\n").asked, Some(Asked::Arm));
        assert!(!read("disarm-ha freeze\n").is_armed());
    }

    #[test]
    fn a_stamp_that_moves_makes_no_difference() {
        let later = ACTIVE.replace("1774567000", "1774567010");
        assert_eq!(Ha::read(&files("", ACTIVE)), Ha::read(&files("", &later)));
    }

    #[test]
    fn only_a_version_from_5_1_3_on_knows_the_command() {
        for version in ["5.1.3", "5.1.10", "5.2.0", "6.0", "5.1.3+standin"] {
            assert!(knows_disarm(version), "{version}");
        }
        for version in ["5.1.2", "5.1", "4.0.7", "", "x"] {
            assert!(!knows_disarm(version), "{version}");
        }
    }
}
