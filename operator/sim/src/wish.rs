//! What the user wants, and how that walks: one random edit of the spec at a time. A new kind of edit
//! is one function and one line in [`KINDS`].

use std::collections::BTreeMap;

use pvecm_core::conf::{Config, token_growth_millis};
use pvecm_core::ids::LinkNumber;
use serde_json::{Value, json};

use crate::dice::Dice;

/// One wanted link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedLink {
    /// Its network: 10.0.N.0/24.
    pub network: u8,
    /// Its priority.
    pub priority: Option<u8>,
    /// Its port.
    pub port: Option<u16>,
}

/// The spec of the one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Hosts by place, and their votes where they are managed.
    pub nodes: BTreeMap<usize, Option<u32>>,
    /// Links by number.
    pub links: BTreeMap<u8, WantedLink>,
    /// Hosts that there are.
    pub hosts: usize,
    /// Networks that there are.
    pub networks: u8,
    /// The token timeout for two nodes, in milliseconds.
    pub token: Option<u32>,
    /// Cipher and hash, by their places in [`CRYPTO`].
    pub crypto: Option<usize>,
    /// The generation of the authkey.
    pub key: u32,
    /// How long the hosts wait for what must still come.
    pub confirm_timeout_secs: u32,
    /// With its object the cluster is to end.
    pub dissolves: bool,
}

/// One kind of edit; false: it does not fit.
pub type Edit = fn(&mut Wish, &mut Dice) -> bool;

/// The kind of edit after which a host joins.
pub const JOIN: &str = "let a host join";

/// The kind of edit after which a host leaves.
const LEAVE: &str = "let a host leave";

/// Every kind, with its weight.
pub const KINDS: [(&str, u64, Edit); 12] = [
    ("add a link", 4, add_link),
    ("remove a link", 3, remove_link),
    ("change a priority", 3, change_priority),
    ("change votes", 2, change_votes),
    (JOIN, 4, join),
    (LEAVE, 4, leave),
    ("change the timeout", 1, change_timeout),
    ("move a link", 4, move_link),
    ("change a port", 1, change_port),
    ("change the token", 2, change_token),
    ("change the encryption", 2, change_crypto),
    ("exchange the authkey", 3, exchange_key),
];

/// Cipher and hash as the spec and as the file call them.
pub const CRYPTO: [[&str; 4]; 3] = [
    ["AES256", "SHA256", "aes256", "sha256"],
    ["AES128", "SHA512", "aes128", "sha512"],
    ["AES192", "SHA384", "aes192", "sha384"],
];

