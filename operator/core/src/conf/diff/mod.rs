//! What a new corosync.conf changes, in the field's terms, and what a reload would do with it.
//!
//! Owns the comparison of two files of any dialect: nodes are matched by id, links by number, all
//! else key by key. Judges the new file as a whole as well, because a reload does: one refused
//! change stops all others, and one that is put off does not (corosync.md 5.6). Never looks at
//! running nodes; what it says holds when the old file is in force everywhere.

mod effect;
mod find;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::document::Document;
use super::effective::{Encryption, Timers, Votes};
use super::keys::TakesEffect;
use super::settings::{NodeSettings, Settings};

/// The difference between two files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Nodes first, then links, then what holds for all of them, then the rest.
    pub changes: Vec<Change>,
    /// What a reload makes of the new file.
    pub reload: Reload,
    /// What follows from the changes together, in sentences.
    pub warnings: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is changed.
    pub what: What,
    /// The same in words: `priority of link 1: 10 -> 20`.
    pub summary: String,
    /// How it takes effect, if nothing else in the file keeps it from that.
    pub takes_effect: TakesEffect,
    /// Who is interrupted and what has to be done, in one sentence.
    pub consequence: String,
}

/// What is changed. Nodes are called by their names, or by an address where they have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A node is new in the list.
    NodeAdded {
        /// The node.
        node: String,
        /// Its addresses by link.
        addresses: BTreeMap<u32, String>,
    },
    /// A node is in the list no more.
    NodeRemoved {
        /// The node.
        node: String,
    },
    /// A node of the same name has another id.
    NodeIdChanged {
        /// The node.
        node: String,
        /// Its old id, if it had one.
        from: Option<u32>,
        /// Its new id, if it has one.
        to: Option<u32>,
    },
    /// Nodes have addresses on a link that was not there.
    LinkAdded {
        /// The link.
        link: u32,
        /// The addresses by node.
        addresses: BTreeMap<String, String>,
        /// The keys of its interface section, without its number.
        options: BTreeMap<String, String>,
    },
    /// No node has an address on the link any more.
    LinkRemoved {
        /// The link.
        link: u32,
    },
    /// A node that stays has another address on a link that stays, or one more or less.
    AddressChanged {
        /// The node.
        node: String,
        /// The link.
        link: u32,
        /// The old address.
        from: Option<String>,
        /// The new one.
        to: Option<String>,
    },
    /// The transport is another: knet, udp, udpu, or that of corosync 2.
    TransportChanged {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// What the traffic is protected with, as cipher and hash; several keys make it up.
    EncryptionChanged {
        /// The old one.
        from: Encryption,
        /// The new one.
        to: Encryption,
    },
    /// Any other key.
    Key {
        /// The names of its sections and its own, with dots: `totem.interface[1].mcastport`.
        key: String,
        /// The old value; `None`: not written.
        from: Option<String>,
        /// The new value; `None`: not written.
        to: Option<String>,
    },
    /// Comments, order or spacing; nothing that corosync reads.
    TextOnly,
}

/// What a reload makes of the new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reload {
    /// There is nothing in it that a running corosync would do anything about.
    Nothing,
    /// All of it takes effect.
    Applied,
    /// What can be changed in a running cluster takes effect, the rest waits for restarts; success
    /// is reported either way.
    InPart,
    /// Every node refuses the file as a whole.
    Refused,
    /// Every running corosync that reads the file ends at once, by an assertion of its own
    /// (corosync.md 1 item 10).
    Aborts,
}

/// Compares two files.
#[must_use]
pub fn diff(old: &Document, new: &Document) -> Diff {
    let sides = Sides { old: &Settings::of(old), new: &Settings::of(new) };
    let mut changes = find::changes(&sides);
    if has_other_comments(old, new) || (changes.is_empty() && old != new) {
        changes.push(effect::text_only());
    }
    let refused_text = new.problems().first();
    let reload = match refused_text {
        Some(_) => Reload::Refused,
        None if sides.new.aborts() => Reload::Aborts,
        None => reload(&changes),
    };
    let mut warnings = Vec::new();
    if let Some(problem) = refused_text {
        warnings.push(format!("corosync refuses the new file: {problem}"));
    }
    warnings.extend(sides.warnings(&changes, reload));
    Diff { changes, reload, warnings }
}

fn reload(changes: &[Change]) -> Reload {
    let is = |wanted: &[TakesEffect]| changes.iter().any(|c| wanted.contains(&c.takes_effect));
    let later = [
        TakesEffect::QdeviceRestart,
        TakesEffect::RestartLogged,
        TakesEffect::RestartSilent,
        TakesEffect::FullStop,
    ];
    if is(&[TakesEffect::RefusesFile]) {
        Reload::Refused
    } else if is(&later) {
        Reload::InPart
    } else if is(&[TakesEffect::Live, TakesEffect::LiveAfterSecondReload]) {
        Reload::Applied
    } else {
        Reload::Nothing
    }
}

