//! What must hold before and after a stage, judged from one look. Pure.

use pvecm_core::change::{ConfText, Course, Parent, Probe, Stage};
use pvecm_core::conf::{Config, Document, values_at_start};
use pvecm_core::ids::{ConfigVersion, LinkNumber, NodeId};
use pvecm_core::protocol::InForce;

use crate::conf_file::ConfFile;
use crate::observe::Observation;
use crate::ports::CorosyncView;
use crate::ways::asks;

/// Whether a stage is in force as this host sees it; else one sentence about the first thing that is
/// not. Nothing that a command returned counts, only what is seen (facts/corosync.md 4).
pub fn holds(stage: &Stage, me: Option<NodeId>, seen: &Observation) -> Result<(), String> {
    // In an outage /etc/pve gets the text when all this holds.
    let outage = stage.course == Course::Outage;
    if outage {
        runs_everywhere(&stage.config, seen)?;
    } else {
        in_force(&stage.config, seen)?;
    }
    let Some(corosync) = &seen.corosync else { return Err("corosync does not run".to_owned()) };
    let members = stage.group.keys().chain(stage.joining.keys());
    let others: Vec<NodeId> = members.copied().filter(|node| Some(*node) != me).collect();
    let starts = outage || me.is_some_and(|me| stage.joining.contains_key(&me));
    stage.probes.iter().try_for_each(|probe| match probe {
        Probe::StartedWith { key, value } if starts => {
            let started = seen.started.get(key);
            if started == Some(value) {
                return Ok(());
            }
            let word = started.map_or("nobody knows which", String::as_str);
            Err(format!("corosync was started with {key} {word}, not {value}"))
        }
        Probe::LinkConnected { link } => down(corosync, *link, &others).map_or(Ok(()), |node| {
            let passage = passage(stage, me, (*link, node), seen).unwrap_or_default();
            Err(format!("link {link} to node {node} is not connected{passage}"))
        }),
        probe => probe_holds(probe, corosync),
    })
}

/// The first of these nodes that a link does not lead to.
fn down(corosync: &CorosyncView, link: LinkNumber, others: &[NodeId]) -> Option<NodeId> {
    let is_down = |node: &&NodeId| corosync.links.get(&(**node, link)) != Some(&true);
    others.iter().find(is_down).copied()
}

/// What a firewall has to let through for a link of the stage: echo requests passed before it began.
fn passage(
    stage: &Stage,
    me: Option<NodeId>,
    at: (LinkNumber, NodeId),
    seen: &Observation,
) -> Option<String> {
    let config = Config::read(&Document::parse(stage.config.text.as_bytes())).ok()?;
    let ask = asks(&config, None, me?).into_iter().find(|ask| (ask.link, ask.node) == at)?;
    let passage = ask.passage(&config, &seen.addresses);
    Some(format!("; if {} answers echo requests at {}, {passage}", ask.name, ask.address))
}

/// Whether a text is in force in all three places, on a host that is quorate and writable.
pub fn in_force(config: &ConfText, seen: &Observation) -> Result<(), String> {
    if !seen.mounted {
        return Err("pmxcfs is not mounted at /etc/pve".to_owned());
    }
    same_text("/etc/pve/corosync.conf", seen.pmxcfs_conf.as_deref(), config)?;
    runs_everywhere(config, seen)
}

/// The same, but for the text in /etc/pve.
fn runs_everywhere(config: &ConfText, seen: &Observation) -> Result<(), String> {
    let Some(corosync) = &seen.corosync else { return Err("corosync does not run".to_owned()) };
    same_text("/etc/corosync/corosync.conf", seen.disk_conf.as_deref(), config)?;
    runs(seen, config.version)?;
    every_member_runs(corosync, config.version)?;
    if !corosync.quorate {
        return Err("this host is not in the quorate part".to_owned());
    }
    if seen.writable { Ok(()) } else { Err("/etc/pve takes no writes".to_owned()) }
}

