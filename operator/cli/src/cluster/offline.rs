//! Planning from files: no API server, no hosts.
//!
//! The world is taken to be well: the given corosync.conf is in force on every node that it lists, all
//! of them quorate and connected. What was taken for granted, and what nobody could know, is said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt as _;
use pvecm_core::change::ConfText;
use pvecm_core::conf::{Config, Document, Node};
use pvecm_core::datacenter::DatacenterView;
use pvecm_core::desired::{DesiredCluster, DesiredNode};
use pvecm_core::device::WitnessView;
use pvecm_core::ha::HaState;
use pvecm_core::ids::{Fingerprint, HostName, NodeId};
use pvecm_core::observed::{Claim, FileView, HostView, KeyView, ObservedCluster};
use pvecm_crds::convert::Holder;
use pvecm_crds::host::ServedCluster;
use pvecm_crds::{PveCluster, PveHost, convert, yaml};
use serde_json::Value;

use super::answer::{Answer, ask};

/// The files to plan from.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The `PveCluster` that is wanted.
    pub spec: &'a Path,
    /// The file in force; `None`: there is no cluster yet.
    pub conf: Option<&'a Path>,
    /// The datacenter.cfg beside it, which may hold any bytes.
    pub datacenter: Option<&'a Path>,
}

/// Plans from files. `hosts` are `PveHost`s, from which names, addresses, guests and keys are taken.
pub fn answer(files: Files<'_>, hosts: Option<&Path>) -> anyhow::Result<Answer> {
    let cluster: PveCluster = yaml::read(&read(files.spec)?)
        .with_context(|| format!("{} holds no PveCluster", files.spec.display()))?;
    let conf = files.conf.map(read).transpose()?;
    let hosts = hosts.map(read).transpose()?;
    let hosts = hosts.map(|text| objects(&text)).transpose()?.unwrap_or_default();
    match convert::desired(&cluster) {
        Ok(desired) => {
            let datacenter = files.datacenter.map(bytes).transpose()?;
            let facts = facts(&hosts)?;
            let witness = witness(&cluster, &hosts, &facts)?;
            plan(&desired, (conf.as_deref(), datacenter.as_deref()), (&facts, witness))
        }
        Err(why) => Ok(Answer::invalid(cluster.name_any(), &why)),
    }
}

/// A file's text.
pub fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What is known of hosts, by name.
pub type Facts = BTreeMap<HostName, HostView>;

/// What a file knows of hosts.
pub fn known(path: &Path) -> anyhow::Result<Facts> {
    facts(&objects(&read(path)?)?)
}

/// The members of a file, all well, each with what is known of the host that calls itself so; `None`: the
/// file is not understood.
pub fn members(text: &str, facts: &Facts) -> Option<Facts> {
    let config = Config::read(&Document::parse(text.as_bytes())).ok()?;
    let in_force = InForce::of(&config, text, facts);
    let member = |listed: &Node| {
        let name = listed.name.as_str();
        let known = facts.iter().find(|(_, facts)| facts.hostname == name);
        let host = match known {
            Some((host, _)) => host.clone(),
            None => name.to_lowercase().parse().ok()?,
        };
        let node = unmanaged(listed, host.clone());
        let view =
            HostView { claim: Claim::Free, ..view(&node, Some(&in_force), known.map(|k| k.1)) };
        Some((host, view))
    };
    config.nodes.iter().map(member).collect()
}

fn unmanaged(listed: &Node, host: HostName) -> DesiredNode {
    let (name, addresses) = (listed.name.clone(), BTreeMap::new());
    DesiredNode { name, host, node_id: None, votes: None, addresses }
}

/// One `PveHost`, or a list of them.
fn objects(text: &str) -> anyhow::Result<Vec<PveHost>> {
    let value: Value = yaml::read(text).context("the file of the hosts is not understood")?;
    let hosts = match value.get("items") {
        Some(items) => serde_json::from_value(items.clone()),
        None => serde_json::from_value(value).map(|host| vec![host]),
    };
    hosts.context("the file of the hosts holds no PveHosts")
}

