//! Changes of a document: each touches only the lines that it must and refuses what is not there
//! or is there already.
//!
//! Every function takes a document and returns a new one. Edits of nodes and links first read the
//! document as a [`Config`]: what is not understood is not edited. None of them raises the
//! version; that is [`bump`] or [`set_version`], once per text.

mod device;
mod links;
mod transport;

pub use device::{remove_device, set_device};
pub use links::{add_link, remove_link, set_addresses, set_link_options, set_priority};
pub use transport::set_transport;

use super::config::{Config, Node};
use super::convert::ConvertError;
use super::document::{Document, SectionPath, SectionView};
use super::form::{NodeEntry, address_key};
use super::logging::{self, LoggingOptions};
use super::options::TotemOptions;
use super::owners::{taken, twice};
use super::patch::Patch;
use super::values::{ConfError, bad_value, check_writable, plain_number};
use crate::ids::{ConfigVersion, LinkNumber, NodeId};

/// Why an edit was refused. The document is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The document is not understood, or would not be after the edit.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// There is no section at this path.
    #[error("there is no section `{0}`")]
    NoSection(SectionPath),
    /// The section has no such key.
    #[error("section `{0}` has no key `{1}`")]
    NoKey(SectionPath, String),
    /// Not a name that corosync can store.
    #[error("`{0}` is no key: letters, digits, `.`, `_`, `/` and `-` make one")]
    BadKey(String),
    /// No node has this id.
    #[error("there is no node {0}")]
    NoNode(NodeId),
    /// A node has this id or name already.
    #[error("there is already a node {id} named {name}")]
    NodeExists {
        /// The id of the node in the file.
        id: NodeId,
        /// Its name.
        name: String,
    },
    /// A nodelist without nodes is taken by a reload and loses the cluster (corosync.md 5.1).
    #[error("node {0} is the only one")]
    LastNode(NodeId),
    /// Not a text that knet could take.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// No node has an address on this link.
    #[error("there is no link {0}")]
    NoLink(LinkNumber),
    /// The nodes have addresses on this link already, or an interface section speaks of it.
    #[error("there is already a link {0}")]
    LinkExists(LinkNumber),
    /// Without any link every node is alone (corosync.md 5.1).
    #[error("link {0} is the only one")]
    LastLink(LinkNumber),
    /// The link has no `knet_link_priority` that could be taken away.
    #[error("link {0} has no priority set")]
    NoPriority(LinkNumber),
    /// corosync refuses a file where nodes differ in their links (corosync.md 5.2).
    #[error("node {node} is given no address on link {link}")]
    AddressMissing {
        /// The node.
        node: NodeId,
        /// The link.
        link: LinkNumber,
    },
    /// corosync accepts such a file and isolates one of the two nodes (corosync.md 9.1).
    #[error("address {address} is already used by node {node}")]
    AddressInUse {
        /// The address.
        address: String,
        /// Who has it.
        node: NodeId,
    },
}

/// Sets `totem.config_version`. Refused when the key is missing, or when pmxcfs would take
/// another number for it (a comment that names `config_version` comes first, pve.md 3.3).
pub fn set_version(document: &Document, version: ConfigVersion) -> Result<Document, EditError> {
    let totem = top(document, "totem")?;
    let place = totem.place(VERSION).ok_or_else(no_version)?;
    let mut splices = Patch::of(document);
    splices.replace_value(place, &version.to_string());
    let edited = applied(splices)?;
    check_agreed(&edited, version)?;
    Ok(edited)
}

/// Raises `totem.config_version` by one. Refused as [`set_version`] is, where pmxcfs compares another
/// number before, and where what stands there is not a plain number or has no successor.
pub fn bump(document: &Document) -> Result<Document, EditError> {
    let value = top(document, "totem")?.value(VERSION).ok_or_else(no_version)?;
    let bad = || bad_value(VERSION, value, "a plain number of 64 bits, to be raised");
    let version = plain_number(value.bytes).ok_or_else(bad)?;
    let next = version.checked_add(1).ok_or_else(bad)?;
    // Else the next number may be the one that pmxcfs has compared all along: the file would look
    // right afterwards, and pmxcfs would not spread it.
    check_agreed(document, ConfigVersion(version))?;
    set_version(document, ConfigVersion(next))
}

/// The key of the version.
const VERSION: &str = "config_version";

fn no_version() -> EditError {
    EditError::NoKey(SectionPath::top("totem"), VERSION.to_owned())
}

/// Refuses a text of this `totem.config_version` where pmxcfs compares another number.
fn check_agreed(document: &Document, version: ConfigVersion) -> Result<(), EditError> {
    if document.version() == Some(version) {
        return Ok(());
    }
    let pmxcfs = super::first_version_for_pmxcfs(document.as_bytes());
    let pmxcfs = pmxcfs.map_or_else(|| "nothing".to_owned(), |other| other.to_string());
    Err(ConfError::VersionsDisagree { corosync: version, pmxcfs }.into())
}

