//! What the API server refuses by itself, without looking at a host.
//!
//! An address that two nodes share is missing here: comparing them pairwise is over the cost that
//! the API server allows for an object of full size, so [`crate::convert::desired`] refuses it.

use kube::core::cel::Rule;

/// The name of the `PveHost` of node `$n`.
macro_rules! host_of {
    ($n:literal) => {
        concat!("(has(", $n, ".hostRef) ? ", $n, ".hostRef.name : ", $n, ".name.lowerAscii())")
    };
}

/// Renaming a running cluster is impossible: corosync keeps the name and certificates carry it.
/// The rule is about the effective name, so setting a name that was left out is seen as well.
pub(super) fn name_stays() -> Rule {
    Rule::new(
        "(has(self.spec.clusterName) ? self.spec.clusterName : self.metadata.name) == \
         (has(oldSelf.spec.clusterName) ? oldSelf.spec.clusterName : oldSelf.metadata.name)",
    )
    .message("the cluster's name (`spec.clusterName`, else `metadata.name`) is immutable")
}

/// Without `clusterName` the object's own name is used, and that may be longer or have dots.
pub(super) fn own_name_fits() -> Rule {
    Rule::new(
        "has(self.spec.clusterName) || \
         (self.metadata.name.size() <= 15 && !self.metadata.name.contains('.'))",
    )
    .message(
        "`spec.clusterName` is needed where `metadata.name` has dots or more than 15 characters",
    )
}

/// Two nodes with one id would push each other out of the membership.
pub(super) fn node_ids_differ() -> Rule {
    Rule::new(
        "self.nodes.all(n, !has(n.nodeId) || \
         self.nodes.exists_one(m, has(m.nodeId) && m.nodeId == n.nodeId))",
    )
    .message("every `nodeId` must be given to one node only")
}

/// One machine cannot be two nodes.
pub(super) fn hosts_differ() -> Rule {
    Rule::new(concat!(
        "self.nodes.all(n, self.nodes.exists_one(m, ",
        host_of!("m"),
        " == ",
        host_of!("n"),
        "))"
    ))
    .message("every node needs a `PveHost` of its own: `hostRef`, else its name in lower case")
}

/// A node's address on a link that nobody else has would never connect.
pub(super) fn addresses_have_links() -> Rule {
    Rule::new(
        "!has(self.links) || self.links.size() == 0 || self.nodes.all(n, !has(n.addresses) || \
         n.addresses.all(a, self.links.exists(l, l.number == a.link)))",
    )
    .message("`addresses` must name links that stand in `links`")
}

/// corosync refuses a file in which the nodes have different numbers of links.
pub(super) fn links_have_addresses() -> Rule {
    Rule::new(
        "!has(self.links) || self.links.all(l, has(l.network) || self.nodes.all(n, \
         has(n.addresses) && n.addresses.exists(a, a.link == l.number)))",
    )
    .message("a link without `network` needs an address in every node's `addresses`")
}

/// corosync refuses more than one link on its old transports.
pub(super) fn old_transports_have_one_link() -> Rule {
    Rule::new(
        "!has(self.totem) || !has(self.totem.transport) || self.totem.transport == 'Knet' || \
         ((!has(self.links) || self.links.size() <= 1) && \
         self.nodes.all(n, !has(n.addresses) || n.addresses.size() <= 1))",
    )
    .message("the transports Udp and Udpu have one link only")
}

/// corosync refuses a link priority on its old transports.
pub(super) fn old_transports_have_no_priority() -> Rule {
    Rule::new(
        "!has(self.totem) || !has(self.totem.transport) || self.totem.transport == 'Knet' || \
         !has(self.links) || self.links.all(l, !has(l.priority))",
    )
    .message("`priority` needs the transport Knet")
}

