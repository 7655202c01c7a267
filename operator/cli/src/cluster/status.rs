//! `kubectl pvecm status`: one screen, and how it changes.

use std::io::{IsTerminal as _, stdout};
use std::pin::pin;

use futures::StreamExt as _;
use jiff::SignedDuration;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt as _};
use pvecm_crds::PveCluster;
use pvecm_crds::cluster::{Drifted, NodeStatus, PveClusterStatus, QuorumStatus};
use pvecm_crds::condition::kind;
use pvecm_crds::host::LinkClass;

use super::{absence, links, read};
use crate::cli::Connection;
use crate::completion;
use crate::exit::Verdict;
use crate::output::{
    Colour, Format, has_colours, print, print_bytes, print_while_read, rendered, table,
};

/// What `status` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: String,
    /// Go on showing it whenever it changes, until interrupted.
    #[arg(short, long, conflicts_with = "links")]
    watch: bool,
    /// Show who sees whom on which link instead.
    #[arg(long)]
    links: bool,
    /// Have every member measure the ways to the others once, and show the figures. It takes some seconds.
    #[arg(long, requires = "links")]
    measure: bool,
    /// How long to wait for the figures.
    #[arg(long, default_value = "2m", value_name = "DURATION", requires = "measure")]
    timeout: SignedDuration,
    /// Print data instead of text.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Prints the cluster's status.
pub async fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    if args.links {
        let patience = args.measure.then(|| args.timeout.unsigned_abs());
        return links::run((&client, &namespace), &args.cluster, patience, args.output).await;
    }
    let cluster = read::cluster(&client, &namespace, &args.cluster).await?;
    if args.watch {
        follow(Api::namespaced(client, &namespace), args).await?;
    } else {
        print(args.output, &cluster.status, || shown(&cluster, has_colours()).into_bytes())?;
    }
    Ok(Verdict::Fine)
}

/// Shows a cluster anew whenever it looks different; ends when it is deleted or nobody reads any more. Watches that break
/// off are taken up again, so that a control plane that comes back goes on being watched.
async fn follow(api: Api<PveCluster>, args: &Args) -> anyhow::Result<()> {
    let between = match args.output {
        Format::Text if stdout().is_terminal() => "\x1b[H\x1b[2J",
        Format::Text => "\n",
        Format::Json => "",
        Format::Yaml => "---\n",
    };
    let mut seen = Vec::new();
    let mut states = pin!(watch_object(api, &args.cluster).default_backoff());
    while let Some(state) = states.next().await {
        let cluster = match state {
            Ok(Some(cluster)) => cluster,
            Ok(None) => return print_bytes(format!("{} is deleted\n", args.cluster).as_bytes()),
            Err(error) => {
                eprintln!("the API server does not answer, trying on: {error}");
                continue;
            }
        };
        let text = || shown(&cluster, has_colours()).into_bytes();
        let screen = rendered(args.output, &cluster.status, text)?;
        if screen == seen {
            continue;
        }
        if !print_while_read(&[between.as_bytes(), &screen].concat())? {
            break;
        }
        seen = screen;
    }
    Ok(())
}

/// One screen. `colours`: for a terminal.
pub(super) fn shown(cluster: &PveCluster, colours: bool) -> String {
    let name = cluster.name_any();
    let Some(status) = &cluster.status else {
        return format!("{name}: the operator has said nothing of it yet\n");
    };
    let mut out = headline(&name, status, colours);
    out.push_str(&table(
        ["NODE", "ID", "VOTES", "ONLINE", "ADDRESSES", "MESSAGE"],
        &status.nodes.iter().map(row).collect::<Vec<_>>(),
    ));
    for absence in absence::sentences(status) {
        out.push_str(&format!("{absence}\n"));
    }
    for fault in &status.links {
        let colour = if fault.class == LinkClass::Broken { Colour::Red } else { Colour::Yellow };
        out.push_str(&format!("{}\n", colour.paint(&format!("Link {fault}"), colours)));
    }
    if !status.drift.is_empty() {
        out.push_str("Changed beside the operator:\n");
        out.push_str(&table(
            ["KEY", "HOSTS", "SPEC", "/ETC/PVE", "DISK", "RUNNING"],
            &status.drift.iter().map(drift_row).collect::<Vec<_>>(),
        ));
    }
    if let Some(change) = &status.change {
        let (stage, stages) = (change.stage, change.stages);
        out.push_str(&format!("Change {}, stage {stage}/{stages}\n", change.name));
    }
    if let Some(plan) = &status.plan {
        out.push_str(&format!("Next: {}\n", plan.sentence));
        for later in &plan.waiting {
            out.push_str(&format!("Later: {later}\n"));
        }
    }
    out
}

fn headline(name: &str, status: &PveClusterStatus, colours: bool) -> String {
    let condition = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind);
    let (colour, ready) = match condition(kind::READY) {
        Some(ready) if ready.status == "True" => (Colour::Green, "Ready".to_owned()),
        Some(ready) => (Colour::Red, format!("not Ready ({})", ready.reason)),
        None => (Colour::Yellow, "unknown".to_owned()),
    };
    let ready = colour.paint(&ready, colours);
    let version = status.config_version.map_or("differs".to_owned(), |v| v.to_string());
    let quorum = match &status.quorum {
        Some(votes) => format!(
            "{} of {} votes present, {} needed: nodes that may still fail: {}",
            votes.present, votes.expected, votes.needed, votes.failures_survived
        ),
        None => "unknown".to_owned(),
    };
    let device = status.quorum.as_ref().and_then(device);
    let device = device.map(|device| format!("Device: {device}\n")).unwrap_or_default();
    format!("{name}: {ready}, config_version {version}\nQuorum: {quorum}\n{device}")
}