/// Sets a key in the section at a path: the value of the last line that has it, else a new line
/// behind the section's last key.
pub fn set(
    document: &Document,
    path: &SectionPath,
    key: &str,
    value: &str,
) -> Result<Document, EditError> {
    check_key(key)?;
    check_writable(key, value).map_err(EditError::from)?;
    let view = section(document, path)?;
    let mut splices = Patch::of(document);
    match view.place(key) {
        Some(place) => splices.replace_value(place, value),
        None => splices.insert_keys(&view, &[(key, value)]),
    }
    applied(splices)
}

/// Takes a key out of the section at a path, with every line that has it.
pub fn unset(document: &Document, path: &SectionPath, key: &str) -> Result<Document, EditError> {
    let view = section(document, path)?;
    let mut splices = Patch::of(document);
    if remove_key(&mut splices, &view, key) {
        return applied(splices);
    }
    Err(EditError::NoKey(path.clone(), key.to_owned()))
}

/// Adds a section with these keys inside the section at a path, behind its namesakes.
pub fn append_section(
    document: &Document,
    path: &SectionPath,
    name: &str,
    keys: &[(&str, &str)],
) -> Result<Document, EditError> {
    check_key(name)?;
    for (key, value) in keys {
        check_key(key)?;
        check_writable(key, value).map_err(EditError::from)?;
    }
    let mut splices = Patch::of(document);
    splices.append_sections(&section(document, path)?, name, &[keys.to_vec()]);
    applied(splices)
}

/// Takes the section at a path out, with everything inside.
pub fn remove_section(document: &Document, path: &SectionPath) -> Result<Document, EditError> {
    let view = section(document, path)?;
    let mut splices = Patch::of(document);
    splices.remove_section(&view);
    applied(splices)
}

/// Sets the votes of a node.
pub fn set_votes(document: &Document, id: NodeId, votes: u32) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    let (_, view) = node_view(document, &config, id)?;
    let mut splices = Patch::of(document);
    let value = votes.to_string();
    let pairs = [("quorum_votes", value.as_str())];
    match (view.place("quorum_votes"), view.place("nodeid")) {
        (Some(place), _) => splices.replace_value(place, &value),
        (None, Some(id)) => splices.insert_behind(id, &pairs),
        (None, None) => splices.insert_keys(&view, &pairs),
    }
    applied(splices)
}

/// Sets the keys of `totem` that the options name.
pub fn set_totem(document: &Document, options: &TotemOptions) -> Result<Document, EditError> {
    let totem = SectionPath::top("totem");
    options.pairs().into_iter().try_fold(document.clone(), |text, (key, value)| match value {
        Some(value) => set(&text, &totem, key, &value),
        None if text.value(&totem, key).is_some() => unset(&text, &totem, key),
        None => Ok(text),
    })
}

/// Sets the keys of `logging` that the options name, in a section of its own where there is none. Of two
/// sections corosync makes one and Proxmox VE refuses the file: there is nothing to edit then.
pub fn set_logging(document: &Document, options: &LoggingOptions) -> Result<Document, EditError> {
    let pairs = options.pairs();
    let mut sections = document.root().sections(logging::SECTION);
    let (first, second) = (sections.next(), sections.next());
    if let Some(second) = second {
        let (line, section) = (second.line(), logging::SECTION.to_owned());
        return Err(ConfError::RepeatedSection { line, section }.into());
    }
    if first.is_none() && !pairs.is_empty() {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        return append_section(document, &SectionPath::root(), logging::SECTION, &pairs);
    }
    let section = SectionPath::top(logging::SECTION);
    pairs.iter().try_fold(document.clone(), |text, (key, value)| set(&text, &section, key, value))
}

/// A text with the votes of another one of the same nodes.
pub fn with_votes(document: &Document, like: &Config) -> Result<Document, EditError> {
    let now = Config::borrow(document)?;
    let moved = like
        .nodes
        .iter()
        .filter(|node| now.node(node.id).is_some_and(|before| before.votes() != node.votes()));
    moved
        .into_iter()
        .try_fold(document.clone(), |text, node| set_votes(&text, node.id, node.votes()))
}

/// Sets `totem.token` so that this timeout is in force, in milliseconds, whatever the number of
/// nodes adds to it: with link 0 that addition comes and goes (corosync.md 6.2). Where the addition
/// alone exceeds it, there is no such token and the document stays as it is.
pub fn hold_token(document: &Document, millis: u32) -> Result<Document, EditError> {
    /// The shortest that corosync takes (pve.md 2.5).
    const SHORTEST_MILLIS: u32 = 30;
    let config = Config::borrow(document)?;
    let base = millis.saturating_sub(config.token_growth_millis());
    if config.token_in_force_millis() == millis || base < SHORTEST_MILLIS {
        return Ok(document.clone());
    }
    set_totem(document, &TotemOptions { token_millis: Some(base), ..TotemOptions::default() })
}

