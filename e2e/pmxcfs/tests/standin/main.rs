//! The stand-in as a whole: alone, and with other members over real corosync in namespaces. Needs root, FUSE and corosync.

mod cluster;
mod lab;
mod local;
