//! The typed view of a file that corosync 3 runs.
//!
//! Owns the meaning of the keys that the operator manages. Never guesses: what it does not
//! understand is an error that names the line.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, SectionView, Value};
use super::effective::{PONG_COUNT, TOKEN_MILLIS, default_port, pings_millis, token_growth_millis};
use super::logging::LoggingOptions;
use super::old_transports::{is_knet, refuse_other_transports, refuse_what_knet_has};
use super::options::{Crypto, IpVersion, LinkMode, LinkOptions, TotemOptions, Transport};
use super::values::{
    ConfError, bad_value, first_version_for_pmxcfs, from_text, plain, plain_number, text,
};
use crate::ids::{ClusterName, ConfigVersion, LinkNumber, NodeId, NodeName};

/// What a corosync.conf says, as far as the operator manages it.
///
/// `A` is what addresses are kept in: an edit, which is done with them before the document goes away,
/// borrows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config<A = String> {
    /// `totem.cluster_name`.
    pub cluster_name: ClusterName,
    /// `totem.config_version`.
    pub version: ConfigVersion,
    /// The keys of `totem` that a running cluster takes.
    pub totem: TotemOptions,
    /// `totem.secauth` is `on` and nothing else: corosync takes any other value for off.
    pub secauth: bool,
    /// `totem` has a `key`, or a `keyfile` of its own: /etc/corosync/authkey is not read.
    pub key_elsewhere: bool,
    /// The `interface` sections of `totem`, by link.
    pub interfaces: BTreeMap<LinkNumber, Interface>,
    /// The nodes in file order, which is cmap's numbering. Never empty.
    pub nodes: Vec<Node<A>>,
    /// The `quorum` section.
    pub quorum: Quorum,
    /// The managed keys of `logging`.
    pub logging: LoggingOptions,
}

/// One `totem.interface` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// The line that opens it, counted from 1.
    pub line: usize,
    /// What it sets.
    pub options: LinkOptions,
}

/// One `nodelist.node` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<A = String> {
    /// The line that opens it, counted from 1.
    pub line: usize,
    /// `name`: the machine's host name. corosync needs it on more than one link; Proxmox VE always.
    pub name: NodeName,
    /// `nodeid`, 1 to 65535 with knet.
    pub id: NodeId,
    /// `quorum_votes` as written; see [`Node::votes`].
    pub quorum_votes: Option<u32>,
    /// `ringN_addr`, as written: an address or a host name. Every node has the same links.
    pub addresses: BTreeMap<LinkNumber, A>,
}

impl<A> Node<A> {
    /// The node's votes: 1 where the file says nothing.
    #[must_use]
    pub fn votes(&self) -> u32 {
        self.quorum_votes.unwrap_or(1)
    }
}

/// The `quorum` section. Its provider is `corosync_votequorum`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    /// `expected_votes`: overrides the sum of the nodelist (pve.md 2.5).
    pub expected_votes: Option<u32>,
    /// `two_node`: implies `wait_for_all`.
    pub two_node: bool,
    /// The `device` section.
    pub device: Option<QuorumDevice>,
}

/// The `quorum.device` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumDevice {
    /// `model`; `net` is the only one in use.
    pub model: String,
    /// `votes`; `None`: the sum of the nodelist minus 1, which kills an ffsplit set-up
    /// (corosync.md 1 item 7).
    pub votes: Option<u32>,
    /// `net.host`: where QNetd is reached.
    pub host: Option<String>,
    /// `net.algorithm`.
    pub algorithm: Option<String>,
    /// `net.tls`.
    pub tls: Option<String>,
}

impl QuorumDevice {
    /// Its votes beside so many of the nodes: written, or what corosync makes of none.
    #[must_use]
    pub fn votes_of(&self, of_nodes: u64) -> u64 {
        self.votes.map_or_else(|| of_nodes.saturating_sub(1), u64::from)
    }

    /// Its keys with their values, those of `net` behind its name, as the file and cmap call them below
    /// `quorum.device`.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { model, votes, host, algorithm, tls } = self;
        let net = [("net.host", host), ("net.algorithm", algorithm), ("net.tls", tls)];
        let net = net.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        let votes = votes.map(|votes| ("votes", votes.to_string()));
        [("model", model.clone())].into_iter().chain(votes).chain(net).collect()
    }
}

impl Config {
    /// Reads a document. The first thing that is not understood is the error.
    pub fn read(document: &Document) -> Result<Self, ConfError> {
        Self::read_as(document)
    }
}

