use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pvecm_core::change::{StageResult, Tombstone};
use pvecm_core::gate::{Held as HeldFile, Idle};
use pvecm_core::ids::{ChangeNumber, ConfigVersion, Digest};
use pvecm_crds::PveHost;
use serde_json::json;

use super::facts::{Held, Kept};
use super::{Facts, Grade, Line, checks};
use crate::api::{Reached, Unreached};
use crate::conf_file::ConfFile;
use crate::ledger::{Last, Ledger};
use crate::observe::Observation;
use crate::ports::CorosyncView;

fn host(extra: &serde_json::Value) -> PveHost {
    let mut host = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
        "metadata": {"name": "n1", "namespace": "pve"}, "spec": {},
        "status": {"cluster": {"name": "prod", "uid": "u-1"}}});
    for (key, value) in extra.as_object().unwrap() {
        host[key] = value.clone();
    }
    serde_json::from_value(host).unwrap()
}

fn conf(version: u64) -> ConfFile {
    ConfFile::from(format!("totem {{\n  config_version: {version}\n}}\n").into_bytes())
}

/// A quorate member on which nothing is wrong.
fn healthy() -> Facts {
    let bootstrap = json!({"server": "https://192.0.2.1:6443", "certificateAuthority": "",
        "namespace": "pve", "host": "n1", "token": "", "heartbeatSeconds": 30,
        "expirationSeconds": 600});
    let corosync = CorosyncView {
        values: BTreeMap::from([("totem.config_version".to_owned(), "7".to_owned())]),
        quorate: true,
        ..CorosyncView::default()
    };
    let packages = [("corosync", "3.1.9"), ("pve-cluster", "9.0.6")];
    Facts {
        now: Timestamp::UNIX_EPOCH,
        bootstrap: Kept::Read {
            bootstrap: Box::new(serde_json::from_value(bootstrap).unwrap()),
            mode: 0o600,
        },
        reach: Some(Ok(Reached { host: host(&json!({})), lacks: Vec::new() })),
        token_end: Timestamp::from_second(90 * 24 * 3600).ok(),
        clock_held: Some(true),
        name_addresses: BTreeSet::from(["10.0.0.1".parse().unwrap()]),
        packages: packages.map(|(package, version)| (package, version.to_owned())).into(),
        missing: BTreeSet::new(),
        seen: Observation {
            corosync: Some(corosync),
            mounted: true,
            writable: true,
            pmxcfs_conf: Some(conf(7)),
            disk_conf: Some(conf(7)),
            hostname: "n1".to_owned(),
            ..Observation::default()
        },
        units: Some((true, true)),
        serves: false,
        held: Held { ledger: Ok(Ledger::default()), writable: Ok(()) },
        machine_id: Some("m-1".to_owned()),
    }
}

/// What is said that is not fine, after a change to the healthy member.
fn said(change: impl FnOnce(&mut Facts)) -> Vec<(Grade, String)> {
    let mut facts = healthy();
    change(&mut facts);
    let bad = checks::all(&facts).into_iter().filter(|line| line.grade != Grade::Fine);
    bad.map(|Line { grade, what, sentence }| (grade, format!("{what}: {sentence}"))).collect()
}

/// The one thing that is said, and how bad it is.
#[track_caller]
fn one(grade: Grade, begins: &str, change: impl FnOnce(&mut Facts)) {
    let said = said(change);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, grade, "{said:?}");
    assert!(said[0].1.starts_with(begins), "{said:?}");
}

use Grade::{Note, Wrong};

#[test]
fn of_a_healthy_member_nothing_is_said_but_that_it_is() {
    assert_eq!(said(|_| ()), []);
    let lines: Vec<_> = checks::all(&healthy()).iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "ok    bootstrap  PveHost pve/n1");
    assert!(
        lines.contains(
            &"ok    conf       version 7 on the disk, 7 in /etc/pve, 7 running".to_owned()
        )
    );
}

