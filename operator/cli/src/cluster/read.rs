//! What the API server knows of one cluster.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pvecm_core::ids::HostName;
use pvecm_core::observed::ObservedCluster;
use pvecm_crds::condition::kind;
use pvecm_crds::{CLUSTER_LABEL, PveChange, PveCluster, PveHost, convert};

/// A cluster with its hosts and its changes, at one moment.
#[derive(Debug)]
pub struct Picture {
    /// The cluster.
    pub cluster: PveCluster,
    /// The hosts that its spec names or that it has claimed, as far as they exist.
    pub hosts: BTreeMap<HostName, PveHost>,
    /// Its changes, the oldest first.
    pub changes: Vec<PveChange>,
}

/// Reads one cluster.
pub async fn cluster(client: &Client, namespace: &str, name: &str) -> anyhow::Result<PveCluster> {
    let api: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await.context("cannot read the PveCluster")?;
    found.with_context(|| format!("there is no PveCluster {namespace}/{name}"))
}

/// The changes under a cluster's name, the oldest first.
pub async fn changes(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Vec<PveChange>> {
    let api: Api<PveChange> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels(&format!("{CLUSTER_LABEL}={name}"));
    let mut changes = api.list(&ours).await.context("cannot read the PveChanges")?.items;
    changes.sort_by_key(|change| change.spec.number);
    Ok(changes)
}

/// Reads everything about one cluster.
pub async fn picture(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Picture> {
    let cluster = cluster(client, namespace, name).await?;
    let api: Api<PveHost> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await.context("cannot read the PveHosts")?;
    let uid = cluster.uid();
    let is_ours = |host: &PveHost| {
        let claim = host.status.as_ref().and_then(|status| status.cluster.as_ref());
        let name = host.name_any();
        cluster.spec.nodes.iter().any(|node| node.host() == name)
            || claim.is_some_and(|claim| uid.as_deref() == Some(claim.uid.as_str()))
    };
    let ours = found.items.into_iter().filter(is_ours);
    let hosts = ours.map(|host| Ok((host.name_any().parse()?, host)));
    let hosts = hosts.collect::<anyhow::Result<BTreeMap<HostName, PveHost>>>()?;
    Ok(Picture { changes: changes(client, namespace, name).await?, cluster, hosts })
}

impl Picture {
    /// The change without an outcome.
    pub fn open(&self) -> Option<&PveChange> {
        self.changes.iter().find(|change| change.outcome().is_none())
    }

    /// The planner's view: a host is heard if the operator says so.
    pub fn observed(&self) -> anyhow::Result<ObservedCluster> {
        let hosts = self.hosts.iter().map(|(name, host)| (name, host, heard(host)));
        let changes: Vec<_> = self.changes.iter().collect();
        let uid = self.cluster.uid().unwrap_or_default();
        Ok(convert::observed(hosts, &changes, (&uid, Timestamp::now()))?)
    }
}

/// Whether the operator hears a host's agent.
pub fn heard(host: &PveHost) -> bool {
    let conditions = host.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == kind::CONNECTED && c.status == "True")
}
