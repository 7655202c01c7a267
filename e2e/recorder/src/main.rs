//! Records what one host sees of its cluster during a whole run: quorum, membership, the
//! configuration versions in force, and whether /etc/pve takes writes.
//!
//! ```text
//! quorum thread ──┐
//! cmap thread   ──┼─ Sink (channel of stamped lines) ─> main thread: one write per line
//! sampler thread ─┘
//! ```
//!
//! It observes and never acts: it asks corosync for nothing but callbacks and values, and changes
//! no file but its own. It lives through corosync's absence and restarts. What the lines mean for
//! a scenario is decided by their reader.

mod cmap;
mod event;
mod quorum;
mod sink;
mod writable;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Parser;

use crate::event::Event;
use crate::sink::Sink;

/// How long to wait before asking again for a corosync that is not there.
const RETRY: Duration = Duration::from_millis(100);
/// Any entry of /etc/pve would do; this one exists in every state of it.
const PVE_ENTRY: &str = "/etc/pve/local";

/// Records quorum, membership, configuration versions and the writability of /etc/pve.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// File that the lines (JSON) are appended to.
    #[arg(long, value_name = "PATH", default_value = "/var/log/pvecm-recorder.jsonl")]
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (sink, lines) = Sink::new();
    sink.record(Event::Started);
    let (of_quorum, of_cmap) = (sink.clone(), sink.clone());
    thread::spawn(move || quorum::watch(&of_quorum));
    thread::spawn(move || cmap::watch(&of_cmap));
    thread::spawn(move || writable::watch(Path::new(PVE_ENTRY), &sink));
    sink::append(&arguments.output, &lines)
}
