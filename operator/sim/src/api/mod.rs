//! The API server: objects in memory with server-side apply, generations, resource versions,
//! finalizers, and the rules of the CRDs that the simulation may run into. [`service`] speaks HTTP to
//! the production client, agents reach the objects directly.

mod document;
mod rules;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use document::Document;
pub use service::{Caller, service};

/// The one namespace.
pub const NAMESPACE: &str = "pve";

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `PveCluster`
    Cluster,
    /// `PveHost`
    Host,
    /// `PveChange`
    Change,
    /// `Lease`
    Lease,
    /// `Event`: taken, and not kept.
    Event,
}

/// An object, read once per version.
#[derive(Debug, Clone)]
pub enum Typed {
    /// A cluster.
    Cluster(Arc<PveCluster>),
    /// A host.
    Host(Arc<PveHost>),
    /// A change.
    Change(Arc<PveChange>),
    /// Anything else.
    None,
}

/// Who wrote a part, and which: status or the rest.
type Part = (String, bool);

/// One object: what each manager owns of it. Here no field is owned by two.
#[derive(Debug, Clone)]
pub struct Object {
    name: String,
    parts: BTreeMap<Part, Arc<Value>>,
    uid: String,
    generation: u64,
    /// Bumped by every write that changes something.
    pub version: u64,
    deleted: bool,
    /// All parts together.
    pub value: Document,
    typed: Option<Typed>,
}

/// What somebody watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// All objects: an operator.
    All,
    /// One host's object, and all changes: the agent there.
    Host(String),
}

impl Watch {
    fn sees(&self, kind: Kind, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Host(own) => match kind {
                Kind::Host => own == name,
                Kind::Change => true,
                Kind::Cluster | Kind::Lease | Kind::Event => false,
            },
        }
    }
}

/// Objects as they were.
#[derive(Debug, Clone, Default)]
pub struct Backup(BTreeMap<(Kind, String), Object>);

/// What the API server says instead of yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 404
    NotFound,
    /// 409 `AlreadyExists`
    Exists,
    /// 409 Conflict
    Conflict,
    /// 422
    Invalid(String),
}

/// All objects.
#[derive(Debug, Default)]
pub struct Server {
    objects: BTreeMap<(Kind, String), Object>,
    graves: BTreeMap<String, Document>,
    log: Vec<(u64, Kind, String)>,
    version: u64,
    news: Vec<(Watch, Arc<Notify>)>,
    /// Requests to write, heartbeats and the leader's lease aside.
    pub writes: u64,
}

/// A write: of which object, by whom, and what.
#[derive(Debug)]
pub struct Write<'a> {
    /// Kind and name.
    pub key: (Kind, &'a str),
    /// The field manager.
    pub manager: &'a str,
    /// The subresource `status`.
    pub status: bool,
    /// The document.
    pub body: Value,
}

impl Server {
    /// Wakes its one owner whenever something that it watches changed. One each: whoever shares one is
    /// woken in an order of chance.
    #[must_use]
    pub fn news(&mut self, watch: Watch) -> Arc<Notify> {
        self.news.retain(|(_, known)| Arc::strong_count(known) > 1);
        let own = Arc::new(Notify::new());
        self.news.push((watch, own.clone()));
        own
    }

    /// The objects that changed after a version, each once, with the newest version.
    #[must_use]
    pub fn since(&self, version: u64) -> (u64, Vec<(Kind, String)>) {
        let mut changed: Vec<(Kind, String)> = Vec::new();
        let from = self.log.partition_point(|entry| entry.0 <= version);
        for (_, kind, name) in &self.log[from..] {
            if !changed.iter().any(|known| known.0 == *kind && known.1 == *name) {
                changed.push((*kind, name.clone()));
            }
        }
        (self.version, changed)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// All objects of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&String, &Object)> {
        let of = move |(key, _): &(&(Kind, String), &Object)| key.0 == kind;
        self.objects.iter().filter(of).map(|(key, object)| (&key.1, object))
    }

