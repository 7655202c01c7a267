//! Votes, and what they survive.

use pvecm_crds::cluster::QuorumStatus;

use super::*;

const DEVICE: &str =
    "device {\n    model: net\n    votes: 1\n    net {\n      host: 10.9.0.1\n    }\n  }\n";

fn text(nodes: u32, device: &str) -> String {
    let node = |n: u32| {
        format!("  node {{\n    name: n{n}\n    nodeid: {n}\n    ring0_addr: 10.0.0.{n}\n  }}\n")
    };
    let nodes: String = (1..=nodes).map(node).collect();
    format!(
        "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: 3\n  secauth: on\n}}\nquorum {{\n  \
         provider: corosync_votequorum\n  {device}}}\nnodelist {{\n{nodes}}}\n"
    )
}

/// n1 and n2 run a file; so many votes are there, expected and needed, and these hosts count the device's.
pub(super) fn running(
    device: &str,
    (present, expected, needed): (u32, u32, u32),
    casting: &[&str],
) -> Shared {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["nodes"] = json!([{"name": "n1"}, {"name": "n2"}]);
        cluster["spec"]["rollout"] = json!({"paused": true});
    });
    let text = text(2, device);
    let file = json!({"version": 3, "digest": digest(&text), "text": text});
    for name in ["n1", "n2"] {
        let mut member = host(name);
        let status = &mut member["status"];
        status["cluster"] = json!({"name": "prod", "uid": "u-1"});
        status["files"] = json!({"pmxcfs": file, "disk": file});
        status["running"] = json!({"configVersion": 3});
        status["membership"] = json!({"ringId": "1.8", "members": [1, 2], "localNodeId": 1});
        status["quorum"] = json!({"quorate": true, "expectedVotes": expected,
                                  "totalVotes": present, "quorumVotes": needed});
        status["device"] = json!({"enabled": true, "casts": casting.contains(&name)});
        server.lock().unwrap().put("pvehosts", member);
    }
    server
}

async fn quorum(server: &Shared) -> QuorumStatus {
    pass(server).await;
    object::<PveCluster>(server, "pveclusters/prod").unwrap().status.unwrap().quorum.unwrap()
}

#[tokio::test]
async fn a_device_that_votes_is_told_with_what_it_is_good_for() {
    let votes = quorum(&running(DEVICE, (3, 3, 2), &["n1", "n2"])).await;
    assert_eq!((votes.device, votes.device_missing_on.len()), (Some(1), 0));
    assert_eq!((votes.failures_survived, votes.failures_survived_without_device), (1, Some(0)));
    let votes = quorum(&running("", (2, 2, 2), &[])).await;
    assert_eq!((votes.device, votes.device_missing_on.len()), (None, 0));
    assert_eq!((votes.failures_survived, votes.failures_survived_without_device), (0, None));
}

#[tokio::test]
async fn members_that_do_not_count_the_device_are_named() {
    let votes = quorum(&running(DEVICE, (2, 3, 2), &[])).await;
    assert_eq!((votes.device, votes.device_missing_on), (Some(0), vec!["n1".into(), "n2".into()]));
    assert_eq!((votes.failures_survived, votes.failures_survived_without_device), (0, Some(0)));
    let votes = quorum(&running(DEVICE, (3, 3, 2), &["n1"])).await;
    assert_eq!((votes.device, votes.device_missing_on), (Some(1), vec!["n2".to_owned()]));
    let server = running(DEVICE, (3, 3, 2), &["n1"]);
    edit(&server, "pvehosts/n2", |host| host["status"]["running"]["configVersion"] = json!(2));
    let votes = quorum(&server).await;
    assert!(votes.device_missing_on.is_empty(), "what it runs may have no device");
}

/// Daemons that were told another number, as a recovery does: the arithmetic of what they count holds.
#[tokio::test]
async fn votes_that_the_file_does_not_foretell_are_counted_as_they_are() {
    let votes = quorum(&running(DEVICE, (3, 3, 1), &["n1", "n2"])).await;
    assert_eq!((votes.failures_survived, votes.failures_survived_without_device), (2, Some(1)));
}
