//! What scenarios share: asking the API server, waiting, and reading the recorders.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::{Lab, Options};
use pvecm_e2e::record::Record;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

/// The cluster of the samples.
pub const CLUSTER: &str = "three-nodes";

/// The hosts of the samples.
pub const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

/// A complete lab of three hosts: operator running, agents enrolled, no cluster yet.
pub fn lab(name: &str) -> Result<Lab> {
    Lab::up(Options::scenario(name), &mut |_| ())
}

/// A lab of so many hosts that form one cluster on link 0.
pub fn formed_of(name: &str, hosts: u8) -> Result<Lab> {
    let lab = Lab::up(Options { hosts, ..Options::scenario(name) }, &mut |_| ())?;
    apply(&lab, &cluster_of(&lab, &json!([{"number": 0, "network": "10.50.0.0/24"}])))?;
    wait_ready(&lab, Duration::from_secs(120))?;
    Ok(lab)
}

/// A lab whose three hosts form the sample cluster on link 0.
pub fn formed(name: &str) -> Result<Lab> {
    let lab = lab(name)?;
    apply_sample(&lab, "three-nodes.yaml")?;
    wait_ready(&lab, Duration::from_secs(60))?;
    Ok(lab)
}

/// Milliseconds since 1970, the recorders' clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |passed| u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}

/// Runs kubectl and expects it to succeed.
pub fn kubectl(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = lab.control_plane()?.kubectl(arguments)?;
    ensure!(output.success(), "kubectl {}: {}", arguments.join(" "), output.stderr.trim());
    Ok(output.stdout)
}

/// One object, or a list of them, as JSON.
pub fn get(lab: &Lab, what: &[&str]) -> Result<Value> {
    let text = kubectl(lab, &[&["get", "-o", "json"], what].concat())?;
    serde_json::from_str(&text).context("kubectl did not print JSON")
}

/// Applies a file of manifests/samples as a user would.
pub fn apply_sample(lab: &Lab, file: &str) -> Result<String> {
    let path = format!("{}/../manifests/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    kubectl(lab, &["apply", "-f", &path])
}

/// The sample cluster with these links.
pub fn with_links(links: &Value) -> Value {
    cluster(&HOSTS, links)
}

/// A cluster of all hosts of a lab with these links.
pub fn cluster_of(lab: &Lab, links: &Value) -> Value {
    let hosts = lab.hosts();
    let nodes = hosts.iter().filter(|host| !host.is_witness());
    cluster(&nodes.map(pvecm_e2e::Host::name).collect::<Vec<_>>(), links)
}

fn cluster(names: &[&str], links: &Value) -> Value {
    let nodes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
        "metadata": {"name": CLUSTER, "namespace": "pve"},
        "spec": {"nodes": nodes, "links": links, "rollout": {"confirmTimeoutSeconds": 10}},
    })
}

/// Every state of objects as the API server tells it, since some are over before the next look: the
/// lines that a jsonpath template makes of them, as far as they can be read.
pub fn watch<T: Send + 'static>(
    lab: &Lab,
    what: &str,
    template: &str,
    read: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Result<Receiver<T>> {
    let format = format!("jsonpath={template}");
    let mut kubectl =
        lab.control_plane()?.kubectl_command(&["get", what, "--watch", "-o", &format])?;
    let mut kubectl = kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(kubectl.stdout.take().context("kubectl says nothing")?).lines();
    let (tell, told) = channel();
    // Ends with the lab: the watch breaks when the API server goes.
    std::thread::spawn(move || {
        for state in lines.map_while(Result::ok).filter_map(|line| read(&line)) {
            let _nobody_waits = tell.send(state);
        }
        let _ended = kubectl.wait();
    });
    Ok(told)
}

/// Applies an object as a user would, on standard input.
pub fn apply(lab: &Lab, object: &Value) -> Result<()> {
    lab.control_plane()?.apply(object)
}

/// Waits as a user would, and says how long it took.
pub fn wait_ready(lab: &Lab, deadline: Duration) -> Result<Duration> {
    let began = Instant::now();
    let target = format!("pvecluster/{CLUSTER}");
    let timeout = format!("--timeout={}s", deadline.as_secs());
    let waited = kubectl(lab, &["wait", &target, "--for=condition=Ready", &timeout]);
    waited.with_context(|| explain(lab).unwrap_or_else(|error| format!("{error:#}")))?;
    Ok(began.elapsed())
}

