//! The part of the loop that measures the ways to all members once, each time that `spec.measure` is counted up.

use std::collections::BTreeMap;

use futures::FutureExt;
use pvecm_core::conf::Config;
use pvecm_core::fitness::{Limits, LinkClass, Measured};
use pvecm_core::ids::LinkNumber;
use pvecm_crds::host::{DuplicateAddress, HostMeasured, MeasuredWay};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{Receiver, channel};

use super::Agent;
use crate::host_ports::Host;
use crate::ports::{CardAddress, CorosyncView};
use crate::ways::{Ask, asks, measured, own_new};

/// What was measured, and what is being measured.
#[derive(Debug, Default)]
pub(super) struct MeasureWork {
    told: Option<HostMeasured>,
    answer: Option<Receiver<HostMeasured>>,
}

/// What a measurement needs to know.
struct Task {
    request: i64,
    config: Option<Config>,
    asks: Vec<Ask>,
    cards: Vec<CardAddress>,
    corosync: Option<CorosyncView>,
    limits: BTreeMap<LinkNumber, Limits>,
}

impl Agent {
    /// Measures what is asked for and not told yet.
    pub(super) fn keep_measured(&mut self) {
        let Some(host) = &self.wanted_host else { return };
        let request = host.spec.measure;
        let before = host.status.as_ref().and_then(|status| status.measured.as_ref());
        if let Some(answer) = &mut self.measuring.answer {
            match answer.try_recv() {
                Ok(found) => self.measuring = MeasureWork { told: Some(found), answer: None },
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Closed) => self.measuring.answer = None,
            }
        }
        let told = self.measuring.told.get_or_insert_with(|| before.cloned().unwrap_or_default());
        if told.request == request {
            return;
        }
        let config = self.config();
        let all = config.as_ref().zip(self.me()).map(|(config, me)| asks(config, None, me));
        let task = Task {
            request,
            config,
            asks: all.unwrap_or_default(),
            cards: self.seen.addresses.clone(),
            corosync: self.seen.corosync.clone(),
            limits: self.limits(),
        };
        let (tell, answer) = channel();
        self.measuring.answer = Some(answer);
        let host = self.host.clone();
        let job = async move {
            // Nobody listens any more only while the program ends.
            let _ = tell.send(task.measure(&host));
        };
        self.host.workers.spawn(job.boxed());
    }

    /// What was measured last, as it is told.
    pub(super) fn measured(&self) -> Option<HostMeasured> {
        self.measuring.told.clone().filter(|told| told.request > 0)
    }
}

impl Task {
    fn measure(self, host: &Host) -> HostMeasured {
        let found = measured(host, &self.asks, &self.cards);
        let own = own_new(&self.asks, &self.cards, None);
        let ways: Vec<_> = own.iter().map(|(_, way)| *way).collect();
        let claimed = host.network.survey(&[], &ways).claimed;
        let duplicates = own.iter().zip(claimed).filter_map(|((ask, _), claimed)| {
            let message = match claimed {
                Ok(None) => return None,
                Ok(Some(card)) => format!("another machine has it too, whose card is {card}"),
                Err(why) => format!("another machine may have it too: {why}"),
            };
            let (link, address) = (i32::from(ask.link.get()), ask.own.clone());
            Some(DuplicateAddress { link, address, message: limited(&message) })
        });
        HostMeasured {
            request: self.request,
            ways: self
                .asks
                .iter()
                .zip(found)
                .take(512)
                .map(|(ask, way)| self.told(ask, way))
                .collect(),
            duplicates: duplicates.take(8).collect(),
        }
    }

    fn told(&self, ask: &Ask, found: Result<Measured, String>) -> MeasuredWay {
        let limits = self.limits.get(&ask.link).copied().unwrap_or_default();
        let (link, node_id) = (i32::from(ask.link.get()), i64::from(ask.node.get()));
        let at = MeasuredWay { link, node_id, ..MeasuredWay::default() };
        let measured = match found {
            Ok(measured) => measured,
            Err(why) => return MeasuredWay { message: Some(limited(&why)), ..at },
        };
        let blocked = self.blocked(ask, &measured);
        let class = if blocked.is_some() { LinkClass::Broken } else { measured.class(limits) };
        let figure = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let trips = measured.round_trips();
        let message = match blocked {
            None if measured.is_silent() => Some(format!("nobody answers at {}", ask.address)),
            None => measured.unfit(limits),
            blocked => blocked,
        };
        MeasuredWay {
            class: class.into(),
            p50_micros: trips.map(|trips| figure(trips.median_us)),
            p99_micros: trips.map(|trips| figure(trips.p99_us)),
            worst_micros: trips.map(|trips| figure(trips.worst_us)),
            loss_per_mille: Some(figure(measured.lost_per_mille())),
            path_mtu_bytes: measured.large.and_then(|large| large.passes).map(figure),
            message: message.as_deref().map(limited),
            ..at
        }
    }

    /// Echo requests come back, and corosync is not connected.
    fn blocked(&self, ask: &Ask, measured: &Measured) -> Option<String> {
        let (corosync, config) = self.corosync.as_ref().zip(self.config.as_ref())?;
        let is_down = corosync.links.get(&(ask.node, ask.link)) == Some(&false);
        let is_blocked = is_down && corosync.has_links() && !measured.is_silent();
        let passage = || ask.passage(config, &self.cards);
        let is_member = corosync.members.contains(&ask.node);
        is_blocked.then(|| passage().blocked(&ask.name, is_member))
    }
}

