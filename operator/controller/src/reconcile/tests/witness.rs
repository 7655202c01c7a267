//! Hosts that vote from outside.

use pvecm_crds::host::ServedCluster;

use super::*;

/// The fingerprint of w1's own certificate.
pub const AUTHORITY: &str = "a";

pub fn fingerprint(of: &str) -> String {
    digest(of)
}

fn witness(name: &str) -> Value {
    json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
           "metadata": {"name": name, "namespace": "pve", "resourceVersion": "7"},
           "spec": {"role": "Witness"},
           "status": {"hostname": name, "addresses": [{"interface": "eth0", "cidr": "10.9.0.1/24"}],
                      "witness": {"serves": true, "authority": AUTHORITY,
                                  "fingerprint": fingerprint(AUTHORITY)}}})
}

/// n1 alone, claimed, with w1 as its witness; what is planned waits for approval.
pub fn voting() -> Shared {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["quorum"] =
            json!({"device": {"type": "Managed", "hostRef": {"name": "w1"}}});
        cluster["spec"]["rollout"] = json!({"approval": "Manual"});
    });
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
    });
    server.lock().unwrap().put("pvehosts", witness("w1"));
    server
}

fn served(server: &Shared, witness: &str) -> Vec<ServedCluster> {
    object::<PveHost>(server, &format!("pvehosts/{witness}")).unwrap().status.unwrap().clusters
}

pub fn entry(name: &str, uid: &str, requests: &[&str]) -> ServedCluster {
    let requests = requests.iter().map(ToString::to_string).collect();
    ServedCluster {
        cluster_name: name.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        requests,
    }
}

pub fn told_before(server: &Shared, entries: &[ServedCluster]) {
    edit(server, "pvehosts/w1", |host| host["status"]["clusters"] = json!(entries));
    for ServedCluster { cluster_name, .. } in entries {
        let manager = format!("fieldManager={}-serves-{cluster_name}", crate::access::MANAGER);
        let key = (format!("{GROUP}/pvehosts/w1"), manager);
        server.lock().unwrap().served.insert(key, [cluster_name.clone()].into());
    }
}

fn written_to(witness: &str) -> String {
    format!("PATCH {GROUP}/pvehosts/{witness}/status")
}

/// A pass that writes to w1 writes nothing else but the cluster's own status.
async fn writes_to_witness(server: &Shared) -> bool {
    pass(server).await.contains(&written_to("w1"))
}

#[tokio::test]
async fn a_cluster_has_its_name_at_its_witness_before_anything_is_planned_and_is_written_once() {
    let server = voting();
    let writes = pass(&server).await;
    assert_eq!(writes, [written_to("w1"), format!("PATCH {GROUP}/pveclusters/prod/status")]);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);
    for _ in 0..4 {
        assert!(!writes_to_witness(&server).await);
    }
    let witness: PveHost = object(&server, "pvehosts/w1").unwrap();
    assert_eq!(witness.status.unwrap().cluster, None, "a witness is no member");
}

#[tokio::test]
async fn a_paused_cluster_and_one_whose_witness_is_none_write_nothing_to_it() {
    let server = voting();
    edit(&server, "pveclusters/prod", |o| o["spec"]["rollout"] = json!({"paused": true}));
    assert!(!writes_to_witness(&server).await);
    let server = voting();
    edit(&server, "pvehosts/w1", |host| host["spec"]["role"] = json!("Member"));
    assert!(!writes_to_witness(&server).await);
}

/// A second cluster of the namespace.
fn other_cluster(server: &Shared) {
    let mut other = cluster();
    other["metadata"]["name"] = json!("other");
    other["metadata"]["uid"] = json!("u-2");
    other["spec"] = json!({"nodes": [{"name": "n9"}],
                           "quorum": {"device": {"type": "Managed", "hostRef": {"name": "w1"}}}});
    server.lock().unwrap().put("pveclusters", other);
}

/// The outage: two writers of one list, of whom the second takes the first one's entry out; its witness then signs
/// nothing more for it, and gives its name away.
#[tokio::test]
async fn two_clusters_have_their_names_at_one_witness_and_each_takes_only_its_own_away() {
    let server = voting();
    other_cluster(&server);
    pass(&server).await;
    reconcile(ClusterKey::new("pve", "other"), context(&server, Leadership::always())).await;
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[]), entry("other", "u-2", &[])]);
    edit(&server, "pveclusters/prod", |o| {
        o["spec"]["quorum"] = json!({"device": {"type": "None"}});
    });
    pass(&server).await;
    assert_eq!(served(&server, "w1"), [entry("other", "u-2", &[])]);
}

/// The outage: two passes that both saw the name free write it one after the other.
#[tokio::test]
async fn an_entry_is_written_only_at_a_witness_that_is_still_as_it_was_read() {
    let server = voting();
    let seen = observe(
        &ClusterKey::new("pve", "prod"),
        Sight::Live,
        &context(&server, Leadership::always()),
    )
    .await
    .unwrap();
    told_before(&server, &[entry("prod", "u-2", &[])]);
    edit(&server, "pvehosts/w1", |host| host["metadata"]["resourceVersion"] = json!("8"));
    let due = reservation::due(&seen).unwrap();
    let access = &context(&server, Leadership::always()).access;
    assert!(dispatch(decide::Effect::Serve(due), &seen, access).await.is_err());
    assert_eq!(served(&server, "w1"), [entry("prod", "u-2", &[])]);
}

