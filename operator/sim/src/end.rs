//! What counts as an end: all is as wanted, and the operator says so.

use std::collections::{BTreeMap, BTreeSet};

use pvecm_agent::ports::DiskFile;

use crate::api::{Kind, NAMESPACE};
use crate::setup::CLUSTER;
use crate::wish::Wish;
use crate::world::{Host, World};

impl World {
    /// Whether every wanted host runs what is wanted, and the operator says so.
    pub fn stands(&mut self, wish: &Wish) -> Result<(), String> {
        self.all_run()?;
        for at in wish.nodes.keys() {
            let db = self.hosts[*at].db.conf.clone();
            let number = db.as_ref().map(|bytes| self.parse(bytes).version);
            let host = &self.hosts[*at];
            let Some(daemon) = &host.daemon else {
                return Err(format!("corosync does not run on {}", host.name));
            };
            if !daemon.quorate || !host.writable() {
                return Err(format!("{} is not quorate and writable", host.name));
            }
            let config = daemon.config().ok_or("a text is not understood")?;
            wish.holds(config).map_err(|why| format!("on {}: {why}", host.name))?;
            // The operator may have said its last word before this: nobody leads for a moment.
            if host.disk.get(&DiskFile::Conf) != db.as_ref() || number != Some(daemon.version()) {
                return Err(format!("{} differs from /etc/pve", host.name));
            }
        }
        self.are_alone(|at| wish.nodes.contains_key(&at))?;
        self.keys_stand(wish)?;
        self.marks_stand()?;
        self.keys_are_let_in()?;
        if let Some(name) = self.unconnected() {
            return Err(format!("the operator does not see {name} as connected"));
        }
        let ready = self.condition("Ready");
        if ready.0 == "True" { Ok(()) } else { Err(format!("Ready is {}", ready.0)) }
    }

    /// Whether every machine that has power runs, and nothing that ended is still held.
    pub(crate) fn all_run(&self) -> Result<(), String> {
        let runs = |host: &Host| host.off || host.up && host.agent.is_some();
        if let Some(host) = self.hosts.iter().find(|host| !runs(host)) {
            return Err(format!("{} does not run", host.name));
        }
        match self.held() {
            Some(name) => Err(format!("{name} has its outcome and is still held")),
            None => Ok(()),
        }
    }

    /// The same key on every disk and in every daemon, nothing beside it, and the generation that is wanted.
    fn keys_stand(&self, wish: &Wish) -> Result<(), String> {
        let mut keys = BTreeSet::new();
        for host in wish.nodes.keys().map(|at| &self.hosts[*at]) {
            keys.insert(host.disk.get(&DiskFile::Authkey));
            keys.insert(host.daemon.as_ref().map(|daemon| &daemon.key));
            let beside = [DiskFile::NewAuthkey, DiskFile::OldAuthkey];
            if beside.iter().any(|file| host.disk.contains_key(file)) {
                return Err(format!("a key lies beside the one in force on {}", host.name));
            }
        }
        if keys.len() != 1 {
            return Err(format!("there are {} keys", keys.len()));
        }
        let mut dead = self.hosts.iter().filter(|host| host.off);
        if let Some(host) = dead.find(|host| keys.contains(&host.disk.get(&DiskFile::Authkey))) {
            return Err(format!("{}, which is dead, has the key in force", host.name));
        }
        let object = self.api.get(Kind::Cluster, CLUSTER);
        let told = object.and_then(|o| o.value["status"]["authkey"]["generation"].as_u64());
        if told < Some(u64::from(wish.key)) {
            return Err(format!("the authkey is of generation {told:?}, not {}", wish.key));
        }
        Ok(())
    }

    /// What a person wrote and nobody manages is still there.
    fn marks_stand(&self) -> Result<(), String> {
        let texts =
            self.hosts.iter().filter(|host| host.quorate()).filter_map(|h| h.db.conf.as_ref());
        for text in texts {
            let text = String::from_utf8_lossy(text);
            if let Some(mark) = self.marks.iter().find(|mark| !text.contains(mark.as_str())) {
                return Err(format!("`{mark}`, which a person wrote, is gone"));
            }
        }
        Ok(())
    }

    /// A member is let in by the others, and its agent knows it.
    fn keys_are_let_in(&self) -> Result<(), String> {
        let is_out = |value: &serde_json::Value| {
            let conditions = value["status"]["conditions"].as_array();
            let mut shared = conditions.into_iter().flatten().filter(|c| c["type"] == "KeysShared");
            shared.any(|condition| condition["status"] == "False")
        };
        let mut hosts = self.api.all(Kind::Host);
        match hosts.find(|(_, host)| is_out(&host.value)) {
            Some((name, _)) => Err(format!("{name} has not handed over its keys")),
            None => Ok(()),
        }
    }

    /// A host whose return the operator has yet to tell, also one that is no member.
    fn unconnected(&self) -> Option<String> {
        let connected = |value: &serde_json::Value| {
            let conditions = value["status"]["conditions"].as_array();
            let found = conditions.and_then(|list| list.iter().find(|c| c["type"] == "Connected"));
            found.is_none_or(|condition| condition["status"] == "True")
        };
        let hosts = self.api.all(Kind::Host);
        let is_off = |name: &String| self.hosts.iter().any(|host| host.off && host.name == *name);
        let mut silent = hosts.filter(|(_, host)| !connected(&host.value));
        silent.find(|(name, _)| !is_off(name)).map(|(name, _)| name.clone())
    }

    /// A change that ended and keeps its finalizer.
    fn held(&self) -> Option<String> {
        let held = |value: &serde_json::Value| {
            !value["status"]["outcome"].is_null()
                && value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
        };
        self.api.all(Kind::Change).find(|(_, o)| held(&o.value)).map(|(name, _)| name.clone())
    }

    /// The reason of `Stalled`, while it is true.
    #[must_use]
    pub fn stalled(&self) -> Option<String> {
        let (status, why) = self.condition("Stalled");
        let reason = why.split(':').next().unwrap_or_default();
        (status == "True").then(|| reason.to_owned())
    }

    fn condition(&self, kind: &str) -> (String, String) {
        let object = self.api.get(Kind::Cluster, CLUSTER);
        let conditions = object.and_then(|o| o.value["status"]["conditions"].as_array());
        let found = conditions.and_then(|list| list.iter().find(|c| c["type"] == kind));
        let text = |key: &str| found.and_then(|c| c[key].as_str()).unwrap_or("").to_owned();
        (text("status"), format!("{}: {}", text("reason"), text("message")))
    }

    /// How often changes ended how.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for (_, change) in self.api.all(Kind::Change) {
            let outcome = change.value["status"]["outcome"].as_str().unwrap_or("open");
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        outcomes
    }

    /// What the operator says of the cluster.
    #[must_use]
    pub fn said(&self) -> String {
        let (ready, why) = self.condition("Ready");
        format!("{NAMESPACE}/{CLUSTER} Ready={ready} {why}")
    }
}
