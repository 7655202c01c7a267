//! The planner against a simulated cluster.

mod away;
mod blockers;
mod drift;
mod goldens;
mod ha;
mod properties;
mod removal;
pub(crate) mod world;
