//! A `PveCluster`'s spec as the planner sees it. Checks what the API server cannot.

mod device;
mod logging;
mod totem;
mod transfer;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt as _;
use pvecm_core::conf::LinkOptions;
use pvecm_core::desired::{
    Approval, DesiredCluster, DesiredLink, DesiredNode, Drift, HighAvailability, MaxRisk, Removal,
    Rollout,
};
use pvecm_core::fitness::Limits;
use pvecm_core::ids::{IdError, LinkNumber, NodeId};

use crate::cluster::{self, DeletionPolicy, Link, LinkAddress, LinkLimits, Node, PveCluster};

/// A spec that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {sentence}")]
pub struct InvalidSpec {
    /// The field, as `kubectl explain` would be asked for it, with keys in brackets.
    pub field: String,
    /// What is wrong with it, in one sentence.
    pub sentence: String,
}

impl InvalidSpec {
    fn new(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { field: field.into(), sentence: sentence.into() }
    }
}

/// The checked form of what the user wants.
pub fn desired(cluster: &PveCluster) -> Result<DesiredCluster, InvalidSpec> {
    let spec = &cluster.spec;
    let name = spec.cluster_name.clone().unwrap_or_else(|| cluster.name_any());
    let links = spec.links.iter().map(link).collect::<Result<Vec<_>, _>>()?;
    let nodes = spec.nodes.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        return Err(InvalidSpec::new("spec.nodes", "at least one node is needed"));
    }
    networks_apart(&links)?;
    addresses_once(&nodes)?;
    addresses_fit_links(&nodes, &links)?;
    let totem = spec.totem.as_ref().map(totem::options).transpose()?.unwrap_or_default();
    let key_generation = spec.totem.as_ref().and_then(|totem| totem.key_generation);
    Ok(DesiredCluster {
        name: name
            .parse()
            .map_err(|why: IdError| InvalidSpec::new("spec.clusterName", why.to_string()))?,
        nodes,
        links,
        totem,
        logging: spec.logging.map(logging::options).unwrap_or_default(),
        datacenter: transfer::wishes(spec)?,
        device: spec
            .quorum
            .as_ref()
            .and_then(|quorum| quorum.device.as_ref())
            .map(device::wish)
            .transpose()?,
        key_generation: optional("spec.totem.keyGeneration", key_generation)?.unwrap_or(0),
        rollout: rollout(&spec.rollout)?,
        dissolves: dissolves(cluster),
        generation: cluster.metadata.generation.unwrap_or_default(),
    })
}

/// Whether the cluster is to end: its object is being deleted, and its policy says so.
#[must_use]
pub fn dissolves(cluster: &PveCluster) -> bool {
    let is_deleted = cluster.metadata.deletion_timestamp.is_some();
    is_deleted && cluster.spec.deletion_policy == DeletionPolicy::Dissolve
}

fn rollout(wanted: &cluster::Rollout) -> Result<Rollout, InvalidSpec> {
    let timeout = wanted.confirm_timeout_seconds;
    Ok(Rollout {
        approval: match wanted.approval {
            cluster::Approval::Automatic => Approval::Automatic,
            cluster::Approval::Manual => Approval::Manual,
        },
        max_risk: match wanted.max_risk {
            cluster::MaxRisk::Live => MaxRisk::Live,
            cluster::MaxRisk::NodeRestart => MaxRisk::NodeRestart,
            cluster::MaxRisk::Outage => MaxRisk::Outage,
        },
        high_availability: match wanted.high_availability {
            cluster::HighAvailability::RequireIdle => HighAvailability::RequireIdle,
            cluster::HighAvailability::Disarm => HighAvailability::Disarm,
        },
        confirm_timeout_secs: number("spec.rollout.confirmTimeoutSeconds", timeout)?,
        drift: match wanted.drift {
            cluster::Drift::Correct => Drift::Correct,
            cluster::Drift::Report => Drift::Report,
        },
        removal: match wanted.removal {
            cluster::Removal::RefuseIfReferenced => Removal::RefuseIfReferenced,
            cluster::Removal::CleanReferences => Removal::CleanReferences,
        },
        paused: wanted.paused,
    })
}

fn number<T: TryFrom<i32>>(field: &str, value: i32) -> Result<T, InvalidSpec> {
    T::try_from(value).map_err(|_| InvalidSpec::new(field, format!("{value} is out of range")))
}

fn optional<T: TryFrom<i32>>(field: &str, value: Option<i32>) -> Result<Option<T>, InvalidSpec> {
    value.map(|value| number(field, value)).transpose()
}

fn id<T: TryFrom<u32, Error = IdError>>(field: &str, value: i32) -> Result<T, InvalidSpec> {
    T::try_from(number(field, value)?)
        .map_err(|why: IdError| InvalidSpec::new(field, why.to_string()))
}

fn link(link: &Link) -> Result<DesiredLink, InvalidSpec> {
    let field = format!("spec.links[{}]", link.number);
    let network = link.network.as_deref().map(|text| network(&format!("{field}.network"), text));
    Ok(DesiredLink {
        number: id(&field, link.number)?,
        network: network.transpose()?,
        options: LinkOptions {
            priority: optional(&format!("{field}.priority"), link.priority)?,
            ping_interval_millis: optional(
                &format!("{field}.pingIntervalMillis"),
                link.ping_interval_millis,
            )?,
            ping_timeout_millis: optional(
                &format!("{field}.pingTimeoutMillis"),
                link.ping_timeout_millis,
            )?,
            ping_precision: optional(&format!("{field}.pingPrecision"), link.ping_precision)?,
            pong_count: optional(&format!("{field}.pongCount"), link.pong_count)?,
            port: optional(&format!("{field}.port"), link.port)?,
        },
        limits: link.limits.map(|wanted| limits(&format!("{field}.limits"), wanted)).transpose()?,
    })
}

