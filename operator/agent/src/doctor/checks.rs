//! From facts to lines. Pure.

use std::fmt::Write as _;

use jiff::SignedDuration;
use pvecm_core::change::StageResult;
use pvecm_crds::bootstrap::BOOTSTRAP_PATH;
use pvecm_crds::host::Role;

use super::facts::PROGRAMS;
use super::{Facts, Kept, Line};
use crate::STATE_FOLDER;
use crate::conf_file::ConfFile;

/// A token is renewed after a tenth of its life: with so little left, renewals fail.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(24);

/// All of them, the way that a packet takes first.
pub fn all(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![bootstrap(facts)];
    lines.extend(api_server(facts));
    lines.extend(token(facts));
    lines.extend([clock(facts), name(facts)]);
    if is_witness(facts) {
        lines.push(witness(facts));
    } else {
        lines.extend([packages(facts), cluster_files(facts), corosync(facts)]);
        lines.extend(versions(facts));
    }
    lines.extend(programs(facts));
    lines.extend(units(facts));
    lines.extend(state(facts));
    lines
}

fn is_witness(facts: &Facts) -> bool {
    let reached = facts.reach.as_ref().and_then(|reach| reach.as_ref().ok());
    reached.is_some_and(|reached| reached.host.spec.role == Role::Witness)
}

fn bootstrap(facts: &Facts) -> Line {
    let what = "bootstrap";
    match &facts.bootstrap {
        Kept::Missing => Line::wrong(
            what,
            format!(
                "this host is not enrolled: there is no {BOOTSTRAP_PATH}; type `kubectl pvecm host enrol --one-line {}` \
                 where kubectl works, and paste here what it prints",
                facts.seen.hostname.to_lowercase()
            ),
        ),
        Kept::Bad(why) => Line::wrong(what, format!("{why}; enrol this host again")),
        Kept::Read { mode, .. } if mode & 0o077 != 0 => Line::wrong(
            what,
            format!(
                "others than root may read the token in {BOOTSTRAP_PATH} (mode {mode:o}): `chmod 600 {BOOTSTRAP_PATH}`, \
                 and if somebody has, `kubectl pvecm host enrol --renew`"
            ),
        ),
        Kept::Read { bootstrap, .. } => {
            Line::fine(what, format!("PveHost {}/{}", bootstrap.namespace, bootstrap.host))
        }
    }
}

fn api_server(facts: &Facts) -> Vec<Line> {
    let (Some(reach), Kept::Read { bootstrap, .. }) = (&facts.reach, &facts.bootstrap) else {
        return Vec::new();
    };
    let reached = match reach {
        Err(unreached) => return vec![Line::wrong("api server", unreached.to_string())],
        Ok(reached) => reached,
    };
    let mut lines = vec![Line::fine("api server", bootstrap.server.clone())];
    if !reached.lacks.is_empty() {
        lines.push(Line::wrong(
            "rights",
            format!(
                "the host's account may not {}: `kubectl pvecm host enrol {}` makes its Role anew",
                reached.lacks.join(", "),
                bootstrap.host
            ),
        ));
    }
    let claim = reached.host.status.as_ref().and_then(|status| status.cluster.as_ref());
    lines.push(match claim {
        Some(cluster) => Line::fine("cluster", format!("obeys PveCluster {}", cluster.name)),
        None => Line::note("cluster", "no PveCluster names this host: it does nothing but tell"),
    });
    if reached.host.spec.paused {
        lines.push(Line::note(
            "paused",
            "`spec.paused` of its PveHost is true: the agent changes nothing here",
        ));
    }
    lines
}

fn token(facts: &Facts) -> Option<Line> {
    let end = facts.token_end?;
    let left = end.duration_since(facts.now);
    let renew = "paste here what `kubectl pvecm host enrol --renew` prints";
    Some(if left <= SignedDuration::ZERO {
        Line::wrong("token", format!("it ended at {end}: {renew}"))
    } else if left < ENDS_SOON {
        Line::note(
            "token",
            format!("it ends at {end} and was not renewed: see the api server; else {renew}"),
        )
    } else {
        Line::fine("token", format!("good until {end}, renewed long before"))
    })
}

