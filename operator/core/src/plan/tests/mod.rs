//! The planner against a simulated cluster.

mod blockers;
mod drift;
mod goldens;
mod properties;
pub(crate) mod world;
