//! What a spec wants of the two lines, and the file that comes of it on every host.

use proptest::prelude::*;

use super::BY_HAND;
use crate::datacenter::{
    DatacenterView, DatacenterWrite, Traffic, Transfer, TransferType, TransferWish, WriteError,
};
use crate::ids::Digest;

fn line(kind: TransferType, network: Option<&str>) -> Transfer {
    Transfer { kind, network: network.map(|network| network.parse().unwrap()) }
}

fn secure(network: Option<&str>) -> Transfer {
    line(TransferType::Secure, network)
}

fn write(before: &str, lines: &[(Traffic, Option<Transfer>)]) -> Result<String, WriteError> {
    let parent = Digest::of(before.as_bytes());
    let write = DatacenterWrite { parent, lines: lines.iter().copied().collect() };
    write.apply(before.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_type_leaves_the_network_alone_and_a_line_says_all() {
    let (lan, wan) = (Some("10.1.2.0/24"), Some("10.9.0.0/16"));
    let insecure = TransferWish::Type(TransferType::Insecure);
    assert_eq!(insecure.line(Some(secure(lan))), Some(line(TransferType::Insecure, lan)));
    assert_eq!(insecure.line(None), Some(line(TransferType::Insecure, None)));
    assert_eq!(TransferWish::Line(secure(wan)).line(Some(secure(lan))), Some(secure(wan)));
    assert_eq!(TransferWish::NoLine.line(Some(secure(lan))), None);
    assert!(TransferWish::Type(TransferType::Secure).is_met_by(Some(secure(lan))));
    assert!(!TransferWish::Type(TransferType::Secure).is_met_by(None));
    assert!(!TransferWish::Line(secure(None)).is_met_by(Some(secure(lan))));
    assert!(TransferWish::NoLine.is_met_by(None));
}

#[test]
fn set_changed_and_removed_every_other_byte_stays() {
    let both = [
        (Traffic::Migration, Some(line(TransferType::Insecure, Some("10.9.0.0/16")))),
        (Traffic::Replication, Some(secure(None))),
    ];
    let changed = write(BY_HAND, &both).unwrap();
    let wanted = BY_HAND.replace("secure,network=10.1.2.0/24", "insecure,network=10.9.0.0/16");
    assert_eq!(changed, format!("{wanted}\nreplication: secure"));
    let gone = [(Traffic::Migration, None), (Traffic::Replication, None)];
    let removed = write(&changed, &gone).unwrap();
    // The line that was the last one got an end, and keeps it.
    let without = BY_HAND.replace("migration: secure,network=10.1.2.0/24\r\n", "");
    assert_eq!(removed, format!("{without}\n"));
    assert_eq!(write("", &both[1..]).unwrap(), "replication: secure\n");
}

/// Two hosts would write two files otherwise, each over the other's.
#[test]
fn no_file_comes_of_another_parent_or_of_a_line_that_is_not_understood() {
    let set = DatacenterWrite {
        parent: Digest::of(b"keyboard: de\n"),
        lines: [(Traffic::Migration, Some(secure(None)))].into(),
    };
    assert_eq!(set.apply(b"keyboard: fr\n"), Err(WriteError::OtherParent));
    let twice = write("migration: secure,secure\n", &[(Traffic::Migration, Some(secure(None)))]);
    assert!(twice.unwrap_err().to_string().starts_with("datacenter.cfg cannot be changed"));
    let none = write("keyboard: de\n", &[(Traffic::Migration, None)]);
    assert!(none.unwrap_err().to_string().ends_with("there is no key `migration`"));
}

#[test]
fn a_view_tells_the_two_lines_and_nothing_else() {
    let text =
        "email_from: root@example\nmigration: secure,network=10.1.2.0/24\nreplication: unsafe\n";
    let view = DatacenterView::of(text.as_bytes());
    assert_eq!(view.line(Traffic::Migration), Ok(Some(secure(Some("10.1.2.0/24")))));
    assert!(view.line(Traffic::Replication).is_err());
    assert!(!format!("{view:?}").contains("example"));
    assert_eq!(DatacenterView::of(b"").line(Traffic::Replication), Ok(None));
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read_and_taking_it_out_again_leaves_the_rest(
        before in "([a-z_#: ]{0,12}(\r)?\n){0,8}",
        insecure: bool,
        network in prop::option::of(8u8..=32),
    ) {
        prop_assume!(!before.contains("migration") && !before.contains("replication"));
        let network = network.map(|bits| format!("10.0.0.0/{bits}"));
        let kind = if insecure { TransferType::Insecure } else { TransferType::Secure };
        let wanted = line(kind, network.as_deref());
        let set = write(&before, &[(Traffic::Migration, Some(wanted))]).unwrap();
        let view = DatacenterView::of(set.as_bytes());
        prop_assert_eq!(view.line(Traffic::Migration), Ok(Some(wanted)));
        prop_assert_eq!(write(&set, &[(Traffic::Migration, None)]).unwrap(), before);
    }
}