/// Adds a node behind the last one. It needs an address on every link, and on no other.
pub fn add_node(document: &Document, entry: &NodeEntry) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    let same = |node: &&Node<_>| node.id == entry.id || node.name == entry.name;
    if let Some(Node { id, name, .. }) = config.nodes.iter().find(same) {
        return Err(EditError::NodeExists { id: *id, name: name.to_string() });
    }
    let links = config.links();
    if let Some(link) = links.iter().find(|link| !entry.addresses.contains_key(link)) {
        return Err(EditError::AddressMissing { node: entry.id, link: *link });
    }
    for (link, address) in &entry.addresses {
        if !links.contains(link) {
            return Err(EditError::NoLink(*link));
        }
        check_writable(address_key(*link), address).map_err(EditError::from)?;
    }
    check_free(&config, entry.addresses.values().map(|address| (address.as_str(), entry.id)))?;
    if let Some(address) = twice(entry.addresses.values().map(String::as_str)) {
        return Err(EditError::AddressInUse { address: address.to_owned(), node: entry.id });
    }
    let mut splices = Patch::of(document);
    splices.append_sections(&top(document, "nodelist")?, "node", &[entry.pairs()]);
    applied(splices)
}

/// Takes a node out. The last one stays.
pub fn remove_node(document: &Document, id: NodeId) -> Result<Document, EditError> {
    let config = Config::borrow(document)?;
    let (_, view) = node_view(document, &config, id)?;
    if config.nodes.len() == 1 {
        return Err(EditError::LastNode(id));
    }
    let mut splices = Patch::of(document);
    splices.remove_section(&view);
    applied(splices)
}

/// Makes the splices. A line that corosync would refuse (too long) never leaves this module.
fn applied(splices: Patch<'_>) -> Result<Document, EditError> {
    let edited = splices.apply();
    check_readable(&edited)?;
    Ok(edited)
}

/// The section at a path, in a document that corosync can read.
fn section<'a>(document: &'a Document, path: &SectionPath) -> Result<SectionView<'a>, EditError> {
    check_readable(document)?;
    document.section(path).ok_or_else(|| EditError::NoSection(path.clone()))
}

/// The same for the first top-level section of this name.
fn top<'a>(document: &'a Document, name: &str) -> Result<SectionView<'a>, EditError> {
    check_readable(document)?;
    document.top(name).ok_or_else(|| EditError::NoSection(SectionPath::top(name)))
}

/// Refuses a document that corosync cannot read: where braces do not balance, nobody knows what
/// belongs to what.
fn check_readable(document: &Document) -> Result<(), EditError> {
    match document.problems().first() {
        Some(problem) => Err(ConfError::from(problem.clone()).into()),
        None => Ok(()),
    }
}

/// The nodes with their sections; both are in file order.
fn node_views<'c, 'd>(
    document: &'d Document,
    config: &'c Config<&'d str>,
) -> Result<Vec<(&'c Node<&'d str>, SectionView<'d>)>, EditError> {
    let nodelist = top(document, "nodelist")?;
    Ok(config.nodes.iter().zip(nodelist.sections("node")).collect())
}

fn node_view<'c, 'd>(
    document: &'d Document,
    config: &'c Config<&'d str>,
    id: NodeId,
) -> Result<(&'c Node<&'d str>, SectionView<'d>), EditError> {
    let mut views = node_views(document, config)?.into_iter();
    views.find(|(node, _)| node.id == id).ok_or(EditError::NoNode(id))
}

/// Takes every line of a key out; whether there was one.
fn remove_key(splices: &mut Patch<'_>, view: &SectionView<'_>, key: &str) -> bool {
    let bytes = view.document().as_bytes();
    let mut found = false;
    for place in view.places() {
        if place.is_named(key.as_bytes(), bytes) {
            splices.remove(place);
            found = true;
        }
    }
    found
}

fn check_key(key: &str) -> Result<(), EditError> {
    let stored = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    if !key.is_empty() && key.chars().all(stored) {
        return Ok(());
    }
    Err(EditError::BadKey(key.to_owned()))
}

/// Refuses new addresses that a node has already, or that two of them share.
fn check_free<'a>(
    config: &Config<&'a str>,
    new: impl Iterator<Item = (&'a str, NodeId)>,
) -> Result<(), EditError> {
    match taken(config, new) {
        Some((address, node)) => Err(EditError::AddressInUse { address: address.to_owned(), node }),
        None => Ok(()),
    }
}
