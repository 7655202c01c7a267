//! The nodes as corosync 3 takes them out of its cmap, and the links that they make.
//!
//! Owns the way from `nodelist.node.N.*` to nodes and links. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::stored::{Entry, Stored};

/// The number of links that corosync has room for.
pub(in super::super) const LINKS: u32 = 8;

/// What the file says about one node.
#[derive(Debug, Default)]
pub(in super::super) struct Node<'a> {
    /// Its place in the nodelist, from 0.
    pub(in super::super) place: u32,
    /// The line that opens it.
    pub(in super::super) line: Option<usize>,
    pub(in super::super) id: Option<Entry<'a>>,
    pub(in super::super) name: Option<Entry<'a>>,
    pub(in super::super) votes: Option<Entry<'a>>,
    /// The addresses, each with its link as corosync scans it.
    pub(in super::super) addresses: Vec<(u32, Entry<'a>)>,
}

impl Node<'_> {
    pub(in super::super) fn votes(&self) -> i128 {
        self.votes.and_then(|votes| votes.number).unwrap_or(1)
    }

    /// How a person knows it: by its name, else by its place.
    pub(in super::super) fn called(&self) -> String {
        match &self.name {
            Some(name) => format!("node {}", super::quoted(name.text)),
            None => format!("the {}. node", self.place + 1),
        }
    }
}

/// All nodes with what they have in common.
#[derive(Debug)]
pub(in super::super) struct Nodes<'a> {
    /// In the order of their places.
    pub(in super::super) all: Vec<Node<'a>>,
    /// Whether corosync looks at the list at all: it does when the first node has a name or a
    /// `ring0_addr` (`exec/totemconfig.c:totem_config_read`).
    pub(in super::super) is_looked_at: bool,
}

impl<'a> Nodes<'a> {
    pub(in super::super) fn read(stored: &Stored<'a>) -> Self {
        let mut nodes: BTreeMap<u32, Node<'a>> = BTreeMap::new();
        for (rest, entry) in stored.below("nodelist.node.") {
            let Some((place, key)) = rest.split_once('.') else { continue };
            let Ok(place) = place.parse() else { continue };
            if key.is_empty() {
                continue;
            }
            let line = stored.node_line(place);
            let node =
                nodes.entry(place).or_insert_with(|| Node { place, line, ..Node::default() });
            take(node, key, *entry);
        }
        let first = ["nodelist.node.0.name", "nodelist.node.0.ring0_addr"];
        let is_looked_at = first.into_iter().any(|name| stored.text(name).is_some());
        Self { all: nodes.into_values().collect(), is_looked_at }
    }

    /// The links that nodes have addresses on, with the number of addresses.
    pub(in super::super) fn links(&self) -> BTreeMap<u32, usize> {
        let mut links = BTreeMap::new();
        for (link, _) in self.all.iter().flat_map(|node| &node.addresses) {
            *links.entry(*link).or_default() += 1;
        }
        links
    }

    pub(in super::super) fn votes(&self) -> i128 {
        self.all.iter().map(Node::votes).sum()
    }
}

fn take<'a>(node: &mut Node<'a>, key: &str, entry: Entry<'a>) {
    match key {
        "nodeid" => node.id = Some(entry),
        "name" => node.name = Some(entry),
        "quorum_votes" => node.votes = Some(entry),
        _ => node.addresses.extend(address_link(key).map(|link| (link, entry))),
    }
}

/// The link in `ringN_addr` as `sscanf` with `%u` reads it: a sign and leading zeros are taken,
/// too large a number wraps around.
pub(in super::super) fn address_link(key: &str) -> Option<u32> {
    let number = key.strip_prefix("ring")?.strip_suffix("_addr")?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(u64::MAX);
    let wrapped = if negative { magnitude.wrapping_neg() } else { magnitude };
    u32::try_from(wrapped & u64::from(u32::MAX)).ok()
}

/// An address as `getaddrinfo` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// To be resolved on the host; what comes out is not in the text.
    Name,
    /// Neither an address nor a possible name.
    Impossible,
}

impl Host {
    pub(in super::super) fn read(text: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(text) else { return Self::Impossible };
        if let Some(address) = historic_v4(text) {
            return Self::V4(address);
        }
        match text.parse() {
            Ok(IpAddr::V4(address)) => Self::V4(address),
            Ok(IpAddr::V6(address)) => Self::V6(address),
            Err(_) if is_name(text) => Self::Name,
            Err(_) => Self::Impossible,
        }
    }

    /// What is left of it under `totem.ip_version`; `None`: corosync cannot parse it.
    pub(in super::super) fn under(self, version: IpVersion) -> Option<Self> {
        match (self, version) {
            (Self::V4(_), IpVersion::Only6) | (Self::Impossible, _) => None,
            (Self::V6(address), IpVersion::Only4) => address.to_ipv4_mapped().map(Self::V4),
            (Self::V4(_) | Self::V6(_) | Self::Name, _) => Some(self),
        }
    }

    pub(in super::super) fn is_v6(self) -> bool {
        matches!(self, Self::V6(_))
    }
}

/// What `totem.ip_version` allows. Which family is preferred matters for names alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum IpVersion {
    Only4,
    Only6,
    Both,
}

/// Letters, digits, dots, dashes and underscores, and an interface behind `%`.
fn is_name(text: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let name = text.split_once('%').map_or(text, |(name, _)| name);
    !name.is_empty()
        && (name.bytes().all(taken) || (name != text && name.parse::<Ipv6Addr>().is_ok()))
}

/// The forms of `inet_aton`: 1 to 4 parts, decimal, octal or hexadecimal, the last one filling
/// what is left.
fn historic_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(historic_part).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - first.len());
    if room < 32 && u64::from(*last) >= 1 << room {
        return None;
    }
    let high = first.iter().enumerate().fold(0, |all, (at, part)| all | part << (24 - 8 * at));
    Some(Ipv4Addr::from(high | last))
}

fn historic_part(part: &str) -> Option<u32> {
    if !part.bytes().next()?.is_ascii_digit() {
        return None;
    }
    match (part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")), part.strip_prefix('0')) {
        (Some(hexadecimal), _) => u32::from_str_radix(hexadecimal, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        (None, _) => part.parse().ok(),
    }
}

/// The links that some `totem.interface` entry configures, as corosync scans their names; with
/// udp only those with a `bindnetaddr` (`exec/totemconfig.c:get_interface_params`).
pub(in super::super) fn interface_links(stored: &Stored<'_>, is_udp: bool) -> BTreeSet<u32> {
    let link = |(rest, _): (&str, &Entry<'_>)| {
        let (link, key) = rest.split_once('.')?;
        let counts = !link.is_empty() && !key.is_empty() && (!is_udp || key == "bindnetaddr");
        counts.then(|| atoi(link))
    };
    stored.below("totem.interface.").filter_map(link).collect()
}

/// C's `atoi`, taken as unsigned: digits as far as they go, 0 without any.
fn atoi(text: &str) -> u32 {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = rest[..digits].parse().unwrap_or(0);
    if negative { number.wrapping_neg() } else { number }
}
