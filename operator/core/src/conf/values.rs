//! Single values of corosync.conf, checked once, and what can be wrong with a file as a whole.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::document::{Document, SectionView, Value};
use super::scan::Problem;
use crate::ids::{ConfigVersion, LinkNumber, NodeId};

/// Why a file is not understood. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// corosync itself refuses the text.
    #[error("corosync refuses this file: {0}")]
    Refused(#[from] Problem),
    /// A section that every cluster has is missing.
    #[error("there is no section `{0}`")]
    NoSection(&'static str),
    /// corosync merges such sections, Proxmox VE refuses the file (pve.md 2.1).
    #[error(
        "line {line}: section `{section}` is there a second time; corosync and Proxmox VE disagree \
         on what that means"
    )]
    RepeatedSection {
        /// The second section's line.
        line: usize,
        /// Its name.
        section: String,
    },
    /// A key that is needed is missing.
    #[error("line {line}: section `{section}` has no key `{key}`")]
    NoKey {
        /// The line that opens the section.
        line: usize,
        /// The section.
        section: String,
        /// The key.
        key: &'static str,
    },
    /// The value is not what the key takes.
    #[error("line {line}: `{key}` is `{value}`, but takes {expected}")]
    BadValue {
        /// The key's line.
        line: usize,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// What it takes, in words.
        expected: String,
    },
    /// Legal for some corosync, not understood here.
    #[error("line {line}: `{what}` is not understood: {why}")]
    NotUnderstood {
        /// The line.
        line: usize,
        /// The key or section, with its value where that matters.
        what: String,
        /// Why no meaning is guessed.
        why: &'static str,
    },
    /// The list of nodes is empty. corosync takes such a file on reload and loses the cluster
    /// (corosync.md 5.1).
    #[error("the nodelist names no node")]
    NoNodes,
    /// Two nodes share an id or a name, or two interface sections a link.
    #[error("line {line}: {what} is there a second time")]
    Twice {
        /// The second one's line.
        line: usize,
        /// Such as `nodeid 2`.
        what: String,
    },
    /// corosync: `Not all nodes have the same number of links`.
    #[error("line {line}: node {node} has no address on link {link}, which other nodes have")]
    UnevenLinks {
        /// The line that opens the node's section.
        line: usize,
        /// The node.
        node: NodeId,
        /// The link that it lacks.
        link: LinkNumber,
    },
    /// A value to be written that corosync and Proxmox VE would not read back alike (pve.md 2.2).
    #[error(
        "`{value}` cannot be written as `{key}`: 1 to 255 printable characters without `#` and \
         braces can"
    )]
    Unwritable {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// pmxcfs compares the first `config_version: N` in the text, comments included (pve.md 3.3).
    #[error(
        "corosync takes config_version {corosync}, but pmxcfs compares {pmxcfs}, the first in the text"
    )]
    VersionsDisagree {
        /// What corosync reads.
        corosync: ConfigVersion,
        /// What pmxcfs reads.
        pmxcfs: String,
    },
}

/// The `config_version` that pmxcfs compares: the first match of `config_version\s*:\s*(\d+)`
/// anywhere in the text, comments included (pve.md 3.3); a number that does not fit counts as the
/// largest. `None`: no match, and pmxcfs never hands the file out. Text that is not UTF-8 from
/// beginning to end never matches (measured with `GRegex` of glib 2.74).
#[must_use]
pub fn first_version_for_pmxcfs(bytes: &[u8]) -> Option<ConfigVersion> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = version_digits(text)?;
    Some(ConfigVersion(text[digits].parse().unwrap_or(u64::MAX)))
}

/// Where the digits are that pmxcfs takes for the version.
pub(super) fn version_digits(text: &str) -> Option<Range<usize>> {
    /// Made ready once: an edit looks three times.
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("config_version"));
    KEY.find_iter(text.as_bytes()).find_map(|at| {
        let behind = text[at + KEY.needle().len()..].trim_start().strip_prefix(':')?.trim_start();
        let start = text.len() - behind.len();
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        // Without digits the regex goes on searching.
        (digits > 0).then_some(start..start + digits)
    })
}

