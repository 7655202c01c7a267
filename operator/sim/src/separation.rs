//! Hosts that go on alone (ADR 0010): who leaves, or all of them, when the cluster's object is deleted. What they
//! may share then, and what each has left.

use std::collections::BTreeMap;
use std::time::Duration;

use pvecm_agent::ports::DiskFile;

use crate::absence::wait;
use crate::api::{Kind, Write};
use crate::setup::CLUSTER;
use crate::wish::Wish;
use crate::world::{Host, Shared, World};

/// A storage that all hosts reach.
pub const STORAGE: &str = "backup";

/// A person deletes the cluster's object, and approves the end of one host after the other.
pub async fn dissolve(shared: Shared) {
    const LOOKS_EACH_MS: u64 = 2_000;
    wait(&shared, (0, 60_000)).await;
    // Nobody who is in a hurry has his cluster dissolved: before the operator holds the object it is gone at once.
    for _ in 0..60 {
        if shared.with(|world| world.is_held()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(LOOKS_EACH_MS)).await;
    }
    shared.with(World::delete_cluster);
    let looks = shared.with(|world| world.dice.below(60));
    for _ in 0..looks {
        tokio::time::sleep(Duration::from_millis(LOOKS_EACH_MS)).await;
        shared.with(|world| {
            if world.dice.chance(500) {
                world.agree_to_part();
            }
        });
    }
}

impl World {
    /// storage.cfg, where it has something in it.
    #[must_use]
    pub fn storages(&self) -> Option<Vec<u8>> {
        let text = format!("nfs: {STORAGE}\n\tserver 10.0.9.9\n\texport /backup\n");
        self.shares.then(|| text.into_bytes())
    }

    fn is_held(&self) -> bool {
        let object = self.api.get(Kind::Cluster, CLUSTER);
        let held = object.and_then(|object| object.value["metadata"]["finalizers"].as_array());
        held.is_some_and(|held| !held.is_empty())
    }

    /// Each member has a guest by then.
    fn delete_cluster(&mut self) {
        if !self.is_held() {
            return;
        }
        for at in 0..self.hosts.len() {
            if self.hosts[at].daemon.is_some() {
                self.bring_guest(at);
            }
        }
        self.ends = true;
        self.note("the user deletes the cluster", 0, String::new);
        let deleted = self.api.delete(Kind::Cluster, CLUSTER);
        debug_assert!(deleted.is_ok(), "it is held");
    }

    /// A person says which storage may be shared, and approves that a host goes on alone.
    pub fn agree_to_part(&mut self) {
        for at in 0..self.hosts.len() {
            if self.shares && !self.hosts[at].may_share && self.dice.chance(500) {
                self.hosts[at].may_share = true;
                let (name, body) = (self.hosts[at].name.clone(), self.host_object(at));
                let key = (Kind::Host, name.as_str());
                let _refused = self.api.apply(Write { key, manager: "user", status: false, body });
            }
        }
        self.approve("Dissolution");
    }

    /// Before a host goes on alone it has a guest, and one that is to join has none any more.
    pub fn move_guests(&mut self, wish: &Wish) {
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            let has = host.db.guests.values().any(|of| *of == at);
            match (wish.nodes.contains_key(&at), host.daemon.is_some()) {
                (true, _) => {
                    if has {
                        let _later = self.edit_db(at, |db| db.guests.retain(|_, of| *of != at));
                    }
                    self.hosts[at].lives_on = false;
                }
                (false, true) if !has => self.bring_guest(at),
                (false, _) => {}
            }
        }
    }

    /// Not while anything is done to the cluster: a node that has just come may have to go again.
    fn bring_guest(&mut self, at: usize) {
        if self.is_at_work() {
            return;
        }
        let made = self.edit_db(at, |db| _ = db.guests.insert(guest_of(at), at));
        self.hosts[at].lives_on = made.is_ok();
    }

    fn is_at_work(&self) -> bool {
        let mut changes = self.api.all(Kind::Change);
        changes.any(|(_, change)| change.value["status"]["outcome"].is_null())
    }

    /// A host takes the others out of its own database. Nobody expects it by then, or each side goes on with the
    /// guests of the other; and what both go on using a person has named, but for the last one, which nobody is
    /// left to share with.
    pub(crate) fn watch_parting(&mut self, at: usize) {
        let (name, may_share) = (self.hosts[at].name.clone(), self.hosts[at].may_share);
        let expects = |host: &Host| {
            let config = host.daemon.as_ref().filter(|d| d.quorate).and_then(|d| d.config());
            config.is_some_and(|config| config.nodes.iter().any(|node| node.name.as_str() == name))
        };
        let mut others = self.hosts.iter().enumerate().filter(|(other, _)| *other != at);
        if let Some((other, _)) = others.find(|(_, host)| expects(host)) {
            return self.broken(format!("{name} goes on alone, and n{} expects it", other + 1));
        }
        let is_last = self.hosts[at].db.conf.clone().is_none_or(|conf| {
            self.parse(&conf).config().is_some_and(|config| config.nodes.len() == 1)
        });
        if self.shares && !may_share && !is_last {
            return self.broken(format!("{name} goes on alone with a storage that all reach"));
        }
        self.note("goes on alone", at, String::new);
    }

    /// Whether nothing is left of the cluster, and every host has its own.
    pub fn has_ended(&self) -> Result<(), String> {
        self.all_run()?;
        if self.api.get(Kind::Cluster, CLUSTER).is_some() {
            return Err("the object is still there".to_owned());
        }
        if let Some(host) = self.hosts.iter().find(|host| !host.writable()) {
            return Err(format!("{} cannot write its own /etc/pve", host.name));
        }
        self.are_alone(|_| false)
    }

    /// A host that is not wanted has nothing that starts as a member of the cluster when it boots. One that went on
    /// alone has its own guest, and none that another one has as well.
    pub fn are_alone(&self, is_wanted: impl Fn(usize) -> bool) -> Result<(), String> {
        let others =
            self.hosts.iter().enumerate().filter(|(at, host)| !is_wanted(*at) && !host.off);
        for (at, host) in others {
            let on_disk = host.disk.contains_key(&DiskFile::Conf);
            if host.daemon.is_some() || host.db.conf.is_some() || on_disk {
                return Err(format!("{} still has something of the cluster", host.name));
            }
            if host.lives_on && host.db.guests != BTreeMap::from([(guest_of(at), at)]) {
                let guests: Vec<_> = host.db.guests.keys().collect();
                return Err(format!("{} went on alone, and has the guests {guests:?}", host.name));
            }
        }
        Ok(())
    }
}

fn guest_of(at: usize) -> u32 {
    100 + u32::try_from(at).unwrap_or(0)
}
