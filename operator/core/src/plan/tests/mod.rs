//! The planner against a simulated cluster.

mod blockers;
mod goldens;
mod properties;
pub(crate) mod world;
