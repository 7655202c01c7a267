//! The API server as the production client sees it: requests that take their time, get lost, fail,
//! are carried out twice, or are carried out although nobody hears of it.

use std::convert::Infallible;
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::Service;
use tower::service_fn;

use super::{Document, Kind, NAMESPACE, Refusal, Server, Write};
use crate::world::{Shared, World};

/// Who asks: its requests end with it.
pub trait Caller: Clone + Send + Sync + 'static {
    /// Here the process may be killed, before or after what it asked for was done.
    fn may_die(&self);
    /// A request to write begins.
    fn writes(&self);
}

/// The API server for one client.
pub fn service(
    shared: Shared,
    caller: impl Caller,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |request: Request<Body>| {
        let (shared, caller) = (shared.clone(), caller.clone());
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let call = Call::of(&head.method, &head.uri, body);
            let writes = head.method != Method::GET && call.kind != Kind::Lease;
            if writes {
                caller.may_die();
                caller.writes();
            }
            shared.with(|world| {
                world
                    .note("asks", 0, || format!("{} {:?} {:?}", call.method, call.kind, call.name));
            });
            let (code, answer) = travel(shared, call).await;
            if writes {
                caller.may_die();
            }
            let mut response = Response::new(Body::from(answer.text().to_vec()));
            *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
            Ok(response)
        }
    })
}

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    Lost,
    AnswerLost,
    Twice,
    Fails(u16),
}

impl World {
    fn fate(&mut self) -> (u64, Fate) {
        let slow = self.dice.chance(self.rates.api_slow);
        let wait = if slow { self.dice.below(9_000) } else { self.dice.between(1, 25) };
        if self.rates.api == 0 || !self.dice.chance(self.rates.api) {
            return (wait, Fate::Arrives);
        }
        let fate = match self.dice.below(6) {
            0 => Fate::Lost,
            1 => Fate::AnswerLost,
            2 => Fate::Twice,
            3 => Fate::Fails(500),
            4 => Fate::Fails(429),
            _conflict => Fate::Fails(409),
        };
        (wait, fate)
    }
}

/// A request goes on its way, and is carried out whether its sender still waits or not.
async fn travel(shared: Shared, call: Call) -> (u16, Document) {
    let (wait, fate) = shared.with(World::fate);
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let done = match fate {
            Fate::Lost => return,
            Fate::Fails(code) => failure(code, "InternalError"),
            Fate::Arrives | Fate::AnswerLost => shared.with(|world| call.carry_out(world)),
            Fate::Twice => {
                let first = shared.with(|world| call.carry_out(world));
                let _again = shared.with(|world| call.carry_out(world));
                first
            }
        };
        if fate != Fate::AnswerLost {
            // The sender may have given up.
            let _ = answer.send(done);
        }
    });
    match answered.await {
        Ok(done) => done,
        Err(_) => std::future::pending().await,
    }
}

#[derive(Debug, Clone)]
struct Call {
    method: Method,
    kind: Kind,
    name: Option<String>,
    status: bool,
    manager: String,
    body: Value,
}

impl Call {
    fn of(method: &Method, uri: &http::Uri, body: Value) -> Self {
        let mut parts = uri.path().split('/').skip_while(|part| *part != "namespaces").skip(2);
        let kind = match parts.next().unwrap_or_default() {
            "pveclusters" => Kind::Cluster,
            "pvehosts" => Kind::Host,
            "pvechanges" => Kind::Change,
            "leases" => Kind::Lease,
            _events => Kind::Event,
        };
        let in_body = body["metadata"]["name"].as_str().map(str::to_owned);
        let name = parts.next().map(str::to_owned).or(in_body);
        let query = uri.query().unwrap_or_default();
        let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="));
        // What is created or replaced as a whole is owned apart from what the same manager applies.
        let manner = if *method == Method::PATCH { "apply" } else { "update" };
        Self {
            method: method.clone(),
            kind,
            name: name.filter(|name| !name.is_empty()),
            status: parts.next() == Some("status"),
            manager: format!("{manner}:{}", manager.unwrap_or_default()),
            body,
        }
    }

    fn carry_out(&self, world: &mut World) -> (u16, Document) {
        if self.kind == Kind::Event {
            return (201, self.body.clone().into());
        }
        let Some(name) = &self.name else { return (200, self.list(&world.api).into()) };
        let key = (self.kind, name.as_str());
        let write =
            || Write { key, manager: &self.manager, status: self.status, body: self.body.clone() };
        let done = match &self.method {
            &Method::GET => {
                let found = world.api.get(self.kind, name).map(|object| object.value.clone());
                found.ok_or(Refusal::NotFound)
            }
            &Method::POST => world.api.create(write()),
            &Method::PATCH => world.api.apply(write()),
            &Method::PUT => world.api.update(write()),
            _delete => world.api.delete(self.kind, name),
        };
        if self.method != Method::GET && self.kind != Kind::Lease {
            let went = done.is_ok();
            world.note("api", 0, || format!("{} {:?} {name}: {went}", self.method, self.kind));
            world.watch_writes(self.kind, name);
        }
        match done {
            Ok(value) => (200, value),
            Err(Refusal::NotFound) => failure(404, "NotFound"),
            Err(Refusal::Exists) => failure(409, "AlreadyExists"),
            Err(Refusal::Conflict) => failure(409, "Conflict"),
            Err(Refusal::Invalid(why)) => failure(422, &why),
        }
    }

    fn list(&self, server: &Server) -> Value {
        let items: Vec<&Value> = server.all(self.kind).map(|(_, object)| &*object.value).collect();
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChangeList", "metadata": {},
               "items": items})
    }
}

fn failure(code: u16, reason: &str) -> (u16, Document) {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": format!("{reason} in {NAMESPACE}")});
    (code, status.into())
}
