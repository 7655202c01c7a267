//! What the API server still knows of changes that have ended, for a host that was off meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use kube::Api;
use kube::api::ListParams;
use pvecm_core::gate::{Said, Weight};
use pvecm_crds::convert::was_in_force;
use pvecm_crds::{PveChange, PveHost};

use super::{client, in_time, read_bootstrap};

/// The newest text of the cluster that claims this host. Of every cluster in the namespace where none does:
/// it lets go of a host that was removed, and whose file it is the one who asks can tell.
pub async fn left_by_changes(bootstrap_path: &Path) -> anyhow::Result<Vec<Said>> {
    let bootstrap = read_bootstrap(bootstrap_path)?;
    let client = client(&bootstrap, bootstrap_path).await?;
    let hosts: Api<PveHost> = Api::namespaced(client.clone(), &bootstrap.namespace);
    let changes: Api<PveChange> = Api::namespaced(client, &bootstrap.namespace);
    let host = in_time(hosts.get(bootstrap.host.as_str())).await?;
    let all = in_time(changes.list(&ListParams::default())).await?.items;
    Ok(left_for(&host, all.iter().collect()))
}

/// Of these changes.
#[must_use]
pub fn left_for(host: &PveHost, mut all: Vec<&PveChange>) -> Vec<Said> {
    let claim = host.status.as_ref().and_then(|status| status.cluster.as_ref());
    let claim = claim.map(|cluster| cluster.uid.as_str());
    all.sort_by_key(|change| change.spec.number);
    let mut of: BTreeMap<&str, Vec<&PveChange>> = BTreeMap::new();
    for change in all {
        of.entry(&change.spec.cluster_ref.uid).or_default().push(change);
    }
    let wanted = |uid: &str| claim.is_none_or(|claim| claim == uid);
    let of = of.iter().filter(|(uid, _)| wanted(uid));
    let said = of.filter_map(|(uid, changes)| {
        let conf = was_in_force(changes, uid)?;
        let by = format!("the last change of {}", changes.last()?.spec.cluster_ref.name);
        Some(Said { by, text: conf.text, weight: Weight::Change })
    });
    said.collect()
}
