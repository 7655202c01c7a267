//! Links that are not as they should be, and what they may be like.

use pvecm_crds::cluster::PveClusterStatus;
use pvecm_crds::host::LinkClass;

use super::quorum::running;
use super::*;

/// What n1 says of its link to n2.
async fn told_by_n1(faults: Value) -> PveClusterStatus {
    let server = running("", (2, 2, 2), &[]);
    edit(&server, "pvehosts/n1", |host| host["status"]["linkFaults"] = faults);
    pass(&server).await;
    object::<PveCluster>(&server, "pveclusters/prod").unwrap().status.unwrap()
}

fn healthy(status: &PveClusterStatus) -> (&str, &str, &str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == "LinksHealthy");
    let found = found.unwrap();
    (&found.status, &found.reason, &found.message)
}

#[tokio::test]
async fn links_that_are_slow_lossy_or_broken_are_told_with_who_sees_them_and_the_worst_counts() {
    let status = told_by_n1(json!([])).await;
    assert_eq!(
        healthy(&status),
        ("True", "AsWanted", "every configured link is connected and good")
    );

    let lossy = json!({"link": 0, "nodeId": 2, "class": "Lossy"});
    let status = told_by_n1(json!([lossy])).await;
    let fault = &status.links[0];
    assert_eq!((fault.from.as_str(), fault.to.as_str()), ("n1", "n2"));
    assert_eq!(fault.class, LinkClass::Lossy);
    let wanted = ("False", "LinksDegraded", "link 0 from n1 to n2 is Lossy");
    assert_eq!(healthy(&status), wanted);

    let broken = json!({"link": 1, "nodeId": 2, "class": "Broken", "message": "why"});
    let status = told_by_n1(json!([lossy, broken])).await;
    let wanted = ("False", "LinkNotConnected", "link 1 from n1 to n2 is not connected: why");
    assert_eq!(healthy(&status), wanted);
    assert_eq!(status.links.len(), 2);
}

/// The hosts judge, and read no `PveCluster`.
#[tokio::test]
async fn what_the_spec_says_of_its_links_is_handed_to_the_hosts_once() {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["rollout"] = json!({"paused": true});
    });
    pass(&server).await;
    let claim =
        |server: &Shared| object::<PveHost>(server, "pvehosts/n1").unwrap().status.unwrap().cluster;
    let told = claim(&server).map(|cluster| cluster.limits);
    assert!(told.is_none_or(|limits| limits.is_empty()));
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
    });
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["rollout"] = json!({"paused": false});
        cluster["spec"]["links"][0]["limits"] = json!({"lossPercent": 3});
    });
    let claimed = |writes: Vec<String>| writes.iter().any(|write| write.contains("pvehosts/n1"));
    assert!(claimed(pass(&server).await));
    let limits = claim(&server).unwrap().limits;
    let found = (limits[0].link, limits[0].round_trip_millis, limits[0].loss_percent);
    assert_eq!(found, (0, 10, 3));
    assert!(!claimed(pass(&server).await), "told once");
}
