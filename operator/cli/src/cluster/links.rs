//! `kubectl pvecm status CLUSTER --links [--measure]`: who sees whom on which link, and what the ways are like.
//!
//! Owns what is asked of the hosts and how their answers read. What a class is, and which link is better, is
//! `pvecm-core`'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use pvecm_core::conf::{Config, Document, LinkMode};
use pvecm_core::fitness::advice::{LinkFigures, sentence};
use pvecm_core::ids::LinkNumber;
use pvecm_crds::PveHost;
use pvecm_crds::host::{HostMeasured, LinkClass, MeasuredWay};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::read::{self, Picture, heard};
use crate::exit::Verdict;
use crate::host::enrol::FIELD_MANAGER;
use crate::output::{Format, grid, print, table};
use crate::owner::owner;

const LOOK: Duration = Duration::from_millis(500);

/// What is known of the links.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// From every node to every other one on every link.
    ways: Vec<Way>,
    /// What was measured, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measured: Vec<Measurement>,
    /// Addresses that two machines have, or may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    duplicates: Vec<String>,
    /// What the figures speak for, if not for what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// One way in one direction, as the host at its beginning sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Way {
    link: i32,
    from: String,
    to: String,
    /// Absent: nobody there tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<LinkClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The same as it was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measurement {
    from: String,
    to: String,
    #[serde(flatten)]
    way: MeasuredWay,
}

/// Prints the links; `measure` is how long to wait for figures, where some are wanted.
pub async fn run(
    (client, namespace): (&Client, &str),
    name: &str,
    measure: Option<Duration>,
    output: Format,
) -> anyhow::Result<Verdict> {
    let mut picture = read::picture(client, namespace, name).await?;
    let mut verdict = Verdict::Fine;
    let mut asked = BTreeMap::new();
    if let Some(patience) = measure {
        let api: Api<PveHost> = Api::namespaced(client.clone(), namespace);
        if let Some(why) = kept(&picture) {
            return Ok(Verdict::refused(&why));
        }
        asked = ask(&api, &picture).await?;
        picture = answered((client, namespace), name, &asked, patience).await?;
        let silent = silent(&picture, &asked);
        if !silent.is_empty() {
            let silent = silent.join(", ");
            verdict = Verdict::refused(&format!(
                "not measured within {} s by {silent}: see `kubectl pvecm status {name}`",
                patience.as_secs()
            ));
        }
    }
    let answer = Answer::of(&picture, &asked)?;
    print(output, &answer, || answer.shown().into_bytes())?;
    Ok(verdict)
}

/// Why the counter of a host is not the plugin's to raise.
fn kept(picture: &Picture) -> Option<String> {
    picture.hosts.values().find_map(|host| {
        let owner = owner(host, &["spec", "measure"])?;
        let name = host.name_any();
        Some(format!(
            "`spec.measure` of {name} is kept by {owner}, which would put it back: count it up there"
        ))
    })
}

/// Counts up on every member that is heard; the numbers that are waited for.
async fn ask(api: &Api<PveHost>, picture: &Picture) -> anyhow::Result<BTreeMap<String, i64>> {
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut asked = BTreeMap::new();
    for host in picture.hosts.values().filter(|host| heard(host)) {
        let (name, request) = (host.name_any(), host.spec.measure + 1);
        let patch = json!({"spec": {"measure": request}});
        let applied = api.patch(&name, &params, &Patch::Merge(&patch)).await;
        applied.with_context(|| format!("cannot set `spec.measure` of {name}"))?;
        asked.insert(name, request);
    }
    Ok(asked)
}

/// The cluster once every host that was asked has answered, or the patience is over.
async fn answered(
    (client, namespace): (&Client, &str),
    name: &str,
    asked: &BTreeMap<String, i64>,
    patience: Duration,
) -> anyhow::Result<Picture> {
    let until = Instant::now() + patience;
    loop {
        let picture = read::picture(client, namespace, name).await?;
        if silent(&picture, asked).is_empty() || Instant::now() >= until {
            return Ok(picture);
        }
        sleep(LOOK).await;
    }
}

/// Who has not answered.
fn silent(picture: &Picture, asked: &BTreeMap<String, i64>) -> Vec<String> {
    let has_answered = |name: &str| {
        let host = picture.hosts.values().find(|host| host.name_any() == name);
        host.is_some_and(|host| answer_of(host, asked).is_some())
    };
    asked.keys().filter(|name| !has_answered(name)).cloned().collect()
}

