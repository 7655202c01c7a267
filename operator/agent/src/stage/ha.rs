//! Disarming and arming high availability: every member asks where nobody has yet, and waits until the
//! files say that it is so.
//!
//! Asking twice is harmless: the CRM passes over a command for what is so already (pve.md 7).

use pvecm_core::change::{Risk, Stage};
use pvecm_core::ha::{Arming, Asked, Ha};

use super::Undone;
use crate::host_ports::Host;

/// The CRM looks every 10 s, and clears the list of commands a moment before it shows what became of it.
const ASK_AGAIN_MS: u64 = 20_000;
const LOOK_MS: u64 = 500;

/// Has the cluster disarmed.
pub fn disarm(host: &Host, deadline_ms: u64) -> Result<(), Undone> {
    let done = |ha: &Ha| ha.arming == Arming::Disarmed && !ha.state.may_reset();
    let ask = |ha: &Ha| match (ha.arming, ha.asked) {
        (Arming::Armed, Some(Asked::Arm) | None) => Some(host.ha.disarm()),
        (Arming::Armed, Some(Asked::Disarm)) | (Arming::Disarming | Arming::Disarmed, _) => None,
    };
    wait(host, deadline_ms, (&done, &ask)).map_err(|why| {
        let why = format!("high availability was not disarmed in time{why}");
        Undone::PutBack(why)
    })
}

/// Has the cluster armed again.
pub fn arm(host: &Host, deadline_ms: u64) -> Result<(), Undone> {
    let ask = |ha: &Ha| match ha.asked {
        Some(Asked::Arm) => None,
        Some(Asked::Disarm) | None => Some(host.ha.arm()),
    };
    wait(host, deadline_ms, (&Ha::is_armed, &ask)).map_err(|why| {
        let why = format!("high availability is still disarmed{why}; this host keeps asking");
        Undone::Stuck(why)
    })
}

type Ask<'a> = &'a dyn Fn(&Ha) -> Option<Result<(), String>>;

/// Looks until it is done, and asks now and then. The error is what the tool said last, if anything.
fn wait(
    host: &Host,
    deadline_ms: u64,
    (done, ask): (&dyn Fn(&Ha) -> bool, Ask<'_>),
) -> Result<(), String> {
    let mut said = String::new();
    let mut next_ask_ms = 0;
    loop {
        let ha = Ha::read(&host.ha.files());
        let now_ms = host.clock.now().millis;
        if done(&ha) {
            return Ok(());
        }
        if now_ms >= deadline_ms {
            return Err(said);
        }
        if now_ms >= next_ask_ms
            && let Some(answer) = ask(&ha)
        {
            next_ask_ms = now_ms + ASK_AGAIN_MS;
            said = answer.err().map(|why| format!(": {why}")).unwrap_or_default();
        }
        host.clock.sleep_ms(LOOK_MS);
    }
}

/// Whether this host's watchdog leaves room for a stage: what was disarmed before it may have been armed
/// since by a person, or by the hosts when the operator was away for long.
pub fn leaves_room(host: &Host, stage: &Stage) -> Result<(), String> {
    if stage.risk > Risk::Live && Ha::read(&host.ha.files()).state.may_reset() {
        return Err("high availability is active on this host and may reset it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    const ACTIVE: &str = r#"{"state":"active","mode":"active"}"#;

    fn active() -> FakeHost {
        let fake = FakeHost::fresh();
        fake.world().ha.lrm_status = Some(ACTIVE.to_owned());
        fake
    }

    #[test]
    fn disarming_asks_once_and_holds_when_the_files_say_so() {
        let fake = active();
        assert_eq!(disarm(&fake.host(), 60_000), Ok(()));
        assert_eq!(disarm(&fake.host(), 60_000), Ok(()));
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze"]);
        assert_eq!(arm(&fake.host(), 60_000), Ok(()));
        assert_eq!(arm(&fake.host(), 60_000), Ok(()));
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze", "arm-ha"]);
    }

    #[test]
    fn an_lrm_that_keeps_its_watchdog_is_not_disarmed_whatever_the_crm_says() {
        let fake = active();
        let disarmed = r#"{"disarm":{"mode":"freeze","state":"disarmed"}}"#;
        fake.world().ha.manager_status = Some(disarmed.to_owned());
        assert!(matches!(disarm(&fake.host(), 60_000), Err(Undone::PutBack(_))));
        assert!(fake.world().ha_commands.is_empty(), "somebody asked before");
    }

    #[test]
    fn a_crm_that_is_away_is_asked_once_and_waited_for_until_the_deadline() {
        let fake = active();
        fake.world().crm_is_away = true;
        let ended = disarm(&fake.host(), 120_000);
        assert!(matches!(ended, Err(Undone::PutBack(_))), "{ended:?}");
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze"]);
        let disarmed = r#"{"disarm":{"mode":"freeze","state":"disarmed"}}"#;
        fake.world().ha.manager_status = Some(disarmed.to_owned());
        let ended = arm(&fake.host(), 240_000);
        assert!(matches!(ended, Err(Undone::Stuck(_))), "{ended:?}");
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze", "arm-ha"]);
    }

    #[test]
    fn a_stage_that_may_stall_the_cluster_is_refused_where_the_watchdog_runs() {
        let fake = active();
        let stage = |risk: &str| -> Stage {
            serde_json::from_value(serde_json::json!({
                "summary": "", "risk": risk, "course": "Write", "group": {},
                "confirmTimeoutSecs": 30, "config":
                {"version": 1, "digest": pvecm_core::ids::Digest::of(b""), "text": ""},
            }))
            .unwrap()
        };
        assert_eq!(leaves_room(&fake.host(), &stage("Live")), Ok(()));
        assert!(leaves_room(&fake.host(), &stage("NodeRestart")).is_err());
        disarm(&fake.host(), 60_000).unwrap();
        assert_eq!(leaves_room(&fake.host(), &stage("NodeRestart")), Ok(()));
    }
}
