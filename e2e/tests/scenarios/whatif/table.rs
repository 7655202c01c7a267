//! The cases: a configuration and what happens. What follows is not here: the model tells it.

use std::fmt;
use std::time::Duration;

use pvecm_core::whatif::Asked;
use pvecm_e2e::hosts::WITNESS_NUMBER;
use pvecm_e2e::network::Network;

use super::cluster::LINKS;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The votes of n1, n2, ...
    votes: &'static [u32],
    links: usize,
    /// Lines of the `quorum` section, with commas between them.
    quorum: &'static str,
    /// Lines of the `quorum.device` section and of its `net`.
    device: Option<(&'static str, &'static str)>,
    lose: &'static str,
    cut: &'static str,
    partition: &'static str,
    /// Part of every run, not only of the whole table.
    pub always: bool,
}

const fn nodes(nodes: usize) -> Case {
    votes([1; 6].split_at(nodes).0)
}

const fn votes(votes: &'static [u32]) -> Case {
    let (lose, cut, partition) = ("", "", "");
    Case { votes, links: 1, quorum: "", device: None, lose, cut, partition, always: false }
}

impl Case {
    const fn links(self, links: usize) -> Self {
        Self { links, ..self }
    }

    const fn with(self, quorum: &'static str) -> Self {
        Self { quorum, ..self }
    }

    /// With the one vote that it needs.
    const fn ffsplit(self, net: &'static str) -> Self {
        Self { device: Some(("votes: 1", net)), ..self }
    }

    const fn device(self, device: &'static str, net: &'static str) -> Self {
        Self { device: Some((device, net)), ..self }
    }

    const fn lose(self, lose: &'static str) -> Self {
        Self { lose, ..self }
    }

    const fn cut(self, cut: &'static str) -> Self {
        Self { cut, ..self }
    }

    const fn apart(self, partition: &'static str) -> Self {
        Self { partition, ..self }
    }

    const fn always(self) -> Self {
        Self { always: true, ..self }
    }
}

const LMS: &str = "algorithm: lms";
/// 2 s instead of 10.
const LAST_MAN: &str = "last_man_standing: 1, last_man_standing_window: 2000";
const LAST_MAN_AND_TIE: &str =
    "last_man_standing: 1, last_man_standing_window: 2000, auto_tie_breaker: 1";
const LAST_MAN_AND_HIGHEST: &str = "last_man_standing: 1, last_man_standing_window: 2000, \
                                    auto_tie_breaker: 1, auto_tie_breaker_node: highest";
const LAST_MAN_AND_ALL: &str =
    "last_man_standing: 1, last_man_standing_window: 2000, wait_for_all: 1";
const TIE: &str = "auto_tie_breaker: 1";
const TIE_AND_ALL: &str = "auto_tie_breaker: 1, wait_for_all: 1";
const TWO_NODE: &str = "two_node: 1";
const ALL: &str = "wait_for_all: 1";

