//! The part of the loop that says how good the links in use are.
//!
//! knet pings them all the time and counts, so that at rest nobody is asked and nothing is started. Only where a link
//! stays down the other node is asked whether it answers at all: if it does, something lets echo requests pass and not
//! corosync.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt;
use pvecm_core::conf::{Config, Document};
use pvecm_core::fitness::{Limits, LinkClass, LinkWatch};
use pvecm_core::ids::{LinkNumber, NodeId};
use pvecm_crds::convert::limits_to_core;
use pvecm_crds::host::HostLinkFault;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::Instant;

use super::Agent;
use crate::observe::link_faults;
use crate::ports::CorosyncView;
use crate::ways::{asks, measured};

/// How often knet's counters are read.
const LOOK: Duration = Duration::from_secs(30);
/// So long a link is down before the other node is asked, and then again.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(60);

type At = (NodeId, LinkNumber);

/// What is remembered of the links.
#[derive(Debug, Default)]
pub(super) struct LinkWork {
    watches: BTreeMap<At, LinkWatch>,
    looked: Option<Instant>,
    down_since: BTreeMap<At, Instant>,
    asked: Option<Instant>,
    answer: Option<Receiver<BTreeMap<At, String>>>,
    /// Why links are down, as far as it was found out.
    why: BTreeMap<At, String>,
}

impl Agent {
    /// What is told of the links is true.
    pub(super) fn keep_links(&mut self) {
        if self.seen.corosync.is_none() {
            self.links = None;
            return;
        }
        if self.links.is_none() {
            let Some(host) = &self.wanted_host else { return };
            let told = host.status.iter().flat_map(|status| &status.link_faults);
            let watches = told.filter_map(|fault| Some((at(fault)?, goes_on(fault.class.into()))));
            self.links = Some(LinkWork { watches: watches.collect(), ..LinkWork::default() });
        }
        self.watch_links();
        self.take_why();
        let due = self.unexplained();
        if !due.is_empty() {
            self.ask_about(&due);
        }
    }

    fn watch_links(&mut self) {
        let limits = self.limits();
        let Some((work, corosync)) = self.links.as_mut().zip(self.seen.corosync.as_ref()) else {
            return;
        };
        let is_up = |at: &At| corosync.links.get(at) == Some(&true);
        work.watches.retain(|at, _| corosync.links.contains_key(at));
        work.why.retain(|at, _| !is_up(at));
        work.down_since.retain(|at, _| !is_up(at));
        let is_due = work.looked.is_none_or(|at| at.elapsed() >= LOOK);
        let pings = if is_due { self.host.corosync.pings() } else { BTreeMap::new() };
        if is_due {
            work.looked = Some(Instant::now());
        }
        for (at, connected) in &corosync.links {
            let watch = work.watches.entry(*at).or_default();
            if !connected {
                watch.interrupted();
                work.down_since.entry(*at).or_insert_with(Instant::now);
            } else if let Some(pings) = pings.get(at) {
                watch.look(*pings, limits.get(&at.1).copied().unwrap_or_default());
            }
        }
    }

    /// What the last question came to.
    fn take_why(&mut self) {
        let Some(work) = &mut self.links else { return };
        let Some(answer) = &mut work.answer else { return };
        match answer.try_recv() {
            Ok(why) => {
                work.why = why;
                work.why.retain(|at, _| work.down_since.contains_key(at));
                work.answer = None;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Closed) => work.answer = None,
        }
    }

    /// The links that are down for a while, when it is time to ask.
    fn unexplained(&self) -> BTreeSet<At> {
        let has_links = self.seen.corosync.as_ref().is_some_and(CorosyncView::has_links);
        let Some(work) = self.links.as_ref().filter(|_| has_links) else { return BTreeSet::new() };
        if work.answer.is_some() || work.asked.is_some_and(|at| at.elapsed() < AGAIN) {
            return BTreeSet::new();
        }
        let down = work.down_since.iter().filter(|(_, since)| since.elapsed() >= PATIENCE);
        down.map(|(at, _)| *at).collect()
    }