/// A witness inside the cluster would fail together with it.
pub(super) fn witness_is_no_member() -> Rule {
    Rule::new(concat!(
        "!has(self.quorum) || !has(self.quorum.device) || !has(self.quorum.device.hostRef) || ",
        "self.nodes.all(n, ",
        host_of!("n"),
        " != self.quorum.device.hostRef.name)"
    ))
    .message("`quorum.device.hostRef` must not be one of the `nodes`")
}

/// The way of a link's network: corosync compares nothing here, a typing error stays unseen.
pub(super) fn is_network() -> Rule {
    Rule::new("isCIDR(self) && cidr(self) == cidr(self).masked()")
        .message("must be a network in CIDR form without host bits, such as 10.0.0.0/24")
}

/// Proxmox VE takes host bits in a migration network, so an adopted one may have them; no mask of less than 8
/// bits.
pub(super) fn is_transfer_network() -> Rule {
    Rule::new("self == 'None' || (isCIDR(self) && cidr(self).prefixLength() >= 8)").message(
        "must be None, or a network in CIDR form with a mask of 8 bits at least, such as 10.0.0.0/24",
    )
}

/// `Default` means no line in datacenter.cfg, and then there is no place for a network.
pub(super) fn transfer_network_has_type() -> Rule {
    Rule::new("!has(self.network) || self.type != 'Default'")
        .message("`network` needs `type` Secure or Insecure")
}

/// Who listens reads what is in the memory of guests, so nobody says this by the way.
pub(super) fn in_the_clear_is_accepted() -> Rule {
    Rule::new("self.type != 'Insecure' || has(self.unencryptedTraffic)").message(
        "`type` Insecure sends the memory of guests through the network as it is, with the passwords and keys in \
         it: it needs `unencryptedTraffic: Accepted`",
    )
}

/// corosync refuses a cipher without a hash, and a hash alone is asked for by mistake.
pub(super) fn cipher_and_hash() -> Rule {
    Rule::new("(self.cipher == 'None') == (self.hash == 'None')")
        .message("`cipher` and `hash` must both be None or both be given")
}

/// corosync refuses to encrypt on its old transports.
pub(super) fn crypto_needs_knet() -> Rule {
    Rule::new(
        "!has(self.transport) || self.transport == 'Knet' || !has(self.crypto) || \
         self.crypto.cipher == 'None'",
    )
    .message("`crypto` needs the transport Knet")
}

/// A key that was replaced is gone on every host: there is no way back to it.
pub(super) fn key_generation_ascends() -> Rule {
    Rule::new(
        "(has(self.totem) && has(self.totem.keyGeneration) ? self.totem.keyGeneration : 0) >= \
         (has(oldSelf.totem) && has(oldSelf.totem.keyGeneration) ? oldSelf.totem.keyGeneration : 0)",
    )
    .message("`totem.keyGeneration` must not go down, nor be left out once it was more than 0")
}

/// The union of `type` Managed.
pub(super) fn managed_device() -> Rule {
    Rule::new("(self.type == 'Managed') == has(self.hostRef)")
        .message("`hostRef` must be given with `type` Managed and with no other")
}

/// The union of `type` External.
pub(super) fn external_device() -> Rule {
    Rule::new(
        "(self.type == 'External') == has(self.certificatesSecretRef) && \
         (self.type != 'External' || has(self.address))",
    )
    .message(
        "`address` and `certificatesSecretRef` must be given with `type` External, the latter with no other",
    )
}

/// No device is nowhere.
pub(super) fn address_has_device() -> Rule {
    Rule::new("self.type != 'None' || !has(self.address)")
        .message("`address` needs `type` Managed or External")
}

/// No device has no certificates.
pub(super) fn certificates_have_device() -> Rule {
    Rule::new("self.type != 'None' || !has(self.certificateGeneration)")
        .message("`certificateGeneration` needs `type` Managed or External")
}

/// No device has no algorithm.
pub(super) fn algorithm_has_device() -> Rule {
    Rule::new("self.type != 'None' || !has(self.algorithm)")
        .message("`algorithm` needs `type` Managed or External")
}
