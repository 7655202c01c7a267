//! The planner against a simulated cluster.

mod blockers;
mod drift;
mod goldens;
mod ha;
mod properties;
pub(crate) mod world;