    /// An object as its Rust type.
    pub fn typed(&mut self, kind: Kind, name: &str) -> Option<Typed> {
        let object = self.objects.get_mut(&(kind, name.to_owned()))?;
        if object.typed.is_none() {
            object.typed = Some(read(kind, &object.value));
        }
        object.typed.clone()
    }

    /// A host's object.
    pub fn host(&mut self, name: &str) -> Option<Arc<PveHost>> {
        match self.typed(Kind::Host, name)? {
            Typed::Host(host) => Some(host),
            Typed::Cluster(_) | Typed::Change(_) | Typed::None => None,
        }
    }

    /// Every change, by name.
    pub fn changes(&mut self) -> BTreeMap<String, Arc<PveChange>> {
        let names: Vec<String> = self.all(Kind::Change).map(|(name, _)| name.clone()).collect();
        let mut changes = BTreeMap::new();
        for name in names {
            if let Some(Typed::Change(change)) = self.typed(Kind::Change, &name) {
                changes.insert(name, change);
            }
        }
        changes
    }

    /// Creates an object.
    pub fn create(&mut self, write: Write<'_>) -> Result<Document, Refusal> {
        let (kind, name) = write.key;
        if self.get(kind, name).is_some() {
            return Err(Refusal::Exists);
        }
        self.count(kind);
        self.version += 1;
        let mut object = Object {
            name: name.to_owned(),
            parts: BTreeMap::from([((write.manager.to_owned(), false), Arc::new(write.body))]),
            uid: format!("uid-{}", self.version),
            generation: 1,
            version: self.version,
            deleted: false,
            value: Document::default(),
            typed: None,
        };
        object.value = object.merged().into();
        Ok(self.put((kind, name), object))
    }

    fn put(&mut self, (kind, name): (Kind, &str), object: Object) -> Document {
        let value = object.value.clone();
        self.objects.insert((kind, name.to_owned()), object);
        self.moved(kind, name);
        value
    }

    fn moved(&mut self, kind: Kind, name: &str) {
        self.log.push((self.version, kind, name.to_owned()));
        let watching = self.news.iter().filter(|(watch, _)| watch.sees(kind, name));
        watching.for_each(|(_, news)| news.notify_one());
    }

    fn count(&mut self, kind: Kind) {
        if kind != Kind::Lease {
            self.writes += 1;
        }
    }

    /// Server-side apply, bound to a version when the document names one.
    pub fn apply(&mut self, write: Write<'_>) -> Result<Document, Refusal> {
        let (kind, name) = write.key;
        let Some(known) = self.get(kind, name) else {
            if kind == Kind::Lease {
                return self.create(write);
            }
            return Err(Refusal::NotFound);
        };
        let wanted = write.body["metadata"]["resourceVersion"].as_str();
        if wanted.is_some_and(|wanted| wanted != known.version.to_string()) {
            return Err(Refusal::Conflict);
        }
        let mut next = known.clone();
        let body = Arc::new(stripped(write.body));
        next.parts.insert((write.manager.to_owned(), write.status), body);
        self.count(kind);
        self.replace((kind, name), next)
    }

    /// Replaces what one manager says, as a whole; bound to the version that it read.
    pub fn update(&mut self, write: Write<'_>) -> Result<Document, Refusal> {
        self.apply(write)
    }

    fn replace(&mut self, key: (Kind, &str), mut next: Object) -> Result<Document, Refusal> {
        let (kind, name) = key;
        let Some(known) = self.get(kind, name) else { return Err(Refusal::NotFound) };
        let mut value = next.merged();
        if value == *known.value {
            return Ok(known.value.clone());
        }
        rules::keep(kind, &known.value, &value).map_err(Refusal::Invalid)?;
        if value["spec"] != known.value["spec"] {
            next.generation += 1;
        }
        self.version += 1;
        next.version = self.version;
        next.typed = None;
        next.count(&mut value);
        next.value = value.into();
        if next.deleted && !has_finalizers(&next.value) {
            self.remove(kind, name);
            return Ok(next.value);
        }
        Ok(self.put(key, next))
    }

