//! The rules for `quorum` and its device.
//!
//! Owns what corosync refuses only when it starts for real, which `corosync -t` does not look at,
//! and what it takes although votes are then missing.

use super::{Facts, quoted};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

const VOTEQUORUM: &str =
    "measured on real starts of corosync 3.1.7; exec/votequorum.c:votequorum_readconfig";

static NO_QUORUM_PROVIDER: Code = Code {
    name: "no-quorum-provider",
    title: "No quorum is counted",
    explanation: "Without `provider: corosync_votequorum` corosync runs without a quorum service: \
                  Proxmox VE cannot work. A reload of such a file takes the service away from a \
                  running node, and no reload brings it back: corosync on that node must be \
                  restarted.",
    source: "measured on corosync 3.1.7",
};
static PROVIDER_UNKNOWN: Code = Code {
    name: "provider-unknown",
    title: "The quorum provider does not exist",
    explanation: "corosync says `Invalid quorum provider` and does not start; `corosync -t` takes \
                  the file. A reload logs that the key cannot be changed and takes the rest.",
    source: "measured on a real start of corosync 3.1.7",
};
static PRIORITY_INVALID: Code = Code {
    name: "system-priority",
    title: "`system.priority` is no priority",
    explanation: "corosync says `Priority value V is invalid` and does not start; `corosync -t` \
                  takes the file.",
    source: "measured on a real start of corosync 3.1.7; exec/main.c",
};
static QUORUM_CONFLICT: Code = Code {
    name: "quorum-conflict",
    title: "Two quorum options exclude each other",
    explanation: "corosync says `configuration error: ...` and does not start: a device together \
                  with `two_node`, `last_man_standing`, `auto_tie_breaker` or `allow_downscale`; a \
                  device without `votes` beside `expected_votes` or beside nodes whose votes are \
                  not 1; `expected_votes` less than 2 above the device's; `auto_tie_breaker` with \
                  `last_man_standing` and an odd number of votes. A reload turns the device off \
                  instead. `corosync -t` does not look.",
    source: VOTEQUORUM,
};
static TWO_NODE_IGNORED: Code = Code {
    name: "two-node-ignored",
    title: "`two_node` beside a tie breaker, or with one node",
    explanation: "Beside `auto_tie_breaker` corosync turns it off. With one node it does nothing. But \
                  `wait_for_all` comes along: after a cold start no guest starts before every node has \
                  been seen once.",
    source: "measured on corosync 3.1.7; exec/votequorum.c",
};
static TWO_NODE_SPLITS: Code = Code {
    name: "two-node-splits",
    title: "`two_node` with more than 2 nodes",
    explanation: "The quorum looks like that of all nodes while they are together. A part of one or two \
                  nodes needs a single vote, whatever the cluster has: of three nodes apart, one and \
                  two go on at once, and each part starts the guests of the other.",
    source: "measured on corosync 3.1.7 (3 and 4 nodes, packets dropped between parts); \
             exec/votequorum.c:calculate_quorum",
};
static TIE_BREAKER_OFF: Code = Code {
    name: "tie-breaker-off",
    title: "`auto_tie_breaker` is switched off",
    explanation: "With an odd number of votes and without `wait_for_all` corosync turns it off and \
                  logs that. On an even number Proxmox VE supports a QDevice instead.",
    source: VOTEQUORUM,
};
static EXPECTED_TOO_HIGH: Code = Code {
    name: "expected-votes-too-high",
    title: "The nodes together cannot reach the quorum",
    explanation: "`expected_votes` overrides the sum of the nodelist. A reload that raises it \
                  above twice the votes that are there takes the quorum away at once, on every \
                  node, and reports success.",
    source: "measured on corosync 3.1.7",
};
static EXPECTED_WRITTEN: Code = Code {
    name: "expected-votes-written",
    title: "`expected_votes` overrides the nodelist",
    explanation: "corosync adds up the nodelist by itself. A number beside it goes stale when a \
                  node comes or goes. `pvecm expected` does not write it: what that sets is gone \
                  at the next reload.",
    source: "votequorum(5); pvecm(1) of pve-cluster 9.1.6",
};
static VOTES_ALL_ZERO: Code = Code {
    name: "votes-zero",
    title: "A node has no vote",
    explanation: "corosync takes `quorum_votes: 0`; the node then counts for nothing when a \
                  majority is sought. pve8to9 warns about votes other than 1.",
    source: "measured on corosync 3.1.7; pve8to9 of pve-manager",
};
static FFSPLIT_VOTES: Code = Code {
    name: "ffsplit-votes",
    title: "ffsplit without `votes: 1`",
    explanation: "corosync takes the file and counts the votes that the device would have by \
                  default, one less than the nodes; every corosync-qdevice ends at start with \
                  `50:50 split algorithm works only if quorum.device.votes configuration key is \
                  set to 1!`. The device's votes are expected and never cast: two nodes lose \
                  quorum when one stops. Neither a reload nor `corosync -t` notices.",
    source: "measured with corosync 3.1.7 and corosync-qdevice 3.0.3",
};
static FFSPLIT_NODE_VOTES: Code = Code {
    name: "ffsplit-node-votes",
    title: "ffsplit with a node whose votes are not 1",
    explanation: "corosync-qdevice ends with `50:50 split algorithm works only if ... Node N has M \
                  votes!` on every node; the device's vote is expected and never cast.",
    source: "measured with corosync-qdevice 3.0.3; corosync-qdevice(8)",
};
static DEVICE_WITHOUT_MODEL: Code = Code {
    name: "device-without-model",
    title: "A device without a model is none",
    explanation: "corosync looks at `quorum.device` only when it has a `model`; corosync-qdevice \
                  says `Can't read quorum.device.model cmap key.` and ends.",
    source: "exec/votequorum.c:votequorum_qdevice_is_configured",
};
static DEVICE_WITHOUT_HOST: Code = Code {
    name: "device-without-host",
    title: "A network device without a host",
    explanation: "corosync counts the device's votes; corosync-qdevice does not start without \
                  `net.host`, so they are never cast.",
    source: "corosync-qdevice(8), not measured",
};
static DEVICE_ON_ODD: Code = Code {
    name: "device-on-odd",
    title: "A quorum device on an odd number of nodes",
    explanation: "With an even number a device can only help. With an odd one and `lms` it has one \
                  vote less than the nodes, and its host becomes a single point of failure: while \
                  it is down, no node may stop.",
    source: "corosync-qdevice(8); the chapter on the external vote in Proxmox VE's administration guide",
};

