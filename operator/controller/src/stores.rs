//! What the watches brought: a warm copy of the objects served, on every replica.
//!
//! Good enough to see that something is to be done; whatever is irreversible is read again from the
//! server first. Triggers come after the copy has the new object, and after a list is complete, so
//! that no pass works with an older object than the one that started it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use pvecm_crds::{CLUSTER_LABEL, PveChange, PveCluster, PveHost};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::Kind;
use crate::heartbeat::Heartbeats;
use crate::keys::{ClusterKey, HostKey};
use crate::queue::Triggers;

/// A dead watch is noticed after so many seconds and five more; kube's own choice is 290.
const WATCH_SECONDS: u32 = 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// kube's own backoff, cut at five seconds. An API server that comes back answers the first watches
/// with "expired", and hosts would count as silent until their Leases are watched again.
#[derive(Default)]
struct Soon(DefaultBackoff);

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The objects served, one store per namespace, or one for all of them.
#[derive(Debug, Default)]
pub struct Stores {
    clusters: Vec<Store<PveCluster>>,
    hosts: Vec<Store<PveHost>>,
    changes: Vec<Store<PveChange>>,
}

fn find<K: Kind>(stores: &[Store<K>], namespace: &str, name: &str) -> Option<Arc<K>> {
    let object = ObjectRef::new(name).within(namespace);
    stores.iter().find_map(|store| store.get(&object))
}

impl Stores {
    /// Stores that hold these objects.
    #[cfg(test)]
    #[must_use]
    pub fn of(clusters: Vec<PveCluster>, hosts: Vec<PveHost>, changes: Vec<PveChange>) -> Self {
        fn filled<K: Kind + 'static>(objects: Vec<K>) -> Vec<Store<K>> {
            let (reader, mut writer) = store();
            for object in objects {
                writer.apply_watcher_event(&Event::Apply(object));
            }
            vec![reader]
        }
        Self { clusters: filled(clusters), hosts: filled(hosts), changes: filled(changes) }
    }

    /// A cluster by its name.
    #[must_use]
    pub fn cluster(&self, key: &ClusterKey) -> Option<Arc<PveCluster>> {
        find(&self.clusters, &key.namespace, &key.name)
    }

    /// The clusters of a namespace, in no order.
    #[must_use]
    pub fn clusters(&self, namespace: &str) -> Vec<Arc<PveCluster>> {
        let of = |cluster: &PveCluster| cluster.namespace().as_deref() == Some(namespace);
        self.clusters.iter().flat_map(|store| store.state_filter(of)).collect()
    }

    /// A host by its name.
    #[must_use]
    pub fn host(&self, key: &HostKey) -> Option<Arc<PveHost>> {
        find(&self.hosts, &key.namespace, &key.name)
    }

    /// The changes under a cluster's label, in no order.
    #[must_use]
    pub fn changes(&self, key: &ClusterKey) -> Vec<Arc<PveChange>> {
        let of = |change: &PveChange| cluster_of(change).as_ref() == Some(key);
        self.changes.iter().flat_map(|store| store.state_filter(of)).collect()
    }

    /// The names of the hosts that a cluster of this name has claimed.
    #[must_use]
    pub fn claimed(&self, key: &ClusterKey) -> Vec<String> {
        let ours = |host: &PveHost| {
            let claim = host.status.as_ref().and_then(|status| status.cluster.as_ref());
            host.namespace().as_deref() == Some(key.namespace.as_str())
                && claim.is_some_and(|claim| claim.name == key.name)
        };
        let found = self.hosts.iter().flat_map(|store| store.state_filter(ours));
        found.map(|host| host.name_any()).collect()
    }

    /// The names of the hosts where a cluster of this name is among those that are voted for.
    #[must_use]
    pub fn serving(&self, key: &ClusterKey, effective: &str) -> Vec<String> {
        let serves = |host: &PveHost| {
            let mut served = host.status.iter().flat_map(|status| &status.clusters);
            host.namespace().as_deref() == Some(key.namespace.as_str())
                && served.any(|served| served.cluster_name == effective)
        };
        let found = self.hosts.iter().flat_map(|store| store.state_filter(serves));
        found.map(|host| host.name_any()).collect()
    }

    /// The clusters that a host's news are for: those of which it is a member, or for which it votes.
    fn interested(&self, host: &PveHost) -> BTreeSet<ClusterKey> {
        let (namespace, name) = (host.namespace().unwrap_or_default(), host.name_any());
        let served = host.status.iter().flat_map(|status| &status.clusters);
        let served = served.map(|served| ClusterKey::new(&namespace, &served.name));
        let names = |cluster: &PveCluster| {
            cluster.namespace().as_deref() == Some(namespace.as_str())
                && cluster.spec.witness() == Some(&name)
        };
        let naming = self.clusters.iter().flat_map(|store| store.state_filter(names));
        let naming = naming.map(|cluster| cluster_key(&cluster));
        self.members_of(host).into_iter().chain(served).chain(naming).collect()
    }

    /// The cluster that a host obeys, else those that name it.
    fn members_of(&self, host: &PveHost) -> Vec<ClusterKey> {
        let namespace = host.namespace().unwrap_or_default();
        if let Some(claim) = host.status.as_ref().and_then(|status| status.cluster.as_ref()) {
            return vec![ClusterKey::new(&namespace, &claim.name)];
        }
        let name = host.name_any();
        let names = |cluster: &PveCluster| {
            cluster.namespace().as_deref() == Some(namespace.as_str())
                && cluster.spec.nodes.iter().any(|node| node.host() == name)
        };
        let found = self.clusters.iter().flat_map(|store| store.state_filter(names));
        found.map(|cluster| ClusterKey::new(&namespace, &cluster.name_any())).collect()
    }

    /// The names of all clusters and hosts; also of clusters of which only changes are left.
    pub fn everything(&self) -> (Vec<ClusterKey>, Vec<HostKey>) {
        let clusters = self.clusters.iter().flat_map(Store::state);
        let changes = self.changes.iter().flat_map(Store::state);
        let of_changes = changes.filter_map(|change| cluster_of(&change));
        let hosts = self.hosts.iter().flat_map(Store::state);
        let clusters = clusters.map(|cluster| cluster_key(&cluster)).chain(of_changes);
        (clusters.collect(), hosts.map(|host| host_key(&*host)).collect())
    }

    /// The clusters that are concerned when a host is heard again, or no longer.
    #[must_use]
    pub fn concerned(&self, key: &HostKey) -> BTreeSet<ClusterKey> {
        self.host(key).map(|host| self.interested(&host)).unwrap_or_default()
    }
}

