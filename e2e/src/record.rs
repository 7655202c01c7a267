//! Reads what a host's recorder wrote, and answers the questions that scenarios ask of it.
//!
//! Every question is about a window of real time (milliseconds since the Unix epoch). Whatever the
//! record does not show counts as trouble: a host is quorate or writable only while its record
//! says so, so that a recorder that never ran, or died, cannot make a scenario pass. It reads no
//! file and talks to no host.

#[path = "../recorder/src/event.rs"]
pub mod event;

#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use anyhow::{Context, bail};

use self::event::{CmapValue, Event, Line};
use self::timeline::{State, Timeline};

/// What one host saw, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    lines: Vec<Line>,
}

/// A part of a window in which something did not hold. Ends where the window ends if it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First moment, milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// First moment after it; equal to the first where both fell into one millisecond.
    pub to_ms: u64,
    /// What the gap began with.
    pub cause: Cause,
}

/// Why a host does not count as quorate, or as writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The recorder was not running, or was silent for too long.
    NotRecorded,
    /// The recorder had no connection to corosync.
    CorosyncDown,
    /// Corosync was there and said so, or had said nothing yet.
    NotQuorate,
    /// /etc/pve was missing, dead, or refused writes.
    ReadOnly,
}

/// A moment at which a host came to see another ring or other members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipChange {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The new ring, `<representative's nodeid>.<sequence>`.
    pub ring_id: String,
    /// Nodeids that belong to it, ascending.
    pub members: Vec<u32>,
}

/// A moment at which a configuration version came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose version: a member's nodeid, or `None` for the host's own `totem.config_version`.
    pub node: Option<u32>,
    /// The version.
    pub version: u64,
}

impl Record {
    /// Reads a record. A last line without line end is still being written and is left out; any
    /// other line that is not understood is an error that names it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let finished = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |(index, line): (usize, &str)| {
            serde_json::from_str(line).with_context(|| format!("line {} of a record", index + 1))
        };
        let mut lines: Vec<Line> =
            finished.lines().enumerate().map(parse).collect::<anyhow::Result<_>>()?;
        // The threads of a recorder stamp their lines before they queue them.
        lines.sort_by_key(|line| line.realtime_ms);
        Ok(Self { lines })
    }

    /// The parts of the window in which the host was not quorate. Without a connection to corosync
    /// it is not.
    #[must_use]
    pub fn quorum_gaps(&self, from_ms: u64, to_ms: u64) -> Vec<Gap> {
        Timeline::new(&self.lines, to_ms, quorate).gaps(from_ms, to_ms)
    }

    /// The parts of the window in which /etc/pve took no writes.
    #[must_use]
    pub fn read_only_gaps(&self, from_ms: u64, to_ms: u64) -> Vec<Gap> {
        Timeline::new(&self.lines, to_ms, writable).gaps(from_ms, to_ms)
    }

    /// The first moment from `at_ms` on at which the host was quorate.
    #[must_use]
    pub fn first_quorate_after(&self, at_ms: u64) -> Option<u64> {
        Timeline::new(&self.lines, at_ms, quorate).first_good(at_ms)
    }

    /// The first moment from `at_ms` on at which /etc/pve took writes.
    #[must_use]
    pub fn first_writable_after(&self, at_ms: u64) -> Option<u64> {
        Timeline::new(&self.lines, at_ms, writable).first_good(at_ms)
    }

    /// The moments in the window at which ring or members became others than they were. What the
    /// host saw first of all is such a change; seeing the same again after a lost connection is
    /// none.
    #[must_use]
    pub fn membership_changes(&self, from_ms: u64, to_ms: u64) -> Vec<MembershipChange> {
        let mut known = None;
        let mut changes = Vec::new();
        for line in &self.lines {
            let (Event::Quorum { ring_id, members, .. }
            | Event::Membership { ring_id, members, .. }) = &line.event
            else {
                continue;
            };
            let mut members = members.clone();
            members.sort_unstable();
            let seen = Some((ring_id, members.clone()));
            if seen != known && within(line.realtime_ms, from_ms, to_ms) {
                let at_ms = line.realtime_ms;
                changes.push(MembershipChange { at_ms, ring_id: ring_id.clone(), members });
            }
            known = seen;
        }
        changes
    }

    /// The moments in the window at which a version, the host's own or that of a member as the
    /// host sees it, became another than it was.
    #[must_use]
    pub fn config_versions(&self, from_ms: u64, to_ms: u64) -> Vec<VersionChange> {
        let mut known: BTreeMap<Option<u32>, u64> = BTreeMap::new();
        let mut changes = Vec::new();
        for line in &self.lines {
            let Some((node, version)) = version(&line.event) else { continue };
            let is_new = known.insert(node, version) != Some(version);
            if is_new && within(line.realtime_ms, from_ms, to_ms) {
                changes.push(VersionChange { at_ms: line.realtime_ms, node, version });
            }
        }
        changes
    }

    /// Fails with a message that names `host` and every gap, unless it was quorate all the time.
    pub fn assert_quorate_throughout(
        &self,
        host: &str,
        from_ms: u64,
        to_ms: u64,
    ) -> anyhow::Result<()> {
        let gaps = self.quorum_gaps(from_ms, to_ms);
        refuse(&format!("{host} was not quorate"), &gaps, from_ms)
    }

    /// Fails with a message that names `host` and every gap, unless its /etc/pve took writes all
    /// the time.
    pub fn assert_writable_throughout(
        &self,
        host: &str,
        from_ms: u64,
        to_ms: u64,
    ) -> anyhow::Result<()> {
        let gaps = self.read_only_gaps(from_ms, to_ms);
        refuse(&format!("/etc/pve of {host} took no writes"), &gaps, from_ms)
    }

    /// Fails with a message that names `host` and every change, unless its membership was seen all
    /// the time and stayed as it was.
    pub fn assert_no_membership_change(
        &self,
        host: &str,
        from_ms: u64,
        to_ms: u64,
    ) -> anyhow::Result<()> {
        let blind = Timeline::new(&self.lines, to_ms, watched).gaps(from_ms, to_ms);
        refuse(&format!("{host} did not see its membership"), &blind, from_ms)?;
        let changes = self.membership_changes(from_ms, to_ms);
        refuse(&format!("{host} saw its membership change"), &changes, from_ms)
    }
}

