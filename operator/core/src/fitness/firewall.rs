//! Where echo requests pass and corosync's own packets do not: what has to be let through, in words.

use std::fmt;

use ipnet::IpNet;

/// The ports of eight links, as Proxmox VE's own rules have them.
const USUAL: std::ops::RangeInclusive<u16> = 5405..=5412;

/// The way of one link to one other node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The UDP port of the link.
    pub port: u16,
    /// This host's address.
    pub own: String,
    /// The other node's.
    pub other: String,
    /// The network in which the own address is, as far as it is known.
    pub network: Option<IpNet>,
}

impl Passage {
    /// The rule of Proxmox VE's firewall that lets it through.
    #[must_use]
    pub fn rule(&self) -> String {
        let Self { port, other, network, .. } = self;
        let ports = if USUAL.contains(port) {
            format!("{}:{}", USUAL.start(), USUAL.end())
        } else {
            port.to_string()
        };
        let source = network.map_or_else(|| other.clone(), |network| network.trunc().to_string());
        format!("IN ACCEPT -p udp -dport {ports} -source {source}")
    }

    /// Why a node that answers to echo requests is not connected. Whether it is a member tells whether corosync runs
    /// there at all.
    #[must_use]
    pub fn blocked(&self, name: &str, is_member: bool) -> String {
        let other = &self.other;
        let or = if is_member { "" } else { "corosync does not run there, or " };
        format!(
            "{name} answers echo requests at {other}, and corosync hears nothing from there: {or}{self}"
        )
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, own, other, .. } = self;
        write!(
            f,
            "UDP port {port} does not pass between {own} and {other}; where Proxmox VE's firewall is on, add the rule \
             `{}` on both hosts",
            self.rule()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_names_the_ports_and_the_network_that_is_let_in() {
        let mut way = Passage {
            port: 5406,
            own: "10.1.0.1".to_owned(),
            other: "10.1.0.3".to_owned(),
            network: Some("10.1.0.1/24".parse().unwrap()),
        };
        let needs = "UDP port 5406 does not pass between 10.1.0.1 and 10.1.0.3; where Proxmox VE's firewall is on, add \
                     the rule `IN ACCEPT -p udp -dport 5405:5412 -source 10.1.0.0/24` on both hosts";
        let answers =
            "n3 answers echo requests at 10.1.0.3, and corosync hears nothing from there:";
        assert_eq!(way.blocked("n3", true), format!("{answers} {needs}"));
        let or = "corosync does not run there, or";
        assert_eq!(way.blocked("n3", false), format!("{answers} {or} {needs}"));
        (way.port, way.network) = (6000, None);
        assert_eq!(way.rule(), "IN ACCEPT -p udp -dport 6000 -source 10.1.0.3");
    }
}