impl Wish {
    /// One edit that fits; its kind.
    pub fn walk(&mut self, dice: &mut Dice) -> &'static str {
        loop {
            let mut at = dice.below(KINDS.iter().map(|(_, weight, _)| weight).sum());
            for (name, weight, edit) in KINDS {
                if at < weight {
                    if edit(self, dice) {
                        return name;
                    }
                    break;
                }
                at -= weight;
            }
        }
    }

    /// A host leaves, or one joins.
    pub fn turn(&mut self, dice: &mut Dice) -> &'static str {
        let leaves = self.nodes.len() == self.hosts || dice.chance(500);
        if leaves && leave(self, dice) || !leaves && join(self, dice) {
            return if leaves { LEAVE } else { JOIN };
        }
        self.walk(dice)
    }

    /// The spec as a person writes it.
    #[must_use]
    pub fn spec(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|(at, votes)| {
                let mut node = json!({"name": format!("n{}", at + 1)});
                if let Some(votes) = votes {
                    node["votes"] = json!(votes);
                }
                node
            })
            .collect();
        let links: Vec<Value> = self
            .links
            .iter()
            .map(|(number, link)| {
                let mut wanted =
                    json!({"number": number, "network": format!("10.0.{}.0/24", link.network)});
                if let Some(priority) = link.priority {
                    wanted["priority"] = json!(priority);
                }
                if let Some(port) = link.port {
                    wanted["port"] = json!(port);
                }
                wanted
            })
            .collect();
        let mut totem = json!({});
        if let Some(token) = self.token {
            totem["tokenMillis"] = json!(token);
        }
        if let Some([cipher, hash, ..]) = self.crypto.map(|at| CRYPTO[at]) {
            totem["crypto"] = json!({"cipher": cipher, "hash": hash});
        }
        if self.key > 0 {
            totem["keyGeneration"] = json!(self.key);
        }
        let policy = if self.dissolves { "Dissolve" } else { "Orphan" };
        json!({"nodes": nodes, "links": links, "totem": totem, "deletionPolicy": policy,
               "rollout": {"confirmTimeoutSeconds": self.confirm_timeout_secs,
                           "maxRisk": "NodeRestart"}})
    }

    /// Whether a text gives what is wanted; else what it does not.
    pub fn holds(&self, config: &Config) -> Result<(), String> {
        let names: Vec<String> = config.nodes.iter().map(|node| node.name.to_string()).collect();
        if names.len() != self.nodes.len() {
            return Err(format!("the list is {names:?}"));
        }
        for (at, votes) in &self.nodes {
            let name = format!("n{}", at + 1);
            let Some(node) = config.nodes.iter().find(|node| node.name.as_str() == name) else {
                return Err(format!("{name} is not in the list of {names:?}"));
            };
            // Nothing is taken from a node that is alone.
            let kept = |votes: u32| self.nodes.len() == 1 && node.votes() > votes;
            if votes.is_some_and(|votes| node.votes() != votes && !kept(votes)) {
                return Err(format!("{name} has {} votes, not {votes:?}", node.votes()));
            }
            for (number, link) in &self.links {
                let address = format!("10.0.{}.{}", link.network, at + 1);
                let found = node.addresses.iter().find(|(known, _)| known.get() == *number);
                if found.is_none_or(|(_, known)| *known != address) {
                    return Err(format!("{name} has no {address} on link {number}"));
                }
            }
        }
        let extra = config.links().into_iter().find(|link| !self.links.contains_key(&link.get()));
        if let Some(link) = extra {
            return Err(format!("link {link} is still there"));
        }
        self.options_hold(config)
    }

    fn options_hold(&self, config: &Config) -> Result<(), String> {
        for (number, link) in &self.links {
            let interface = config.interfaces.iter().find(|(known, _)| known.get() == *number);
            let options = interface.map(|(_, interface)| interface.options).unwrap_or_default();
            if link.priority.is_some() && options.priority != link.priority {
                return Err(format!(
                    "link {number} has priority {:?}, not {link:?}",
                    options.priority
                ));
            }
            let port = config
                .port(LinkNumber::try_from(u32::from(*number)).map_err(|why| why.to_string())?);
            if link.port.is_some_and(|wanted| wanted != port) {
                return Err(format!("link {number} has port {port}, not {link:?}"));
            }
        }
        self.totem_holds(config)
    }

    fn totem_holds(&self, config: &Config) -> Result<(), String> {
        // Without link 0 the file says the whole of it (facts/corosync.md 6.2).
        let coefficient = config.totem.token_coefficient_millis;
        let grown = |base| base + token_growth_millis(coefficient, config.nodes.len());
        let token = config.token_in_force_millis();
        if self.token.is_some_and(|base| grown(base) != token) {
            return Err(format!("token is {token}, not {:?} and its growth", self.token));
        }
        let found = config.crypto();
        let found = [found.cipher.to_string(), found.hash.to_string()];
        match self.crypto.map(|at| CRYPTO[at]) {
            Some([_, _, cipher, hash]) if found != [cipher, hash] => {
                Err(format!("encryption is {found:?}, not {cipher} {hash}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn add_link(wish: &mut Wish, dice: &mut Dice) -> bool {
    let used = |network: &u8| wish.links.values().any(|link| link.network == *network);
    let free: Vec<u8> = (0..wish.networks).filter(|network| !used(network)).collect();
    let numbers: Vec<u8> = (0..8).filter(|number| !wish.links.contains_key(number)).collect();
    let (Some(network), Some(number)) = (dice.pick(&free), dice.pick(&numbers)) else {
        return false;
    };
    let priority = dice.chance(400).then(|| 1 + u8::try_from(dice.below(9)).unwrap_or(0));
    wish.links.insert(*number, WantedLink { network: *network, priority, port: None });
    true
}

fn remove_link(wish: &mut Wish, dice: &mut Dice) -> bool {
    let numbers: Vec<u8> = wish.links.keys().copied().collect();
    if numbers.len() < 2 {
        return false;
    }
    dice.pick(&numbers).is_some_and(|number| wish.links.remove(number).is_some())
}

fn change_priority(wish: &mut Wish, dice: &mut Dice) -> bool {
    let numbers: Vec<u8> = wish.links.keys().copied().collect();
    let link = dice.pick(&numbers).and_then(|number| wish.links.get_mut(number));
    let priority = Some(1 + u8::try_from(dice.below(30)).unwrap_or(0));
    link.is_some_and(|link| std::mem::replace(&mut link.priority, priority) != priority)
}

fn change_votes(wish: &mut Wish, dice: &mut Dice) -> bool {
    let nodes: Vec<usize> = wish.nodes.keys().copied().collect();
    let votes = Some(1 + u32::try_from(dice.below(3)).unwrap_or(0));
    let node = dice.pick(&nodes).and_then(|at| wish.nodes.get_mut(at));
    node.is_some_and(|known| std::mem::replace(known, votes) != votes)
}

fn join(wish: &mut Wish, _: &mut Dice) -> bool {
    let at = wish.nodes.len();
    at < wish.hosts && wish.nodes.insert(at, None).is_none()
}

/// The one that came last: its number is that of its place, and a later host of that place gets another.
fn leave(wish: &mut Wish, _: &mut Dice) -> bool {
    wish.nodes.len() > 1 && wish.nodes.pop_last().is_some()
}

fn change_timeout(wish: &mut Wish, dice: &mut Dice) -> bool {
    let secs = 10 + u32::try_from(dice.below(20)).unwrap_or(0);
    std::mem::replace(&mut wish.confirm_timeout_secs, secs) != secs
}

fn move_link(wish: &mut Wish, dice: &mut Dice) -> bool {
    let used = |network: &u8| wish.links.values().any(|link| link.network == *network);
    let free: Vec<u8> = (0..wish.networks).filter(|network| !used(network)).collect();
    let numbers: Vec<u8> = wish.links.keys().copied().collect();
    let (Some(network), Some(number)) = (dice.pick(&free), dice.pick(&numbers)) else {
        return false;
    };
    wish.links.get_mut(number).is_some_and(|link| {
        link.network = *network;
        true
    })
}

fn change_port(wish: &mut Wish, dice: &mut Dice) -> bool {
    let numbers: Vec<u8> = wish.links.keys().copied().collect();
    let port = Some(5_500 + u16::try_from(dice.below(100)).unwrap_or(0));
    let link = dice.pick(&numbers).and_then(|number| wish.links.get_mut(number));
    link.is_some_and(|link| std::mem::replace(&mut link.port, port) != port)
}

fn change_token(wish: &mut Wish, dice: &mut Dice) -> bool {
    let token = Some(1_000 + 100 * u32::try_from(dice.below(40)).unwrap_or(0));
    std::mem::replace(&mut wish.token, token) != token
}

fn change_crypto(wish: &mut Wish, dice: &mut Dice) -> bool {
    let crypto = Some(dice.index(CRYPTO.len()));
    std::mem::replace(&mut wish.crypto, crypto) != crypto
}

fn exchange_key(wish: &mut Wish, dice: &mut Dice) -> bool {
    wish.key += 1 + u32::from(dice.chance(200));
    true
}