#[test]
fn a_host_without_enrolment_is_told_what_to_type_and_the_rest_is_looked_at_all_the_same() {
    one(Wrong, "bootstrap: this host is not enrolled", |facts| {
        facts.bootstrap = Kept::Missing;
        (facts.reach, facts.token_end) = (None, None);
    });
    let typed = said(|facts| facts.bootstrap = Kept::Missing);
    assert!(typed[0].1.contains("`kubectl pvecm host enrol --one-line n1`"), "{typed:?}");
    one(Wrong, "bootstrap: it is not understood; enrol this host again", |facts| {
        facts.bootstrap = Kept::Bad("it is not understood".to_owned());
    });
    one(Wrong, "bootstrap: others than root may read the token", |facts| {
        if let Kept::Read { mode, .. } = &mut facts.bootstrap {
            *mode = 0o644;
        }
    });
}

#[test]
fn what_keeps_a_host_from_the_api_server_is_passed_on() {
    one(Wrong, "api server: there is no PveHost pve/n1", |facts| {
        facts.reach = Some(Err(Unreached::NoHost("pve/n1".to_owned())));
    });
    one(Wrong, "rights: the host's account may not patch leases", |facts| {
        let lacks = vec!["patch leases".to_owned()];
        facts.reach = Some(Ok(Reached { host: host(&json!({})), lacks }));
    });
    one(Note, "cluster: no PveCluster names this host", |facts| {
        let free = host(&json!({"status": {}}));
        facts.reach = Some(Ok(Reached { host: free, lacks: Vec::new() }));
    });
    one(Note, "paused: `spec.paused`", |facts| {
        let paused = host(&json!({"spec": {"paused": true}}));
        facts.reach = Some(Ok(Reached { host: paused, lacks: Vec::new() }));
    });
}

#[test]
fn a_token_that_has_ended_is_wrong_and_one_that_ends_soon_is_noted() {
    one(Wrong, "token: it ended at 1969-12-31T23:59:59Z", |facts| {
        facts.token_end = Timestamp::from_second(-1).ok();
    });
    one(Note, "token: it ends at 1970-01-01T01:00:00Z and was not renewed", |facts| {
        facts.token_end = Timestamp::from_second(3600).ok();
    });
}

#[test]
fn the_clock_and_the_own_name_are_looked_at() {
    one(Note, "clock: no time server holds it", |facts| facts.clock_held = Some(false));
    one(Note, "clock: systemd does not say", |facts| facts.clock_held = None);
    one(Wrong, "own name: n1 resolves to nothing", |facts| facts.name_addresses.clear());
    one(Wrong, "own name: n1 resolves to this machine's loopback only", |facts| {
        facts.name_addresses = BTreeSet::from(["127.0.1.1".parse().unwrap()]);
    });
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    one(Wrong, "packages: corosync is not installed", |facts| {
        facts.packages.remove("corosync");
    });
    one(Wrong, "programs: arping is not found: `apt install iputils-arping`", |facts| {
        facts.missing.insert("arping");
    });
    one(Note, "programs: corosync-qdevice is not found", |facts| {
        facts.missing.insert("corosync-qdevice");
    });
    one(Note, "programs: ssh is not found", |facts| {
        facts.missing.insert("ssh");
    });
}

#[test]
fn a_host_of_plain_corosync_has_no_pmxcfs_and_that_is_noted() {
    let said = said(|facts| {
        facts.packages.remove("pve-cluster");
        (facts.seen.mounted, facts.seen.writable) = (false, false);
        facts.seen.pmxcfs_conf = None;
    });
    assert!(said.iter().all(|(grade, _)| *grade == Note), "{said:?}");
    assert!(said[0].1.contains("a host of plain corosync"), "{said:?}");
}

