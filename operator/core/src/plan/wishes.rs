//! What the spec wants of single keys of a text, whether or not anything can be planned.
//!
//! Owns the names of the keys, as [`flat`](crate::conf::flat()) has them. The goals are those that plans
//! are made of, so that nothing is shown as differing that a plan would leave alone.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::{InForce, Member};
use super::{device, links, logging, outage, restarts, totem, votes};
use crate::change::ConfText;
use crate::conf::{Config, Document, LINK_MODE};
use crate::desired::DesiredCluster;
use crate::ids::LinkNumber;
use crate::observed::ObservedCluster;

/// Keys with the values that they should have; `None`: the key should not be there.
pub type Wishes = BTreeMap<String, Option<String>>;

/// The keys in which a text is not as the spec wants it. Empty for a text that is not understood.
#[must_use]
pub fn wishes(desired: &DesiredCluster, observed: &ObservedCluster, text: &ConfText) -> Wishes {
    let Some(ground) = on_paper(desired, observed, text) else { return Wishes::new() };
    let mut wishes = nodes(desired, &ground);
    let totem = totem::goal(desired, &ground).pairs().into_iter();
    wishes.extend(totem.map(|(key, value)| (format!("totem.{key}"), value)));
    let logging = logging::goal(desired, &ground).pairs().into_iter();
    wishes.extend(logging.map(|(key, value)| (format!("logging.{key}"), Some(value))));
    let mode = restarts::goal(desired, &ground).and_then(|goal| goal.to_write());
    wishes.extend(mode.map(|mode| (LINK_MODE.to_owned(), Some(mode.to_string()))));
    let outage = outage::goal(desired, &ground).map(|goal| goal.to_write().pairs());
    let outage = outage.into_iter().flatten();
    wishes.extend(outage.map(|(key, value)| (format!("totem.{key}"), value)));
    // What a goal cannot be made of (an address that no card has) is the plan's to say.
    if let Ok(goal) = links::goal(desired, &ground) {
        wishes.extend(goal.wishes(&ground));
    }
    if let Ok(votes) = votes::goal(&ground) {
        let named = votes.into_iter().filter_map(|(id, votes)| {
            let node = ground.config.node(id)?;
            Some((node_key(node.name.as_str(), "quorum_votes"), Some(votes.to_string())))
        });
        wishes.extend(named);
    }
    wishes.extend(device::wishes(desired, observed, &ground));
    wishes
}

/// Whether the spec speaks of a key.
#[must_use]
pub fn is_managed(desired: &DesiredCluster, key: &str) -> bool {
    if let Some((link, option)) = inside(key, "totem.interface[") {
        let link = link.parse::<u32>().ok().and_then(|link| LinkNumber::try_from(link).ok());
        let options = link.map(|link| links::options(desired, link)).unwrap_or_default();
        return options.pairs().iter().any(|(known, _)| *known == option);
    }
    if let Some((name, key)) = inside(key, "nodelist.node[") {
        let node = desired.nodes.iter().find(|node| node.name.as_str() == name);
        return match key {
            "quorum_votes" => node.is_some_and(|node| node.votes.is_some()),
            "name" | "nodeid" => node.is_some(),
            _ => !desired.links.is_empty() && key.ends_with("_addr"),
        };
    }
    let mut totem = desired.totem.pairs().into_iter();
    let mut logging = desired.logging.pairs().into_iter();
    key == "totem.cluster_name"
        || (desired.device.is_some() && key.starts_with("quorum.device."))
        || key.strip_prefix("totem.").is_some_and(|key| totem.any(|(known, _)| known == key))
        || key.strip_prefix("logging.").is_some_and(|key| logging.any(|(known, _)| known == key))
}

/// A key of a node, by the node's name.
pub(super) fn node_key(name: &str, key: &str) -> String {
    format!("nodelist.node[{name}].{key}")
}

fn inside<'k>(key: &'k str, section: &str) -> Option<(&'k str, &'k str)> {
    key.strip_prefix(section)?.split_once("].")
}

/// Nodes that a person took out of the list or put into it.
fn nodes(desired: &DesiredCluster, ground: &InForce<'_>) -> Wishes {
    let listed: BTreeSet<&str> = ground.config.nodes.iter().map(|n| n.name.as_str()).collect();
    let wanted: BTreeSet<&str> = desired.nodes.iter().map(|node| node.name.as_str()).collect();
    let missing = wanted.difference(&listed).map(|name| (*name, Some((*name).to_owned())));
    let surplus = listed.difference(&wanted).map(|name| (*name, None));
    missing.chain(surplus).map(|(name, wish)| (node_key(name, "name"), wish)).collect()
}

/// A text as if it were in force, with the hosts in whatever state they are.
fn on_paper<'a>(
    desired: &'a DesiredCluster,
    observed: &'a ObservedCluster,
    conf: &ConfText,
) -> Option<InForce<'a>> {
    let document = Document::parse(conf.text.as_bytes());
    let config = Config::read(&document).ok()?;
    let members = desired.nodes.iter().filter_map(|node| {
        let listed = config.nodes.iter().find(|listed| listed.name == node.name)?;
        Some((listed.id, Member { node, view: observed.hosts.get(&node.host)? }))
    });
    let members = members.collect();
    let (leaving, stopped, gone) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let (unstarted, away, strays) = (None, BTreeSet::new(), BTreeMap::new());
    let conf = conf.clone();
    let is_lost = false;
    Some(InForce {
        conf,
        document,
        config,
        members,
        unstarted,
        leaving,
        stopped,
        away,
        gone,
        strays,
        is_lost,
    })
}
