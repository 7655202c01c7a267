//! What is seen at the API server, for the rules.

use pvecm_core::ids::Digest;
use serde_json::Value;

use super::World;
use crate::api::Kind;

impl World {
    /// An object was written, or was meant to be.
    pub fn watch_writes(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Change => self.watch_change(name),
            Kind::Host => self.watch_host(name),
            Kind::Cluster | Kind::Lease | Kind::Event => {}
        }
    }

    fn watch_change(&mut self, name: &str) {
        let Some(object) = self.api.get(Kind::Change, name) else { return };
        let spec = &object.value["spec"];
        let number = spec["number"].as_i64().unwrap_or(0);
        let stages = spec["plan"]["stages"].as_array().cloned().unwrap_or_default();
        let of = |text: &Value| text["digest"].as_str().and_then(|hex| hex.parse::<Digest>().ok());
        let digests = stages.iter().flat_map(|stage| [of(&stage["config"]), of(&stage["back"])]);
        self.checks.planned(number, digests.flatten());
        let open = self.api.all(Kind::Change).filter(|(_, change)| {
            let status = &change.value["status"];
            status["outcome"].is_null() && status["releasedStage"].as_i64().unwrap_or(0) > 0
        });
        let open: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        if open.len() > 1 {
            self.broken(format!("two changes are under way: {open:?}"));
        }
    }

    fn watch_host(&mut self, name: &str) {
        let Some(at) = self.hosts.iter().position(|host| host.name == name) else { return };
        let Some(object) = self.api.get(Kind::Host, name) else { return };
        let applied = &object.value["status"]["applied"];
        let confirmed = match applied["result"].as_str() {
            Some("Confirmed") => true,
            Some("RolledBack" | "Refused" | "Failed") => false,
            Some(_) | None => return,
        };
        let number = |key: &str| applied[key].as_i64().unwrap_or(0);
        let stage = i32::try_from(number("stage")).unwrap_or(0);
        self.checks.outcome(at, (number("change"), stage), confirmed);
    }
}