#[test]
fn etc_pve_that_is_away_or_takes_no_writes_is_wrong() {
    one(Wrong, "/etc/pve: it is not mounted: `systemctl status pve-cluster`", |facts| {
        (facts.seen.mounted, facts.seen.writable) = (false, false);
        facts.seen.pmxcfs_conf = None;
    });
    one(Wrong, "/etc/pve: it takes no writes", |facts| facts.seen.writable = false);
}

#[test]
fn corosync_that_does_not_run_has_a_reason_where_one_is_known() {
    let stopped = |facts: &mut Facts| facts.seen.corosync = None;
    one(Wrong, "corosync: it does not run, and has a corosync.conf", stopped);
    one(Wrong, "corosync: corosync is held: version 9 does not list n1", |facts| {
        stopped(facts);
        let because = "version 9 does not list n1".to_owned();
        facts.seen.idle = Some(Idle::Held(HeldFile { version: ConfigVersion(9), because }));
    });
    one(Note, "corosync: it does not run: this host is in no cluster", |facts| {
        stopped(facts);
        (facts.seen.disk_conf, facts.seen.pmxcfs_conf) = (None, None);
    });
    one(Wrong, "corosync: no quorum with 0 in the membership", |facts| {
        facts.seen.corosync.as_mut().unwrap().quorate = false;
    });
}

#[test]
fn versions_that_differ_are_all_told() {
    one(Wrong, "conf: version 8 on the disk, 8 in /etc/pve, 7 running: ", |facts| {
        facts.seen.disk_conf = Some(conf(8));
        facts.seen.pmxcfs_conf = Some(conf(8));
    });
    one(Wrong, "conf: version 7 on the disk, 8 in /etc/pve, 7 running: ", |facts| {
        facts.seen.pmxcfs_conf = Some(conf(8));
    });
}

#[test]
fn a_witness_needs_qnetd_and_no_cluster_of_its_own() {
    let witness = |facts: &mut Facts| {
        let host = host(&json!({"spec": {"role": "Witness"}}));
        facts.reach = Some(Ok(Reached { host, lacks: Vec::new() }));
        facts.seen = Observation { hostname: "w1".to_owned(), ..Observation::default() };
    };
    one(Wrong, "qnetd: this host is a witness without corosync-qnetd", witness);
    one(Note, "qnetd: it does not run", |facts| {
        witness(facts);
        facts.packages.insert("corosync-qnetd", "3.0.3".to_owned());
    });
    let fine = said(|facts| {
        witness(facts);
        facts.packages.insert("corosync-qnetd", "3.0.3".to_owned());
        facts.serves = true;
    });
    assert_eq!(fine, []);
}

#[test]
fn units_that_are_off_are_named() {
    one(Wrong, "agent: pvecm-agent.service does not run", |facts| {
        facts.units = Some((false, true));
    });
    one(Wrong, "gate: it is not enabled", |facts| facts.units = Some((true, false)));
    one(Note, "units: systemd does not run here", |facts| facts.units = None);
}

#[test]
fn what_the_ledger_says_is_told() {
    one(Wrong, "state: /var/lib/pvecm-agent takes no files (full)", |facts| {
        facts.held.writable = Err("full".to_owned());
    });
    one(Wrong, "ledger: it is damaged; ", |facts| {
        facts.held.ledger = Err("it is damaged".to_owned());
    });
    one(Wrong, "ledger: stage 2 of change 7 ended badly: a person was faster", |facts| {
        let last = Last {
            change: ChangeNumber(7),
            digest: Digest::of(b""),
            stage: 2,
            result: StageResult::Failed,
            message: "a person was faster".to_owned(),
        };
        facts.held.ledger = Ok(Ledger { last: Some(last), ..Ledger::default() });
    });
    one(Wrong, "removed: this machine was removed from its cluster", |facts| {
        let tombstone = json!({"name": "n1", "nodeId": 1, "machineId": "m-1"});
        let tombstone: Tombstone = serde_json::from_value(tombstone).unwrap();
        facts.held.ledger = Ok(Ledger { tombstones: [tombstone].into(), ..Ledger::default() });
    });
}
