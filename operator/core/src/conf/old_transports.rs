//! What corosync 3 takes with udp and udpu, which have one link and no encryption.

use std::collections::BTreeSet;

use super::config::Config;
use super::document::SectionView;
use super::options::{Cipher, Crypto, Hash};
use super::values::{ConfError, text};
use crate::ids::LinkNumber;

/// Whether a file is for knet, or for what nobody knows.
pub(super) fn is_knet(totem: &SectionView<'_>) -> bool {
    !totem.value("transport").is_some_and(|value| matches!(value.bytes, b"udp" | b"udpu"))
}

/// For edits of nodes and links.
pub(super) fn refuse_other_transports(totem: &SectionView<'_>) -> Result<(), ConfError> {
    match totem.value("transport") {
        Some(value) if value.bytes != b"knet" => Err(ConfError::NotUnderstood {
            line: value.line,
            what: format!("transport: {}", text(value.bytes)),
            why: "nodes and links are only edited on knet",
        }),
        _ => Ok(()),
    }
}

/// corosync does not start on udp or udpu with what only knet has (corosync.md 11). The daemons that run may
/// have been started before it came into the file.
pub(super) fn refuse_what_knet_has<A>(
    config: &Config<A>,
    totem: &SectionView<'_>,
) -> Result<(), ConfError> {
    let Some(transport) = totem.value("transport").filter(|_| !config.transport().is_knet()) else {
        return Ok(());
    };
    let Crypto { cipher, hash } = config.crypto();
    let why = if (cipher, hash) != (Cipher::None, Hash::None) {
        "corosync does not start with it beside `secauth: on`, `crypto_cipher` or `crypto_hash`"
    } else if config.links() != BTreeSet::from([LinkNumber::ZERO]) {
        "corosync does not start with it on more links than link 0"
    } else {
        return Ok(());
    };
    let what = format!("transport: {}", text(transport.bytes));
    Err(ConfError::NotUnderstood { line: transport.line, what, why })
}
