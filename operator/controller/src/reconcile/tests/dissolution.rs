//! Clusters whose object is deleted to end them.

use super::*;

fn dissolving() -> Shared {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["deletionPolicy"] = json!("Dissolve");
    });
    server
}

fn deleted(server: &Shared) {
    edit(server, "pveclusters/prod", |cluster| {
        cluster["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
}

fn held(server: &Shared) -> Vec<String> {
    let cluster: PveCluster = object(server, "pveclusters/prod").unwrap();
    cluster.metadata.finalizers.unwrap_or_default()
}

/// Without it a deletion would be over before a host was separated.
#[tokio::test]
async fn an_object_whose_deletion_separates_hosts_is_held_before_anything_else_and_no_other_one() {
    let server = dissolving();
    let writes = pass(&server).await;
    assert_eq!(writes[0], format!("PATCH {GROUP}/pveclusters/prod"));
    assert_eq!(held(&server), [DISSOLVES]);
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["deletionPolicy"] = json!("Orphan");
    });
    pass(&server).await;
    assert!(held(&server).is_empty());
    let server = world();
    for _ in 0..3 {
        pass(&server).await;
    }
    assert!(held(&server).is_empty());
}

#[tokio::test]
async fn a_cluster_that_ends_lets_its_empty_hosts_go_claims_none_and_then_goes_itself() {
    let server = dissolving();
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
    });
    pass(&server).await;
    deleted(&server);
    let claim = format!("PATCH {GROUP}/pvehosts/n1/status");
    assert!(pass(&server).await.contains(&claim));
    assert_eq!(held(&server), [DISSOLVES], "it obeys until that is written");
    edit(&server, "pvehosts/n1", |host| host["status"]["cluster"] = Value::Null);
    let host: PveHost = object(&server, "pvehosts/n1").unwrap();
    assert!(host.status.unwrap().cluster.is_none());
    assert_eq!(pass(&server).await, [format!("PATCH {GROUP}/pveclusters/prod")]);
    assert!(held(&server).is_empty());
}

/// The cluster runs on, whatever it was called before.
#[tokio::test]
async fn a_cluster_that_is_orphaned_goes_at_once() {
    let server = dissolving();
    pass(&server).await;
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
    });
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["deletionPolicy"] = json!("Orphan");
    });
    deleted(&server);
    pass(&server).await;
    assert!(held(&server).is_empty());
}
