//! What a reload does: Debian's corosync on two hosts and the simulated one are given the same two texts,
//! and have to show the same afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::network::Network;
use pvecm_e2e::{Host, Lab, Level, Options, wait_until};
use pvecm_sim::reload::{Outcome, Standing, reload};

use crate::support::cmap_table;

const SOON: Duration = Duration::from_secs(15);

/// The text that every case begins with.
const BASE: &str = "\
totem {
  version: 2
  cluster_name: byhand
  config_version: 1
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  link_mode: passive
  knet_mtu: 1200
  interface {
    linknumber: 0
    knet_link_priority: 1
  }
  interface {
    linknumber: 1
    knet_link_priority: 5
  }
}
nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.50.0.1
    ring1_addr: 10.51.0.1
  }
  node {
    name: n2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.50.0.2
    ring1_addr: 10.51.0.2
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: yes
}
";

/// A part of a text, and what stands there instead.
type Edit = (&'static str, &'static str);

/// What is edited, and what the case is.
const CASES: &[(&str, &[Edit])] = &[
    ("the version alone", &[]),
    ("a link's priority", &[("priority: 5", "priority: 9")]),
    ("a link's ping interval", &[("priority: 5", "priority: 5\n    knet_ping_interval: 200")]),
    ("a link's ping timeout", &[("priority: 5", "priority: 5\n    knet_ping_timeout: 900")]),
    (
        "a link's port, on a socket that is open",
        &[("priority: 5", "priority: 5\n    mcastport: 5415")],
    ),
    ("a link's transport", &[("priority: 5", "priority: 5\n    knet_transport: sctp")]),
    (
        "a link is removed",
        &[
            ("  interface {\n    linknumber: 1\n    knet_link_priority: 5\n  }\n", ""),
            ("    ring1_addr: 10.51.0.1\n", ""),
            ("    ring1_addr: 10.51.0.2\n", ""),
        ],
    ),
    (
        "link 0 is removed",
        &[
            ("  interface {\n    linknumber: 0\n    knet_link_priority: 1\n  }\n", ""),
            ("    ring0_addr: 10.50.0.1\n", ""),
            ("    ring0_addr: 10.50.0.2\n", ""),
        ],
    ),
    (
        "a link is added",
        &[
            ("  ring1_addr: 10.51.0.1\n", "  ring1_addr: 10.51.0.1\n    ring2_addr: 10.52.0.1\n"),
            ("  ring1_addr: 10.51.0.2\n", "  ring1_addr: 10.51.0.2\n    ring2_addr: 10.52.0.2\n"),
        ],
    ),
    ("a link that one node lacks", &[("    ring1_addr: 10.51.0.2\n", "")]),
    ("another address of one node", &[("10.51.0.2", "10.52.0.2")]),
    ("another address of every node", &[("10.51.0.1", "10.52.0.1"), ("10.51.0.2", "10.52.0.2")]),
    (
        "the token, whose ping times follow one reload later",
        &[("version: 2", "version: 2\n  token: 5000")],
    ),
    ("the consensus", &[("version: 2", "version: 2\n  consensus: 4800")]),
    ("the MTU", &[("knet_mtu: 1200", "knet_mtu: 1000")]),
    (
        "compression",
        &[(
            "version: 2",
            "version: 2\n  knet_compression_model: zlib\n  knet_compression_threshold: 200",
        )],
    ),
    ("what is logged", &[("to_syslog: yes", "to_syslog: yes\n  debug: on")]),
    ("the cipher", &[("aes256", "aes128"), ("sha256", "sha512")]),
    ("no encryption at all", &[("aes256", "none"), ("sha256", "none")]),
    ("secauth beside crypto keys", &[("version: 2", "version: 2\n  secauth: on")]),
    ("the link mode, which asks for a start", &[("passive", "active")]),
    ("the cluster's name", &[("byhand", "other")]),
    ("the transport", &[("transport: knet", "transport: udpu")]),
    (
        "votes of a node",
        &[(
            "quorum_votes: 1\n    ring0_addr: 10.50.0.1",
            "quorum_votes: 3\n    ring0_addr: 10.50.0.1",
        )],
    ),
    ("a node that does not run, with one vote", &[("nodelist {\n", THIRD)]),
    ("a node that does not run, with more votes than the others", &[("nodelist {\n", HEAVY)]),
    ("two nodes under one number", &[("nodeid: 2", "nodeid: 1")]),
    ("a key that nobody knows", &[("version: 2", "version: 2\n  colour: blue")]),
];

