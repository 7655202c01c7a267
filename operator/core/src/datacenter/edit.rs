//! Changes of a datacenter.cfg: each touches only the lines that it must.
//!
//! Every function takes a document and returns a new one. A value that Proxmox VE would drop is never
//! written, keys inside a value that are not known here stay as they are.

use std::ops::Range;

use ipnet::IpNet;

use super::document::{Document, Line, What};
use super::transfer::{Traffic, Transfer, TransferType};
use super::value::{Piece, ValueError, in_bounds, parts};
use crate::text::{Splices, line_end};

/// Why an edit was refused. The document is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file has no such key.
    #[error("there is no key `{0}`")]
    NoKey(String),
    /// Proxmox VE would drop the value that came out.
    #[error("`{key}: {value}` cannot be written")]
    Value {
        /// The key.
        key: &'static str,
        /// The value that was not written.
        value: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// The value is not UTF-8: what is not understood is not edited.
    #[error("the value of `{0}` is not UTF-8")]
    NotUtf8(&'static str),
    /// Proxmox VE takes networks of 8 to 32 bits, of 8 to 128 bits for IPv6.
    #[error("`{0}` is larger than any network that Proxmox VE takes: a mask has 8 bits at least")]
    NetworkTooLarge(IpNet),
}

/// Sets the type; everything else in the value stays. A line that is not there yet is added.
pub fn set_type(
    document: &Document,
    traffic: Traffic,
    kind: TransferType,
) -> Result<Document, EditError> {
    let mut pieces = pieces(document, traffic)?;
    let is_type = |piece: &String| matches!(one(piece), Piece::Bare(_) | Piece::Pair("type", _));
    match pieces.iter_mut().find(|piece| is_type(piece)) {
        Some(piece) if matches!(one(piece), Piece::Bare(_)) => kind.word().clone_into(piece),
        Some(piece) => *piece = format!("type={}", kind.word()),
        None => pieces.insert(0, kind.word().to_owned()),
    }
    write(document, traffic, &pieces)
}

/// Sets the network, or takes it away; everything else in the value stays. Refused where no type is given:
/// Proxmox VE drops a line without one (pve.md 6.2).
pub fn set_network(
    document: &Document,
    traffic: Traffic,
    network: Option<IpNet>,
) -> Result<Document, EditError> {
    if let Some(network) = network.filter(|network| !in_bounds(*network)) {
        return Err(EditError::NetworkTooLarge(network));
    }
    let mut pieces = pieces(document, traffic)?;
    let at = pieces.iter().position(|piece| matches!(one(piece), Piece::Pair("network", _)));
    let new = network.map(|network| format!("network={network}"));
    match (at, new) {
        (Some(at), Some(new)) => pieces[at] = new,
        (Some(at), None) => drop(pieces.remove(at)),
        (None, Some(new)) => pieces.push(new),
        (None, None) => return Ok(document.clone()),
    }
    write(document, traffic, &pieces)
}

/// Takes a key out, with every line that has it.
pub fn remove(document: &Document, key: &str) -> Result<Document, EditError> {
    let mut splices = Splices::default();
    let mut found = false;
    for line in document.lines().iter().filter(|line| value_of(document, line, key).is_some()) {
        splices.remove(line.span.clone());
        found = true;
    }
    if !found {
        return Err(EditError::NoKey(key.to_owned()));
    }
    Ok(Document::parse(&splices.apply(document.as_bytes()).bytes))
}

/// The pieces of a value that say something.
fn pieces(document: &Document, traffic: Traffic) -> Result<Vec<String>, EditError> {
    let value = document.entry(traffic.key()).map_or(&b""[..], |entry| entry.value);
    let value = str::from_utf8(value).map_err(|_| EditError::NotUtf8(traffic.key()))?;
    let told = value.split(',').filter(|piece| one(piece) != Piece::Blank);
    Ok(told.map(str::to_owned).collect())
}

/// A text without commas.
fn one(piece: &str) -> Piece<'_> {
    parts(piece).next().unwrap_or(Piece::Blank)
}

/// Writes the value if Proxmox VE would keep it; keys that only a later version may know do not count
/// against it.
fn write(document: &Document, traffic: Traffic, pieces: &[String]) -> Result<Document, EditError> {
    let value = pieces.join(",");
    let known = |piece: &&String| match one(piece) {
        Piece::Pair(key, _) => matches!(key.trim_ascii(), "type" | "network"),
        Piece::Blank | Piece::Bare(_) | Piece::Malformed(_) => true,
    };
    let judged: Vec<&str> = pieces.iter().filter(known).map(String::as_str).collect();
    if let Err(source) = Transfer::read(&judged.join(",")) {
        return Err(EditError::Value { key: traffic.key(), value, source });
    }
    Ok(put(document, traffic.key(), &value))
}

/// Sets the value of the last line that has the key, else adds a line behind the last key.
fn put(document: &Document, key: &str, value: &str) -> Document {
    let bytes = document.as_bytes();
    let mut splices = Splices::default();
    if let Some(place) =
        document.lines().iter().rev().find_map(|line| value_of(document, line, key))
    {
        let space = if bytes[place.start - 1] == b':' && place.is_empty() { " " } else { "" };
        splices.replace(place, &[space.as_bytes(), value.as_bytes()]);
    } else {
        let (at, neighbour) = behind_the_keys(document);
        let ended = neighbour.ends_with(b"\n");
        // The last line of a file may lack its end.
        let (before, after): (&[u8], &[u8]) =
            if ended { (b"", line_end(neighbour)) } else { (b"\n", b"") };
        splices.insert(at, &[before, key.as_bytes(), b": ", value.as_bytes(), after]);
    }
    Document::parse(&splices.apply(bytes).bytes)
}

/// Where a new line goes, and the line before it: behind the last key, else at the end.
fn behind_the_keys(document: &Document) -> (usize, &[u8]) {
    let is_key = |line: &&Line| matches!(line.what, What::Key { .. });
    let neighbour = document.lines().iter().rfind(is_key).or(document.lines().last());
    neighbour.map_or((0, b"\n"), |line| (line.span.end, &document.as_bytes()[line.span.clone()]))
}

/// Where the value stands in a line that has the key.
fn value_of(document: &Document, line: &Line, key: &str) -> Option<Range<usize>> {
    match &line.what {
        What::Key { name, value } if &document.as_bytes()[name.clone()] == key.as_bytes() => {
            Some(value.clone())
        }
        What::Key { .. } | What::Blank | What::Description | What::Indented | What::Ignored => None,
    }
}
