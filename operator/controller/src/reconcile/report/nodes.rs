//! The figures of a status: nodes and broken links. Pure.

use std::collections::BTreeMap;

use pvecm_core::conf::Config;
use pvecm_core::ids::{HostName, NodeId};
use pvecm_core::observed::HostView;
use pvecm_crds::cluster::{LinkAddress, LinkFault, NodeStatus, PveClusterSpec};
use pvecm_crds::host::{Absence, HostLinkFault};

use super::Observation;

/// Every node of the file and of the spec, the spec's first.
pub fn nodes(
    spec: &PveClusterSpec,
    config: Option<&Config>,
    seen: &Observation,
) -> Vec<NodeStatus> {
    let wanted = spec.nodes.iter().map(|node| {
        let host = node.host().parse::<HostName>().ok();
        let view = host.and_then(|host| seen.view.hosts.get(&host));
        let listed =
            config.and_then(|config| config.nodes.iter().find(|n| n.name.as_str() == node.name));
        (node.name.clone(), listed, Some(view))
    });
    let listed = config.into_iter().flat_map(|config| &config.nodes);
    let others = listed.filter(|n| spec.nodes.iter().all(|node| node.name != n.name.as_str()));
    let others = others.map(|node| (node.name.to_string(), Some(node), None));
    let status = |(name, listed, view): (String, Option<&pvecm_core::conf::Node>, _)| NodeStatus {
        node_id: listed.map(|node| i64::from(node.id.get())),
        votes: listed.map(|node| i64::from(node.votes())),
        online: listed.is_some_and(|node| online(node.id, seen)),
        addresses: listed.map(addresses).unwrap_or_default(),
        message: match view {
            None => Some("the spec does not name this node".to_owned()),
            Some(view) => trouble(view),
        },
        absence: absence(&name, spec, seen),
        name,
    };
    wanted.chain(others).take(128).map(status).collect()
}

/// What a person says of a wanted node's machine, while it may be acted upon.
fn absence(name: &str, spec: &PveClusterSpec, seen: &Observation) -> Option<Absence> {
    let node = spec.nodes.iter().find(|node| node.name == name)?;
    let host = node.host().parse::<HostName>().ok()?;
    seen.view.hosts.get(&host)?.absence.as_ref()?;
    seen.hosts.get(&host)?.spec.absence.clone()
}

fn addresses(node: &pvecm_core::conf::Node) -> Vec<LinkAddress> {
    let address = |(link, address): (&pvecm_core::ids::LinkNumber, &String)| LinkAddress {
        link: i32::from(link.get()),
        address: address.clone(),
    };
    node.addresses.iter().map(address).collect()
}

/// Whether a quorate host that is heard has this node in its membership.
fn online(node: NodeId, seen: &Observation) -> bool {
    let quorate = seen.view.hosts.values().filter(|view| view.connected && view.quorate);
    quorate.into_iter().any(|view| view.members.contains(&node))
}

/// What is wrong with a wanted node's host.
fn trouble(view: Option<&HostView>) -> Option<String> {
    let Some(view) = view else { return Some("there is no PveHost of this node".to_owned()) };
    if !view.connected {
        Some("the agent is not heard".to_owned())
    } else if view.running_version.is_none() {
        let why = view.idle.as_deref().unwrap_or("corosync does not run");
        Some(why.to_owned())
    } else if !view.quorate {
        Some("not quorate".to_owned())
    } else if !view.pmxcfs_writable {
        Some("/etc/pve takes no writes".to_owned())
    } else {
        None
    }
}

/// The links between two nodes that are configured and not as they should be, by the nodes' names.
pub fn links(seen: &Observation, nodes: &[NodeStatus]) -> Vec<LinkFault> {
    let names: BTreeMap<i64, &String> =
        nodes.iter().filter_map(|node| Some((node.node_id?, &node.name))).collect();
    let heard = seen.view.hosts.iter().filter(|(_, view)| view.connected);
    let faults = heard.flat_map(|(host, view)| {
        let status = seen.hosts.get(host).and_then(|host| host.status.as_ref());
        let fault = |fault: &HostLinkFault| LinkFault {
            number: fault.link,
            from: view.hostname.clone(),
            to: names
                .get(&fault.node_id)
                .map_or_else(|| format!("node {}", fault.node_id), |name| (*name).clone()),
            class: fault.class,
            message: fault.message.clone(),
        };
        let faults = status.iter().flat_map(|status| &status.link_faults);
        faults.map(fault).collect::<Vec<_>>()
    });
    faults.take(256).collect()
}