/// The table.
pub const CASES: &[Case] = &[
    // Majorities.
    nodes(2).lose("n1"),
    nodes(2).apart("n1/n2"),
    nodes(3).lose("n1").always(),
    nodes(3).apart("n1/n2,n3"),
    nodes(3).apart("n1/n2/n3"),
    nodes(4).lose("n4"),
    nodes(4).apart("n1,n2/n3,n4"),
    nodes(5).lose("n1,n2"),
    nodes(5).lose("n1,n2,n3"),
    nodes(5).apart("n1,n2/n3,n4,n5"),
    // Links.
    nodes(3).cut("link:0"),
    nodes(3).links(2).cut("link:0").always(),
    nodes(3).links(2).cut("link:0,link:1"),
    // Votes.
    votes(&[2, 1, 1]).apart("n1/n2,n3"),
    votes(&[3, 1, 1]).lose("n2,n3"),
    votes(&[1, 1, 1, 0]).apart("n1,n2/n3,n4"),
    votes(&[2, 1]).lose("n2"),
    nodes(4).with("expected_votes: 2").apart("n1,n2/n3,n4"),
    nodes(4).with("expected_votes: 5").lose("n1"),
    nodes(4).with("expected_votes: 6").lose("n1"),
    // two_node.
    nodes(2).with(TWO_NODE).lose("n2"),
    nodes(2).with(TWO_NODE).apart("n1/n2").always(),
    nodes(3).with(TWO_NODE).lose("n1"),
    nodes(3).with(TWO_NODE).apart("n1/n2,n3"),
    nodes(4).with(TWO_NODE).apart("n1,n2/n3,n4"),
    nodes(5).with(TWO_NODE).lose("n1,n2,n3"),
    votes(&[1, 1, 3]).with("two_node: 1, auto_tie_breaker: 1").apart("n1,n2/n3"),
    // wait_for_all.
    nodes(3).with(ALL).lose("n1"),
    nodes(4).with(ALL).apart("n1,n2/n3,n4"),
    // last_man_standing.
    nodes(4).with(LAST_MAN).lose("n1"),
    nodes(5).with(LAST_MAN).lose("n1,n2").always(),
    nodes(4).with(LAST_MAN).apart("n1,n2/n3,n4"),
    nodes(5).with(LAST_MAN_AND_ALL).lose("n4,n5"),
    votes(&[2, 1, 1]).with(LAST_MAN).lose("n3"),
    votes(&[1, 1, 1, 0, 0]).with(LAST_MAN).lose("n1"),
    nodes(4).with(LAST_MAN_AND_TIE).apart("n1,n2/n3,n4"),
    nodes(4).with(LAST_MAN_AND_HIGHEST).apart("n1,n2/n3,n4"),
    // auto_tie_breaker.
    nodes(2).with(TIE).apart("n1/n2"),
    nodes(4).with(TIE).apart("n1,n2/n3,n4").always(),
    nodes(4).with("auto_tie_breaker: 1, auto_tie_breaker_node: highest").apart("n1,n2/n3,n4"),
    nodes(4).with("auto_tie_breaker: 1, auto_tie_breaker_node: 3 1").apart("n1,n2/n3,n4"),
    nodes(4).with("auto_tie_breaker: 1, auto_tie_breaker_node: 9 2").apart("n1,n2/n3,n4"),
    nodes(4).with(TIE).lose("n1,n2"),
    nodes(4).with(TIE).lose("n3,n4"),
    nodes(4).with(TIE).apart("n1/n2,n3/n4"),
    nodes(5).with(TIE).apart("n1,n2/n3,n4,n5"),
    nodes(5).with(TIE_AND_ALL).apart("n1,n2/n3,n4,n5"),
    votes(&[1, 1, 3]).with(TIE_AND_ALL).apart("n1,n2/n3"),
    nodes(6).with(TIE).apart("n1,n5,n6/n2,n3,n4"),
    // A device with ffsplit.
    nodes(2).ffsplit("").lose("n2"),
    nodes(2).ffsplit("").lose("n1"),
    nodes(2).ffsplit("").apart("n1/n2").always(),
    nodes(2).ffsplit("tie_breaker: highest").apart("n1/n2"),
    nodes(2).ffsplit("tie_breaker: 2").apart("n1/n2"),
    nodes(2).ffsplit("").lose("witness"),
    nodes(2).ffsplit("").lose("witness,n2"),
    nodes(2).ffsplit("").apart("n1/n2,witness").always(),
    nodes(4).ffsplit("").apart("n1,n2/n3,n4"),
    nodes(4).ffsplit("tie_breaker: 4").apart("n1,n2/n3,n4"),
    nodes(4).ffsplit("").lose("n1,n2"),
    nodes(4).ffsplit("").lose("n1,n2,n3"),
    nodes(4).ffsplit("").apart("n1/n2,n3,n4"),
    nodes(4).ffsplit("").apart("n1/n2,n3/n4"),
    nodes(4).ffsplit("").apart("n1,n2,witness/n3,n4"),
    Case { lose: "witness", ..nodes(4).ffsplit("").apart("n1,n2/n3,n4") },
    nodes(3).ffsplit("").lose("n1"),
    nodes(3).ffsplit("").apart("n1/n2,n3"),
    // It never votes: ffsplit without its one vote.
    nodes(2).device("", "").lose("n2"),
    // A device with lms.
    nodes(3).device("", LMS).lose("n1,n2").always(),
    nodes(3).device("", LMS).lose("witness"),
    nodes(3).device("", LMS).lose("witness,n1"),
    nodes(4).device("", LMS).apart("n1,n2/n3,n4"),
    nodes(4).device("", LMS).apart("n1/n2,n3,n4"),
    nodes(4).device("", "algorithm: lms, tie_breaker: highest").apart("n1,n2/n3,n4"),
    nodes(4).device("", "algorithm: lms, tie_breaker: 3").apart("n1,n2/n3,n4"),
    nodes(5).device("", LMS).apart("n1/n2,n3/n4,n5"),
    nodes(4).device("", LMS).apart("n1,n2,n3/n4,witness"),
    nodes(4).device("votes: 1", LMS).apart("n1,n2/n3,n4"),
];