/// Whether a place has a text; else one sentence that names both.
pub fn same_text(place: &str, bytes: Option<&[u8]>, config: &ConfText) -> Result<(), String> {
    if bytes == Some(config.text.as_bytes()) {
        return Ok(());
    }
    Err(format!("{place} is not the file with config_version {}", config.version))
}

fn runs(seen: &Observation, version: ConfigVersion) -> Result<(), String> {
    match seen.running_version() {
        Some(running) if running == version => Ok(()),
        Some(running) => Err(format!("corosync here runs version {running}, not {version}")),
        None => Err("corosync says no version".to_owned()),
    }
}

/// Each member pushes its version to all others after a reload, so that one host sees every other.
fn every_member_runs(corosync: &CorosyncView, version: ConfigVersion) -> Result<(), String> {
    for node in &corosync.members {
        let value = |key: &str| corosync.values.get(&format!("runtime.members.{node}.{key}"));
        if value("status").map(String::as_str) != Some("joined") {
            return Err(format!("node {node} has not joined yet"));
        }
        let running = value("config_version").map_or("none", String::as_str);
        if running != version.to_string() {
            return Err(format!("node {node} runs version {running}, not {version}"));
        }
    }
    Ok(())
}

fn probe_holds(probe: &Probe, corosync: &CorosyncView) -> Result<(), String> {
    match probe {
        Probe::RunningValue { key, value } => {
            let running = corosync.values.get(key);
            if running == value.as_ref() {
                return Ok(());
            }
            let word =
                |value: Option<&String>| value.map_or("absent".to_owned(), |v| format!("`{v}`"));
            Err(format!("running {key} is {}, not {}", word(running), word(value.as_ref())))
        }
        // Of the first only those who start can say so, and they do; the second takes time, so the run
        // judges it; the third is asked of each other node.
        Probe::StartedWith { .. } | Probe::AuthkeyTaken {} | Probe::LinkConnected { .. } => Ok(()),
        Probe::Membership { nodes } => {
            if nodes.iter().copied().eq(corosync.members.iter().copied()) {
                return Ok(());
            }
            let members: Vec<String> = corosync.members.iter().map(NodeId::to_string).collect();
            Err(format!("the membership is {}", members.join(", ")))
        }
    }
}

/// Whether what a stage starts from is in force here, in all places, and this host quorate.
pub fn parent_in_force(parent: Option<&Parent>, seen: &Observation) -> Result<(), String> {
    parent_lies(parent, seen)?;
    if seen.quorate() { Ok(()) } else { Err("this host is not in the quorate part".to_owned()) }
}

/// Whether what a stage starts from lies in all places here, and the daemon runs it, with quorum or without.
pub fn parent_lies(parent: Option<&Parent>, seen: &Observation) -> Result<(), String> {
    let Some(parent) = parent else { return Err("the stage names no parent".to_owned()) };
    let is_parent =
        |file: &Option<ConfFile>| file.as_ref().is_some_and(|file| file.digest() == parent.digest);
    if !is_parent(&seen.pmxcfs_conf) {
        return Err("/etc/pve/corosync.conf is not what the change starts from".to_owned());
    }
    if !is_parent(&seen.disk_conf) {
        return Err("/etc/corosync/corosync.conf is not what the change starts from".to_owned());
    }
    runs(seen, parent.version)
}

/// Whether the links that must be connected after a stage, and exist already, are connected now. A link
/// that fails between plan and write would otherwise be the last one of a pair when another is removed.
pub fn links_carry(stage: &Stage, corosync: Option<&CorosyncView>) -> Result<(), String> {
    let Some(corosync) = corosync else { return Err("corosync does not run".to_owned()) };
    let down = |link: LinkNumber| {
        let mut pairs = corosync
            .links
            .iter()
            .filter(|((node, number), _)| *number == link && stage.group.contains_key(node));
        pairs.find(|(_, connected)| !**connected).map(|((node, _), _)| *node)
    };
    let probed = stage.probes.iter().filter_map(|probe| match probe {
        Probe::LinkConnected { link } => Some(*link),
        Probe::RunningValue { .. }
        | Probe::StartedWith { .. }
        | Probe::AuthkeyTaken {}
        | Probe::Membership { .. } => None,
    });
    for link in probed {
        if let Some(node) = down(link) {
            return Err(format!("link {link} to node {node} is not connected"));
        }
    }
    Ok(())
}