impl<'d> Config<&'d str> {
    /// The same, with what the document has, for an edit of nodes or links: on the transports that have one
    /// link and no table of links nobody could prove it.
    pub(super) fn borrow(document: &'d Document) -> Result<Self, ConfError> {
        let config = Self::read_as(document)?;
        refuse_other_transports(&single(document, "totem")?)?;
        Ok(config)
    }
}

impl<'d, A: From<&'d str>> Config<A> {
    fn read_as(document: &'d Document) -> Result<Self, ConfError> {
        if let Some(problem) = document.problems().first() {
            return Err(problem.clone().into());
        }
        let totem = single(document, "totem")?;
        check_format(&totem)?;
        let version = read_version(document, &totem)?;
        let config = Self {
            cluster_name: cluster_name(&totem)?,
            version,
            totem: TotemOptions::read(&totem)?,
            secauth: totem.value("secauth").is_some_and(|value| value.bytes == b"on"),
            key_elsewhere: has_key_elsewhere(&totem),
            interfaces: read_interfaces(&totem)?,
            nodes: read_nodes(&single(document, "nodelist")?)?,
            quorum: read_quorum(&single(document, "quorum")?)?,
            logging: LoggingOptions::read(document),
        };
        refuse_what_knet_has(&config, &totem)?;
        Ok(config)
    }
}

impl<A> Config<A> {
    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node<A>> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// What is set for a link.
    #[must_use]
    pub fn link_options(&self, link: LinkNumber) -> LinkOptions {
        self.interfaces.get(&link).map(|interface| interface.options).unwrap_or_default()
    }

    /// The interval and the timeout of a link's pings in milliseconds: as written, else made of the
    /// token timeout (pve.md 2.5).
    #[must_use]
    pub fn pings_millis(&self, link: LinkNumber) -> (u32, u32) {
        let options = self.link_options(link);
        let pongs = options.pong_count.filter(|count| *count > 0).unwrap_or(PONG_COUNT);
        let (interval, timeout) = pings_millis(self.token_in_force_millis(), pongs);
        let interval = options.ping_interval_millis.unwrap_or(interval);
        (interval, options.ping_timeout_millis.unwrap_or(timeout))
    }

    /// The UDP port of a link: 5405 and its number where the file says nothing (pve.md 2.5).
    #[must_use]
    pub fn port(&self, link: LinkNumber) -> u16 {
        self.link_options(link).port.unwrap_or(default_port(link))
    }

    /// How traffic is encrypted and signed.
    #[must_use]
    pub fn crypto(&self) -> Crypto {
        Crypto::in_force(self.secauth, &self.totem)
    }

    /// The token timeout in force, in milliseconds.
    #[must_use]
    pub fn token_in_force_millis(&self) -> u32 {
        let base = self.totem.token_millis.unwrap_or(TOKEN_MILLIS);
        base.saturating_add(self.token_growth_millis())
    }

    /// What the number of nodes adds to the token timeout, in milliseconds. corosync counts the
    /// nodes by their `ring0_addr`: without link 0 nothing is added (corosync.md 6.2).
    #[must_use]
    pub fn token_growth_millis(&self) -> u32 {
        let counted =
            self.nodes.iter().filter(|node| node.addresses.contains_key(&LinkNumber::ZERO));
        token_growth_millis(self.totem.token_coefficient_millis, counted.count())
    }

    /// How the messages go, once the daemon is started with this text.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.totem.transport.unwrap_or(Transport::Knet)
    }

    /// Which addresses a host name is resolved to, once the daemon is started with this text.
    #[must_use]
    pub fn ip_version(&self) -> IpVersion {
        let default = match self.transport() {
            Transport::Knet | Transport::Udpu => IpVersion::Ipv6Then4,
            Transport::Udp => IpVersion::Ipv4,
        };
        self.totem.ip_version.unwrap_or(default)
    }

    /// How knet shares the traffic among links, once the daemon is started with this text.
    #[must_use]
    pub fn link_mode(&self) -> LinkMode {
        self.totem.link_mode.unwrap_or(LinkMode::Passive)
    }

    /// Whether the nodes have addresses on this link.
    #[must_use]
    pub fn has_link(&self, link: LinkNumber) -> bool {
        self.nodes.first().is_some_and(|node| node.addresses.contains_key(&link))
    }

    /// The links that the nodes have addresses on: every node has the same.
    #[must_use]
    pub fn links(&self) -> BTreeSet<LinkNumber> {
        self.nodes.first().into_iter().flat_map(|node| node.addresses.keys().copied()).collect()
    }
}

