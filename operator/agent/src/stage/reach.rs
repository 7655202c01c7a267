//! Whether the other hosts answer at the addresses that a stage brings in.
//!
//! corosync takes an address that nobody answers at, and says nothing: a link that never connects is
//! undone only at the stage's deadline, and a node that nobody reaches has cost votes by then
//! (facts/corosync.md 5.2, 9.1). One echo request before anything is written costs a millisecond.

use std::net::{IpAddr, ToSocketAddrs as _};

use pvecm_core::change::Stage;
use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::{LinkNumber, NodeId};

use super::away;
use crate::host_ports::Host;
use crate::ports::CardAddress;

/// An address of another node that has to answer, and the own one that it is asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    link: LinkNumber,
    own: String,
    name: String,
    address: String,
}

/// Asks every node at every address that the stage's text has and the parent's has not. The first
/// silence, in the order of the links and nodes, is the error; what cannot be asked at all comes before.
pub fn new_addresses_answer(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    me: NodeId,
) -> Result<(), String> {
    let asks = asks(stage, parent, me);
    if asks.is_empty() {
        return Ok(());
    }
    let cards = host.machine.addresses();
    let ways: Result<Vec<_>, String> = asks.iter().map(|ask| way(&cards, ask)).collect();
    let answers = host.network.answers(&ways?).into_iter();
    let mut told = asks.iter().zip(answers);
    told.try_for_each(|(Ask { link, name, address, .. }, answer)| {
        answer.map_err(|why| {
            format!("{name} does not answer at {address}, its address on link {link}: {why}")
        })
    })
}

/// The card by which the link will talk, and where to.
fn way<'a>(cards: &'a [CardAddress], ask: &Ask) -> Result<(&'a str, IpAddr), String> {
    let Ask { link, own, name, address } = ask;
    let on_card = |card: &&CardAddress| {
        let here = card.cidr.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
        here.is_some() && here == resolved(own)
    };
    let Some(card) = cards.iter().find(on_card) else {
        return Err(format!(
            "{own}, the address of this host on link {link}, is on no network card"
        ));
    };
    let Some(peer) = resolved(address) else {
        return Err(format!("{address}, the address of {name} on link {link}, is not known here"));
    };
    Ok((&card.interface, peer))
}

/// What is new in the text of a stage, as far as this node would talk to it.
fn asks(stage: &Stage, parent: Option<&str>, me: NodeId) -> Vec<Ask> {
    // What is not understood is for other checks to refuse.
    let read = |text: &str| Config::read(&Document::parse(text.as_bytes())).ok();
    let (Some(new), old) = (read(&stage.config.text), parent.and_then(read)) else {
        return Vec::new();
    };
    let Some(own) = new.node(me) else { return Vec::new() };
    let known = |id: NodeId, link: LinkNumber, address: &String| {
        let old = old.as_ref().and_then(|old| old.node(id));
        old.and_then(|node| node.addresses.get(&link)) == Some(address)
    };
    // A machine that is off answers nowhere.
    let left_out = away::left_out(stage, parent);
    let mut asks = Vec::new();
    for (link, own) in &own.addresses {
        for node in new.nodes.iter().filter(|node| node.id != me && !left_out.contains(&node.id)) {
            let Some(address) = node.addresses.get(link) else { continue };
            if !known(node.id, *link, address) {
                asks.push(Ask {
                    link: *link,
                    own: own.clone(),
                    name: node.name.to_string(),
                    address: address.clone(),
                });
            }
        }
    }
    asks
}

