//! What can be set for totem as a whole and for a single link, and what corosync makes of it.
//!
//! The same types serve a file and a wish: in a file `None` means that the key is not written and
//! corosync's default holds (pve.md 2.5), in a wish that the key is not managed.

use std::fmt;

use super::document::SectionView;
use super::values::{ConfError, bad_value};

/// What can be set for one link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkOptions {
    /// `knet_link_priority`; the higher number is preferred, 0 and 1 are equal (pve.md 0.4).
    pub priority: Option<u8>,
    /// `knet_ping_interval` in milliseconds.
    pub ping_interval_millis: Option<u32>,
    /// `knet_ping_timeout` in milliseconds.
    pub ping_timeout_millis: Option<u32>,
    /// `knet_ping_precision`: how many values the mean latency is taken over.
    pub ping_precision: Option<u32>,
    /// `knet_pong_count`: pongs needed before the link counts as up.
    pub pong_count: Option<u32>,
    /// `mcastport`: the UDP port, 5405 + link number by default. A change shows in cmap at once
    /// but takes effect only at a start (corosync.md 5.3).
    pub port: Option<u16>,
}

impl LinkOptions {
    pub(super) fn read(section: &SectionView<'_>) -> Result<Self, ConfError> {
        Ok(Self {
            priority: section.number("knet_link_priority")?,
            ping_interval_millis: section.number("knet_ping_interval")?,
            ping_timeout_millis: section.number("knet_ping_timeout")?,
            ping_precision: section.number("knet_ping_precision")?,
            pong_count: section.number("knet_pong_count")?,
            port: section.number("mcastport")?,
        })
    }

    /// The keys to write, in Proxmox VE's order (bytewise).
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { priority, ping_interval_millis, ping_timeout_millis, .. } = self;
        let Self { ping_precision, pong_count, port, .. } = self;
        let keys = [
            ("knet_link_priority", priority.map(u32::from)),
            ("knet_ping_interval", *ping_interval_millis),
            ("knet_ping_precision", *ping_precision),
            ("knet_ping_timeout", *ping_timeout_millis),
            ("knet_pong_count", *pong_count),
            ("mcastport", port.map(u32::from)),
        ];
        let written = |(key, value): (_, Option<u32>)| Some((key, value?.to_string()));
        keys.into_iter().filter_map(written).collect()
    }

    /// What of this wish a file that says `written` does not say yet.
    #[must_use]
    pub fn beyond(self, written: Self) -> Self {
        Self {
            priority: news(self.priority, written.priority),
            ping_interval_millis: news(self.ping_interval_millis, written.ping_interval_millis),
            ping_timeout_millis: news(self.ping_timeout_millis, written.ping_timeout_millis),
            ping_precision: news(self.ping_precision, written.ping_precision),
            pong_count: news(self.pong_count, written.pong_count),
            port: news(self.port, written.port),
        }
    }
}

/// A wish, where a file does not say it already.
pub(super) fn news<T: Copy + PartialEq>(wanted: Option<T>, written: Option<T>) -> Option<T> {
    if wanted == written { None } else { wanted }
}

/// What can be set for totem as a whole. A running cluster takes it at a reload (corosync.md 5.4, 5.5), all
/// but three: of the link mode cmap shows another value at once, and the daemon takes it when it starts (5.3);
/// those of the IP version and of the transport are refused with a line in the log (5.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotemOptions {
    /// `token` in milliseconds: corosync's default is 3000 since 3.1.0.
    pub token_millis: Option<u32>,
    /// `token_coefficient` in milliseconds per node beyond the second: 650 by default.
    pub token_coefficient_millis: Option<u32>,
    /// `consensus` in milliseconds: 1.2 times the token timeout in force by default.
    pub consensus_millis: Option<u32>,
    /// `ip_version`, the order of address families when a host name is resolved: ipv6-4 by default.
    pub ip_version: Option<IpVersion>,
    /// `link_mode`: passive by default.
    pub link_mode: Option<LinkMode>,
    /// `knet_mtu` in bytes: 0, the default, measures the path. (`netmtu` is another key, which no
    /// reload changes.)
    pub mtu_bytes: Option<u32>,
    /// `crypto_cipher`: none by default, aes256 with `secauth: on`.
    pub cipher: Option<Cipher>,
    /// `crypto_hash`: none by default, sha256 with `secauth: on`.
    pub hash: Option<Hash>,
    /// `knet_compression_model`: no such key, no compression.
    pub compression: Option<Compression>,
    /// `knet_compression_threshold` in bytes: 100 by default.
    pub compression_threshold_bytes: Option<u32>,
    /// `knet_compression_level`, as the method counts it.
    pub compression_level: Option<i32>,
    /// `transport`: knet by default.
    pub transport: Option<Transport>,
}