fn clock(facts: &Facts) -> Line {
    match facts.clock_held {
        Some(true) => Line::fine("clock", "held by a time server"),
        Some(false) => Line::note(
            "clock",
            "no time server holds it: certificates and tokens depend on it; see `timedatectl`, install chrony",
        ),
        None => Line::note("clock", "systemd does not say whether a time server holds it"),
    }
}

fn name(facts: &Facts) -> Line {
    let (what, name) = ("own name", &facts.seen.hostname);
    let mut others = facts.name_addresses.iter().filter(|address| !address.is_loopback());
    if let Some(address) = others.next() {
        return Line::fine(what, format!("{name} is {address}"));
    }
    let seen = if facts.name_addresses.is_empty() {
        "to nothing"
    } else {
        "to this machine's loopback only"
    };
    Line::wrong(
        what,
        format!(
            "{name} resolves {seen}: Proxmox VE needs a line with its address and {name} in /etc/hosts"
        ),
    )
}

fn packages(facts: &Facts) -> Line {
    let version = |package: &str| facts.packages.get(package);
    match (version("corosync"), version("pve-cluster")) {
        (None, _) => Line::wrong(
            "packages",
            "corosync is not installed: `apt install corosync`, or install Proxmox VE",
        ),
        (Some(corosync), None) => Line::note(
            "packages",
            format!("corosync {corosync}, and no package pve-cluster: a host of plain corosync"),
        ),
        (Some(corosync), Some(cluster)) => {
            Line::fine("packages", format!("corosync {corosync}, pve-cluster {cluster}"))
        }
    }
}

fn cluster_files(facts: &Facts) -> Line {
    let what = "/etc/pve";
    let has_pmxcfs = facts.packages.contains_key("pve-cluster");
    match (facts.seen.mounted, facts.seen.writable) {
        (true, true) => Line::fine(what, "mounted, takes writes"),
        (true, false) => Line::wrong(
            what,
            "it takes no writes: this host is not in the quorate part; see `pvecm status` and the lines below",
        ),
        (false, _) if has_pmxcfs => Line::wrong(
            what,
            "it is not mounted: `systemctl status pve-cluster` tells why pmxcfs does not run",
        ),
        (false, _) => Line::note(what, "it is not mounted, and there is no pmxcfs to do so"),
    }
}

fn corosync(facts: &Facts) -> Line {
    let what = "corosync";
    let Some(running) = &facts.seen.corosync else {
        return match (facts.idle(), &facts.seen.disk_conf) {
            (Some(why), _) => {
                Line::wrong(what, format!("{why}; the guide for members says what to do"))
            }
            (None, Some(_)) => Line::wrong(
                what,
                "it does not run, and has a corosync.conf: `systemctl status corosync` tells why",
            ),
            (None, None) => Line::note(what, "it does not run: this host is in no cluster"),
        };
    };
    let members = running.members.len();
    if running.quorate {
        Line::fine(what, format!("quorate, {members} in the membership"))
    } else {
        Line::wrong(
            what,
            format!(
                "no quorum with {members} in the membership: see to the other nodes and to the network between them; \
                 nothing is changed until then"
            ),
        )
    }
}

/// The file in its two places, and the one that the daemon runs.
fn versions(facts: &Facts) -> Option<Line> {
    let seen = &facts.seen;
    let disk = seen.disk_conf.as_ref()?;
    let said =
        |version: Option<u64>| version.map_or("none".to_owned(), |version| version.to_string());
    let of = |file: &ConfFile| file.version().map(|version| version.0);
    let runs = seen.running_version().map(|version| version.0);
    let mut text = format!("version {} on the disk", said(of(disk)));
    if let Some(file) = &seen.pmxcfs_conf {
        let _ = write!(text, ", {} in /etc/pve", said(of(file)));
    }
    if seen.corosync.is_some() {
        let _ = write!(text, ", {} running", said(runs));
    }
    let same_file = seen.pmxcfs_conf.as_ref().is_none_or(|file| file == disk);
    let same_daemon = seen.corosync.is_none() || runs == of(disk);
    Some(if same_file && same_daemon {
        Line::fine("conf", text)
    } else {
        let cure = "during a change that is so for seconds; else `corosync-cfgtool -R` on a quorate node has it read anew";
        Line::wrong("conf", format!("{text}: {cure}"))
    })
}