/// The one top-level section of this name.
pub(super) fn single<'a>(
    document: &'a Document,
    name: &'static str,
) -> Result<SectionView<'a>, ConfError> {
    only(&document.root(), name)?.ok_or(ConfError::NoSection(name))
}

/// The section of this name, refused when there are several.
fn only<'a>(parent: &SectionView<'a>, name: &str) -> Result<Option<SectionView<'a>>, ConfError> {
    let mut sections = parent.sections(name);
    let first = sections.next();
    match sections.next() {
        Some(second) => {
            Err(ConfError::RepeatedSection { line: second.line(), section: name.to_owned() })
        }
        None => Ok(first),
    }
}

pub(super) fn cluster_name(totem: &SectionView<'_>) -> Result<ClusterName, ConfError> {
    let expected = "a name of 1 to 15 letters, digits and inner dashes";
    totem.required("cluster_name", totem.parsed("cluster_name", expected, from_text))
}

fn has_key_elsewhere(totem: &SectionView<'_>) -> bool {
    let file = totem.value("keyfile").map(|value| value.bytes);
    file.is_some_and(|file| file != b"/etc/corosync/authkey") || totem.value("key").is_some()
}

pub(super) fn check_format(totem: &SectionView<'_>) -> Result<(), ConfError> {
    let is_two = |bytes: &[u8]| (bytes == b"2").then_some(());
    totem.required("version", totem.parsed("version", "2, the only one that exists", is_two))
}

pub(super) fn read_version(
    document: &Document,
    totem: &SectionView<'_>,
) -> Result<ConfigVersion, ConfError> {
    let number = totem.number("config_version");
    let corosync = ConfigVersion(totem.required("config_version", number)?);
    let pmxcfs = first_version_for_pmxcfs(document.as_bytes());
    if pmxcfs == Some(corosync) {
        return Ok(corosync);
    }
    let pmxcfs = pmxcfs.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    Err(ConfError::VersionsDisagree { corosync, pmxcfs })
}

fn read_interfaces(totem: &SectionView<'_>) -> Result<BTreeMap<LinkNumber, Interface>, ConfError> {
    let mut interfaces = BTreeMap::new();
    let is_knet = is_knet(totem);
    for section in totem.sections("interface") {
        let (link, interface) = read_interface(&section, is_knet)?;
        if interfaces.insert(link, interface).is_some() {
            let what = format!("linknumber {link}");
            return Err(ConfError::Twice { line: section.line(), what });
        }
    }
    Ok(interfaces)
}

/// With udp and udpu there is one link, so that a section as corosync 2 has it means the same.
pub(super) fn read_interface(
    section: &SectionView<'_>,
    is_knet: bool,
) -> Result<(LinkNumber, Interface), ConfError> {
    if is_knet {
        refuse_key(section, "ringnumber", "corosync 3 puts every such section on link 0")?;
    }
    refuse_key(section, "knet_transport", "knet is only managed over its default, udp")?;
    let number = |bytes: &[u8]| link_number(plain_number(bytes)?);
    let number = section.parsed("linknumber", "a link, 0 to 7", number);
    let number = number.map(|link| link.or_else(|| (!is_knet).then_some(LinkNumber::ZERO)));
    let link = section.required("linknumber", number)?;
    Ok((link, Interface { line: section.line(), options: LinkOptions::read(section)? }))
}

fn refuse_key(section: &SectionView<'_>, key: &str, why: &'static str) -> Result<(), ConfError> {
    let refused = |line| ConfError::NotUnderstood { line, what: key.to_owned(), why };
    section.value(key).map_or(Ok(()), |value| Err(refused(value.line)))
}

fn link_number(number: u64) -> Option<LinkNumber> {
    LinkNumber::try_from(u32::try_from(number).ok()?).ok()
}

pub(super) fn read_nodes<'d, A: From<&'d str>>(
    nodelist: &SectionView<'d>,
) -> Result<Vec<Node<A>>, ConfError> {
    let nodes: Vec<Node<A>> =
        nodelist.sections("node").map(|section| read_node(&section)).collect::<Result<_, _>>()?;
    if let Some(Node { line, id, .. }) = repeated(&nodes, |node| node.id) {
        return Err(ConfError::Twice { line: *line, what: format!("nodeid {id}") });
    }
    if let Some(Node { line, name, .. }) = repeated(&nodes, |node| node.name.as_str()) {
        return Err(ConfError::Twice { line: *line, what: format!("node {name}") });
    }
    if nodes.iter().all(|node| node.addresses.is_empty()) {
        return Err(ConfError::NoNodes);
    }
    match uneven(&nodes) {
        Some((Node { line, id, .. }, link)) => {
            Err(ConfError::UnevenLinks { line: *line, node: *id, link })
        }
        None => Ok(nodes),
    }
}

