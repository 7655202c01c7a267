//! Names and numbers of the field, each checked once where it enters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a name or number was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// corosync takes node ids from 1 up; 0 means "none" to it.
    #[error("node id 0 does not exist: ids begin at 1")]
    NodeIdZero,
    /// corosync 3 has eight links.
    #[error("link {0} does not exist: corosync has links 0 to 7")]
    LinkNumber(u32),
    /// Not a name that Proxmox VE accepts.
    #[error(
        "`{0}` is not a name that Proxmox VE accepts: letters, digits and inner dashes, at most {1}"
    )]
    Name(String, usize),
    /// Not 64 hexadecimal digits.
    #[error("`{0}` is not a digest: 64 lower-case hexadecimal digits are needed")]
    Digest(String),
    /// Not 16 hexadecimal digits.
    #[error("`{0}` is not a fingerprint: 16 lower-case hexadecimal digits are needed")]
    Fingerprint(String),
}

/// A node's number in corosync (`nodeid`), 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct NodeId(u32);

impl NodeId {
    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for NodeId {
    type Error = IdError;
    fn try_from(id: u32) -> Result<Self, IdError> {
        if id == 0 { Err(IdError::NodeIdZero) } else { Ok(Self(id)) }
    }
}

impl From<NodeId> for u32 {
    fn from(id: NodeId) -> u32 {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A knet link's number, 0 to 7 (the N of `ringN_addr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct LinkNumber(u8);

impl LinkNumber {
    /// Link 0, by whose addresses corosync counts the nodes (corosync.md 6.2).
    pub const ZERO: Self = Self(0);

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// All eight links, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self)
    }
}

impl TryFrom<u32> for LinkNumber {
    type Error = IdError;
    fn try_from(link: u32) -> Result<Self, IdError> {
        match u8::try_from(link) {
            Ok(number @ 0..=7) => Ok(Self(number)),
            _ => Err(IdError::LinkNumber(link)),
        }
    }
}

impl From<LinkNumber> for u32 {
    fn from(link: LinkNumber) -> u32 {
        u32::from(link.0)
    }
}

impl fmt::Display for LinkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `totem.config_version`: only ever goes up, and never names two different texts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ConfigVersion(pub u64);

impl ConfigVersion {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a change, counted per cluster from 1. Hosts keep the highest one they accepted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChangeNumber(pub u64);

impl ChangeNumber {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ChangeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of a file's bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        hex(text).map(Self).ok_or_else(|| IdError::Digest(text.to_owned()))
    }
}

/// Exactly so many bytes, written in lower case.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if text.len() != 2 * N || !text.as_bytes().iter().all(lower_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

impl TryFrom<String> for Digest {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// What tells one authkey from another and nothing else of it: the first 64 bits of a SHA-256 that no other
/// purpose shares, written as 16 lower-case hexadecimal digits. A key has 1024 random bits and more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let whole =
            Sha256::new_with_prefix(b"pvecm: fingerprint of an authkey\0").chain_update(key);
        let mut first = [0; 8];
        first.copy_from_slice(&whole.finalize()[..8]);
        Self(first)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        hex(text).map(Self).ok_or_else(|| IdError::Fingerprint(text.to_owned()))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

/// A name made of letters, digits and inner dashes, the rule of Proxmox VE's `pve-node` format.
fn checked_name(text: &str, longest: usize) -> Result<String, IdError> {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let fine = bytes.len() <= longest
        && bytes.iter().all(inner)
        && edge(bytes.first())
        && edge(bytes.last());
    if fine { Ok(text.to_owned()) } else { Err(IdError::Name(text.to_owned(), longest)) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The most characters that this name may have.
            pub const LONGEST: usize = $longest;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                checked_name(text, $longest).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A node's name in corosync and Proxmox VE: the machine's host name up to the first dot.
    NodeName, 63
);
name_type!(
    /// The name of a `PveHost` object: the node's name in lower case unless the user says otherwise.
    HostName, 63
);
name_type!(
    /// `totem.cluster_name`. Proxmox VE allows 15 characters.
    ClusterName, 15
);