impl Case {
    pub fn nodes(&self) -> u8 {
        u8::try_from(self.votes.len()).unwrap_or(u8::MAX)
    }

    /// The question, as a person asks it.
    pub fn asked(&self) -> Asked {
        let words = |text: &str| -> Vec<String> {
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let partition = Some(self.partition.to_owned()).filter(|text| !text.is_empty());
        Asked { lose: words(self.lose), cut: words(self.cut), partition }
    }

    /// The file of all nodes: quick timers, no encryption.
    pub fn conf(&self) -> String {
        let section = |lines: &str| {
            let lines = lines.split(',').filter(|line| !line.is_empty());
            lines.map(|line| format!("    {}\n", line.trim())).collect::<Vec<_>>().concat()
        };
        let node = |(id, votes): (u8, &u32)| {
            let address = |(link, network): (usize, &Network)| {
                format!("    ring{link}_addr: {}\n", network.address(id))
            };
            let links = LINKS.iter().take(self.links).enumerate().map(address);
            format!(
                "  node {{\n    name: n{id}\n    nodeid: {id}\n    quorum_votes: {votes}\n{}  }}\n",
                links.collect::<String>()
            )
        };
        let nodes: String = (1..).zip(self.votes).map(node).collect();
        let device = self.device.map(|(device, net)| {
            let host = Network::Mgmt.address(WITNESS_NUMBER);
            format!(
                "  device {{\n    model: net\n    timeout: 4000\n    sync_timeout: 8000\n{}    net {{\n    \
                 host: {host}\n    tls: off\n{}    }}\n  }}\n",
                section(device),
                section(net)
            )
        });
        format!(
            "totem {{\n  version: 2\n  cluster_name: whatif\n  config_version: 1\n  transport: knet\n  \
             crypto_cipher: none\n  crypto_hash: none\n  token: 1000\n  token_coefficient: 0\n}}\n\
             nodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n{}{}}}\n\
             logging {{\n  to_syslog: yes\n}}\n",
            section(self.quorum),
            device.unwrap_or_default()
        )
    }

    /// How long what was foretold has to stay: longer than what could still come takes, which is the window, a
    /// device's answer, or, where the view may be the one before, token and consensus (2.2 s).
    pub fn stays(&self) -> Duration {
        let has_window = self.quorum.contains("last_man_standing");
        let is_slow = self.device.is_some() || has_window || !self.cut.is_empty();
        Duration::from_millis(if is_slow { 4000 } else { 2500 })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { votes, links, quorum, device, lose, cut, partition, always: _ } = self;
        let nodes = votes.len();
        write!(f, "{nodes} nodes")?;
        if votes.iter().any(|votes| *votes != 1) {
            write!(f, " with votes {votes:?}")?;
        }
        if *links > 1 {
            write!(f, ", {links} links")?;
        }
        if let Some((device, net)) = device {
            write!(f, ", device ({device} {net})")?;
        }
        for (what, text) in
            [("", quorum), ("lose ", lose), ("cut ", cut), ("partition ", partition)]
        {
            if !text.is_empty() {
                write!(f, ", {what}{text}")?;
            }
        }
        Ok(())
    }
}