fn limited(sentence: &str) -> String {
    sentence.chars().take(1024).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use pvecm_crds::host::{HostCluster, LinkClass as Told, PveHostStatus};
    use pvecm_crds::{PveHost, PveHostSpec};

    use super::*;
    use crate::agent::links::tests::{TEXT, link, member, node};
    use crate::api::Wanted;
    use crate::fake::FakeHost;

    /// Asks, and waits for what is found.
    fn asked(agent: &mut Agent, measure: i64, status: PveHostStatus) -> Option<HostMeasured> {
        let spec = PveHostSpec { measure, ..PveHostSpec::default() };
        let mut host = PveHost::new("n1", spec);
        host.status = Some(status);
        agent.wanted(Wanted::Host(Box::new(host)));
        agent.look().unwrap();
        agent.keep_measured();
        while agent.measuring.answer.is_some() {
            std::thread::sleep(Duration::from_millis(1));
            agent.keep_measured();
        }
        agent.measured()
    }

    fn of(found: &HostMeasured, at: (i32, i64)) -> &MeasuredWay {
        found.ways.iter().find(|way| (way.link, way.node_id) == at).unwrap()
    }

    #[test]
    fn each_step_of_the_counter_measures_every_way_once() {
        let (fake, mut agent) = member(TEXT);
        assert_eq!(asked(&mut agent, 0, PveHostStatus::default()), None);
        assert!(fake.world().asked.is_empty(), "nobody asked for it");
        let found = asked(&mut agent, 1, PveHostStatus::default()).unwrap();
        assert_eq!((found.request, found.ways.len()), (1, 4));
        let wanted = MeasuredWay {
            link: 1,
            node_id: 3,
            class: Told::Good,
            p50_micros: Some(100),
            p99_micros: Some(100),
            worst_micros: Some(100),
            loss_per_mille: Some(0),
            path_mtu_bytes: None,
            message: None,
        };
        assert_eq!(of(&found, (1, 3)), &wanted);
        asked(&mut agent, 1, PveHostStatus::default());
        assert_eq!(fake.world().asked.len(), 4);
        assert_eq!(asked(&mut agent, 2, PveHostStatus::default()).unwrap().request, 2);
        assert_eq!(fake.world().asked.len(), 8);
    }

    #[test]
    fn an_agent_that_was_started_anew_has_what_was_told_before() {
        let (fake, mut agent) = member(TEXT);
        let before = HostMeasured { request: 7, ..HostMeasured::default() };
        let status = PveHostStatus { measured: Some(before.clone()), ..PveHostStatus::default() };
        assert_eq!(asked(&mut agent, 7, status), Some(before));
        assert!(fake.world().asked.is_empty());
    }

    #[test]
    fn each_way_is_told_by_its_class_with_the_figures_and_what_is_wrong() {
        let (fake, mut agent) = member(TEXT);
        let lossy = Measured { sent: 200, round_trips_us: vec![100; 190], large: None };
        fake.world().measured.insert("10.1.0.2".parse().unwrap(), lossy);
        fake.world().silent.insert("10.1.0.3".parse().unwrap());
        let two = Ok(Some("02:00:00:00:00:07".to_owned()));
        fake.world().claimed.insert("10.0.0.1".parse().unwrap(), two);
        let found = asked(&mut agent, 1, PveHostStatus::default()).unwrap();
        let way = of(&found, (1, 2));
        assert_eq!((way.class, way.loss_per_mille), (Told::Lossy, Some(50)));
        assert_eq!(way.message.as_deref(), Some("10 of 200 packets are lost, and 1 % may be"));
        let way = of(&found, (1, 3));
        assert_eq!((way.class, way.p50_micros), (Told::Broken, None));
        assert_eq!(way.message.as_deref(), Some("nobody answers at 10.1.0.3"));
        let said = "another machine has it too, whose card is 02:00:00:00:00:07";
        assert_eq!(found.duplicates[0].message, said);

        let limits = vec![pvecm_crds::change::StageLimits {
            link: 1,
            round_trip_millis: 10,
            loss_percent: 5,
        }];
        let cluster = Some(HostCluster { limits, ..HostCluster::default() });
        let status = PveHostStatus { cluster, ..PveHostStatus::default() };
        let found = asked(&mut agent, 2, status).unwrap();
        assert_eq!(of(&found, (1, 2)).class, Told::Good, "the link may lose five");
    }

    #[test]
    fn where_echo_requests_pass_and_corosync_does_not_the_rule_is_named() {
        let (fake, mut agent) = member(TEXT);
        fake.world().links.insert((node(3), link(1)), false);
        fake.world().others = [node(2), node(3)].into();
        let found = asked(&mut agent, 1, PveHostStatus::default()).unwrap();
        let way = of(&found, (1, 3));
        assert_eq!((way.class, way.p50_micros), (Told::Broken, Some(100)));
        let said = way.message.as_deref().unwrap();
        let rule = "`IN ACCEPT -p udp -dport 5405:5412 -source 10.1.0.0/24`";
        assert!(said.contains("10.1.0.1 and 10.1.0.3") && said.contains(rule), "{said}");
    }

    #[test]
    fn a_host_without_a_cluster_has_no_ways() {
        let fake = FakeHost::fresh();
        let book =
            crate::ledger::Book::open(Arc::new(crate::fake::MemoryStore::default())).unwrap();
        let key = crate::seal::SealingKey::open(&crate::fake::MemoryStore::default()).unwrap();
        let own = (crate::observe::Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
        let found = asked(&mut agent, 1, PveHostStatus::default()).unwrap();
        assert_eq!(found, HostMeasured { request: 1, ..HostMeasured::default() });
    }
}