impl TotemOptions {
    pub(super) fn read(totem: &SectionView<'_>) -> Result<Self, ConfError> {
        let level = |bytes: &[u8]| {
            let number: i32 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
            (number.to_string().as_bytes() == bytes).then_some(number)
        };
        Ok(Self {
            token_millis: totem.number("token")?,
            token_coefficient_millis: totem.number("token_coefficient")?,
            consensus_millis: totem.number("consensus")?,
            ip_version: word(totem, "ip_version", &IpVersion::ALL)?,
            link_mode: word(totem, "link_mode", &LinkMode::ALL)?,
            mtu_bytes: totem.number("knet_mtu")?,
            cipher: word(totem, "crypto_cipher", &Cipher::ALL)?,
            hash: word(totem, "crypto_hash", &Hash::ALL)?,
            compression: word(totem, "knet_compression_model", Compression::WORDS)?,
            compression_threshold_bytes: totem.number("knet_compression_threshold")?,
            compression_level: totem.parsed("knet_compression_level", "a plain number", level)?,
            transport: Transport::read(totem)?,
        })
    }

    /// What of this wish a file that says `written` does not say yet.
    #[must_use]
    pub fn beyond(self, written: Self) -> Self {
        let (own, old) = (self, written);
        Self {
            token_millis: news(own.token_millis, old.token_millis),
            token_coefficient_millis: news(
                own.token_coefficient_millis,
                old.token_coefficient_millis,
            ),
            consensus_millis: news(own.consensus_millis, old.consensus_millis),
            ip_version: news(own.ip_version, Some(old.ip_version.unwrap_or(IpVersion::Ipv6Then4))),
            link_mode: news(own.link_mode, Some(old.link_mode.unwrap_or(LinkMode::Passive))),
            mtu_bytes: news(own.mtu_bytes, old.mtu_bytes),
            cipher: news(own.cipher, old.cipher),
            hash: news(own.hash, old.hash),
            compression: news(own.compression, Some(old.compression.unwrap_or(Compression::None))),
            compression_threshold_bytes: news(
                own.compression_threshold_bytes,
                old.compression_threshold_bytes,
            ),
            compression_level: news(own.compression_level, old.compression_level),
            transport: news(own.transport, Some(old.transport.unwrap_or(Transport::Knet))),
        }
    }

    /// The keys to write, in Proxmox VE's order (bytewise). Without a value: the key to take out.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        let Self { token_millis, token_coefficient_millis, consensus_millis, mtu_bytes, .. } = self;
        let Self { ip_version, link_mode, cipher, hash, transport, .. } = self;
        let Self { compression, compression_threshold_bytes, compression_level, .. } = self;
        let model = |model: &Compression| (*model != Compression::None).then(|| model.to_string());
        let keys = [
            ("consensus", consensus_millis.map(|v| Some(v.to_string()))),
            ("crypto_cipher", cipher.map(|v| Some(v.to_string()))),
            ("crypto_hash", hash.map(|v| Some(v.to_string()))),
            ("ip_version", ip_version.map(|v| Some(v.to_string()))),
            ("knet_compression_level", compression_level.map(|v| Some(v.to_string()))),
            ("knet_compression_model", compression.as_ref().map(model)),
            (
                "knet_compression_threshold",
                compression_threshold_bytes.map(|v| Some(v.to_string())),
            ),
            ("knet_mtu", mtu_bytes.map(|v| Some(v.to_string()))),
            ("link_mode", link_mode.map(|v| Some(v.to_string()))),
            ("token", token_millis.map(|v| Some(v.to_string()))),
            ("token_coefficient", token_coefficient_millis.map(|v| Some(v.to_string()))),
            ("transport", transport.map(|v| Some(v.to_string()))),
        ];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

impl fmt::Display for TotemOptions {
    /// The keys as they are written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs();
        let word = |(key, value): (&str, Option<String>)| match value {
            Some(value) => format!("{key} {value}"),
            None => format!("no {key}"),
        };
        let words: Vec<_> = pairs.into_iter().map(word).collect();
        f.write_str(&words.join(", "))
    }
}

