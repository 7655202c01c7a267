//! Whole passes against a small API server in memory: it answers reads from a map, takes
//! server-side apply as "these fields are now so", and counts the writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode, Uri};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::Reporter;
use pvecm_crds::change::Outcome;
use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde_json::{Value, json};

use super::*;
use crate::heartbeat::Heartbeats;
use crate::keys::HostKey;
use crate::leader::Leadership;
use crate::queue::Queue;
use crate::stores::Stores;

mod certificates;
mod claims;
mod dissolution;
mod elsewhere;
mod links;
mod quorum;
mod secret;
mod witness;

const GROUP: &str = "/apis/pvecm.io/v1alpha1/namespaces/pve";

#[derive(Default)]
struct Server {
    /// Path to object.
    objects: BTreeMap<String, Value>,
    /// The names in lists of clusters, by path and field manager.
    served: BTreeMap<(String, String), BTreeSet<String>>,
    writes: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter()
                .for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

impl Server {
    fn answer(&mut self, method: &Method, uri: &Uri, body: Option<Value>) -> (u16, Value) {
        let path = uri.path();
        let object = path.trim_end_matches("/status").to_owned();
        let Some(mut body) = body else {
            return match self.objects.get(path) {
                Some(found) if found["code"] == 403 => (403, found.clone()),
                Some(found) => (200, found.clone()),
                None if path.ends_with("pvechanges") => (200, self.list(path)),
                None => (404, status(404, "NotFound")),
            };
        };
        if path.contains("events.k8s.io") {
            let reason = body["reason"].as_str().unwrap();
            self.writes.push(format!("{method} {path} {reason}"));
            return (201, body);
        }
        self.writes.push(format!("{method} {path}"));
        let at = match *method {
            Method::POST => format!("{path}/{}", body["metadata"]["name"].as_str().unwrap()),
            _ => object,
        };
        if *method == Method::POST && self.objects.contains_key(&at) {
            return (409, status(409, "AlreadyExists"));
        }
        let read = &body["metadata"]["resourceVersion"];
        let now = self.objects.get(&at).map_or(&Value::Null, |o| &o["metadata"]["resourceVersion"]);
        if *method == Method::PATCH && !read.is_null() && read != now {
            return (409, status(409, "Conflict"));
        }
        let next = now.as_str().and_then(|now| now.parse::<u32>().ok()).unwrap_or(0) + 1;
        body["metadata"]["resourceVersion"] = json!(next.to_string());
        self.serve(&at, uri.query().unwrap_or_default(), &mut body);
        let held = self.objects.entry(at).or_insert_with(|| json!({}));
        if path.contains("pvechanges") && path.ends_with("/status") {
            // All of it is the operator's: what it says no more is there no more.
            held["status"] = Value::Null;
        }
        merge(held, body);
        (200, held.clone())
    }

    /// Server-side apply on the list of clusters of a witness: each manager has its own entries in it.
    fn serve(&mut self, at: &str, query: &str, body: &mut Value) {
        if !at.contains("pvehosts") {
            return;
        }
        let name_of = |entry: &Value| entry["clusterName"].as_str().unwrap_or_default().to_owned();
        let new = body["status"]["clusters"].take().as_array().cloned().unwrap_or_default();
        let manager = query.split('&').find(|pair| pair.starts_with("fieldManager")).unwrap();
        let names: BTreeSet<_> = new.iter().map(name_of).collect();
        let key = (at.to_owned(), manager.to_owned());
        let old = self.served.insert(key, names.clone()).unwrap_or_default();
        let held = self.objects.get(at).map(|object| object["status"]["clusters"].clone());
        let mut all = held.and_then(|held| held.as_array().cloned()).unwrap_or_default();
        all.retain(|entry| !names.contains(&name_of(entry)) && !old.contains(&name_of(entry)));
        all.extend(new);
        body["status"]["clusters"] = json!(all);
    }