/// What a host has measured since it was asked.
fn answer_of<'a>(host: &'a PveHost, asked: &BTreeMap<String, i64>) -> Option<&'a HostMeasured> {
    let request = asked.get(&host.name_any())?;
    let measured = host.status.as_ref()?.measured.as_ref()?;
    (measured.request >= *request).then_some(measured)
}

impl Answer {
    fn of(picture: &Picture, asked: &BTreeMap<String, i64>) -> anyhow::Result<Self> {
        let names = names(picture);
        let called = |id: i64| names.get(&id).cloned().unwrap_or_else(|| format!("node {id}"));
        let (mut measured, mut duplicates) = (Vec::new(), Vec::new());
        for (id, host) in hosts(picture) {
            let Some(found) = answer_of(host, asked) else { continue };
            let from = called(id);
            for address in &found.duplicates {
                duplicates.push(format!("{} of {from}: {}", address.address, address.message));
            }
            let told = |way: &MeasuredWay| Measurement {
                from: from.clone(),
                to: called(way.node_id),
                way: way.clone(),
            };
            measured.extend(found.ways.iter().map(told));
        }
        measured.sort_by_key(|measurement| measurement.way.link);
        let advice = advice(picture, &measured)?;
        Ok(Self { ways: ways(picture), measured, duplicates, advice })
    }

    fn shown(&self) -> String {
        let mut out = matrix(&self.ways);
        let told = self.ways.iter().filter_map(|way| Some((way, way.message.as_ref()?)));
        for (Way { link, from, to, .. }, message) in told {
            out.push_str(&format!("Link {link} from {from} to {to}: {message}\n"));
        }
        if !self.measured.is_empty() {
            let header = ["LINK", "FROM", "TO", "CLASS", "P50", "P99", "WORST", "LOSS", "MTU"];
            let rows: Vec<_> = self.measured.iter().map(Measurement::row).collect();
            out.push_str(&format!("\nMeasured:\n{}", table(header, &rows)));
        }
        for Measurement { from, to, way } in &self.measured {
            if let Some(message) = &way.message {
                out.push_str(&format!("Link {} from {from} to {to}: {message}\n", way.link));
            }
        }
        for duplicate in &self.duplicates {
            out.push_str(&format!("Address {duplicate}\n"));
        }
        if let Some(advice) = &self.advice {
            out.push_str(&format!("Advice, nothing is applied: {advice}\n"));
        }
        out
    }
}

impl Measurement {
    fn row(&self) -> [String; 9] {
        let Self { from, to, way } = self;
        let or_none = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
        let millis = |micros: Option<i32>| {
            or_none(micros.map(|micros| format!("{}.{:03} ms", micros / 1000, micros % 1000)))
        };
        let loss = way.loss_per_mille.map(|lost| format!("{}.{} %", lost / 10, lost % 10));
        [
            way.link.to_string(),
            from.clone(),
            to.clone(),
            format!("{:?}", way.class),
            millis(way.p50_micros),
            millis(way.p99_micros),
            millis(way.worst_micros),
            or_none(loss),
            or_none(way.path_mtu_bytes.map(|bytes| bytes.to_string())),
        ]
    }
}

/// The nodes by their numbers.
fn names(picture: &Picture) -> BTreeMap<i64, String> {
    let nodes = picture.cluster.status.iter().flat_map(|status| &status.nodes);
    nodes.filter_map(|node| Some((node.node_id?, node.name.clone()))).collect()
}

/// The nodes' hosts, as far as there are such.
fn hosts(picture: &Picture) -> impl Iterator<Item = (i64, &PveHost)> {
    names(picture).into_iter().filter_map(|(id, name)| {
        let is_it = |host: &&PveHost| {
            host.status.as_ref().and_then(|status| status.hostname.as_ref()) == Some(&name)
        };
        Some((id, picture.hosts.values().find(is_it)?))
    })
}

/// Every way as the host at its beginning sees it.
fn ways(picture: &Picture) -> Vec<Way> {
    let names = names(picture);
    let hosts: BTreeMap<_, _> = hosts(picture).collect();
    let nodes = picture.cluster.status.iter().flat_map(|status| &status.nodes);
    let links = nodes.flat_map(|node| node.addresses.iter().map(|address| address.link));
    let links: BTreeSet<i32> = links.collect();
    let mut ways = Vec::new();
    for link in links {
        for (from, name) in &names {
            let told = hosts.get(from).filter(|host| heard(host));
            let told = told.and_then(|host| host.status.as_ref());
            let told = told.filter(|status| status.running.is_some());
            for (to, other) in names.iter().filter(|(to, _)| *to != from) {
                let mut faults = told.iter().flat_map(|status| &status.link_faults);
                let fault = faults.find(|fault| (fault.link, fault.node_id) == (link, *to));
                let class = told.map(|_| fault.map_or(LinkClass::Good, |fault| fault.class));
                let message = fault.and_then(|fault| fault.message.clone());
                ways.push(Way { link, from: name.clone(), to: other.clone(), class, message });
            }
        }
    }
    ways
}