impl Transport {
    pub(super) fn read(totem: &SectionView<'_>) -> Result<Option<Self>, ConfError> {
        word(totem, "transport", &Self::ALL)
    }

    /// Only knet has several links, encryption, and a table of which links are connected.
    #[must_use]
    pub const fn is_knet(self) -> bool {
        matches!(self, Self::Knet)
    }
}

impl Compression {
    /// What corosync takes in a file.
    const WORDS: &[Self] = Self::ALL.split_at(1).1;
}

/// How traffic is encrypted and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crypto {
    /// The cipher.
    pub cipher: Cipher,
    /// The hash.
    pub hash: Hash,
}

impl Crypto {
    /// What these keys are to corosync: `secauth: on` stands for aes256 and sha256, and each of the
    /// other keys overrides it (pve.md 2.5, corosync.md 5.5).
    pub(super) fn in_force(secauth: bool, totem: &TotemOptions) -> Self {
        let (cipher, hash) =
            if secauth { (Cipher::Aes256, Hash::Sha256) } else { (Cipher::None, Hash::None) };
        Self { cipher: totem.cipher.unwrap_or(cipher), hash: totem.hash.unwrap_or(hash) }
    }
}

/// Reads one of a few words.
fn word<T: Copy + fmt::Display>(
    totem: &SectionView<'_>,
    key: &str,
    all: &[T],
) -> Result<Option<T>, ConfError> {
    let Some(value) = totem.value(key) else {
        return Ok(None);
    };
    let known = all.iter().find(|one| one.to_string().as_bytes() == value.bytes);
    known.copied().map(Some).ok_or_else(|| {
        let words = all.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
        bad_value(key, value, &format!("one of {words}"))
    })
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];
        }

        impl fmt::Display for $name {
            /// The word in corosync.conf.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }
    };
}

pub(super) use words;

words! {
    /// `totem.crypto_cipher`.
    Cipher {
        /// In the clear.
        None = "none",
        /// AES with 128 bits.
        Aes128 = "aes128",
        /// AES with 192 bits.
        Aes192 = "aes192",
        /// AES with 256 bits.
        Aes256 = "aes256",
    }
}

words! {
    /// `totem.crypto_hash`.
    Hash {
        /// Unsigned.
        None = "none",
        /// MD5.
        Md5 = "md5",
        /// SHA-1.
        Sha1 = "sha1",
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
    }
}

words! {
    /// `totem.ip_version`: which addresses a host name is resolved to.
    IpVersion {
        /// IPv4 only.
        Ipv4 = "ipv4",
        /// IPv6 only.
        Ipv6 = "ipv6",
        /// IPv4, else IPv6.
        Ipv4Then6 = "ipv4-6",
        /// IPv6, else IPv4.
        Ipv6Then4 = "ipv6-4",
    }
}

words! {
    /// `totem.transport`.
    Transport {
        /// kronosnet.
        Knet = "knet",
        /// Unicast, one link, in the clear.
        Udpu = "udpu",
        /// Multicast, one link, in the clear.
        Udp = "udp",
    }
}

words! {
    /// `totem.link_mode`: how knet shares the traffic among connected links.
    LinkMode {
        /// The link of the highest priority carries all.
        Passive = "passive",
        /// Every link carries all.
        Active = "active",
        /// The links of the highest priority take turns.
        RoundRobin = "rr",
    }
}

words! {
    /// `totem.knet_compression_model`.
    Compression {
        /// Uncompressed: a file without the key. corosync 3.1.7 refuses a file with this word in it.
        None = "none",
        /// zlib.
        Zlib = "zlib",
        /// LZ4.
        Lz4 = "lz4",
        /// LZ4, high compression.
        Lz4hc = "lz4hc",
        /// LZO2.
        Lzo2 = "lzo2",
        /// LZMA.
        Lzma = "lzma",
        /// bzip2.
        Bzip2 = "bzip2",
        /// Zstandard.
        Zstd = "zstd",
    }
}