    fn list(&self, path: &str) -> Value {
        let below = self.objects.iter().filter(|(at, _)| at.starts_with(&format!("{path}/")));
        let items: Vec<_> = below.map(|(_, object)| object.clone()).collect();
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChangeList", "metadata": {},
               "items": items})
    }

    fn put(&mut self, plural: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.objects.insert(format!("{GROUP}/{plural}/{name}"), object);
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
           "reason": reason, "message": reason})
}

fn client(server: &Shared) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap();
            let body = (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).unwrap());
            let (code, answer) = server.lock().unwrap().answer(&head.method, &head.uri, body);
            let answer = Response::builder()
                .status(StatusCode::from_u16(code).unwrap())
                .body(Body::from(serde_json::to_vec(&answer).unwrap()));
            Ok::<_, std::convert::Infallible>(answer.unwrap())
        }
    });
    Client::new(service, "pve")
}

fn cluster() -> Value {
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
           "metadata": {"name": "prod", "namespace": "pve", "uid": "u-1", "generation": 1,
                        "resourceVersion": "5"},
           "spec": {"nodes": [{"name": "n1"}], "links": [{"number": 0, "network": "10.0.0.0/24"}]}})
}

fn host(name: &str) -> Value {
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
           "metadata": {"name": name, "namespace": "pve", "resourceVersion": "7"},
           "spec": {},
           "status": {"hostname": name, "sealingKey": "age1x", "ledger": {"highestChange": 41},
                      "pmxcfs": {"mounted": true, "writable": true},
                      "addresses": [{"interface": "eth0", "cidr": "10.0.0.1/24"}]}})
}

/// The copies that the watches would hold: what the server has at this moment.
fn context(server: &Shared, leadership: Leadership) -> Arc<Context> {
    hearing(server, leadership, false)
}

