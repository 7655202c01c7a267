//! Whether the ways that a stage brings in are fit for corosync.
//!
//! corosync takes an address that nobody answers at, and says nothing: a link that never connects is
//! undone only at the stage's deadline, and a node that nobody reaches has cost votes by then
//! (facts/corosync.md 5.2, 9.1). A way that loses packets or is slow connects, and stalls the cluster under
//! load. Measuring it before anything is written costs a second.

use pvecm_core::change::Stage;
use pvecm_core::conf::{Config, Document};
use pvecm_core::fitness::{Limits, Measured};
use pvecm_core::ids::NodeId;

use super::away;
use crate::host_ports::Host;
use crate::ports::{Survey, Way};
use crate::ways::{Ask, asks, own_new};

/// Measures every way that the stage's text has and the parent's has not, on whichever link. The first
/// fault, in the order of the links and nodes, is the error; what cannot be measured at all comes before, and an
/// own address that another machine has.
pub fn new_ways_are_fit(
    host: &Host,
    stage: &Stage,
    parent: Option<&str>,
    me: NodeId,
) -> Result<(), String> {
    // What is not understood is for other checks to refuse.
    let read = |text: &str| Config::read(&Document::parse(text.as_bytes())).ok();
    let Some(new) = read(&stage.config.text) else { return Ok(()) };
    let old = parent.and_then(read);
    // A machine that is off answers nowhere.
    let left_out = away::left_out(stage, parent);
    let mut asks = asks(&new, old.as_ref(), me);
    asks.retain(|ask| !left_out.contains(&ask.node));
    if asks.is_empty() {
        return Ok(());
    }
    let cards = host.machine.addresses();
    let ways: Result<Vec<_>, String> = asks.iter().map(|ask| ask.way(&cards)).collect();
    let ways = ways?;
    let had = old.as_ref().and_then(|old| old.node(me));
    let own = own_new(&asks, &cards, had);
    let Survey { ways: measured, claimed } =
        host.network.survey(&ways, &own.iter().map(|(_, way)| *way).collect::<Vec<_>>());
    for ((Ask { link, own, .. }, _), other) in own.iter().zip(claimed) {
        let here = format!("{own}, the address of this host on link {link}, ");
        // An address that two machines have leads to either, as the switch happens to know them.
        match other {
            Ok(None) => {}
            Ok(Some(card)) => {
                return Err(format!("{here}is also that of another machine, whose card is {card}"));
            }
            Err(why) => {
                return Err(format!("{here}may be that of another machine as well: {why}"));
            }
        }
    }
    let mut told = asks.iter().zip(&ways).zip(measured);
    told.try_for_each(|((ask, way), measured)| {
        let limits = stage.limits.get(&ask.link).copied().unwrap_or_default();
        judge(ask, way, measured, limits)
    })
}

