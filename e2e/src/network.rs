//! The lab's networks: four bridges without any way out, and one cable per host and network.
//!
//! Host number `i` has 10.49.0.i on its management NIC and 10.50.0.i, 10.51.0.i, 10.52.0.i on
//! the three cluster networks. The NICs live in a network namespace per host that outlives the
//! host's power, so address and cable stay, as with a real machine.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::command;
use crate::supervisor::Supervisor;

/// The address of the control plane on the management network.
pub const CONTROL_ADDRESS: &str = "10.49.0.254";

/// One of a host's four networks; named like the NIC on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// Management: the way to the API server.
    Mgmt,
    /// First cluster network, 10.50.0.0/24.
    Net0,
    /// Second cluster network, 10.51.0.0/24.
    Net1,
    /// Third cluster network, 10.52.0.0/24.
    Net2,
}

impl Network {
    /// All networks, in the order of their subnets.
    pub const ALL: [Self; 4] = [Self::Mgmt, Self::Net0, Self::Net1, Self::Net2];

    /// The NIC's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mgmt => "mgmt",
            Self::Net0 => "net0",
            Self::Net1 => "net1",
            Self::Net2 => "net2",
        }
    }

    /// The address of the host with this number.
    #[must_use]
    pub fn address(self, number: u8) -> String {
        let second = match self {
            Self::Mgmt => 49,
            Self::Net0 => 50,
            Self::Net1 => 51,
            Self::Net2 => 52,
        };
        format!("10.{second}.0.{number}")
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|network| network.name() == name);
        found.ok_or_else(|| format!("`{name}` is no network: mgmt, net0, net1 or net2"))
    }
}

/// Makes the bridges; only the management bridge has an address, that of the control plane.
pub fn create_bridges(supervisor: &Supervisor) -> Result<()> {
    let bridge = |network| {
        // Without snooping no bridge holds back a packet that it has not learned about yet.
        format!("link add br-{network} type bridge mcast_snooping 0\nlink set br-{network} up\n")
    };
    let bridges = Network::ALL.map(bridge).concat();
    let batch = format!("link set lo up\n{bridges}addr add {CONTROL_ADDRESS}/24 dev br-mgmt\n");
    ip_batch(supervisor, &[], &batch).context("could not make the lab's bridges")
}

/// Makes a host's network namespace with its four NICs.
pub fn create_nics(supervisor: &Supervisor, host: &str, number: u8) -> Result<()> {
    let cable = |network| {
        format!(
            "link add {host}-{network} type veth peer name {network} netns {host}\n\
             link set {host}-{network} master br-{network}\nlink set {host}-{network} up\n"
        )
    };
    let nic = |network: Network| {
        let address = network.address(number);
        format!("addr add {address}/24 dev {network}\nlink set {network} up\n")
    };
    let outside = format!("netns add {host}\n{}", Network::ALL.map(cable).concat());
    let inside = format!("link set lo up\n{}", Network::ALL.map(nic).concat());
    ip_batch(supervisor, &[], &outside)
        .and_then(|()| ip_batch(supervisor, &["-n", host], &inside))
        .with_context(|| format!("could not make the NICs of {host}"))
}

/// Pulls a host's cable out (`up` = false) or puts it back: the host sees its carrier go.
pub fn set_cable(supervisor: &Supervisor, host: &str, network: Network, up: bool) -> Result<()> {
    let state = if up { "up" } else { "down" };
    ip_batch(supervisor, &[], &format!("link set {host}-{network} {state}\n"))
        .with_context(|| format!("could not set the cable of {host} to {network} {state}"))
}

/// Sets the MTU of the switch's end of a host's cable.
pub fn set_switch_mtu(
    supervisor: &Supervisor,
    host: &str,
    network: Network,
    bytes: u32,
) -> Result<()> {
    ip_batch(supervisor, &[], &format!("link set {host}-{network} mtu {bytes}\n"))
        .with_context(|| format!("could not set the MTU of the switch for {host} on {network}"))
}

/// Whether a host's cable is in.
pub fn has_cable(supervisor: &Supervisor, host: &str, network: Network) -> Result<bool> {
    let cable = format!("{host}-{network}");
    let said = command::run(supervisor.enter("ip").args(["-o", "link", "show", "dev", &cable]))?;
    Ok(said.split(['<', '>']).nth(1).is_some_and(|flags| flags.split(',').any(|f| f == "UP")))
}

fn ip_batch(supervisor: &Supervisor, options: &[&str], batch: &str) -> Result<()> {
    let mut ip = supervisor.enter("ip");
    ip.args(options).args(["-batch", "-"]);
    command::run_with_input(&mut ip, batch.as_bytes()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_number_in_every_network() {
        let addresses: Vec<_> = Network::ALL.iter().map(|n| n.address(3)).collect();
        assert_eq!(addresses, ["10.49.0.3", "10.50.0.3", "10.51.0.3", "10.52.0.3"]);
    }

    #[test]
    fn an_unknown_network_is_refused_with_the_names_of_the_known_ones() {
        assert_eq!("net2".parse(), Ok(Network::Net2));
        let refusal = "net3".parse::<Network>().unwrap_err();
        assert_eq!(refusal, "`net3` is no network: mgmt, net0, net1 or net2");
    }
}
