//! Which corosync a file was written for.
//!
//! Owns the signs alone. A file can be read by both (udpu with one ring, say); then the older
//! dialect is told, because it is the one whose keys and defaults mean what the writer meant.

use std::fmt;

use serde::Serialize;

use super::document::{Document, SectionView};

/// A dialect of corosync.conf (pve.md 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// corosync 2, Proxmox VE 4 and 5: rings over udp or udpu, encrypted by default.
    Corosync2,
    /// corosync 3 with its default transport: up to eight links.
    Knet,
    /// corosync 3 over multicast: one link, never encrypted.
    Udp,
    /// corosync 3 over unicast: one link, never encrypted.
    Udpu,
}

/// What only corosync 2 gives a meaning to. bindnetaddr is read by corosync 3 with udp as well, but
/// no file that was made for it has one.
const TOTEM_2: [&str; 7] = [
    "rrp_mode",
    "vsftype",
    "rrp_problem_count_timeout",
    "rrp_problem_count_threshold",
    "rrp_problem_count_mcast_threshold",
    "rrp_token_expired_timeout",
    "rrp_autorecovery_check_timeout",
];
const INTERFACE_2: [&str; 2] = ["ringnumber", "bindnetaddr"];
const TOTEM_3: [&str; 2] = ["link_mode", "crypto_model"];

impl Dialect {
    /// The dialect of a file. Where nothing tells, it is what corosync 3 takes the file for.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let root = document.root();
        let totem: Vec<SectionView<'_>> = root.sections("totem").collect();
        let interfaces = || totem.iter().flat_map(|totem| totem.sections("interface"));
        let transport = totem.iter().filter_map(|totem| totem.value("transport")).next_back();

        let is_3 = transport.is_some_and(|value| value.bytes == b"knet")
            || totem.iter().any(|totem| has(totem, &TOTEM_3))
            || interfaces()
                .any(|section| has(&section, &["linknumber"]) || has_knet_keys(&section));
        let is_2 = totem.iter().any(|totem| has(totem, &TOTEM_2))
            || interfaces().any(|section| has(&section, &INTERFACE_2));
        if is_2 && !is_3 { Self::Corosync2 } else { Self::of_corosync3(document) }
    }

    /// What corosync 3 takes a file for.
    pub(super) fn of_corosync3(document: &Document) -> Self {
        let root = document.root();
        let mut transport = root.sections("totem").filter_map(|totem| totem.value("transport"));
        match transport.next_back().map(|value| value.bytes) {
            Some(b"udp") => Self::Udp,
            Some(b"udpu") => Self::Udpu,
            _ => Self::Knet,
        }
    }

    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Corosync2 => "corosync2",
            Self::Knet => "knet",
            Self::Udp => "udp",
            Self::Udpu => "udpu",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn has(section: &SectionView<'_>, keys: &[&str]) -> bool {
    keys.iter().any(|key| section.value(key).is_some())
}

fn has_knet_keys(section: &SectionView<'_>) -> bool {
    section.keys().any(|(name, _)| name.starts_with(b"knet_"))
}
