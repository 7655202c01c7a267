//! A cluster of plain corosync daemons on the hosts of a lab, begun anew for every case.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use pvecm_core::whatif::{Electorate, Event};
use pvecm_e2e::network::Network;
use pvecm_e2e::wait::wait_until;
use pvecm_e2e::{Host, Lab};

use super::table::Case;

const UP: Duration = Duration::from_secs(60);

/// The networks that links 0 and 1 are on. QNetd is on the management network, which no case cuts.
pub const LINKS: [Network; 2] = [Network::Net0, Network::Net1];

/// What corosync-quorumtool says on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Node ids of the membership, in order.
    pub members: Vec<u32>,
    pub quorate: bool,
    pub total: u64,
    pub expected: u64,
    pub needed: u64,
}

/// A cluster that was quorate as a whole.
pub struct Cluster<'lab> {
    witness: Host<'lab>,
    /// By node id.
    nodes: BTreeMap<u32, Host<'lab>>,
}

/// Makes the hosts of a lab fit for many cases. QNetd goes without TLS: it votes alike, and nobody has to sign.
pub fn prepare(lab: &Lab) -> Result<()> {
    each(&lab.hosts(), stay_dead)
}

impl<'lab> Cluster<'lab> {
    /// Ends whatever runs on the lab's hosts, and starts the case's cluster.
    pub fn start(lab: &'lab Lab, case: &Case, text: &str, electorate: &Electorate) -> Result<Self> {
        let hosts = lab.hosts();
        each(&hosts, |host| if host.is_witness() { serve(host) } else { clear(host) })?;
        let witness = *hosts.iter().find(|host| host.is_witness()).context("no witness")?;
        let nodes = (1..).zip(hosts).filter(|(_, host)| !host.is_witness());
        let nodes: BTreeMap<u32, Host<'_>> = nodes.take(usize::from(case.nodes())).collect();
        let cluster = Self { witness, nodes };
        cluster.each(|host| {
            host.write_file("/etc/corosync/corosync.conf", text.as_bytes(), 0o644)?;
            host.sh("systemctl start corosync").map(|_| ())
        })?;
        let device = electorate.device().filter(|device| device.never_votes.is_none());
        let of_nodes: u64 = electorate.nodes().iter().map(|node| node.votes).sum();
        cluster.is_quorate_with(of_nodes)?;
        cluster.has_all_links()?;
        if let Some(device) = device {
            cluster.each(|host| host.sh("systemctl start corosync-qdevice").map(|_| ()))?;
            cluster.is_quorate_with(of_nodes + device.votes)?;
        } else if electorate.device().is_some() {
            // It is said to end at once: nobody waits for it.
            cluster
                .each(|host| host.sh("systemctl start --no-block corosync-qdevice").map(|_| ()))?;
        }
        Ok(cluster)
    }

    fn is_quorate_with(&self, votes: u64) -> Result<()> {
        let all: Vec<u32> = self.nodes.keys().copied().collect();
        for (id, host) in &self.nodes {
            wait_until(UP, &format!("{votes} votes on n{id}"), || {
                let view = view(host)?;
                let is_up = view.members == all && view.total == votes;
                if is_up { Ok(()) } else { Err(format!("{view:?}")) }
            })?;
        }
        Ok(())
    }

    /// A second link comes up after the membership that the first one made.
    fn has_all_links(&self) -> Result<()> {
        for (id, host) in &self.nodes {
            wait_until(UP, &format!("all links of n{id}"), || {
                let said = host
                    .exec(&["corosync-cmapctl", "-m", "stats", "stats.knet."])
                    .map_err(|error| format!("{error:#}"))?;
                let own = format!("stats.knet.node{id}.");
                let links = said.stdout.lines().filter(|line| line.contains(".connected "));
                let down: Vec<&str> = links
                    .filter(|line| !line.starts_with(&own) && !line.ends_with("= 1"))
                    .collect();
                if down.is_empty() { Ok(()) } else { Err(format!("{down:?}")) }
            })?;
        }
        Ok(())
    }

