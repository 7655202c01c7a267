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
pub async fn disarm(host: &Host, deadline_ms: u64) -> Result<(), Undone> {
    wait(host, deadline_ms, Asked::Disarm)
        .await
        .map_err(|why| Undone::PutBack(format!("high availability was not disarmed in time{why}")))
}

/// Has the cluster armed again.
pub async fn arm(host: &Host, deadline_ms: u64) -> Result<(), Undone> {
    wait(host, deadline_ms, Asked::Arm).await.map_err(|why| {
        let why = format!("high availability is still disarmed{why}; this host keeps asking");
        Undone::Stuck(why)
    })
}

fn is_done(ha: Ha, wish: Asked) -> bool {
    match wish {
        Asked::Disarm => ha.arming == Arming::Disarmed && !ha.state.may_reset(),
        Asked::Arm => ha.is_armed(),
    }
}

/// Whether the CRM has not heard of the wish yet.
fn is_unasked(ha: Ha, wish: Asked) -> bool {
    let under_way = match wish {
        Asked::Disarm => ha.arming != Arming::Armed,
        Asked::Arm => false,
    };
    !under_way && ha.asked != Some(wish)
}

/// Looks until it is done, and asks now and then. The error is what the tool said last, if anything.
async fn wait(host: &Host, deadline_ms: u64, wish: Asked) -> Result<(), String> {
    let mut said = String::new();
    let mut next_ask_ms = 0;
    loop {
        let ha = Ha::read(&host.ha.files());
        let now_ms = host.clock.now().millis;
        if is_done(ha, wish) {
            return Ok(());
        }
        if now_ms >= deadline_ms {
            return Err(said);
        }
        if now_ms >= next_ask_ms && is_unasked(ha, wish) {
            let answer = match wish {
                Asked::Disarm => host.ha.disarm().await,
                Asked::Arm => host.ha.arm().await,
            };
            said = answer.err().map(|why| format!(": {why}")).unwrap_or_default();
            next_ask_ms = now_ms + ASK_AGAIN_MS;
        }
        host.clock.sleep_ms(LOOK_MS).await;
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
    use futures::FutureExt;

    /// Nothing in a host in memory waits.
    fn now<T>(job: impl Future<Output = T>) -> T {
        job.now_or_never().expect("a job that does not wait")
    }

    const ACTIVE: &str = r#"{"state":"active","mode":"active"}"#;

    fn active() -> FakeHost {
        let fake = FakeHost::fresh();
        fake.world().ha.lrm_status = Some(ACTIVE.to_owned());
        fake
    }

    #[test]
    fn disarming_asks_once_and_holds_when_the_files_say_so() {
        let fake = active();
        assert_eq!(now(disarm(&fake.host(), 60_000)), Ok(()));
        assert_eq!(now(disarm(&fake.host(), 60_000)), Ok(()));
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze"]);
        assert_eq!(now(arm(&fake.host(), 60_000)), Ok(()));
        assert_eq!(now(arm(&fake.host(), 60_000)), Ok(()));
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze", "arm-ha"]);
    }

    #[test]
    fn an_lrm_that_keeps_its_watchdog_is_not_disarmed_whatever_the_crm_says() {
        let fake = active();
        let disarmed = r#"{"disarm":{"mode":"freeze","state":"disarmed"}}"#;
        fake.world().ha.manager_status = Some(disarmed.to_owned());
        assert!(matches!(now(disarm(&fake.host(), 60_000)), Err(Undone::PutBack(_))));
        assert!(fake.world().ha_commands.is_empty(), "somebody asked before");
    }

    #[test]
    fn a_crm_that_is_away_is_asked_once_and_waited_for_until_the_deadline() {
        let fake = active();
        fake.world().crm_is_away = true;
        let ended = now(disarm(&fake.host(), 120_000));
        assert!(matches!(ended, Err(Undone::PutBack(_))), "{ended:?}");
        assert_eq!(fake.world().ha_commands, ["disarm-ha freeze"]);
        let disarmed = r#"{"disarm":{"mode":"freeze","state":"disarmed"}}"#;
        fake.world().ha.manager_status = Some(disarmed.to_owned());
        let ended = now(arm(&fake.host(), 240_000));
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
        now(disarm(&fake.host(), 60_000)).unwrap();
        assert_eq!(leaves_room(&fake.host(), &stage("NodeRestart")), Ok(()));
    }
}