fn judge(
    ask: &Ask,
    way: &Way<'_>,
    measured: Result<Measured, String>,
    limits: Limits,
) -> Result<(), String> {
    let Ask { link, name, address, .. } = ask;
    let there = format!("{address}, its address on link {link}");
    let measured = measured.map_err(|why| format!("{name} cannot be asked at {there}: {why}"))?;
    if measured.is_silent() {
        return Err(format!(
            "{name} does not answer at {there}: {} echo requests by {} stayed without an answer",
            measured.sent, way.card
        ));
    }
    match measured.unfit(limits) {
        Some(why) => {
            let by = way.card;
            Err(format!("the way by {by} to {name} at {there}, is not fit for corosync: {why}"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use pvecm_core::change::{ConfText, Course, Risk};
    use pvecm_core::ids::{ConfigVersion, LinkNumber};

    use super::*;
    use crate::fake::FakeHost;
    use crate::ports::CardAddress;

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
            limits: BTreeMap::new(),
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
        assert_eq!(new_ways_are_fit(&fake.host(), &stage, Some(&old), me()), Ok(()));
        fake.world().silent.insert("10.1.0.3".parse().unwrap());
        let refused = new_ways_are_fit(&fake.host(), &stage, Some(&old), me()).unwrap_err();
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
        new_ways_are_fit(&fake.host(), &stage, Some(&old), me()).unwrap();
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
        let refused = new_ways_are_fit(&fake.host(), &stage, Some(&two), me()).unwrap_err();
        assert!(refused.starts_with("n3 does not answer at 10.0.0.3"), "{refused}");
    }

    #[test]
    fn an_own_address_that_no_card_has_is_refused() {
        let old = text(1, &[(0, "10.0.0")]);
        let stage = stage(&[(0, "10.0.0"), (2, "10.2.0")]);
        let refused = new_ways_are_fit(&n1().host(), &stage, Some(&old), me()).unwrap_err();
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
        assert_eq!(new_ways_are_fit(&fake.host(), &stage, Some(&old), me()), Ok(()));
    }

    #[test]
    fn what_was_there_before_is_not_asked_again() {
        let fake = n1();
        fake.world().silent.insert("10.0.0.2".parse().unwrap());
        let old = text(1, &[(0, "10.0.0")]);
        assert_eq!(
            new_ways_are_fit(&fake.host(), &stage(&[(0, "10.0.0")]), Some(&old), me()),
            Ok(())
        );
    }

    #[test]
    fn a_way_that_loses_packets_is_refused_with_the_figures_unless_the_link_may() {
        let fake = n1();
        let lossy = Measured { sent: 200, round_trips_us: vec![100; 190], large: None };
        fake.world().measured.insert("10.1.0.3".parse().unwrap(), lossy);
        let old = text(1, &[(0, "10.0.0")]);
        let mut stage = stage(&[(0, "10.0.0"), (1, "10.1.0")]);
        let refused = new_ways_are_fit(&fake.host(), &stage, Some(&old), me()).unwrap_err();
        assert_eq!(
            refused,
            "the way by net1 to n3 at 10.1.0.3, its address on link 1, is not fit for corosync: 10 of 200 packets \
             are lost, and 1 % may be"
        );
        let limits = Limits { loss_percent: 5, ..Limits::default() };
        stage.limits.insert(LinkNumber::try_from(1).unwrap(), limits);
        assert_eq!(new_ways_are_fit(&fake.host(), &stage, Some(&old), me()), Ok(()));
    }

    #[test]
    fn an_own_new_address_that_another_machine_has_is_refused() {
        let fake = n1();
        let found = |found| fake.world().claimed.insert("10.1.0.1".parse().unwrap(), found);
        found(Ok(Some("02:00:00:00:00:07".to_owned())));
        let old = text(1, &[(0, "10.0.0")]);
        let stage = stage(&[(0, "10.0.0"), (1, "10.1.0")]);
        let refused = new_ways_are_fit(&fake.host(), &stage, Some(&old), me()).unwrap_err();
        let wanted = "10.1.0.1, the address of this host on link 1, is also that of another machine, whose card is \
                      02:00:00:00:00:07";
        assert_eq!(refused, wanted);
        found(Err("cannot run arping".to_owned()));
        let refused = new_ways_are_fit(&fake.host(), &stage, Some(&old), me()).unwrap_err();
        let wanted = "10.1.0.1, the address of this host on link 1, may be that of another machine as well: cannot \
                      run arping";
        assert_eq!(refused, wanted, "what nobody looked for is not known to be missing");
        found(Ok(None));
        assert_eq!(new_ways_are_fit(&fake.host(), &stage, Some(&old), me()), Ok(()));
    }

    /// Link 0 ends on the network that link 1 has carried, as at the end of a move.
    #[test]
    fn a_way_that_carries_already_is_not_measured_again_under_another_number() {
        let fake = n1();
        fake.world().silent.insert("10.1.0.3".parse().unwrap());
        let (old, stage) = (text(1, &[(1, "10.1.0")]), stage(&[(0, "10.1.0"), (1, "10.1.0")]));
        assert_eq!(new_ways_are_fit(&fake.host(), &stage, Some(&old), me()), Ok(()));
    }
}
