//! `spec.totem` in the words of corosync.conf.

use pvecm_core::conf::{self, TotemOptions};

use super::{InvalidSpec, optional};
use crate::cluster::{
    Cipher, Compression, CompressionModel, Crypto, Hash, IpVersion, LinkMode, Totem, Transport,
};

/// The keys that the operator sets.
pub(super) fn options(totem: &Totem) -> Result<TotemOptions, InvalidSpec> {
    let Totem {
        transport,
        token_millis,
        token_coefficient_millis,
        consensus_millis,
        link_mode,
        ip_version,
        mtu_bytes,
        crypto,
        compression,
        key_generation: _,
    } = totem;
    let (model, threshold_bytes, level) = match compression {
        Some(Compression { model, threshold_bytes, level }) => {
            (Some(compression_word(*model)), *threshold_bytes, *level)
        }
        None => (None, None, None),
    };
    Ok(TotemOptions {
        token_millis: optional("spec.totem.tokenMillis", *token_millis)?,
        token_coefficient_millis: optional(
            "spec.totem.tokenCoefficientMillis",
            *token_coefficient_millis,
        )?,
        consensus_millis: optional("spec.totem.consensusMillis", *consensus_millis)?,
        ip_version: ip_version.map(ip_version_word),
        link_mode: link_mode.map(link_mode_word),
        mtu_bytes: optional("spec.totem.mtuBytes", *mtu_bytes)?,
        cipher: crypto.map(|Crypto { cipher, hash: _ }| cipher_word(cipher)),
        hash: crypto.map(|Crypto { cipher: _, hash }| hash_word(hash)),
        compression: model,
        compression_threshold_bytes: optional(
            "spec.totem.compression.thresholdBytes",
            threshold_bytes,
        )?,
        compression_level: level,
        transport: transport.map(transport_word),
    })
}

const fn transport_word(transport: Transport) -> conf::Transport {
    match transport {
        Transport::Knet => conf::Transport::Knet,
        Transport::Udp => conf::Transport::Udp,
        Transport::Udpu => conf::Transport::Udpu,
    }
}

const fn ip_version_word(version: IpVersion) -> conf::IpVersion {
    match version {
        IpVersion::IPv4 => conf::IpVersion::Ipv4,
        IpVersion::IPv6 => conf::IpVersion::Ipv6,
        IpVersion::IPv4Then6 => conf::IpVersion::Ipv4Then6,
        IpVersion::IPv6Then4 => conf::IpVersion::Ipv6Then4,
    }
}

const fn link_mode_word(mode: LinkMode) -> conf::LinkMode {
    match mode {
        LinkMode::Passive => conf::LinkMode::Passive,
        LinkMode::Active => conf::LinkMode::Active,
        LinkMode::RoundRobin => conf::LinkMode::RoundRobin,
    }
}

const fn cipher_word(cipher: Cipher) -> conf::Cipher {
    match cipher {
        Cipher::None => conf::Cipher::None,
        Cipher::AES128 => conf::Cipher::Aes128,
        Cipher::AES192 => conf::Cipher::Aes192,
        Cipher::AES256 => conf::Cipher::Aes256,
    }
}

const fn hash_word(hash: Hash) -> conf::Hash {
    match hash {
        Hash::None => conf::Hash::None,
        Hash::MD5 => conf::Hash::Md5,
        Hash::SHA1 => conf::Hash::Sha1,
        Hash::SHA256 => conf::Hash::Sha256,
        Hash::SHA384 => conf::Hash::Sha384,
        Hash::SHA512 => conf::Hash::Sha512,
    }
}

const fn compression_word(model: CompressionModel) -> conf::Compression {
    match model {
        CompressionModel::None => conf::Compression::None,
        CompressionModel::Zlib => conf::Compression::Zlib,
        CompressionModel::Lz4 => conf::Compression::Lz4,
        CompressionModel::Lz4hc => conf::Compression::Lz4hc,
        CompressionModel::Lzo2 => conf::Compression::Lzo2,
        CompressionModel::Lzma => conf::Compression::Lzma,
        CompressionModel::Bzip2 => conf::Compression::Bzip2,
        CompressionModel::Zstd => conf::Compression::Zstd,
    }
}
