//! What Proxmox VE sees in a file and in a value.

use proptest::prelude::*;

use super::{BY_HAND, document};
use crate::datacenter::value::{Piece, parts};
use crate::datacenter::{Document, Traffic, Transfer, TransferType};

fn read(value: &str) -> Result<String, String> {
    Transfer::read(value).map(|t| t.to_string()).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_printed(value: &str, printed: &str) {
    assert_eq!(read(value), Ok(printed.to_owned()), "{value}");
}

#[track_caller]
fn assert_refused(value: &str, sentence: &str) {
    assert_eq!(read(value), Err(sentence.to_owned()), "{value}");
}

#[test]
fn keys_are_found_with_white_space_around_values_removed() {
    let file = document(BY_HAND);
    let entries: Vec<_> = file
        .entries()
        .map(|e| (str::from_utf8(e.key).unwrap(), str::from_utf8(e.value).unwrap(), e.line))
        .collect();
    assert_eq!(
        entries,
        [
            ("keyboard", "de", 3),
            ("migration", "secure,network=10.1.2.0/24", 4),
            ("future-key", "kept", 7),
            ("mac_prefix", "BC:24:11", 9),
        ]
    );
}

#[test]
fn a_key_has_no_white_space_and_at_least_one_byte() {
    let keys = |text: &str| {
        let file = document(text);
        file.entries().map(|e| String::from_utf8_lossy(e.key).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys("migration : secure\n"), [""; 0]);
    assert_eq!(keys("a b: c\n"), [""; 0]);
    assert_eq!(keys(": c\n"), [""; 0]);
    assert_eq!(keys("::c\n"), [":"]);
    assert_eq!(keys(" \tkey:\x0b\n"), ["key"]);
    assert_eq!(keys("# key: value\n  # key: value\n"), [""; 0]);
}

#[test]
fn of_a_repeated_key_the_last_one_counts() {
    let file = document("migration: secure\nmigration: insecure\n");
    let transfer = file.transfer(Traffic::Migration).unwrap().unwrap();
    assert_eq!(transfer.kind, TransferType::Insecure);
}

#[test]
fn a_value_is_read_in_any_order_and_printed_in_proxmox_ves() {
    assert_printed("secure", "secure");
    assert_printed("type=insecure", "insecure");
    assert_printed("network=10.1.2.0/24,type=secure", "secure,network=10.1.2.0/24");
    assert_printed("network=10.1.2.0/24,insecure", "insecure,network=10.1.2.0/24");
    assert_printed(", ,secure,\t,", "secure");
    // Perl takes the value 0 for none, and the bare one takes its place.
    assert_printed("type=0,secure", "secure");
}

#[test]
fn every_value_that_proxmox_ve_drops_is_refused_in_words() {
    // type: property is missing and it is not optional
    assert_refused("", "`type` must be given");
    assert_refused("network=10.1.2.0/24", "`type` must be given");
    // duplicate key in comma-separated list property: type
    assert_refused("secure,type=secure", "`type` is given twice");
    assert_refused("secure,secure", "`type` is given twice");
    assert_refused("0,secure", "`type` is given twice");
    assert_refused("type=secure,secure", "`type` is given twice");
    assert_refused("secure,network=10.0.0.0/8,network=10.0.0.0/8", "`network` is given twice");
    // invalid key in comma-separated list property
    assert_refused("secure, network=10.0.0.0/8", "there is no ` network`, only type, network");
    assert_refused("secure,net=10.0.0.0/8", "there is no `net`, only type, network");
    // missing key in comma-separated list property
    assert_refused("secure,network=", "`network=` is no `key=value`");
    assert_refused("=secure", "`=secure` is no `key=value`");
    // value 'unsafe' does not have a value in the enumeration 'secure, insecure'
    assert_refused("unsafe", "`type` is `unsafe`, but takes one of secure, insecure");
    assert_refused(
        "secure ,network=10.0.0.0/8",
        "`type` is `secure `, but takes one of secure, insecure",
    );
}

#[test]
fn a_network_has_the_bounds_of_proxmox_ve_and_keeps_its_host_bits() {
    for network in [
        "10.0.0.0/8",
        "10.1.2.3/24",
        "10.1.2.3/32",
        "fd00::/8",
        "fd00::1/64",
        "::ffff:10.0.0.1/128",
    ] {
        assert_printed(&format!("secure,network={network}"), &format!("secure,network={network}"));
    }
    assert_printed("secure,network=10.1.2.0/024", "secure,network=10.1.2.0/24");
    // value does not look like a valid CIDR network
    for network in [
        "10.0.0.0/7",
        "10.0.0.0/33",
        "fd00::/7",
        "fd00::/129",
        "10.1.2.0",
        "10.1.2.0/",
        "10.1.2.0/+8",
        "010.1.2.0/24",
        "10.1.2/24",
        "net/24",
        "10.1.2.0/24 ",
    ] {
        assert_refused(
            &format!("secure,network={network}"),
            &format!(
                "`network` is `{network}`, but takes a network such as 10.1.2.0/24, with a mask of 8 to 32 \
                 bits, or 8 to 128 for IPv6"
            ),
        );
    }
}

#[test]
fn what_proxmox_ve_drops_leaves_the_older_key_the_other_key_or_the_default_in_force() {
    let in_force = |text: &str, traffic| document(text).in_force(traffic).to_string();
    let both =
        |text: &str| (in_force(text, Traffic::Migration), in_force(text, Traffic::Replication));
    let told = |migration: &str, replication: &str| (migration.to_owned(), replication.to_owned());
    assert_eq!(both(""), told("secure", "secure"));
    assert_eq!(both("migration: network=10.1.2.0/24\n"), told("secure", "secure"));
    assert_eq!(
        both("migration: insecure,network=10.1.2.0/24\n"),
        told("insecure,network=10.1.2.0/24", "insecure,network=10.1.2.0/24")
    );
    assert_eq!(both("migration: insecure\nreplication: secure\n"), told("insecure", "secure"));
    assert_eq!(both("migration_unsecure: Yes\n"), told("insecure", "insecure"));
    assert_eq!(both("migration_unsecure: 1\nmigration: secure\n"), told("secure", "secure"));
    assert_eq!(both("migration_unsecure: 1\nmigration: unsafe\n"), told("insecure", "insecure"));
    assert_eq!(both("migration_unsecure: maybe\n"), told("secure", "secure"));
}

fn any_value() -> impl Strategy<Value = String> {
    let words = vec![
        ",",
        "=",
        "secure",
        "insecure",
        "type",
        "network",
        "10.1.2.0/24",
        "fd00::/64",
        " ",
        "0",
    ];
    prop::collection::vec(prop::sample::select(words), 0..10).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_come_back_as_they_were(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(Document::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn what_is_read_and_printed_is_read_the_same(value in any_value()) {
        if let Ok(transfer) = Transfer::read(&value) {
            prop_assert_eq!(Transfer::read(&transfer.to_string()), Ok(transfer));
        }
    }

    #[test]
    fn the_pieces_of_a_value_are_the_value(value in any_value()) {
        let pieces: Vec<String> = parts(&value).zip(value.split(',')).map(|(piece, text)| match piece {
            Piece::Pair(key, value) => format!("{key}={value}"),
            Piece::Blank | Piece::Bare(_) | Piece::Malformed(_) => text.to_owned(),
        }).collect();
        prop_assert_eq!(pieces.join(","), value);
    }
}
