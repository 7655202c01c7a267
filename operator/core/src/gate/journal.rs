//! Why a corosync that has its file does not run, as far as the host itself can tell.

use super::Held;

/// Why corosync does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// The gate holds it.
    Held(Held),
    /// It ended by itself, with exit code 0: the others run a higher version.
    Outrun {
        /// Theirs.
        theirs: u64,
        /// The one on this disk.
        mine: u64,
    },
}

impl Idle {
    /// One sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Held(held) => format!("corosync is held: {}", held.because),
            Self::Outrun { theirs, mine } => format!(
                "corosync ended by itself: it started with version {mine} of corosync.conf, and the others \
                 run version {theirs}"
            ),
        }
    }
}

/// How corosync begins, and what it says before it ends because of its version (facts/corosync.md 9.2).
const BEGINS: &str = "Corosync Cluster Engine";
const THEIRS: &str = "Received config version (";
const MINE: &str = ") is different than my config version (";

/// Whether the last daemon of this journal, oldest line first, ended because of its version.
#[must_use]
pub fn outrun(journal: &str) -> Option<Idle> {
    let begins = |line: &&str| line.contains(BEGINS) && line.contains("starting up");
    journal.lines().rev().take_while(|line| !begins(line)).find_map(|line| {
        let (theirs, rest) = line.split_once(THEIRS)?.1.split_once(MINE)?;
        let (mine, _) = rest.split_once(')')?;
        Some(Idle::Outrun { theirs: theirs.parse().ok()?, mine: mine.parse().ok()? })
    })
}