/// The cluster whose label a change has.
fn cluster_of(change: &PveChange) -> Option<ClusterKey> {
    let name = change.labels().get(CLUSTER_LABEL)?;
    Some(ClusterKey::new(&change.namespace()?, name))
}

fn cluster_key(cluster: &PveCluster) -> ClusterKey {
    ClusterKey::new(&cluster.namespace().unwrap_or_default(), &cluster.name_any())
}

fn host_key(object: &impl ResourceExt) -> HostKey {
    HostKey::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

/// Where news go.
#[derive(Debug, Clone)]
pub struct News {
    /// Passes over clusters.
    pub clusters: Triggers<ClusterKey>,
    /// Passes over hosts.
    pub hosts: Triggers<HostKey>,
    /// The heartbeats.
    pub beats: Arc<Heartbeats>,
}

/// Counts the watches whose first list has not come yet; tells when there are none.
#[derive(Debug, Clone)]
struct Warmth {
    cold: Arc<AtomicUsize>,
    warm: watch::Sender<bool>,
}

impl Warmth {
    fn one_more(&self) {
        if self.cold.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.warm.send_replace(true);
        }
    }
}

/// Starts all watches. They run until the set is dropped; `warm` turns true once all first lists
/// have come.
#[must_use]
pub fn watch_all(
    client: &Client,
    namespaces: &[String],
    news: &News,
    warm: watch::Sender<bool>,
) -> (Arc<Stores>, JoinSet<()>) {
    let scopes: Vec<Option<&str>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|name| Some(name.as_str())).collect()
    };
    let (stores, intakes) = intakes(scopes.len(), news);
    let warmth = Warmth { cold: Arc::new(AtomicUsize::new(4 * scopes.len())), warm };
    let mut watches = JoinSet::new();
    for (scope, intake) in scopes.into_iter().zip(intakes) {
        let Intake { clusters, hosts, changes, beats } = intake;
        watches.spawn(follow(api(client, scope), (clusters, |_| ()), warmth.clone()));
        watches.spawn(follow(api(client, scope), (hosts, forget_figures), warmth.clone()));
        watches.spawn(follow(api(client, scope), (changes, |_| ()), warmth.clone()));
        watches.spawn(listen(api(client, scope), beats, warmth.clone()));
    }
    (stores, watches)
}

/// Where the events of one namespace's watches go in, or of one watch over all of them.
#[derive(Debug)]
pub struct Intake {
    /// `PveCluster` objects.
    pub clusters: Follower<PveCluster>,
    /// `PveHost` objects.
    pub hosts: Follower<PveHost>,
    /// `PveChange` objects.
    pub changes: Follower<PveChange>,
    /// The hosts' Leases.
    pub beats: Listener,
}

/// Empty stores, and where each of so many scopes fills its own.
#[must_use]
pub fn intakes(scopes: usize, news: &News) -> (Arc<Stores>, Vec<Intake>) {
    let mut stores = Stores::default();
    let mut writers = Vec::new();
    for _ in 0..scopes {
        let (clusters, hosts) = (new_store(&mut stores.clusters), new_store(&mut stores.hosts));
        writers.push((clusters, hosts, new_store(&mut stores.changes)));
    }
    let stores = Arc::new(stores);
    let intake = |(clusters, hosts, changes)| {
        let to = news.clone();
        let about_cluster = move |cluster: &PveCluster| to.clusters.now(cluster_key(cluster));
        let (to, known) = (news.clone(), stores.clone());
        let about_host = move |host: &PveHost| {
            known.interested(host).into_iter().for_each(|key| to.clusters.now(key));
            to.hosts.now(host_key(host));
        };
        let to = news.clone();
        let about_change = move |change: &PveChange| {
            if let Some(key) = cluster_of(change) {
                to.clusters.now(key);
            }
        };
        Intake {
            clusters: Follower::new(clusters, about_cluster),
            hosts: Follower::new(hosts, about_host),
            changes: Follower::new(changes, about_change),
            beats: Listener(news.clone()),
        }
    };
    let intakes = writers.into_iter().map(intake).collect();
    (stores, intakes)
}

