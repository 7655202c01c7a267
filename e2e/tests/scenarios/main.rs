//! End-to-end scenarios on the lab: a real API server, hosts that boot a real systemd, Debian's own
//! corosync. One module per capability.

mod absence;
mod adoption;
mod approval;
mod away;
mod cold_start;
mod drift;
mod fitness;
mod foreign;
mod formation;
mod gate;
mod gitops;
mod ha;
mod install;
mod interruptions;
mod keys;
mod lab;
mod links;
mod membership;
mod migration;
mod moves;
mod outage;
mod qdevice;
mod recovery;
mod refusals;
mod reloads;
mod removal;
mod rest;
mod restarts;
mod rules;
mod separation;
mod support;
mod totem;
mod transport;
mod undo;
mod whatif;
