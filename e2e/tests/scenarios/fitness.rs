//! A network is measured before corosync gets it: what is not fit is refused with the figures, and nothing is written.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::removal::undisturbed_but_for;
use crate::support::{apply, changes, now_ms, wait_ready, with_links};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_network_that_loses_packets_cuts_them_or_has_an_address_twice_is_refused_with_the_figures()
-> Result<()> {
    let lab = Lab::up(Options { hosts: 4, ..Options::scenario("fitness") }, &mut |_| ())?;
    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}])))?;
    wait_ready(&lab, SOON)?;
    let began = now_ms();
    let (n3, stranger) = (lab.host("n3")?, lab.host("n4")?);

    let lossy = "INPUT -i net1 -m statistic --mode nth --every 20 --packet 0 -j DROP";
    n3.sh(&format!("iptables -A {lossy}"))?;
    refused(&lab, &[" of 200 packets are lost, and 1 % may be"])?;
    n3.sh(&format!("iptables -D {lossy}"))?;

    n3.switch_takes(1400, Network::Net1)?;
    refused(&lab, &["packets of 1500 bytes", "10.51.0.3", "1400 bytes get through"])?;
    n3.switch_takes(1500, Network::Net1)?;

    // Of those who are in no cluster nobody's status tells.
    stranger.sh("systemctl stop pvecm-agent; ip addr add 10.51.0.3/24 dev net1")?;
    let card = stranger.run(&["ip", "-o", "link", "show", "dev", "net1"])?;
    let mut words = card.split_whitespace().skip_while(|word| *word != "link/ether");
    let hardware = words.nth(1).context("no card")?;
    refused(&lab, &["10.51.0.3", "also that of another machine", hardware])?;
    stranger.sh("ip addr del 10.51.0.3/24 dev net1")?;

    let clock = Instant::now();
    apply(&lab, &two_links())?;
    wait_ready(&lab, SOON)?;
    println!("measured, added and ready in {:.1} s", clock.elapsed().as_secs_f64());
    ensure!(in_force(&lab)?.contains("ring1_addr"), "the link is still missing");
    let members = ["n1", "n2", "n3"];
    members.iter().try_for_each(|host| undisturbed_but_for(&lab, host, began, &[]))
}

fn two_links() -> serde_json::Value {
    with_links(&json!([
        {"number": 0, "network": "10.50.0.0/24"}, {"number": 1, "network": "10.51.0.0/24"},
    ]))
}

fn in_force(lab: &Lab) -> Result<String> {
    lab.host("n1")?.run(&["cat", "/etc/pve/corosync.conf"])
}

/// Asks for the link, sees it refused with these words, and takes it out of the spec again.
fn refused(lab: &Lab, words: &[&str]) -> Result<()> {
    let (before, known) = (in_force(lab)?, changes(lab)?.len());
    apply(lab, &two_links())?;
    let ended = wait_until(SOON, "the change to end", || {
        let all = changes(lab).map_err(|error| format!("{error:#}"))?;
        let last = all.into_iter().nth(known).unwrap_or_default();
        let ended = !last["status"]["outcome"].is_null();
        if ended { Ok(last) } else { Err(last["status"].to_string()) }
    })?;
    let sentence = ended["status"]["message"].as_str().unwrap_or_default();
    println!("{}: {sentence}", ended["status"]["outcome"]);
    for word in words {
        ensure!(sentence.contains(word), "`{word}` is not in: {sentence}");
    }
    ensure!(in_force(lab)? == before, "something was written");
    apply(lab, &with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}])))?;
    wait_ready(lab, SOON).map(drop)
}
