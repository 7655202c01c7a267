//! What cannot be done safely is refused in one sentence, and nothing is written.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{
    apply, assert_undisturbed, changes, file_in_force, formed, kubectl, now_ms, wait_ready,
    wait_stalled, with_links,
};

const SOON: Duration = Duration::from_secs(40);

#[test]
fn with_a_host_unreachable_nothing_is_changed_until_it_is_back() -> Result<()> {
    let lab = formed("unreach")?;
    let (before, count, began) = (file_in_force(&lab)?, changes(&lab)?.len(), now_ms());

    lab.host("n2")?.cut(Network::Mgmt)?;
    kubectl(&lab, &["wait", "pvehost/n2", "--for=condition=Connected=False", "--timeout=30s"])?;
    let two_links = with_links(&json!([
        {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
    ]));
    apply(&lab, &two_links)?;
    let sentence = wait_stalled(&lab, "HostNotConnected")?;
    println!("Stalled: {sentence}");
    ensure!(sentence.contains("n2"), "the sentence does not name the host: {sentence}");
    ensure!(file_in_force(&lab)? == before, "something was written");
    ensure!(changes(&lab)?.len() == count, "a change was made");

    lab.host("n2")?.heal(Network::Mgmt)?;
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("ring1_addr"), "the link is still missing");
    assert_undisturbed(&lab, began)
}

#[test]
fn a_network_that_is_dead_on_one_host_is_refused_before_anything_is_written() -> Result<()> {
    let lab = formed("deadnet")?;
    let (before, began) = (file_in_force(&lab)?, now_ms());
    lab.host("n3")?.cut(Network::Net1)?;
    let two_links = with_links(&json!([
        {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
    ]));
    apply(&lab, &two_links)?;
    let ended = wait_until(SOON, "the change to end", || {
        let last = changes(&lab).map_err(|error| format!("{error:#}"))?.pop().unwrap_or_default();
        let ended = !last["status"]["outcome"].is_null();
        if ended { Ok(last) } else { Err(last["status"].to_string()) }
    })?;
    let sentence = ended["status"]["message"].as_str().unwrap_or_default();
    println!("{}: {sentence}", ended["status"]["outcome"]);
    ensure!(sentence.contains("n3") && sentence.contains("link 1"), "unclear: {sentence}");
    ensure!(file_in_force(&lab)? == before, "something was written");
    assert_undisturbed(&lab, began)?;

    lab.host("n3")?.heal(Network::Net1)?;
    wait_ready(&lab, SOON)?;
    ensure!(file_in_force(&lab)?.contains("ring1_addr"), "the link is still missing");
    assert_undisturbed(&lab, began)
}

#[test]
fn what_no_host_has_and_what_is_not_built_is_named_and_refused() -> Result<()> {
    let lab = formed("nohost")?;
    let (before, count, began) = (file_in_force(&lab)?, changes(&lab)?.len(), now_ms());
    let link0 = json!({"number": 0, "network": "10.50.0.0/24"});

    let nowhere = json!([link0, {"number": 1, "network": "10.77.0.0/24"}]);
    expect(&lab, &with_links(&nowhere), "AddressMissing", "10.77.0.0/24")?;

    let mut stated = with_links(&json!([link0, {"number": 1}]));
    for (node, address) in ["10.51.0.1", "10.51.0.2", "10.51.0.99"].iter().enumerate() {
        stated["spec"]["nodes"][node]["addresses"] = json!([{"link": 1, "address": address}]);
    }
    expect(&lab, &stated, "AddressNotOnHost", "10.51.0.99")?;

    let mut stranger = with_links(&json!([link0]));
    stranger["spec"]["nodes"].as_array_mut().context("no nodes")?.push(json!({"name": "n9"}));
    expect(&lab, &stranger, "HostMissing", "n9")?;

    let mut transport = with_links(&json!([link0]));
    transport["spec"]["totem"] = json!({"transport": "Udpu"});
    expect(&lab, &transport, "OldTransport", "state `crypto`")?;

    let mut device = with_links(&json!([link0]));
    device["spec"]["quorum"] = json!({"device": {"type": "External", "address": "10.9.0.1",
        "algorithm": "LMS", "certificatesSecretRef": {"name": "qnetd"}}});
    expect(&lab, &device, "SecretUnusable", "the Secret qnetd")?;

    ensure!(file_in_force(&lab)? == before, "something was written");
    ensure!(changes(&lab)?.len() == count, "a change was made");
    apply(&lab, &with_links(&json!([link0])))?;
    wait_ready(&lab, SOON)?;
    assert_undisturbed(&lab, began)
}

/// Applies a spec and expects the cluster to stall for this reason with a sentence that names this.
fn expect(lab: &Lab, spec: &Value, reason: &str, named: &str) -> Result<()> {
    apply(lab, spec)?;
    let sentence = wait_stalled(lab, reason)?;
    println!("Stalled, {reason}: {sentence}");
    ensure!(sentence.contains(named), "the sentence does not name {named}: {sentence}");
    Ok(())
}
