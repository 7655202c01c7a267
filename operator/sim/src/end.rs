//! What counts as an end: all is as wanted, or the operator stands still and says why, and it is so.

use std::collections::{BTreeMap, BTreeSet};

use pvecm_agent::ports::DiskFile;

use crate::api::{Kind, NAMESPACE};
use crate::setup::CLUSTER;
use crate::wish::Wish;
use crate::world::{Daemon, World};

impl World {
    /// Whether every wanted host runs what is wanted, and the operator says so.
    pub fn stands(&mut self, wish: &Wish) -> Result<(), String> {
        if let Some(host) = self.hosts.iter().find(|host| !host.up || host.agent.is_none()) {
            return Err(format!("{} does not run", host.name));
        }
        if let Some(name) = self.held() {
            return Err(format!("{name} has its outcome and is still held"));
        }
        for at in wish.nodes.keys() {
            let host = &self.hosts[*at];
            let Some(daemon) = &host.daemon else {
                return Err(format!("corosync does not run on {}", host.name));
            };
            if !daemon.quorate || !host.writable() {
                return Err(format!("{} is not quorate and writable", host.name));
            }
            let config = daemon.config().ok_or("a text is not understood")?;
            wish.holds(config).map_err(|why| format!("on {}: {why}", host.name))?;
        }
        self.keys_stand(wish)?;
        self.marks_stand()?;
        let ready = self.condition("Ready");
        if ready.0 == "True" { Ok(()) } else { Err(format!("Ready is {}", ready.0)) }
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

    /// Whether the operator stands still for a reason that is so.
    #[must_use]
    pub fn is_excused(&self) -> bool {
        self.stalled().is_some_and(|reason| self.excused(&reason))
    }

    /// Whether what a guard says is so.
    fn excused(&self, reason: &str) -> bool {
        let running =
            || self.hosts.iter().filter_map(|h| h.daemon.as_ref().and_then(Daemon::config));
        match reason {
            // Not built yet: a join that ended between the list and the start leaves a node that is
            // listed and has nothing, and nobody plans from there.
            "HostsDisagree" => running().any(|config| {
                config.nodes.iter().any(|node| {
                    let host = self.hosts.iter().find(|host| host.name == node.name.as_str());
                    host.is_some_and(|host| host.disk.is_empty() && host.daemon.is_none())
                })
            }),
            _ => false,
        }
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