fn facts(hosts: &[PveHost]) -> anyhow::Result<Facts> {
    let view = |host: &PveHost| {
        let view = convert::host_view(host, (true, Timestamp::now()), "", None)?;
        Ok((host.name_any().parse()?, view))
    };
    hosts.iter().map(view).collect()
}

/// The host that the spec names as witness. It is taken to be heard, and a name that it has to be the cluster's own
/// where the object of that one is called the same.
fn witness(
    cluster: &PveCluster,
    hosts: &[PveHost],
    facts: &Facts,
) -> anyhow::Result<Option<WitnessView>> {
    let named = |host: &&PveHost| cluster.spec.witness() == Some(host.name_any().as_str());
    let holder = |served: &ServedCluster| {
        if served.name == cluster.name_any() { Holder::Own } else { Holder::Other }
    };
    let own = facts.values().flat_map(|host| host.addresses.iter().map(IpNet::addr)).collect();
    let host = hosts.iter().find(named);
    Ok(host.map(|host| convert::witness_view(host, true, (holder, &own))).transpose()?)
}

fn plan(
    desired: &DesiredCluster,
    (conf, datacenter): (Option<&str>, Option<&[u8]>),
    (facts, witness): (&Facts, Option<WitnessView>),
) -> anyhow::Result<Answer> {
    let config = conf.map(|text| Config::read(&Document::parse(text.as_bytes()))).transpose();
    let config = config.context("corosync.conf is not understood")?;
    let in_force = config.as_ref().zip(conf);
    let mut in_force = in_force.map(|(config, text)| InForce::of(config, text, facts));
    let known = datacenter.is_some() || in_force.as_ref().is_some_and(|f| f.datacenter.is_some());
    if let Some(in_force) = &mut in_force {
        let given = datacenter.map(DatacenterView::of).or_else(|| in_force.datacenter.take());
        in_force.datacenter = Some(given.unwrap_or_else(|| DatacenterView::of(b"")));
    }
    let view = |node: &DesiredNode| {
        let view = view(node, in_force.as_ref(), facts.get(&node.host));
        (node.host.clone(), view)
    };
    let gone = in_force.iter().flat_map(|in_force| unnamed(desired, in_force.config));
    let gone: Vec<DesiredNode> = gone.collect();
    let hosts = desired.nodes.iter().chain(&gone).map(view).collect();
    let mut answer =
        ask(desired, &ObservedCluster { hosts, witness, ..ObservedCluster::default() });
    answer.not_known.extend(not_known(desired, in_force.as_ref(), facts));
    if !desired.datacenter.is_empty() && in_force.is_some() && !known {
        answer.not_known.push(
            "what datacenter.cfg says: without --datacenter it is taken to be empty".to_owned(),
        );
    }
    Ok(answer)
}

/// The file in force.
struct InForce<'a> {
    config: &'a Config,
    conf: ConfText,
    members: BTreeSet<NodeId>,
    /// The authkey that a member has of whom nothing is known.
    key: KeyView,
    /// What datacenter.cfg says, where anybody told.
    datacenter: Option<DatacenterView>,
}

impl<'a> InForce<'a> {
    fn of(config: &'a Config, text: &str, facts: &Facts) -> Self {
        let members = config.nodes.iter().map(|node| node.id).collect();
        let key = facts.values().find_map(|facts| facts.authkey);
        let key = key.unwrap_or(KeyView { fingerprint: Fingerprint::of(b""), generation: 0 });
        let datacenter = facts.values().find_map(|facts| facts.datacenter.clone());
        let conf = ConfText::new(config.version, text.to_owned());
        Self { config, conf, members, key, datacenter }
    }
}

/// The nodes that the file has and the spec does not, under the names that their hosts have by default. That
/// the operator has claimed them is assumed.
fn unnamed(desired: &DesiredCluster, config: &Config) -> impl Iterator<Item = DesiredNode> {
    let named = |node: &&Node| desired.nodes.iter().any(|wanted| wanted.name == node.name);
    config
        .nodes
        .iter()
        .filter(move |node| !named(node))
        .filter_map(|node| Some(unmanaged(node, node.name.as_str().to_lowercase().parse().ok()?)))
}

