//! Tests of datacenter.cfg. The messages that Proxmox VE prints itself stand beside the cases.

mod edits;
mod lines;
mod linting;
mod reading;

use super::Document;

pub(super) fn document(text: &str) -> Document {
    Document::parse(text.as_bytes())
}

/// A file as people keep it.
pub(super) const BY_HAND: &str = "\
# our datacenter\n\
#\n\
keyboard: de\r\n\
migration: secure,network=10.1.2.0/24\r\n\
# the fast one\n\
\n\
future-key:  kept \n\
not a line\n\
mac_prefix:BC:24:11";
