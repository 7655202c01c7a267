//! What matters of a machine when it is to become a member, beside what it has of clusters and guests.

pub mod advice;
mod class;
mod firewall;
mod names;
mod path;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use class::{LinkClass, LinkWatch, Pings};
pub use firewall::Passage;
pub use names::{StrayName, stray_names};
pub use path::{Large, Limits, Measured, RoundTrips};

/// What a machine says of itself. What nobody has told stands in no one's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitness {
    /// Version of corosync's package.
    pub corosync_version: Option<String>,
    /// Version of pve-cluster's package.
    pub pmxcfs_version: Option<String>,
    /// What the machine's own name resolves to on it; empty: to nothing.
    pub name_addresses: Option<BTreeSet<IpAddr>>,
    /// The names of other nodes that lead it elsewhere than to them.
    pub stray_names: Vec<StrayName>,
    /// By how many whole seconds its clock is ahead of what most of the hosts have.
    pub clock_ahead_secs: Option<i64>,
}

/// pmxcfs settles by modification times which of two copies of a file is newer (pve.md 3.4): where clocks
/// differ by more than this, an old one may win.
pub const CLOCKS_DIFFER_SECS: u64 = 5;

/// A package of which two hosts have versions that do not work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// `corosync`
    Corosync,
    /// `pve-cluster`
    PveCluster,
}

impl Fitness {
    /// The own name leads to no address by which others reach the machine: pmxcfs ends at its start then
    /// (pve.md 1.1).
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        let told = self.name_addresses.as_ref();
        told.is_some_and(|told| told.iter().all(IpAddr::is_loopback))
    }

    /// What keeps this machine and another one from sharing a cluster: corosync 2 and 3 do not understand
    /// each other, and of Proxmox VE a release works with the next one at most, for an upgrade (pve.md G03).
    #[must_use]
    pub fn unlike(&self, other: &Self) -> Option<Package> {
        let both = |version: fn(&Self) -> Option<&str>| {
            Some((major(version(self)?)?, major(version(other)?)?))
        };
        let corosync = both(|of| of.corosync_version.as_deref());
        let pmxcfs = both(|of| of.pmxcfs_version.as_deref());
        if corosync.is_some_and(|(one, other)| one != other) {
            return Some(Package::Corosync);
        }
        pmxcfs.is_some_and(|(one, other)| one.abs_diff(other) > 1).then_some(Package::PveCluster)
    }

    /// Whether two members have corosyncs of different upstream versions: corosync does not support a reload then,
    /// small differences included (pve.md 2.6).
    #[must_use]
    pub fn reloads_apart_from(&self, other: &Self) -> bool {
        let both = self.corosync_version.as_deref().zip(other.corosync_version.as_deref());
        both.is_some_and(|(one, other)| upstream(one) != upstream(other))
    }

    /// Whether the clocks of two machines differ by too much.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        let both = self.clock_ahead_secs.zip(other.clock_ahead_secs);
        both.is_some_and(|(one, other)| one.abs_diff(other) > CLOCKS_DIFFER_SECS)
    }
}

/// The first number of a Debian version, behind its epoch.
fn major(version: &str) -> Option<u32> {
    upstream(version).split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A Debian version without its epoch and the packaging's own revision.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_epoch, rest)| rest);
    version.rsplit_once('-').map_or(version, |(upstream, _revision)| upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(corosync: &str, pmxcfs: &str) -> Fitness {
        let told = |version: &str| Some(version.to_owned()).filter(|version| !version.is_empty());
        Fitness {
            corosync_version: told(corosync),
            pmxcfs_version: told(pmxcfs),
            ..Fitness::default()
        }
    }

    #[test]
    fn releases_share_a_cluster_with_the_next_one_at_most() {
        let pve8 = versions("3.1.7-pve3", "8.0.10");
        for (other, want) in [
            (versions("3.1.9-pve2", "9.0.6"), None),
            (versions("3.1.7-1+deb12u1", ""), None),
            (versions("", ""), None),
            (versions("what", "8"), None),
            (versions("3.0.2-pve2", "6.1-8"), Some(Package::PveCluster)),
            (versions("2.4.4-pve1", "5.0-38"), Some(Package::Corosync)),
            (versions("1:4.0.0", "8.1.0"), Some(Package::Corosync)),
        ] {
            assert_eq!(pve8.unlike(&other), want, "{other:?}");
            assert_eq!(other.unlike(&pve8), want, "{other:?}");
        }
    }

    #[test]
    fn a_reload_asks_for_one_version_whatever_its_packaging() {
        let own = versions("3.1.7-1+deb12u1", "");
        for (other, apart) in
            [("3.1.7-pve3", false), ("1:3.1.7-1", false), ("3.1.9-pve1", true), ("", false)]
        {
            assert_eq!(own.reloads_apart_from(&versions(other, "")), apart, "{other}");
        }
    }

    #[test]
    fn a_name_needs_one_address_that_others_reach() {
        let named = |addresses: &[&str]| {
            let told = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Fitness { name_addresses: Some(told), ..Fitness::default() }
        };
        assert!(named(&[]).is_nameless());
        assert!(named(&["127.0.1.1", "::1"]).is_nameless());
        assert!(!named(&["127.0.1.1", "10.0.0.1"]).is_nameless());
        assert!(!Fitness::default().is_nameless(), "nobody has told");
    }

    #[test]
    fn clocks_may_differ_by_five_seconds() {
        let ahead = |secs| Fitness { clock_ahead_secs: Some(secs), ..Fitness::default() };
        assert!(!ahead(3).is_apart_from(&ahead(-2)));
        assert!(ahead(4).is_apart_from(&ahead(-2)));
        assert!(!ahead(4).is_apart_from(&Fitness::default()));
    }
}
