//! What the machine says of itself, read from the kernel and from files; no process is started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;
use nix::time::{ClockId, clock_gettime};

use super::resolver::Resolver;
use crate::ports::{BootTime, CardAddress, Clock, Machine, Workers};

/// This machine.
#[derive(Debug, Default)]
pub struct RealMachine {
    resolver: Resolver,
}

impl Machine for RealMachine {
    fn addresses(&self) -> Vec<CardAddress> {
        let Ok(found) = getifaddrs() else { return Vec::new() };
        let mut addresses: Vec<_> = found.filter_map(|entry| card_address(&entry)).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    fn hostname(&self) -> String {
        hostname()
    }

    fn resolved(&self, others: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<IpAddr>> {
        self.resolver.resolved(others.iter().cloned().chain([hostname()]).collect())
    }

    fn machine_id(&self) -> Option<String> {
        Some(fs::read_to_string("/etc/machine-id").ok()?.trim().to_owned())
    }

    fn package_version(&self, package: &str) -> Option<String> {
        let status = fs::read_to_string("/var/lib/dpkg/status").ok()?;
        let wanted = format!("Package: {package}");
        let entry = status.split("\n\n").find(|entry| entry.lines().any(|line| line == wanted))?;
        entry.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
    }
}

/// This machine's name up to the first dot.
#[must_use]
pub fn hostname() -> String {
    let full = nix::unistd::gethostname().unwrap_or_default();
    let full = full.to_string_lossy();
    full.split('.').next().unwrap_or_default().to_owned()
}

fn card_address(entry: &InterfaceAddress) -> Option<CardAddress> {
    let address = ip(entry.address.as_ref()?)?;
    let useless = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    if useless {
        return None;
    }
    let prefix = match ip(entry.netmask.as_ref()?)? {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    let interface = entry.interface_name.clone();
    Some(CardAddress { interface, cidr: format!("{address}/{prefix}") })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}

/// The kernel's clock since boot, which goes on while the machine sleeps.
#[derive(Debug, Clone)]
pub struct RealClock {
    boot_id: String,
}

impl RealClock {
    /// Reads the boot id once: it cannot change while this process lives.
    pub fn new() -> std::io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self { boot_id })
    }
}

impl Clock for RealClock {
    fn now(&self) -> BootTime {
        // CLOCK_BOOTTIME exists on every kernel that can run this program, so 0 is never seen.
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        let millis = since_boot.map_or(0, |time| time.as_millis());
        BootTime {
            boot_id: self.boot_id.clone(),
            millis: u64::try_from(millis).unwrap_or(u64::MAX),
        }
    }

    fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn sleep_ms(&self, millis: u64) -> BoxFuture<'_, ()> {
        async move { std::thread::sleep(Duration::from_millis(millis)) }.boxed()
    }
}

/// A thread for each job: it may wait for /etc/pve or systemd, and the loop may not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Threads;

impl Workers for Threads {
    fn spawn(&self, job: BoxFuture<'static, ()>) {
        std::thread::spawn(move || futures::executor::block_on(job));
    }
}
