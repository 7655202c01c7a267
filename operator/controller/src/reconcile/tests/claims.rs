//! Two clusters that want the same.

use super::*;

/// A second cluster of the namespace, made after the first.
fn second(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
           "metadata": {"name": name, "namespace": "pve", "uid": "u-2", "generation": 1,
                        "resourceVersion": "6", "creationTimestamp": "2026-01-02T00:00:00Z"},
           "spec": spec})
}

/// What the second one is told, and what is written for it.
async fn told_to_second(server: &Shared) -> (String, String, Vec<String>) {
    server.lock().unwrap().writes.clear();
    reconcile(ClusterKey::new("pve", "other"), context(server, Leadership::always())).await;
    let writes = server.lock().unwrap().writes.clone();
    let other: PveCluster = object(server, "pveclusters/other").unwrap();
    let conditions = other.status.unwrap().conditions;
    let stalled = conditions.into_iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!(stalled.status, "True", "{}: {}", stalled.reason, stalled.message);
    (
        stalled.reason,
        stalled.message,
        writes.into_iter().filter(|w| !w.contains("events")).collect(),
    )
}

/// The first has both; nothing of the second is written but its own status.
#[tokio::test]
async fn a_host_that_two_clusters_name_obeys_the_first() {
    let server = world();
    pass(&server).await;
    let spec =
        json!({"nodes": [{"name": "n1"}], "links": [{"number": 0, "network": "10.0.0.0/24"}]});
    server.lock().unwrap().put("pveclusters", second("other", &spec));
    let (reason, sentence, writes) = told_to_second(&server).await;
    assert_eq!(
        (reason.as_str(), sentence.as_str()),
        ("HostClaimed", "n1 belongs to the PveCluster prod")
    );
    assert_eq!(writes, [format!("PATCH {GROUP}/pveclusters/other/status")]);
    assert!(pass(&server).await.contains(&format!("POST {GROUP}/pvechanges")), "prod goes on");
}

#[tokio::test]
async fn of_two_clusters_of_one_name_the_second_is_refused_and_touches_no_host() {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    server.lock().unwrap().put("pvehosts", host("n2"));
    let spec = json!({"clusterName": "prod", "nodes": [{"name": "n2"}],
                      "links": [{"number": 0, "network": "10.0.0.0/24"}]});
    server.lock().unwrap().put("pveclusters", second("other", &spec));
    let (reason, sentence, writes) = told_to_second(&server).await;
    assert_eq!(reason, "NameTaken");
    assert!(sentence.contains("the PveCluster prod has the name `prod` already"), "{sentence}");
    assert_eq!(writes, [format!("PATCH {GROUP}/pveclusters/other/status")]);
    pass(&server).await;
    assert!(pass(&server).await.contains(&format!("POST {GROUP}/pvechanges")), "prod goes on");
}
