//! A stand-in for Proxmox's pmxcfs, for the lab only. It is not Proxmox's pmxcfs and shares no code with it.
//!
//! `tree`, `status` and `confsync` hold the rules; `cfs` is the one shared value behind the mount; `mount` and `store` are the
//! edges to the kernel and to the disk; `daemon` starts and stops the process.

pub mod cfs;
pub mod confsync;
pub mod daemon;
mod inodes;
pub mod mount;
pub mod status;
pub mod store;
pub mod tree;
