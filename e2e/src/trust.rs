//! The trust between root on the nodes of a cluster, as Proxmox VE sets it up: on its own at installation,
//! with the others at `pvecm create`, `add` and `updatecerts` (facts/pve.md 1.3, 1.7).

use anyhow::Result;

use crate::hosts::Host;

/// What the installer does: host keys of its own, and a key for root.
const OWN: &str = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh; \
    mkdir -p -m 0700 /root/.ssh; test -e /root/.ssh/id_rsa || \
    ssh-keygen -q -t rsa -N '' -C \"root@$(hostname)\" -f /root/.ssh/id_rsa";

/// Root's key and the host's own into the cluster's files, and root's keys from there.
const TOLD: &str = "mkdir -p /etc/pve/priv /etc/pve/nodes/$(hostname); \
    cat /root/.ssh/id_rsa.pub >>/etc/pve/priv/authorized_keys; \
    ln -sf /etc/pve/priv/authorized_keys /root/.ssh/authorized_keys; \
    echo \"$(hostname) $(cut -d' ' -f1,2 /etc/ssh/ssh_host_rsa_key.pub)\" \
    >/etc/pve/nodes/$(hostname)/ssh_known_hosts";

/// Has members of a quorate cluster trust each other, one after the other as they would come.
pub fn exchange(hosts: &[Host<'_>]) -> Result<()> {
    for host in hosts {
        host.sh(OWN)?;
        host.sh(TOLD)?;
    }
    Ok(())
}
