//! Whether a host that was booted may start corosync with the file that it has.
//!
//! Owns the judgement of what others said. A host that was off while its cluster changed comes back with
//! an old corosync.conf: its corosync then ends by itself with exit code 0 (facts/corosync.md 9.2), or runs
//! beside the cluster as what it is no more. Nobody to ask is no evidence: after a power cut every host is
//! in that place, and the cluster has to come up.
//!
//! Never asks anybody and never touches a file: that is the agent's `gate`.

mod journal;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::conf::{Config, Document, Node};
use crate::ids::{ConfigVersion, NodeName};

pub use journal::{Idle, outrun};

/// The corosync.conf of this host: the newest of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    config: Config,
    me: Node,
}

/// A node that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: NodeName,
    /// Its addresses, those of the lowest link first.
    pub addresses: Vec<String>,
}

/// What somebody said is the cluster's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who, in words.
    pub by: String,
    /// The whole file.
    pub text: String,
    /// How much it weighs.
    pub weight: Weight,
}

/// How much a word weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A member with quorum: this is in force.
    Quorate,
    /// A change that has ended: this was in force once, and a person may have gone on since.
    Change,
    /// A node without quorum: it may have missed as much as this host has, and what it has was in force
    /// once. Nothing as soon as a quorate one speaks.
    Alone,
}

/// That corosync is held, and why. It stays known over the next boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The version that does not list this host.
    pub version: ConfigVersion,
    /// One sentence.
    pub because: String,
}

/// What is to be done before corosync starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the file on the disk.
    Start,
    /// This host is a member of what has gone on without it.
    Refresh(Said),
    /// This host is no member any more.
    Hold(Held),
}

/// A word about this very cluster.
struct Told<'a> {
    said: &'a Said,
    config: Config,
}

impl Own {
    /// Of these copies the newest one. `None`: none of them is understood, or none lists this host, and
    /// then nothing can be held against it.
    #[must_use]
    pub fn read<'a>(copies: impl IntoIterator<Item = &'a [u8]>, hostname: &str) -> Option<Self> {
        let read = |bytes| Config::read(&Document::parse(bytes)).ok();
        let config = copies.into_iter().filter_map(read).max_by_key(|config| config.version)?;
        let me = config.nodes.iter().find(|node| node.name.as_str() == hostname)?.clone();
        Some(Self { config, me })
    }

    /// Who can be asked.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        let peer = |node: &Node| Peer {
            name: node.name.clone(),
            addresses: node.addresses.values().cloned().collect(),
        };
        self.config.nodes.iter().filter(|node| node.id != self.me.id).map(peer).collect()
    }

    /// Whether nobody else need be waited for.
    #[must_use]
    pub fn is_settled_by(&self, said: &Said) -> bool {
        said.weight == Weight::Quorate && self.told(said).is_some()
    }

    /// Judges what was said, and what was known from an earlier boot.
    #[must_use]
    pub fn decide(&self, said: &[Said], before: Option<&Held>) -> Verdict {
        let mut told: Vec<Told<'_>> = said.iter().filter_map(|said| self.told(said)).collect();
        let is_quorate = |told: &Told<'_>| told.said.weight == Weight::Quorate;
        if told.iter().any(is_quorate) {
            told.retain(|told| told.said.weight != Weight::Alone);
        }
        let is_back = told.iter().any(|told| is_quorate(told) && self.is_listed(&told.config));
        told.retain(|told| told.config.version > self.config.version);
        let newest = told.iter().map(|told| told.config.version).max();
        if let Some(held) = before.filter(|held| !is_back && newest <= Some(held.version)) {
            return Verdict::Hold(held.clone());
        }
        told.retain(|told| Some(told.config.version) == newest);
        let Some(first) = told.first() else { return Verdict::Start };
        if told.iter().all(|told| !self.is_listed(&told.config)) {
            return Verdict::Hold(self.held(first));
        }
        // One number for two texts: which of them is in force nobody here knows.
        let is_one = told.iter().all(|told| told.said.text == first.said.text);
        if is_one { Verdict::Refresh(first.said.clone()) } else { Verdict::Start }
    }

    fn held(&self, told: &Told<'_>) -> Held {
        let Told { said, config } = told;
        let Node { name, id, .. } = &self.me;
        let because = format!(
            "version {} of corosync.conf does not list {name} as node {id} ({} has it), version {} on this \
             disk does",
            config.version, said.by, self.config.version
        );
        Held { version: config.version, because }
    }

    /// Only what is understood, and is of the same cluster. The name alone does not say that: a cluster that
    /// was made anew has the name of the one before, and none of its nodes.
    fn told<'a>(&self, said: &'a Said) -> Option<Told<'a>> {
        let config = Config::read(&Document::parse(said.text.as_bytes())).ok()?;
        let is_shared = |node: &Node| node.id != self.me.id && has(&config, node);
        let is_same = config.cluster_name == self.config.cluster_name
            && self.config.nodes.iter().any(is_shared);
        is_same.then_some(Told { said, config })
    }

    /// A node that was listed again under another number is not the one that this disk knows.
    fn is_listed(&self, config: &Config) -> bool {
        has(config, &self.me)
    }
}

fn has(config: &Config, node: &Node) -> bool {
    config.node(node.id).is_some_and(|listed| listed.name == node.name)
}
