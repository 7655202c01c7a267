//! What the API server knows of one cluster.

use std::collections::BTreeMap;

use anyhow::Context as _;
use ipnet::IpNet;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pvecm_core::ids::HostName;
use pvecm_core::observed::ObservedCluster;
use pvecm_crds::condition::kind;
use pvecm_crds::convert::Holder;
use pvecm_crds::host::ServedCluster;
use pvecm_crds::{CLUSTER_LABEL, PveChange, PveCluster, PveHost, convert};

/// A cluster with its hosts and its changes, at one moment.
#[derive(Debug)]
pub struct Picture {
    /// The cluster.
    pub cluster: PveCluster,
    /// The hosts that its spec names or that it has claimed, as far as they exist.
    pub hosts: BTreeMap<HostName, PveHost>,
    /// The host that is to vote from outside, where it exists, with the clusters of the namespace.
    pub witness: Option<(PveHost, Vec<PveCluster>)>,
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
    let wanted = cluster.spec.witness();
    let witness = found.items.iter().find(|host| wanted == Some(host.name_any().as_str())).cloned();
    let witness = match witness {
        Some(witness) => Some((witness, clusters(client, namespace).await?)),
        None => None,
    };
    let ours = found.items.into_iter().filter(is_ours);
    let hosts = ours.map(|host| Ok((host.name_any().parse()?, host)));
    let hosts = hosts.collect::<anyhow::Result<BTreeMap<HostName, PveHost>>>()?;
    Ok(Picture { changes: changes(client, namespace, name).await?, cluster, hosts, witness })
}

async fn clusters(client: &Client, namespace: &str) -> anyhow::Result<Vec<PveCluster>> {
    let api: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(&ListParams::default()).await.context("cannot read the PveClusters")?.items)
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
        let mut observed = convert::observed(hosts, &changes, (&uid, Timestamp::now()))?;
        if let Some((witness, clusters)) = &self.witness {
            let holder = |served: &ServedCluster| self.holder(served, clusters);
            let addresses = observed.hosts.values().flat_map(|host| &host.addresses);
            let own = addresses.map(IpNet::addr).collect();
            let view = convert::witness_view(witness, heard(witness), (holder, &own))?;
            observed.witness = Some(view);
        }
        Ok(observed)
    }

    /// Whose a name at a witness is. One of this name that is there no more has left it to this one.
    fn holder(&self, served: &ServedCluster, clusters: &[PveCluster]) -> Holder {
        let is_there = |uid: &str| clusters.iter().any(|one| one.uid().as_deref() == Some(uid));
        let is_same = served.cluster_name == self.cluster.effective_name();
        if self.cluster.uid().as_ref() == Some(&served.uid) {
            Holder::Own
        } else if is_same && !is_there(&served.uid) {
            Holder::Nobody
        } else {
            Holder::Other
        }
    }
}

/// Whether the operator hears a host's agent.
pub fn heard(host: &PveHost) -> bool {
    let conditions = host.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == kind::CONNECTED && c.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake;

    /// The same answer as the operator's, which takes over the name of a cluster that is gone.
    #[tokio::test]
    async fn the_witness_is_no_member_and_has_the_names_of_others_that_are_there() {
        let mut cluster = fake::cluster();
        cluster["spec"]["quorum"] =
            json!({"device": {"type": "Managed", "hostRef": {"name": "w1"}}});
        let entry =
            |name: &str, uid: &str| json!({"clusterName": name, "name": "other", "uid": uid});
        let witness = |entries: Value| {
            json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
                   "metadata": {"name": "w1", "namespace": "pve"}, "spec": {"role": "Witness"},
                   "status": {"clusters": entries}})
        };
        let mut other = fake::cluster();
        other["metadata"]["name"] = json!("other");
        other["metadata"]["uid"] = json!("u-2");
        let names = async |entries: Value| {
            let objects = [cluster.clone(), other.clone(), witness(entries)];
            let client = fake::client(&fake::server(&objects));
            let picture = picture(&client, "pve", "prod").await.unwrap();
            assert!(picture.hosts.is_empty());
            let names = picture.observed().unwrap().witness.unwrap().names;
            names.into_keys().map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(json!([entry("prod", "u-1"), entry("else", "u-2")])).await, ["else"]);
        assert_eq!(names(json!([entry("prod", "u-2")])).await, ["prod"]);
        assert_eq!(names(json!([entry("prod", "u-9"), entry("else", "u-9")])).await, ["else"]);
    }
}