/// A row for each node and link, a column for each node.
fn matrix(ways: &[Way]) -> String {
    let names: BTreeSet<&str> = ways.iter().map(|way| way.from.as_str()).collect();
    let header = ["LINK", "FROM"].into_iter().chain(names.iter().copied());
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    let links: BTreeSet<i32> = ways.iter().map(|way| way.link).collect();
    for (link, from) in links.iter().flat_map(|link| names.iter().map(move |from| (link, from))) {
        let cell = |to: &&str| {
            let mut ways = ways.iter();
            let way = ways
                .find(|way| (way.link, way.from.as_str(), way.to.as_str()) == (*link, *from, *to));
            match way {
                None => "-".to_owned(),
                Some(Way { class: None, .. }) => "?".to_owned(),
                Some(Way { class: Some(class), .. }) => format!("{class:?}"),
            }
        };
        let begin = [link.to_string(), (*from).to_owned()];
        rows.push(begin.into_iter().chain(names.iter().map(cell)).collect());
    }
    grid(&rows)
}

/// What the figures speak for. Only where knet has one link carry, priorities say which.
fn advice(picture: &Picture, measured: &[Measurement]) -> anyhow::Result<Option<String>> {
    let observed = picture.observed()?;
    let mut files = observed.hosts.values().filter_map(|view| view.pmxcfs_file.as_ref());
    let text = files.find_map(|file| file.text.as_deref());
    let config = text.and_then(|text| Config::read(&Document::parse(text.as_bytes())).ok());
    let Some(config) = config.filter(|config| config.link_mode() == LinkMode::Passive) else {
        return Ok(None);
    };
    let mut figures: BTreeMap<LinkNumber, LinkFigures> = BTreeMap::new();
    for Measurement { way, .. } in measured {
        let link = LinkNumber::try_from(u32::try_from(way.link)?)?;
        let class = way.class.into();
        let round_trip_us = u32::try_from(way.p50_micros.unwrap_or_default())?;
        let priority = config.link_options(link).priority.unwrap_or(1);
        let new = LinkFigures { link, priority, class, round_trip_us };
        let worst = figures.entry(link).or_insert(new);
        worst.class = worst.class.max(class);
        worst.round_trip_us = worst.round_trip_us.max(round_trip_us);
    }
    Ok(sentence(&figures.into_values().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cluster::fake;

    /// `prod` of three nodes with two links, and its hosts with these statuses besides.
    fn objects(of: impl Fn(u32) -> Value) -> Vec<Value> {
        let mut cluster = fake::cluster();
        let node = |n: u32| {
            let address = |link: u32| json!({"link": link, "address": format!("10.{link}.0.{n}")});
            json!({"name": format!("n{n}"), "nodeId": n, "votes": 1, "online": true,
                   "addresses": [address(0), address(1)]})
        };
        cluster["status"] = json!({"nodes": [node(1), node(2), node(3)]});
        let host = |n: u32| {
            let mut status = json!({
                "hostname": format!("n{n}"), "running": {"configVersion": 7},
                "conditions": [{"type": "Connected", "status": "True", "reason": "HeartbeatFresh",
                                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            });
            let more = of(n).as_object().cloned().unwrap();
            status.as_object_mut().unwrap().extend(more);
            json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost", "spec": {"measure": 4},
                   "metadata": {"name": format!("n{n}"), "namespace": "pve"}, "status": status})
        };
        [cluster].into_iter().chain([1, 2, 3].map(host)).collect()
    }

    async fn answer(objects: &[Value], asked: &BTreeMap<String, i64>) -> Answer {
        let client = fake::client(&fake::server(objects));
        let picture = read::picture(&client, "pve", "prod").await.unwrap();
        Answer::of(&picture, asked).unwrap()
    }

    #[tokio::test]
    async fn who_sees_whom_on_which_link_is_a_matrix_with_the_reasons_below() {
        let objects = objects(|n| match n {
            1 => json!({"linkFaults": [
                {"link": 1, "nodeId": 3, "class": "Broken", "message": "UDP port 5406 does not pass"},
                {"link": 0, "nodeId": 2, "class": "Lossy"}]}),
            2 => json!({}),
            _ => json!({"conditions": []}),
        });
        let wanted = "\
LINK   FROM   n1     n2      n3
0      n1     -      Lossy   Good
0      n2     Good   -       Good
0      n3     ?      ?       -
1      n1     -      Good    Broken
1      n2     Good   -       Good
1      n3     ?      ?       -
Link 1 from n1 to n3: UDP port 5406 does not pass
";
        assert_eq!(answer(&objects, &BTreeMap::new()).await.shown(), wanted);
    }

    /// n1 has measured both links to n2; its text prefers link 0.
    fn measured() -> Vec<Value> {
        let text = "totem {\n  version: 2\n  cluster_name: prod\n  config_version: 7\n  interface {\n    linknumber: \
                    0\n    knet_link_priority: 20\n  }\n}\nquorum {\n  provider: corosync_votequorum\n}\n\
                    nodelist {\n  node {\n    name: n1\n    nodeid: 1\n    ring0_addr: 10.0.0.1\n    \
                    ring1_addr: 10.1.0.1\n  }\n}\n";
        let digest = pvecm_core::ids::Digest::of(text.as_bytes()).to_string();
        objects(|n| match n {
            1 => json!({
                "files": {"pmxcfs": {"version": 7, "digest": digest, "text": text}},
                "measured": {"request": 5, "ways": [
                    {"link": 1, "nodeId": 2, "class": "Good", "p50Micros": 213, "p99Micros": 1400,
                     "worstMicros": 2000, "lossPerMille": 5, "pathMtuBytes": 1500},
                    {"link": 0, "nodeId": 2, "class": "Lossy", "p50Micros": 12_345,
                     "p99Micros": 13_000, "worstMicros": 14_000, "lossPerMille": 50,
                     "message": "10 of 200 packets are lost"},
                    {"link": 0, "nodeId": 3, "class": "Broken", "lossPerMille": 1000}],
                "duplicates": [{"link": 0, "address": "10.0.0.1", "message": "another has it too"}]}}),
            _ => json!({"measured": {"request": 4}}),
        })
    }

    #[tokio::test]
    async fn figures_are_those_that_were_asked_for_and_speak_for_an_order() {
        let asked = ["n1", "n2", "n3"].map(|name| (name.to_owned(), 5)).into();
        let shown = answer(&measured(), &asked).await.shown();
        let wanted = "
Measured:
LINK   FROM   TO   CLASS    P50         P99         WORST       LOSS      MTU
0      n1     n2   Lossy    12.345 ms   13.000 ms   14.000 ms   5.0 %     -
0      n1     n3   Broken   -           -           -           100.0 %   -
1      n1     n2   Good     0.213 ms    1.400 ms    2.000 ms    0.5 %     1500
Link 0 from n1 to n2: 10 of 200 packets are lost
Address 10.0.0.1 of n1: another has it too
Advice, nothing is applied: as measured the links are best in the order link 1 (Good, 0.2 ms), link 0 (Broken, \
12.3 ms), and corosync prefers another one: to follow it, set `links[].priority` of the spec to link 1 20, link 0 10
";
        assert!(shown.ends_with(wanted), "{shown}");
    }

    #[tokio::test]
    async fn every_host_that_is_heard_is_asked_once_and_who_does_not_answer_is_told() {
        let server = fake::server(&measured());
        let client = fake::client(&server);
        let patience = Some(Duration::ZERO);
        let verdict = run((&client, "pve"), "prod", patience, Format::Json).await.unwrap();
        assert_eq!(verdict, Verdict::Findings, "n2 and n3 have not measured");
        let writes = server.lock().unwrap().writes.clone();
        assert_eq!(writes.len(), 3);
        for (query, body) in writes {
            assert!(query.contains("fieldManager=pvecm"), "{query}");
            assert_eq!(body, json!({"spec": {"measure": 5}}));
        }
    }

    #[tokio::test]
    async fn a_counter_that_somebody_else_keeps_is_not_raised() {
        let mut objects = measured();
        objects[2]["metadata"]["managedFields"] = json!([{
            "manager": "kustomize-controller", "operation": "Apply", "apiVersion": "pvecm.io/v1alpha1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:measure": {}}},
        }]);
        let server = fake::server(&objects);
        let client = fake::client(&server);
        let patience = Some(Duration::ZERO);
        let verdict = run((&client, "pve"), "prod", patience, Format::Json).await.unwrap();
        assert_eq!((verdict, server.lock().unwrap().writes.len()), (Verdict::Findings, 0));
    }
}
