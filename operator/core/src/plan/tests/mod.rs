//! The planner against a simulated cluster.

mod away;
mod blockers;
pub(crate) mod datacenter;
pub(crate) mod device;
mod drift;
mod goldens;
mod ha;
mod properties;
mod recovery;
mod removal;
mod separation;
pub(crate) mod transport;
pub(crate) mod world;