fn limits(field: &str, wanted: LinkLimits) -> Result<Limits, InvalidSpec> {
    let LinkLimits { round_trip_millis, loss_percent } = wanted;
    let round_trip = optional(&format!("{field}.roundTripMillis"), round_trip_millis)?;
    let loss = optional(&format!("{field}.lossPercent"), loss_percent)?;
    let usual = Limits::default();
    Ok(Limits {
        round_trip_millis: round_trip.unwrap_or(usual.round_trip_millis),
        loss_percent: loss.unwrap_or(usual.loss_percent),
    })
}

fn network(field: &str, text: &str) -> Result<IpNet, InvalidSpec> {
    let refused =
        || InvalidSpec::new(field, format!("`{text}` is not a network without host bits"));
    let network: IpNet = text.parse().map_err(|_| refused())?;
    if network.trunc() == network { Ok(network) } else { Err(refused()) }
}

fn node(node: &Node) -> Result<DesiredNode, InvalidSpec> {
    let field = format!("spec.nodes[{}]", node.name);
    let node_id = node.node_id.map(|n| id::<NodeId>(&format!("{field}.nodeId"), n));
    let votes = node.votes.map(|votes| number(&format!("{field}.votes"), votes));
    Ok(DesiredNode {
        name: node
            .name
            .parse()
            .map_err(|why: IdError| InvalidSpec::new(&field, why.to_string()))?,
        host: node.host().parse().map_err(|why: IdError| {
            InvalidSpec::new(format!("{field}.hostRef"), why.to_string())
        })?,
        node_id: node_id.transpose()?,
        votes: votes.transpose()?,
        addresses: node
            .addresses
            .iter()
            .map(|given| address(&format!("{field}.addresses[{}]", given.link), given))
            .collect::<Result<_, _>>()?,
    })
}

fn address(field: &str, given: &LinkAddress) -> Result<(LinkNumber, String), InvalidSpec> {
    let LinkAddress { link, address } = given;
    if address.parse::<IpAddr>().is_err() && !is_host_name(address) {
        let sentence = format!("`{address}` is neither an IP address nor a host name");
        return Err(InvalidSpec::new(field, sentence));
    }
    Ok((id(field, *link)?, address.clone()))
}

/// Labels of letters, digits and inner dashes. The last one is not all digits: `10.0.0.300` is a
/// typing error and no host name.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number =
        text.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(label) && !last_is_number
}

/// A host's one address inside a network could belong to two links otherwise.
fn networks_apart(links: &[DesiredLink]) -> Result<(), InvalidSpec> {
    for (at, later) in links.iter().enumerate() {
        for earlier in &links[..at] {
            let (Some(one), Some(other)) = (&earlier.network, &later.network) else { continue };
            if one.contains(other) || other.contains(one) {
                let sentence = format!("{other} overlaps {one} of link {}", earlier.number);
                let field = format!("spec.links[{}].network", later.number);
                return Err(InvalidSpec::new(field, sentence));
            }
        }
    }
    Ok(())
}

/// Two ways to write one address are one address.
fn addresses_once(nodes: &[DesiredNode]) -> Result<(), InvalidSpec> {
    let mut seen = BTreeMap::new();
    for node in nodes {
        for (link, address) in &node.addresses {
            let plain = match address.parse::<IpAddr>() {
                Ok(ip) => ip.to_canonical().to_string(),
                Err(_) => address.to_ascii_lowercase(),
            };
            if let Some(other) = seen.insert(plain, &node.name) {
                let sentence = format!("`{address}` is given to node {other} already");
                let field = format!("spec.nodes[{}].addresses[{link}]", node.name);
                return Err(InvalidSpec::new(field, sentence));
            }
        }
    }
    Ok(())
}

/// corosync refuses a link whose addresses are of both families.
fn addresses_fit_links(nodes: &[DesiredNode], links: &[DesiredLink]) -> Result<(), InvalidSpec> {
    let networks: BTreeMap<_, _> =
        links.iter().filter_map(|l| l.network.map(|network| (l.number, network))).collect();
    let mut families: BTreeMap<LinkNumber, bool> =
        networks.iter().map(|(link, network)| (*link, network.addr().is_ipv6())).collect();
    for node in nodes {
        for (link, address) in &node.addresses {
            let Ok(ip) = address.parse::<IpAddr>() else { continue };
            let field = format!("spec.nodes[{}].addresses[{link}]", node.name);
            if *families.entry(*link).or_insert(ip.is_ipv6()) != ip.is_ipv6() {
                let sentence =
                    format!("{ip} is of another address family than the rest of link {link}");
                return Err(InvalidSpec::new(field, sentence));
            }
            if let Some(network) = networks.get(link).filter(|network| !network.contains(&ip)) {
                let sentence = format!("{ip} is not inside {network}, the network of link {link}");
                return Err(InvalidSpec::new(field, sentence));
            }
        }
    }
    Ok(())
}