/// Which of a stage's texts these bytes are. Its own comes first: a stage that writes nothing has the
/// same text before and after.
#[must_use]
pub fn which(stage: &Stage, parent: Option<&str>, bytes: Option<&[u8]>) -> InForce {
    let Some(bytes) = bytes else {
        return if parent.is_none() { InForce::Parent } else { InForce::Other };
    };
    if bytes == stage.config.text.as_bytes() {
        InForce::New
    } else if stage.back.as_ref().is_some_and(|back| bytes == back.text.as_bytes()) {
        InForce::Back
    } else if parent.is_some_and(|parent| bytes == parent.as_bytes()) {
        InForce::Parent
    } else {
        InForce::Other
    }
}

/// In an outage, which of its texts lies on the own disk, where the daemon runs it.
#[must_use]
pub fn text_run(stage: &Stage, parent: Option<&str>, seen: &Observation) -> InForce {
    if stage.course != Course::Outage {
        return InForce::Other;
    }
    let lies = which(stage, parent, seen.disk_conf.as_deref());
    let version = seen.disk_conf.as_deref().and_then(|bytes| Document::parse(bytes).version());
    let runs = version.is_some() && version == seen.running_version();
    if runs && was_started_with(stage, lies, seen) { lies } else { InForce::Other }
}

