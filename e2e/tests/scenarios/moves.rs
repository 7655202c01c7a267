//! A running cluster goes to other addresses while everybody stays a quorate member.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::network::Network;
use serde_json::{Value, json};

use crate::support::{
    apply, assert_undisturbed, cluster_of, file_in_force, formed, formed_of, now_ms,
    wait_connected, wait_ready, with_links,
};

const SOON: Duration = Duration::from_secs(90);
/// Longer than the token and the consensus timeout of five nodes together.
const A_LOSS_WOULD_SHOW: Duration = Duration::from_secs(9);

#[test]
fn one_edited_line_moves_the_whole_cluster_to_another_subnet() -> Result<()> {
    move_to_net2(&formed("subnet")?)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn five_hosts_move_to_another_subnet_as_three_do() -> Result<()> {
    move_to_net2(&formed_of("subnet5", 5)?)
}

fn move_to_net2(lab: &Lab) -> Result<()> {
    let began = now_ms();
    let net2 = cluster_of(lab, &json!([{"number": 0, "network": "10.52.0.0/24"}]));
    let took = apply_and_wait(lab, &net2)?;
    println!("{} hosts moved to another subnet: {took:.1} s", lab.hosts().len());
    assert_addresses(lab, &[Network::Net2])?;
    assert_undisturbed(lab, began)?;

    // As an administrator does after the move.
    for host in lab.hosts() {
        let old = format!("{}/24", host.address(Network::Net0));
        host.run(&["ip", "address", "delete", &old, "dev", Network::Net0.name()])?;
    }
    assert_nothing_is_lost(lab)?;
    wait_connected(lab, 0, SOON)?;
    assert_undisturbed(lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn one_nodes_address_changes_and_the_others_stay_where_they_are() -> Result<()> {
    let lab = formed("oneaddr")?;
    let began = now_ms();
    lab.host("n2")?.run(&["ip", "address", "add", "10.50.0.202/24", "dev", "net0"])?;
    let mut spec = with_links(&json!([{"number": 0, "network": "10.50.0.0/24"}]));
    spec["spec"]["nodes"][1]["addresses"] = json!([{"link": 0, "address": "10.50.0.202"}]);
    let took = apply_and_wait(&lab, &spec)?;
    println!("one node's address changed: {took:.1} s");
    let conf = file_in_force(&lab)?;
    for address in ["10.50.0.1", "10.50.0.202", "10.50.0.3"] {
        ensure!(conf.contains(&format!("ring0_addr: {address}\n")), "no {address} in\n{conf}");
    }
    ensure!(conf.matches("_addr: ").count() == 3, "more than three addresses in\n{conf}");
    // With the first address of a subnet Linux takes away all others of it (promote_secondaries is off).
    let delete = "address delete 10.50.0.2/24 dev net0\naddress add 10.50.0.202/24 dev net0\n";
    lab.host("n2")?.sh(&format!("printf '{delete}' | ip -batch -"))?;
    assert_nothing_is_lost(&lab)?;
    assert_undisturbed(&lab, began)
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_link_moves_to_another_port_while_the_other_carries() -> Result<()> {
    let lab = formed("port")?;
    let began = now_ms();
    let links = |port: u16| {
        with_links(&json!([
            {"number": 0, "network": "10.50.0.0/24", "port": port},
            {"number": 1, "network": "10.51.0.0/24"},
        ]))
    };
    apply_and_wait(&lab, &links(5405))?;
    let took = apply_and_wait(&lab, &links(5800))?;
    println!("link 0 moved to another port: {took:.1} s");
    for host in lab.hosts() {
        // The socket itself: cmap shows a new port although the old one is in use.
        let sockets = host.run(&["ss", "--udp", "--numeric", "--all", "--no-header"])?;
        let bound = |port| sockets.contains(&format!("{}:{port} ", host.address(Network::Net0)));
        ensure!(bound(5800) && !bound(5405), "{}'s sockets:\n{sockets}", host.name());
    }
    assert_undisturbed(&lab, began)
}

fn apply_and_wait(lab: &Lab, spec: &Value) -> Result<f64> {
    let clock = Instant::now();
    apply(lab, spec)?;
    wait_ready(lab, SOON)?;
    Ok(clock.elapsed().as_secs_f64())
}

/// Every host has one address on each of these networks, link 0 first, and no other link is left.
fn assert_addresses(lab: &Lab, links: &[Network]) -> Result<()> {
    let conf = file_in_force(lab)?;
    for host in lab.hosts() {
        for (link, network) in links.iter().enumerate() {
            let wanted = format!("ring{link}_addr: {}\n", host.address(*network));
            ensure!(conf.contains(&wanted), "no {wanted} in\n{conf}");
        }
    }
    let count = conf.matches("_addr: ").count();
    ensure!(count == links.len() * lab.hosts().len(), "{count} addresses in\n{conf}");
    Ok(())
}

/// corosync notices a lost peer only after its timeouts: until then no news is no good news.
fn assert_nothing_is_lost(lab: &Lab) -> Result<()> {
    let from = now_ms();
    std::thread::sleep(A_LOSS_WOULD_SHOW);
    assert_undisturbed(lab, from)
}
