//! Timing, encryption and the rest of the totem section change while everybody stays quorate, and what
//! the daemons run is read again on every host.

use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use serde_json::{Value, json};

use crate::support::{
    HOSTS, apply, assert_all_followed_or_one_was_late, assert_undisturbed, cmap, formed, now_ms,
    wait_ready, with_links,
};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn token_and_cipher_change_live_and_are_read_again_on_every_host() -> Result<()> {
    let lab = formed("totem")?;
    let began = now_ms();
    apply_totem(&lab, &json!({"tokenMillis": 5000}))?;
    // With a coefficient of 125 ms for the third node; knet's own rule makes the ping times of it.
    expect(&lab, "runtime.config.totem.token", "5125")?;
    expect(&lab, "runtime.config.totem.interface.0.knet_ping_timeout", "2562")?;
    expect(&lab, "runtime.config.totem.interface.0.knet_ping_interval", "1281")?;

    assert_undisturbed(&lab, began)?;

    let began = now_ms();
    let crypto = json!({"tokenMillis": 5000, "crypto": {"cipher": "AES128", "hash": "SHA512"}});
    apply_totem(&lab, &crypto)?;
    expect(&lab, "totem.crypto_cipher", "aes128")?;
    expect(&lab, "totem.crypto_hash", "sha512")?;
    assert_all_followed_or_one_was_late(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn what_corosync_tells_changes_live_and_what_the_spec_does_not_name_stays() -> Result<()> {
    let lab = formed("logging")?;
    let began = now_ms();
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["logging"] = json!({"debug": "Enabled", "syslogPriority": "Notice"});
    apply(&lab, &spec)?;
    wait_ready(&lab, SOON)?;
    expect(&lab, "logging.debug", "on")?;
    expect(&lab, "logging.syslog_priority", "notice")?;
    expect(&lab, "logging.to_syslog", "yes")?;
    spec["spec"]["logging"] = json!({"debug": "Disabled"});
    apply(&lab, &spec)?;
    wait_ready(&lab, SOON)?;
    expect(&lab, "logging.debug", "off")?;
    expect(&lab, "logging.syslog_priority", "notice")?;
    assert_undisturbed(&lab, began)
}

fn apply_totem(lab: &Lab, totem: &Value) -> Result<()> {
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["totem"] = totem.clone();
    spec["spec"]["rollout"]["maxRisk"] = json!("NodeRestart");
    apply(lab, &spec)?;
    wait_ready(lab, SOON).map(|_| ())
}

fn expect(lab: &Lab, key: &str, wanted: &str) -> Result<()> {
    for host in HOSTS {
        let running = cmap(lab, host, key)?;
        ensure!(running == wanted, "{key} on {host} is {running}, not {wanted}");
    }
    Ok(())
}
