//! Every key of corosync.conf that somebody reads: what it takes, what holds without it, and how a
//! change of it takes effect. One place per key.
//!
//! Owns facts alone, as static tables: [`sections`] to walk over, [`find`] to look up. Never reads
//! a file and never judges one. What corosync enforces (the width it reads a number with, the
//! bounds it checks after that, the words it takes) was measured with `corosync -t` of 3.1.7 and
//! stands apart from what makes sense.
//!
//! Where to read next: [`Key`]; the tables in `totem`, `nodes`, `quorum` and `daemon`.

mod daemon;
mod nodes;
mod number;
mod quorum;
mod totem;

#[cfg(test)]
mod tests;

pub use number::{Bounds, Number, Unit, Width};

use std::fmt;

use serde::Serialize;

/// The keys that can stand in one section.
#[derive(Debug)]
pub struct Section {
    /// The names from the top, with dots, such as `totem.interface`. A `*` stands for any name.
    pub path: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The name. `X` in `ringX_addr` stands for a link's number, `*` at the end for any rest.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not written, in words.
    pub default: &'static str,
    /// How a change of it takes effect in a running cluster.
    pub change: Change,
    /// The first corosync that knows it, where that matters: `3.1.10`.
    pub since: Option<&'static str>,
    /// Whether it still means anything.
    pub standing: Standing,
}

/// What a key takes, as corosync 3.1.7 enforces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number(Number),
    /// One of these words. On any other corosync refuses the whole file.
    OneOf(&'static [&'static str]),
    /// One of these words; corosync takes the file with any other as well.
    Words {
        /// The words that mean something.
        known: &'static [&'static str],
        /// What becomes of any other.
        otherwise: &'static str,
    },
    /// An address, or a host name that corosync resolves.
    Address,
    /// Any text; in words, what it means.
    Text(&'static str),
}

impl Kind {
    /// The words, where it takes words.
    #[must_use]
    pub const fn words(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::OneOf(words) | Self::Words { known: words, .. } => Some(words),
            Self::Number(_) | Self::Address | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::OneOf(words) | Self::Words { known: words, .. } => f.write_str(&words.join(", ")),
            Self::Address => f.write_str("an address or a host name"),
            Self::Text(what) => f.write_str(what),
        }
    }
}

/// How a change of a key takes effect, with the fact that it is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub takes_effect: TakesEffect,
    /// The section of the fact files: `corosync.md 5.3`.
    pub source: &'static str,
}

/// How a change takes effect in a running cluster. The order is that of the trouble it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakesEffect {
    /// Never: the key means nothing to corosync 3.
    Never,
    /// At the next reload.
    Live,
    /// At the next reload, but what is derived from it (the pings of knet) only at the one after.
    LiveAfterSecondReload,
    /// corosync-qdevice reads it when it starts, on every node.
    QdeviceRestart,
    /// At the start of each node's corosync. A reload logs that the key cannot be changed, keeps
    /// the old value, takes the rest of the file and reports success.
    RestartLogged,
    /// At the start of each node's corosync. A reload says nothing, and cmap shows the new value.
    RestartSilent,
    /// A reload refuses the whole file on every node; nothing of it takes effect.
    RefusesFile,
    /// Nodes with the old and the new value cannot talk to each other: all must be stopped first.
    FullStop,
}

impl TakesEffect {
    /// All of them, the harmless ones first.
    pub const ALL: [Self; 8] = [
        Self::Never,
        Self::Live,
        Self::LiveAfterSecondReload,
        Self::QdeviceRestart,
        Self::RestartLogged,
        Self::RestartSilent,
        Self::RefusesFile,
        Self::FullStop,
    ];

    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Live => "live",
            Self::LiveAfterSecondReload => "live-after-second-reload",
            Self::QdeviceRestart => "qdevice-restart",
            Self::RestartLogged => "restart-logged",
            Self::RestartSilent => "restart-silent",
            Self::RefusesFile => "refuses-file",
            Self::FullStop => "full-stop",
        }
    }

    /// What that means, in one sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Never => "corosync 3 takes no notice of it",
            Self::Live => "takes effect on every node at the reload",
            Self::LiveAfterSecondReload => {
                "takes effect at the reload, except for the ping times that knet derives from it: \
                 those follow at a second reload"
            }
            Self::QdeviceRestart => "takes effect when corosync-qdevice is restarted on every node",
            Self::RestartLogged => {
                "takes effect on a node when its corosync is restarted; a reload logs that it \
                 cannot be changed and still reports success"
            }
            Self::RestartSilent => {
                "takes effect on a node when its corosync is restarted; a reload says nothing, and \
                 cmap shows the new value as if it were in force"
            }
            Self::RefusesFile => {
                "the reload is refused on every node and nothing of the file takes effect"
            }
            Self::FullStop => {
                "takes effect only after corosync was stopped on all nodes: old and new cannot talk \
                 to each other"
            }
        }
    }
}

impl fmt::Display for TakesEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a key still means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// In use.
    InUse,
    /// In no manual page, and obeyed: what another key was called before.
    OldName,
    /// Still read, but no file should have it any more.
    Deprecated,
    /// Means something with the udp transport, where corosync 3 still has it; knet ignores it.
    UdpOnly,
    /// Only corosync 2 knows it.
    Corosync2Only,
}

/// Every section with its keys.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    [totem::SECTIONS, nodes::SECTIONS, quorum::SECTIONS, daemon::SECTIONS].into_iter().flatten()
}

/// A key by its section (names from the top with dots, without places: `totem.interface`) and
/// name as written in a file. `None`: corosync stores such a key and nobody reads it.
#[must_use]
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    let keys = sections().filter(|known| is_path(known.path, section)).flat_map(|s| s.keys);
    keys.into_iter().find(|key| key.is_named(name))
}

/// Whether a section of this path (as for [`find`]) is known.
#[must_use]
pub fn is_section(section: &str) -> bool {
    let starts = |known: &Section| {
        let depth = section.split('.').count();
        let outer: Vec<&str> = known.path.split('.').take(depth).collect();
        outer.len() == depth && is_path(&outer.join("."), section)
    };
    sections().any(starts)
}

fn is_path(known: &str, path: &str) -> bool {
    let (mut known, mut steps) = (known.split('.'), path.split('.'));
    loop {
        match (known.next(), steps.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || one == "*" => {}
            (_, _) => return false,
        }
    }
}

/// The link of a `ringX_addr` key, as corosync scans it: any digits, leading zeros included.
#[must_use]
pub fn address_link(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("ring")?.strip_suffix("_addr")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

impl Key {
    /// A key in use since always.
    const fn new(name: &'static str, kind: Kind, default: &'static str, change: Change) -> Self {
        Self { name, kind, default, change, since: None, standing: Standing::InUse }
    }

    const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    const fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// Whether a file's key of this name is this one.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        if self.name == "ringX_addr" {
            return address_link(name).is_some();
        }
        match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => self.name == name,
        }
    }
}

const fn live(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::Live, source }
}

const fn never(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::Never, source }
}

const fn second_reload(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::LiveAfterSecondReload, source }
}

const fn qdevice(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::QdeviceRestart, source }
}

const fn logged(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::RestartLogged, source }
}

const fn silent(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::RestartSilent, source }
}

const fn refused(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::RefusesFile, source }
}

const fn full_stop(source: &'static str) -> Change {
    Change { takes_effect: TakesEffect::FullStop, source }
}
