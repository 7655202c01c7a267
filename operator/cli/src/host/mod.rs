//! `kubectl pvecm host ...`

pub mod absence;
pub mod enrol;
pub mod replace;