/// What the `QDevice` is good for.
fn device(quorum: &QuorumStatus) -> Option<String> {
    let QuorumStatus { device, device_missing_on, failures_survived_without_device, .. } = quorum;
    let votes = (*device)?;
    let mut said = format!("{votes} of these votes");
    if !device_missing_on.is_empty() {
        said.push_str(&format!(", not counted on {}", device_missing_on.join(", ")));
    }
    if let Some(failures) = failures_survived_without_device {
        said.push_str(&format!(": nodes that may still fail without it: {failures}"));
    }
    Some(said)
}

fn row(node: &NodeStatus) -> [String; 6] {
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let addresses = node.addresses.iter().map(|a| format!("{}={}", a.link, a.address));
    let NodeStatus { name, node_id, votes, online, addresses: _, message, absence: _ } = node;
    [
        name.clone(),
        number(*node_id),
        number(*votes),
        if *online { "yes" } else { "no" }.to_owned(),
        addresses.collect::<Vec<_>>().join(" "),
        message.clone().unwrap_or_default(),
    ]
}

fn drift_row(drift: &Drifted) -> [String; 6] {
    let Drifted { hosts, key, spec, pmxcfs, disk, running } = drift;
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    [key.clone(), hosts.join(","), value(spec), value(pmxcfs), value(disk), value(running)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    #[test]
    fn what_a_device_is_good_for_is_told_and_who_does_not_count_it() {
        let told = |quorum: serde_json::Value| device(&serde_json::from_value(quorum).unwrap());
        let with = json!({"present": 5, "expected": 5, "needed": 3, "failuresSurvived": 2,
                          "device": 1, "failuresSurvivedWithoutDevice": 1});
        let wanted = "1 of these votes: nodes that may still fail without it: 1";
        assert_eq!(told(with).as_deref(), Some(wanted));
        let missing = json!({"present": 4, "expected": 5, "needed": 3, "failuresSurvived": 1,
                             "device": 0, "deviceMissingOn": ["n1", "n2"],
                             "failuresSurvivedWithoutDevice": 1});
        let wanted =
            "0 of these votes, not counted on n1, n2: nodes that may still fail without it: 1";
        assert_eq!(told(missing).as_deref(), Some(wanted));
        let none = json!({"present": 3, "expected": 3, "needed": 2, "failuresSurvived": 1});
        assert_eq!(told(none), None);
    }

    #[test]
    fn a_cluster_is_told_on_one_screen() {
        let node = |n: u32, online: bool| {
            json!({"name": format!("n{n}"), "nodeId": n, "votes": 1, "online": online,
                   "addresses": [{"link": 0, "address": format!("10.0.0.{n}")}],
                   "message": (!online).then_some("the agent is not heard")})
        };
        let mut cluster = fake::cluster();
        cluster["status"] = json!({
            "configVersion": 7,
            "conditions": [{"type": "Ready", "status": "False", "reason": "HostNotConnected",
                            "message": "...", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "nodes": [node(1, true), node(2, true), node(3, false)],
            "quorum": {"present": 2, "expected": 3, "needed": 2, "failuresSurvived": 0},
            "links": [{"number": 0, "from": "n1", "to": "n3"},
                      {"number": 0, "from": "n2", "to": "n3", "class": "Broken", "message": "why"},
                      {"number": 1, "from": "n1", "to": "n2", "class": "Lossy"}],
            "drift": [{"hosts": ["n1", "n2"], "key": "totem.token", "spec": "5000",
                       "pmxcfs": "5000", "disk": "4000", "running": "5000"},
                      {"hosts": ["n2"], "key": "quorum.expected_votes", "running": "9"}],
            "change": {"name": "prod-7", "stage": 1, "stages": 2, "sentence": "..."},
            "plan": {"sentence": "the agent on n3 is not heard", "waiting": ["n4 joins"]},
        });
        let wanted = "\
prod: not Ready (HostNotConnected), config_version 7
Quorum: 2 of 3 votes present, 2 needed: nodes that may still fail: 0
NODE   ID   VOTES   ONLINE   ADDRESSES    MESSAGE
n1     1    1       yes      0=10.0.0.1   \n\
n2     2    1       yes      0=10.0.0.2   \n\
n3     3    1       no       0=10.0.0.3   the agent is not heard
Link 0 from n1 to n3 is not connected
Link 0 from n2 to n3 is not connected: why
Link 1 from n1 to n2 is Lossy
Changed beside the operator:
KEY                     HOSTS   SPEC   /ETC/PVE   DISK   RUNNING
totem.token             n1,n2   5000   5000       4000   5000
quorum.expected_votes   n2      -      -          -      9
Change prod-7, stage 1/2
Next: the agent on n3 is not heard
Later: n4 joins
";
        let cluster = serde_json::from_value(cluster).unwrap();
        assert_eq!(shown(&cluster, false), wanted);
        let coloured = shown(&cluster, true);
        assert!(coloured.starts_with("prod: \x1b[31mnot Ready (HostNotConnected)\x1b[0m, "));
        assert!(coloured.contains("\x1b[31mLink 0 from n1 to n3 is not connected\x1b[0m\n"));
    }
}
