//! The device of the `quorum` section.

use super::{EditError, append_section, applied, remove_key, remove_section, section, set};
use crate::conf::config::{Config, QuorumDevice};
use crate::conf::document::{Document, SectionPath};
use crate::conf::patch::Patch;

/// Puts a device there, or gives the one that is there these values. What else it says stays.
pub fn set_device(document: &Document, device: &QuorumDevice) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    let (quorum, own) = (SectionPath::top("quorum"), path());
    let net = own.clone().child("net", 0);
    let pairs = device.pairs();
    let (of_net, of_device): (Vec<_>, Vec<_>) =
        pairs.iter().partition(|(key, _)| key.starts_with("net."));
    let mut text = document.clone();
    if config.quorum.device.is_none() {
        let pairs: Vec<_> = of_device.iter().map(|(key, value)| (*key, value.as_str())).collect();
        text = append_section(&text, &quorum, "device", &pairs)?;
    }
    if text.section(&net).is_none() {
        text = append_section(&text, &own, "net", &[])?;
    }
    for (key, value) in of_device {
        text = set(&text, &own, key, value)?;
    }
    for (key, value) in of_net {
        text = set(&text, &net, key.trim_start_matches("net."), value)?;
    }
    if device.votes.is_some() {
        return Ok(text);
    }
    // A number that stays behind would be the votes of an algorithm that counts them itself.
    let view = section(&text, &own)?;
    let mut splices = Patch::of(&text);
    remove_key(&mut splices, &view, "votes");
    applied(splices)
}

/// Takes the device out, with everything that it says.
pub fn remove_device(document: &Document) -> Result<Document, EditError> {
    Config::borrow(document)?;
    remove_section(document, &path())
}

fn path() -> SectionPath {
    SectionPath::top("quorum").child("device", 0)
}