/// What a person would look at when a cluster does not become ready.
fn explain(lab: &Lab) -> Result<String> {
    let clusters = kubectl(lab, &["get", "pvecluster", CLUSTER, "-o", "yaml"])?;
    // What says most comes first: of a long text the beginning is what is said again at the end of a run.
    let mut text = String::new();
    for kind in ["Ready", "Stalled", "HostsConnected"] {
        let (status, reason, message) = condition(lab, kind)?;
        text.push_str(&format!("{kind} {status}, {reason}: {message}\n"));
    }
    text.push_str(&kubectl(lab, &["get", "pve", "-o", "wide"])?);
    text.push_str(&clusters);
    for host in HOSTS {
        let journal =
            "journalctl -u pvecm-agent -u corosync -u pve-cluster -n 300 -o short-precise";
        let journal: Vec<&str> = journal.split(' ').collect();
        let last = lab.host(host)?.run(&journal)?;
        text.push_str(&format!("\n{host}, at its end:\n{last}"));
    }
    Ok(text)
}

/// A condition of the cluster: status, reason, message.
pub fn condition(lab: &Lab, kind: &str) -> Result<(String, String, String)> {
    let cluster = get(lab, &["pvecluster", CLUSTER])?;
    let generation = cluster["metadata"]["generation"].as_i64();
    let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions
        .iter()
        .find(|c| c["type"] == kind && c["observedGeneration"].as_i64() == generation);
    let text = |key: &str| found.and_then(|c| c[key].as_str()).unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

/// Waits until the cluster is stalled for this reason and returns the sentence.
pub fn wait_stalled(lab: &Lab, reason: &str) -> Result<String> {
    wait_until(Duration::from_secs(30), &format!("Stalled, reason {reason}"), || {
        let seen = condition(lab, "Stalled").map_err(|error| format!("{error:#}"))?;
        if seen.0 == "True" && seen.1 == reason { Ok(seen.2) } else { Err(format!("{seen:?}")) }
    })
}

/// The changes of the cluster, in the order of their numbers.
pub fn changes(lab: &Lab) -> Result<Vec<Value>> {
    let mut list = get(lab, &["pvechanges"])?["items"].as_array().cloned().unwrap_or_default();
    list.sort_by_key(|change| change["spec"]["number"].as_i64());
    Ok(list)
}

/// What the recorder of a host has written so far.
pub fn record(lab: &Lab, host: &str) -> Result<Record> {
    Record::parse(&lab.host(host)?.run(&["cat", "/var/log/pvecm-recorder.jsonl"])?)
}

/// Fails unless every host was quorate, and wrote to /etc/pve if asked, all the time since `from`, in
/// one and the same membership.
pub fn assert_undisturbed(lab: &Lab, from: u64) -> Result<()> {
    let until = now_ms();
    for host in lab.hosts().iter().map(pvecm_e2e::Host::name) {
        let record = record(lab, host)?;
        let lost = record.quorum_gaps(from, until);
        ensure!(lost.is_empty(), "{host} lost quorum: {lost:?}");
        let read_only = record.read_only_gaps(from, until);
        ensure!(read_only.is_empty(), "{host}: /etc/pve did not take writes: {read_only:?}");
        let moved = record.membership_changes(from, until);
        ensure!(moved.is_empty(), "{host} saw the membership change: {moved:?}");
    }
    Ok(())
}

/// For a change of what hosts encrypt with. On busy cores corosync itself may throw out the host that
/// follows last. Then the hosts undo the stage, the others keep quorum meanwhile, and the operator tries
/// again.
pub fn assert_all_followed_or_one_was_late(lab: &Lab, began: u64) -> Result<()> {
    let undone = changes(lab)?.iter().any(|change| change["status"]["outcome"] == "RolledBack");
    if !undone {
        return assert_undisturbed(lab, began);
    }
    let (now, mut without) = (now_ms(), BTreeMap::new());
    for host in HOSTS {
        let gaps = record(lab, host)?.quorum_gaps(began, now);
        if !gaps.is_empty() {
            without.insert(host, gaps.iter().map(|gap| gap.to_ms - gap.from_ms).sum::<u64>());
        }
    }
    println!("a stage was undone and done again; milliseconds without quorum: {without:?}");
    ensure!(without.len() <= 1, "{without:?} lost quorum");
    Ok(())
}

/// The file in force on every host: the same bytes in /etc/pve and on every disk, or an error.
pub fn file_in_force(lab: &Lab) -> Result<String> {
    let first = lab.host(HOSTS[0])?.run(&["cat", "/etc/pve/corosync.conf"])?;
    for host in lab.hosts() {
        for path in ["/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"] {
            let (text, host) = (host.run(&["cat", path])?, host.name());
            ensure!(text == first, "{path} on {host} differs:\n{text}\nfrom n1's\n{first}");
        }
    }
    Ok(first)
}

/// A value of the running daemon, as cmap prints it; empty where the key is missing.
pub fn cmap(lab: &Lab, host: &str, key: &str) -> Result<String> {
    let said = lab.host(host)?.exec(&["corosync-cmapctl", "-g", key])?.stdout;
    Ok(said.trim().rsplit_once(" = ").map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// A figure of knet's link table on a host, by peer: `stats.knet.node<peer>.link<link>.<key>`.
pub fn knet(lab: &Lab, host: &str, link: u8, key: &str) -> Result<Vec<(u32, u64)>> {
    let printed = lab.host(host)?.run(&["corosync-cmapctl", "-m", "stats"])?;
    let own = host.trim_start_matches('n').parse::<u32>()?;
    let figure = |(name, value): (String, String)| {
        let peer = name.strip_prefix("stats.knet.node")?;
        let peer: u32 = peer.strip_suffix(&format!(".link{link}.{key}"))?.parse().ok()?;
        (peer != own).then_some((peer, value.parse().ok()?))
    };
    let mut figures: Vec<_> = cmap_table(&printed).into_iter().filter_map(figure).collect();
    figures.sort_unstable();
    Ok(figures)
}

/// A map as corosync's tool prints it: `key (type) = value`.
pub fn cmap_table(printed: &str) -> BTreeMap<String, String> {
    let row = |line: &str| {
        let (key, rest) = line.split_once(" (")?;
        Some((key.to_owned(), rest.split_once(") = ")?.1.to_owned()))
    };
    printed.lines().filter_map(row).collect()
}

/// Waits until a link is connected between every pair of hosts, as every host sees it.
pub fn wait_connected(lab: &Lab, link: u8, deadline: Duration) -> Result<Duration> {
    let began = Instant::now();
    wait_until(deadline, &format!("link {link} connected on every pair"), || {
        let hosts = lab.hosts();
        for host in hosts.iter().map(pvecm_e2e::Host::name) {
            let peers = knet(lab, host, link, "connected").map_err(|error| format!("{error:#}"))?;
            let up = peers.iter().filter(|(_, connected)| *connected == 1).count();
            if up != hosts.len() - 1 {
                return Err(format!("{host} sees {peers:?}"));
            }
        }
        Ok(())
    })?;
    Ok(began.elapsed())
}

/// Somebody else on n2 who holds a lock of Proxmox VE's.
pub struct ForeignLock {
    holder: Child,
    path: &'static str,
}

impl ForeignLock {
    pub fn take(lab: &Lab, path: &'static str) -> Result<Self> {
        let keep = format!("mkdir {path}; while test -d {path}; do touch -c {path}; sleep 1; done");
        let mut holder = lab.host("n2")?.command(&["timeout", "120", "sh", "-c", &keep])?;
        let lock = Self { holder: holder.spawn()?, path };
        wait_until(Duration::from_secs(40), "the foreign lock", || {
            let held = lab.host("n1").and_then(|host| host.run(&["test", "-d", path]));
            held.map(drop).map_err(|error| format!("{error:#}"))
        })?;
        Ok(lock)
    }

    pub fn give_back(mut self, lab: &Lab) -> Result<()> {
        self.holder.kill()?;
        self.holder.wait()?;
        lab.host("n2")?.run(&["rmdir", self.path]).map(drop)
    }
}