impl Document {
    /// `totem.config_version` as corosync and pmxcfs both read it; `None` where it is missing, is
    /// not a plain number, or the two disagree. For a look at a file that need not be understood
    /// as a whole.
    #[must_use]
    pub fn version(&self) -> Option<ConfigVersion> {
        let value = self.top("totem")?.value("config_version")?;
        let version = ConfigVersion(plain_number(value.bytes)?);
        (first_version_for_pmxcfs(self.as_bytes()) == Some(version)).then_some(version)
    }
}

/// A number written in plain decimal: no sign, no leading zero. Anything else in `config_version`
/// aborts every running corosync that reloads the file (corosync.md 1 item 10).
pub(super) fn plain_number(bytes: &[u8]) -> Option<u64> {
    let has_leading_zero = bytes.len() > 1 && bytes.starts_with(b"0");
    if bytes.is_empty() || has_leading_zero {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether corosync and Proxmox VE read the same value: no white space, no `#` (corosync keeps it,
/// Proxmox VE cuts there), no brace (opens a section for corosync), at most 255 bytes.
pub(super) fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'{' | b'}');
    (1..=255).contains(&value.len()) && value.iter().all(plain)
}

/// Such a value as text.
pub(super) fn plain(value: &[u8]) -> Option<&str> {
    if is_plain(value) { std::str::from_utf8(value).ok() } else { None }
}

/// Refuses a value that must not be written.
pub(super) fn check_writable(key: &str, value: &str) -> Result<(), ConfError> {
    if is_plain(value.as_bytes()) {
        return Ok(());
    }
    Err(ConfError::Unwritable { key: key.to_owned(), value: value.to_owned() })
}

/// A value whose form is that of a checked name or number.
pub(super) fn from_text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reading of checked values.
impl Value<'_> {
    /// A plain number of the wanted size.
    pub(super) fn number<N: TryFrom<u64>>(self, key: &str) -> Result<N, ConfError> {
        let expected = const {
            match size_of::<N>() {
                1 => "a plain unsigned number of 8 bits",
                2 => "a plain unsigned number of 16 bits",
                4 => "a plain unsigned number of 32 bits",
                _ => "a plain unsigned number of 64 bits",
            }
        };
        self.parsed(key, expected, |bytes| N::try_from(plain_number(bytes)?).ok())
    }

    /// A value in the form that `parse` takes.
    pub(super) fn parsed<T>(
        self,
        key: &str,
        expected: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, ConfError> {
        parse(self.bytes).ok_or_else(|| bad_value(key, self, expected))
    }
}

/// Reading of checked values out of a section.
impl SectionView<'_> {
    /// A value that corosync and Proxmox VE read alike, as text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfError> {
        let expected = "a word of printable characters without `#` and braces";
        self.parsed(key, expected, |bytes| plain(bytes).map(str::to_owned))
    }

    /// A plain number of the wanted size.
    pub(super) fn number<N: TryFrom<u64>>(&self, key: &str) -> Result<Option<N>, ConfError> {
        self.value(key).map(|value| value.number(key)).transpose()
    }

    /// A value in the form that `parse` takes.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ConfError> {
        self.value(key).map(|value| value.parsed(key, expected, parse)).transpose()
    }

    /// The same for a key that must be there.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        value: Result<Option<T>, ConfError>,
    ) -> Result<T, ConfError> {
        let missing = || ConfError::NoKey { line: self.line(), section: text(self.name()), key };
        value?.ok_or_else(missing)
    }
}

pub(super) fn bad_value(key: &str, value: Value<'_>, expected: &str) -> ConfError {
    ConfError::BadValue {
        line: value.line,
        key: key.to_owned(),
        value: text(value.bytes),
        expected: expected.to_owned(),
    }
}
