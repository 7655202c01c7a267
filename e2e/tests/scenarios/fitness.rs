//! A network is measured before corosync gets it: what is not fit is refused with the figures, and nothing is written.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use serde_json::json;

use crate::outage::ask;
use crate::removal::undisturbed_but_for;
use crate::support::{
    CLUSTER, HOSTS, apply, changes, condition, get, lab, now_ms, wait_ready, with_links,
};

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

/// What is measured without asking anybody, and what is measured on request.
#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_link_in_use_is_told_by_its_class_and_a_firewall_in_its_way_by_the_rule_that_is_missing()
-> Result<()> {
    let lab = lab("linkclass")?;
    // knet pings five times a second at most.
    let often = json!({"pingIntervalMillis": 200, "pingTimeoutMillis": 2000});
    let link = |number: u32, network: &str| {
        let mut link = json!({"number": number, "network": network});
        link.as_object_mut().into_iter().for_each(|link| {
            link.extend(often.as_object().cloned().unwrap_or_default());
        });
        link
    };
    let links = json!([link(0, "10.50.0.0/24"), link(1, "10.51.0.0/24")]);
    apply(&lab, &with_links(&links))?;
    wait_ready(&lab, 2 * SOON)?;
    let began = now_ms();
    let n3 = lab.host("n3")?;

    // Not one in twenty by count: pings and answers take turns, and it would always meet the same.
    let lossy = "INPUT -i net1 -p udp -m statistic --mode random --probability 0.05 -j DROP";
    n3.sh(&format!("iptables -A {lossy}"))?;
    let clock = Instant::now();
    wait_until(4 * SOON, "both ends of link 1 to be told as lossy", || {
        let told = faults(&lab)?;
        let ends = [("n1", "n3"), ("n3", "n1"), ("n2", "n3"), ("n3", "n2")];
        let is_told = |(from, to): &(&str, &str)| told.contains(&format!("1 {from} {to} Lossy"));
        if ends.iter().all(is_told) { Ok(()) } else { Err(format!("{told:?}")) }
    })?;
    println!("told as lossy after {:.0} s", clock.elapsed().as_secs_f64());
    let (healthy, reason, sentence) = condition(&lab, "LinksHealthy")?;
    ensure!(healthy == "False" && reason == "LinksDegraded", "{healthy} {reason}: {sentence}");
    ensure!(condition(&lab, "Ready")?.0 == "True", "it carries, and the cluster is ready");

    n3.sh(&format!("iptables -D {lossy}"))?;
    let clock = Instant::now();
    wait_until(6 * SOON, "link 1 to be good again", || {
        let told = faults(&lab)?;
        if told.is_empty() { Ok(()) } else { Err(format!("{told:?}")) }
    })?;
    println!("good again after {:.0} s", clock.elapsed().as_secs_f64());
    ensure!(condition(&lab, "LinksHealthy")?.0 == "True", "LinksHealthy is still false");

    let printed = ask(&lab, &["status", CLUSTER, "--links", "--measure"])?;
    println!("{printed}");
    ensure!(printed.contains("LINK   FROM   n1     n2     n3\n"), "no matrix");
    ensure!(printed.matches(" ms ").count() == 3 * 12, "not measured");

    let closed = "INPUT -i net1 -p udp --dport 5406 -j DROP";
    n3.sh(&format!("iptables -A {closed}"))?;
    let rule = "IN ACCEPT -p udp -dport 5405:5412 -source 10.51.0.0/24";
    wait_until(2 * SOON, "the rule that is missing to be named", || {
        let cluster = get(&lab, &["pvecluster", CLUSTER]).map_err(|error| format!("{error:#}"))?;
        let links = cluster["status"]["links"].to_string();
        if links.contains(rule) { Ok(()) } else { Err(links) }
    })?;
    println!("{}", condition(&lab, "Ready")?.2);
    n3.sh(&format!("iptables -D {closed}"))?;
    wait_ready(&lab, SOON)?;
    HOSTS.iter().try_for_each(|host| undisturbed_but_for(&lab, host, began, &[]))
}

/// The links of the cluster's status that are not as they should be: number, from, to, class.
fn faults(lab: &Lab) -> Result<Vec<String>, String> {
    let cluster = get(lab, &["pvecluster", CLUSTER]).map_err(|error| format!("{error:#}"))?;
    let links = cluster["status"]["links"].as_array().cloned().unwrap_or_default();
    let word = |fault: &serde_json::Value, key: &str| {
        fault[key].as_str().map_or_else(|| fault[key].to_string(), str::to_owned)
    };
    let told = |fault: &serde_json::Value| {
        ["number", "from", "to", "class"].map(|key| word(fault, key)).join(" ")
    };
    Ok(links.iter().map(told).collect())
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