    /// Has the event happen: power that fails is a daemon killed, a partition is packets dropped.
    pub fn suffer(&self, event: &Event) -> Result<()> {
        let lost = self.nodes.iter().filter(|(id, _)| event.lost.iter().any(|l| l.get() == **id));
        each(&lost.map(|(_, host)| *host).collect::<Vec<_>>(), kill)?;
        if event.witness_lost {
            kill(&self.witness)?;
        }
        self.each(|host| {
            let mut cut = event.cut.iter().map(|link| LINKS[usize::from(link.get())]);
            cut.try_for_each(|network| host.cut(network))
        })?;
        let side_of = |id: u32| {
            event.parts.iter().position(|side| side.members.iter().any(|m| m.get() == id))
        };
        let rules = |id: u32| -> String {
            let others = self.nodes.iter().filter(|(other, _)| side_of(**other) != side_of(id));
            let mut away: Vec<String> =
                others.flat_map(|(_, host)| LINKS.map(|network| host.address(network))).collect();
            let side = side_of(id).map(|at| &event.parts[at]);
            if side.is_some_and(|side| !side.reaches_witness) {
                away.push(self.witness.address(Network::Mgmt));
            }
            // Both ways: QNetd must not hear of a part that does not hear QNetd.
            let rule = |from: &String| {
                format!(
                    "iptables -w -A INPUT -s {from} -j DROP\niptables -w -A OUTPUT -d {from} -j DROP\n"
                )
            };
            away.iter().map(rule).collect()
        };
        let sides = self.nodes.iter().filter(|(id, _)| side_of(**id).is_some());
        let sides: Vec<_> = sides.map(|(id, host)| (*host, rules(*id))).collect();
        thread::scope(|scope| {
            let dropping = sides.iter().map(|(host, rules)| scope.spawn(move || host.sh(rules)));
            dropping.collect::<Vec<_>>().into_iter().try_for_each(|one| joined(one).map(|_| ()))
        })
    }

    /// Whether the nodes that run say what is foretold of them, and nobody else runs.
    pub fn shows(&self, foretold: &BTreeMap<u32, View>) -> Result<(), String> {
        for (id, wanted) in foretold {
            let seen = view(&self.nodes[id])?;
            if seen != *wanted {
                return Err(format!("n{id} says {seen:?}, foretold {wanted:?}"));
            }
        }
        Ok(())
    }

    fn each(&self, act: impl Fn(&Host<'_>) -> Result<()> + Sync) -> Result<()> {
        each(&self.nodes.values().copied().collect::<Vec<_>>(), act)
    }
}

/// On all of these hosts at once: a cluster whose nodes start one after another takes longer to form.
fn each(hosts: &[Host<'_>], act: impl Fn(&Host<'_>) -> Result<()> + Sync) -> Result<()> {
    let act = &act;
    thread::scope(|scope| {
        let acting: Vec<_> = hosts.iter().map(|host| scope.spawn(move || act(host))).collect();
        acting.into_iter().try_for_each(joined)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// What is killed stays dead, which Debian's units would not let it.
fn stay_dead(host: &Host<'_>) -> Result<()> {
    for unit in ["corosync-qdevice", "corosync-qnetd"] {
        let path = format!("/etc/systemd/system/{unit}.service.d/stays-dead.conf");
        host.write_file(&path, b"[Service]\nRestart=no\n", 0o644)?;
    }
    host.write_file("/etc/default/corosync-qnetd", b"COROSYNC_QNETD_OPTIONS=\"-s off\"\n", 0o644)?;
    host.sh("systemctl daemon-reload").map(|_| ())
}

/// Nothing of an earlier case is left.
fn clear(host: &Host<'_>) -> Result<()> {
    for network in LINKS {
        host.heal(network)?;
    }
    kill(host)?;
    host.sh("iptables -w -F INPUT; iptables -w -F OUTPUT; rm -rf /var/lib/corosync/*; systemctl reset-failed").map(|_| ())
}

/// A QNetd that knows of no cluster yet.
fn serve(host: &Host<'_>) -> Result<()> {
    kill(host)?;
    host.sh("systemctl reset-failed; systemctl start corosync-qnetd").map(|_| ())
}

/// As if the power failed: nobody says goodbye.
fn kill(host: &Host<'_>) -> Result<()> {
    let units = "corosync corosync-qdevice corosync-qnetd";
    host.sh(&format!("systemctl kill -s KILL {units} 2>/dev/null || true"))?;
    wait_until(UP, &format!("the daemons of {} to be dead", host.name()), || {
        let asked = format!("systemctl is-active {units}");
        let said = host.exec(&["sh", "-c", &asked]).map_err(|error| format!("{error:#}"))?;
        let is_dead = said.stdout.lines().all(|state| matches!(state, "inactive" | "failed"));
        if is_dead { Ok(()) } else { Err(said.stdout) }
    })
}

fn view(host: &Host<'_>) -> Result<View, String> {
    let said = host.exec(&["corosync-quorumtool", "-s"]).map_err(|error| format!("{error:#}"))?;
    read(&said.stdout).map_err(|error| format!("{error:#}: {}{}", said.stdout, said.stderr))
}

/// corosync.md 7: a table for people, and nothing else has all of it.
fn read(said: &str) -> Result<View> {
    let word = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.with_context(|| format!("no `{key}`"))
    };
    let (_, table) = said.split_once("Membership information").context("no members")?;
    let ids = table.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    // The device is in the table under the id 0.
    let mut members: Vec<u32> = ids.filter(|id| *id > 0).collect();
    members.sort_unstable();
    ensure!(!members.is_empty(), "no members");
    Ok(View {
        members,
        quorate: word("Quorate")? == "Yes",
        total: word("Total votes")?.parse()?,
        expected: word("Expected votes")?.parse()?,
        needed: word("Quorum")?.parse()?,
    })
}
