//! The stand-in as a whole: alone, and with other members over real corosync in namespaces. Needs root, FUSE and corosync.

#![expect(
    clippy::unwrap_used,
    reason = "the functions of the lab belong to the tests: what they cannot do fails the test"
)]

mod cluster;
mod lab;
mod local;