/// A host that is well: its facts where there are some, else what the spec and the file say of it.
fn view(node: &DesiredNode, in_force: Option<&InForce<'_>>, facts: Option<&HostView>) -> HostView {
    let listed = |in_force: &InForce<'_>| listed(in_force.config, node).is_some();
    let member = in_force.filter(|in_force| listed(in_force));
    let file = member.map(|in_force| FileView::from(&in_force.conf));
    let stated = in_force.and_then(|in_force| listed_addresses(in_force.config, node));
    let stated = stated.into_iter().flatten().chain(node.addresses.values());
    let assumed = stated.filter_map(|address| Some(IpNet::from(address.parse::<IpAddr>().ok()?)));
    let said = facts.map(|facts| facts.hostname.clone()).filter(|name| !name.is_empty());
    HostView {
        connected: true,
        claim: Claim::Ours,
        paused: facts.is_some_and(|facts| facts.paused),
        witness: facts.is_some_and(|facts| facts.witness),
        hostname: said.unwrap_or_else(|| node.name.to_string()),
        machine_id: facts.and_then(|facts| facts.machine_id.clone()),
        sealing_key: facts
            .and_then(|facts| facts.sealing_key.clone())
            .or_else(|| Some("(the host's own key)".to_owned())),
        authkey: facts
            .and_then(|facts| facts.authkey)
            .or_else(|| member.map(|in_force| in_force.key)),
        addresses: facts.map_or_else(|| assumed.collect(), |facts| facts.addresses.clone()),
        guests: facts.map(|facts| facts.guests.clone()).unwrap_or_default(),
        absence: None,
        references: facts.map(|facts| facts.references.clone()).unwrap_or_default(),
        shared_storages: facts.map(|facts| facts.shared_storages.clone()).unwrap_or_default(),
        device: facts.map(|facts| facts.device.clone()).unwrap_or_default(),
        lives_alone: facts.is_some_and(|facts| facts.lives_alone),
        may_share: facts.map(|facts| facts.may_share.clone()).unwrap_or_default(),
        pmxcfs_file: file.clone(),
        disk_file: file,
        datacenter: in_force.and_then(|in_force| in_force.datacenter.clone()),
        idle: None,
        running_version: member.map(|in_force| in_force.conf.version),
        started_with: facts.map(|facts| facts.started_with.clone()).unwrap_or_default(),
        pmxcfs_writable: true,
        quorate: member.is_some(),
        ring: member.map(|_| "assumed".to_owned()),
        members: member.map(|in_force| in_force.members.clone()).unwrap_or_default(),
        link_faults: BTreeSet::new(),
        cards: BTreeMap::new(),
        storage_servers: BTreeMap::new(),
        drift: Vec::new(),
        ha: facts.map_or(HaState::Absent, |facts| facts.ha),
        can_disarm: facts.is_some_and(|facts| facts.can_disarm),
        tombstones: facts.map(|facts| facts.tombstones.clone()).unwrap_or_default(),
        applied: None,
        fitness: facts.map(|facts| facts.fitness.clone()).unwrap_or_default(),
    }
}

fn listed<'a>(config: &'a Config, node: &DesiredNode) -> Option<&'a Node> {
    config.nodes.iter().find(|listed| listed.name == node.name)
}

fn listed_addresses<'a>(
    config: &'a Config,
    node: &DesiredNode,
) -> Option<impl Iterator<Item = &'a String>> {
    Some(listed(config, node)?.addresses.values())
}