pub(in super::super) static CODES: &[&Code] = &[
    &NO_QUORUM_PROVIDER,
    &PROVIDER_UNKNOWN,
    &PRIORITY_INVALID,
    &QUORUM_CONFLICT,
    &TWO_NODE_IGNORED,
    &TWO_NODE_SPLITS,
    &TIE_BREAKER_OFF,
    &EXPECTED_TOO_HIGH,
    &EXPECTED_WRITTEN,
    &VOTES_ALL_ZERO,
    &FFSPLIT_VOTES,
    &FFSPLIT_NODE_VOTES,
    &DEVICE_WITHOUT_MODEL,
    &DEVICE_WITHOUT_HOST,
    &DEVICE_ON_ODD,
];

pub(in super::super) fn judge(facts: &Facts<'_, '_>, report: &mut Report) {
    judge_priority(facts, report);
    let line = facts.stored.line("quorum.provider");
    match facts.stored.text("quorum.provider") {
        Some(b"corosync_votequorum") => judge_votes(&Votes::read(facts), facts, report),
        Some(other) => {
            let message = format!(
                "`quorum.provider` is {}, which does not exist; corosync does not start (`corosync \
                 -t` does not look); write corosync_votequorum",
                quoted(other)
            );
            report.refuses(&PROVIDER_UNKNOWN, line, message);
        }
        None => {
            let message = "no `quorum { provider: corosync_votequorum }`; a node that starts or \
                           reloads this file runs without a quorum service until corosync is \
                           restarted; write it"
                .to_owned();
            report.breaks(&NO_QUORUM_PROVIDER, line, message);
        }
    }
}

fn judge_priority(facts: &Facts<'_, '_>, report: &mut Report) {
    let Some(entry) = facts.stored.get("system.priority") else { return };
    let number = std::str::from_utf8(entry.text).ok().and_then(|text| text.parse::<i32>().ok());
    if number.is_none() && !matches!(entry.text, b"max" | b"min") {
        let message = format!(
            "`system.priority` is {}; corosync does not start (`corosync -t` does not look); write \
             max, min or a number",
            quoted(entry.text)
        );
        report.refuses(&PRIORITY_INVALID, Some(entry.line), message);
    }
}