fn witness(facts: &Facts) -> Line {
    let what = "qnetd";
    if !facts.packages.contains_key("corosync-qnetd") {
        Line::wrong(
            what,
            "this host is a witness without corosync-qnetd: `apt install corosync-qnetd`",
        )
    } else if facts.serves {
        Line::fine(what, "serves")
    } else {
        Line::note(what, "it does not run: the agent starts it once a cluster wants its vote")
    }
}

fn programs(facts: &Facts) -> Vec<Line> {
    let missing = PROGRAMS.iter().filter(|(program, _)| facts.missing.contains(program));
    let line = |(program, package): &(&str, &str)| {
        let sentence = format!("{program} is not found: `apt install {package}`");
        match *program {
            // Only a cluster with a QDevice needs the one, and only a gate that asks the other nodes the other.
            "corosync-qdevice" => {
                Line::note("programs", format!("{sentence} before a QDevice is wanted"))
            }
            "ssh" => Line::note(
                "programs",
                format!("{sentence}, or the gate asks no other node at boot"),
            ),
            _ => Line::wrong(
                "programs",
                format!("{sentence}; without it no address is tried before it carries"),
            ),
        }
    };
    let lines: Vec<_> = missing.map(line).collect();
    if lines.is_empty() {
        vec![Line::fine("programs", "all that the agent calls are there")]
    } else {
        lines
    }
}

fn units(facts: &Facts) -> Vec<Line> {
    let Some((agent, gate)) = facts.units else {
        return vec![Line::note("units", "systemd does not run here")];
    };
    let agent = if agent {
        Line::fine("agent", "pvecm-agent.service runs")
    } else {
        Line::wrong(
            "agent",
            "pvecm-agent.service does not run: `systemctl status pvecm-agent` tells why",
        )
    };
    let gate = if gate {
        Line::fine("gate", "it looks before corosync starts at boot")
    } else {
        Line::wrong(
            "gate",
            "it is not enabled, so a host that was off may start with an old corosync.conf: \
             `systemctl enable pvecm-agent-gate`",
        )
    };
    vec![agent, gate]
}

fn state(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Err(why) = &facts.held.writable {
        lines.push(Line::wrong(
            "state",
            format!("{STATE_FOLDER} takes no files ({why}): without it no stage is begun; is the disk full or read-only?"),
        ));
    }
    let ledger = match &facts.held.ledger {
        Ok(ledger) => ledger,
        Err(why) => {
            lines.push(Line::wrong(
                "ledger",
                format!(
                    "{why}; {STATE_FOLDER}/ledger.json is what keeps old changes from being done again: restore it from \
                     a backup of this host"
                ),
            ));
            return lines;
        }
    };
    lines.push(match (&ledger.pending, &ledger.last) {
        (Some(pending), _) => {
            let at = pending.attempt;
            Line::note(
                "ledger",
                format!("stage {} of change {} is under way", at.stage, at.change.0),
            )
        }
        (None, Some(last)) if last.result == StageResult::Failed => Line::wrong(
            "ledger",
            format!(
                "stage {} of change {} ended badly: {}",
                last.stage, last.change.0, last.message
            ),
        ),
        (None, Some(last)) => {
            Line::fine("ledger", format!("change {} was the last, nothing is open", last.change.0))
        }
        (None, None) => Line::fine("ledger", "no change was ever done here"),
    });
    let is_own = |id: &Option<String>| id.is_some() && *id == facts.machine_id;
    if ledger.tombstones.iter().any(|gone| is_own(&gone.machine_id)) {
        lines.push(Line::wrong(
            "removed",
            "this machine was removed from its cluster: it may come back only as a new node",
        ));
    }
    lines
}
