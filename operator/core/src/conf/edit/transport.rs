//! The text in force for another transport.

use super::{EditError, applied, remove_key, set, top};
use crate::conf::convert::convert_running;
use crate::conf::document::{Document, SectionPath};
use crate::conf::options::Transport;
use crate::conf::patch::Patch;

/// Sets `totem.transport`, with the keys that belong to the old transport alone taken out: what knet makes
/// nothing of or would refuse, and what corosync refuses on udp and udpu (corosync.md 11). Whatever the new
/// one takes stays, so that knet has its own again after a time without it.
///
/// No running corosync takes such a text, but for what vanishes of its encryption, which it does at once
/// (corosync.md 5.6): it is for daemons that are started with it, all of them stopped before.
pub fn set_transport(document: &Document, to: Transport) -> Result<Document, EditError> {
    if to.is_knet() {
        return Ok(convert_running(document)?.document);
    }
    let totem = top(document, "totem")?;
    let mut splices = Patch::of(document);
    for key in ["crypto_cipher", "crypto_hash"] {
        remove_key(&mut splices, &totem, key);
    }
    if let Some(place) = totem.place("secauth") {
        splices.replace_value(place, "off");
    }
    for interface in totem.sections("interface") {
        remove_key(&mut splices, &interface, "knet_link_priority");
    }
    set(&applied(splices)?, &SectionPath::top("totem"), "transport", &to.to_string())
}
