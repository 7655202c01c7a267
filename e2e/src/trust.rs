//! Keys as Proxmox VE's installer makes them: each machine has host keys of its own, and root on it a key. All
//! hosts of a lab come from one root otherwise, and could not be told apart.

use anyhow::Result;

use crate::hosts::Host;

const OWN: &str = "rm -f /etc/ssh/ssh_host_* /root/.ssh/id_rsa*; ssh-keygen -A >/dev/null; systemctl restart ssh; \
    ssh-keygen -q -t rsa -N '' -C \"root@$(hostname)\" -f /root/.ssh/id_rsa";

/// Gives each of these hosts keys of its own.
pub fn as_installed(hosts: &[Host<'_>]) -> Result<()> {
    hosts.iter().try_for_each(|host| host.sh(OWN).map(drop))
}
