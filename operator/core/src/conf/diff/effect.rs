//! How each change takes effect, and whom it interrupts.

use super::super::dialect::Dialect;
use super::super::effective::{Encryption, Timers, Votes};
use super::super::keys::{Kind, TakesEffect, Width, find};
use super::words::parts;
use super::{Change, Sides, What};

/// What a single change has to know of both files.
pub(super) struct Context {
    /// Whether corosync 2 runs: it knows no links that come and go (pve.md 2.6).
    is_corosync2: bool,
    /// Whether nodes of the new file differ in their links.
    is_uneven: bool,
    /// Whether the new file has a cipher without a hash.
    is_unsigned: bool,
    /// Links that both files have.
    staying_links: usize,
    old_votes: Votes,
    new_votes: Votes,
    /// How long a failure stops everybody: token and consensus of the old file.
    stall_millis: u64,
}

impl Context {
    pub(super) fn of(sides: &Sides<'_>) -> Self {
        let links = sides.new.links();
        let is_even = sides.new.nodes.iter().all(|node| node.addresses().len() == links.len());
        let crypto = Encryption::of(sides.new);
        let timers = Timers::of(sides.old);
        Self {
            is_corosync2: sides.old.dialect == Dialect::Corosync2,
            is_uneven: !is_even,
            is_unsigned: crypto.cipher != "none" && crypto.hash == "none",
            staying_links: sides.old.links().intersection(&links).count(),
            old_votes: Votes::of(sides.old),
            new_votes: Votes::of(sides.new),
            stall_millis: timers.token_effective_millis + timers.consensus_millis.value,
        }
    }

    fn votes(&self) -> String {
        let (old, new) = (&self.old_votes, &self.new_votes);
        format!(
            "expected votes go from {} to {} at the reload, {} are then needed",
            old.expected.value, new.expected.value, new.needed
        )
    }
}

pub(super) fn change(what: What, context: &Context) -> Change {
    let (takes_effect, consequence) = judge(&what, context);
    Change { summary: what.to_string(), what, takes_effect, consequence }
}

pub(super) fn text_only() -> Change {
    let consequence =
        "corosync takes no notice; Proxmox VE drops comments when it rewrites the file";
    let (what, takes_effect) = (What::TextOnly, TakesEffect::Never);
    Change { summary: what.to_string(), what, takes_effect, consequence: consequence.to_owned() }
}

type Judgement = (TakesEffect, String);

fn judge(what: &What, context: &Context) -> Judgement {
    let live = |text: String| (TakesEffect::Live, text);
    match what {
        What::NodeAdded { .. } if context.is_uneven => uneven(),
        What::NodeAdded { .. } => live(format!(
            "{}, before the node itself runs; nobody is interrupted while quorum holds",
            context.votes()
        )),
        What::NodeRemoved { .. } => live(format!(
            "{}; if the node still runs, all others stop for about {} s until it is thrown out, so \
             stop its corosync first",
            context.votes(),
            seconds(context.stall_millis)
        )),
        What::NodeIdChanged { .. } => (
            TakesEffect::RestartSilent,
            "the others drop the node at the reload; it keeps its old id and stays alone until its \
             corosync is restarted"
                .to_owned(),
        ),
        What::LinkAdded { .. } | What::LinkRemoved { .. } | What::AddressChanged { .. } => {
            link(what, context)
        }
        What::TransportChanged { .. } => (
            TakesEffect::FullStop,
            "a reload keeps the old transport and logs that; a node that is restarted alone with \
             the new one is alone, so all nodes have to be stopped before the first starts"
                .to_owned(),
        ),
        What::EncryptionChanged { to, .. } => encryption(to, context),
        What::Key { key, to, .. } => key_change(key, to.as_deref(), context),
        What::TextOnly => (TakesEffect::Never, String::new()),
    }
}

/// One decimal is enough for people.
fn seconds(millis: u64) -> String {
    format!("{}.{}", millis / 1000, millis % 1000 / 100)
}

/// corosync.md 5.2: `Not all nodes have the same number of links`.
fn uneven() -> Judgement {
    let text = "every node refuses the file, because the nodes do not all have the same links";
    (TakesEffect::RefusesFile, text.to_owned())
}

fn link(what: &What, context: &Context) -> Judgement {
    if context.is_corosync2 {
        let text =
            "corosync 2 takes rings and addresses only when it starts: restart it on all nodes";
        return (TakesEffect::RestartSilent, text.to_owned());
    }
    match what {
        What::AddressChanged { from: Some(_), to: Some(_), .. } => (
            TakesEffect::RefusesFile,
            "every node refuses the whole file, unless both resolve to the same address; add a new \
             link, see it carry, then remove the old one. Restarts one by one split the cluster by \
             old and new addresses"
                .to_owned(),
        ),
        _ if context.is_uneven => uneven(),
        What::LinkRemoved { .. } if context.staying_links == 0 => (
            TakesEffect::Live,
            "no link that carries today is left: every node is alone if the new ones do not carry \
             within the token's time"
                .to_owned(),
        ),
        What::LinkRemoved { .. } => (
            TakesEffect::Live,
            "nobody is interrupted while another link is connected between all nodes; look at every \
             node first"
                .to_owned(),
        ),
        _ => (
            TakesEffect::Live,
            "nobody is interrupted; it carries after a few seconds, which has to be seen on every \
             node before it is relied on"
                .to_owned(),
        ),
    }
}