/// A daemon that read a text at a reload, because pmxcfs handed it out, goes on with what it was started
/// with (corosync.md 5.6). Of one that nobody has seen start, nothing is known.
fn was_started_with(stage: &Stage, text: InForce, seen: &Observation) -> bool {
    let values = |conf: &ConfText| {
        let config = Config::read(&Document::parse(conf.text.as_bytes()));
        config.as_ref().map(values_at_start).unwrap_or_default()
    };
    let new = values(&stage.config);
    let old = stage.back.as_ref().map(values).unwrap_or_default();
    let wanted = if text == InForce::New { &new } else { &old };
    let mut moved = wanted.iter().filter(|(key, _)| new.get(*key) != old.get(*key));
    moved.all(|(key, value)| seen.started.get(key).is_none_or(|started| started == value))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use pvecm_core::change::Risk;

    use super::*;

    const TEXT: &str = "totem {\n  config_version: 5\n}\n";

    fn node(id: u32) -> NodeId {
        NodeId::try_from(id).unwrap()
    }

    fn config() -> ConfText {
        ConfText::new(ConfigVersion(5), TEXT.to_owned())
    }

    fn file(text: &str) -> ConfFile {
        text.as_bytes().to_vec().into()
    }

    /// A host on which the text is in force, in a cluster of two with one link.
    fn good() -> Observation {
        let key = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let values = BTreeMap::from([
            key("totem.config_version", "5"),
            key("runtime.members.1.status", "joined"),
            key("runtime.members.1.config_version", "5"),
            key("runtime.members.2.status", "joined"),
            key("runtime.members.2.config_version", "5"),
        ]);
        Observation {
            corosync: Some(CorosyncView {
                values,
                links: BTreeMap::from([((node(2), LinkNumber::try_from(0).unwrap()), true)]),
                quorate: true,
                members: BTreeSet::from([node(1), node(2)]),
                local: Some(node(1)),
                ..CorosyncView::default()
            }),
            mounted: true,
            writable: true,
            pmxcfs_conf: Some(file(TEXT)),
            disk_conf: Some(file(TEXT)),
            ..Observation::default()
        }
    }

    fn running(seen: &mut Observation) -> &mut CorosyncView {
        seen.corosync.as_mut().unwrap()
    }

    fn set(seen: &mut Observation, key: &str, value: &str) {
        running(seen).values.insert(key.to_owned(), value.to_owned());
    }

    #[test]
    fn a_text_is_in_force_only_while_every_place_and_every_member_says_so() {
        assert_eq!(in_force(&config(), &good()), Ok(()));
        let breaks: [fn(&mut Observation); 10] = [
            |seen| seen.corosync = None,
            |seen| seen.mounted = false,
            |seen| seen.writable = false,
            |seen| seen.pmxcfs_conf = None,
            |seen| seen.disk_conf = Some(file("other")),
            |seen| running(seen).quorate = false,
            |seen| set(seen, "totem.config_version", "4"),
            |seen| set(seen, "runtime.members.2.config_version", "4"),
            |seen| set(seen, "runtime.members.2.status", "left"),
            |seen| _ = running(seen).members.insert(node(3)),
        ];
        for (at, break_it) in breaks.into_iter().enumerate() {
            let mut seen = good();
            break_it(&mut seen);
            assert!(in_force(&config(), &seen).is_err(), "break {at}");
        }
    }

    #[test]
    fn what_a_stage_starts_from_is_looked_for_in_every_place() {
        let parent = Parent { version: ConfigVersion(5), digest: config().digest };
        assert_eq!(parent_in_force(Some(&parent), &good()), Ok(()));
        assert!(parent_in_force(None, &good()).is_err());
        let breaks: [fn(&mut Observation); 4] = [
            |seen| seen.pmxcfs_conf = Some(file("other")),
            |seen| seen.disk_conf = None,
            |seen| set(seen, "totem.config_version", "4"),
            |seen| running(seen).quorate = false,
        ];
        for (at, break_it) in breaks.into_iter().enumerate() {
            let mut seen = good();
            break_it(&mut seen);
            assert!(parent_in_force(Some(&parent), &seen).is_err(), "break {at}");
        }
    }

    #[test]
    fn each_probe_reads_the_running_daemon() {
        let seen = good();
        let corosync = seen.corosync.as_ref().unwrap();
        let holds = |probe: Probe| probe_holds(&probe, corosync).is_ok();
        let value = |value: Option<&str>| Probe::RunningValue {
            key: "totem.config_version".to_owned(),
            value: value.map(str::to_owned),
        };
        let membership =
            |ids: &[u32]| Probe::Membership { nodes: ids.iter().map(|id| node(*id)).collect() };
        assert!(holds(value(Some("5"))) && !holds(value(Some("6"))) && !holds(value(None)));
        assert!(holds(membership(&[1, 2])));
        assert!(!holds(membership(&[1])) && !holds(membership(&[1, 2, 3])));
    }

    /// The sentence that a person reads when the stage was undone for it.
    #[test]
    fn a_link_that_does_not_connect_is_told_with_what_has_to_be_let_through() {
        let mut stage = stage(&[0, 1]);
        let nodes = [1, 2].map(|id| {
            format!(
                "  node {{\n    name: n{id}\n    nodeid: {id}\n    ring1_addr: 10.1.0.{id}\n  }}\n"
            )
        });
        let text = format!(
            "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: 5\n}}\nnodelist {{\n{}}}\nquorum \
             {{\n  provider: corosync_votequorum\n}}\n",
            nodes.concat()
        );
        stage.config = ConfText::new(ConfigVersion(5), text.clone());
        let mut seen = good();
        (seen.pmxcfs_conf, seen.disk_conf) = (Some(file(&text)), Some(file(&text)));
        let refused = holds(&stage, Some(node(1)), &seen).unwrap_err();
        let wanted = "link 1 to node 2 is not connected; if n2 answers echo requests at 10.1.0.2, UDP port 5406 does \
                      not pass between 10.1.0.1 and 10.1.0.2;";
        assert!(refused.starts_with(wanted), "{refused}");
        running(&mut seen).links.insert((node(2), LinkNumber::try_from(1).unwrap()), true);
        assert_eq!(holds(&stage, Some(node(1)), &seen), Ok(()));
        running(&mut seen).links.insert((node(2), LinkNumber::ZERO), false);
        let refused = holds(&stage, Some(node(1)), &seen).unwrap_err();
        assert_eq!(refused, "link 0 to node 2 is not connected", "of which the text says nothing");
    }

    /// pmxcfs may hand out what undoes an outage while a daemon still runs what it was started with.
    #[test]
    fn in_an_outage_a_daemon_runs_only_what_it_was_started_with() {
        let text = |version: u64, family: &str| {
            let text = format!(
                "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: {version}\n  ip_version: \
                 {family}\n}}\nnodelist {{\n  node {{\n    name: n1\n    nodeid: 1\n    ring0_addr: \
                 10.0.0.1\n  }}\n}}\nquorum {{\n  provider: corosync_votequorum\n}}\n"
            );
            ConfText::new(ConfigVersion(version), text)
        };
        let (new, back) = (text(5, "ipv4"), text(6, "ipv4-6"));
        let (course, back) = (Course::Outage, Some(back));
        let stage = Stage { course, config: new.clone(), back: back.clone(), ..stage(&[]) };
        let runs = |conf: &ConfText, started: &str| {
            let mut seen = good();
            seen.disk_conf = Some(file(&conf.text));
            set(&mut seen, "totem.config_version", &conf.version.to_string());
            seen.started = [("totem.ip_version".to_owned(), started.to_owned())].into();
            text_run(&stage, None, &seen)
        };
        let back = back.unwrap();
        assert_eq!((runs(&new, "ipv4"), runs(&back, "ipv4-6")), (InForce::New, InForce::Back));
        assert_eq!((runs(&new, "ipv4-6"), runs(&back, "ipv4")), (InForce::Other, InForce::Other));
    }

    #[test]
    fn what_a_daemon_was_started_with_is_asked_only_of_those_that_start() {
        let value = "rr".to_owned();
        let probe = Probe::StartedWith { key: "totem.link_mode".to_owned(), value };
        let mut stage = Stage { probes: vec![probe], ..stage(&[]) };
        stage.joining = [(node(2), "n2".parse().unwrap())].into();
        let mut seen = good();
        assert_eq!(holds(&stage, Some(node(1)), &seen), Ok(()));
        assert!(holds(&stage, Some(node(2)), &seen).is_err(), "nobody knows");
        seen.started = [("totem.link_mode".to_owned(), "passive".to_owned())].into();
        assert!(holds(&stage, Some(node(2)), &seen).is_err());
        seen.started = [("totem.link_mode".to_owned(), "rr".to_owned())].into();
        assert_eq!(holds(&stage, Some(node(2)), &seen), Ok(()));
    }

    /// A stage of nodes 1 and 2 after which these links must be connected.
    fn stage(links: &[u32]) -> Stage {
        let link = |link: &u32| Probe::LinkConnected { link: LinkNumber::try_from(*link).unwrap() };
        Stage {
            summary: String::new(),
            risk: Risk::Live,
            course: Course::Write,
            group: [1, 2].map(|id| (node(id), format!("n{id}").parse().unwrap())).into(),
            joining: BTreeMap::new(),
            config: config(),
            back: None,
            actions: BTreeMap::new(),
            probes: links.iter().map(link).collect(),
            limits: BTreeMap::new(),
            confirm_timeout_secs: 10,
        }
    }

    #[test]
    fn a_link_that_must_carry_after_a_stage_has_to_carry_before_it() {
        let mut seen = good();
        assert_eq!(links_carry(&stage(&[0, 1]), seen.corosync.as_ref()), Ok(()));
        running(&mut seen).links.insert((node(2), LinkNumber::try_from(0).unwrap()), false);
        assert!(links_carry(&stage(&[0, 1]), seen.corosync.as_ref()).is_err());
        assert_eq!(links_carry(&stage(&[1]), seen.corosync.as_ref()), Ok(()));
        // A node that is listed and not started yet is no reason to wait.
        let mut seen = good();
        running(&mut seen).links.insert((node(3), LinkNumber::try_from(0).unwrap()), false);
        assert_eq!(links_carry(&stage(&[0]), seen.corosync.as_ref()), Ok(()));
    }
}
