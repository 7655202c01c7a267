//! `kubectl pvecm host replace`: another machine takes the place of one that is gone, under its name.
//!
//! Looks where things stand and does what comes next, so it is typed once before the new machine is installed and
//! once after. Everything that it does can be done with `host dead` and `host back`.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pvecm_crds::host::AbsenceKind;
use pvecm_crds::{PveCluster, PveHost};
use tokio::time::{Instant, sleep};

use super::absence::{Statement, set};
use crate::cli::Connection;
use crate::cluster::heard;
use crate::exit::Verdict;

const LOOK: Duration = Duration::from_secs(1);

/// Does the next step; `because` is how the person knows that the old machine is off.
pub async fn run(
    name: &str,
    (because, patience): (Option<String>, Duration),
    connection: &Connection,
) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    step(&client, &namespace, (name, because), Instant::now() + patience).await
}

async fn step(
    client: &Client,
    namespace: &str,
    (name, because): (&str, Option<String>),
    until: Instant,
) -> anyhow::Result<Verdict> {
    let sight = Sight::take(client, namespace, name).await?;
    if !sight.is_dead() {
        if heard(&sight.host) {
            let why = format!("{name} is heard, so there is nobody to replace: power it off first");
            return Ok(Verdict::refused(&why));
        }
        let Some(because) = because else {
            return Ok(Verdict::refused(
                "say with `--because` how you know that it is powered off",
            ));
        };
        let dead = Statement { kind: AbsenceKind::Dead, because, holds: None };
        let stated = set(client, namespace, (name, Some(dead)), Timestamp::now()).await?;
        if stated != Verdict::Fine {
            return Ok(stated);
        }
    }
    let sight = removed(client, namespace, name, until).await?;
    match sight.stand() {
        Stand::Listed(why) => {
            Ok(Verdict::refused(&format!("{name} is not off the list yet: {why}")))
        }
        Stand::OldIsBack => Ok(Verdict::refused(&format!(
            "{name} is off the list, and what is heard is the old machine, which puts its files away: power it off"
        ))),
        Stand::Away => {
            println!("{}", next(name));
            Ok(Verdict::Fine)
        }
        Stand::NewIsHere => set(client, namespace, (name, None), Timestamp::now()).await,
    }
}

/// Waits until the others have taken the old machine off their list, as far as the patience goes.
async fn removed(
    client: &Client,
    namespace: &str,
    name: &str,
    until: Instant,
) -> anyhow::Result<Sight> {
    loop {
        let sight = Sight::take(client, namespace, name).await?;
        let waits = matches!(sight.stand(), Stand::Listed(_)) && !heard(&sight.host);
        if !waits || Instant::now() >= until {
            return Ok(sight);
        }
        sleep(LOOK).await;
    }
}

fn next(name: &str) -> String {
    format!(
        "{name} is off the list. Install the new machine with the same name and addresses, give it \
         `kubectl pvecm host enrol {name}` and start its agent; then type `kubectl pvecm host replace {name}` again"
    )
}

/// Where things stand with a host that is declared dead.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    /// The others have not taken it off their list, because of this.
    Listed(String),
    /// The machine that was removed is heard.
    OldIsBack,
    /// Nobody of that name is heard.
    Away,
    /// Another machine of that name is heard.
    NewIsHere,
}

/// All objects that say something about it.
#[derive(Debug)]
struct Sight {
    host: PveHost,
    others: Vec<PveHost>,
    clusters: Vec<PveCluster>,
}

