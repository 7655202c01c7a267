//! Single values and property strings, read exactly as Proxmox VE reads them (pve.md 6.1).
//!
//! Owns the grammar `a,key=b`: parts between commas, no escape, one part without a key where the format has
//! a key for it. White space belongs to keys and values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::text::is_perl_space;

/// Why Proxmox VE takes a value for none, and its next write drops the key. The words in quotes are its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// `duplicate key in comma-separated list property`.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// `invalid key in comma-separated list property`.
    #[error("there is no `{key}`, only {known}")]
    UnknownKey {
        /// The key as written; white space counts.
        key: String,
        /// The keys that there are.
        known: String,
    },
    /// `value without key, but schema does not define a default key`.
    #[error("`{0}` has no key")]
    NoKey(String),
    /// `missing key in comma-separated list property`.
    #[error("`{0}` is no `key=value`")]
    Malformed(String),
    /// `property is missing and it is not optional`, or `missing property required by` another.
    #[error("`{0}` must be given")]
    Missing(&'static str),
    /// The value of a key inside a property string.
    #[error("`{key}` is `{value}`, but takes {expected}")]
    BadPart {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it takes, in words.
        expected: String,
    },
    /// The whole value.
    #[error("`{value}` is not {expected}")]
    Bad {
        /// The value.
        value: String,
        /// What it should be, in words.
        expected: String,
    },
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Anything: Proxmox VE checks more than is known here.
    Any,
    /// One of these.
    Word(&'static [&'static str]),
    /// `1`, `on`, `yes`, `true`, or their opposites, in any case.
    Boolean,
    /// A whole number, at least this where there is a least one.
    Whole(Option<i128>),
    /// A number from the first to the second.
    Number(f64, f64),
    /// `http://` and anything behind it.
    HttpUrl,
    /// A network; host bits are not looked at.
    Network,
    /// A property string.
    Parts(&'static Format),
}

/// The keys inside a property string.
#[derive(Debug)]
pub(super) struct Format {
    /// The key of a part without one.
    pub(super) default_key: Option<&'static str>,
    pub(super) keys: &'static [Part],
}

/// One key of a property string.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) required: bool,
    /// Another key that must be there with this one.
    pub(super) needs: Option<&'static str>,
    pub(super) kind: Kind,
}

impl Kind {
    /// Whether Proxmox VE takes this value.
    pub(super) fn check(self, value: &str) -> Result<(), ValueError> {
        if let Self::Parts(format) = self {
            return format.read(value).map(|_| ());
        }
        if self.takes(value) {
            return Ok(());
        }
        Err(ValueError::Bad { value: value.to_owned(), expected: self.expected() })
    }

    fn takes(self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Word(words) => words.contains(&value),
            Self::Boolean => boolean(value).is_some(),
            Self::Whole(least) => {
                whole(value).is_some_and(|n| least.is_none_or(|least| n >= least))
            }
            Self::Number(least, most) => number(value).is_some_and(|n| n >= least && n <= most),
            Self::HttpUrl => value.starts_with("http://"),
            Self::Network => network(value).is_some(),
            Self::Parts(format) => format.read(value).is_ok(),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Any | Self::Parts(_) => "anything".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Boolean => "1 or 0".to_owned(),
            Self::Whole(None) => "a whole number".to_owned(),
            Self::Whole(Some(least)) => format!("a whole number from {least} up"),
            Self::Number(least, f64::INFINITY) => format!("a number from {least} up"),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::HttpUrl => "an address that begins with http://".to_owned(),
            Self::Network => "a network such as 10.1.2.0/24, with a mask of 8 to 32 bits, or 8 \
                              to 128 for IPv6"
                .to_owned(),
        }
    }
}

impl Format {
    /// The values by their keys.
    pub(super) fn read<'a>(
        &self,
        text: &'a str,
    ) -> Result<BTreeMap<&'static str, &'a str>, ValueError> {
        let mut values: BTreeMap<&'static str, &str> = BTreeMap::new();
        let mut bare = false;
        for part in parts(text) {
            let (key, value) = match part {
                Piece::Blank => continue,
                Piece::Malformed(text) => return Err(ValueError::Malformed(text.to_owned())),
                Piece::Pair(key, value) => (self.key(key)?, value),
                Piece::Bare(text) => {
                    let key = self.default_key.ok_or_else(|| ValueError::NoKey(text.to_owned()))?;
                    // Perl takes a value `0` that was given with its key for none.
                    if bare || values.get(key).is_some_and(|value| *value != "0") {
                        return Err(ValueError::Twice(key.to_owned()));
                    }
                    bare = true;
                    values.insert(key, text);
                    continue;
                }
            };
            if values.insert(key.name, value).is_some() {
                return Err(ValueError::Twice(key.name.to_owned()));
            }
        }
        self.keys.iter().try_for_each(|key| key.check(&values))?;
        Ok(values)
    }

    fn key(&self, name: &str) -> Result<&Part, ValueError> {
        self.keys.iter().find(|key| key.name == name).ok_or_else(|| ValueError::UnknownKey {
            key: name.to_owned(),
            known: self.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Part {
    fn check(&self, values: &BTreeMap<&'static str, &str>) -> Result<(), ValueError> {
        let needed = self.needs.filter(|needed| !values.contains_key(needed));
        match (values.get(self.name), needed) {
            (None, _) if self.required => Err(ValueError::Missing(self.name)),
            (Some(_), Some(needed)) => Err(ValueError::Missing(needed)),
            (Some(value), None) if !self.kind.takes(value) => Err(ValueError::BadPart {
                key: self.name,
                value: (*value).to_owned(),
                expected: self.kind.expected(),
            }),
            (None | Some(_), _) => Ok(()),
        }
    }
}

/// What stands between two commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Nothing, which is skipped.
    Blank,
    /// A value without a key.
    Bare(&'a str),
    /// A key and its value; neither is empty.
    Pair(&'a str, &'a str),
    /// A `=` with nothing before or behind it.
    Malformed(&'a str),
}

/// Takes a property string apart. Joined with commas, the pieces are the text again.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split(',').map(|piece| match piece.split_once('=') {
        _ if piece.bytes().all(is_perl_space) => Piece::Blank,
        None => Piece::Bare(piece),
        Some((key, value)) if key.is_empty() || value.is_empty() => Piece::Malformed(piece),
        Some((key, value)) => Piece::Pair(key, value),
    })
}

/// A boolean as Proxmox VE takes it.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// A network with the bounds of Proxmox VE's format CIDR (pve.md 1.1). Host bits stay.
pub(super) fn network(value: &str) -> Option<IpNet> {
    let (address, mask) = value.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit());
    let mask = mask.parse().ok().filter(|_| digits)?;
    IpNet::new(address, mask).ok().filter(|network| in_bounds(*network))
}

/// Whether Proxmox VE takes a network of this size.
pub(super) fn in_bounds(network: IpNet) -> bool {
    network.prefix_len() >= 8
}

/// Digits with a sign before them at most. No number that matters needs more than 64 bits.
pub(super) fn whole(value: &str) -> Option<i128> {
    value.parse().ok()
}

fn number(value: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    value.parse().ok().filter(|_| value.bytes().all(plain))
}
