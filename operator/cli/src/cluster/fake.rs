//! An API server in memory: objects by path, and every write as it came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

const GROUP: &str = "/apis/pvecm.io/v1alpha1/namespaces/pve";

/// What is asked for as a whole.
const LISTS: [(&str, &str); 3] = [
    ("/pvechanges", "PveChangeList"),
    ("/pvehosts", "PveHostList"),
    ("/pveclusters", "PveClusterList"),
];

/// What the server holds and what it was sent.
#[derive(Debug, Default)]
pub struct Server {
    objects: BTreeMap<String, Value>,
    /// Query and body of each write.
    pub writes: Vec<(String, Value)>,
}

/// A server that a client and a test look at.
pub type Shared = Arc<Mutex<Server>>;

/// A server with these objects.
pub fn server(objects: &[Value]) -> Shared {
    let path = |object: &Value| {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        format!("{GROUP}/{plural}/{}", object["metadata"]["name"].as_str().unwrap())
    };
    let objects = objects.iter().map(|object| (path(object), object.clone())).collect();
    Arc::new(Mutex::new(Server { objects, writes: Vec::new() }))
}

/// A client of it.
pub fn client(server: &Shared) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap();
            let (code, answer) = server.lock().unwrap().answer(&head, &bytes);
            let status = StatusCode::from_u16(code).unwrap();
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, std::convert::Infallible>(
                Response::builder().status(status).body(body).unwrap(),
            )
        }
    });
    Client::new(service, "pve")
}

impl Server {
    fn answer(&mut self, head: &http::request::Parts, body: &[u8]) -> (u16, Value) {
        let path = head.uri.path();
        if head.method != Method::GET {
            let query = head.uri.query().unwrap_or_default().to_owned();
            self.writes.push((query, serde_json::from_slice(body).unwrap()));
        } else if let Some(kind) = LISTS.iter().find(|(plural, _)| path.ends_with(plural)) {
            let below = self.objects.iter().filter(|(at, _)| at.starts_with(path));
            let items: Vec<_> = below.map(|(_, object)| object.clone()).collect();
            let list = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": kind.1,
                              "metadata": {}, "items": items});
            return (200, list);
        }
        match self.objects.get(path) {
            Some(found) => (200, found.clone()),
            None => (
                404,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                 "code": 404, "reason": "NotFound", "message": "not found"}),
            ),
        }
    }
}

/// A cluster `prod` of n1, n2 and n3 with links 0 and 1.
pub fn cluster() -> Value {
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
           "metadata": {"name": "prod", "namespace": "pve", "uid": "u-1", "generation": 1},
           "spec": {"nodes": [{"name": "n1"}, {"name": "n2"}, {"name": "n3"}],
                    "links": [{"number": 0, "network": "10.0.0.0/24"},
                              {"number": 1, "network": "10.0.1.0/24"}]}})
}

/// A change of `prod` with one stage.
pub fn change(number: i64, risk: &str) -> Value {
    let text = "totem {\n  config_version: 8\n}\n";
    let digest = pvecm_core::ids::Digest::of(text.as_bytes()).to_string();
    let members: Vec<_> = (1..=3).map(|n| json!({"nodeId": n, "host": format!("n{n}")})).collect();
    let stage = json!({"summary": "n1, n2, n3 take link 1", "risk": risk, "course": "Write",
                       "group": members, "confirmTimeoutSeconds": 30,
                       "config": {"version": 8, "digest": digest, "text": text}});
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
           "metadata": {"name": format!("prod-{number}"), "namespace": "pve",
                        "uid": format!("c-{number}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
           "spec": {"clusterRef": {"name": "prod", "uid": "u-1"}, "number": number,
                    "plan": {"generation": 1, "summary": "Add link 1", "risk": risk,
                             "stages": [stage]}}})
}
