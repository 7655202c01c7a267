//! Edits touch their own line alone, and nothing is written that Proxmox VE would drop.

use std::error::Error as _;

use proptest::prelude::*;

use super::{BY_HAND, document};
use crate::datacenter::edit::{remove, set_network, set_type};
use crate::datacenter::{Document, EditError, Traffic, TransferType};

/// The text after an edit, or why there was none.
fn text(edited: Result<Document, EditError>) -> String {
    match edited {
        Ok(file) => String::from_utf8(file.to_bytes()).unwrap(),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("refused: {error}{cause}")
        }
    }
}

fn insecure(before: &str) -> String {
    text(set_type(&document(before), Traffic::Migration, TransferType::Insecure))
}

fn network(before: &str, network: Option<&str>) -> String {
    let network = network.map(|network| network.parse().unwrap());
    text(set_network(&document(before), Traffic::Migration, network))
}

#[test]
fn the_type_changes_and_the_network_stays() {
    assert_eq!(
        insecure(BY_HAND),
        BY_HAND.replace("secure,network", "insecure,network"),
        "every other line as it was"
    );
    assert_eq!(
        insecure("migration:network=10.1.2.3/24 , type=secure,\n"),
        "refused: `migration: insecure,network=10.1.2.3/24 , type=secure` cannot be written: there is no ` \
             type`, only type, network"
    );
    assert_eq!(
        insecure("migration:\tnetwork=10.1.2.3/24,type=secure,\n"),
        "migration:\tnetwork=10.1.2.3/24,type=insecure\n"
    );
}

#[test]
fn the_network_changes_comes_and_goes_and_the_type_stays() {
    assert_eq!(
        network(BY_HAND, Some("10.9.0.0/16")),
        BY_HAND.replace("10.1.2.0/24", "10.9.0.0/16")
    );
    assert_eq!(network(BY_HAND, None), BY_HAND.replace(",network=10.1.2.0/24", ""));
    assert_eq!(
        network("migration: insecure\n", Some("fd00::/64")),
        "migration: insecure,network=fd00::/64\n"
    );
    assert_eq!(network("migration: secure\n", None), "migration: secure\n");
}

#[test]
fn a_network_without_a_type_is_never_written() {
    let refused =
        "refused: `migration: network=10.1.2.0/24` cannot be written: `type` must be given";
    assert_eq!(network("", Some("10.1.2.0/24")), refused);
    assert_eq!(network("migration: network=10.0.0.0/8\n", Some("10.1.2.0/24")), refused);
    assert_eq!(
        insecure("migration: network=10.0.0.0/8\n"),
        "migration: insecure,network=10.0.0.0/8\n",
        "the type repairs the line"
    );
}

#[test]
fn a_network_that_proxmox_ve_does_not_take_is_refused() {
    assert_eq!(
        network("migration: secure\n", Some("0.0.0.0/0")),
        "refused: `0.0.0.0/0` is larger than any network that Proxmox VE takes: a mask has 8 bits at least"
    );
}

#[test]
fn keys_inside_a_value_that_a_later_version_may_know_are_kept() {
    assert_eq!(
        insecure("migration: secure,later=1,network=10.1.2.0/24\n"),
        "migration: insecure,later=1,network=10.1.2.0/24\n"
    );
}

#[test]
fn a_value_that_is_not_understood_is_not_edited() {
    assert!(insecure("migration: secure,secure\n").ends_with("`type` is given twice"));
    assert!(insecure("migration: secure,network=\n").ends_with("is no `key=value`"));
    let latin1 = Document::parse(b"migration: secure,later=\xfc\n");
    let edited = text(set_type(&latin1, Traffic::Migration, TransferType::Insecure));
    assert_eq!(edited, "refused: the value of `migration` is not UTF-8");
}

#[test]
fn a_new_line_stands_behind_the_last_key_with_the_line_end_of_its_neighbour() {
    assert_eq!(insecure(""), "migration: insecure\n");
    assert_eq!(insecure("# only\r\n"), "# only\r\nmigration: insecure\r\n");
    assert_eq!(insecure("keyboard: de\n# end\n"), "keyboard: de\nmigration: insecure\n# end\n");
    assert_eq!(insecure("keyboard: de"), "keyboard: de\nmigration: insecure");
    assert_eq!(insecure("migration:\n"), "migration: insecure\n");
}

#[test]
fn of_a_repeated_key_the_last_line_is_edited_and_all_are_removed() {
    let twice = "migration: secure\nkeyboard: de\nmigration: secure\n";
    assert_eq!(insecure(twice), "migration: secure\nkeyboard: de\nmigration: insecure\n");
    assert_eq!(text(remove(&document(twice), "migration")), "keyboard: de\n");
    assert_eq!(
        text(remove(&document(BY_HAND), "replication")),
        "refused: there is no key `replication`"
    );
    assert_eq!(
        text(remove(&document(BY_HAND), "future-key")),
        BY_HAND.replace("future-key:  kept \n", "")
    );
}

/// Lines of all kinds, one of them at least with its end.
fn any_file() -> impl Strategy<Value = String> {
    let lines = vec![
        "# text: 100%",
        "  # aside",
        "",
        " \t",
        "keyboard: de",
        "unknown: x,y",
        "no key",
        "ha: x",
        "migration_unsecure: 1",
        "mac_prefix:AA",
    ];
    let line = (prop::sample::select(lines), prop::sample::select(vec!["\n", "\r\n", " \n"]));
    prop::collection::vec(line, 0..12)
        .prop_map(|lines| lines.iter().flat_map(|(text, end)| [*text, *end]).collect())
}

proptest! {
    #[test]
    fn edits_leave_every_other_line_alone(before in any_file(), after in any_file()) {
        let file = |line: &str| format!("{before}{line}{after}");
        let at = file("migration:  secure\r\n");
        prop_assert_eq!(insecure(&at), file("migration:  insecure\r\n"));
        let networked = network(&at, Some("10.1.2.0/24"));
        prop_assert_eq!(networked, file("migration:  secure,network=10.1.2.0/24\r\n"));
        prop_assert_eq!(text(remove(&document(&at), "migration")), file(""));
    }

    #[test]
    fn a_line_that_is_added_and_removed_leaves_the_file_as_it_was(before in any_file()) {
        let file = document(&before);
        let added = set_type(&file, Traffic::Replication, TransferType::Secure).unwrap();
        let transfer = added.transfer(Traffic::Replication).unwrap().unwrap();
        prop_assert_eq!(transfer.kind, TransferType::Secure);
        prop_assert_eq!(remove(&added, "replication").unwrap(), file);
    }
}
