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
