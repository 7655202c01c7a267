//! The rules for encryption: what corosync 3 refuses, and when traffic is in the clear.

use super::{Facts, Transport, quoted};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

static CIPHER_WITHOUT_HASH: Code = Code {
    name: "cipher-without-hash",
    title: "A cipher without a hash",
    explanation: "corosync says `crypto_cipher requires crypto_hash with value other than none` \
                  and does not start.",
    source: "measured on corosync 3.1.7",
};
static CRYPTO_NEEDS_KNET: Code = Code {
    name: "crypto-needs-knet",
    title: "Encryption with udp or udpu",
    explanation: "corosync says `crypto_cipher & crypto_hash are only valid for the Knet \
                  transport.` and does not start. udp and udpu are always in the clear; `secauth: \
                  on` of a corosync 2 file counts as well.",
    source: "measured on corosync 3.1.7",
};
static KEY_TOO_SHORT: Code = Code {
    name: "key-too-short",
    title: "The key in the file is too short",
    explanation: "corosync says `key is too short`: `totem.key` has at least 127 characters. A key \
                  file (`keyfile`, or /etc/corosync/authkey) has 128 to 4096 bytes, and is read by \
                  everybody who can read this file if it stands in here.",
    source: "exec/totemconfig.c:totem_config_keyread of 3.1.7; measured with `corosync -t`",
};
static UNENCRYPTED: Code = Code {
    name: "unencrypted",
    title: "The cluster's traffic is neither encrypted nor signed",
    explanation: "corosync 3 encrypts nothing unless `secauth: on` or `crypto_cipher` and \
                  `crypto_hash` say so; corosync 2 did by default. Anybody in the network can then \
                  take part in the cluster and write /etc/pve. The next corosync refuses such a \
                  file.",
    source: "corosync.conf(5); measured on corosync 3.1.7",
};

pub(super) static CODES: &[&Code] =
    &[&CIPHER_WITHOUT_HASH, &CRYPTO_NEEDS_KNET, &KEY_TOO_SHORT, &UNENCRYPTED];

/// The shortest `totem.key`; corosync counts its end as a byte.
const SHORTEST_KEY: usize = 127;

pub(super) fn judge(facts: &Facts<'_, '_>, report: &mut Report) {
    let stored = facts.stored;
    let secauth = stored.text("totem.secauth") == Some(b"on");
    let effective = |name: &str| match stored.get(name) {
        Some(entry) if entry.faulty => secauth,
        Some(entry) => entry.text != b"none",
        None => secauth,
    };
    let (cipher, hash) = (effective("totem.crypto_cipher"), effective("totem.crypto_hash"));
    let line = stored.line("totem.crypto_cipher").or(stored.line("totem.secauth"));
    if cipher && !hash {
        let message = "`crypto_cipher` without a `crypto_hash`; corosync does not start; write \
                       `crypto_hash: sha256`, or `secauth: on` alone"
            .to_owned();
        report.refuses(&CIPHER_WITHOUT_HASH, line, message);
    }
    if (cipher || hash) && facts.transport != Transport::Knet {
        let line = line.or(stored.line("totem.crypto_hash"));
        let message = format!(
            "encryption with transport {}, which has none; corosync does not start; use knet, or \
             write `secauth: off`",
            facts.transport.name()
        );
        report.refuses(&CRYPTO_NEEDS_KNET, line, message);
    }
    let key = stored.get("totem.key").filter(|_| stored.get("totem.keyfile").is_none());
    if let Some(key) = key.filter(|key| (cipher || hash) && key.text.len() < SHORTEST_KEY) {
        let message = "`totem.key` is shorter than 127 characters; corosync does not start; take \
                       it out and use /etc/corosync/authkey"
            .to_owned();
        report.refuses(&KEY_TOO_SHORT, Some(key.line), message);
    }
    if !cipher {
        let written = stored.get("totem.secauth").map(|secauth| quoted(secauth.text));
        let why = written.map_or_else(String::new, |written| format!(" (`secauth` is {written})"));
        let signed = if hash { "signed but not encrypted" } else { "neither encrypted nor signed" };
        let message = format!(
            "traffic is {signed}{why}; write `secauth: on` into `totem` and give every node the \
             same authkey"
        );
        report.advises(&UNENCRYPTED, line, message);
    }
}