/// The first node without an address on a link that another one has, and that link.
fn uneven<A>(nodes: &[Node<A>]) -> Option<(&Node<A>, LinkNumber)> {
    let is_same = |pair: &[Node<A>]| pair[0].addresses.keys().eq(pair[1].addresses.keys());
    if nodes.windows(2).all(is_same) {
        return None;
    }
    let all: BTreeSet<_> = nodes.iter().flat_map(|node| node.addresses.keys().copied()).collect();
    let lacks =
        |node: &Node<A>| all.iter().copied().find(|link| !node.addresses.contains_key(link));
    nodes.iter().find_map(|node| Some((node, lacks(node)?)))
}

/// The first node with something that a node before it has as well.
fn repeated<'a, A, T: Ord>(
    nodes: &'a [Node<A>],
    of: impl Fn(&'a Node<A>) -> T,
) -> Option<&'a Node<A>> {
    let mut all: Vec<(T, usize)> = nodes.iter().map(of).zip(0..).collect();
    all.sort_unstable();
    let twice = all.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1);
    twice.min().map(|at| &nodes[at])
}

pub(super) fn read_node<'d, A: From<&'d str>>(
    section: &SectionView<'d>,
) -> Result<Node<A>, ConfError> {
    let (mut name, mut id, mut votes, mut addresses) = (None, None, None, BTreeMap::new());
    for (key, value) in section.keys() {
        match key {
            b"name" => name = Some(value),
            b"nodeid" => id = Some(value),
            b"quorum_votes" => votes = Some(value),
            _ => {
                if let Some((link, address)) = read_address(key, value)? {
                    addresses.insert(link, address.into());
                }
            }
        }
    }
    let of_knet =
        |bytes: &[u8]| NodeId::try_from(u32::from(u16::try_from(plain_number(bytes)?).ok()?)).ok();
    let name = name.map(|v| v.parsed("name", "a node name as Proxmox VE takes it", from_text));
    let id = id.map(|v| v.parsed("nodeid", "a number from 1 to 65535", of_knet));
    Ok(Node {
        line: section.line(),
        name: section.required("name", name.transpose())?,
        id: section.required("nodeid", id.transpose())?,
        quorum_votes: votes.map(|votes| votes.number("quorum_votes")).transpose()?,
        addresses,
    })
}

/// The link and the address, where a key of a node is one.
fn read_address<'d>(
    key: &[u8],
    value: Value<'d>,
) -> Result<Option<(LinkNumber, &'d str)>, ConfError> {
    let Some(kind) = key.strip_suffix(b"_addr") else { return Ok(None) };
    let not_understood =
        |why| Err(ConfError::NotUnderstood { line: value.line, what: text(key), why });
    if kind.starts_with(b"link") {
        // PVE matches (ring|link)N_addr, corosync only knows ringN_addr (pve.md 1.1).
        return not_understood("corosync ignores it, Proxmox VE takes it for an address");
    }
    let Some(number) = kind.strip_prefix(b"ring") else { return Ok(None) };
    let Some(link) = plain_number(number).and_then(link_number) else {
        return not_understood("corosync has links 0 to 7");
    };
    match plain(value.bytes) {
        Some(address) => Ok(Some((link, address))),
        None => Err(bad_value(&text(key), value, "an address or a host name")),
    }
}

pub(super) fn read_quorum(quorum: &SectionView<'_>) -> Result<Quorum, ConfError> {
    let expected = "corosync_votequorum, the only one that exists";
    let provider = |bytes: &[u8]| (bytes == b"corosync_votequorum").then_some(());
    quorum.required("provider", quorum.parsed("provider", expected, provider))?;
    let flag = |bytes: &[u8]| match bytes {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    };
    let device = only(quorum, "device")?;
    Ok(Quorum {
        expected_votes: quorum.number("expected_votes")?,
        two_node: quorum.parsed("two_node", "0 or 1", flag)?.unwrap_or(false),
        device: device.map(|device| read_device(&device)).transpose()?,
    })
}

fn read_device(device: &SectionView<'_>) -> Result<QuorumDevice, ConfError> {
    let model = device.text("model");
    let net = only(device, "net")?;
    let text = |key| net.as_ref().map(|net| net.text(key)).transpose().map(Option::flatten);
    Ok(QuorumDevice {
        model: device.required("model", model)?,
        votes: device.number("votes")?,
        host: text("host")?,
        algorithm: text("algorithm")?,
        tls: text("tls")?,
    })
}