fn encryption(to: &Encryption, context: &Context) -> Judgement {
    if context.is_unsigned {
        let text = "every node refuses the file: a cipher needs a hash other than none";
        return (TakesEffect::RefusesFile, text.to_owned());
    }
    if context.is_corosync2 {
        let text = "corosync 2 takes it only when it starts, and nodes that differ do not hear each \
                    other: stop all nodes";
        return (TakesEffect::FullStop, text.to_owned());
    }
    let text = if to.is_plain() {
        "takes effect at the reload without interruption, and from then on anybody on the network \
         reads and writes the traffic"
    } else {
        "takes effect at the reload without interruption, if every node has the file: one that has \
         not is alone within seconds"
    };
    (TakesEffect::Live, text.to_owned())
}

fn key_change(key: &str, to: Option<&str>, context: &Context) -> Judgement {
    let (section, name, _) = parts(key);
    let Some(known) = find(&section, name) else {
        return (TakesEffect::Never, "corosync stores it and does not read it".to_owned());
    };
    let takes_effect = match known.change.takes_effect {
        TakesEffect::Never if context.is_corosync2 => TakesEffect::RestartLogged,
        _ if context.is_corosync2 && section == "totem.interface" => TakesEffect::RestartSilent,
        other => other,
    };
    if let Some(refused) = to.and_then(|value| unreadable(&known.kind, value)) {
        return refused;
    }
    let mut text =
        consequence(&section, name, context).unwrap_or_else(|| takes_effect.sentence().to_owned());
    if to.is_some_and(|value| !is_taken(&known.kind, value)) {
        text.push_str(". A start refuses the file with this value");
    }
    (takes_effect, text)
}

/// What people have to know beyond how it takes effect.
fn consequence(section: &str, name: &str, context: &Context) -> Option<String> {
    let text = match (section, name) {
        ("totem", "config_version") => {
            "every node shows it after the reload; that alone does not \
                                        prove that the rest of the file is in force"
        }
        ("totem", "token" | "token_coefficient") => {
            return Some(format!(
                "{}. A failure is noticed after the token and its consensus, until now {} s",
                TakesEffect::LiveAfterSecondReload.sentence(),
                seconds(context.stall_millis)
            ));
        }
        ("totem", "cluster_name") => {
            "a reload logs that it cannot be changed; corosync-qdevice and \
                                      udp know the cluster by it, so leave it"
        }
        ("totem", "link_mode") => {
            "nothing happens until each node's corosync is restarted, though \
                                   cmap shows the new value; nodes may differ meanwhile"
        }
        ("totem.interface", "mcastport") => {
            "the old port stays in use until a restart, and a node \
                                             that is restarted alone is alone; remove the link and \
                                             add it again with the new port"
        }
        ("totem.interface", "knet_transport") => {
            "every node refuses the whole file; remove the link \
                                                  and add it again"
        }
        ("nodelist.node", "name") => {
            "takes effect at the reload; it has to be the machine's host \
                                      name, or the node does not find itself"
        }
        ("nodelist.node", "quorum_votes")
        | ("quorum", "expected_votes" | "votes" | "two_node")
        | ("quorum.device", "votes") => return Some(context.votes()),
        ("quorum.device", "model") => {
            "the device's votes count at the reload; corosync-qdevice has to \
                                       be started or stopped on every node"
        }
        ("quorum.device.net", "algorithm") => {
            "running corosync-qdevice daemons exit at the reload and \
                                               the device's votes are gone; remove the device and add \
                                               it again"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// A value that the parser stops at: nothing else of the file is read.
fn unreadable(kind: &Kind, value: &str) -> Option<Judgement> {
    let Kind::Number(number) = kind else { return None };
    if number.width.read(value.as_bytes()).is_some() {
        return None;
    }
    let text = match number.width {
        Width::Text => return None,
        // corosync.md 1 item 10.
        Width::U64 => {
            "every running corosync that reloads the file aborts: it takes a number alone"
        }
        Width::U8 | Width::U16 | Width::U32 | Width::I32 => {
            "every node refuses the file: it takes a number alone"
        }
    };
    Some((TakesEffect::RefusesFile, text.to_owned()))
}

/// Whether a start of corosync takes the value; a reload checks less (corosync.md 4, 5.3).
fn is_taken(kind: &Kind, value: &str) -> bool {
    match kind {
        Kind::Number(number) => {
            number.width.read(value.as_bytes()).is_none_or(|value| number.accepts_value(value))
        }
        Kind::OneOf(words) => words.contains(&value),
        Kind::Words { .. } | Kind::Address | Kind::Text(_) => true,
    }
}