/// corosync resolves a name in the same way (pve.md 2.4).
fn resolved(address: &str) -> Option<IpAddr> {
    match address.parse() {
        Ok(ip) => Some(ip),
        Err(_) => (address, 0).to_socket_addrs().ok()?.next().map(|found| found.ip()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pvecm_core::change::{ConfText, Course, Risk};
    use pvecm_core::ids::ConfigVersion;

    use super::*;
    use crate::fake::FakeHost;

    fn text(version: u64, links: &[(u8, &str)]) -> String {
        let addresses = |id: u32| {
            let line = |(link, net): &(u8, &str)| format!("    ring{link}_addr: {net}.{id}\n");
            links.iter().map(line).collect::<String>()
        };
        let node = |id: u32| {
            format!("  node {{\n    name: n{id}\n    nodeid: {id}\n{}  }}\n", addresses(id))
        };
        format!(
            "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: {version}\n}}\n\
             quorum {{\n  provider: corosync_votequorum\n}}\nnodelist {{\n{}}}\n",
            [1, 2, 3].map(node).concat()
        )
    }

    fn stage(links: &[(u8, &str)]) -> Stage {
        Stage {
            summary: "a stage".to_owned(),
            risk: Risk::Live,
            course: Course::Write,
            group: [1, 2, 3]
                .map(|id| (NodeId::try_from(id).unwrap(), format!("n{id}").parse().unwrap()))
                .into(),
            joining: BTreeMap::new(),
            config: ConfText::new(ConfigVersion(2), text(2, links)),
            back: None,
            actions: BTreeMap::new(),
            probes: Vec::new(),
            confirm_timeout_secs: 5,
        }
    }

    fn me() -> NodeId {
        NodeId::try_from(1).unwrap()
    }

    /// n1 with a card on each of the networks 10.0.0 and 10.1.0.
    fn n1() -> FakeHost {
        let fake = FakeHost::fresh();
        let card = |(name, address): (&str, &str)| CardAddress {
            interface: name.to_owned(),
            cidr: format!("{address}/24"),
        };
        fake.world().cards = [("net0", "10.0.0.1"), ("net1", "10.1.0.1")].map(card).to_vec();
        fake
    }

    #[test]
    fn a_link_that_one_host_does_not_answer_on_is_refused_with_host_address_and_link() {
        let fake = n1();
        let old = text(1, &[(0, "10.0.0")]);
        let stage = stage(&[(0, "10.0.0"), (1, "10.1.0")]);
        assert_eq!(new_addresses_answer(&fake.host(), &stage, Some(&old), me()), Ok(()));
        fake.world().silent.insert("10.1.0.3".parse().unwrap());
        let refused = new_addresses_answer(&fake.host(), &stage, Some(&old), me()).unwrap_err();
        assert!(
            refused.starts_with("n3 does not answer at 10.1.0.3, its address on link 1"),
            "{refused}"
        );
    }

    #[test]
    fn hosts_are_asked_by_the_card_that_will_carry_the_link() {
        let fake = n1();
        let old = text(1, &[(0, "10.0.0")]);
        let stage = stage(&[(0, "10.0.0"), (1, "10.1.0")]);
        new_addresses_answer(&fake.host(), &stage, Some(&old), me()).unwrap();
        let mut asked = fake.world().asked.clone();
        asked.sort();
        let by = |peer: &str| ("net1".to_owned(), peer.parse::<IpAddr>().unwrap());
        assert_eq!(asked, [by("10.1.0.2"), by("10.1.0.3")]);
    }

    #[test]
    fn a_node_that_is_new_has_to_answer_on_links_that_exist() {
        let fake = n1();
        fake.world().silent.insert("10.0.0.3".parse().unwrap());
        let two = text(1, &[(0, "10.0.0")]);
        let two = &two[..two.find("  node {\n    name: n3").unwrap()];
        let two = format!("{two}}}\n");
        let stage = stage(&[(0, "10.0.0")]);
        let refused = new_addresses_answer(&fake.host(), &stage, Some(&two), me()).unwrap_err();
        assert!(refused.starts_with("n3 does not answer at 10.0.0.3"), "{refused}");
    }

    #[test]
    fn an_own_address_that_no_card_has_is_refused() {
        let old = text(1, &[(0, "10.0.0")]);
        let stage = stage(&[(0, "10.0.0"), (2, "10.2.0")]);
        let refused = new_addresses_answer(&n1().host(), &stage, Some(&old), me()).unwrap_err();
        assert!(refused.starts_with("10.2.0.1, the address of this host on link 2"), "{refused}");
    }

    /// It answers nowhere, and whether the link works shows when it is back.
    #[test]
    fn one_that_has_no_part_in_the_stage_is_not_asked() {
        let fake = n1();
        fake.world().silent.insert("10.1.0.3".parse().unwrap());
        let old = text(1, &[(0, "10.0.0")]);
        let mut stage = stage(&[(0, "10.0.0"), (1, "10.1.0")]);
        stage.group.remove(&NodeId::try_from(3).unwrap());
        assert_eq!(new_addresses_answer(&fake.host(), &stage, Some(&old), me()), Ok(()));
    }

    #[test]
    fn what_was_there_before_is_not_asked_again() {
        let fake = n1();
        fake.world().silent.insert("10.0.0.2".parse().unwrap());
        let old = text(1, &[(0, "10.0.0")]);
        assert_eq!(
            new_addresses_answer(&fake.host(), &stage(&[(0, "10.0.0")]), Some(&old), me()),
            Ok(())
        );
    }
}
