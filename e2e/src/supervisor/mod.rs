//! The supervisor: process 1 of a lab's process namespace, parent of everything in the lab.
//!
//! It starts and signals processes by name for the commands that ask over a socket, and reaps
//! what dies. It decides nothing: what is started when is the business of [`crate::lab`].

mod client;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use client::Supervisor;
pub(crate) use client::children;
pub use server::serve;

/// One process to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Name under which it is signalled and its log is found; free again when it has ended.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment, but for `PATH` and `HOME`, which the supervisor sets.
    pub env: BTreeMap<String, String>,
    /// File to which both output streams are appended.
    pub log: PathBuf,
    /// Whether it is given the machine's own network, as the file descriptor that
    /// [`OUTSIDE_VARIABLE`] names. Only in a lab that was brought up with a way out.
    pub outside: bool,
}

/// The environment variable with the file descriptor of the machine's own network.
pub const OUTSIDE_VARIABLE: &str = "PVECM_LAB_OUTSIDE";

/// How a supervisor lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// It ends with standard input, so that the lab dies with the process that holds the other end.
    pub bound: bool,
    /// It keeps the machine's own network open, for the one process that forwards to it.
    pub way_out: bool,
}

/// What a client may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Request {
    Start(Process),
    Signal { name: String, signal: i32 },
    State,
}

/// One process as the supervisor knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessState {
    /// Process id inside the lab's process namespace.
    pub pid: i32,
    /// How it ended; `None` while it runs.
    pub ended: Option<String>,
}

type Reply = Result<BTreeMap<String, ProcessState>, String>;
