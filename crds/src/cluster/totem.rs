//! The `totem` section: transport, timing, encryption.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Transport, timing and encryption of corosync. What is left out is not managed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::crypto_needs_knet())]
pub struct Totem {
    /// How corosync carries its messages. Only `Knet` has more than one link and encryption. A daemon takes
    /// another one only when it starts, and all have to be stopped before: the change is of risk Outage and
    /// waits for approval under less. On a cluster with another one than `Knet` nothing else is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Milliseconds without the token until a member counts as lost, 126 to 600000. Of less corosync
    /// makes less than 30 ms between retransmits, which it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 126, max = 600_000))]
    pub token_millis: Option<i32>,
    /// Milliseconds added to the token timeout for each node above two, 0 to 600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub token_coefficient_millis: Option<i32>,
    /// Milliseconds to agree on a membership before a new round begins, 36 to 720000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 36, max = 720_000))]
    pub consensus_millis: Option<i32>,
    /// How links share the traffic. A daemon takes another value only when it starts: corosync restarts
    /// on one host after the other, so the change waits for approval under `maxRisk: Live`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_mode: Option<LinkMode>,
    /// Which address family a host name is resolved to. A daemon takes another one only when it starts, and
    /// all have to be stopped before: the change is of risk Outage and waits for approval under less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_version: Option<IpVersion>,
    /// Bytes in a knet packet, 576 to 65536; 0 measures the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65536))]
    pub mtu_bytes: Option<i32>,
    /// Encryption of corosync's traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crypto: Option<Crypto>,
    /// Compression of corosync's traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Which authkey the cluster is to have, counted from 0, the one that it has: with a higher number than
    /// `status.authkey.generation` the members make a new one and exchange it, once and while everything
    /// runs. Its risk is that of a change of `crypto`. It never goes down. Left out: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub key_generation: Option<i32>,
}

/// corosync's transports. For a change all hosts stop at once, risk Outage; on `Udp` and `Udpu` nothing else is
/// changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Transport {
    /// kronosnet: up to eight links, encryption.
    Knet,
    /// UDP multicast, one link, no encryption.
    Udp,
    /// UDP unicast, one link, no encryption.
    Udpu,
}

/// How knet uses several links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LinkMode {
    /// The connected link of the highest priority carries all.
    Passive,
    /// Every connected link carries all.
    Active,
    /// The connected links of the highest priority take turns.
    RoundRobin,
}

/// Order of address families when a host name is resolved. For a change all hosts stop at once, risk Outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpVersion {
    /// IPv4 only.
    IPv4,
    /// IPv6 only.
    IPv6,
    /// IPv4, else IPv6.
    #[serde(rename = "IPv4-6")]
    IPv4Then6,
    /// IPv6, else IPv4.
    #[serde(rename = "IPv6-4")]
    IPv6Then4,
}

/// Encryption: both or none. A change of it is not proven live: corosync throws a host out that follows
/// some milliseconds late, until the hosts undo the stage, so that its risk is `NodeRestart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::cipher_and_hash())]
pub struct Crypto {
    /// The cipher; `None` sends in the clear.
    pub cipher: Cipher,
    /// The hash that signs; `None` only without a cipher.
    pub hash: Hash,
}

/// Ciphers of knet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms, reason = "names of the field")]
pub enum Cipher {
    /// In the clear.
    None,
    /// AES with 128 bits.
    AES128,
    /// AES with 192 bits.
    AES192,
    /// AES with 256 bits.
    AES256,
}

/// Hashes of knet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms, reason = "names of the field")]
pub enum Hash {
    /// Unsigned.
    None,
    /// MD5: broken, for old clusters only.
    MD5,
    /// SHA-1: weak, for old clusters only.
    SHA1,
    /// SHA-256.
    SHA256,
    /// SHA-384.
    SHA384,
    /// SHA-512.
    SHA512,
}

/// Compression of knet's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compression {
    /// The method; `None` sends uncompressed.
    pub model: CompressionModel,
    /// Only packets larger than this many bytes are compressed, 0 to 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65536))]
    pub threshold_bytes: Option<i32>,
    /// Level as the method counts it, -100 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -100, max = 100))]
    pub level: Option<i32>,
}

/// Compression methods of knet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompressionModel {
    /// Uncompressed.
    None,
    /// zlib.
    Zlib,
    /// LZ4.
    Lz4,
    /// LZ4, high compression.
    Lz4hc,
    /// LZO2.
    Lzo2,
    /// LZMA.
    Lzma,
    /// bzip2.
    Bzip2,
    /// Zstandard.
    Zstd,
}
