//! knet: which links are connected, and when that changes.

use super::World;

/// Two hosts, the lower place first, and a link number.
pub type LinkKey = (usize, usize, u8);

/// One link between two running daemons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Both ends say `connected`.
    pub up: bool,
    /// It could be: configured on both ends alike, and the network carries.
    pub wanted: bool,
    /// When it was up last.
    pub lost_at: Option<u64>,
    /// When it came up last.
    pub up_since: u64,
    /// Which change of `wanted` the next change of `up` belongs to.
    token: u64,
}

impl Link {
    /// One end no longer knows it: it is gone at once.
    fn end(&mut self, now: u64) {
        let lost_at = if self.up { Some(now) } else { self.lost_at };
        *self = Self { lost_at, ..Self::default() };
    }
}

impl World {
    /// The link numbers that both ends have configured alike, with the network that each is on.
    fn shared_links(&self, a: usize, b: usize) -> Vec<(u8, bool)> {
        let (Some(one), Some(other)) = (&self.hosts[a].daemon, &self.hosts[b].daemon) else {
            return Vec::new();
        };
        let (Some(here), Some(there)) = (one.config(), other.config()) else { return Vec::new() };
        let nodes =
            (here.node(one.id), here.node(other.id), there.node(one.id), there.node(other.id));
        let (Some(own), Some(peer), Some(seen), Some(itself)) = nodes else { return Vec::new() };
        let mut shared = Vec::new();
        for (link, address) in &own.addresses {
            let agree = one.ports.get(&link.get()) == other.ports.get(&link.get())
                && seen.addresses.get(link) == Some(address)
                && peer.addresses.contains_key(link)
                && peer.addresses.get(link) == itself.addresses.get(link);
            if agree {
                let far = &itself.addresses[link];
                shared.push((link.get(), self.carries((a, address), (b, far))));
            }
        }
        shared
    }

    /// Whether packets go from one address to the other and are understood.
    fn carries(&self, (a, near): (usize, &str), (b, far): (usize, &str)) -> bool {
        let networks = (self.hosts[a].network_of(near), self.hosts[b].network_of(far));
        let (Some(one), Some(other)) = networks else { return false };
        let keys = |at: usize| {
            let daemon = self.hosts[at].daemon.as_ref()?;
            Some((&daemon.key, daemon.running.crypto()))
        };
        one == other && self.network.connects(one, a, b) && keys(a) == keys(b)
    }

    /// Looks at every link again after something changed.
    pub fn settle(&mut self) {
        let mut wanted = Vec::new();
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                wanted.extend(self.shared_links(a, b).into_iter().map(|(l, w)| ((a, b, l), w)));
            }
        }
        let now = self.now();
        for (key, link) in &mut self.links {
            // Each pair in its order, and each link of a pair.
            if wanted.binary_search_by_key(key, |(known, _)| *known).is_err() {
                link.end(now);
            }
        }
        for (key, wanted) in wanted {
            self.turn(key, wanted);
        }
        self.settle_rings();
    }

    fn turn(&mut self, key: LinkKey, wanted: bool) {
        let link = self.links.get(&key).copied().unwrap_or_default();
        if link.wanted == wanted {
            return;
        }
        let token = self.next_number();
        // facts/corosync.md 5.2: a new link is connected after 1.9 to 3.1 s.
        let wait =
            if wanted { self.dice.between(1_000, 2_600) } else { self.dice.between(700, 1_400) };
        self.links.insert(key, Link { wanted, token, ..link });
        if link.up == wanted {
            return;
        }
        self.later(wait, move |world| world.flip(key, token));
    }

    fn flip(&mut self, key: LinkKey, token: u64) {
        let now = self.now();
        let Some(link) = self.links.get_mut(&key).filter(|link| link.token == token) else {
            return;
        };
        link.lost_at = if link.up { Some(now) } else { link.lost_at };
        link.up_since = if link.up { link.up_since } else { now };
        link.up = link.wanted;
        let up = link.up;
        self.note("link", key.0, || format!("{} to {} up {up}", key.2, key.1 + 1));
        self.tell(key.0);
        self.tell(key.1);
        self.settle_rings();
    }

    /// Whether two daemons reach each other by any link.
    #[must_use]
    pub fn reaches(&self, a: usize, b: usize) -> bool {
        a == b || self.between(a, b).any(|link| link.up)
    }

    /// Whether packets between two daemons get through at this moment: a link that was cut a moment
    /// ago still counts as connected.
    #[must_use]
    pub fn passes(&self, a: usize, b: usize) -> bool {
        a == b || self.between(a, b).any(|link| link.up && link.wanted)
    }

    /// The links between two hosts.
    pub fn between(&self, a: usize, b: usize) -> impl Iterator<Item = &Link> {
        let (low, high) = (a.min(b), a.max(b));
        self.links.range((low, high, 0)..=(low, high, u8::MAX)).map(|(_, link)| link)
    }

    /// One link between two hosts.
    #[must_use]
    pub fn link(&self, a: usize, b: usize, link: u8) -> Option<&Link> {
        self.links.get(&(a.min(b), a.max(b), link))
    }
}
