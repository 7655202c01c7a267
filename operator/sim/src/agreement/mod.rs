//! The protocol by which hosts agree on a stage, alone: the machines of all hosts in a simulated cluster
//! that is quicker and more hostile than [`crate::world`], without agents, API server or plans.
//!
//! Owns: the group that delivers in one order but not safely, quorum, pmxcfs, disks, crashes, and the
//! rules that must never be broken. Never looks into a machine: only at its effects and its ledger.

mod checks;
mod effects;
mod faults;
mod group;
mod storage;
mod world;

pub use world::{Report, simulate};
