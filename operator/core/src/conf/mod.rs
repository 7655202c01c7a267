//! corosync.conf: read without loss, edited line by line, formed, and compared with what runs.
//!
//! Owns the text of the file and what corosync 3 makes of it:
//! - [`Document`]: any bytes, kept as they are, with the sections and keys that corosync's parser
//!   sees in them;
//! - [`Config`]: the typed view, refused in words where a guess would be needed;
//! - [`edit`]: document in, document out, every untouched line byte-identical;
//! - [`carried`](carried()): addresses on a new network, made of those on an old one;
//! - [`form`]: the text of a new cluster, as Proxmox VE 9 writes it;
//! - [`Dialect`], [`Overview`] and [`convert`](convert()): files of any dialect, also those which [`Config`]
//!   refuses, shown and made fit for knet;
//! - [`diff`](mod@diff): what a new text changes, and what a reload would do with it;
//! - [`keys`]: every key there is, with what it takes and how a change of it takes effect;
//! - [`flat`](flat()): all keys of a text or of a daemon under the same names;
//! - [`running_values`] and [`changed_values`]: the cmap keys that prove that a text is in force.
//!
//! Never reads or writes a file, never asks a clock, never repairs what it does not understand.
//! Files that only corosync 2 runs are kept without loss but refused by [`Config::read`]; those of udp and udpu
//! are read, and the only edit that takes them is that of the transport.

mod carried;
mod config;
mod convert;
mod dialect;
pub mod diff;
mod document;
pub mod edit;
mod effective;
mod flat;
mod form;
pub mod keys;
pub mod lint;
mod logging;
mod objections;
mod old_transports;
mod options;
pub mod overview;
mod owners;
mod patch;
mod reader;
mod running;
mod scan;
mod settings;
mod values;

#[cfg(test)]
mod tests;

pub use carried::{CarryError, carried};
pub use config::{Config, Interface, Node, Quorum, QuorumDevice};
pub use convert::{ConvertError, Converted, Step, convert, convert_running};
pub use dialect::Dialect;
pub use diff::{Change, Diff, Reload, What, diff};
pub use document::{Document, SectionPath, SectionView, Value};
pub use edit::EditError;
pub use effective::{Encryption, Timers, Valued, Votes, default_port, token_growth_millis};
pub use flat::{Flat, flat, flat_cmap, section_and_name};
pub use form::{Formation, NodeEntry, form};
pub use logging::{Debugging, LoggingOptions, Priority, Switch};
pub use objections::objections;
pub use options::{
    Cipher, Compression, Crypto, Hash, IpVersion, LinkMode, LinkOptions, TotemOptions, Transport,
};
pub use overview::Overview;
pub use running::{
    ChangedValues, IP_VERSION, LINK_MODE, TRANSPORT, changed_values, derived_pings,
    ping_timeout_millis, running_values, values_at_start,
};
pub use scan::{Problem, ProblemKind};
pub use values::{ConfError, first_version_for_pmxcfs};