const THIRD: &str = "nodelist {\n  node {\n    name: n3\n    nodeid: 3\n    quorum_votes: 1\n    \
    ring0_addr: 10.50.0.3\n    ring1_addr: 10.51.0.3\n  }\n";
const HEAVY: &str = "nodelist {\n  node {\n    name: n3\n    nodeid: 3\n    quorum_votes: 3\n    \
    ring0_addr: 10.50.0.3\n    ring1_addr: 10.51.0.3\n  }\n";

#[test]
fn a_reload_does_to_real_daemons_what_it_does_to_simulated_ones() -> Result<()> {
    let options = Options { level: Level::Debian, hosts: 2, ..Options::scenario("reloads") };
    let lab = Lab::up(options, &mut |_| ())?;
    let real = Real { lab: &lab };
    real.start()?;
    let mut differences = Vec::new();
    for (number, (name, edits)) in (1..).map(|case| 10 * case).zip(CASES) {
        let (old, new) = (version(BASE, number + 1), version(&edited(edits)?, number + 2));
        let simulated = reload(&cards(), (&old, &new));
        // The second reload of the same text is the one that takes ping times from the token in force.
        for text in [version(BASE, number), old.clone(), old] {
            real.write(&text)?;
            real.reload()?;
        }
        let seen = real.settles(&simulated.before).context("before it");
        if let Err(difference) = seen.and_then(|()| real.takes(&new, &simulated)) {
            differences.push(format!("{name}: {difference:#}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

fn version(text: &str, version: usize) -> String {
    text.replace("config_version: 1\n", &format!("config_version: {version}\n"))
}

fn edited(edits: &[Edit]) -> Result<String> {
    edits.iter().try_fold(BASE.to_owned(), |text, (from, to)| {
        ensure!(text.contains(from), "`{from}` is not in the text");
        Ok(text.replace(from, to))
    })
}

fn cards() -> [BTreeMap<u8, String>; 2] {
    let networks = || [Network::Net0, Network::Net1, Network::Net2];
    [1, 2].map(|host| (0..).zip(networks().map(|network| network.address(host))).collect())
}

/// The hosts of the lab.
struct Real<'a> {
    lab: &'a Lab,
}

impl Real<'_> {
    fn start(&self) -> Result<()> {
        self.write(BASE)?;
        for host in self.lab.hosts() {
            host.write_file("/etc/corosync/authkey", &[7; 128], 0o400)?;
            host.run(&["systemctl", "start", "--no-block", "corosync"])?;
        }
        let all = |seen: &Standing| seen.members.len() == 2;
        wait_until(SOON, "both hosts in one ring", || {
            let seen = self.standings().map_err(|error| format!("{error:#}"))?;
            if seen.iter().flatten().filter(|seen| all(seen)).count() == 2 {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
    }

    fn write(&self, text: &str) -> Result<()> {
        self.lab.hosts().iter().try_for_each(|host| {
            host.write_file("/etc/corosync/corosync.conf", text.as_bytes(), 0o644)
        })
    }

    /// Whether the host that asks is told that it went well.
    fn reload(&self) -> Result<bool> {
        Ok(self.lab.host("n1")?.exec(&["corosync-cfgtool", "-R"])?.success())
    }

    fn standings(&self) -> Result<Vec<Option<Standing>>> {
        self.lab.hosts().iter().map(standing).collect()
    }

    /// Waits until the daemons stand as simulated ones do.
    fn settles(&self, simulated: &[Option<Standing>]) -> Result<()> {
        wait_until(SOON, "the daemons to stand as simulated", || {
            let real = self.standings().map_err(|error| format!("{error:#}"))?;
            let differ = real.iter().zip(simulated).map(|(real, wanted)| match (real, wanted) {
                (Some(real), Some(wanted)) => difference(real, wanted),
                (real, wanted) if real.is_some() == wanted.is_some() => Vec::new(),
                (real, _) => vec![format!("runs: {}", real.is_some())],
            });
            let differ: Vec<_> = differ.collect();
            if differ.iter().all(Vec::is_empty) { Ok(()) } else { Err(format!("{differ:?}")) }
        })
    }

    fn takes(&self, text: &str, simulated: &Outcome) -> Result<()> {
        self.write(text)?;
        let answer = self.reload()?;
        ensure!(
            answer == simulated.answer.is_ok(),
            "-R: {answer}, simulated: {:?}",
            simulated.answer
        );
        self.settles(&simulated.after)
    }
}

/// What is not the same, key by key: of the parts of cmap that the file makes everything, of what the daemon
/// works with the values that agents read.
fn difference(real: &Standing, simulated: &Standing) -> Vec<String> {
    let keys = real.values.keys().filter(|key| is_of_file(key)).chain(simulated.values.keys());
    let keys: BTreeSet<_> = keys.collect();
    let pairs = keys.into_iter().map(|key| (key, real.values.get(key), simulated.values.get(key)));
    let differ = pairs.filter(|(_, real, simulated)| real != simulated);
    let mut differ: Vec<_> = differ
        .map(|(key, real, simulated)| format!("{key} is {real:?}, simulated {simulated:?}"))
        .collect();
    let beside = |standing: &Standing| Standing { values: BTreeMap::new(), ..standing.clone() };
    let (real, simulated) = (beside(real), beside(simulated));
    if real != simulated {
        differ.push(format!("{real:?}, simulated {simulated:?}"));
    }
    differ
}

/// The place of the host's own node is left out: no agent reads it, since it can be gone after a reload.
fn is_of_file(key: &str) -> bool {
    let parts = ["totem.", "nodelist.", "quorum.", "logging."];
    key != "nodelist.local_node_pos" && parts.iter().any(|part| key.starts_with(part))
}

fn standing(host: &Host<'_>) -> Result<Option<Standing>> {
    let map = host.exec(&["corosync-cmapctl"])?;
    let stats = host.exec(&["corosync-cmapctl", "-m", "stats"])?;
    let votes = host.exec(&["corosync-quorumtool", "-s"])?;
    if !map.success() || !stats.success() {
        return Ok(None);
    }
    let values = cmap_table(&map.stdout);
    let member = |(key, value): (&String, &String)| {
        let id = key.strip_prefix("runtime.members.")?.strip_suffix(".status")?;
        let id: usize = id.parse().ok().filter(|_| value == "joined")?;
        Some(id - 1)
    };
    let peer = if host.name() == "n1" { 2 } else { 1 };
    let up = |(key, value): (&String, &String)| {
        let link = key.strip_prefix(&format!("stats.knet.node{peer}.link"))?;
        link.strip_suffix(".connected")?.parse().ok().filter(|_| value == "1")
    };
    let sockets = host.run(&["ss", "-Hluna"])?;
    let ports = sockets.lines().filter_map(|line| {
        let (address, port) = line.split_whitespace().nth(3)?.rsplit_once(':')?;
        address.starts_with("10.5").then(|| port.to_owned())
    });
    Ok(Some(Standing {
        members: values.iter().filter_map(member).collect(),
        quorate: votes.stdout.contains("Quorate:          Yes"),
        connected: cmap_table(&stats.stdout).iter().filter_map(up).collect(),
        ports: ports.collect(),
        values,
    }))
}