/// One that its host has renewed.
fn lease() -> Lease {
    serde_json::from_value(json!({"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})).unwrap()
}

/// With `just_started` the host's Lease is known and has not moved yet.
fn hearing(server: &Shared, leadership: Leadership, just_started: bool) -> Arc<Context> {
    let held = server.lock().unwrap();
    let of = |plural: &str| {
        let at = format!("{GROUP}/{plural}/");
        let found = held.objects.iter().filter(move |(path, _)| path.starts_with(&at));
        found.map(|(_, object)| object.clone()).collect::<Vec<_>>()
    };
    let stores = Stores::of(
        of("pveclusters").into_iter().map(|o| serde_json::from_value(o).unwrap()).collect(),
        of("pvehosts").into_iter().map(|o| serde_json::from_value(o).unwrap()).collect(),
        of("pvechanges").into_iter().map(|o| serde_json::from_value(o).unwrap()).collect(),
    );
    drop(held);
    let beats = Heartbeats::default();
    for name in ["n1", "n2", "w1"] {
        beats.saw(&HostKey::new("pve", name), &lease(), just_started);
    }
    let client = client(server);
    let reporter = Reporter { controller: "test".to_owned(), instance: None };
    Context::new(
        (client, leadership),
        (reporter, Box::new(jiff::Timestamp::now)),
        Arc::new(stores),
        (Arc::new(beats), Queue::new().1),
    )
}

/// One pass with fresh copies; the writes that it made.
async fn pass(server: &Shared) -> Vec<String> {
    server.lock().unwrap().writes.clear();
    let key = ClusterKey::new("pve", "prod");
    reconcile(key, context(server, Leadership::always())).await;
    let writes = server.lock().unwrap().writes.clone();
    writes.into_iter().filter(|write| !write.contains("events")).collect()
}

/// The reasons of the events that the last pass sent.
fn told(server: &Shared) -> Vec<String> {
    let events = server.lock().unwrap().writes.clone();
    let events = events.iter().filter(|write| write.contains("events"));
    events.filter_map(|event| Some(event.rsplit_once(' ')?.1.to_owned())).collect()
}

fn object<K: serde::de::DeserializeOwned>(server: &Shared, path: &str) -> Option<K> {
    let found = server.lock().unwrap().objects.get(&format!("{GROUP}/{path}")).cloned();
    found.map(|object| serde_json::from_value(object).unwrap())
}

fn world() -> Shared {
    let server = Shared::default();
    server.lock().unwrap().put("pveclusters", cluster());
    server.lock().unwrap().put("pvehosts", host("n1"));
    server
}

#[tokio::test]
async fn a_cluster_goes_from_a_free_host_to_a_released_stage_one_effect_at_a_time() {
    let server = world();
    let status = format!("PATCH {GROUP}/pveclusters/prod/status");
    let claimed = pass(&server).await;
    assert_eq!(claimed, [format!("PATCH {GROUP}/pvehosts/n1/status"), status.clone()]);
    let host: PveHost = object(&server, "pvehosts/n1").unwrap();
    assert_eq!(host.status.unwrap().cluster.unwrap().uid, "u-1");

    let created = pass(&server).await;
    assert_eq!(created[0], format!("POST {GROUP}/pvechanges"));
    // The host's ledger knows numbers up to 41: a restored control plane must not use one again.
    let change: PveChange = object(&server, "pvechanges/prod-42").unwrap();
    assert_eq!(change.metadata.owner_references.unwrap()[0].block_owner_deletion, Some(false));

    let released = pass(&server).await;
    assert!(released.contains(&format!("PATCH {GROUP}/pvechanges/prod-42/status")), "{released:?}");
    let change: PveChange = object(&server, "pvechanges/prod-42").unwrap();
    assert_eq!(change.status.unwrap().released_stage, 1);
    assert_eq!(change.metadata.finalizers.unwrap(), [IN_FLIGHT]);
}

#[tokio::test]
async fn a_second_identical_pass_writes_nothing() {
    let server = world();
    for _ in 0..5 {
        pass(&server).await;
    }
    assert_eq!(pass(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_spec_that_breaks_a_rule_stalls_and_touches_no_host() {
    let server = world();
    let mut wanted = cluster();
    let link = |number: u8| json!({"number": number, "network": "10.0.0.0/24"});
    wanted["spec"]["links"] = json!([link(0), link(1)]);
    server.lock().unwrap().put("pveclusters", wanted);
    assert_eq!(pass(&server).await, [format!("PATCH {GROUP}/pveclusters/prod/status")]);
    let cluster: PveCluster = object(&server, "pveclusters/prod").unwrap();
    let conditions = cluster.status.unwrap().conditions;
    assert_eq!(conditions.len(), 8);
    let stalled = conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "InvalidSpec"));
    assert!(stalled.message.contains("10.0.0.0/24"), "{}", stalled.message);
}

#[tokio::test]
async fn a_paused_cluster_claims_and_creates_nothing() {
    let server = world();
    let mut wanted = cluster();
    wanted["spec"]["rollout"] = json!({"paused": true});
    server.lock().unwrap().put("pveclusters", wanted);
    assert_eq!(pass(&server).await, [format!("PATCH {GROUP}/pveclusters/prod/status")]);
    assert_eq!(pass(&server).await, Vec::<String>::new());
}

/// Under manual approval, with the first change created and waiting.
async fn waiting() -> Shared {
    let server = world();
    let mut wanted = cluster();
    wanted["spec"]["rollout"] = json!({"approval": "Manual"});
    server.lock().unwrap().put("pveclusters", wanted);
    for _ in 0..3 {
        pass(&server).await;
    }
    server
}

fn edit(server: &Shared, path: &str, edit: impl FnOnce(&mut Value)) {
    edit(server.lock().unwrap().objects.get_mut(&format!("{GROUP}/{path}")).unwrap());
}

fn first_change(server: &Shared) -> pvecm_crds::PveChangeStatus {
    object::<PveChange>(server, "pvechanges/prod-42").unwrap().status.unwrap_or_default()
}

#[tokio::test]
async fn under_manual_approval_a_change_is_created_and_waits_and_the_condition_says_how_to_go_on() {
    let server = waiting().await;
    assert_eq!(first_change(&server).released_stage, 0);
    let cluster: PveCluster = object(&server, "pveclusters/prod").unwrap();
    let conditions = cluster.status.unwrap().conditions;
    for kind in ["Ready", "Reconciling"] {
        let found = conditions.iter().find(|c| c.type_ == kind).unwrap();
        assert_eq!(found.reason, "WaitingForApproval", "{kind}");
        for part in ["prod-42", "Live", "nobody is interrupted", "pvecm approve prod-42 -n pve"] {
            assert!(found.message.contains(part), "no `{part}` in: {}", found.message);
        }
    }
    assert_eq!(pass(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn that_a_change_waits_for_approval_is_told_once() {
    let server = waiting().await;
    assert_eq!(told(&server), ["WaitingForApproval"]);
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["drift"] = json!([{"key": "totem.token", "pmxcfs": "5", "running": "4"}]);
    });
    pass(&server).await;
    assert_eq!(told(&server), ["Drifted"], "the status is another one, what waits is not");
}

#[tokio::test]
async fn an_approved_change_begins() {
    let server = waiting().await;
    edit(&server, "pvechanges/prod-42", |change| change["spec"]["approved"] = json!(true));
    pass(&server).await;
    assert_eq!(first_change(&server).released_stage, 1);
}

#[tokio::test]
async fn a_rollout_that_no_longer_asks_supersedes_what_waits_and_begins_anew_by_itself() {
    let server = waiting().await;
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["rollout"]["approval"] = json!("Automatic");
        cluster["metadata"]["generation"] = json!(2);
    });
    for _ in 0..4 {
        pass(&server).await;
    }
    assert_eq!(first_change(&server).outcome, Some(Outcome::Superseded));
    let next: PveChange = object(&server, "pvechanges/prod-43").unwrap();
    assert_eq!(next.status.unwrap().released_stage, 1);
}

#[tokio::test]
async fn an_approved_change_that_the_guards_would_no_longer_let_through_does_not_begin() {
    let server = waiting().await;
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["addresses"][0]["cidr"] = json!("10.0.0.9/24");
    });
    edit(&server, "pvechanges/prod-42", |change| change["spec"]["approved"] = json!(true));
    pass(&server).await;
    let status = first_change(&server);
    assert_eq!((status.released_stage, status.outcome), (0, Some(Outcome::Superseded)));
    assert!(status.message.unwrap().contains("10.0.0.1"));
}

#[tokio::test]
async fn an_approved_change_waits_while_a_host_is_not_what_it_was_made_for() {
    let server = waiting().await;
    edit(&server, "pvechanges/prod-42", |change| change["spec"]["approved"] = json!(true));
    edit(&server, "pvehosts/n1", |host| host["status"]["running"] = json!({"configVersion": 0}));
    pass(&server).await;
    let status = first_change(&server);
    assert_eq!((status.released_stage, status.outcome), (0, None));
    let cluster: PveCluster = object(&server, "pveclusters/prod").unwrap();
    let conditions = cluster.status.unwrap().conditions;
    let stalled = conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "ViewNotSound"));

    edit(&server, "pvehosts/n1", |host| {
        host["status"].as_object_mut().unwrap().remove("running");
    });
    pass(&server).await;
    assert_eq!(first_change(&server).released_stage, 1);
}

