//! The changes as they stand on the command line, in their order.

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use ipnet::IpNet;
use pvecm_core::conf::SectionPath;
use pvecm_core::ids::{LinkNumber, NodeId, NodeName};

/// The changes, one after the other.
#[derive(Debug)]
pub struct Steps(pub(super) Vec<Step>);

/// One change.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Set(Setting),
    Unset(Key),
    AddLink(NewLink),
    RemoveLink(LinkNumber),
    Priority(Priority),
    AddNode(NewNode),
    RemoveNode(NodeName),
}

/// A key and the section that it is in.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub path: SectionPath,
    pub name: String,
}

/// A key with its new value.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub key: Key,
    pub value: String,
}

/// A link and where the nodes are on it.
#[derive(Debug, Clone)]
pub(super) struct NewLink {
    pub number: LinkNumber,
    pub network: Option<IpNet>,
    pub addresses: Vec<Address>,
}

/// Where one node is on a link.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub node: NodeName,
    pub address: String,
}

/// A link's priority; `None`: corosync's default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priority {
    pub link: LinkNumber,
    pub value: Option<u8>,
}

/// A node to be added.
#[derive(Debug, Clone)]
pub(super) struct NewNode {
    pub name: NodeName,
    pub id: Option<NodeId>,
    pub votes: u32,
    pub addresses: Vec<(LinkNumber, String)>,
}

/// The flags, for clap to check and explain; [`Steps`] puts their values in order.
#[derive(Debug, Args)]
#[command(next_help_heading = "Changes, made in the order in which they are typed")]
struct Flags {
    /// Set a key: the sections and the key with dots, `totem.interface[1].mcastport=5500` for one in
    /// the second section of that name.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// Take a key out.
    #[arg(long, value_name = "KEY", value_parser = key)]
    unset: Vec<Key>,
    /// Add a link; `--network` or `--address` behind it says where the nodes are on it.
    #[arg(long, value_name = "N", value_parser = link)]
    add_link: Vec<LinkNumber>,
    /// The network of the added link. Each node without an `--address` gets the network's bits with the
    /// host part of its address on the lowest link, and the command says which; where those addresses
    /// are not in one network of the same size, it refuses.
    #[arg(long, value_name = "CIDR")]
    network: Vec<IpNet>,
    /// A node's address on the added link; repeatable, or with commas.
    #[arg(long, value_name = "NODE=ADDRESS", value_delimiter = ',', value_parser = address)]
    address: Vec<Address>,
    /// Remove a link: every node's address on it and its interface section.
    #[arg(long, value_name = "N", value_parser = link)]
    remove_link: Vec<LinkNumber>,
    /// Set a link's priority, 0 to 255, of which the higher is preferred; `N=default` takes it away.
    #[arg(long, value_name = "N=PRIORITY", value_parser = priority)]
    priority: Vec<Priority>,
    /// Add a node: `name=n4,nodeid=4,votes=1,link0=10.0.0.4`, with an address for every link. Without
    /// `nodeid` it gets the lowest free one, without `votes` one vote.
    #[arg(long, value_name = "NODE", value_parser = new_node)]
    add_node: Vec<NewNode>,
    /// Remove a node.
    #[arg(long, value_name = "NAME")]
    remove_node: Vec<NodeName>,
}

/// A value of a flag.
enum Word {
    Step(Step),
    Network(IpNet),
    Address(Address),
}

