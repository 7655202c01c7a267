//! `kubectl pvecm hosts`: the machines of a namespace, one line each.

use anyhow::Context as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use pvecm_crds::PveHost;
use pvecm_crds::condition::kind;
use pvecm_crds::host::{FileView, HaState, PveHostStatus, Role};

use crate::cli::Connection;
use crate::exit::Verdict;
use crate::output::{Listing, age, print_listing, table};

/// Prints the hosts; of one cluster where one is named.
pub async fn run(
    cluster: Option<&str>,
    output: Listing,
    connection: &Connection,
) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    let api: Api<PveHost> = Api::namespaced(client, &namespace);
    let listed = api.list(&ListParams::default()).await.context("cannot read the PveHosts")?;
    let is_wanted = |host: &PveHost| cluster.is_none_or(|wanted| obeyed(host) == Some(wanted));
    let hosts: Vec<_> = listed.items.into_iter().filter(is_wanted).collect();
    print_listing(output, &hosts, |wide| shown(&hosts, wide, Timestamp::now()))?;
    Ok(Verdict::Fine)
}

/// The cluster whose changes a host obeys.
fn obeyed(host: &PveHost) -> Option<&str> {
    Some(host.status.as_ref()?.cluster.as_ref()?.name.as_str())
}

const COLUMNS: [&str; 13] = [
    "NAME",
    "ROLE",
    "CLUSTER",
    "HEARD",
    "CONFIG",
    "HA",
    "GUESTS",
    "COROSYNC",
    "PVE-CLUSTER",
    "AGENT",
    "TOKEN",
    "ADDRESSES",
    "MESSAGE",
];

/// The columns that are always shown.
const NARROW: [usize; 7] = [0, 1, 2, 3, 4, 5, 12];

fn shown(hosts: &[PveHost], wide: bool, now: Timestamp) -> String {
    let rows: Vec<_> = hosts.iter().map(|host| row(host, now)).collect();
    if wide {
        return table(COLUMNS, &rows);
    }
    let narrow = rows.iter().map(|row| NARROW.map(|column| row[column].clone()));
    table(NARROW.map(|column| COLUMNS[column]), &narrow.collect::<Vec<_>>())
}

fn row(host: &PveHost, now: Timestamp) -> [String; 13] {
    let status = host.status.clone().unwrap_or_default();
    let told = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
    let addresses: Vec<_> = status.addresses.iter().map(|a| a.cidr.as_str()).collect();
    let token = status.token_expiry.as_ref();
    [
        host.name_any(),
        match host.spec.role {
            Role::Member => "Member".to_owned(),
            Role::Witness => "Witness".to_owned(),
        },
        told(obeyed(host).map(str::to_owned)),
        told(condition(&status, kind::CONNECTED).map(|(word, _)| word.to_owned())),
        config(&status),
        told(status.ha.as_ref().map(|ha| high_availability(ha.state).to_owned())),
        status.guests.len().to_string(),
        told(status.corosync_version.clone()),
        told(status.pmxcfs.as_ref().and_then(|pmxcfs| pmxcfs.version.clone())),
        told(status.agent_version.clone()),
        told(token.map(|end| age(end.0.as_second() - now.as_second()))),
        addresses.join(","),
        message(host, &status),
    ]
}

/// Status and sentence of a condition.
fn condition<'a>(status: &'a PveHostStatus, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.message))
}

/// The running version, and those of the files that differ from it.
fn config(status: &PveHostStatus) -> String {
    let files = status.files.clone().unwrap_or_default();
    let version = |file: Option<FileView>| file.map(|file| file.version);
    let number = |version: Option<i64>| version.map_or("unreadable".to_owned(), |v| v.to_string());
    let running = status.running.as_ref().map(|running| running.config_version);
    let copies = [("/etc/pve", version(files.pmxcfs)), ("disk", version(files.disk))];
    let differing = copies.into_iter().filter_map(|(place, version)| {
        let version = version.filter(|version| *version != running)?;
        Some(format!("{place} {}", number(version)))
    });
    let differing: Vec<_> = differing.collect();
    let running = running.map_or("-".to_owned(), |version| version.to_string());
    if differing.is_empty() { running } else { format!("{running} ({})", differing.join(", ")) }
}

const fn high_availability(state: HaState) -> &'static str {
    match state {
        HaState::Absent => "Absent",
        HaState::Idle => "Idle",
        HaState::Active => "Active",
        HaState::Disarmed => "Disarmed",
        HaState::Unknown => "Unknown",
    }
}

/// What is to be known of this host: a person's statement first, then what its agent misses.
fn message(host: &PveHost, status: &PveHostStatus) -> String {
    let stated = host.spec.absence.as_ref();
    let stated = stated.map(|absence| format!("{:?}: {}", absence.kind, absence.because));
    let paused = host.spec.paused.then(|| "paused".to_owned());
    let missed = [kind::CONNECTED, kind::READY].into_iter();
    let missed = missed.filter_map(|kind| condition(status, kind));
    let missed = missed.filter(|(word, _)| *word != "True").map(|(_, message)| message.to_owned());
    stated.into_iter().chain(paused).chain(missed).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn host(name: &str, spec: &Value, status: &Value) -> PveHost {
        let host = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
                          "metadata": {"name": name, "namespace": "pve"},
                          "spec": spec, "status": status});
        serde_json::from_value(host).unwrap()
    }

    fn said(kind: &str, status: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "Some", "message": message,
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn file(version: i64) -> Value {
        json!({"version": version, "digest": "0".repeat(64)})
    }

    #[test]
    fn a_host_has_one_line_and_what_is_amiss_with_it() {
        let well = json!({
            "conditions": [said("Connected", "True", "heard"), said("Ready", "True", "well")],
            "cluster": {"name": "prod", "uid": "u-1"}, "agentVersion": "0.1.0",
            "corosyncVersion": "3.1.7-1", "pmxcfs": {"mounted": true, "writable": true, "version": "8.0.10"},
            "addresses": [{"interface": "eth0", "cidr": "10.0.0.1/24"}], "guests": [100, 101],
            "running": {"configVersion": 7}, "files": {"pmxcfs": file(7), "disk": file(7)},
            "ha": {"state": "Active", "canDisarm": false}, "tokenExpiry": "2026-04-01T00:00:00Z",
        });
        let stale = json!({
            "conditions": [said("Connected", "False", "not heard for 40 s")],
            "cluster": {"name": "prod", "uid": "u-1"},
            "running": {"configVersion": 7}, "files": {"pmxcfs": file(7), "disk": file(6)},
        });
        let off = json!({"kind": "Away", "because": "new board"});
        let hosts = [
            host("n1", &json!({}), &well),
            host("n2", &json!({}), &stale),
            host("n3", &json!({"absence": off}), &Value::Null),
            host("w1", &json!({"role": "Witness"}), &Value::Null),
        ];
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        insta::assert_snapshot!(shown(&hosts, false, now));
        insta::assert_snapshot!(shown(&hosts, true, now));
    }
}
