//! The way of an event into the file: stamped where it was seen, written by one thread.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};

use crate::event::{Event, Line};

/// Takes events from any thread. Never blocks, so that corosync's callbacks may use it: the
/// binding calls them while it holds a mutex of the whole process.
#[derive(Clone, Debug)]
pub struct Sink(Sender<Line>);

impl Sink {
    /// A sink, and the lines that come out at its end.
    pub fn new() -> (Self, Receiver<Line>) {
        let (sender, lines) = channel();
        (Self(sender), lines)
    }

    /// Stamps `event` with the present time and queues it.
    pub fn record(&self, event: Event) {
        let line = Line { realtime_ms: realtime_ms(), monotonic_ms: monotonic_ms(), event };
        // Nobody receives only while the process is ending, because its file failed.
        let _ = self.0.send(line);
    }
}

/// Appends every line to the file at `path`, each in one write, so that neither a kill nor a
/// reader ever sees half a line. Ends only with the first error.
pub fn append(path: &Path, lines: &Receiver<Line>) -> anyhow::Result<()> {
    let mut file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    for line in lines {
        let mut text = serde_json::to_string(&line).context("cannot render a line")?;
        text.push('\n');
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write to {}", path.display()))?;
    }
    anyhow::bail!("all observers ended")
}

fn realtime_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux always has this clock");
    let millis = now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000;
    u64::try_from(millis).expect("this clock starts at zero")
}
