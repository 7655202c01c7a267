//! What is in force under a file: the values that corosync works out of several keys.
//!
//! Owns the arithmetic of timers, votes and encryption, each with its source. Never knows what a
//! running daemon was told by other means.

use std::fmt;

use serde::Serialize;

use super::dialect::Dialect;
use super::settings::{NodeSettings, Settings};
use crate::ids::LinkNumber;
use crate::quorum::{expected_in_force, needed_by};

/// corosync's default of `totem.token` since 3.1.0.
pub(super) const TOKEN_MILLIS: u32 = 3000;

/// corosync's default of `totem.token` before 3.1.0.
pub(super) const OLD_TOKEN_MILLIS: u32 = 1000;

/// corosync's default of `totem.token_coefficient`.
pub(super) const TOKEN_COEFFICIENT_MILLIS: u32 = 650;

/// The UDP port that corosync gives link 0 by itself, and every ring without knet.
pub(super) const FIRST_PORT: u16 = 5405;

/// `knet_pong_count` where none, or 0, is written.
pub(super) const PONG_COUNT: u32 = 2;

/// The UDP port that corosync gives a link by itself.
#[must_use]
pub fn default_port(link: LinkNumber) -> u16 {
    FIRST_PORT + u16::from(link.get())
}

/// What this many nodes add to the token timeout, in milliseconds. Without a coefficient: corosync's.
#[must_use]
pub fn token_growth_millis(coefficient_millis: Option<u32>, nodes: usize) -> u32 {
    let beyond = u32::try_from(nodes.saturating_sub(2)).unwrap_or(u32::MAX);
    coefficient_millis.unwrap_or(TOKEN_COEFFICIENT_MILLIS).saturating_mul(beyond)
}

/// The interval and the timeout of knet's pings in milliseconds that follow from the token timeout and
/// the pong count, which is at least 1 (pve.md 2.5).
pub(super) fn pings_millis(token_millis: u32, pong_count: u32) -> (u32, u32) {
    (token_millis / pong_count.saturating_mul(2), token_millis / pong_count)
}

/// A number of a file that corosync keeps in 32 bits.
pub(super) fn u32_of(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A value, and whether the file says so or a default holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Valued<T> {
    /// The value.
    pub value: T,
    /// Whether it is a default: the file does not write it, or writes 0 for it.
    pub is_default: bool,
}

impl<T> Valued<T> {
    pub(super) fn new(written: Option<T>, default: T) -> Self {
        let is_default = written.is_none();
        Self { value: written.unwrap_or(default), is_default }
    }
}

/// The times that a failure is noticed by, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timers {
    /// `token`: the base. 3000 since corosync 3.1.0, 1000 before.
    pub token_millis: Valued<u64>,
    /// `token_coefficient`: for every node beyond the second that has an address on link 0.
    pub token_coefficient_millis: Valued<u64>,
    /// What the token times out after: the base and the coefficients (pve.md 2.7). Only nodes with
    /// a `ring0_addr` count (corosync.md 6.2).
    pub token_effective_millis: u64,
    /// `consensus`: how long is then waited for a new membership; by default 1.2 times the token.
    pub consensus_millis: Valued<u64>,
}

impl Timers {
    pub(super) fn of(settings: &Settings) -> Self {
        let number = |key| settings.number("totem", key);
        let not_zero = |key| number(key).filter(|value| *value > 0);
        let is_old = settings.dialect == Dialect::Corosync2;
        let default = if is_old { OLD_TOKEN_MILLIS } else { TOKEN_MILLIS };
        let token = Valued::new(not_zero("token"), u64::from(default));
        let coefficient =
            Valued::new(number("token_coefficient"), u64::from(TOKEN_COEFFICIENT_MILLIS));
        let counted = settings.nodes.iter().filter(|n| n.addresses().contains_key(&0)).count();
        let growth = token_growth_millis(Some(u32_of(coefficient.value)), counted);
        let effective = token.value.saturating_add(u64::from(growth));
        Self {
            token_millis: token,
            token_coefficient_millis: coefficient,
            token_effective_millis: effective,
            consensus_millis: Valued::new(not_zero("consensus"), effective.saturating_mul(6) / 5),
        }
    }
}

/// What the traffic between nodes is protected with; `none` where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// The cipher.
    pub cipher: String,
    /// The hash that signs each packet.
    pub hash: String,
}

impl Encryption {
    /// As corosync works it out: `secauth` gives the defaults, the other keys overrule them. Only
    /// `on` counts in corosync 3, only `off` in corosync 2 (pve.md 2.4).
    pub(super) fn of(settings: &Settings) -> Self {
        let secauth = settings.totem("secauth");
        let (cipher, hash) = match settings.dialect {
            Dialect::Corosync2 if secauth != Some("off") => ("aes256", "sha1"),
            Dialect::Knet if secauth == Some("on") => ("aes256", "sha256"),
            // corosync 3 refuses to start udp and udpu with any of it.
            Dialect::Corosync2 | Dialect::Knet | Dialect::Udp | Dialect::Udpu => ("none", "none"),
        };
        let written = |key, default: &str| settings.totem(key).unwrap_or(default).to_owned();
        Self { cipher: written("crypto_cipher", cipher), hash: written("crypto_hash", hash) }
    }

    /// Whether the traffic can be read by anybody.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.cipher == "none"
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cipher.as_str(), self.hash.as_str()) {
            ("none", "none") => f.write_str("none"),
            (cipher, hash) => write!(f, "{cipher}/{hash}"),
        }
    }
}

/// The votes that a file hands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Votes {
    /// What the nodes have together.
    pub node_votes: u64,
    /// What the device has, if there is one; by default those of the nodes less 1.
    pub device_votes: Option<Valued<u64>>,
    /// `expected_votes`: by default all of the above.
    pub expected: Valued<u64>,
    /// How many make a part quorate.
    pub needed: u64,
    /// How many nodes can fail at once, whichever they are, with the device still there.
    pub failures_survived: usize,
}

impl Votes {
    pub(super) fn of(settings: &Settings) -> Self {
        let mut votes: Vec<u64> = settings.nodes.iter().map(NodeSettings::votes).collect();
        let nodes = votes.iter().fold(0_u64, |sum, votes| sum.saturating_add(*votes));
        let device = settings.has_device().then(|| {
            let written = settings.number("quorum.device", "votes");
            Valued::new(written, nodes.saturating_sub(1))
        });
        let all = nodes.saturating_add(device.map_or(0, |device| device.value));
        let expected = Valued::new(settings.number("quorum", "expected_votes"), all);
        let two_node = settings.number("quorum", "two_node").is_some_and(|flag| flag > 0);
        let in_force = expected_in_force(expected.value, all);
        let needed = |nodes| needed_by(nodes, in_force, two_node);
        // The worst case: those with the most votes fail first.
        votes.sort_unstable_by(|one, other| other.cmp(one));
        let mut left = all;
        let survived = (1..).zip(&votes).take_while(|(failed, lost)| {
            left = left.saturating_sub(**lost);
            left >= needed(votes.len() - failed)
        });
        let failures_survived = survived.count();
        let needed = needed(votes.len());
        Self { node_votes: nodes, device_votes: device, expected, needed, failures_survived }
    }
}
