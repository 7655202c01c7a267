//! datacenter.cfg: read without loss, edited line by line, and judged as Proxmox VE reads it.
//!
//! Owns the text of the file and what Proxmox VE makes of it (pve.md 6):
//! - [`Document`]: any bytes, kept as they are, with the keys that Proxmox VE sees in them;
//! - [`Transfer`]: the typed view of `migration` and `replication`;
//! - [`TransferWish`] and [`DatacenterWrite`]: what is wanted of those two, and how it is brought about;
//! - [`edit`]: document in, document out, every untouched line byte-identical;
//! - [`lint`]: what Proxmox VE ignores, and what its next write would drop.
//!
//! Never reads or writes a file, never asks a host whether it has an address in a network. Of keys that
//! have nothing to do with the cluster it knows the name and, where that is simple, the values.

mod document;
pub mod edit;
mod lines;
mod lint;
mod schema;
mod transfer;
mod value;

#[cfg(test)]
mod tests;

pub use document::{Document, Entry};
pub use edit::EditError;
pub use lines::{DatacenterView, DatacenterWrite, Lines, TransferWish, WriteError};
pub use lint::{codes, lint};
pub use transfer::{Traffic, Transfer, TransferType};
pub use value::ValueError;
