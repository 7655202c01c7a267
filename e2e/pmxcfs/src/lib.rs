//! A stand-in for Proxmox's pmxcfs, for the lab only. It is not Proxmox's pmxcfs and shares no code with it.

pub mod confsync;
pub mod tree;
