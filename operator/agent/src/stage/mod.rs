//! One stage on one host: which one ([`select`]), what must hold ([`probe`], [`reach`], [`away`]), what is done
//! ([`action`], [`datacenter`], [`leave`], [`separate`], [`leftovers`], [`recover`], [`refresh`], [`write`], [`keys`], [`device`]), and the run of the group's protocol ([`run`]).

pub mod action;
pub mod away;
pub mod datacenter;
pub mod device;
pub mod ha;
pub mod keys;
pub mod leave;
pub mod leftovers;
pub mod probe;
pub mod reach;
pub mod recover;
pub mod refresh;
pub mod run;
pub mod select;
pub mod separate;
pub mod write;

#[cfg(test)]
mod tests;

/// How a job of this host ended badly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// Nothing was changed.
    #[error("{0}")]
    NotBegun(String),
    /// Something was changed and put back.
    #[error("{0}")]
    PutBack(String),
    /// Something was changed and could not be put back.
    #[error("{0}")]
    Stuck(String),
}
