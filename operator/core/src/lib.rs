//! Everything that decides: the models of a cluster, the planner, the guards and the protocol by
//! which hosts agree on a stage.
//!
//! Pure by rule: no I/O, no clock, no randomness, no runtime. The controller, the agent and the
//! plugin read the world, hand it in as plain values, and carry out what comes back.
//!
//! Where to read next: [`desired`] (what the user wants), [`observed`] (what the hosts report),
//! [`fitness`] (what makes a machine a member), [`leaving`] (who is to go), [`separation`] (who goes on alone),
//! [`references`] (what still names it), [`gate`] (may a host that was off start corosync), [`conf`]
//! (corosync.conf), [`datacenter`] (datacenter.cfg), [`ha`] (high availability), [`change`]
//! (a plan and its stages), [`plan`](mod@plan) (how one is made), [`drift`] (what somebody changed
//! beside the operator), [`adopt`](mod@adopt) (a cluster that exists
//! already), [`guard`](mod@guard) (how one is proven), [`approval`]
//! (whether it may begin), [`gate`](mod@gate) (whether a booted host may start), [`whatif`] (what a failure leads to), [`explain`] (what each reason means), [`protocol`] (how hosts agree on a
//! stage).

pub mod adopt;
pub mod approval;
pub mod change;
pub mod conf;
pub mod datacenter;
pub mod desired;
pub mod device;
pub mod drift;
pub mod explain;
pub mod fitness;
pub mod gate;
pub mod guard;
pub mod ha;
pub mod ids;
pub mod leaving;
pub mod observed;
pub mod plan;
pub mod protocol;
pub mod quorum;
pub mod references;
pub mod separation;
mod text;
pub mod whatif;
