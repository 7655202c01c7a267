//! `kubectl pvecm host ...`

pub mod enrol;