#[tokio::test]
async fn a_replica_without_the_lease_writes_nothing() {
    let server = world();
    let key = ClusterKey::new("pve", "prod");
    reconcile(key, context(&server, Leadership::never())).await;
    assert_eq!(server.lock().unwrap().writes, Vec::<String>::new());
}

#[tokio::test]
async fn the_change_of_a_deleted_cluster_ends_and_lets_go() {
    let server = world();
    for _ in 0..2 {
        pass(&server).await;
    }
    server.lock().unwrap().objects.remove(&format!("{GROUP}/pveclusters/prod"));
    pass(&server).await;
    let change: PveChange = object(&server, "pvechanges/prod-42").unwrap();
    assert_eq!(change.outcome(), Some(Outcome::Superseded));
}

#[tokio::test]
async fn a_restarted_operator_leaves_the_status_as_it_is_until_it_has_heard_the_hosts() {
    let server = world();
    for _ in 0..5 {
        pass(&server).await;
    }
    server.lock().unwrap().writes.clear();
    let key = ClusterKey::new("pve", "prod");
    reconcile(key, hearing(&server, Leadership::always(), true)).await;
    assert_eq!(server.lock().unwrap().writes, Vec::<String>::new());
}

#[tokio::test]
async fn drift_is_told_once_with_key_and_host_and_shown_until_it_is_over() {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["rollout"] = json!({"paused": true});
    });
    pass(&server).await;
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["drift"] = json!([{"key": "totem.token", "pmxcfs": "5", "running": "4"}]);
    });
    pass(&server).await;
    assert_eq!(told(&server), ["Drifted"]);
    let status = object::<PveCluster>(&server, "pveclusters/prod").unwrap().status.unwrap();
    let row = &status.drift[0];
    assert_eq!((row.key.as_str(), row.hosts.as_slice()), ("totem.token", &["n1".to_owned()][..]));
    let drifted = status.conditions.iter().find(|c| c.type_ == "Drifted").unwrap();
    assert_eq!(drifted.status, "True");
    assert!(drifted.message.contains("totem.token on n1"), "{}", drifted.message);
    assert_eq!(pass(&server).await, Vec::<String>::new());
    assert!(told(&server).is_empty());
}