impl Args for Steps {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Steps {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let new_link = |number| NewLink { number, network: None, addresses: Vec::new() };
        let mut words = Vec::new();
        let step = |step: Step| Word::Step(step);
        words.extend(typed(matches, "set", |setting| step(Step::Set(setting))));
        words.extend(typed(matches, "unset", |key| step(Step::Unset(key))));
        words.extend(typed(matches, "add_link", |link| step(Step::AddLink(new_link(link)))));
        words.extend(typed(matches, "network", Word::Network));
        words.extend(typed(matches, "address", Word::Address));
        words.extend(typed(matches, "remove_link", |link| step(Step::RemoveLink(link))));
        words.extend(typed(matches, "priority", |priority| step(Step::Priority(priority))));
        words.extend(typed(matches, "add_node", |node| step(Step::AddNode(node))));
        words.extend(typed(matches, "remove_node", |node| step(Step::RemoveNode(node))));
        words.sort_by_key(|(at, _)| *at);
        let mut steps = Vec::new();
        for (_, word) in words {
            take(&mut steps, word)?;
        }
        Ok(Self(steps))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The values of a flag with their places on the command line.
fn typed<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    flag: &str,
    word: impl Fn(T) -> Word,
) -> Vec<(usize, Word)> {
    let places = matches.indices_of(flag).into_iter().flatten();
    let values = matches.get_many::<T>(flag).into_iter().flatten().cloned();
    places.zip(values.map(word)).collect()
}

/// Adds a word to the steps: a step of its own, or something about the link before it.
fn take(steps: &mut Vec<Step>, word: Word) -> Result<(), Error> {
    let link = steps.iter_mut().rev().find_map(|step| match step {
        Step::AddLink(link) => Some(link),
        Step::Set(_)
        | Step::Unset(_)
        | Step::RemoveLink(_)
        | Step::Priority(_)
        | Step::AddNode(_)
        | Step::RemoveNode(_) => None,
    });
    match (word, link) {
        (Word::Step(step), _) => steps.push(step),
        (Word::Network(network), Some(link)) if link.network.is_none() => {
            link.network = Some(network);
        }
        (Word::Address(address), Some(link)) => link.addresses.push(address),
        (Word::Network(_), Some(link)) => {
            return Err(misplaced(&format!("link {} is given two networks", link.number)));
        }
        (Word::Network(_) | Word::Address(_), None) => {
            return Err(misplaced("`--network` and `--address` belong behind an `--add-link`"));
        }
    }
    Ok(())
}

fn misplaced(why: &str) -> Error {
    Error::raw(ErrorKind::ArgumentConflict, format!("{why}\n"))
}

fn link(text: &str) -> Result<LinkNumber, String> {
    let number: u32 = text.parse().map_err(|_| format!("`{text}` is no link: 0 to 7 are"))?;
    LinkNumber::try_from(number).map_err(|error| error.to_string())
}

/// `totem.interface[1].mcastport`: sections, each with its place among its namesakes, and the key.
fn key(text: &str) -> Result<Key, String> {
    let missing = || format!("`{text}` names no section and key, such as `totem.token`");
    let (sections, name) = text.rsplit_once('.').ok_or_else(missing)?;
    let mut path = SectionPath::root();
    for section in sections.split('.') {
        let (section, nth) = match section.strip_suffix(']').and_then(|it| it.split_once('[')) {
            Some((section, nth)) => {
                let nth = nth.parse().map_err(|_| format!("`[{nth}]` is no place: 0 is the first"));
                (section, nth?)
            }
            None => (section, 0),
        };
        if section.is_empty() {
            return Err(missing());
        }
        path = path.child(section, nth);
    }
    if name.is_empty() {
        return Err(missing());
    }
    if path == SectionPath::top("totem") && name == "config_version" {
        return Err("every edit raises config_version by one, and nothing else sets it".to_owned());
    }
    Ok(Key { path, name: name.to_owned() })
}

fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = pair(text, "`totem.token=5000`")?;
    Ok(Setting { key: key(name)?, value: value.to_owned() })
}

fn address(text: &str) -> Result<Address, String> {
    let (node, address) = pair(text, "`n1=10.0.0.1`")?;
    let node = node.parse().map_err(|error: pvecm_core::ids::IdError| error.to_string())?;
    Ok(Address { node, address: address.to_owned() })
}

fn priority(text: &str) -> Result<Priority, String> {
    let (number, value) = pair(text, "`1=20`")?;
    let value = match value {
        "default" => None,
        number => Some(
            number
                .parse()
                .map_err(|_| format!("`{number}` is no priority: 0 to 255 are, and `default`"))?,
        ),
    };
    Ok(Priority { link: link(number)?, value })
}

fn new_node(text: &str) -> Result<NewNode, String> {
    let wrong = |error: pvecm_core::ids::IdError| error.to_string();
    let number = |key: &str, value: &str| {
        value.parse::<u32>().map_err(|_| format!("{key} is `{value}`, but takes a number"))
    };
    let (mut name, mut id, mut votes, mut addresses) = (None, None, 1, Vec::new());
    for part in text.split(',') {
        let (key, value) = pair(part, "`name=n4,nodeid=4,votes=1,link0=10.0.0.4`")?;
        match key {
            "name" => name = Some(value.parse().map_err(wrong)?),
            "nodeid" => id = Some(NodeId::try_from(number(key, value)?).map_err(wrong)?),
            "votes" => votes = number(key, value)?,
            other => {
                let unknown = || format!("a node has name, nodeid, votes and linkN, not `{other}`");
                let number = other.strip_prefix("link").ok_or_else(unknown)?;
                addresses.push((link(number)?, value.to_owned()));
            }
        }
    }
    let name = name.ok_or("a new node needs `name=...`")?;
    Ok(NewNode { name, id, votes, addresses })
}

fn pair<'a>(text: &'a str, example: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`, as in {example}"))
}
