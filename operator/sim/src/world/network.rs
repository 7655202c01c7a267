//! Networks between hosts, and which of them are cut. Knows nothing of who uses them.

use std::collections::BTreeSet;

/// Which pairs cannot reach each other on which network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    cut: BTreeSet<(u8, usize, usize)>,
}

impl Network {
    /// Whether two hosts reach each other on a network.
    #[must_use]
    pub fn connects(&self, network: u8, a: usize, b: usize) -> bool {
        !self.cut.contains(&(network, a.min(b), a.max(b)))
    }

    /// Cuts or mends a pair on a network.
    pub fn set(&mut self, network: u8, (a, b): (usize, usize), connected: bool) {
        let pair = (network, a.min(b), a.max(b));
        if connected {
            self.cut.remove(&pair);
        } else {
            self.cut.insert(pair);
        }
    }

    /// Mends everything.
    pub fn mend(&mut self) {
        self.cut.clear();
    }

    /// Whether nothing is cut.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cut.is_empty()
    }
}
