//! The production operator: leader lease, stores, reconcile, as [`pvecm_operator::run`] puts them
//! together, on the simulated API server and in an order that repeats.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::runtime::events::Reporter;
use kube::runtime::watcher::Event;
use pvecm_operator::access::MANAGER;
use pvecm_operator::context::Context;
use pvecm_operator::heartbeat::Heartbeats;
use pvecm_operator::keys::ClusterKey;
use pvecm_operator::leader::{Claim, LEASE, LeaseTimes};
use pvecm_operator::queue::Queue;
use pvecm_operator::run::start_over;
use pvecm_operator::stores::{Intake, News, intakes};
use pvecm_operator::{hosts, reconcile};
use serde::Deserialize;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::api::{Kind, Typed, Watch, service};
use crate::world::{Crash, OperatorProcess, Shared};

/// The lease's times, as the flags have them by default.
const TIMES: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

/// Keeps so many operators running, as a Deployment does.
pub async fn keep_running(shared: Shared) {
    loop {
        let missing = shared.with(|world| {
            let running = world.operators.iter().enumerate();
            running.filter(|(_, process)| process.is_none()).map(|(at, _)| at).collect::<Vec<_>>()
        });
        for index in missing {
            start(&shared, index);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Whose requests die with it.
#[derive(Debug, Clone)]
struct Caller {
    shared: Shared,
    index: usize,
    life: u64,
}

impl crate::api::Caller for Caller {
    fn may_die(&self) {
        let Self { shared, index, life } = self;
        let dead = shared.with(|world| {
            let chance = world.rates.operator_crash;
            if world.operates(*index, *life) && chance > 0 && world.dice.chance(chance) {
                world.kill_operator(*index);
            }
            !world.operates(*index, *life)
        });
        if dead {
            std::panic::resume_unwind(Box::new(Crash));
        }
    }

    fn writes(&self) {
        let identity = identity(self.life);
        self.shared.with(|world| world.watch_leader(&identity));
    }
}

fn identity(life: u64) -> String {
    format!("operator-{life}")
}

fn start(shared: &Shared, index: usize) {
    let life = shared.with(|world| {
        let life = world.next_number();
        world.note("operator starts", index, || life.to_string());
        world.operators[index] = Some(OperatorProcess { life, tasks: Vec::new() });
        life
    });
    let caller = Caller { shared: shared.clone(), index, life };
    let client = Client::new(service(shared.clone(), caller), crate::api::NAMESPACE);
    let identity = identity(life);
    let (mut claim, leadership) = Claim::new(client.clone(), "pve", identity.clone(), TIMES);
    let (cluster_queue, clusters) = Queue::new();
    let (host_queue, host_triggers) = Queue::new();
    let beats = Arc::new(Heartbeats::default());
    let news = News { clusters: clusters.clone(), hosts: host_triggers, beats: beats.clone() };
    let (stores, intakes) = intakes(1, &news);
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity) };
    let world = shared.clone();
    let time = Box::new(move || world.with(|world| world.time()));
    let own = (client, leadership.clone());
    let context = Context::new(own, (reporter, time), stores, (beats, clusters));
    let (of_clusters, of_hosts) = (context.clone(), context.clone());
    let own = || (shared.clone(), index);
    let passes = cluster_passes(own(), cluster_queue, of_clusters);
    let of = |part: &'static str| (shared.clone(), index, part);
    let tasks = [
        spawn(of("lease"), async move { claim.keep(std::future::pending()).await }),
        spawn(of("watches"), feed(shared.clone(), intakes)),
        spawn(of("start over"), start_over(leadership, news, context)),
        spawn(of("clusters"), passes),
        spawn(of("hosts"), serve(own(), host_queue, move |key| hosts::pass(key, of_hosts.clone()))),
    ];
    shared.with(|world| {
        if let Some(process) = &mut world.operators[index] {
            process.tasks = tasks.into();
        }
    });
}

/// Runs one part; one that panics is a defect of ours.
fn spawn(
    (shared, index, part): (Shared, usize, &'static str),
    work: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let task = tokio::spawn(work);
    let handle = task.abort_handle();
    tokio::spawn(async move {
        let why = task.await.err().and_then(|error| error.try_into_panic().ok());
        if why.is_some_and(|why| !why.is::<Crash>()) {
            shared.with(|world| world.broken(format!("operator {index} panicked: {part}")));
        }
    });
    handle
}

async fn cluster_passes(of: (Shared, usize), queue: Queue<ClusterKey>, context: Arc<Context>) {
    serve(of, queue, move |key| reconcile::reconcile(key, context.clone())).await;
}

/// Runs passes one after the other, the object with the lowest name first of those that are due.
async fn serve<K, W, F>((shared, index): (Shared, usize), mut queue: Queue<K>, work: W)
where
    K: Ord + Clone + Debug + std::hash::Hash + std::fmt::Display + Send + Unpin + 'static,
    W: Fn(K) -> F,
    F: Future<Output = Option<Duration>>,
{
    let mut due: BTreeMap<K, Instant> = BTreeMap::new();
    loop {
        let next = due.values().min().copied();
        let sleep = tokio::time::sleep_until(next.unwrap_or_else(Instant::now));
        tokio::select! {
            biased;
            asked = queue.asked() => {
                let Some((key, at)) = asked else { return };
                // News come in handfuls: one pass is enough for those of a moment.
                let at = at + Duration::from_millis(20);
                due.entry(key).and_modify(|known| *known = at.min(*known)).or_insert(at);
            }
            () = sleep, if next.is_some() => {
                let now = Instant::now();
                let ready: Vec<K> =
                    due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
                for key in ready {
                    due.remove(&key);
                    let wait = work(key.clone()).await;
                    shared.with(|world| world.note("pass", index, || format!("{key} {wait:?}")));
                    if let Some(wait) = wait {
                        let at = Instant::now() + wait;
                        due.entry(key).and_modify(|known| *known = at.min(*known)).or_insert(at);
                    }
                }
            }
        }
    }
}

/// Hands what changed to the stores, as the watches do: late, and everything at last. Now and then a
/// watch breaks and begins with a list again.
async fn feed(shared: Shared, mut intakes: Vec<Intake>) {
    let news = shared.with(|world| world.api.news(Watch::All));
    let mut known = 0;
    let Some(intake) = intakes.first_mut() else { return };
    loop {
        let (wait, relist) = shared.with(|world| {
            let slow = world.dice.chance(world.rates.api_slow);
            let wait = if slow { world.dice.below(15_000) } else { world.dice.between(1, 30) };
            (wait, known == 0 || (world.rates.api > 0 && world.dice.chance(5)))
        });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (version, changed) =
            shared.with(|world| world.api.since(if relist { 0 } else { known }));
        known = version;
        if relist {
            list(&shared, intake, changed);
        } else {
            for (kind, name) in changed {
                pass_on(&shared, intake, (kind, name));
            }
        }
        news.notified().await;
    }
}

fn list(shared: &Shared, intake: &mut Intake, changed: Vec<(Kind, String)>) {
    intake.clusters.take(Event::Init);
    intake.hosts.take(Event::Init);
    intake.changes.take(Event::Init);
    for (kind, name) in changed {
        match shared.with(|world| world.api.typed(kind, &name)) {
            Some(Typed::Cluster(cluster)) => {
                intake.clusters.take(Event::InitApply((*cluster).clone()));
            }
            Some(Typed::Host(host)) => intake.hosts.take(Event::InitApply((*host).clone())),
            Some(Typed::Change(change)) => {
                intake.changes.take(Event::InitApply((*change).clone()));
            }
            Some(Typed::None) => {
                if let Some(lease) = lease(shared, &name) {
                    intake.beats.take(&Event::InitApply(lease));
                }
            }
            None => {}
        }
    }
    intake.clusters.take(Event::InitDone);
    intake.hosts.take(Event::InitDone);
    intake.changes.take(Event::InitDone);
}

fn pass_on(shared: &Shared, intake: &mut Intake, (kind, name): (Kind, String)) {
    match shared.with(|world| world.api.typed(kind, &name)) {
        Some(Typed::Cluster(cluster)) => intake.clusters.take(Event::Apply((*cluster).clone())),
        Some(Typed::Host(host)) => intake.hosts.take(Event::Apply((*host).clone())),
        Some(Typed::Change(change)) => intake.changes.take(Event::Apply((*change).clone())),
        Some(Typed::None) => {
            if let Some(lease) = lease(shared, &name) {
                intake.beats.take(&Event::Apply(lease));
            }
        }
        None if kind == Kind::Change => {
            if let Some(change) = shared.with(|world| world.api.grave(&name)) {
                intake.changes.take(Event::Delete(change));
            }
        }
        None => {
            if let Some(cluster) = shared.with(|world| world.api.grave(&name)) {
                intake.clusters.take(Event::Delete(cluster));
            }
        }
    }
}

/// A host's heartbeat; the leader's lease is none.
fn lease(shared: &Shared, name: &str) -> Option<Lease> {
    if name == LEASE {
        return None;
    }
    shared.with(|world| {
        let object = world.api.get(Kind::Lease, name)?;
        Lease::deserialize(&*object.value).ok()
    })
}