/// The numbers that votequorum works with.
struct Votes {
    nodes: usize,
    of_nodes: i128,
    expected: i128,
    has_device: bool,
    /// `None`: not written.
    of_device: Option<i128>,
    is_ffsplit: bool,
}

impl Votes {
    fn read(facts: &Facts<'_, '_>) -> Self {
        let stored = facts.stored;
        let model = stored.text("quorum.device.model").filter(|model| !model.is_empty());
        let algorithm = stored.text("quorum.device.net.algorithm").unwrap_or(b"ffsplit");
        Self {
            nodes: facts.nodes.all.len(),
            of_nodes: facts.nodes.votes(),
            expected: stored.number("quorum.expected_votes").unwrap_or(0),
            has_device: model.is_some(),
            of_device: stored.number("quorum.device.votes"),
            is_ffsplit: model == Some(b"net") && algorithm == b"ffsplit",
        }
    }
}

fn is_on(facts: &Facts<'_, '_>, name: &str) -> bool {
    facts.stored.number(&format!("quorum.{name}")).is_some_and(|number| number != 0)
}

fn judge_votes(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    if votes.has_device {
        judge_conflicts(votes, facts, report);
        judge_device(votes, facts, report);
    } else if let Some(line) = facts.device_line {
        let message = "a `device` section without a `model`: corosync takes no notice of it, and \
                       corosync-qdevice does not start; write `model: net`"
            .to_owned();
        report.misreads(&DEVICE_WITHOUT_MODEL, Some(line), message);
    }
    judge_two_nodes(votes, facts, report);
    judge_tie_breaker(votes, facts, report);
    judge_expected(votes, facts, report);
    for node in facts.nodes.all.iter().filter(|node| node.votes() == 0) {
        let message = format!(
            "{} has no vote; it counts for nothing where a majority is sought; write 1, or take \
             the key out",
            node.called()
        );
        report.advises(&VOTES_ALL_ZERO, node.votes.map(|votes| votes.line), message);
    }
}

fn conflict(what: &str, line: Option<usize>, report: &mut Report) {
    let message = format!(
        "{what}; corosync does not start (`corosync -t` does not look), and a reload turns the \
         device off; keep one of the two"
    );
    report.refuses(&QUORUM_CONFLICT, line, message);
}

fn judge_conflicts(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    for other in ["two_node", "last_man_standing", "allow_downscale"] {
        if is_on(facts, other) {
            let line = facts.stored.line(&format!("quorum.{other}"));
            conflict(&format!("`{other}` and a quorum device exclude each other"), line, report);
        }
    }
    if is_on(facts, "auto_tie_breaker") && !is_tie_breaker_off(votes, facts) {
        let line = facts.stored.line("quorum.auto_tie_breaker");
        conflict("`auto_tie_breaker` and a quorum device exclude each other", line, report);
    }
    let line = facts.stored.line("quorum.expected_votes");
    match votes.of_device {
        None if votes.expected > 0 => {
            conflict("`expected_votes` beside a device without `votes`", line, report);
        }
        None if i128::try_from(votes.nodes) != Ok(votes.of_nodes) => {
            conflict(
                "a device without `votes` beside nodes that have other votes than 1",
                facts.device_line,
                report,
            );
        }
        Some(device) if device > 0 && votes.expected > 0 && votes.expected - device < 2 => {
            let what = format!(
                "`expected_votes: {}` is less than 2 above the device's {device}",
                votes.expected
            );
            conflict(&what, line, report);
        }
        Some(_) | None => {}
    }
}

