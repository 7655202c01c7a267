//! The texts of the files that are made up on reading: `.version`, `.vmlist`, `.members` and their kin.
//!
//! Owns the counters and the JSON with pmxcfs's key names. Never touches the tree or the network.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::tree::{Op, Tree, vmid};

/// Names of the made-up files, all in the root directory.
pub const NAMES: [&str; 6] = [".members", ".version", ".vmlist", ".clusterlog", ".rrd", ".debug"];

/// Files with a counter of their own in `.version`.
const OBSERVED: [&str; 40] = [
    "corosync.conf",
    "corosync.conf.new",
    "storage.cfg",
    "user.cfg",
    "domains.cfg",
    "notifications.cfg",
    "priv/notifications.cfg",
    "priv/shadow.cfg",
    "priv/acme/plugins.cfg",
    "priv/tfa.cfg",
    "priv/token.cfg",
    "datacenter.cfg",
    "vzdump.cron",
    "vzdump.conf",
    "jobs.cfg",
    "ha/crm_commands",
    "ha/manager_status",
    "ha/resources.cfg",
    "ha/rules.cfg",
    "ha/groups.cfg",
    "ha/fence.cfg",
    "status.cfg",
    "replication.cfg",
    "ceph.conf",
    "sdn/vnets.cfg",
    "sdn/zones.cfg",
    "sdn/controllers.cfg",
    "sdn/subnets.cfg",
    "sdn/ipams.cfg",
    "sdn/mac-cache.json",
    "sdn/pve-ipam-state.json",
    "sdn/dns.cfg",
    "sdn/fabrics.cfg",
    "sdn/.running-config",
    "virtual-guest/cpu-models.conf",
    "virtual-guest/profiles.cfg",
    "firewall/cluster.fw",
    "mapping/directory.cfg",
    "mapping/pci.cfg",
    "mapping/usb.cfg",
];

/// What `.version` counts since the start of this process.
#[derive(Clone, Debug)]
pub struct Counters {
    start: u64,
    clinfo: u64,
    vmlist: u64,
    files: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// All counters at 1; `start` is the start of the process in Unix seconds.
    #[must_use]
    pub fn new(start: u64) -> Self {
        let files = OBSERVED.iter().map(|name| (*name, 1)).collect();
        Self { start, clinfo: 1, vmlist: 1, files }
    }

    /// Counts an operation that was applied.
    pub fn note(&mut self, op: &Op) {
        let mut paths = op.paths().to_vec();
        paths.dedup();
        for path in &paths {
            if let Some(count) = self.files.get_mut::<str>(path) {
                *count += 1;
            }
        }
        if paths.iter().any(|path| vmid(path).is_some()) {
            self.vmlist += 1;
        }
    }

    /// Counts a whole new tree: anything may have changed.
    pub fn note_all(&mut self) {
        self.vmlist += 1;
        for count in self.files.values_mut() {
            *count += 1;
        }
    }

    /// Counts a change of the members.
    pub fn note_members(&mut self) {
        self.clinfo += 1;
    }

    /// The text of `.version`; a member's key-value store is shown empty.
    #[must_use]
    pub fn version(&self, members: &[String]) -> String {
        let mut all = Map::new();
        all.insert("starttime".into(), self.start.into());
        all.insert("clinfo".into(), self.clinfo.into());
        all.insert("vmlist".into(), self.vmlist.into());
        for (name, count) in &self.files {
            all.insert((*name).into(), (*count).into());
        }
        let stores: Map<String, Value> =
            members.iter().map(|name| (name.clone(), json!({}))).collect();
        all.insert("kvstore".into(), Value::Object(stores));
        text(&Value::Object(all))
    }

    /// The text of `.vmlist`.
    #[must_use]
    pub fn vmlist(&self, tree: &Tree) -> String {
        let mut ids = Map::new();
        for (path, node) in tree.iter() {
            let Some((id, host, dir)) = vmid(path) else { continue };
            let kind = if dir == "qemu-server" { "qemu" } else { dir };
            ids.insert(
                id.to_string(),
                json!({"node": host, "type": kind, "version": node.version}),
            );
        }
        text(&json!({"version": self.vmlist, "ids": ids}))
    }

    /// The text of `.members`. A host in no cluster shows its name and nothing else.
    #[must_use]
    pub fn members(&self, host: &str, cluster: Option<&Cluster>) -> String {
        let mut all = Map::new();
        all.insert("nodename".into(), host.into());
        all.insert("version".into(), self.clinfo.into());
        if let Some(cluster) = cluster {
            all.insert(
                "cluster".into(),
                json!({
                    "name": cluster.name,
                    "version": cluster.version,
                    "nodes": cluster.nodes.len(),
                    "quorate": u8::from(cluster.quorate),
                }),
            );
            let nodes = cluster.nodes.iter().map(|node| (node.name.clone(), node.json()));
            all.insert("nodelist".into(), Value::Object(nodes.collect()));
        }
        text(&Value::Object(all))
    }
}

/// What `.members` says about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    /// The running corosync's `config_version`, not the file's.
    pub version: u64,
    pub quorate: bool,
    pub nodes: Vec<Peer>,
}

/// One node of the running corosync's nodelist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    pub id: u32,
    /// A member of the process group.
    pub online: bool,
    pub ip: Option<String>,
}

impl Peer {
    fn json(&self) -> Value {
        let mut all = json!({"id": self.id, "online": u8::from(self.online)});
        if let Some(ip) = &self.ip {
            all["ip"] = ip.as_str().into();
        }
        all
    }
}

fn text(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_rename_to_corosync_conf_moves_both_counters() {
        let mut counters = Counters::new(7);
        let before = read(&counters.version(&[]));
        counters.note(&Op::Rename { from: "corosync.conf.new".into(), to: "corosync.conf".into() });
        let after = read(&counters.version(&["n1".into()]));
        for name in ["corosync.conf", "corosync.conf.new"] {
            assert_eq!(after[name].as_u64(), before[name].as_u64().map(|n| n + 1));
        }
        assert_eq!(after["storage.cfg"], before["storage.cfg"]);
        assert_eq!(after["starttime"], 7);
        assert_eq!(after["kvstore"]["n1"], json!({}));
    }

    #[test]
    fn members_of_a_lone_host_are_its_name_and_a_version() {
        let text = read(&Counters::new(0).members("n1", None));
        assert_eq!(text, json!({"nodename": "n1", "version": 1}));
    }

    #[test]
    fn members_name_every_node_and_leave_an_unknown_address_out() {
        let peer = |name: &str, id, ip: Option<&str>| Peer {
            name: name.into(),
            id,
            online: id == 1,
            ip: ip.map(Into::into),
        };
        let cluster = Cluster {
            name: "c".into(),
            version: 3,
            quorate: true,
            nodes: vec![peer("n1", 1, Some("10.0.0.1")), peer("n2", 2, None)],
        };
        let text = read(&Counters::new(0).members("n1", Some(&cluster)));
        assert_eq!(text["cluster"], json!({"name": "c", "version": 3, "nodes": 2, "quorate": 1}));
        assert_eq!(text["nodelist"]["n1"], json!({"id": 1, "online": 1, "ip": "10.0.0.1"}));
        assert_eq!(text["nodelist"]["n2"], json!({"id": 2, "online": 0}));
    }
}