    /// Asks at the other end of these links.
    fn ask_about(&mut self, due: &BTreeSet<At>) {
        let Some((config, me)) = self.config().zip(self.me()) else { return };
        let Some((work, corosync)) = self.links.as_mut().zip(self.seen.corosync.as_ref()) else {
            return;
        };
        work.asked = Some(Instant::now());
        let mut asks = asks(&config, None, me);
        asks.retain(|ask| due.contains(&(ask.node, ask.link)));
        let (tell, answer) = channel();
        work.answer = Some(answer);
        let (host, cards) = (self.host.clone(), self.seen.addresses.clone());
        let members = corosync.members.clone();
        let job = async move {
            let found = measured(&host, &asks, &cards);
            let answers = asks
                .iter()
                .zip(found)
                .filter(|(_, found)| found.as_ref().is_ok_and(|measured| !measured.is_silent()));
            let why = answers.map(|(ask, _)| {
                let passage = ask.passage(&config, &cards);
                let sentence = passage.blocked(&ask.name, members.contains(&ask.node));
                ((ask.node, ask.link), sentence)
            });
            // Nobody listens any more where corosync went meanwhile.
            let _ = tell.send(why.collect());
        };
        self.host.workers.spawn(job.boxed());
    }

    /// The links that are not as they should be.
    pub(super) fn link_faults(&self) -> Vec<HostLinkFault> {
        let Some(corosync) = &self.seen.corosync else { return Vec::new() };
        let Some(work) = &self.links else { return link_faults(corosync) };
        let mut faults = link_faults(corosync);
        for fault in &mut faults {
            let why = at(fault).and_then(|at| work.why.get(&at));
            fault.message = why.map(|why| why.chars().take(1024).collect());
        }
        let degraded = work.watches.iter().filter(|(at, watch)| {
            watch.told() != LinkClass::Good && corosync.links.get(at) == Some(&true)
        });
        faults.extend(degraded.map(|((node, link), watch)| HostLinkFault {
            link: i32::from(link.get()),
            node_id: i64::from(node.get()),
            class: watch.told().into(),
            message: None,
        }));
        faults.sort_by_key(|fault| (fault.node_id, fault.link));
        faults
    }

    /// What the links may be like, where the cluster's spec says another thing than the usual.
    pub(super) fn limits(&self) -> BTreeMap<LinkNumber, Limits> {
        let status = self.wanted_host.as_ref().and_then(|host| host.status.as_ref());
        let claim = status.and_then(|status| status.cluster.as_ref());
        claim.and_then(|claim| limits_to_core(&claim.limits).ok()).unwrap_or_default()
    }

    /// What lies on the disk, as far as it is understood.
    pub(super) fn config(&self) -> Option<Config> {
        let bytes = self.seen.disk_conf.as_deref()?;
        Config::read(&Document::parse(bytes)).ok()
    }

    /// This host's number.
    pub(super) fn me(&self) -> Option<NodeId> {
        self.seen.corosync.as_ref()?.local
    }
}

fn at(fault: &HostLinkFault) -> Option<At> {
    let node = NodeId::try_from(u32::try_from(fault.node_id).ok()?).ok()?;
    Some((node, LinkNumber::try_from(u32::try_from(fault.link).ok()?).ok()?))
}