fn has_other_comments(old: &Document, new: &Document) -> bool {
    let comments = |document: &Document| -> Vec<Vec<u8>> {
        let lines = document.as_bytes().split(|byte| *byte == b'\n');
        let text = lines.map(<[u8]>::trim_ascii).filter(|line| line.starts_with(b"#"));
        text.map(<[u8]>::to_vec).collect()
    };
    comments(old) != comments(new)
}

/// The two files.
struct Sides<'a> {
    old: &'a Settings,
    new: &'a Settings,
}

impl Sides<'_> {
    /// What follows from all changes together.
    fn warnings(&self, changes: &[Change], reload: Reload) -> Vec<String> {
        let mut warnings = Vec::new();
        if reload == Reload::Aborts {
            warnings.push(
                "every running corosync that reloads the file ends at once: a number in it that \
                 takes 64 bits is none"
                    .to_owned(),
            );
        }
        if reload == Reload::Refused && changes.len() > 1 {
            warnings.push(
                "one change makes every node refuse the file, so none of the others takes effect \
                 either; config_version stays what it was"
                    .to_owned(),
            );
        }
        let rest = [
            self.lost_nodes(),
            self.lost_links(),
            self.lost_quorum(),
            self.lost_provider(),
            lost_encryption(changes),
            self.other_token(),
            self.version(changes),
        ];
        warnings.extend(rest.into_iter().flatten());
        warnings
    }

    /// corosync.md 5.1: such a file is taken and cannot be repaired by a reload.
    fn lost_nodes(&self) -> Option<String> {
        let lost = !self.old.nodes.is_empty() && self.new.nodes.is_empty();
        lost.then(|| {
            "the new file lists no node: a reload takes it, every node is alone within seconds, and \
             no reload brings them back"
                .to_owned()
        })
    }

    /// corosync.md 6.3 and 13 item 8: a link that was not yet seen to carry must not be alone.
    fn lost_links(&self) -> Option<String> {
        let (old, new) = (self.old.links(), self.new.links());
        let none_stays = !old.is_empty() && !new.is_empty() && old.is_disjoint(&new);
        none_stays.then(|| {
            "no link stays: the new ones have not carried anything yet when the old ones go; add \
             first, look at every node, then remove"
                .to_owned()
        })
    }

    /// corosync.md 5.1: votes of nodes that do not run yet count at once.
    fn lost_quorum(&self) -> Option<String> {
        let before: BTreeSet<u32> = self.old.nodes.iter().filter_map(NodeSettings::id).collect();
        let votes = Votes::of(self.new);
        let stay = self.new.nodes.iter().filter(|n| n.id().is_some_and(|id| before.contains(&id)));
        let present: u64 = stay.map(NodeSettings::votes).sum();
        let device = votes.device_votes.filter(|_| self.old.has_device());
        let present = present + device.map_or(0, |device| device.value);
        let lost = !before.is_empty() && !self.new.nodes.is_empty() && present < votes.needed;
        lost.then(|| {
            format!(
                "quorum is lost at the reload: {} of {} votes are needed, and what runs now has \
                 {present} of them",
                votes.needed, votes.expected.value
            )
        })
    }

    /// corosync.md 1 item 11.
    fn lost_provider(&self) -> Option<String> {
        let provider = |settings: &Settings| settings.value("quorum", "provider").is_some();
        (provider(self.old) && !provider(self.new)).then(|| {
            "the new file names no quorum provider: a reload takes it, nodes stay without quorum \
             service, and only a restart of corosync brings it back"
                .to_owned()
        })
    }

    /// corosync.md 6.2: without a `ring0_addr` the coefficient counts nobody, and nothing says so.
    fn other_token(&self) -> Option<String> {
        let effective = |settings| Timers::of(settings).token_effective_millis;
        let (old, new) = (effective(self.old), effective(self.new));
        (old != new).then(|| {
            format!(
                "the token's timeout goes from {old} to {new} ms: a failure is noticed after that"
            )
        })
    }

    /// pve.md 9 item 19 and corosync.md 9.2.
    fn version(&self, changes: &[Change]) -> Option<String> {
        let version = |settings: &Settings| settings.number("totem", "config_version");
        let (old, new) = (version(self.old)?, version(self.new)?);
        if changes.is_empty() || new > old {
            return None;
        }
        let why = if new == old {
            "stays: a node that missed this file cannot be told from one that has it"
        } else {
            "goes down: pmxcfs does not hand the file out, and a node that starts with it exits"
        };
        Some(format!("config_version {why}"))
    }
}

/// corosync.md 5.6: the transport is kept, the dropped keys are not.
fn lost_encryption(changes: &[Change]) -> Option<String> {
    let is_plain = |change: &&Change| {
        matches!(&change.what, What::EncryptionChanged { from, to }
            if !from.is_plain() && to.is_plain())
    };
    let lost = changes.iter().find(is_plain)?;
    let is_transport = |change: &Change| matches!(change.what, What::TransportChanged { .. });
    let why = if changes.iter().any(is_transport) {
        "the transport stays knet until all nodes are stopped, but the keys for encryption go at \
         the reload: until then"
    } else {
        "from the reload on"
    };
    (lost.takes_effect == TakesEffect::Live)
        .then(|| format!("{why} the cluster runs unencrypted on its network"))
}