fn new_store<K: Kind>(stores: &mut Vec<Store<K>>) -> Writer<K> {
    let (reader, writer) = store();
    stores.push(reader);
    writer
}

fn api<K: Kind>(client: &Client, scope: Option<&str>) -> Api<K> {
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The part of an object that others than the operator write: a status of our own is no news.
fn gist<K: Kind>(object: &K) -> (Option<String>, Option<i64>, bool) {
    let meta = object.meta();
    (meta.uid.clone(), meta.generation, meta.deletion_timestamp.is_some())
}

/// Keeps a store filled and says which objects moved.
pub struct Follower<K: Kind + 'static> {
    writer: Writer<K>,
    touched: Box<dyn Fn(&K) + Send>,
}

impl<K: Kind + 'static> std::fmt::Debug for Follower<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Follower({})", K::kind(&()))
    }
}

impl<K: Kind + 'static> Follower<K> {
    fn new(writer: Writer<K>, touched: impl Fn(&K) + Send + 'static) -> Self {
        Self { writer, touched: Box::new(touched) }
    }

    /// Takes in what a watch brings.
    pub fn take(&mut self, event: Event<K>) {
        let reader = self.writer.as_reader();
        let news = is_news(&event, &reader);
        self.writer.apply_watcher_event(&event);
        match event {
            Event::Apply(object) | Event::Delete(object) if news => (self.touched)(&object),
            Event::InitDone => reader.state().iter().for_each(|object| (self.touched)(object)),
            Event::Apply(_) | Event::Delete(_) | Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// What was measured on request is for people, and may be most of an object.
fn forget_figures(host: &mut PveHost) {
    if let Some(status) = &mut host.status {
        status.measured = None;
    }
}

/// Follows one watch for ever, and keeps of each object what is not pruned.
async fn follow<K: Kind + Send + Sync + 'static>(
    api: Api<K>,
    (mut follower, prune): (Follower<K>, fn(&mut K)),
    warmth: Warmth,
) {
    let watching = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS));
    let pruned = watching.backoff(Soon::default()).modify(move |object| {
        object.managed_fields_mut().clear();
        prune(object);
    });
    let mut events = pin!(pruned.filter_map(async |event| received(event)));
    let mut first = true;
    while let Some(event) = events.next().await {
        let listed = matches!(event, Event::InitDone);
        follower.take(event);
        if listed && std::mem::take(&mut first) {
            warmth.one_more();
        }
    }
}

/// A broken watch is logged; it begins again by itself.
fn received<K: Kind>(event: watcher::Result<Event<K>>) -> Option<Event<K>> {
    event
        .inspect_err(|error| {
            tracing::warn!(kind = %K::kind(&()), error = crate::chain(error), "watch broke");
        })
        .ok()
}

/// Whether an event should start a pass. The status of a cluster is our own word and no news.
fn is_news<K: Kind + 'static>(event: &Event<K>, known: &Store<K>) -> bool {
    match event {
        Event::Apply(object) if K::kind(&()) == PveCluster::kind(&()) => {
            let old = known.get(&ObjectRef::from_obj(object));
            old.is_none_or(|old| gist(&*old) != gist(object))
        }
        Event::Apply(_) | Event::Delete(_) => true,
        Event::Init | Event::InitApply(_) | Event::InitDone => false,
    }
}

/// Hears the agents' heartbeats. A Lease has the name of its host.
#[derive(Debug)]
pub struct Listener(News);

impl Listener {
    /// Takes in what the watch of the Leases brings.
    pub fn take(&mut self, event: &Event<Lease>) {
        let Self(news) = self;
        let key = match event {
            Event::Apply(lease) => {
                news.beats.saw(&host_key(lease), lease, false);
                host_key(lease)
            }
            Event::InitApply(lease) => {
                news.beats.saw(&host_key(lease), lease, true);
                host_key(lease)
            }
            Event::Delete(lease) => {
                news.beats.forget(&host_key(lease));
                host_key(lease)
            }
            Event::Init | Event::InitDone => return,
        };
        news.hosts.now(key);
    }
}

async fn listen(api: Api<Lease>, mut listener: Listener, warmth: Warmth) {
    let watching = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS));
    let mut events =
        pin!(watching.backoff(Soon::default()).filter_map(async |event| received(event)));
    let mut first = true;
    while let Some(event) = events.next().await {
        listener.take(&event);
        if matches!(event, Event::InitDone) && std::mem::take(&mut first) {
            warmth.one_more();
        }
    }
}
