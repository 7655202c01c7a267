//! The real operator and real agents on simulated hosts, network, pmxcfs and API server: one thread,
//! one clock that only moves while everybody waits, and one seed that decides the rest.
//!
//! Owns what is around the production code, and the rules that it is held against. Never a copy of
//! that code: operator and agents are the crates themselves. Where to read next: [`story`] (how a seed goes), [`world`]
//! (what is simulated), [`ports`] and [`api`] (where production code plugs in), [`checks`] (the rules),
//! [`wish`] (what users want), [`faults`], [`absence`] (machines that are off),
//! [`separation`] (who goes on alone) and [`gate`] (before they start again).

pub mod absence;
pub mod agent;
pub mod agreement;
pub mod alone;
pub mod api;
pub mod checks;
pub mod dice;
pub mod end;
pub mod faults;
pub mod gate;
pub mod gone;
pub mod operator;
pub mod person;
pub mod ports;
pub mod reload;
pub mod separation;
pub mod setup;
pub mod stages;
pub mod story;
pub mod trace;
pub mod votes;
pub mod wish;
pub mod world;