/// That a link was broken says nothing of it once it is connected.
fn goes_on(told: LinkClass) -> LinkWatch {
    LinkWatch::of(if told == LinkClass::Broken { LinkClass::Good } else { told })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use pvecm_core::fitness::Pings;
    use pvecm_crds::host::{LinkClass as Told, PveHostStatus};
    use pvecm_crds::{PveHost, PveHostSpec};

    use super::*;
    use crate::api::Wanted;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::Identity;
    use crate::ports::CardAddress;
    use crate::seal::SealingKey;

    pub const TEXT: &str = "totem {\n  version: 2\n  cluster_name: prod\n  config_version: 1\n}\n\
        quorum {\n  provider: corosync_votequorum\n}\nnodelist {\n\
        node {\n name: n1\n nodeid: 1\n ring0_addr: 10.0.0.1\n ring1_addr: 10.1.0.1\n }\n\
        node {\n name: n2\n nodeid: 2\n ring0_addr: 10.0.0.2\n ring1_addr: 10.1.0.2\n }\n\
        node {\n name: n3\n nodeid: 3\n ring0_addr: 10.0.0.3\n ring1_addr: 10.1.0.3\n }\n}\n";

    pub fn node(id: u32) -> NodeId {
        NodeId::try_from(id).unwrap()
    }

    pub fn link(number: u32) -> LinkNumber {
        LinkNumber::try_from(number).unwrap()
    }

    /// n1 of three, all of whose links are connected.
    pub fn member(text: &str) -> (FakeHost, Agent) {
        let fake = FakeHost::member(text);
        for number in [0, 1] {
            let (interface, cidr) = (format!("net{number}"), format!("10.{number}.0.1/24"));
            fake.world().cards.push(CardAddress { interface, cidr });
            fake.world().links.extend([2, 3].map(|id| ((node(id), link(number)), true)));
        }
        let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
        told_before(&mut agent, Vec::new());
        (fake, agent)
    }

    fn told_before(agent: &mut Agent, link_faults: Vec<HostLinkFault>) {
        let mut host = PveHost::new("n1", PveHostSpec::default());
        host.status = Some(PveHostStatus { link_faults, ..PveHostStatus::default() });
        agent.wanted(Wanted::Host(Box::new(host)));
    }

    async fn look(agent: &mut Agent, later: Duration) -> Vec<HostLinkFault> {
        tokio::time::advance(later).await;
        agent.look().unwrap();
        agent.keep_links();
        while agent.links.as_ref().is_some_and(|work| work.answer.is_some()) {
            std::thread::sleep(Duration::from_millis(1));
            agent.keep_links();
        }
        agent.link_faults()
    }

    /// A hundred pings more on link 1 to n3, of which so many are lost.
    fn ping(fake: &FakeHost, lost: u64) {
        let mut world = fake.world();
        let pings = world.pings.entry((node(3), link(1))).or_insert(Pings {
            average_us: 100,
            samples: 100,
            ..Pings::default()
        });
        pings.sent += 100;
        pings.answered += 100 - lost;
    }

    fn fault(class: Told) -> HostLinkFault {
        HostLinkFault { link: 1, node_id: 3, class, message: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_loses_packets_is_told_after_two_whiles_and_no_sooner_taken_back() {
        let (fake, mut agent) = member(TEXT);
        ping(&fake, 0);
        assert_eq!(look(&mut agent, Duration::ZERO).await, []);
        ping(&fake, 5);
        assert_eq!(look(&mut agent, LOOK).await, []);
        ping(&fake, 5);
        assert_eq!(look(&mut agent, LOOK / 2).await, [], "not yet time to look");
        assert_eq!(look(&mut agent, LOOK).await, [fault(Told::Lossy)]);
        for _ in 0..4 {
            ping(&fake, 0);
            assert_eq!(look(&mut agent, LOOK).await, [fault(Told::Lossy)]);
        }
        ping(&fake, 0);
        assert_eq!(look(&mut agent, LOOK).await, []);
        assert!(fake.world().asked.is_empty(), "no process at rest");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_agent_goes_on_with_what_was_told_and_broken_is_only_what_is_not_connected() {
        let (fake, mut agent) = member(TEXT);
        let broken = HostLinkFault { link: 0, ..fault(Told::Broken) };
        told_before(&mut agent, vec![fault(Told::Slow), broken]);
        assert_eq!(look(&mut agent, Duration::ZERO).await, [fault(Told::Slow)]);
        fake.world().links.insert((node(3), link(1)), false);
        assert_eq!(look(&mut agent, Duration::ZERO).await, [fault(Told::Broken)]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_node_answers_and_the_link_stays_down_the_rule_is_told_until_it_is_up() {
        let (fake, mut agent) = member(TEXT);
        fake.world().others = [node(2), node(3)].into();
        fake.world().links.insert((node(3), link(1)), false);
        fake.world().links.insert((node(2), link(0)), false);
        fake.world().silent.insert("10.0.0.2".parse().unwrap());
        assert_eq!(look(&mut agent, Duration::ZERO).await[1].message, None);
        assert!(fake.world().asked.is_empty(), "it may be up in a moment");
        let faults = look(&mut agent, PATIENCE).await;
        assert_eq!(faults[0].message, None, "nobody answers there");
        let said = faults[1].message.clone().unwrap();
        assert!(said.starts_with("n3 answers echo requests at 10.1.0.3, and corosync"), "{said}");
        assert!(said.contains("UDP port 5406"), "{said}");
        assert!(!said.contains("does not run"), "n3 is a member: {said}");
        assert_eq!(look(&mut agent, PATIENCE).await, faults);
        assert_eq!(fake.world().asked.len(), 2, "asked once");
        fake.world().others = [node(2)].into();
        let said = look(&mut agent, AGAIN).await[1].message.clone().unwrap();
        assert!(said.contains("corosync does not run there, or"), "{said}");
        fake.world().links.insert((node(3), link(1)), true);
        assert_eq!(look(&mut agent, Duration::ZERO).await.len(), 1);
    }
}
