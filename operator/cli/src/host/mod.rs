//! `kubectl pvecm host ...` and `kubectl pvecm hosts`

pub mod absence;
pub mod enrol;
pub mod list;
pub mod replace;