    /// Deletes an object, or marks it while finalizers hold it.
    pub fn delete(&mut self, kind: Kind, name: &str) -> Result<Document, Refusal> {
        let Some(known) = self.get(kind, name) else { return Err(Refusal::NotFound) };
        let mut next = known.clone();
        self.count(kind);
        if has_finalizers(&next.value) {
            next.deleted = true;
            return self.replace((kind, name), next);
        }
        self.version += 1;
        self.remove(kind, name);
        Ok(json!({}).into())
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        if let Some(object) = self.objects.remove(&(kind, name.to_owned())) {
            self.graves.insert(name.to_owned(), object.value);
        }
        self.moved(kind, name);
    }

    /// Everything but heartbeats and what users wrote, to come back to.
    #[must_use]
    pub fn backup(&self) -> Backup {
        let kept =
            |(key, _): &(&(Kind, String), &Object)| matches!(key.0, Kind::Host | Kind::Change);
        let objects = self.objects.iter().filter(kept);
        Backup(objects.map(|(key, object)| (key.clone(), object.clone())).collect())
    }

    /// Puts a backup in the place of what is there now, but for what users say of hosts: that comes again from
    /// where they keep it. Watches see it as ordinary news.
    pub fn restore(&mut self, backup: &Backup) {
        let keys: Vec<(Kind, String)> = self.objects.keys().cloned().collect();
        for (kind, name) in keys {
            if kind == Kind::Change && !backup.0.contains_key(&(kind, name.clone())) {
                self.version += 1;
                self.remove(kind, &name);
            }
        }
        for ((kind, name), object) in &backup.0 {
            self.version += 1;
            let mut object = object.clone();
            let now = self.objects.get(&(*kind, name.clone())).filter(|_| *kind == Kind::Host);
            let said = now.into_iter().flat_map(|now| &now.parts);
            let by_users = said.filter(|((manager, _), _)| manager == "user");
            object.parts.extend(by_users.map(|(part, said)| (part.clone(), said.clone())));
            object.version = self.version;
            object.typed = None;
            object.value = object.merged().into();
            self.put((*kind, name), object);
        }
    }

    /// An object that is no more, as it was last.
    #[must_use]
    pub fn grave<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(&**self.graves.get(name)?).ok()
    }
}

fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// Without what says where the document goes and what it must be at.
fn stripped(mut body: Value) -> Value {
    if let Some(meta) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("resourceVersion");
        meta.remove("name");
    }
    body
}

fn read(kind: Kind, value: &Value) -> Typed {
    let typed = match kind {
        Kind::Cluster => PveCluster::deserialize(value).map(Arc::new).map(Typed::Cluster),
        Kind::Host => PveHost::deserialize(value).map(Arc::new).map(Typed::Host),
        Kind::Change => PveChange::deserialize(value).map(Arc::new).map(Typed::Change),
        Kind::Lease | Kind::Event => return Typed::None,
    };
    typed.unwrap_or(Typed::None)
}

impl Object {
    /// All parts together.
    fn merged(&self) -> Value {
        let mut value = json!({});
        for part in self.parts.values() {
            rules::merge(&mut value, part, "");
        }
        let meta = &mut value["metadata"];
        meta["name"] = json!(self.name);
        meta["namespace"] = json!(NAMESPACE);
        meta["uid"] = json!(self.uid);
        if self.deleted {
            meta["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        self.count(&mut value);
        value
    }

    /// Writes down which generation and version it is.
    fn count(&self, value: &mut Value) {
        let meta = &mut value["metadata"];
        meta["generation"] = json!(self.generation);
        meta["resourceVersion"] = json!(self.version.to_string());
    }
}
