//! A simulated cluster in which the machines of all hosts run: seeded, deterministic, hostile.
//!
//! Owns: the group that delivers in one order but not safely, quorum, pmxcfs, disks, crashes, and the
//! rules that must never be broken. Never looks into a machine: only at its effects and its ledger.

mod checks;
mod dice;
mod effects;
mod faults;
mod group;
mod storage;
mod world;

pub(super) use world::simulate;