fn judge_device(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    let line = facts.stored.line("quorum.device.votes").or(facts.device_line);
    if votes.is_ffsplit && votes.of_device != Some(1) {
        let message = "a device with ffsplit and without `votes: 1`: every corosync-qdevice ends \
                       at start, the device's votes are expected and never cast; write `votes: 1` \
                       into `device`"
            .to_owned();
        report.breaks(&FFSPLIT_VOTES, line, message);
    }
    if let Some(node) = facts.nodes.all.iter().find(|node| votes.is_ffsplit && node.votes() != 1) {
        let message = format!(
            "ffsplit needs exactly 1 vote for every node, but {} has {}: every corosync-qdevice \
             ends at start; take `quorum_votes` out",
            node.called(),
            node.votes()
        );
        report.breaks(&FFSPLIT_NODE_VOTES, node.votes.map(|votes| votes.line), message);
    }
    let is_net = facts.stored.text("quorum.device.model") == Some(b"net");
    let host = facts.stored.text("quorum.device.net.host").filter(|host| !host.is_empty());
    if is_net && host.is_none() {
        let message = "a network device without `net { host: ... }`: its votes are expected, and \
                       corosync-qdevice does not start; write the host"
            .to_owned();
        report.breaks(&DEVICE_WITHOUT_HOST, facts.device_line, message);
    }
    if votes.nodes % 2 == 1 {
        let message = format!(
            "a quorum device beside {} nodes, an odd number: with lms its host is a single point \
             of failure; use a device with an even number",
            votes.nodes
        );
        report.advises(&DEVICE_ON_ODD, facts.device_line, message);
    }
}

fn judge_two_nodes(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    if !is_on(facts, "two_node") || votes.has_device {
        return;
    }
    let line = facts.stored.line("quorum.two_node");
    if is_on(facts, "auto_tie_breaker") {
        let message = "`two_node` beside `auto_tie_breaker`: corosync turns `two_node` off; keep \
                       one of the two"
            .to_owned();
        report.misreads(&TWO_NODE_IGNORED, line, message);
    } else if votes.nodes > 2 {
        let message = format!(
            "`two_node` with {} nodes: a part of one or two nodes is then quorate with a single vote, \
             beside another part that is as well; take it out",
            votes.nodes
        );
        report.breaks(&TWO_NODE_SPLITS, line, message);
    } else if votes.nodes < 2 {
        let message =
            "`two_node` with one node does nothing, but `wait_for_all` comes along; take it out";
        report.misreads(&TWO_NODE_IGNORED, line, message.to_owned());
    }
}

/// `two_node` brings `wait_for_all` along also where the tie breaker turns it off itself (measured).
fn is_tie_breaker_off(votes: &Votes, facts: &Facts<'_, '_>) -> bool {
    let is_written = facts.stored.number("quorum.wait_for_all").is_some();
    let waits = is_on(facts, if is_written { "wait_for_all" } else { "two_node" });
    votes.of_nodes % 2 == 1 && !waits
}

fn judge_tie_breaker(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    if !is_on(facts, "auto_tie_breaker") || !is_tie_breaker_off(votes, facts) {
        return;
    }
    let line = facts.stored.line("quorum.auto_tie_breaker");
    if is_on(facts, "last_man_standing") {
        conflict(
            "`auto_tie_breaker` and `last_man_standing` with an odd number of votes and without \
             `wait_for_all`",
            line,
            report,
        );
    } else {
        let message = "`auto_tie_breaker` with an odd number of votes and without `wait_for_all`: \
                       corosync turns it off; add `wait_for_all: 1`, or take it out"
            .to_owned();
        report.misreads(&TIE_BREAKER_OFF, line, message);
    }
}

fn judge_expected(votes: &Votes, facts: &Facts<'_, '_>, report: &mut Report) {
    // Without a nodelist, in corosync 2, nothing else says how many votes there are.
    if votes.expected == 0 || votes.nodes == 0 {
        return;
    }
    let device = if votes.has_device { votes.of_device.unwrap_or(0) } else { 0 };
    let (there, quorum) = (votes.of_nodes + device, votes.expected / 2 + 1);
    let line = facts.stored.line("quorum.expected_votes");
    if quorum > there {
        let message = format!(
            "`expected_votes: {}` makes a quorum of {quorum}, but all nodes and the device have \
             {there} together; a reload takes the quorum away at once; take the key out",
            votes.expected
        );
        report.breaks(&EXPECTED_TOO_HIGH, line, message);
    } else {
        let message = format!(
            "`expected_votes: {}` overrides the nodelist's {}; it goes stale with the next node; \
             take it out",
            votes.expected, votes.of_nodes
        );
        report.advises(&EXPECTED_WRITTEN, line, message);
    }
}