impl Sight {
    async fn take(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Self> {
        let all = ListParams::default();
        let hosts: Api<PveHost> = Api::namespaced(client.clone(), namespace);
        let clusters: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
        let found = hosts.list(&all).await.context("cannot read the PveHosts")?.items;
        let (mut own, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|host| host.name_any() == name);
        let host = own.pop().with_context(|| format!("there is no PveHost {namespace}/{name}"))?;
        let clusters = clusters.list(&all).await.context("cannot read the PveClusters")?.items;
        Ok(Self { host, others, clusters })
    }

    fn is_dead(&self) -> bool {
        self.host.spec.absence.as_ref().is_some_and(|stated| stated.kind == AbsenceKind::Dead)
    }

    fn stand(&self) -> Stand {
        if let Some(why) = self.clusters.iter().find_map(|cluster| self.is_listed(cluster)) {
            let speaks =
                "its agent is heard: power the machine off, or stop the agent of the new one";
            return Stand::Listed(if heard(&self.host) { speaks.to_owned() } else { why });
        }
        let machine = self.host.status.as_ref().and_then(|status| status.machine_id.as_ref());
        let statuses = self.others.iter().filter_map(|other| other.status.as_ref());
        let mut buried = statuses.flat_map(|status| &status.tombstones);
        match (heard(&self.host), buried.any(|gone| gone.machine_id.as_ref() == machine)) {
            (false, _) => Stand::Away,
            (true, true) => Stand::OldIsBack,
            (true, false) => Stand::NewIsHere,
        }
    }

    /// What a cluster says of itself that lists the host's node.
    fn is_listed(&self, cluster: &PveCluster) -> Option<String> {
        let status = self.host.status.as_ref();
        let named = status.and_then(|status| status.hostname.clone());
        let wanted = cluster.spec.nodes.iter().find(|node| node.host() == self.host.name_any());
        let name = wanted.map(|node| node.name.clone()).or(named)?;
        let status = cluster.status.as_ref()?;
        let listed =
            |node: &pvecm_crds::cluster::NodeStatus| node.name == name && node.node_id.is_some();
        status.nodes.iter().any(listed).then(|| {
            let plan = status.plan.as_ref().map(|plan| plan.sentence.clone());
            plan.unwrap_or_else(|| format!("{} says nothing of it", cluster.name_any()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{client, cluster, server};
    use serde_json::{Value, json};

    fn host(name: &str, connected: bool, machine: &str) -> Value {
        let connected = if connected { "True" } else { "False" };
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": name, "namespace": "pve", "resourceVersion": "7"}, "spec": {},
            "status": {"hostname": name, "machineId": machine, "conditions": [{
                "type": "Connected", "status": connected, "reason": "Lease", "message": "",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]},
        })
    }

    fn dead(mut host: Value) -> Value {
        host["spec"]["absence"] = json!({"kind": "Dead", "because": "PDU port 7 off"});
        host
    }

    /// The cluster `prod`, whose list has n3 or not.
    fn listing(n3: bool) -> Value {
        let mut cluster = cluster();
        let id = if n3 { json!(3) } else { Value::Null };
        cluster["status"] = json!({
            "nodes": [{"name": "n3", "nodeId": id, "online": false}],
            "plan": {"sentence": "n1 has it in the membership"},
        });
        cluster
    }

    /// n1, which remembers that the machine `old` has left as n3.
    fn remembering() -> Value {
        let mut n1 = host("n1", true, "one");
        n1["status"]["tombstones"] = json!([{"name": "n3", "nodeId": 3, "machineId": "old"}]);
        n1
    }

    /// The verdict, and what was written as `spec.absence`.
    async fn typed(objects: &[Value], because: Option<&str>) -> (Verdict, Vec<Value>) {
        let server = server(objects);
        let asked = ("n3", because.map(str::to_owned));
        let verdict = step(&client(&server), "pve", asked, Instant::now()).await.unwrap();
        let writes = server.lock().unwrap().writes.clone();
        (verdict, writes.into_iter().map(|(_, body)| body["spec"]["absence"].clone()).collect())
    }

    #[tokio::test]
    async fn a_machine_that_is_heard_is_not_replaced_and_one_that_is_not_needs_a_reason() {
        let here = [listing(true), host("n3", true, "old")];
        assert_eq!(typed(&here, Some("gone")).await, (Verdict::Findings, Vec::new()));
        let silent = [listing(true), host("n3", false, "old")];
        assert_eq!(typed(&silent, None).await, (Verdict::Findings, Vec::new()));
        let stated = json!({"kind": "Dead", "because": "gone"});
        assert_eq!(typed(&silent, Some("gone")).await, (Verdict::Findings, vec![stated]));
    }

    #[tokio::test]
    async fn once_the_old_one_is_off_the_list_the_new_one_is_asked_for() {
        let off = [listing(false), remembering(), dead(host("n3", false, "old"))];
        assert_eq!(typed(&off, None).await, (Verdict::Fine, Vec::new()));
        let on = [listing(true), remembering(), dead(host("n3", false, "old"))];
        assert_eq!(typed(&on, None).await, (Verdict::Findings, Vec::new()));
    }

    #[tokio::test]
    async fn the_statement_is_taken_back_for_another_machine_and_not_for_the_old_one() {
        let new = [listing(false), remembering(), dead(host("n3", true, "new"))];
        assert_eq!(typed(&new, None).await, (Verdict::Fine, vec![Value::Null]));
        let old = [listing(false), remembering(), dead(host("n3", true, "old"))];
        assert_eq!(typed(&old, None).await, (Verdict::Findings, Vec::new()));
        let early = [listing(true), remembering(), dead(host("n3", true, "new"))];
        assert_eq!(typed(&early, None).await, (Verdict::Findings, Vec::new()));
    }
}
