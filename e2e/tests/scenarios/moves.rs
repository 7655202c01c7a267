//! A running cluster goes to other addresses while everybody stays a quorate member.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::network::Network;
use serde_json::json;

use crate::support::{
    HOSTS, apply, assert_undisturbed, file_in_force, formed, now_ms, wait_connected, wait_ready,
    with_links,
};

const SOON: Duration = Duration::from_secs(60);
/// What the design promises for three hosts.
const PROMISED: Duration = Duration::from_secs(10);
/// Longer than the token and the consensus timeout of three nodes together.
const A_LOSS_WOULD_SHOW: Duration = Duration::from_secs(9);

#[test]
fn one_edited_line_moves_the_whole_cluster_to_another_subnet() -> Result<()> {
    let lab = formed("subnet")?;
    let (began, clock) = (now_ms(), Instant::now());
    apply(&lab, &with_links(&json!([{"number": 0, "network": "10.52.0.0/24"}])))?;
    wait_ready(&lab, SOON)?;
    let took = clock.elapsed();
    println!("three hosts moved to another subnet: {:.1} s", took.as_secs_f64());
    assert_addresses(&lab, 0, &["10.52.0.1", "10.52.0.2", "10.52.0.3"])?;
    assert_undisturbed(&lab, began)?;

    forget_addresses(&lab, Network::Net0)?;
    assert_nothing_is_lost(&lab)?;
    wait_connected(&lab, 0, SOON)?;
    assert_undisturbed(&lab, began)?;
    ensure!(took <= PROMISED, "moving took {:.1} s", took.as_secs_f64());
    Ok(())
}

/// The link has its old number, these addresses in the order of the hosts, and no other link is left.
fn assert_addresses(lab: &Lab, link: u8, addresses: &[&str]) -> Result<()> {
    let conf = file_in_force(lab)?;
    for address in addresses {
        let line = format!("ring{link}_addr: {address}");
        ensure!(conf.contains(&line), "no {line} in\n{conf}");
    }
    let count = conf.matches("_addr: ").count();
    ensure!(count == addresses.len(), "{count} addresses in\n{conf}");
    Ok(())
}

/// Takes a network's addresses from the hosts' cards, as an administrator does after the move.
fn forget_addresses(lab: &Lab, network: Network) -> Result<()> {
    for host in HOSTS {
        let host = lab.host(host)?;
        let address = format!("{}/24", host.address(network));
        host.run(&["ip", "address", "delete", &address, "dev", network.name()])?;
    }
    Ok(())
}

/// corosync notices a lost peer only after its timeouts: until then no news is no good news.
fn assert_nothing_is_lost(lab: &Lab) -> Result<()> {
    let from = now_ms();
    std::thread::sleep(A_LOSS_WOULD_SHOW);
    assert_undisturbed(lab, from)
}