/// What was taken for granted, in sentences.
fn not_known(
    desired: &DesiredCluster,
    in_force: Option<&InForce<'_>>,
    facts: &Facts,
) -> Vec<String> {
    let names = |nodes: Vec<&DesiredNode>| -> String {
        nodes.iter().map(|node| node.host.to_string()).collect::<Vec<_>>().join(", ")
    };
    let without = desired.nodes.iter().filter(|node| !facts.contains_key(&node.host));
    let without: Vec<_> = without.collect();
    let mut said = Vec::new();
    if !without.is_empty() {
        said.push(format!(
            "the addresses, guests and keys of {}: only those of the spec and of corosync.conf count",
            names(without)
        ));
    }
    said.push(match in_force {
        Some(_) => {
            "whether every member runs this corosync.conf, is quorate and has all its links \
                    connected: it is taken for granted"
                .to_owned()
        }
        None => "whether a cluster runs on these hosts: without --conf it is taken that none does"
            .to_owned(),
    });
    if in_force.is_some_and(|in_force| in_force.key.generation == 0) && desired.key_generation > 0 {
        said.push(
            "which generation of the authkey is in force: it is taken that none was exchanged yet"
                .to_owned(),
        );
    }
    said.push(
        "config_versions that earlier changes reserved: the numbers may be higher".to_owned(),
    );
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::answer::shown;
    use crate::cluster::fake;

    const CONF: &str = "\
totem {
  cluster_name: prod
  config_version: 7
  interface {
    linknumber: 0
  }
  transport: knet
  version: 2
}
nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.0.0.1
  }
  node {
    name: n2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.0.0.2
  }
  node {
    name: n3
    nodeid: 3
    quorum_votes: 1
    ring0_addr: 10.0.0.3
  }
}
quorum {
  provider: corosync_votequorum
}
";

    fn spec(edit: impl FnOnce(&mut Value)) -> DesiredCluster {
        let mut cluster = fake::cluster();
        edit(&mut cluster);
        convert::desired(&serde_json::from_value(cluster).unwrap()).unwrap()
    }

    fn hosts() -> Facts {
        let host = |n: u32| {
            let addresses = [0, 1].map(|link| {
                json!({"interface": format!("eth{link}"), "cidr": format!("10.0.{link}.{n}/24")})
            });
            json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
                   "metadata": {"name": format!("n{n}")}, "spec": {},
                   "status": {"addresses": addresses}})
        };
        let list = json!({"kind": "List", "items": [host(1), host(2), host(3)]});
        facts(&objects(&list.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn a_plan_from_files_is_that_of_the_operator() {
        let answer = plan(&spec(|_| ()), (Some(CONF), None), (&hosts(), None)).unwrap();
        insta::assert_snapshot!(shown(&answer, true));
    }

    #[test]
    fn a_line_of_datacenter_cfg_is_shown_as_it_is_and_as_it_will_be() {
        let wanted = spec(|cluster| {
            cluster["spec"]["links"] = json!([]);
            cluster["spec"]["migration"] = json!({"type": "Secure", "network": "10.0.1.0/24"});
        });
        let text = b"# ours\r\nmigration:  type=insecure\r\nreplication: secure\n";
        let answer = plan(&wanted, (Some(CONF), Some(text.as_slice())), (&hosts(), None)).unwrap();
        let wanted_diff = "--- datacenter.cfg\n+++ datacenter.cfg\n@@ -1,2 +1,2 @@\n-migration: insecure\n\
                           +migration: secure,network=10.0.1.0/24\n replication: secure\n";
        assert_eq!(answer.plan.unwrap().stages[0].diff, wanted_diff);
        let blind = plan(&wanted, (Some(CONF), None), (&hosts(), None)).unwrap();
        assert!(blind.not_known.iter().any(|said| said.contains("--datacenter")));
    }

    #[test]
    fn without_facts_a_network_gives_no_address_and_the_answer_says_what_it_does_not_know() {
        let answer = plan(&spec(|_| ()), (Some(CONF), None), (&Facts::new(), None)).unwrap();
        assert_eq!((answer.reason.as_str(), answer.stopped), ("AddressMissing", true));
        assert!(answer.not_known[0].contains("n1, n2, n3"), "{:?}", answer.not_known);
    }

    #[test]
    fn without_facts_addresses_of_the_spec_are_enough() {
        let stated = spec(|cluster| {
            cluster["spec"]["links"][1] = json!({"number": 1});
            for n in 0..3 {
                let address = format!("10.0.1.{}", n + 1);
                cluster["spec"]["nodes"][n]["addresses"] = json!([{"link": 1, "address": address}]);
            }
        });
        let answer = plan(&stated, (Some(CONF), None), (&Facts::new(), None)).unwrap();
        assert!(answer.plan.unwrap().stages[0].diff.contains("+    ring1_addr: 10.0.1.3"));
    }

    #[test]
    fn the_witness_of_a_spec_is_found_among_the_hosts_and_a_secret_is_taken_to_be_right() {
        let even = |device: Value| {
            move |cluster: &mut Value| {
                cluster["spec"]["links"] = json!([]);
                cluster["spec"]["quorum"] = json!({"device": device});
            }
        };
        let managed = json!({"type": "Managed", "hostRef": {"name": "w1"}, "algorithm": "LMS"});
        let mut object = fake::cluster();
        even(managed.clone())(&mut object);
        let object: PveCluster = serde_json::from_value(object).unwrap();
        let w1 = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": "w1"}, "spec": {"role": "Witness"},
            "status": {"addresses": [{"interface": "eth0", "cidr": "10.9.0.1/24"}],
                "witness": {"serves": true, "authority": "w1's own",
                            "fingerprint": pvecm_core::ids::Digest::of(b"").to_string()},
                "clusters": [{"clusterName": "prod", "name": "prod", "uid": "u-1"}]}});
        let found = witness(&object, &objects(&w1.to_string()).unwrap(), &hosts()).unwrap();
        let wanted = spec(even(managed));
        let answer = plan(&wanted, (Some(CONF), None), (&hosts(), found)).unwrap();
        assert!(answer.plan.unwrap().stages[0].summary.contains("ask w1 for certificates"));
        let without = plan(&wanted, (Some(CONF), None), (&hosts(), None)).unwrap();
        assert_eq!((without.reason.as_str(), without.stopped), ("HostMissing", true));
        let lent = json!({"type": "External", "address": "10.9.0.7", "algorithm": "LMS",
            "certificatesSecretRef": {"name": "qnetd"}});
        let answer = plan(&spec(even(lent)), (Some(CONF), None), (&hosts(), None)).unwrap();
        assert!(answer.plan.unwrap().stages[0].summary.contains("from the Secret qnetd"));
        assert!(answer.not_known[0].contains("what the Secret qnetd holds"));
    }

    #[test]
    fn without_a_file_in_force_a_cluster_is_formed() {
        let answer = plan(&spec(|_| ()), (None, None), (&hosts(), None)).unwrap();
        let plan = answer.plan.unwrap();
        assert!(plan.stages[0].diff.starts_with("--- /dev/null\n"), "{}", plan.stages[0].diff);
        assert_eq!(answer.waiting_for, ["n2 joins", "n3 joins"]);
    }

    #[test]
    fn a_pause_is_looked_past_and_approval_is_told() {
        let careful = spec(|cluster| {
            cluster["spec"]["rollout"] = json!({"paused": true, "approval": "Manual"});
        });
        let answer = plan(&careful, (Some(CONF), None), (&hosts(), None)).unwrap();
        assert_eq!((answer.reason.as_str(), answer.stopped), ("Paused", false));
        assert!(answer.plan.unwrap().waits.unwrap().contains("`rollout.approval` is Manual"));
    }

    #[test]
    fn who_is_not_in_the_spec_leaves_and_what_the_planner_refuses_has_no_plan_and_its_reason() {
        let fewer = spec(|cluster| {
            cluster["spec"]["nodes"].as_array_mut().unwrap().pop();
        });
        let answer = plan(&fewer, (Some(CONF), None), (&Facts::new(), None)).unwrap();
        let plan = answer.plan.unwrap();
        assert_eq!(plan.stages[0].summary, "Stop corosync and pmxcfs on n3");
        assert!(plan.waits.is_some(), "who is removed is asked for");
        let nobody = spec(|cluster| {
            cluster["spec"]["nodes"] = json!([{"name": "n9"}]);
        });
        let answer = super::plan(&nobody, (Some(CONF), None), (&hosts(), None)).unwrap();
        assert_eq!((answer.reason.as_str(), answer.stopped), ("NobodyStays", true));
        assert!(answer.plan.is_none());
    }
}
