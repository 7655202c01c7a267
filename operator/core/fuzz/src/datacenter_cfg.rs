//! datacenter.cfg and the property strings in it.

use pvecm_core::datacenter::edit::{remove, set_network, set_type};
use pvecm_core::datacenter::{Document, Traffic, Transfer, TransferType, lint};

use crate::is_within;

const KEYS: [(Traffic, &str); 2] =
    [(Traffic::Migration, "migration"), (Traffic::Replication, "replication")];

/// The bytes come back; judging and reading never panic; what is set is read; an edit keeps all other
/// lines.
pub fn datacenter_cfg(bytes: &[u8]) {
    let document = Document::parse(bytes);
    assert_eq!(document.to_bytes(), bytes, "the bytes come back");
    for finding in lint(&document) {
        assert!(!finding.message.is_empty(), "a finding says something");
    }
    for (traffic, key) in KEYS {
        let _ = (document.transfer(traffic), document.in_force(traffic));
        edits(&document, traffic, key);
    }
}

fn edits(document: &Document, traffic: Traffic, key: &str) {
    let network = "10.0.0.0/24".parse().ok();
    for edited in [
        set_type(document, traffic, TransferType::Insecure),
        set_network(document, traffic, network),
    ] {
        let Ok(edited) = edited else { continue };
        match (remove(document, key), remove(&edited, key)) {
            (Ok(without), Ok(still_without)) => {
                assert_eq!(without, still_without, "an edit of {key} touched other lines");
            }
            (Err(_), _) => {
                assert!(is_within(document.as_bytes(), edited.as_bytes()), "{key}");
            }
            (Ok(_), Err(_)) => assert_eq!(document, &edited, "an edit lost {key}"),
        }
    }
    if let Ok(edited) = set_type(document, traffic, TransferType::Insecure)
        && let Ok(Some(transfer)) = edited.transfer(traffic)
    {
        assert_eq!(transfer.kind, TransferType::Insecure, "the type that was set is read");
    }
}

/// Reading never panics, and what was read is the same after it was written.
pub fn property_string(bytes: &[u8]) {
    let Ok(transfer) = Transfer::read(&String::from_utf8_lossy(bytes)) else { return };
    let again = Transfer::read(&transfer.to_string());
    assert_eq!(again, Ok(transfer), "{transfer} is not read as it was written");
}
