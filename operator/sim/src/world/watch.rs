//! What is seen at the API server, for the rules.

use std::collections::BTreeMap;

use pvecm_operator::leader::LEASE;
use serde_json::Value;

use super::{Host, World};
use crate::api::Kind;
use crate::stages::{StageKey, digest_of};

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
        let change = object.value.clone();
        let spec = &change["spec"];
        let number = spec["number"].as_i64().unwrap_or(0);
        let stages = spec["plan"]["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = digest_of;
        if self.stages.planned(u64::try_from(number).unwrap_or(0), stages) {
            let digests =
                stages.iter().flat_map(|stage| [of(&stage["config"]), of(&stage["back"])]);
            self.checks.planned(number, digests.flatten());
            let gone = self.stages.buried_by(u64::try_from(number).unwrap_or(0));
            self.watch_dead_planned(&gone);
        }
        let status = &change["status"];
        let stage = u32::try_from(status["releasedStage"].as_i64().unwrap_or(0)).unwrap_or(0);
        let stage = (u64::try_from(number).unwrap_or(0), stage);
        let gone = self.stages.released(stage);
        self.watch_dead_released(&gone);
        let risk = spec["plan"]["risk"].as_str().unwrap_or_default();
        let asks = risk == "Recovery" || risk == "Dissolution";
        if asks && stage.1 > 0 && spec["approved"] != true {
            self.broken(format!("{name} begins, which is a {risk}, and nobody approved it"));
        }
        if status["outcome"] == "Succeeded" {
            let writes = stages.iter().rev().find(|stage| stage["course"] == "Write");
            self.checks.succeeded(name, writes.and_then(|stage| of(&stage["config"])));
        }
        let released = status["releasedStage"].as_i64().unwrap_or(0) > 0;
        let held = change["metadata"]["finalizers"].as_array().is_some_and(|l| !l.is_empty());
        if released && status["outcome"].is_null() && !held {
            self.broken(format!("{name} is under way, and nothing holds its object"));
        }
        if !status["outcome"].is_null() && self.checks.ended(name) {
            self.nobody_works(stage);
        }
        self.watch_tries();
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
        let number = |key: &str| applied[key].as_i64().unwrap_or(0);
        let (change, stage) = (number("change"), i32::try_from(number("stage")).unwrap_or(0));
        let confirmed = match applied["result"].as_str() {
            Some("Confirmed") => Some(true),
            Some("RolledBack" | "Refused" | "Failed") => Some(false),
            Some(_) | None => None,
        };
        let working = confirmed.is_none() && change > 0;
        let key = (u64::try_from(change).unwrap_or(0), u32::try_from(stage).unwrap_or(0));
        let known = self.hosts[at].works.filter(|(known, _)| working && *known == key);
        self.hosts[at].works = known.or(working.then_some((key, self.now())));
        if let Some(confirmed) = confirmed {
            let digest = applied["changeDigest"].as_str().unwrap_or_default().to_owned();
            let together = self.stages.is_together(key);
            self.checks.outcome(at, &(change, digest, stage), (confirmed, together));
        }
    }

    /// A change ends: no host that is heard has been at work on its stage for long, or the next change would
    /// meet one that is about to write.
    fn nobody_works(&mut self, stage: StageKey) {
        const SEEN_MS: u64 = 10_000;
        const FRESH_MS: u64 = 8_000;
        let now = self.now();
        let just_now = |at: Option<u64>| at.is_some_and(|at| now < at + 3 * SEEN_MS);
        let late = just_now(self.checks.restored_at) || just_now(self.checks.slow_until);
        // What takes seconds on its way may not have been seen.
        if self.rates.api_slow > 0 || late {
            return;
        }
        let works = |host: &Host| {
            let since = host.works.filter(|(known, _)| *known == stage).map(|(_, since)| since);
            now < host.heard_at + FRESH_MS && since.is_some_and(|since| now > since + SEEN_MS)
        };
        if let Some(at) = self.hosts.iter().position(works) {
            self.broken(format!("{stage:?} ends while n{} is at work on it", at + 1));
        }
    }

    /// What fails is not tried for ever: three times, until the spec changes.
    fn watch_tries(&mut self) {
        const TRIES: usize = 3;
        let mut failures: BTreeMap<i64, usize> = BTreeMap::new();
        let mut changes: Vec<&Value> =
            self.api.all(Kind::Change).map(|(_, change)| &*change.value).collect();
        changes.sort_by_key(|change| change["spec"]["number"].as_i64());
        for change in changes {
            let count = failures.entry(change["spec"]["plan"]["generation"].as_i64().unwrap_or(0));
            match change["status"]["outcome"].as_str() {
                Some("Succeeded") => *count.or_default() = 0,
                Some("RolledBack" | "Failed") => *count.or_default() += 1,
                Some(_) | None => {}
            }
        }
        if let Some((generation, count)) = failures.iter().find(|(_, count)| **count > TRIES) {
            self.broken(format!("generation {generation} failed {count} times"));
        }
    }

    /// A request to write leaves an operator: the lease's record must name it.
    pub fn watch_leader(&mut self, identity: &str) {
        let lease = self.api.get(Kind::Lease, LEASE);
        let holder = lease.and_then(|lease| lease.value["spec"]["holderIdentity"].as_str());
        if holder != Some(identity) {
            let holder = holder.unwrap_or("nobody").to_owned();
            self.broken(format!("{identity} writes, and {holder} holds the lease"));
        }
    }
}
