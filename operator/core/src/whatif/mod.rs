//! What becomes of quorum when something fails: who keeps it, who loses it, and whether two parts could
//! have it at once.
//!
//! Owns votequorum's rules with all their options and those by which QNetd gives its vote away, from the
//! text of a corosync.conf alone: [`Electorate`] (who votes, by which rules), [`Event`] (what fails),
//! [`Outcome`] (the parts that are left), [`Margin`] (how many further nodes may fail). It starts from a cluster that is up as a whole and quorate, and
//! tells what holds once everything has settled, windows included. Never looks at a host, and never guesses:
//! an option whose effect depends on what a host remembers is refused in words ([`Unclear`]).
//!
//! Every rule is held against real corosync and QNetd daemons by the scenario `whatif` of the lab; where both
//! disagree this model is wrong. Read in exec/votequorum.c of corosync 3.1.7 and in qnetd-algo-ffsplit.c and
//! qnetd-algo-lms.c of corosync-qdevice 3.0.3, besides facts/corosync.md 5.7, 5.8 and 8.

mod device;
mod electorate;
mod event;
mod margin;
mod outcome;
mod words;

#[cfg(test)]
mod tests;

pub use device::{Algorithm, Device, Preferred};
pub use electorate::{Electorate, TieBreaker, Unclear, Voter};
pub use event::{Asked, Event, Misasked, Side, pairs, singles};
pub use margin::{Margin, Standing};
pub use outcome::{Member, Outcome, Part, SplitBrain};
