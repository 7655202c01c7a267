//! Which addresses nodes get on a new network, and where none are made.

use super::{entry, formed, link, node_id, three_nodes};
use crate::conf::{Config, carried};

/// The nodes n1, n2, ... with these addresses on link 0.
fn nodes(addresses: &[&str]) -> Config {
    let mut formation = three_nodes();
    let node = |(id, address): (u32, &&str)| {
        let mut node = entry(&format!("n{id}"), id, &[0]);
        node.addresses.insert(link(0), (*address).to_owned());
        node
    };
    formation.nodes = (1..).zip(addresses).map(node).collect();
    Config::read(&formed(&formation)).unwrap()
}

#[track_caller]
fn assert_carried(old: &[&str], network: &str, new: &[&str]) {
    let made = carried(&nodes(old), network.parse().unwrap()).unwrap();
    let ids = (1..).map(node_id);
    assert_eq!(made, ids.zip(new.iter().map(|one| (*one).to_owned())).collect());
}

#[track_caller]
fn assert_refused(old: &[&str], network: &str, words: &str) {
    let refused = carried(&nodes(old), network.parse().unwrap()).unwrap_err();
    assert_eq!(refused.to_string(), words);
}

#[test]
fn the_host_part_of_each_node_is_carried_over() {
    assert_carried(&["10.0.0.1", "10.0.0.7"], "10.1.0.0/24", &["10.1.0.1", "10.1.0.7"]);
    assert_carried(&["10.0.3.1", "10.0.4.1"], "172.20.0.0/16", &["172.20.3.1", "172.20.4.1"]);
    assert_carried(&["fd00::1", "fd00::2"], "fd01:2::/64", &["fd01:2::1", "fd01:2::2"]);
    assert_carried(&["10.0.0.0", "10.0.0.1"], "10.9.0.2/31", &["10.9.0.2", "10.9.0.3"]);
}

#[test]
fn where_the_rule_leaves_a_choice_no_address_is_made() {
    assert_refused(
        &["10.0.0.1"],
        "10.1.0.9/24",
        "10.1.0.9/24 is an address inside a network; the network is 10.1.0.0/24",
    );
    assert_refused(
        &["10.0.0.1", "node2"],
        "10.1.0.0/24",
        "node n2 has the host name node2 on link 0, which tells no host part",
    );
    assert_refused(
        &["fd00::1"],
        "10.1.0.0/24",
        "node n1 has fd00::1 on link 0, but 10.1.0.0/24 is of the other IP family",
    );
    assert_refused(
        &["10.0.0.1", "10.0.1.1"],
        "10.1.0.0/24",
        "nodes n1 and n2 are in 10.0.0.0/24 and 10.0.1.0/24 on link 0: with /24 their host parts \
         do not belong together",
    );
    let last = "node n1 would get 10.1.0.15, which is no host's address in 10.1.0.0/28";
    assert_refused(&["10.0.0.15"], "10.1.0.0/28", last);
    let first = "node n1 would get 10.1.0.0, which is no host's address in 10.1.0.0/28";
    assert_refused(&["10.0.0.16"], "10.1.0.0/28", first);
}
