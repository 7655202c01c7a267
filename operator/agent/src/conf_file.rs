//! A corosync.conf as it was found. Owns what is asked of one again and again: at rest each look finds the
//! same bytes, and nothing is worked out about them twice.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use pvecm_core::conf::Document;
use pvecm_core::ids::{ConfigVersion, Digest};

/// The bytes of a file, and what they mean as soon as somebody asks.
#[derive(Debug, Clone)]
pub struct ConfFile(Arc<Known>);

#[derive(Debug)]
struct Known {
    bytes: Vec<u8>,
    digest: OnceLock<Digest>,
    version: OnceLock<Option<ConfigVersion>>,
}

impl From<Vec<u8>> for ConfFile {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Known { bytes, digest: OnceLock::new(), version: OnceLock::new() }))
    }
}

impl Deref for ConfFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl PartialEq for ConfFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.bytes == other.0.bytes
    }
}

impl Eq for ConfFile {}

impl ConfFile {
    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| Digest::of(&self.0.bytes))
    }

    /// `config_version`, where it is a number.
    #[must_use]
    pub fn version(&self) -> Option<ConfigVersion> {
        *self.0.version.get_or_init(|| Document::parse(&self.0.bytes).version())
    }

    /// The one of these that has the same bytes, so that what is known about them stays known.
    #[must_use]
    pub fn or_known(self, known: [&Option<Self>; 2]) -> Self {
        known.into_iter().flatten().find(|known| **known == self).cloned().unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ConfFile {
        text.as_bytes().to_vec().into()
    }

    #[test]
    fn equal_bytes_are_one_file_and_what_is_known_of_them_stays() {
        let text = "totem {\n  config_version: 7\n}\n";
        let before = Some(file(text));
        let (same, other) = (file(text), file("totem {\n  config_version: 8\n}\n"));
        let kept = same.or_known([&None, &before]);
        assert!(before.as_ref().is_some_and(|before| Arc::ptr_eq(&kept.0, &before.0)));
        assert_eq!(kept.version(), Some(ConfigVersion(7)));
        assert_eq!(kept.digest(), Digest::of(text.as_bytes()));
        let new = other.or_known([&None, &before]);
        assert_eq!(new.version(), Some(ConfigVersion(8)));
        assert_ne!(new, kept);
    }
}