#[tokio::test]
async fn a_name_of_a_cluster_that_is_there_is_left_to_it_and_one_of_a_cluster_that_is_gone_is_taken_over()
 {
    let server = voting();
    other_cluster(&server);
    let held = ServedCluster { cluster_name: "prod".to_owned(), ..entry("other", "u-2", &["r"]) };
    told_before(&server, std::slice::from_ref(&held));
    assert!(!writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [held]);
    server.lock().unwrap().objects.remove(&format!("{GROUP}/pveclusters/other"));
    assert!(writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);
}

/// The outage: two clusters of one name at one QNetd, and a vote for a node of one in the other.
#[tokio::test]
async fn a_name_of_a_cluster_that_is_gone_is_not_taken_over_while_others_vote_under_it() {
    let server = voting();
    told_before(&server, &[entry("prod", "u-2", &[])]);
    let voters = |from: &[&str]| {
        edit(&server, "pvehosts/w1", |host| {
            host["status"]["witness"]["voters"] =
                json!([{"clusterName": "prod", "addresses": from}]);
        });
    };
    voters(&["10.0.0.1", "10.0.0.7"]);
    assert!(!writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-2", &[])]);
    voters(&["10.0.0.1"]);
    assert!(writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);
    // Once it has its name, nothing that comes later takes that away.
    voters(&["10.0.0.1", "10.0.0.7"]);
    assert!(!writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);
}

pub fn asks(server: &Shared, host: &str, request: &str, authority: &str) {
    edit(server, &format!("pvehosts/{host}"), |host| {
        host["status"]["device"] = json!({
            "request": request,
            "laid": {"authority": fingerprint(authority), "generation": 1},
        });
    });
}

/// The outage: a witness signs for a machine that obeys somebody else, who then votes under this cluster's name.
#[tokio::test]
async fn the_requests_of_a_clusters_own_hosts_for_this_very_witness_are_handed_to_it() {
    let server = voting();
    pass(&server).await;
    asks(&server, "n1", "request of n1", AUTHORITY);
    assert!(writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &["request of n1"])]);
    assert!(!writes_to_witness(&server).await);
    asks(&server, "n1", "for another one", "b");
    assert!(writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);
    asks(&server, "n1", "not ours", AUTHORITY);
    edit(&server, "pvehosts/n1", |host| host["status"]["cluster"]["uid"] = json!("u-2"));
    assert!(!writes_to_witness(&server).await);
}

/// A member that runs with a device at this address.
fn member(address: &str) -> Value {
    let text = format!(
        "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: 3\n}}\nquorum {{\n  provider: \
         corosync_votequorum\n  device {{\n    model: net\n    net {{\n      host: {address}\n    }}\n  }}\n}}\n\
         nodelist {{\n  node {{\n    name: n1\n    nodeid: 1\n    ring0_addr: 10.0.0.1\n  }}\n}}\n"
    );
    json!({"version": 3, "digest": digest(&text), "text": text})
}

/// The outage: the witness gives the name to another cluster while daemons of this one still vote under it.
#[tokio::test]
async fn an_entry_stays_as_long_as_a_member_may_use_that_witness() {
    let moved = || {
        let server = voting();
        told_before(&server, &[entry("prod", "u-1", &[])]);
        edit(&server, "pveclusters/prod", |o| {
            o["spec"]["quorum"]["device"]["hostRef"]["name"] = json!("w2");
        });
        server
    };
    let with = |file: Value| {
        let server = moved();
        edit(&server, "pvehosts/n1", |host| host["status"]["files"] = json!({"disk": file}));
        server
    };
    let without_text = json!({"version": 3, "digest": digest("")});
    for file in [member("10.9.0.1"), member("w1.example.org"), without_text] {
        assert!(!writes_to_witness(&with(file.clone())).await, "{file}");
    }
    for server in [with(member("10.9.0.2")), moved()] {
        assert!(writes_to_witness(&server).await);
        assert_eq!(served(&server, "w1"), []);
    }
}

#[tokio::test]
async fn the_name_of_a_cluster_that_is_deleted_and_runs_on_stays_and_that_of_a_dissolved_one_goes_first()
 {
    let server = voting();
    pass(&server).await;
    server.lock().unwrap().objects.remove(&format!("{GROUP}/pveclusters/prod"));
    assert!(!writes_to_witness(&server).await);
    assert_eq!(served(&server, "w1"), [entry("prod", "u-1", &[])]);

    let server = voting();
    edit(&server, "pveclusters/prod", |o| o["spec"]["deletionPolicy"] = json!("Dissolve"));
    for _ in 0..2 {
        pass(&server).await;
    }
    edit(&server, "pvehosts/n1", |host| host["status"]["cluster"] = Value::Null);
    edit(&server, "pveclusters/prod", |o| {
        o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    assert!(writes_to_witness(&server).await);
    let finalizers = |server: &Shared| {
        object::<PveCluster>(server, "pveclusters/prod").unwrap().metadata.finalizers.unwrap()
    };
    assert_eq!((served(&server, "w1"), finalizers(&server).len()), (vec![], 1));
    pass(&server).await;
    assert!(finalizers(&server).is_empty());
}

#[tokio::test]
async fn news_of_a_witness_are_for_all_who_name_it_and_for_those_whose_name_it_has() {
    let server = voting();
    told_before(&server, &[entry("gone", "u-3", &[])]);
    other_cluster(&server);
    let concerned =
        context(&server, Leadership::always()).stores.concerned(&HostKey::new("pve", "w1"));
    let names: Vec<_> = concerned.into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["gone", "other", "prod"]);
}
