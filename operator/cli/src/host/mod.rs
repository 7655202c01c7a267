//! `kubectl pvecm host ...`

pub mod absence;
pub mod enrol;