/// n1, claimed by a cluster with this UID, whose spec names another host.
fn left_out(uid: &str) -> Shared {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| cluster["spec"]["nodes"] = json!([{"name": "n2"}]));
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": uid});
    });
    server
}

#[tokio::test]
async fn a_host_that_the_spec_names_no_more_is_let_go_once_it_has_nothing_of_a_cluster() {
    let let_go = format!("PATCH {GROUP}/pvehosts/n1/status");
    let server = left_out("u-1");
    let key = ClusterKey::new("pve", "prod");
    let again = reconcile(key, context(&server, Leadership::always())).await.unwrap();
    assert!(server.lock().unwrap().writes.contains(&let_go));
    assert!(again.as_secs() <= 1, "its news are nobody's now: {again:?}");
    let server = left_out("u-1");
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["files"] = json!({"disk": {"version": 3, "digest": digest("")}});
    });
    assert!(!pass(&server).await.contains(&let_go), "it may still have to be removed");
    let server = left_out("u-1");
    let mut member = host("n2");
    let text = "totem {\n  version: 2\n  cluster_name: prod\n  config_version: 3\n}\n\
                quorum {\n  provider: corosync_votequorum\n}\nnodelist {\n\
                node {\n  name: n1\n  nodeid: 1\n  ring0_addr: 10.0.0.1\n}\n}\n";
    member["status"]["files"] =
        json!({"pmxcfs": {"version": 3, "digest": digest(text), "text": text}});
    server.lock().unwrap().put("pvehosts", member);
    assert!(!pass(&server).await.contains(&let_go), "its vote is missing as long as it is listed");
}

fn digest(text: &str) -> String {
    pvecm_core::ids::Digest::of(text.as_bytes()).to_string()
}

#[tokio::test]
async fn a_host_that_obeys_an_earlier_cluster_of_this_name_is_nobody_to_remove() {
    assert!(!pass(&left_out("u-0")).await.contains(&format!("PATCH {GROUP}/pvehosts/n1/status")));
}
