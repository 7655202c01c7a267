//! A stand-in for Proxmox's pmxcfs, for the lab only. It is not Proxmox's pmxcfs and shares no code with it.
//!
//! `tree`, `status`, `merge`, `wire` and `confsync` hold the rules; `cfs` is the one shared value behind the mount and `cluster`
//! its life in a process group; `mount`, `store` and `group` are the edges to the kernel, the disk and corosync; `daemon` starts
//! and stops the process.

#![expect(missing_docs, reason = "a program for the lab: what it serves is documented with pmxcfs")]

pub mod cfs;
pub mod cluster;
pub mod confsync;
pub mod daemon;
pub mod group;
mod inodes;
pub mod merge;
pub mod mount;
pub mod status;
pub mod store;
pub mod tree;
pub mod wire;