/// An item of a message: what happened, placed by its distance from the start of the window.
trait Placed {
    fn describe(&self, from_ms: u64) -> String;
}

impl Placed for Gap {
    fn describe(&self, from_ms: u64) -> String {
        let Self { from_ms: at_ms, to_ms, cause } = self;
        format!("{} for {} ms ({cause})", place(*at_ms, from_ms), to_ms - at_ms)
    }
}

impl Placed for MembershipChange {
    fn describe(&self, from_ms: u64) -> String {
        let Self { at_ms, ring_id, members } = self;
        format!("{} to {members:?} (ring {ring_id})", place(*at_ms, from_ms))
    }
}

impl Display for Cause {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NotRecorded => "nothing recorded",
            Self::CorosyncDown => "no connection to corosync",
            Self::NotQuorate => "no quorum",
            Self::ReadOnly => "missing or read-only",
        })
    }
}

fn refuse(what: &str, items: &[impl Placed], from_ms: u64) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let described: Vec<String> = items.iter().map(|item| item.describe(from_ms)).collect();
    bail!("{what}: {}", described.join(", "))
}

fn place(at_ms: u64, from_ms: u64) -> String {
    format!("at {at_ms} (+{} ms)", at_ms - from_ms)
}

fn within(at_ms: u64, from_ms: u64, to_ms: u64) -> bool {
    (from_ms..to_ms).contains(&at_ms)
}

/// Any line is a sign of life of the recorder; these decide about quorum.
fn quorate(event: &Event) -> State {
    match event {
        Event::Started | Event::CorosyncLost => State::Bad(Cause::CorosyncDown),
        Event::CorosyncConnected | Event::Quorum { quorate: false, .. } => {
            State::Bad(Cause::NotQuorate)
        }
        Event::Quorum { quorate: true, .. } => State::Good,
        Event::Membership { .. } | Event::Cmap { .. } | Event::Writable { .. } => State::Same,
    }
}

/// The membership is seen while there is a connection to corosync.
fn watched(event: &Event) -> State {
    match event {
        Event::Started | Event::CorosyncLost => State::Bad(Cause::CorosyncDown),
        Event::CorosyncConnected => State::Good,
        Event::Quorum { .. }
        | Event::Membership { .. }
        | Event::Cmap { .. }
        | Event::Writable { .. } => State::Same,
    }
}

/// Only a sample is a sign of life here: the others go on while a look into /etc/pve hangs.
fn writable(event: &Event) -> State {
    match event {
        Event::Started => State::Bad(Cause::NotRecorded),
        Event::Writable { writable: true } => State::Good,
        Event::Writable { writable: false } => State::Bad(Cause::ReadOnly),
        Event::CorosyncConnected
        | Event::CorosyncLost
        | Event::Quorum { .. }
        | Event::Membership { .. }
        | Event::Cmap { .. } => State::Beside,
    }
}

fn version(event: &Event) -> Option<(Option<u32>, u64)> {
    let Event::Cmap { key, value: Some(CmapValue::Number(version)) } = event else { return None };
    if key == "totem.config_version" {
        return Some((None, *version));
    }
    let node = key.strip_prefix("runtime.members.")?.strip_suffix(".config_version")?;
    Some((Some(node.parse().ok()?), *version))
}
