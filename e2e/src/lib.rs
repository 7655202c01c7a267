//! The lab: a real Kubernetes control plane and hosts that boot a real systemd, for demos and
//! end-to-end scenarios.
//!
//! One lab is one [`supervisor`] process in process, mount and network namespaces of its own;
//! everything else (hosts, etcd, API server, operator) is its child. When it dies, by whatever
//! hand, the kernel takes processes, mounts and networks away; only cgroup directories and the
//! state directory remain, and both carry the lab's name ([`state`]).
//!
//! Start reading at [`lab::Lab`], which scenarios use. This crate never uses an address of the
//! machine's own network, but for the API server that a kubeconfig names when it is told to
//! ([`relay`]).

pub mod agents;
pub mod binaries;
pub mod cache;
pub mod chart;
pub mod command;
pub mod controlplane;
pub mod etcd;
pub mod ha;
pub mod hosts;
pub mod image;
pub mod lab;
pub mod network;
pub mod operator;
pub mod promtool;
pub mod record;
pub mod relay;
pub mod state;
pub mod supervisor;
pub mod trust;
pub mod wait;

pub use hosts::Host;
pub use lab::{Lab, Level, Lifetime, Options};
pub use wait::wait_until;
