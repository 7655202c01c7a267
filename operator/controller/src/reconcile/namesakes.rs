//! Two clusters of one name in a namespace: the first one has it. Pure.
//!
//! A host's cluster is told by the name in its corosync.conf. With two of one name a host of the one passes for
//! a member of the other, and its file for one that may be adopted.

use kube::ResourceExt as _;
use pvecm_crds::PveCluster;

/// Of those of a namespace, the one that has a cluster's name already: it is older, or as old and comes first.
pub fn first_of_name<'a>(
    cluster: &PveCluster,
    others: impl Iterator<Item = &'a PveCluster>,
) -> Option<String> {
    let age = |cluster: &PveCluster| (cluster.creation_timestamp(), cluster.uid());
    let is_same = |other: &&PveCluster| {
        other.namespace() == cluster.namespace()
            && other.effective_name() == cluster.effective_name()
    };
    let earlier = others.filter(is_same).filter(|other| age(other) < age(cluster));
    earlier.min_by_key(|other| age(other)).map(kube::ResourceExt::name_any)
}

/// What is said to the later one.
pub fn sentence(cluster: &PveCluster, first: &str) -> String {
    format!(
        "the PveCluster {first} has the name `{}` already: give this one another `spec.clusterName` (make it anew \
         for that), or put it into another namespace",
        cluster.effective_name()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(object: &str, name: Option<&str>, second: u32) -> PveCluster {
        serde_json::from_value(json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
            "metadata": {"name": object, "namespace": "pve", "uid": format!("u-{object}"),
                         "creationTimestamp": format!("2026-01-01T00:00:0{second}Z")},
            "spec": {"clusterName": name, "nodes": [{"name": "n1"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_name_belongs_to_the_cluster_that_had_it_first() {
        let (old, new) = (cluster("prod", None, 1), cluster("copy", Some("prod"), 2));
        let all = [old.clone(), new.clone(), cluster("test", None, 0)];
        assert_eq!(first_of_name(&new, all.iter()).as_deref(), Some("prod"));
        assert_eq!(first_of_name(&old, all.iter()), None);
        let mut elsewhere = old.clone();
        elsewhere.metadata.namespace = Some("lab".to_owned());
        assert_eq!(first_of_name(&new, [elsewhere].iter()), None);
    }

    #[test]
    fn of_two_that_were_made_in_one_second_one_has_the_name() {
        let both = [cluster("a", Some("prod"), 1), cluster("b", Some("prod"), 1)];
        let refused = both.iter().filter(|one| first_of_name(one, both.iter()).is_some());
        assert_eq!(refused.count(), 1);
    }
}
