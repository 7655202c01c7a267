//! Which corosync reads: 2.4 or 3. Both walk through a file alike; what differs are the keys.

use crate::conf::keys::{self, Key};

/// Whose keys count. Two reads as three does, as far as this walk is concerned
/// (`exec/coroparse.c` of 2.4.6, read, not measured).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Dialect {
    /// corosync 2.4.
    Two,
    /// corosync 3.
    Three,
}

impl Dialect {
    /// The key, if this corosync knows it.
    pub(in super::super) fn key(self, path: &str, name: &str) -> Option<&'static Key> {
        let key = keys::find(path, name)?;
        let is_newer = path == "system" || key.since.is_some_and(|since| since.starts_with('3'));
        (self == Self::Three || !is_newer).then_some(key)
    }

    /// The key that says which link an interface section is for.
    pub(in super::super) const fn link_key(self) -> &'static str {
        match self {
            Self::Two => "ringnumber",
            Self::Three => "linknumber",
        }
    }

    /// The words that corosync's parser takes for a key.
    pub(super) fn words(
        self,
        name: &str,
        words: &'static [&'static str],
    ) -> &'static [&'static str] {
        match (self, name) {
            (Self::Two, "crypto_cipher") => &["none", "aes256", "aes192", "aes128", "3des"],
            (Self::Two, "ip_version") => &["ipv4", "ipv6"],
            (Self::Two | Self::Three, _) => words,
        }
    }
}
